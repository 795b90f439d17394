"""A real server: it keeps what it acknowledged, finishes what it began, and refuses what it must not do."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tastemaker.core.agent import state_digest
from tastemaker.core.config import load
from tastemaker.core.orchestrator import Orchestrator

PROGRAM = Path(__file__).with_name("program.py")
SLOW = """
import time
from pathlib import Path
from tastemaker.core import Source, hookimpl
from threadpoolctl import threadpool_info


class Slow(Source):
    def propose(self, context):
        if context.situation.get("slow"):
            Path("slow").touch()
            time.sleep(1.0)
        if context.situation.get("threads"):
            raise RuntimeError(f"threads: {max(pool['num_threads'] for pool in threadpool_info())}")
        return context.catalog.live


@hookimpl
def components():
    return [Slow]
"""
CONFIG = """
version: 1
store: sqlite:///books.db
plugins: [./plugin.py]
{more}
domains:
  books:
    items:
      fields: {{title: text, rating: number}}
    sources: [{{use: plugin.slow}}]
    scorers: {{rated: {{use: catalog.numeric, field: rating, low: 0, high: 50}}}}
    policies: {{taste: {{use: thompson.ranker, discount: 0.9}}}}
    rewards: {{open: 0.2, finish: 1.0}}
    learning: {{checkpoint_seconds: 0.5}}
    slate: {{size: 5, deadline_ms: 10000}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "plugin.py").write_text(SLOW)
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.format(more=""))
    return path


@contextmanager
def server(
    config: Path, port: int = 0, workers: int = 1
) -> Iterator[tuple["subprocess.Popen[str]", httpx.Client]]:
    """A running server and a client of it."""
    command = [sys.executable, str(PROGRAM), str(config), str(port), str(workers)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=config.parent)
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        found = re.search(r"http://127.0.0.1:\d+", first)
        assert found, first
        with httpx.Client(base_url=found[0], timeout=30) as client:
            until = time.monotonic() + 90
            while True:
                try:
                    if client.get("/readyz").status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                assert time.monotonic() < until, "the server never became ready"
                time.sleep(0.05)
            yield process, client
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        process.stdout.close()


def shelve(client: httpx.Client) -> None:
    items = [{"id": f"b{number}", "title": f"Book {number}", "rating": number} for number in range(30)]
    assert client.put("/v1/books/items", json=items).status_code == 200


def test_a_server_computes_in_one_thread_unless_it_is_told_otherwise(config, monkeypatch):
    def threads(workers: int) -> str:
        with server(config, workers=workers) as (_, client):
            answer = client.get("/v1/books/recommendations/ann?threads=yes")
            return answer.json()["degraded"][0]["reason"]

    assert "threads: 1" in threads(1)
    assert "threads: 1" in threads(2)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    assert "threads: 2" in threads(1)


def digests(client: httpx.Client) -> dict[str, str]:
    (books,) = client.get("/v1/domains").json()["domains"]
    return {policy["name"]: policy["state"] for policy in books["policies"]}


def folded_anew(config: Path) -> dict[str, str]:
    """The digests of a process that forgets every checkpoint and folds the whole log."""

    async def fold() -> dict[str, str]:
        async with Orchestrator(load(config), follow=False) as orchestrator:
            for fold in orchestrator.folds.values():
                fold.forget()
            orchestrator.learner.position = 0
            orchestrator.learn()
            assert all(fold.outcomes > 0 for fold in orchestrator.folds.values()), (
                "there was something to learn"
            )
            policies = orchestrator.agents["books"].policies
            return {name: state_digest(policy.state()) for name, policy in policies.items()}

    return asyncio.run(fold())


def test_a_killed_server_loses_nothing_that_it_acknowledged(config):
    """kill -9 in the midst of it: all acknowledged ids are there, and what was learned is the fold of the log.

    A promotion on the way is part of the log as well.
    """
    acknowledged: list[str] = []
    first: list[dict[str, object]] = []
    with server(config) as (process, client):
        shelve(client)

        def send(user: str) -> None:
            with httpx.Client(base_url=client.base_url, timeout=10) as own:
                try:
                    for number in range(100_000):
                        slate = own.get(f"/v1/books/recommendations/{user}").json()
                        item = slate["items"][number % 5]["id"]
                        sent = {
                            "id": f"{user}-{number}",
                            "domain": "books",
                            "user": user,
                            "item": item,
                            "kind": "finish" if number % 3 else "open",
                            "slate": slate["slate"],
                        }
                        if own.post("/v1/interactions", json=sent).status_code == 201:
                            acknowledged.append(sent["id"])
                            first.append(sent)
                except httpx.TransportError:
                    return  # it was killed

        threads = [threading.Thread(target=send, args=(user,)) for user in ("ann", "bob", "cem")]
        for thread in threads:
            thread.start()
        until = time.monotonic() + 90
        for count, step in ((20, ""), (40, "/1/promote"), (60, None)):
            while len(acknowledged) < count and time.monotonic() < until:
                time.sleep(0.01)
            if step is not None:
                path = f"/v1/books/policies/taste/versions{step}"
                assert client.post(path, json={}).status_code in (200, 201)
        os.kill(process.pid, signal.SIGKILL)
        for thread in threads:
            thread.join()
        process.wait()
    assert len(acknowledged) >= 60

    with server(config) as (_, client):
        stored = set()
        for user in ("ann", "bob", "cem"):
            before = ""
            while True:
                page = client.get(f"/v1/users/{user}/interactions?limit=1000{before}").json()
                stored |= {one["id"] for one in page["interactions"]}
                if page["next"] is None:
                    break
                before = f"&before={page['next']}"
        assert set(acknowledged) <= stored
        assert len(stored) - len(acknowledged) <= 3, "at most what each client had under way"
        assert client.post("/v1/interactions", json=first[0]).json()["status"] == "duplicate"
        ready = client.get("/readyz").json()
        assert ready["lag"] == 0
        after_restart = digests(client)
        active = [
            each["active"] for each in client.get("/v1/books/policies/taste/versions").json()["versions"]
        ]
        assert active == [False, True]
    assert after_restart == folded_anew(config)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_server_finishes_what_it_began(config, number):
    with server(config) as (process, client):
        shelve(client)
        answers: list[httpx.Response] = []
        path = f"{client.base_url}/v1/books/recommendations/ann?slow=true"
        thread = threading.Thread(target=lambda: answers.append(httpx.get(path, timeout=60)))
        thread.start()
        until = time.monotonic() + 60
        while not config.with_name("slow").exists():
            assert time.monotonic() < until, "the request never came"
            time.sleep(0.01)
        process.send_signal(number)
        thread.join()
        process.wait(60)
        assert answers[0].status_code == 200
        slate = answers[0].json()
        assert len(slate["items"]) == 5
        assert slate["degraded"] == []
    with server(config) as (_, client):
        assert client.get(f"/v1/slates/{slate['slate']}").status_code == 200


def test_several_workers_answer_from_one_log(config):
    with server(config, workers=2) as (_, client):
        shelve(client)
        answers = []
        for number in range(20):
            with httpx.Client(base_url=client.base_url) as own:  # a new connection: any of the workers
                receipt = own.post(
                    "/v1/interactions",
                    json={"domain": "books", "user": "ann", "item": f"b{number}", "kind": "finish"},
                )
                answers.append(receipt.status_code)
        assert answers == [201] * 20
        until = time.monotonic() + 20
        states = set()
        while time.monotonic() < until:
            with httpx.Client(base_url=client.base_url) as own:
                found = own.get("/v1/domains").json()
            if found["domains"][0]["position"] == found["log"]:
                states.add(tuple(digests(client).items()))
            if len(client.get("/v1/users/ann/interactions").json()["interactions"]) == 20 and states:
                break
        assert len(states) == 1


def test_ten_megabytes_over_a_real_connection(config):
    with server(config) as (_, client):
        body = b"x" * 10_000_000
        answer = client.post("/v1/interactions", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 413

        def chunks() -> Iterator[bytes]:
            for _ in range(100):
                yield b"x" * 100_000

        answer = client.post(
            "/v1/interactions", content=chunks(), headers={"content-type": "application/json"}
        )
        assert answer.status_code == 413
        assert client.get("/readyz").status_code == 200


def test_workers_do_not_outlive_who_started_them(config):
    with server(config, workers=2) as (process, client):
        process.kill()
        process.wait()
        port, until = client.base_url.port, time.monotonic() + 60
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)):
                    return
            assert time.monotonic() < until, "the workers go on without the process that started them"
            time.sleep(0.1)


def refusal(config: Path, port: int, host: str = "127.0.0.1", workers: int = 1) -> str:
    command = [sys.executable, str(PROGRAM), str(config), str(port), str(workers), host]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.strip()


def test_a_port_in_use_is_told_in_one_line(config):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refusal(config, port)
    assert said.startswith(f"port {port} of 127.0.0.1 is in use")
    assert "\n" not in said


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_others_are_not_let_in_without_a_key(config, host):
    said = refusal(config, 0, host)
    assert "api.keys" in said
    assert "\n" not in said


@pytest.mark.parametrize("workers", [1, 2])
def test_a_store_that_cannot_be_opened_is_told_in_one_line(config, workers):
    config.with_name("books.db").write_bytes(b"this is no database" * 100)
    said = refusal(config, 0, workers=workers)
    assert "books.db" in said.splitlines()[-1]


def test_a_host_that_is_none(config):
    assert "no address to listen on" in refusal(config, 0, "host.invalid")
