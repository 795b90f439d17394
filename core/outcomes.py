"""Outcomes: what policies learn from, as one columnar batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Logged slate entries joined with the reward of their interactions, in log order; n of them.

    users, items, slates: ids; the slate's is empty for feedback without one.
    reward: shape (n,). Later interactions on an entry come as their difference, with `first` false.
    total: the reward of the whole entry so far, this outcome included, shape (n,).
    first: true where this is the first outcome of its entry, shape (n,).
    propensity: the logged probability that the item stood at its position; NaN without a slate, shape (n,).
    position: from 0; -1 without a slate, shape (n,).
    time: log time when the outcome was due, seconds since the epoch, shape (n,).
    situations: the logged situation of the request; without a slate, that of the interaction.
    memos: what the learning policy wrote into `candidates.memo` and `context.memo` when it decided, by name;
        empty where there was no slate or the policy took no part.
    kinds: of the interactions that made the outcomes, empty texts where nothing was done; empty where not known.
    """

    users: Sequence[str]
    items: Sequence[str]
    slates: Sequence[str]
    reward: NDArray[np.float64]
    total: NDArray[np.float64]
    first: NDArray[np.bool_]
    propensity: NDArray[np.float64]
    position: NDArray[np.int32]
    time: NDArray[np.float64]
    situations: Sequence[Mapping[str, Any]]
    memos: Sequence[Mapping[str, Any]]
    kinds: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.items)
