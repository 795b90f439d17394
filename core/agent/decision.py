"""One decision: the way of a request through sources, filters, scorers and policies to its slate."""

import math
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from typing import Any

import anyio
import numpy as np
from numpy.typing import NDArray

from ..candidates import Candidates
from ..catalog.catalog import Catalog
from ..context import Context, Request
from ..service.redaction import redacted
from ..slate import Degradation, Pick
from .answer import fates_of_others, memos_of_picks, picks
from .composition import Composition
from .proposals import Rubbish, merged, parted, proposed_rows
from .selection import Odds, Rules, Selection, select, shortlist
from .steps import Deadline, Failed, Guard, reason

Floats = NDArray[np.float64]
Fates = dict[str, dict[str, Any]]
Adopt = Callable[[str, Sequence[Mapping[str, Any]], str], Awaitable[list[str]]]
"""Keeps raw items of a domain that came from an origin; their ids."""

FROM_CATALOG = "catalogue"
"""The source that is named for items which no source proposed: they fill up from the catalogue at large."""

_LARGEST = 1e100
"""Scores beyond it are no numbers to reckon with: sums of them would be infinite."""
_FILL_UP = 500
_NEAREST = 4
"""How many items stay for each place of a slate, where nothing meets a wish: caps and taste need a choice."""
_MOST_LOGGED = 1000
"""Of what one step proposed."""
_PATIENCE = 20
"""How many times its deadline a slate may take that is decided again: a step that is left out would change it."""
_SHARE_OF_OTHERS, _LONGEST_OF_OTHERS = 0.4, 0.25
"""How much of the time is kept from the sources, and at most how many seconds: a filter that gets none drops all."""


class Decision:
    """One request on its way. `decide` runs it; then the attributes hold what came of it.

    knobs: turned so, without asking the policies that tune; None asks them.
    recalled: for a slate that is decided again, its `proposed`: whatever holds a connector proposes that, and no
    service is asked anything.
    afresh: a seed from which policies rank, where it shall not be the request's own.

    picks, memo: of the slate; degraded: what failed on the way; considered: how many candidates were proposed;
    removed: by filter, how many it dropped; fates: with a trace, what became of those that aren't in the slate;
    proposed: by step that holds a connector, the ids of what it proposed, the first ones where there are many.
    """

    def __init__(
        self,
        composition: Composition,
        context: Context,
        request: Request,
        catalog: Catalog,
        adopt: Adopt | None,
        *,
        knobs: Mapping[str, Any] | None = None,
        afresh: int | None = None,
        recalled: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.picks: list[Pick] = []
        self.memo: dict[str, dict[str, Any]] = {}
        self.degraded: list[Degradation] = []
        self.considered = 0
        self.removed: dict[str, int] = {}
        self.fates: Fates = {}
        self.proposed: dict[str, list[str]] = {}
        self._composition = composition
        self._context = context
        self._request = request
        self._catalog = catalog
        self._adopt = adopt
        self._knobs, self._afresh, self._recalled = knobs, afresh, recalled
        self._pool: NDArray[np.intp] = np.empty(0, dtype=np.intp)
        self._odds: Odds | None = None
        seconds = composition.plan.slate.deadline_ms / 1000 * (1 if recalled is None else _PATIENCE)
        self._deadline = Deadline(seconds)
        self._proposals_due = Deadline(seconds - min(_SHARE_OF_OTHERS * seconds, _LONGEST_OF_OTHERS))

    async def decide(self) -> None:
        """Go the whole way. Never raises for what a component does."""
        await self.perceive()
        if self._knobs:
            self._turn(self._knobs)
        elif self._knobs is None and self._composition.tuners:
            await self._tune()
        composition, context = self._composition, self._context
        proposed = await self._propose()
        context.catalog = proposed.catalog
        self.considered = len(proposed)
        candidates = await self._filter(proposed)
        await self._score(candidates)
        rules = composition.rules(context.size)
        length = math.ceil(composition.plan.slate.shortlist * rules.size)
        order = shortlist(candidates.score, max(rules.explore_pool, length))
        head = candidates.take(order[:length])
        if self._afresh is not None:
            context.reseed(self._afresh)
        ranked, arrays, parts = await self._rank(head)
        listed = order[: len(head)]
        order, selection = self._select(candidates, order, ranked, rules)
        self._pool, self._odds = candidates.rows[order], selection.odds
        self.picks = picks(candidates, order, selection, parts, [*composition.source_names, FROM_CATALOG])
        if arrays:
            beyond = np.setdiff1d(selection.chosen, listed)
            await self._remember(candidates.take(beyond), arrays)
            listed = np.concatenate((listed, beyond))
        self.memo = memos_of_picks(context.memos, arrays, listed, selection)
        self.degraded += self._lacking()
        if self._request.trace:
            self.fates.update(fates_of_others(candidates, order, selection))

    def _lacking(self) -> list[Degradation]:
        """What components that gave an answer say is missing from it."""
        secrets = [each.get_secret_value() for each in self._context.credentials.values()]
        return [
            Degradation(name, redacted(f"in part: {' '.join(why.split())[:300]}", secrets))
            for name, why in self._context.missing
        ]

    async def perceive(self) -> None:
        """Lay what policies know of the user over the profile, in their order."""
        context = self._context
        for guard in self._composition.perceivers:
            try:
                known = await self._call(guard)
            except Failed:
                continue
            if isinstance(known, Mapping):
                context.profile = {**context.profile, **known}
            else:
                guard.failed(
                    self.degraded, f"returned {type(known).__name__}, not a mapping of what it knows"
                )

    @property
    def draws(self) -> int:
        """From how many draws of the policies' scores its propensities were counted; 1 where nothing was drawn."""
        return 1 if self._odds is None else self._odds.draws

    def propensities(self, items: Sequence[str]) -> Floats:
        """The probability that each of some items stands at its position, the first one at the top; shape (n,).

        For the picks, those that are logged. 0 for an item that could not come into the slate.
        """
        if self._odds is None or not len(self._pool):
            return np.zeros(len(items))
        found = self._context.catalog.rows(items)[:, None] == self._pool
        return self._odds.of(np.where(found.any(axis=1), found.argmax(axis=1), -1))

    async def _call(self, guard: Guard, *arguments: Any, due: Deadline | None = None) -> Any:
        """What a component gives for this request. Raises Failed."""
        if self._recalled is not None and guard.asks:
            why = "left out: services are asked for the requests of users alone"
            self.degraded.append(Degradation(guard.name, why))
            raise Failed(why)
        if guard.in_place:  # nothing else runs meanwhile: it can have the request's own context
            context = self._context
            context.step = guard.name
        else:
            context = self._context.bind(guard.name)
        return await guard.run(due or self._deadline, self.degraded, context, *arguments)

    async def _tune(self) -> None:
        """Set the knobs as the policies want them, and go on with the composition that they make."""
        knobs: dict[str, Any] = {}
        turned = self._composition
        for guard in self._composition.tuners:
            try:
                wanted = await self._call(guard)
            except Failed:
                continue
            if not isinstance(wanted, Mapping):
                guard.failed(self.degraded, f"returned {type(wanted).__name__}, not a mapping of knobs")
                continue
            try:
                turned = self._composition.turned({**knobs, **wanted}) if wanted else turned
            except Exception as error:
                self.degraded.append(Degradation("knobs", reason(error)))
                # What it noted is of a slate that isn't made: nothing may be learned from that.
                self._context.memos.pop(guard.name, None)
                continue
            knobs.update(wanted)
        if knobs:
            self._composition, self._context.knobs = turned, knobs

    def _turn(self, knobs: Mapping[str, Any]) -> None:
        """Go on with the composition that given knobs make."""
        try:
            self._composition = self._composition.turned(knobs)
            self._context.knobs = knobs
        except Exception as error:
            self.degraded.append(Degradation("knobs", reason(error)))

    async def _propose(self) -> Candidates:
        """What the sources propose, all at once, merged."""
        sources = self._composition.sources
        answers: list[Any] = [()] * len(sources)

        async def ask(place: int, guard: Guard) -> None:
            if self._recalled is not None and guard.connectors:
                return
            try:
                answer = await self._call(guard, due=self._proposals_due)
                answers[place], items = parted(answer)
                if items:
                    answers[place] = [*answers[place], *await self._adopted(items, guard)]
            except Failed:
                return
            except Rubbish as rubbish:
                guard.failed(self.degraded, str(rubbish))

        if self._composition.waits:
            async with anyio.create_task_group() as group:
                for place, guard in enumerate(sources):
                    if not guard.in_place:
                        group.start_soon(ask, place, guard)
                for place, guard in enumerate(sources):
                    if guard.in_place:
                        await ask(place, guard)
        else:
            for place, guard in enumerate(sources):
                await ask(place, guard)

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
                guard.failed(self.degraded, str(rubbish))
                rows.append(np.empty(0, dtype=np.intp))
            if guard.connectors and len(rows[-1]):
                self.proposed[guard.name] = catalog.ids[rows[-1][:_MOST_LOGGED]].tolist()
        return merged(catalog, rows)

    async def _adopted(self, items: Sequence[Mapping[str, Any]], guard: Guard) -> list[str]:
        if self._adopt is None:
            raise guard.failed(self.degraded, "returned items, and there is no store to keep them in")
        try:
            with anyio.fail_after(max(self._proposals_due.left(), 0)):
                return await self._adopt(self._context.domain, items, guard.origin)
        except TimeoutError:
            raise guard.failed(self.degraded, "its items could not be stored in time") from None
        except Exception as error:
            raise guard.failed(self.degraded, reason(error), error) from None

    async def _filter(self, proposed: Candidates) -> Candidates:
        """What the filters leave; where that is too little, they are asked about more of the catalogue.

        Where it is nothing, they are asked about all of it, and wishes that nothing meets are lifted.
        """
        filters = self._composition.filters
        kept = await self._kept(proposed, filters)
        live = len(proposed.catalog.live)
        wider = proposed
        if len(kept) < self._context.size and len(proposed) < live:
            wider = self._widened(proposed, self._enough)
            kept = await self._kept(wider, filters, again=True)
            if len(proposed) == 0:
                self.degraded.append(
                    Degradation("sources", "none proposed anything: filled from the catalogue")
                )
        if len(kept) == 0 and (len(wider) < live or any(guard.soft for guard in filters)):
            kept = await self._relaxed(proposed, self._widened(proposed, live))
        if len(kept) == 0:
            dropped = ", ".join(f"{name} dropped {count}" for name, count in self.removed.items())
            why = f"nothing passed: {dropped}" if live else "the catalogue is empty"
            self.degraded.append(Degradation("slate", why))
        return kept

    async def _relaxed(self, proposed: Candidates, everything: Candidates) -> Candidates:
        """What the rules leave of the whole catalogue, and of that what the wishes leave, in their order.

        A wish that would leave nothing leaves what is nearest to it instead, so that earlier wishes hold before later
        ones. Of very many items those that were proposed stay, and others by chance.
        """
        filters = self._composition.filters
        kept = await self._kept(everything, [guard for guard in filters if not guard.soft], again=True)
        noted, known = len(self.degraded), {entry.component for entry in self.degraded}
        lifted = []
        for guard in filters:
            if not guard.soft or len(kept) == 0:
                continue
            told, count = len(self.degraded), len(kept)
            keep = await self._keep(guard, kept)
            if not keep.any():
                if (
                    len(self.degraded) > told
                ):  # it failed: that is named, and whether something meets it isn't known
                    continue
                keep = await self._nearest(guard, kept)
                left = int(np.count_nonzero(keep))
                stay = f"the nearest {left} of them stay" if left < count else "all of them stay"
                lifted.append(Degradation(guard.name, f"lifted: none of {count} items meets it; {stay}"))
            kept = self._without(kept, keep, guard.name)
        self._forget_repeated(noted, known)
        self.degraded += lifted
        most = max(self._enough, len(proposed))
        if len(kept) > most:
            self._context.step = "fill up"
            chance = self._context.rng.random(len(kept))
            chance[np.isin(kept.rows, proposed.rows)] = -1.0
            kept = kept.take(np.sort(np.argpartition(chance, most)[:most]))
        return kept

    async def _nearest(self, guard: Guard, candidates: Candidates) -> NDArray[np.bool_]:
        """The candidates that are nearest to what a wish asks for, some for each place, and those just as near."""
        count = _NEAREST * self._context.size
        everything = np.ones(len(candidates), dtype=bool)
        if guard.distance is None or len(candidates) <= count:
            return everything
        distance = await self._scores(guard.distance, candidates)
        if distance is None:
            return everything
        last = np.partition(distance, count - 1)[count - 1]
        near: NDArray[np.bool_] = distance <= last
        return near

    @property
    def _enough(self) -> int:
        """Into how many candidates the catalogue at large fills up."""
        return max(_FILL_UP, _NEAREST * self._context.size)

    def _forget_repeated(self, noted: int, known: Container[str]) -> None:
        """Of the degradations from a place on, forget those of components that had failed before."""
        self.degraded[noted:] = [entry for entry in self.degraded[noted:] if entry.component not in known]

    def _widened(self, proposed: Candidates, count: int) -> Candidates:
        """The proposed candidates and some more from the catalogue at large, drawn evenly."""
        live = proposed.catalog.live
        more = live
        if count < len(live):
            self._context.step = "fill up"
            more = live[self._context.rng.choice(len(live), count, replace=False)]
        fresh = np.setdiff1d(more, proposed.rows)
        bit = np.uint64(1 << len(self._composition.sources))
        return Candidates(
            proposed.catalog,
            np.concatenate((proposed.rows, fresh)),
            origin=np.concatenate((proposed.origin, np.full(len(fresh), bit))),
        )

    async def _kept(
        self, candidates: Candidates, filters: Sequence[Guard], *, again: bool = False
    ) -> Candidates:
        """The candidates that pass all filters. Asked again, what failed before is not noted twice."""
        noted = len(self.degraded)
        known = {entry.component for entry in self.degraded} if again else set()
        self.removed, self.fates = {}, {}
        if self._request.exclude:
            excluded = candidates.catalog.rows(self._request.exclude)
            candidates = self._without(candidates, ~np.isin(candidates.rows, excluded), "exclude")
        for guard in filters:
            if len(candidates) == 0:
                break
            candidates = self._without(candidates, await self._keep(guard, candidates), guard.name)
        self._forget_repeated(noted, known)
        return candidates

    async def _keep(self, guard: Guard, candidates: Candidates) -> NDArray[np.bool_]:
        try:
            keep = await self._call(guard, candidates)
            if isinstance(keep, np.ndarray) and keep.dtype == np.bool_ and keep.shape == (len(candidates),):
                return keep
            guard.failed(self.degraded, _unfit(keep, f"a bool array of shape ({len(candidates)},)"))
        except Failed:
            pass
        return np.full(len(candidates), guard.on_error == "ignore")

    def _without(self, candidates: Candidates, keep: NDArray[np.bool_], name: str) -> Candidates:
        """The candidates that stay; those that go are counted and, with a trace, named."""
        gone = len(keep) - int(np.count_nonzero(keep))
        if not gone:
            return candidates
        self.removed[name] = self.removed.get(name, 0) + gone
        if self._request.trace:
            self.fates.update((identity, {"dropped_by": name}) for identity in candidates.ids[~keep].tolist())
        return candidates.take(keep)

    async def _score(self, candidates: Candidates) -> None:
        """Fill in the candidates' `scores` and `score`."""
        if len(candidates) == 0:
            return
        for guard in self._composition.scorers:
            score = await self._scores(guard, candidates)
            if score is not None:
                candidates.scores[guard.label] = score
                candidates.score = candidates.score + score

    async def _rank(
        self, head: Candidates
    ) -> tuple[Floats, dict[str, dict[str, NDArray[Any]]], dict[str, Floats]]:
        """Total scores of the shortlist, shape (draws, m); by policy its memo arrays and its part of draw 0."""
        total = head.score[None, :]
        memos: dict[str, dict[str, NDArray[Any]]] = {}
        parts: dict[str, Floats] = {}
        if len(head) == 0:
            return total, memos, parts
        for guard in self._composition.rankers:
            head.memo = {}
            score = await self._scores(guard, head, draws=True)
            if score is not None:
                score = np.atleast_2d(score)
                parts[guard.label] = score[0]
                if head.memo:
                    memos[guard.label] = self._memo_arrays(guard, head)
                total = total + score
        return total, memos, parts

    async def _remember(self, beyond: Candidates, memos: dict[str, dict[str, NDArray[Any]]]) -> None:
        """Complete the memos by what policies note of items that were chosen from beyond the shortlist."""
        if len(beyond) == 0:
            return
        for guard in self._composition.rankers:
            if guard.label not in memos:
                continue
            beyond.memo = {}
            if await self._scores(guard, beyond, draws=True) is None:
                continue
            arrays = self._memo_arrays(guard, beyond)
            for key, array in memos[guard.label].items():
                if key in arrays and arrays[key].shape[1:] == array.shape[1:]:
                    memos[guard.label][key] = np.concatenate((array, arrays[key]))

    def _memo_arrays(self, guard: Guard, head: Candidates) -> dict[str, NDArray[Any]]:
        """What a policy wrote into the memo of the candidates, without what isn't an array of that length."""
        arrays = {}
        for key, value in head.memo.items():
            fits = (
                isinstance(value, np.ndarray)
                and value.dtype.kind in "fiubU"
                and value.shape[:1] == (len(head),)
            )
            if fits:
                arrays[key] = value
            else:
                wanted = f"numbers or texts in an array whose first axis is {len(head)}"
                guard.failed(self.degraded, f"memo {key!r}: {_unfit(value, wanted)}")
        return arrays

    async def _scores(self, guard: Guard, candidates: Candidates, *, draws: bool = False) -> Floats | None:
        """A component's weighted scores: 0 where they aren't finite, None where they can't be used."""
        try:
            raw = await self._call(guard, candidates)
        except Failed:
            return None
        shape = (len(candidates),)
        fits = isinstance(raw, np.ndarray) and raw.dtype.kind in "fiub" and raw.shape[-1:] == shape
        if not fits or not (
            raw.ndim == 1 or (draws and raw.ndim == 2 and len(raw) in (1, self._context.draws))
        ):
            guard.failed(self.degraded, _unfit(raw, f"numbers of shape {shape}"))
            return None
        with np.errstate(over="ignore", invalid="ignore"):
            score: Floats = raw * np.float64(guard.weight)
            sound = np.abs(score).max() <= _LARGEST
        if not sound:
            finite = np.abs(score) <= _LARGEST
            guard.failed(self.degraded, f"{int((~finite).sum())} of its scores were not finite: taken as 0")
            score = np.where(finite, score, 0.0)
        return score

    def _select(
        self, candidates: Candidates, order: NDArray[np.intp], ranked: Floats, rules: Rules
    ) -> tuple[NDArray[np.intp], Selection]:
        """The slate, and the order of the pool that it was chosen from."""
        context = self._context
        context.step = "slate"
        selection = select(candidates, order, ranked, rules, context.rng)
        if selection.over_cap and len(order) < len(candidates):
            # The pool was too small for the caps: choose from everything.
            order = shortlist(candidates.score, len(candidates))
            context.step = "slate again"
            selection = select(candidates, order, ranked, rules, context.rng)
        if selection.over_cap:
            why = f"{selection.over_cap} items stand beyond a cap: nothing else was left"
            self.degraded.append(Degradation("slate.max_per", why))
        return order, selection


def _unfit(value: Any, wanted: str) -> str:
    shown = f"{value.dtype} of shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
    return f"returned {shown}, not {wanted}"
