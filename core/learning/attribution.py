"""Which reward belongs to which slate entry.

An outcome is due when the first interaction that is worth something comes, or when the attribution window closes
without one: then it is the reward of "seen" (where the domain has one). Later interactions on the same entry
within its window give as a difference what they and the bonuses that they earn add to it. Interactions without a
slate, after the window, or on an item that the slate didn't show give an outcome of their own, without a
propensity. All times are the log's.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from ..components import Occasion, Reward
from ..interaction import Interaction
from ..outcomes import Outcomes
from ..slate import Slate

_log = logging.getLogger("tastemaker.learning")

_NOTHING: Mapping[str, Any] = {}


@dataclass(slots=True)
class _Open:
    """A slate whose window is open; parsed when it is first needed."""

    user: str
    body: bytes
    time: float
    slate: Slate | None = None
    places: dict[str, int] = field(default_factory=dict)
    deeds: dict[int, "_Deeds"] = field(default_factory=dict)


@dataclass(slots=True)
class _Deeds:
    """What was done with one item of a slate: the kinds, the bonuses that were earned, the sum, what it is worth."""

    kinds: set[str] = field(default_factory=set)
    bonuses: set[str] = field(default_factory=set)
    sum: float = 0.0
    worth: float = 0.0

    def copy(self) -> "_Deeds":
        """The same, which stays as it is."""
        return _Deeds(set(self.kinds), set(self.bonuses), self.sum, self.worth)


@dataclass(slots=True)
class _Row:
    user: str
    item: str
    slate: Slate | None
    place: int
    reward: float
    total: float
    first: bool
    time: float
    kind: str = ""
    situation: Mapping[str, Any] = field(default_factory=dict)


class Attribution:
    """The slates whose windows are open, and the outcomes that became due.

    Feed it the log in order: `advance` to each entry's time first, then the entry; `due` takes what has
    accumulated.
    """

    def __init__(self, domain: str, reward: Reward, window: float) -> None:
        self._domain = domain
        self._reward = reward
        self._window = window
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._due: list[_Row] = []
        self._undo: list[Callable[[], object]] = []

    def __len__(self) -> int:
        return len(self._open)

    def advance(self, time: float) -> None:
        """The log has reached a time: windows that have closed make their outcomes due, oldest first."""
        while self._open:
            identity, slate = next(iter(self._open.items()))
            closes = slate.time + self._window
            if closes > time:
                return
            del self._open[identity]
            self._undo.append(partial(self._reopen, identity, slate))
            if self._reward.seen is not None:
                self._close(identity, slate, self._reward.seen, closes)

    def slate(self, identity: str, user: str, body: bytes, time: float) -> None:
        """A slate was shown."""
        self._open[identity] = _Open(user, body, time)
        self._undo.append(partial(self._open.pop, identity))

    def interaction(self, interaction: Interaction, time: float) -> float | None:
        """Something was done. What it is worth, None where that is nothing."""
        reward = self._reward.reward(interaction)
        if reward is None or not np.isfinite(reward):
            return None
        found = self._open.get(interaction.slate) if interaction.slate else None
        if found is not None and found.user == interaction.user:
            slate = self._parsed(interaction.slate or "", found)
            place = found.places.get(interaction.item)
            if place is not None:
                first = place not in found.deeds
                deeds = found.deeds.setdefault(place, _Deeds())
                self._undo.append(
                    partial(found.deeds.pop, place)
                    if first
                    else partial(found.deeds.__setitem__, place, deeds.copy())
                )
                before = deeds.worth
                seconds = max(min(interaction.time, time) - found.time, 0.0)
                self._add(deeds, reward, interaction, Occasion(deeds.kinds, seconds, slate.situation))
                gained = deeds.worth - before
                self._due.append(
                    _Row(
                        found.user,
                        interaction.item,
                        slate,
                        place,
                        gained,
                        deeds.worth,
                        first,
                        time,
                        interaction.kind,
                    )
                )
                return reward
        alone = _Deeds()
        self._add(alone, reward, interaction, Occasion(alone.kinds, np.inf, _NOTHING))
        self._due.append(
            _Row(
                interaction.user,
                interaction.item,
                None,
                -1,
                alone.worth,
                alone.worth,
                True,
                time,
                interaction.kind,
                interaction.situation,
            )
        )
        return reward

    def _add(self, deeds: _Deeds, reward: float, interaction: Interaction, occasion: Occasion) -> None:
        """Add an interaction, and the bonuses that it earns, to what was done before."""
        deeds.sum += reward
        for name, bonus in self._reward.earned(interaction, occasion).items():
            if name not in deeds.bonuses:
                deeds.bonuses.add(name)
                deeds.sum += bonus
        deeds.kinds.add(interaction.kind)
        deeds.worth = self._reward.bounded(deeds.sum)

    def keep(self) -> None:
        """What was fed up to here is taken in for good."""
        self._undo.clear()

    def undo(self) -> None:
        """Forget what was fed since `keep`, as if it had never come."""
        while self._undo:
            self._undo.pop()()
        self._due.clear()

    def _reopen(self, identity: str, slate: _Open) -> None:
        self._open[identity] = slate
        self._open.move_to_end(identity, last=False)

    def due(self) -> list[_Row]:
        """The outcomes that became due since the last call, in log order."""
        rows, self._due = self._due, []
        return rows

    def _close(self, identity: str, found: _Open, seen: float, time: float) -> None:
        slate = self._parsed(identity, found)
        for place, pick in enumerate(slate.picks):
            if place not in found.deeds:
                self._due.append(_Row(found.user, pick.item, slate, place, seen, seen, True, time))

    def _parsed(self, identity: str, found: _Open) -> Slate:
        if found.slate is None:
            try:
                found.slate = Slate.from_bytes(identity, self._domain, found.user, found.body)
            except (ValueError, KeyError, TypeError) as error:
                _log.warning("the slate %r can't be read, and is taken as empty: %r", identity, error)
                found.slate = Slate(identity, self._domain, found.user, found.time, (), 0, 0, "")
            found.body = b""
            found.places = {pick.item: place for place, pick in enumerate(found.slate.picks)}
        return found.slate


def as_outcomes(rows: Sequence[_Row], policy: str | None = None) -> Outcomes:
    """Rows as one columnar batch; with the memos of a policy where it is named."""
    slates = [row.slate for row in rows]
    shown = [
        None if slate is None else slate.picks[row.place] for slate, row in zip(slates, rows, strict=True)
    ]
    return Outcomes(
        users=[row.user for row in rows],
        items=[row.item for row in rows],
        slates=["" if slate is None else slate.id for slate in slates],
        reward=np.array([row.reward for row in rows], dtype=np.float64),
        total=np.array([row.total for row in rows], dtype=np.float64),
        first=np.array([row.first for row in rows], dtype=np.bool_),
        propensity=np.array(
            [np.nan if pick is None else pick.propensity for pick in shown], dtype=np.float64
        ),
        position=np.array([row.place for row in rows], dtype=np.int32),
        time=np.array([row.time for row in rows], dtype=np.float64),
        situations=[
            row.situation if slate is None else slate.situation
            for row, slate in zip(rows, slates, strict=True)
        ],
        memos=[_NOTHING if policy is None else _memo(row, policy) for row in rows],
        kinds=[row.kind for row in rows],
    )


def _memo(row: _Row, policy: str) -> Mapping[str, Any]:
    return _NOTHING if row.slate is None else row.slate.memo_of(policy, row.place)
