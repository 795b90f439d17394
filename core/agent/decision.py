"""One decision: the way of a request through sources, filters, scorers and policies to its slate."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..candidates import Candidates
from ..catalog.catalog import Catalog
from ..context import Context, Request
from ..service.redaction import redacted
from ..slate import Degradation, Pick
from .answer import fates_of_others, memos_of_picks, picks
from .calls import Calls, Floats
from .composition import Composition
from .filtering import Filtering
from .proposals import Adopt, Proposing
from .ranking import rank, remember, score
from .selection import Odds, Rules, Selection, select, shortlist
from .steps import Deadline, Failed, reason

Fates = dict[str, dict[str, Any]]

FROM_CATALOG = "catalogue"
"""The source that is named for items which no source proposed: they fill up from the catalogue at large."""

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
        self.considered = 0
        self.removed: dict[str, int] = {}
        self.fates: Fates = {}
        self.proposed: dict[str, list[str]] = {}
        self._composition = composition
        self._context = context
        self._request = request
        self._knobs, self._afresh = knobs, afresh
        self._pool: NDArray[np.intp] = np.empty(0, dtype=np.intp)
        self._odds: Odds | None = None
        seconds = composition.plan.slate.deadline_ms / 1000 * (1 if recalled is None else _PATIENCE)
        self._calls = Calls(context, Deadline(seconds), services=recalled is None)
        self.degraded: list[Degradation] = self._calls.degraded
        due = Deadline(seconds - min(_SHARE_OF_OTHERS * seconds, _LONGEST_OF_OTHERS))
        self._proposing = Proposing(self._calls, catalog, adopt, due, recalled)

    async def decide(self) -> None:
        """Go the whole way. Never raises for what a component does."""
        await self.perceive()
        if self._knobs:
            self._turn(self._knobs)
        elif self._knobs is None and self._composition.tuners:
            await self._tune()
        await self._choose(await self._candidates())
        self.degraded += self._lacking()

    async def perceive(self) -> None:
        """Lay what policies know of the user over the profile, in their order."""
        context = self._context
        for guard in self._composition.perceivers:
            try:
                known = await self._calls(guard)
            except Failed:
                continue
            if isinstance(known, Mapping):
                context.profile = {**context.profile, **known}
            else:
                self._calls.failed(guard, f"returned {type(known).__name__}, not a mapping of what it knows")

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

    async def _tune(self) -> None:
        """Set the knobs as the policies want them, and go on with the composition that they make."""
        knobs: dict[str, Any] = {}
        turned = self._composition
        for guard in self._composition.tuners:
            try:
                wanted = await self._calls(guard)
            except Failed:
                continue
            if not isinstance(wanted, Mapping):
                self._calls.failed(guard, f"returned {type(wanted).__name__}, not a mapping of knobs")
                continue
            try:
                turned = self._composition.turned({**knobs, **wanted}) if wanted else turned
            except Exception as error:
                self._calls.note("knobs", reason(error))
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
            self._calls.note("knobs", reason(error))

    async def _candidates(self) -> Candidates:
        """What was proposed and passed the filters, with its scores."""
        composition, calls = self._composition, self._calls
        proposed = await self._proposing.candidates(composition.sources)
        self.proposed, self.considered = self._proposing.proposed, len(proposed)
        self._context.catalog = proposed.catalog
        filtering = Filtering(calls, self._request, composition.filters, 1 << len(composition.sources))
        candidates = await filtering.left(proposed)
        self.removed, self.fates = filtering.removed, filtering.fates
        await score(calls, composition.scorers, candidates)
        return candidates

    async def _choose(self, candidates: Candidates) -> None:
        """The slate: the policies rank the shortlist, and it is chosen from all candidates."""
        composition, context = self._composition, self._context
        rules = composition.rules(context.size)
        length = math.ceil(composition.plan.slate.shortlist * rules.size)
        order = shortlist(candidates.score, max(rules.explore_pool, length))
        listed = order[:length]
        if self._afresh is not None:
            context.reseed(self._afresh)
        ranked = await rank(self._calls, composition.rankers, candidates.take(listed))
        order, selection = self._select(candidates, order, ranked.total, rules)
        self._pool, self._odds = candidates.rows[order], selection.odds
        names = [*composition.source_names, FROM_CATALOG]
        self.picks = picks(candidates, order, selection, ranked.parts, names)
        if ranked.memos:
            beyond = np.setdiff1d(selection.chosen, listed)
            await remember(self._calls, composition.rankers, candidates.take(beyond), ranked.memos)
            listed = np.concatenate((listed, beyond))
        self.memo = memos_of_picks(context.memos, ranked.memos, listed, selection)
        if self._request.trace:
            self.fates.update(fates_of_others(candidates, order, selection))

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
            self._calls.note("slate.max_per", why)
        return order, selection

    def _lacking(self) -> list[Degradation]:
        """What components that gave an answer say is missing from it."""
        secrets = [each.get_secret_value() for each in self._context.credentials.values()]
        return [
            Degradation(name, redacted(f"in part: {' '.join(why.split())[:300]}", secrets))
            for name, why in self._context.missing
        ]
