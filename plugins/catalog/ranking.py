"""Ranking: the best of many values, how much people liked each item, and several rankings made one."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ...core import Candidates, CatalogSnapshot, Context

T = TypeVar("T")

Values = NDArray[np.float64]

_DOUBT = 10.0
"""Outcomes of no reward that every item is taken to have had, so that one lucky click proves little."""


def best(values: NDArray[np.floating], limit: int) -> NDArray[np.intp]:
    """The positions of the `limit` largest values, largest first, equal ones in their order, NaN last."""
    falling = np.where(np.isnan(values), np.inf, -values)
    if limit >= len(falling):
        return np.argsort(falling, kind="stable")
    last = np.partition(falling, limit - 1)[limit - 1]
    better = np.flatnonzero(falling < last)
    equal = np.flatnonzero(falling == last)[: limit - len(better)]
    return np.concatenate((better[np.argsort(falling[better], kind="stable")], equal))


def liking(context: Context, candidates: Candidates) -> Values:
    """How much people liked each candidate: the sum of its rewards / (its outcomes + 10), shape (n,).

    0 for an item that nobody has tried.
    """
    feedback = context.feedback
    return feedback.reward(candidates) / (feedback.count(candidates) + _DOUBT)


def liking_of_all(context: Context) -> Values:
    """`liking` of every live row of the catalogue, in the order of `context.catalog.live`."""
    catalog = context.catalog
    return context.cached("catalog: liking", lambda: liking(context, Candidates(catalog, catalog.live)))


def numbers_of_all(catalog: CatalogSnapshot, field: str) -> NDArray[np.floating]:
    """A number or time field of every live row, in the order of `catalog.live`."""
    column: NDArray[np.floating] = catalog.column(field)
    return column[catalog.live]


def in_turn(lists: Iterable[Sequence[T]]) -> list[T]:
    """The first of each list, then the second of each, and so on.

    >>> in_turn(["abc", "x", "12"])
    ['a', 'x', '1', 'b', '2', 'c']
    """
    lists = list(lists)
    longest = max(map(len, lists), default=0)
    return [each[place] for place in range(longest) for each in lists if place < len(each)]
