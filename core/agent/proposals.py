"""From what sources propose to one batch of candidates."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..candidates import Candidates
from ..catalog.catalog import CatalogSnapshot

Ints = NDArray[np.intp]


class Rubbish(Exception):
    """A component returned something that its contract doesn't allow."""


def parted(proposal: Any) -> tuple[Any, list[Mapping[str, Any]]]:
    """A proposal without its raw items, and these. Raises Rubbish."""
    if not isinstance(proposal, Sequence) or isinstance(proposal, str | bytes):
        return proposal, []
    items = [each for each in proposal if isinstance(each, Mapping)]
    if not items:
        return proposal, items
    ids = [each for each in proposal if isinstance(each, str)]
    if len(ids) + len(items) < len(proposal):
        raise Rubbish("returned items mixed with something else than ids")
    return ids, items


def proposed_rows(proposal: Any, catalog: CatalogSnapshot) -> Ints:
    """The rows that a proposal names, without those that aren't in the catalogue. Raises Rubbish."""
    if isinstance(proposal, np.ndarray):
        if proposal.ndim != 1 or (len(proposal) and proposal.dtype.kind not in "iu"):
            raise Rubbish(f"returned an array of {proposal.dtype} with shape {proposal.shape}, not rows (n,)")
        rows = proposal.astype(np.intp, copy=False)
        if len(rows) and (rows.min() < 0 or rows.max() >= len(catalog)):
            rows = rows[(rows >= 0) & (rows < len(catalog))]
        if len(proposal) and not len(rows):
            raise Rubbish(f"returned {len(proposal)} rows, none of which the catalogue has")
        alive = catalog.alive[rows]
        return rows if alive.all() else rows[alive]
    if isinstance(proposal, Sequence) and not isinstance(proposal, str | bytes):
        if not all(isinstance(identity, str) for identity in proposal):
            strange = next(type(identity).__name__ for identity in proposal if not isinstance(identity, str))
            raise Rubbish(f"returned a list with {strange} in it, not ids")
        rows = catalog.rows(proposal)
        rows = rows[rows >= 0]
        if len(proposal) and not len(rows):
            raise Rubbish(f"returned {len(proposal)} ids, none of which the catalogue has")
        return rows
    raise Rubbish(f"returned {type(proposal).__name__}, not rows, ids or items")


def merged(catalog: CatalogSnapshot, proposals: Sequence[Ints]) -> Candidates:
    """All proposed rows once, ascending, with bit s of `origin` set where proposal s had it.

    The order of the rows doesn't depend on which source answered first.
    """
    if len(proposals) == 1:
        rows = np.unique(proposals[0])
        return Candidates(catalog, rows, origin=np.ones(len(rows), dtype=np.uint64))
    everything = np.concatenate(proposals) if proposals else np.empty(0, dtype=np.intp)
    if len(everything) == 0:
        return Candidates(catalog, everything)
    # Row and source in one number, so that one plain sort orders both.
    sources = np.repeat(np.arange(len(proposals)), [len(rows) for rows in proposals])
    packed = np.sort(everything << 6 | sources)
    rows = packed >> 6
    first = np.flatnonzero(np.concatenate(([True], rows[1:] != rows[:-1])))
    bits = np.left_shift(np.uint64(1), (packed & 63).astype(np.uint64))
    return Candidates(catalog, rows[first], origin=np.bitwise_or.reduceat(bits, first))
