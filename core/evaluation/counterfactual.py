"""What two states of a policy would have done with the requests of the log, and what that would have earned.

Every logged slate that is looked at is decided again in the context that it was made in: user, situation, time, seed,
knobs and history are the logged ones; what the other policies and the feedback had learned is folded from the log up
to the position that the slate saw. No service is asked: what holds a connector proposes what the log says it did.
Catalogue and profiles are as they are now. Where they have changed, the logged propensities are still those of what
was shown, so the weights stay right for the target as it would decide now; what it would show that the log never
could is told by the mean weight.

The row of an item i that stood at position p has the weight w = π(i at p) / P(i at p):

- π comes from `draws` draws of the target's scores, the same for both states, so that what they do alike cancels out
  of the difference. They are other draws than those that were logged: draw 0 of these chose what is in the log, and a
  target that draws the same numbers agrees with it more often than it should.
- P is logged as the mean of S draws (`slate.draws`), the deciding one among them, so that 1 / P is too small by the
  factor 1 - (1 - P)^S: much, for an item that S draws rarely show. Where the fold decides a slate again exactly as
  it was logged, its policies are known to be what they were, and the mean goes over S and `draws` more draws.

A state that is, to the last bit, the one which decided a slate has the weight 1 there. For a policy that tunes knobs
w is the ratio of the probabilities of the knobs; for one that does both, it is the product. What a policy perceives of
a user is seen by all others: such a one has a part in where items stand, and in the knobs of every policy that tunes.

The reward of a row is all that came within the attribution window, corrections included; where nothing came (yet),
that of "seen". Rows of one user depend on each other: intervals are made over users.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from heapq import nsmallest
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from ..agent import Agent, History
from ..candidates import Candidates
from ..components import State
from ..config import Settings
from ..errors import EvaluationError, NotFound, did_you_mean, domain_of
from ..learning import Fold
from ..outcomes import Outcomes
from ..slate import Slate
from ..stock.expiry import in_force
from ..stock.stock import Stock
from ..store import Entry, Store
from .comparison import Comparison
from .log import LoggedBandit, Target

Floats = NDArray[np.float64]

_PAGE = 2000
_PATIENCE_MS = 60_000.0
"""No decision may depend on how busy the machine is."""


def compare(
    settings: Settings,
    store: Store,
    domain: str,
    policy: str,
    *,
    candidate: State,
    active: State | None = None,
    since: int = 0,
    until: int | None = None,
    most: int = 1000,
    draws: int = 480,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Comparison:
    """By how much one state of a policy would earn more per slate than another, from the log.

    Looked at are the slates at log positions since < p <= until (None: to the end), a sample where there are more than
    `most`. Neither state should have learned from them: a state looks better on what it was taught.
    active: None for what the log had taught when the first of these slates was decided.
    draws: of a policy that draws at random, to count probabilities from.
    progress: called with the slates that are done, and how many there are.

    It blocks, and runs an event loop of its own: call it from a thread that has none. A domain that embeds needs its
    embedder opened. Raises NotFound for the domain or policy, EvaluationError where a state doesn't fit or the span
    has nothing to tell, StoreError.
    """
    plan = domain_of(settings.domains, domain)
    names = [step.name for step in plan.policies]
    if policy not in names:
        raise NotFound(f"no policy of {domain!r} is called {policy!r}{did_you_mean(policy, names)}")
    slates = _sample(store, domain, since, until, most)
    if not slates:
        raise EvaluationError(
            f"the log has no slate of {domain!r} between {since} and {until or store.end()}"
        )
    plan = in_force(store, plan)
    plan = replace(plan, slate=plan.slate.model_copy(update={"deadline_ms": _PATIENCE_MS}))
    stock = Stock(store, plan)
    try:
        stock.refresh(store.end())
        replays = _Replays(store, Agent(plan, stock.catalog), policy, candidate, active, draws)
        rows = asyncio.run(replays.rows(slates, progress))
        rewards = replays.rewards(slates)
    finally:
        stock.catalog.close()
    if not rows:
        raise EvaluationError(
            f"no slate of the span tells how probable the knobs were that {policy!r} turned: it has to note that as "
            "`propensity` in `context.memo`, and to tell it again by `chance`"
        )
    return _comparison(domain, policy, (since, until or store.end()), rows, rewards)


@dataclass(frozen=True, slots=True)
class _Row:
    """One slate: by position, or once for a policy that only tunes, the probabilities of what was done.

    exact: it was decided again as it was logged; None where that wasn't tried.
    """

    slate: Slate
    by_position: bool
    propensity: Floats
    candidate: Floats
    active: Floats
    exact: bool | None


class _Replays:
    """The fold of the log, and beside it both states of the policy in the same company."""

    def __init__(
        self, store: Store, agent: Agent, policy: str, candidate: State, active: State | None, draws: int
    ) -> None:
        self._store, self._agent, self._policy, self._draws = store, agent, policy, draws
        self._totals: dict[str, dict[int, float]] = {}
        self._fold = Fold(agent, self._learned, store.versions.state)
        self._profiles: dict[str, Mapping[str, Any]] = {}
        self._states: list[State] = []
        self._targets: list[Agent] = []
        self._hold(candidate, "candidate")
        if active is not None:
            self._hold(active, "active state")
        live = agent.policies[policy]
        self._places = live.perceives or live.ranks or live.proposes
        self._tuners = [
            name
            for name, other in agent.policies.items()
            if other.tunes and (name == policy or live.perceives)
        ]
        if not (self._places or self._tuners):
            raise EvaluationError(f"the policy {policy!r} decides nothing: there is nothing to compare")

    async def rows(self, slates: list[Slate], progress: Callable[[int, int], None]) -> list[_Row]:
        """What was done and how probable it is; a slate that doesn't tell it is left out."""
        self._totals = {slate.id: {} for slate in slates}
        self._advance(slates[0].log)
        if len(self._targets) == 1:
            self._hold(self._agent.policies[self._policy].state(), "active state")
        rows = []
        for done, slate in enumerate(slates):
            progress(done, len(slates))
            self._advance(slate.log)
            row = await self._row(slate)
            if row is not None:
                rows.append(row)
        progress(len(slates), len(slates))
        return rows

    def rewards(self, slates: list[Slate]) -> Mapping[str, Floats]:
        """By slate, what each of its picks earned, shape (k,)."""
        plan = self._agent.plan
        closed = max(slate.time for slate in slates) + plan.learning.window_minutes * 60
        while entries := self._store.read(self._fold.position, limit=_PAGE):
            self._fold.take(entries, entries[-1].position)
            if entries[-1].time > closed:
                break
        seen = plan.reward.seen or 0.0
        return {
            slate.id: np.array([self._totals[slate.id].get(place, seen) for place in range(len(slate.picks))])
            for slate in slates
        }

    def _hold(self, state: State, name: str) -> None:
        try:
            self._targets.append(self._agent.holding(self._policy, state))
        except ValueError as error:
            raise EvaluationError(f"the {name} doesn't fit the policy {self._policy!r}: {error}") from None
        self._states.append(state)

    def _advance(self, position: int) -> None:
        fold = self._fold
        while fold.position < position:
            entries = self._store.read(fold.position, limit=_PAGE, until=position)
            fold.take(entries, entries[-1].position if len(entries) == _PAGE else position)

    def _learned(self, _: str, outcomes: Outcomes) -> None:
        for slate, place, total in zip(
            outcomes.slates, outcomes.position.tolist(), outcomes.total.tolist(), strict=True
        ):
            if slate in self._totals:
                self._totals[slate][place] = total

    async def _row(self, slate: Slate) -> _Row | None:
        known: Any = {"profile": self._profile(slate.user), "history": self._history(slate)}
        count = len(slate.picks) if self._places else 1
        propensity, targets = np.ones(count), [np.ones(count), np.ones(count)]
        exact: bool | None = None
        for tuner in self._tuners:
            logged = slate.memo_of(tuner).get("propensity")
            if not isinstance(logged, (int, float)):
                return None
            propensity = propensity * logged
            for number, agent in enumerate(self._targets):
                chance = await agent.chance(tuner, slate, **known)
                if chance is None:
                    return None  # what it noted is of other knobs than it has now
                targets[number] = targets[number] * chance
        if self._places:
            shown = [pick.item for pick in slate.picks]
            placed, exact = await self._placed(slate, shown, known)
            propensity = propensity * placed
            for number, agent in enumerate(self._targets):
                if exact and _equal(
                    self._agent.policies[self._policy].component.state(), self._states[number]
                ):
                    targets[number] = targets[number] * placed
                else:
                    seed = _seed(f"{slate.id} target")
                    decision = await agent.again(slate, draws=self._draws, afresh=seed, **known)
                    targets[number] = targets[number] * decision.propensities(shown)
        return _Row(slate, self._places, propensity, targets[0], targets[1], exact)

    async def _placed(self, slate: Slate, shown: list[str], known: Any) -> tuple[Floats, bool]:
        """How probable it was that the picks stood where they stood, and whether the replay came out exactly."""
        logged = np.array([pick.propensity for pick in slate.picks])
        replay = await self._agent.again(slate, **known)
        exact = (
            [pick.item for pick in replay.picks] == shown
            and np.array_equal([pick.propensity for pick in replay.picks], logged)
            and replay.considered == slate.considered  # else others might have come into it
        )
        if not exact or replay.draws == 1:
            return logged, exact
        seed = _seed(f"{slate.id} logged")
        more = await self._agent.again(slate, draws=self._draws, afresh=seed, **known)
        sums = replay.draws * logged + more.draws * more.propensities(shown)
        return sums / (replay.draws + more.draws), exact

    def _history(self, slate: Slate) -> Candidates:
        limit = self._agent.histories.limit
        entries = self._store.history(slate.user, domain=slate.domain, up_to=slate.log, limit=limit)
        past = History(self._fold.events(entries), limit)
        return past.candidates(self._agent.catalog.snapshot(), slate.time)

    def _profile(self, user: str) -> Mapping[str, Any]:
        if user not in self._profiles:
            body = self._store.profile(user)
            self._profiles[user] = {} if body is None else orjson.loads(body)
        return self._profiles[user]


def _comparison(
    domain: str, policy: str, span: tuple[int, int], rows: list[_Row], rewards: Mapping[str, Floats]
) -> Comparison:
    """Estimates per slate, from one row per position, or per slate where positions don't count."""
    earned = [
        rewards[row.slate.id] if row.by_position else rewards[row.slate.id].sum(keepdims=True) for row in rows
    ]
    reward = np.concatenate(earned)
    shown = [
        pick.item if row.by_position else ""
        for row in rows
        for pick in (row.slate.picks if row.by_position else row.slate.picks[:1])
    ]
    log = LoggedBandit(
        action=np.unique(shown, return_inverse=True)[1],
        # So that a mean over rows is one per slate.
        reward=reward * (len(reward) / len(rows)),
        propensity=np.concatenate([row.propensity for row in rows]),
        groups=np.repeat([row.slate.user for row in rows], [len(row.propensity) for row in rows]),
    )
    tried = [row.exact for row in rows if row.exact is not None]
    return Comparison.of(
        domain,
        policy,
        span,
        log,
        Target(np.concatenate([row.candidate for row in rows])),
        Target(np.concatenate([row.active for row in rows])),
        slates=len(rows),
        replayed=sum(tried) / len(tried) if tried else None,
    )


def _sample(store: Store, domain: str, since: int, until: int | None, most: int) -> list[Slate]:
    """The slates of a span that show anything, in the order of the log positions that they saw.

    Where there are too many, those whose ids have the smallest digests: spread evenly over the span, whatever order
    people come in, and the same ones every time.
    """
    if most < 1:
        raise EvaluationError(f"most is {most}: at least one slate must be looked at")
    entries = nsmallest(most, _slate_entries(store, domain, since, until), key=lambda entry: _seed(entry.id))
    slates = []
    for entry in entries:
        try:
            slate = Slate.from_bytes(entry.id, entry.domain, entry.user, entry.body)
        except (ValueError, KeyError, TypeError):
            continue  # the learner takes it as empty, too
        if slate.picks:
            slates.append(slate)
    return sorted(slates, key=lambda slate: slate.log)


def _slate_entries(store: Store, domain: str, since: int, until: int | None) -> Iterator[Entry]:
    while entries := store.read(since, limit=_PAGE, until=until):
        since = entries[-1].position
        yield from (entry for entry in entries if entry.kind == "slate" and entry.domain == domain)


def _equal(one: State, other: State) -> bool:
    """Whether two states are the same to the last bit."""
    if one.keys() != other.keys():
        return False
    for name, value in one.items():
        if isinstance(value, np.ndarray) or isinstance(other[name], np.ndarray):
            if not np.array_equal(value, other[name], equal_nan=np.asarray(value).dtype.kind == "f"):
                return False
        elif value != other[name]:
            return False
    return True


def _seed(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "big")
