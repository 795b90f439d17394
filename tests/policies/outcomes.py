"""Outcomes drawn for the models of linear policies, and whether two states are the same bit by bit."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def ones(count: int) -> NDArray[np.intp]:
    return np.ones(count, dtype=np.intp)


def seen(count: int) -> NDArray[np.bool_]:
    return np.ones(count, dtype=bool)


def drawn(count: int, width: int, arms: int, seed: int = 0) -> tuple[NDArray[np.intp], Floats, Floats]:
    rng = np.random.default_rng(seed)
    return rng.integers(1, arms + 1, count), rng.normal(size=(count, width)), rng.random(count)


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(one[name].tobytes() == other[name].tobytes() for name in one)
