"""Rows: what a bench measured, one figure beside another of the same run."""

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray


class Row(TypedDict):
    """One figure. ratio: ours / baseline; baseline and ratio are None where there is nothing to stand beside."""

    name: str
    ours: float
    baseline: float | None
    unit: str
    ratio: float | None
    note: str


def row(name: str, ours: float, baseline: float | None, unit: str, note: str = "") -> Row:
    ratio = None if not baseline else ours / baseline
    return {"name": name, "ours": ours, "baseline": baseline, "unit": unit, "ratio": ratio, "note": note}


def latencies(name: str, ours: Sequence[float], baseline: Sequence[float], note: str = "") -> list[Row]:
    """The median and the 99th percentile of seconds, in milliseconds."""
    mine, theirs = np.array(ours) * 1e3, np.array(baseline) * 1e3
    return [
        row(
            f"{name}, p{share}",
            float(np.percentile(mine, share)),
            float(np.percentile(theirs, share)) if len(theirs) else None,
            "ms",
            note if share == 50 else "",
        )
        for share in (50, 99)
    ]


def in_turns(
    calls: Sequence[Callable[[int], object]],
    rounds: int,
    each: int | Sequence[int],
    clock: Callable[[], float] = perf_counter,
) -> list[list[float]]:
    """Seconds of every call, by callable: all take turns, so that none has the quiet hour.

    each: calls at a turn. A callable is given a number that is the same for all in the same place of the run. What it
    costs to look at the clock is taken off.
    """
    many = [each] * len(calls) if isinstance(each, int) else each
    empty = [clock() for _ in range(1_001)]
    look = float(np.median(np.diff(empty)))
    spent: list[list[float]] = [[] for _ in calls]
    for turn in range(rounds):
        for call, seconds, count in zip(calls, spent, many, strict=True):
            for number in range(turn * count, (turn + 1) * count):
                started = clock()
                call(number)
                seconds.append(clock() - started - look)
    return spent


def medians(
    calls: Sequence[Callable[[int], object]], rounds: int, clock: Callable[[], float] = perf_counter
) -> list[float]:
    """The median seconds of each callable over turns of one call; one further call before is not counted."""
    spent = in_turns(calls, rounds + 1, 1, clock)
    return [float(np.median(seconds[1:])) for seconds in spent]


def resident() -> int:
    """Bytes of this process in memory."""
    with open("/proc/self/status") as status:
        return next(1024 * int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


Floats = NDArray[np.float64]
