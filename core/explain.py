"""Why a slate is what it is: what speaks for every item in it, and what kept another item out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from .agent import Agent, History, LivePolicy
from .context import Request
from .slate import Pick, Slate

if TYPE_CHECKING:
    from .orchestrator import Orchestrator

_RUNNERS_UP = 10


@dataclass(frozen=True, slots=True)
class Reasons:
    """Why one item stands in a slate.

    parts: by scorer or policy, what it added to the score.
    learned: by policy, what it knows of the item, in words.
    """

    pick: Pick
    title: str
    parts: Mapping[str, float]
    learned: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        pick = self.pick
        return {
            "id": pick.item,
            "title": self.title,
            "position": pick.position,
            "score": pick.score,
            "parts": dict(self.parts),
            "sources": list(pick.sources),
            "propensity": pick.propensity,
            "explored": pick.explored,
            "learned": dict(self.learned),
        }


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one item.

    verdict: "shown", "not in the catalogue", "not proposed", "dropped", "ranked" or "would be shown" (it
    is in the slate that the replay gave, and not in the one that was logged).
    why: the verdict as a sentence. rank: from 1, among what the filters left, by the scorers.
    """

    item: str
    title: str
    verdict: str
    why: str
    dropped_by: str | None = None
    rank: int | None = None
    score: float | None = None
    parts: Mapping[str, float] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; what doesn't apply is left out."""
        fields = {name: getattr(self, name) for name in Fate.__dataclass_fields__ if name != "item"}
        return {"id": self.item} | {name: value for name, value in fields.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Explanation:
    """A slate, explained.

    replayed: what is not in the slate was worked out again, because no trace was logged with it.
    exact: whether the replay gave the same items in the same order; None where there was none.
    runners_up: the items that came nearest to the slate, best first. asked: the item that was asked about.
    tuned: by policy, why it turned the knobs as it did, in words.
    """

    slate: Slate
    items: Sequence[Reasons]
    replayed: bool
    exact: bool | None
    runners_up: Sequence[Fate]
    asked: Fate | None = None
    tuned: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        slate = self.slate
        return {
            "slate": slate.id,
            "domain": slate.domain,
            "user": slate.user,
            "time": slate.time,
            "replayed": self.replayed,
            "exact": self.exact,
            "considered": slate.considered,
            "removed": dict(slate.removed),
            "knobs": dict(slate.knobs),
            "tuned": dict(self.tuned),
            "items": [reasons.as_dict() for reasons in self.items],
            "runners_up": [fate.as_dict() for fate in self.runners_up],
            "item": None if self.asked is None else self.asked.as_dict(),
            "degraded": [{"component": entry.component, "reason": entry.reason} for entry in slate.degraded],
        }

    def lines(self) -> list[str]:
        """The explanation for people, line by line."""
        return list(self._lines())

    def _lines(self) -> Iterator[str]:
        slate = self.slate
        when = datetime.fromtimestamp(slate.time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        shown = _counted(len(slate.picks), "item")
        yield f"Slate {slate.id}: {shown} of {slate.domain} for {slate.user}, {when}"
        if slate.situation:
            yield "Situation: " + ", ".join(f"{key} = {value}" for key, value in slate.situation.items())
        dropped = "; ".join(f"{name} dropped {count}" for name, count in slate.removed.items())
        yield f"{_counted(slate.considered, 'item')} considered" + (f"; {dropped}" if dropped else "")
        if slate.knobs:
            yield "Turned by policies: " + ", ".join(
                f"{name} = {value}" for name, value in slate.knobs.items()
            )
        for name, words in self.tuned.items():
            yield f"      {name}: {words}"
        for entry in slate.degraded:
            yield f"Failed on the way: {entry.component}: {entry.reason}"
        if self.asked is not None:
            yield ""
            yield self.asked.why
        yield ""
        for reasons in self.items:
            yield from _reasons_lines(reasons)
        if self.runners_up:
            yield ""
            yield "Next, by the scorers alone:"
            for fate in self.runners_up:
                total = _sum(fate.score or 0.0, fate.parts or {})
                yield f"{fate.rank:>4}. {_named(fate.item, fate.title)}: {total}"
        if self.replayed:
            yield ""
            yield _REPLAY_EXACT if self.exact else _REPLAY_OTHER


_REPLAY_EXACT = "What is not in the slate was worked out again from the log; this gave the very same slate."
_REPLAY_OTHER = (
    "What is not in the slate was worked out again from the log, and this gave another slate: the catalogue, "
    "the profile or what was learned has changed since, or a service would have to be asked. What is said of other "
    "items is likely, not certain."
)


async def explain(orchestrator: "Orchestrator", identity: str, item: str | None = None) -> Explanation:
    """Explain a logged slate and, where one is named, the fate of an item. Raises NotFound, StoreError."""
    slate = await anyio.to_thread.run_sync(orchestrator.slate, identity)
    agent = orchestrator.agent(slate.domain)
    replay = slate if slate.fates is not None else await _replay(orchestrator, agent, slate)
    replayed = replay is not slate
    exact = None
    if replayed:
        exact = [pick.item for pick in replay.picks] == [pick.item for pick in slate.picks]
    titles = _Titles(agent)
    items = [
        Reasons(pick, titles.of(pick.item), pick.parts, _learned(agent, slate, pick)) for pick in slate.picks
    ]
    tuned = _tuned(agent, slate)
    shown = {pick.item for pick in slate.picks}
    ranked = [
        (fate["rank"], other)
        for other, fate in (replay.fates or {}).items()
        if "rank" in fate and other not in shown
    ]
    runners_up = [_fate(agent, slate, replay, other, titles) for _, other in sorted(ranked)[:_RUNNERS_UP]]
    asked = None if item is None else _fate(agent, slate, replay, item, titles)
    return Explanation(slate, items, replayed, exact, runners_up, asked, tuned)


async def _replay(orchestrator: "Orchestrator", agent: Agent, slate: Slate) -> Slate:
    """The decision again, with a trace: the same seed, time, history and request; the rest as it is now."""
    limit = agent.histories.limit

    def history() -> History:
        entries = orchestrator.store.history(slate.user, domain=slate.domain, up_to=slate.log, limit=limit)
        return History(orchestrator.folds[slate.domain].events(entries), limit)

    past = await anyio.to_thread.run_sync(history)
    request = Request(slate.user, slate.size, slate.situation, frozenset(slate.exclude), trace=True)
    return await agent.decide(
        request,
        slate=slate.id,
        seed=slate.seed,
        now=slate.time,
        profile=await orchestrator.profile(slate.user),
        recalled=slate.proposed,
        history=past.candidates(agent.catalog.snapshot(), slate.time),
    )


def _fate(agent: Agent, slate: Slate, replay: Slate, item: str, titles: "_Titles") -> Fate:
    title = titles.of(item)
    name = _named(item, title)
    for pick in slate.picks:
        if pick.item == item:
            why = f"{name} is item {pick.position + 1} of the slate."
            return Fate(item, title, "shown", why, score=pick.score, parts=pick.parts)
    found = (replay.fates or {}).get(item)
    if found is None:
        for pick in replay.picks:
            if pick.item == item:
                why = f"{name} was not shown; decided again now, it would be item {pick.position + 1}."
                return Fate(item, title, "would be shown", why, score=pick.score, parts=pick.parts)
        if agent.catalog.snapshot().row(item) < 0:
            why = f"{name} is not in the catalogue of {slate.domain!r}."
            return Fate(item, title, "not in the catalogue", why)
        return Fate(item, title, "not proposed", f"{name} was not proposed by any source.")
    dropped_by = found.get("dropped_by")
    if dropped_by is not None:
        why = f"{name} was dropped by {dropped_by}."
        if dropped_by == "exclude":
            why = f"{name} was excluded by the request."
        return Fate(item, title, "dropped", why, dropped_by=dropped_by)
    rank, score, parts = found["rank"], found["score"], found["parts"]
    why = f"{name} was ranked {_ordinal(rank)} by the scorers, with {_sum(score, parts)}."
    best = [pick for pick in slate.picks if not pick.explored]
    if best:
        last = best[-1]
        scored = {label: part for label, part in last.parts.items() if label in parts}
        why += f" The last item chosen for its score, {last.item!r}, had {_sum(sum(scored.values()), scored)}"
        added = {label: part for label, part in last.parts.items() if label not in parts}
        why += f", and {_sum(sum(added.values()), added)} from policies." if added else "."
        if score >= sum(scored.values()):
            why += " A policy, the wish for diversity, a cap or an item to be tried stood in its way."
    return Fate(item, title, "ranked", why, rank=rank, score=score, parts=parts)


def _learned(agent: Agent, slate: Slate, pick: Pick) -> dict[str, str]:
    """What each policy has to say of a pick, in words; policies that have nothing to say are left out."""
    said = {
        name: _said(policy, pick.item, slate.memo_of(name, pick.position))
        for name, policy in agent.policies.items()
    }
    return {name: words for name, words in said.items() if words}


def _tuned(agent: Agent, slate: Slate) -> dict[str, str]:
    """What the policies that perceive the user or turn knobs have to say of the slate as a whole."""
    said = {
        name: _said(policy, "", slate.memo_of(name))
        for name, policy in agent.policies.items()
        if policy.perceives or policy.tunes
    }
    return {name: words for name, words in said.items() if words}


def _said(policy: LivePolicy, item: str, memo: Mapping[str, Any]) -> str:
    try:
        return str(policy.guarded(policy.component.explain)(item, memo))
    except Exception as error:  # a plugin's code may raise anything
        return f"can't say: {type(error).__name__}"


class _Titles:
    """What items are called: by their field `title` or `name`, else the first text field."""

    def __init__(self, agent: Agent) -> None:
        self._snapshot = agent.catalog.snapshot()
        texts = agent.plan.items.schema.of_type("text")
        self._field = next((name for name in ("title", "name") if name in texts), texts[0] if texts else None)

    def of(self, item: str) -> str:
        row = self._snapshot.row(item)
        if row < 0 or self._field is None:
            return ""
        return str(self._snapshot.column(self._field)[row])[:100]


def _reasons_lines(reasons: Reasons) -> Iterator[str]:
    pick = reasons.pick
    tried = ", here to be tried" if pick.explored else ""
    total = _sum(pick.score, reasons.parts)
    yield f"{pick.position + 1:>4}. {_named(pick.item, reasons.title)}{tried}: {total}"
    sources = " and ".join(pick.sources) or "no source"
    yield f"      proposed by {sources}; stood here with a probability of {pick.propensity:.3g}"
    for policy, words in reasons.learned.items():
        yield f"      {policy}: {words}"


def _sum(total: float, parts: Mapping[str, float]) -> str:
    """Such as `0.93 = rated 0.84 + taste 0.09`.

    >>> _sum(0.75, {"rated": 1.0, "taste": -0.25})
    '0.75 = rated 1 + taste -0.25'
    """
    shown = " + ".join(f"{label} {value:.3g}" for label, value in parts.items())
    return f"{total:.3g} = {shown}" if shown else f"{total:.3g}"


def _named(item: str, title: str) -> str:
    return f"{item!r} ({title})" if title and title != item else f"{item!r}"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _ordinal(number: int) -> str:
    """Such as 57th.

    >>> [_ordinal(number) for number in (1, 2, 3, 4, 11, 12, 21, 112)]
    ['1st', '2nd', '3rd', '4th', '11th', '12th', '21st', '112th']
    """
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
