"""What sources propose: asked for all at once, made into one batch of candidates."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import anyio
import numpy as np
from numpy.typing import NDArray

from ..candidates import Candidates
from ..catalog.catalog import Catalog, CatalogSnapshot
from .calls import Calls
from .steps import Deadline, Failed, Guard, reason

Ints = NDArray[np.intp]
Adopt = Callable[[str, Sequence[Mapping[str, Any]], str], Awaitable[list[str]]]
"""Keeps raw items of a domain that came from an origin; their ids."""

_MOST_LOGGED = 1000
"""Of what one step proposed."""


class Rubbish(Exception):
    """A component returned something that its contract doesn't allow."""


class Proposing:
    """What the sources of one decision propose.

    due: by when they have to answer.
    recalled: in place of what holds a connector, what the log says that it proposed; None asks it.

    proposed: by step that holds a connector, the ids of what it proposed, the first ones where there are many.
    """

    def __init__(
        self,
        calls: Calls,
        catalog: Catalog,
        adopt: Adopt | None,
        due: Deadline,
        recalled: Mapping[str, Sequence[str]] | None,
    ) -> None:
        self.proposed: dict[str, list[str]] = {}
        self._calls = calls
        self._catalog = catalog
        self._adopt = adopt
        self._due = due
        self._recalled = recalled

    async def candidates(self, sources: Sequence[Guard]) -> Candidates:
        """All that they propose, merged."""
        answers = await self._answers(sources)
        # Items that were just adopted are in a newer snapshot; rows mean the same in both.
        catalog = self._catalog.snapshot()
        rows = []
        for guard, answer in zip(sources, answers, strict=True):
            if self._recalled is not None and guard.connectors:
                known = catalog.rows(self._recalled.get(guard.name, ()))
                rows.append(known[known >= 0])
                continue
            try:
                rows.append(proposed_rows(answer, catalog))
            except Rubbish as rubbish:
                self._calls.failed(guard, str(rubbish))
                rows.append(np.empty(0, dtype=np.intp))
            if guard.connectors and len(rows[-1]):
                self.proposed[guard.name] = catalog.ids[rows[-1][:_MOST_LOGGED]].tolist()
        return merged(catalog, rows)

    async def _answers(self, sources: Sequence[Guard]) -> list[Any]:
        """What each source answers, its raw items adopted; those that wait do so at the same time."""
        answers: list[Any] = [()] * len(sources)

        async def ask(place: int, guard: Guard) -> None:
            if self._recalled is not None and guard.connectors:
                return
            try:
                answer = await self._calls(guard, due=self._due)
                answers[place], items = parted(answer)
                if items:
                    answers[place] = [*answers[place], *await self._adopted(items, guard)]
            except Failed:
                return
            except Rubbish as rubbish:
                self._calls.failed(guard, str(rubbish))

        waiting = [(place, guard) for place, guard in enumerate(sources) if not guard.in_place]
        at_once = [(place, guard) for place, guard in enumerate(sources) if guard.in_place]
        if not waiting:
            for place, guard in at_once:
                await ask(place, guard)
            return answers
        async with anyio.create_task_group() as group:
            for place, guard in waiting:
                group.start_soon(ask, place, guard)
            for place, guard in at_once:
                await ask(place, guard)
        return answers

    async def _adopted(self, items: Sequence[Mapping[str, Any]], guard: Guard) -> list[str]:
        if self._adopt is None:
            raise self._calls.failed(guard, "returned items, and there is no store to keep them in")
        try:
            with anyio.fail_after(max(self._due.left(), 0)):
                return await self._adopt(self._calls.context.domain, items, guard.origin)
        except TimeoutError:
            raise self._calls.failed(guard, "its items could not be stored in time") from None
        except Exception as error:
            raise self._calls.failed(guard, reason(error), error) from None


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
    everything = np.concatenate(proposals) if proposals else np.empty(0, dtype=np.intp)
    if len(everything) == 0:
        return Candidates(catalog, everything)
    if (
        len(proposals) == 1
    ):  # sorted, as np.unique makes a hash table: nine times slower for all of a catalogue
        rows = np.sort(everything)
        rows = rows[_first(rows)]
        return Candidates(catalog, rows, origin=np.ones(len(rows), dtype=np.uint64))
    # Row and source in one number, so that one plain sort orders both.
    sources = np.repeat(np.arange(len(proposals)), [len(rows) for rows in proposals])
    packed = np.sort(everything << 6 | sources)
    rows = packed >> 6
    first = np.flatnonzero(_first(rows))
    bits = np.left_shift(np.uint64(1), (packed & 63).astype(np.uint64))
    return Candidates(catalog, rows[first], origin=np.bitwise_or.reduceat(bits, first))


def _first(rows: Ints) -> NDArray[np.bool_]:
    """Where each of some rows stands for the first time; they are in order, and there are some."""
    first: NDArray[np.bool_] = np.concatenate(([True], rows[1:] != rows[:-1]))
    return first
