"""How a domain does: what its slates earned and how varied they were, by day and by policy version, from its log.

A slate belongs to the day (UTC) and to the versions under which it was shown; what is done with it later counts there.
"""

import math
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from .clock import Clock
from .components import Reward
from .config import DomainPlan
from .errors import domain_of
from .interaction import Interaction
from .learning import Attribution, Fold
from .learning.fold import forgiving
from .rewards import PerUnit, RewardTable
from .slate import Slate
from .store import Entry, Store, Switch

DAY = 86_400.0
MOST_DAYS = 90
_PAGE = 2000
_TOP = 10

ONLINE = "online"
"""The version of a policy that has learned from the log alone, and was never promoted."""


@dataclass(slots=True)
class Tally:
    """Counts over slates.

    slates, shown: slates, and items in them; explored: items that were there to be tried; degraded: slates that
    something was missing for; people: who asked.
    acted: shown items that something was done with; kinds: shown items by the kinds that were done with them;
    positive: shown items that are worth more than 0; reward: of all shown items; learned: outcomes behind it.
    shares: sums of the shares (0 to 1) that were heard, watched or read, and how often one was told.
    items: how often each item was shown; earned: what it earned.
    """

    slates: int = 0
    shown: int = 0
    explored: int = 0
    degraded: int = 0
    people: set[str] = field(default_factory=set)
    acted: int = 0
    positive: int = 0
    reward: float = 0.0
    shares: float = 0.0
    shared: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    items: Counter[str] = field(default_factory=Counter)
    earned: dict[str, float] = field(default_factory=dict)

    def add(self, other: "Tally") -> None:
        """Count another's slates, too."""
        for name in ("slates", "shown", "explored", "degraded", "acted", "positive", "shared"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.reward += other.reward
        self.shares += other.shares
        self.people |= other.people
        self.kinds.update(other.kinds)
        self.items.update(other.items)
        for item, reward in other.earned.items():
            self.earned[item] = self.earned.get(item, 0.0) + reward

    @property
    def entropy(self) -> float:
        """Shannon entropy of what was shown, in bits: 0 where it was always the same item.

        >>> Tally(items=Counter(emma=2, dune=2)).entropy
        1.0
        """
        total = sum(self.items.values())
        return -sum(n / total * math.log2(n / total) for n in self.items.values()) + 0.0 if total else 0.0

    def figures(self, catalogue: int) -> dict[str, Any]:
        """The figures that people look at; None where there is nothing to divide by. catalogue: items in it."""
        return {
            "slates": self.slates,
            "people": len(self.people),
            "shown": self.shown,
            "reward_per_slate": _ratio(self.reward, self.slates),
            "reward_per_item": _ratio(self.reward, self.shown),
            "click_through_rate": _ratio(self.acted, self.shown),
            "positive_rate": _ratio(self.positive, self.acted),
            "like_rate": _ratio(self.kinds["like"], self.shown),
            "skip_rate": _ratio(self.kinds["skip"], self.shown),
            "completion_rate": _ratio(self.shares, self.shared),
            "exploration_share": _ratio(self.explored, self.shown),
            "coverage": _ratio(len(self.items), catalogue),
            "entropy_bits": self.entropy,
            "degraded_share": _ratio(self.degraded, self.slates),
        }

    def top(self) -> list[dict[str, Any]]:
        """The items that were shown most, most often first."""
        most = sorted(self.items.items(), key=lambda entry: (-entry[1], entry[0]))[:_TOP]
        return [
            {"item": item, "shown": count, "share": count / self.shown, "reward": self.earned.get(item, 0.0)}
            for item, count in most
        ]


@dataclass(slots=True)
class _Shown:
    """A slate that feedback may still come for."""

    slate: Slate
    tally: Tally
    closes: float
    done: set[tuple[int, str]] = field(default_factory=set)


class Monitor:
    """Reads a domain's log from where it stopped the last time. One thread at a time.

    position: the log position that was reached.
    """

    def __init__(
        self,
        store: Store,
        domain: str,
        reward: Reward,
        window: float,
        since: float,
        digests: Mapping[str, str],
        config: str,
    ) -> None:
        """What to read.

        window: seconds in which feedback counts for a slate. since: slates before that time are passed over.
        digests: by policy, that of its present configuration: a promotion of another one was passed over, but for
        slates of another composition than `config`, of which nothing is known.
        """
        self._store, self._domain, self._window, self._since = store, domain, window, since
        self._digests, self._config = digests, config
        self._reward = forgiving(reward)
        self._shares = _shares(reward)
        self._switches: dict[str, list[Switch]] = {}
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._restart()

    def _restart(self) -> None:
        self._attribution = Attribution(self._domain, self._reward, self._window)
        self._open: OrderedDict[str, _Shown] = OrderedDict()
        self._tallies.clear()
        self._switches.clear()
        # What an erasure up to here removed is no longer there to be counted.
        self._clean_until = self._store.end()
        self.position = self._store.position_at(self._since)
        for entry in self._store.entries_of(("version", "erasure"), until=self.position):
            self._switched(entry)

    def read(self) -> None:
        """Count what the log holds by now. Raises StoreError."""
        while entries := self._store.read(self.position, limit=_PAGE):
            for entry in entries:
                if entry.erased_in(self._domain) and entry.position > self._clean_until:
                    self._restart()  # nothing may remain of who was erased
                    break
                self._take(entry)
                self.position = entry.position

    def _take(self, entry: Entry) -> None:
        self._attribution.advance(entry.time)
        self._settle()
        while self._open and next(iter(self._open.values())).closes <= entry.time:
            self._open.popitem(last=False)
        if entry.kind in ("version", "erasure"):
            self._switched(entry)
        if entry.domain != self._domain:
            return
        if entry.kind == "slate":
            self._served(entry)
        elif entry.kind == "interaction":
            self._done(entry)

    def _served(self, entry: Entry) -> None:
        try:
            slate = Slate.from_bytes(entry.id, entry.domain, entry.user, entry.body)
        except (ValueError, KeyError, TypeError):
            return
        day = datetime.fromtimestamp(entry.time, UTC).strftime("%Y-%m-%d")
        names = ", ".join(f"{policy}@{self._version(policy, slate)}" for policy in sorted(slate.versions))
        tally = self._tallies.setdefault((day, names or "no policy"), Tally())
        tally.slates += 1
        tally.people.add(entry.user)
        tally.shown += len(slate.picks)
        tally.explored += sum(pick.explored for pick in slate.picks)
        tally.degraded += bool(slate.degraded)
        tally.items.update(pick.item for pick in slate.picks)
        self._open[entry.id] = _Shown(slate, tally, entry.time + self._window)
        self._attribution.slate(entry.id, entry.user, entry.body, entry.time)

    def _done(self, entry: Entry) -> None:
        try:
            deed = Interaction.from_bytes(entry.id, entry.domain, entry.user, entry.body)
        except (ValueError, KeyError, TypeError):
            return
        shown = self._open.get(deed.slate or "")
        if shown is not None and shown.slate.user == deed.user:
            places = [pick.position for pick in shown.slate.picks if pick.item == deed.item]
            for place in places:
                self._did(shown, place, deed)
        self._attribution.interaction(deed, entry.time)
        self._settle()

    def _did(self, shown: _Shown, place: int, deed: Interaction) -> None:
        tally = shown.tally
        if not any(other == place for other, _ in shown.done):
            tally.acted += 1
        if (place, deed.kind) not in shown.done:
            tally.kinds[deed.kind] += 1
            if deed.kind in self._shares and deed.value is not None:
                tally.shares += min(max(deed.value, 0.0), 1.0)
                tally.shared += 1
        shown.done.add((place, deed.kind))

    def _settle(self) -> None:
        """Count what has become due."""
        for row in self._attribution.due():
            shown = self._open.get(row.slate.id) if row.slate is not None else None
            if shown is None:
                continue
            tally, before = shown.tally, row.total - row.reward
            tally.reward += row.reward
            tally.positive += int(row.total > 0) - int(not row.first and before > 0)
            tally.earned[row.item] = tally.earned.get(row.item, 0.0) + row.reward

    def _switched(self, entry: Entry) -> None:
        """A policy became a version; or somebody was erased, and versions that had learned from him are gone."""
        if entry.erased_in(self._domain):
            for switches in self._switches.values():
                last = switches[-1]
                if last.number and self._store.versions.one(self._domain, last.policy, last.number) is None:
                    switches.append(replace(last, number=0, position=entry.position))
        elif entry.domain == self._domain:
            try:
                switch = Switch.from_entry(entry)
            except ValueError:
                return
            self._switches.setdefault(switch.policy, []).append(switch)

    def _version(self, policy: str, slate: Slate) -> str:
        """The number of the version that a policy was when it decided a slate, or that it was none."""
        known = slate.config == self._config
        for switch in reversed(self._switches.get(policy, [])):
            if switch.position <= slate.versions[policy] and (
                not known or switch.digest == self._digests.get(policy)
            ):
                return str(switch.number) if switch.number else ONLINE
        return ONLINE

    def drop_before(self, day: str) -> None:
        """Forget the days before a day, written as 2026-11-21."""
        self._tallies = {key: tally for key, tally in self._tallies.items() if key[0] >= day}

    def between(self, first: str, last: str) -> Iterator[tuple[str, str, Tally]]:
        """Day (as 2026-11-21), versions and counts of the days from `first` to `last`, in order."""
        for (day, names), tally in sorted(self._tallies.items()):
            if first <= day <= last:
                yield day, names, tally


def performance(monitor: Monitor, *, now: float, days: int, catalogue: int) -> dict[str, Any]:
    """Figures of the last days, today included: of each day, of each version, and of all together.

    catalogue: how many items there are. Reads on in the log first. Raises StoreError.
    """
    monitor.read()
    monitor.drop_before(_date(now - DAY * MOST_DAYS))
    dates = [_date(now - DAY * back) for back in reversed(range(days))]
    by_day = {date: Tally() for date in dates}
    by_version: dict[str, Tally] = {}
    whole = Tally()
    for day, names, tally in monitor.between(dates[0], dates[-1]):
        for sum_ in (by_day[day], by_version.setdefault(names, Tally()), whole):
            sum_.add(tally)
    return {
        "days": [{"day": day, **tally.figures(catalogue)} for day, tally in by_day.items()],
        "versions": [{"version": names, **tally.figures(catalogue)} for names, tally in by_version.items()],
        "total": whole.figures(catalogue),
        "top_items": whole.top(),
        "position": monitor.position,
    }


class Monitors:
    """A monitor for each domain that is asked about, kept to read on from where it stopped. Safe for many threads."""

    def __init__(self, store: Store, folds: Mapping[str, Fold], clock: Clock) -> None:
        self._store, self._folds, self._clock = store, folds, clock
        self._monitors: dict[str, Monitor] = {}
        self._lock = threading.Lock()

    def performance(self, domain: str, days: int) -> dict[str, Any]:
        """Figures of a domain's last days: see `performance`. Raises NotFound, StoreError."""
        fold, now = domain_of(self._folds, domain), self._clock()
        with self._lock:
            monitor = self._monitors.get(domain)
            if monitor is None:
                monitor = monitor_of(self._store, fold.agent.plan, fold.digests(), now)
                self._monitors[domain] = monitor
            catalogue = len(fold.agent.catalog.snapshot().live)
            return performance(monitor, now=now, days=days, catalogue=catalogue)


def today(domain: str, figures: Mapping[str, Any]) -> str:
    """The figures of a day in a line.

    >>> today("books", Tally().figures(5))
    'books today: 0 slates for 0 people, 0.0% of the catalogue shown'
    """
    line = f"{domain} today: {figures['slates']:,} slates for {figures['people']:,} people"
    if figures["slates"]:
        line += f", {figures['reward_per_slate']:+.3g} a slate"
    for name, said in _RATES_SAID.items():
        if figures[name] is not None:
            line += f", {figures[name]:.1%} {said}"
    return line


_RATES_SAID = {
    "click_through_rate": "acted on",
    "like_rate": "liked",
    "skip_rate": "skipped",
    "exploration_share": "explored",
    "coverage": "of the catalogue shown",
    "degraded_share": "degraded",
}


def monitor_of(store: Store, plan: DomainPlan, digests: Mapping[str, str], now: float) -> Monitor:
    """A monitor of a domain's last days. digests: by policy, that of its configuration."""
    since = math.floor(now / DAY) * DAY - (MOST_DAYS - 1) * DAY
    window = plan.learning.window_minutes * 60
    return Monitor(store, plan.name, plan.reward, window, since, digests, plan.digest)


def _shares(reward: Reward) -> frozenset[str]:
    """The kinds whose value is a share from 0 to 1 of something heard, watched or read."""
    rules: Mapping[str, Any] = reward.kinds if isinstance(reward, RewardTable) else {}
    return frozenset(
        kind
        for kind, rule in rules.items()
        if isinstance(rule, PerUnit) and (rule.whole or rule.at_most <= rule.per_unit)
    )


def _date(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d")


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
