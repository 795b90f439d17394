"""All benches, or some: `python -m bench [NAME …] [--quick] [--write]`."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from .report import Measured, show, write
from .rows import Row

BENCHES = (
    "decision",
    "serving",
    "interactions",
    "retrieval",
    "thompson",
    "collaborative",
    "policies",
    "dqn",
    "regret",
    "startup",
    "services",
    "feeds",
    "video",
    "learning",
    "music",
)

LONG = ("regret", "learning", "music")
"""These take the better part of an hour, and run when they are named."""

_ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def main() -> int:
    options = argparse.ArgumentParser(
        prog="python -m bench", description="Measure Tastemaker beside alternatives."
    )
    options.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"which: {', '.join(BENCHES)}; by default all but {', '.join(LONG)}",
    )
    options.add_argument(
        "--quick", action="store_true", help="less of everything: shows that all works, not how fast"
    )
    options.add_argument("--write", action="store_true", help="write the table into bench/README.md")
    options.add_argument("--json", action="store_true", help="run one bench here and print its rows as JSON")
    given = options.parse_args()
    if given.quick and given.write:
        options.error("what a quick run measures is not worth writing down")
    unknown = sorted(set(given.names) - set(BENCHES))
    if unknown:
        options.error(f"no bench is called {unknown[0]!r}; there are {', '.join(BENCHES)}")
    if given.json:
        json.dump(_rows(given.names, given.quick), sys.stdout)
        return 0
    measured: Measured = {}
    for name in given.names or [name for name in BENCHES if given.quick or name not in LONG]:
        print(f"{name} …", file=sys.stderr, flush=True)
        measured[name] = _measured(name, given.quick)
    show(measured, quick=given.quick)
    if given.write:
        write(measured, Path(__file__).with_name("README.md"))
    return 1 if None in measured.values() else 0


def _rows(names: Sequence[str], quick: bool) -> list[Row]:
    if len(names) != 1:
        raise SystemExit("--json takes the name of one bench")
    if names[0] not in ("serving", "services", "learning", "music"):  # which have processes of their own
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    rows: list[Row] = import_module(f"bench.{names[0]}").run(quick)
    return rows


def _measured(name: str, quick: bool) -> list[Row] | None:
    """The rows of a bench, run in a process of its own; None where it failed."""
    command = [sys.executable, "-m", "bench", "--json", name, *(["--quick"] if quick else [])]
    done = subprocess.run(command, env={**os.environ, **_ONE_THREAD}, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        print(f"{name} failed", file=sys.stderr)
        return None
    rows: list[Row] = json.loads(done.stdout)
    return rows


if __name__ == "__main__":
    sys.exit(main())
