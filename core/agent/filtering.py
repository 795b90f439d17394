"""From what was proposed to what the filters leave of it, or of the catalogue where that is too little."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..candidates import Candidates
from ..context import Request
from ..slate import Degradation
from .calls import Calls, Mask
from .steps import Guard

_FILL_UP = 500
_NEAREST = 4
"""How many items stay for each place of a slate, where nothing meets a wish: caps and taste need a choice."""


class Filtering:
    """The way of one decision's candidates through its filters.

    unproposed: the bit of `origin` for candidates that no source proposed.

    removed: by filter, how many it dropped; fates: with a trace, by item, which filter dropped it. Both are of the
    last time that filters were asked.
    """

    def __init__(self, calls: Calls, request: Request, filters: Sequence[Guard], unproposed: int) -> None:
        self.removed: dict[str, int] = {}
        self.fates: dict[str, dict[str, Any]] = {}
        self._calls = calls
        self._context = calls.context
        self._request = request
        self._filters = filters
        self._unproposed = np.uint64(unproposed)

    async def left(self, proposed: Candidates) -> Candidates:
        """What the filters leave; where that is too little, they are asked about more of the catalogue.

        Where it is nothing, they are asked about all of it, and wishes that nothing meets are lifted.
        """
        calls, live = self._calls, len(proposed.catalog.live)
        kept = await self._kept(proposed, self._filters)
        wider = proposed
        if len(kept) < self._context.size and len(proposed) < live:
            wider = self._widened(proposed, self._enough)
            with calls.again():
                kept = await self._kept(wider, self._filters)
            if len(proposed) == 0:
                calls.note("sources", "none proposed anything: filled from the catalogue")
        if len(kept) == 0 and (len(wider) < live or any(guard.soft for guard in self._filters)):
            with calls.again():
                kept, lifted = await self._relaxed(self._widened(proposed, live))
            calls.degraded += lifted
            kept = self._thinned(kept, proposed)
        if len(kept) == 0:
            dropped = ", ".join(f"{name} dropped {count}" for name, count in self.removed.items())
            calls.note("slate", f"nothing passed: {dropped}" if live else "the catalogue is empty")
        return kept

    async def _kept(self, candidates: Candidates, filters: Sequence[Guard]) -> Candidates:
        """The candidates that pass all of some filters."""
        self.removed, self.fates = {}, {}
        if self._request.exclude:
            excluded = candidates.catalog.rows(self._request.exclude)
            candidates = self._without(candidates, ~np.isin(candidates.rows, excluded), "exclude")
        for guard in filters:
            if len(candidates) == 0:
                break
            keep = await self._calls.mask(guard, candidates)
            if keep is None:
                keep = np.full(len(candidates), guard.on_error == "ignore")
            candidates = self._without(candidates, keep, guard.name)
        return candidates

    async def _relaxed(self, everything: Candidates) -> tuple[Candidates, list[Degradation]]:
        """What the rules leave of the whole catalogue, and of that what the wishes leave, in their order.

        A wish that would leave nothing leaves what is nearest to it instead, so that earlier wishes hold before later
        ones; these wishes are named. One that fails leaves everything: whether something meets it isn't known.
        """
        kept = await self._kept(everything, [guard for guard in self._filters if not guard.soft])
        lifted = []
        for guard in self._filters:
            if not guard.soft or len(kept) == 0:
                continue
            keep = await self._calls.mask(guard, kept)
            if keep is None:
                continue
            if not keep.any():
                keep = await self._nearest(guard, kept)
                count, left = len(kept), int(np.count_nonzero(keep))
                stay = f"the nearest {left} of them stay" if left < count else "all of them stay"
                lifted.append(Degradation(guard.name, f"lifted: none of {count} items meets it; {stay}"))
            kept = self._without(kept, keep, guard.name)
        return kept, lifted

    async def _nearest(self, guard: Guard, candidates: Candidates) -> Mask:
        """The candidates that are nearest to what a wish asks for, some for each place, and those just as near."""
        count = _NEAREST * self._context.size
        everything = np.ones(len(candidates), dtype=bool)
        if guard.distance is None or len(candidates) <= count:
            return everything
        distance = await self._calls.scores(guard.distance, candidates)
        if distance is None:
            return everything
        near: Mask = distance <= np.partition(distance, count - 1)[count - 1]
        return near

    @property
    def _enough(self) -> int:
        """Into how many candidates the catalogue at large fills up."""
        return max(_FILL_UP, _NEAREST * self._context.size)

    def _widened(self, proposed: Candidates, count: int) -> Candidates:
        """The proposed candidates and some more from the catalogue at large, drawn evenly."""
        catalog = proposed.catalog
        more = live = catalog.live
        if count < len(live):
            self._context.step = "fill up"
            more = live[self._context.rng.choice(len(live), count, replace=False)]
        added = np.zeros(len(catalog), dtype=bool)
        added[more] = True
        added[proposed.rows] = False
        fresh = np.flatnonzero(added)
        return Candidates(
            catalog,
            np.concatenate((proposed.rows, fresh)),
            origin=np.concatenate((proposed.origin, np.full(len(fresh), self._unproposed))),
        )

    def _thinned(self, candidates: Candidates, proposed: Candidates) -> Candidates:
        """Of very many candidates those that were proposed, and others by chance."""
        most = max(self._enough, len(proposed))
        if len(candidates) <= most:
            return candidates
        self._context.step = "fill up"
        chance = self._context.rng.random(len(candidates))
        chance[np.isin(candidates.rows, proposed.rows)] = -1.0
        return candidates.take(np.sort(np.argpartition(chance, most)[:most]))

    def _without(self, candidates: Candidates, keep: Mask, name: str) -> Candidates:
        """The candidates that stay; those that go are counted and, with a trace, named."""
        gone = len(keep) - int(np.count_nonzero(keep))
        if not gone:
            return candidates
        self.removed[name] = self.removed.get(name, 0) + gone
        if self._request.trace:
            fate = {"dropped_by": name}  # one for all: a catalogue's worth of them would take its time
            dropped = candidates.catalog.ids[candidates.rows[~keep]].tolist()
            self.fates.update(dict.fromkeys(dropped, fate))
        return candidates.take(keep)
