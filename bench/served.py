"""Servers to be asked, and the one who asks them: each pinned to its own core where there are two."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, CLIENT_CORE = _CORES[0], _CORES[-1]


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs."""

    port: int
    process: int

    def seconds(self) -> float:
        """Time on a processor so far, all threads together (Linux)."""
        tasks = Path(f"/proc/{self.process}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


@contextmanager
def server(config: Path) -> Iterator[Served]:
    """A server (see bench.server), told to stop, and waited for, at the end."""
    command = [sys.executable, "-m", "bench.server", str(SERVER_CORE), str(config)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        if not said:
            raise RuntimeError(f"no server came up with {config.name}")
        yield Served(int(said), process.pid)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def ask(
    port: int, requests: Sequence[str], connections: int, *, warm: int, count: int, seconds: float
) -> dict[str, Any]:
    """What the load generator saw (see bench.load). Raises RuntimeError where an answer was no success."""
    job: Mapping[str, Any] = {
        "port": port,
        "core": CLIENT_CORE,
        "requests": requests,
        "connections": connections,
        "warm": warm,
        "count": count,
        "seconds": seconds,
    }
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=json.dumps(job),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seen: dict[str, Any] = json.loads(done.stdout)
    failed = {status: times for status, times in seen["statuses"].items() if not status.startswith("2")}
    if failed or not seen["latencies"]:
        raise RuntimeError(f"answers by status: {seen['statuses']}")
    return seen


def get(path: str) -> str:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n\r\n"


def post(path: str, body: str) -> str:
    length = len(body.encode())
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {length}"
    return f"{head}\r\n\r\n{body}"
