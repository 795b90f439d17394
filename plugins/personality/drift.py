"""Drift: a person's traits, as what they like and dislike speaks for them."""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PrivateAttr

from ...core import Candidates, CatalogSnapshot, Context, Outcomes, Policy, State, Trait, traits_of
from .leanings import Leanings

Floats = NDArray[np.float64]

SWITCH = "drift"
"""The key of a profile that is false where somebody doesn't want their traits to drift."""

_TOLD = 0.1
"""Points of a trait that are worth a word."""
_PLACES = 3


@dataclass(slots=True)
class _Drifted:
    """How far one person's traits have drifted.

    told: a digest of the traits that the person told. since: when they were first seen so, seconds since the epoch.
    shift: points of each trait; moved: by how many of them the newest outcome moved it; both shape (traits,).
    """

    told: str
    since: float
    shift: Floats
    moved: Floats


class Drift(Leanings, Policy):
    """Lets traits drift slowly with feedback, within bounds around what was assessed.

    What an item says of a trait is how much better it suits those high in it than those low: s from -1 to 1, beside
    the mean of the items that were there to choose from, by the deviation of s over the catalogue. An outcome of
    reward r moves the trait by `rate` · s · r / `scale`, r / `scale` cut at ±1, and never further than `reach` points
    from the value in the profile; a new assessment starts anew. Traits that a profile doesn't tell stay unknown, and
    where its key `drift` is false nothing moves. It ranks nothing: all its scores are 0.
    """

    blocking: ClassVar[bool] = False

    rate: float = Field(0.3, gt=0, le=10, description="Points that one clear outcome moves a trait.")
    reach: float = Field(
        10.0, gt=0, le=50, description="Points that a trait may drift from what was assessed."
    )
    scale: float = Field(1.0, gt=0, description="The reward that is as clear as can be.")
    most_users: int = Field(
        100_000,
        ge=1,
        le=10_000_000,
        description="People kept in mind; beyond, those gone longest are forgotten.",
    )

    _names: tuple[Trait, ...] = PrivateAttr()
    _key: tuple[str, str] = PrivateAttr()
    _people: OrderedDict[str, _Drifted] = PrivateAttr()

    def model_post_init(self, _: Any) -> None:
        """Start with nothing learned."""
        self._names = tuple(self.traits)
        options = self.model_dump_json(include=set(Leanings.model_fields))
        self._key = ("personality: spread", options)
        self._people = OrderedDict()

    def perceive(self, context: Context) -> Mapping[str, Any]:
        """The traits as they have drifted, by name; nothing for somebody whose traits are unknown."""
        told = traits_of(context.profile)
        if not told or context.profile.get(SWITCH) is False:
            return {}
        context.memo.update(told=_traits_digest(told), time=context.now)
        known = self._people.get(context.user)
        if known is None or known.told != context.memo["told"]:
            return {}
        drifted: dict[str, Any] = {}
        for name, shift in zip(self._names, known.shift.tolist(), strict=True):
            if name in told and shift:
                drifted[name] = round(min(max(told[name] + shift, 0.0), 100.0), _PLACES)
        if drifted:
            context.memo["taken"] = {name: [told[name], drifted[name]] for name in told if name in drifted}
        return drifted

    def rank(self, context: Context, candidates: Candidates) -> Floats:
        """Zeros, shape (n,); what each candidate says of the traits is noted, to be learned from."""
        memo = context.memo
        if "told" in memo:
            everything, spread = self._of_all(context.catalog)
            said = everything[candidates.rows]
            if "middle" not in memo:  # asked again, of items from beyond the shortlist, it stays
                memo["middle"] = (said.mean(axis=0) if len(said) else np.zeros(len(self._names))).tolist()
            beside = (said - memo["middle"]) / np.where(spread > 0, 2 * spread, np.inf)
            candidates.memo["says"] = np.round(np.clip(beside, -1, 1), _PLACES)
        return np.zeros(len(candidates))

    def learn(self, outcomes: Outcomes) -> None:
        """Move the traits of those who did something, outcome by outcome."""
        rows = zip(
            outcomes.users, outcomes.reward.tolist(), outcomes.total.tolist(), outcomes.memos, strict=True
        )
        for user, reward, total, memo in rows:
            says = memo.get("says")
            known = self._people.get(user)
            if says is None or len(says) != len(self._names):
                if known is not None:
                    known.moved = np.zeros(len(self._names))
                continue
            if known is None or (known.told != memo["told"] and known.since < memo["time"]):
                nothing = np.zeros(len(self._names))
                known = self._people[user] = _Drifted(memo["told"], memo["time"], nothing, nothing)
            before = known.shift
            if known.told == memo["told"]:
                clear = self._clear(total) - self._clear(total - reward)
                moved = before + self.rate * clear * np.asarray(says, dtype=np.float64)
                known.shift = np.clip(moved, -self.reach, self.reach)
            known.moved = known.shift - before
            self._people.move_to_end(user)
            while len(self._people) > self.most_users:
                self._people.popitem(last=False)

    def insight(self, user: str) -> str:
        """Which traits the newest outcome moved, and where they are now."""
        known = self._people.get(user)
        if known is None:
            return ""
        moves = [
            f"{name} by {moved:+.1f}, to {abs(shift):.1f} {'above' if shift > 0 else 'below'} what you told"
            for name, shift, moved in zip(
                self._names, known.shift.tolist(), known.moved.tolist(), strict=True
            )
            if abs(moved) >= _TOLD
        ]
        return f"That moved your {'; your '.join(moves)} (on a scale of 100)." if moves else ""

    def explain(self, item: str, memo: Mapping[str, Any]) -> str:
        """Of the slate as a whole: what the traits were taken to be."""
        taken = memo.get("taken")
        if item or not isinstance(taken, Mapping):
            return ""
        return "took " + ", ".join(
            f"{name} for {now:.1f}, told {told:.1f}" for name, (told, now) in taken.items()
        )

    def statistics(self) -> Mapping[str, float]:
        """How many people's traits have drifted, and how far on average."""
        shifts = [np.abs(each.shift).mean() for each in self._people.values()]
        return {"people": float(len(shifts)), "mean_drift": float(np.mean(shifts)) if shifts else 0.0}

    def state(self) -> State:
        """All that was learned."""
        people = self._people.values()
        shape = (len(people), len(self._names))
        return {
            "traits": list(self._names),
            "users": list(self._people),
            "told": [each.told for each in people],
            "since": np.array([each.since for each in people], dtype=np.float64),
            "shift": np.array([each.shift for each in people], dtype=np.float64).reshape(shape),
            "moved": np.array([each.moved for each in people], dtype=np.float64).reshape(shape),
        }

    def load(self, state: State) -> None:
        """Become what `state` gave. Raises ValueError where it doesn't fit."""
        try:
            names, users, told = (list(state[key]) for key in ("traits", "users", "told"))
            since, shift, moved = (
                np.array(state[key], dtype=np.float64) for key in ("since", "shift", "moved")
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"drift: the state lacks or garbles {error}") from None
        count, shape = len(users), (len(users), len(self._names))
        if names != list(self._names):
            raise ValueError(f"drift: the state is of the traits {names}, not {list(self._names)}")
        if len(told) != count or since.shape != (count,) or shift.shape != shape or moved.shape != shape:
            raise ValueError("drift: users and their numbers differ in length")
        if len(set(users)) < count or not (np.isfinite(moved).all() and (np.abs(shift) <= self.reach).all()):
            raise ValueError(f"drift: a user comes twice, or a trait drifted further than {self.reach:g}")
        rows = zip(users, told, since.tolist(), shift, moved, strict=True)
        self._people = OrderedDict((user, _Drifted(*row)) for user, *row in rows)

    def _clear(self, reward: float) -> float:
        return min(max(reward / self.scale, -1.0), 1.0)

    def _said(self, candidates: Candidates) -> Floats:
        """How much better each candidate suits those high in each trait than those low, -1 to 1, shape (n, traits)."""
        said = [
            self.suits(name, candidates, high=True) - self.suits(name, candidates, high=False)
            for name in self._names
        ]
        return np.stack(said, axis=1)

    def _of_all(self, catalog: CatalogSnapshot) -> tuple[Floats, Floats]:
        """What every row says, shape (rows, traits), and its deviation over the catalogue, shape (traits,)."""

        def measured() -> tuple[Floats, Floats]:
            said = np.zeros((len(catalog), len(self._names)))
            said[catalog.live] = of_live = self._said(Candidates(catalog, catalog.live))
            return said, of_live.std(axis=0) if len(of_live) else np.zeros(len(self._names))

        return catalog.cached(self._key, measured)


def _traits_digest(traits: Mapping[Trait, float]) -> str:
    return hashlib.blake2b(repr(sorted(traits.items())).encode(), digest_size=6).hexdigest()
