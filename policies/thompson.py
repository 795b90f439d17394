"""Thompson sampling for items: draw what each is worth from what is known of it, and rank by the draw.

Beta–Bernoulli, as in Chapelle & Li 2011 ("An Empirical Evaluation of Thompson Sampling", Algorithm 2). Rewards
needn't be 0 or 1: a reward r counts as the fraction p = (r - low) / (high - low), clipped to 0..1, of a success and
as 1 - p of a failure, which keeps the posterior mean at the mean of p (the deterministic form of Agrawal & Goyal
2012, Algorithm 2).

For an item with S successes and F failures the draw is θ ~ Beta(successes + S, failures + F), the prior being the
options of those names. With a discount d < 1, evidence that is t days old counts d^t; time is the log's.
With `scope: user` the counts are each user's own. With `scope: both`, the user's draw starts from the community's:
θ_c ~ community posterior, then θ ~ Beta(strength · θ_c + S_u, strength · (1 - θ_c) + F_u).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PrivateAttr, model_validator

from ..core import Arms, Candidates, Context, Outcomes, Policy, State, hookimpl

Floats = NDArray[np.float64]

_DAY = 86_400.0
_REBASE_AT = 300.0
"""Evidence is weighted by 2^(t / half-life) with t from a fixed origin; the origin moves before that overflows."""


class Ranker(Policy):
    """Learns how well each item is liked, and ranks the shortlist by a draw from what is known (Thompson)."""

    blocking: ClassVar[bool] = False

    low: float = Field(
        default=0.0, allow_inf_nan=False, description="The reward that counts as a full failure."
    )
    high: float = Field(
        default=1.0, allow_inf_nan=False, description="The reward that counts as a full success."
    )
    successes: float = Field(default=1.0, gt=0, le=1e6, description="Successes of the prior (Beta's alpha).")
    failures: float = Field(default=1.0, gt=0, le=1e6, description="Failures of the prior (Beta's beta).")
    discount: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="How much evidence that is one day old still counts; 1 never forgets.",
    )
    scope: Literal["global", "user", "both"] = Field(
        default="global", description="Whose feedback counts: everybody's, the user's own, or both."
    )
    strength: float = Field(
        default=10.0,
        gt=0,
        le=1e6,
        description="With `scope: both`: how many outcomes of one's own weigh as much as the community's view.",
    )

    _items: "_Evidence" = PrivateAttr()
    _users: "_Evidence" = PrivateAttr()

    @model_validator(mode="after")
    def _ordered(self) -> "Ranker":
        if self.low >= self.high:
            raise ValueError(f"low must be below high, not {self.low:g} and {self.high:g}")
        return self

    def model_post_init(self, _: Any) -> None:
        """Start with nothing learned."""
        self._items = _Evidence(self.discount)
        self._users = _Evidence(self.discount)

    def rank(self, context: Context, candidates: Candidates) -> Floats:
        """Draws of each candidate's worth from 0 to 1, shape (context.draws, n)."""
        draws = (context.draws, len(candidates))
        if self.scope == "user":
            won, lost = self._users.of_user(context.user, candidates, context.now)
            return context.rng.beta(self.successes + won, self.failures + lost, draws)
        won, lost = self._items.of(candidates, context.now)
        worth = context.rng.beta(self.successes + won, self.failures + lost, draws)
        if self.scope == "global":
            return worth
        won, lost = self._users.of_user(context.user, candidates, context.now)
        own = (won > 0) | (lost > 0)
        prior = np.clip(worth, 1e-6, 1 - 1e-6) * self.strength
        drawn = context.rng.beta(prior[:, own] + won[own], self.strength - prior[:, own] + lost[own])
        worth[:, own] = drawn
        return worth

    def learn(self, outcomes: Outcomes) -> None:
        """Count fractions of successes and failures. Corrections of an earlier outcome move what it counted."""
        now = self._share(outcomes.total)
        before = np.where(outcomes.first, 0.0, self._share(outcomes.total - outcomes.reward))
        won = now - before
        lost = np.where(outcomes.first, 1 - now, -won)
        if self.scope != "user":
            self._items.add(outcomes.items, won, lost, outcomes.time)
        if self.scope != "global":
            keys = [f"{user}\n{item}" for user, item in zip(outcomes.users, outcomes.items, strict=True)]
            self._users.add(keys, won, lost, outcomes.time)

    def _share(self, reward: Floats) -> Floats:
        """The share of a success that a reward counts as, shape (n,)."""
        return np.clip((reward - self.low) / (self.high - self.low), 0.0, 1.0)

    def means(self, candidates: Candidates, now: float) -> Floats:
        """The community's posterior mean of each candidate, shape (n,)."""
        won, lost = self._items.of(candidates, now)
        return (self.successes + won) / (self.successes + won + self.failures + lost)

    def state(self) -> State:
        """All that was learned."""
        return {**self._items.state("item"), **self._users.state("user")}

    def load(self, state: State) -> None:
        """Become what `state` gave. Raises ValueError where it doesn't fit."""
        items, users = _Evidence(self.discount), _Evidence(self.discount)
        items.load("item", state)
        users.load("user", state)
        self._items, self._users = items, users

    def explain(self, item: str, memo: Mapping[str, Any]) -> str:
        """What everybody's feedback says of an item."""
        won, lost = self._items.of_id(item)
        if won + lost == 0:
            return "nobody's feedback yet: its worth is drawn from the prior"
        mean = (self.successes + won) / (self.successes + won + self.failures + lost)
        return f"{won:.1f} successes and {lost:.1f} failures so far: worth about {mean:.2f}"


class _Evidence:
    """Successes and failures by key, fading with time.

    Sums are kept multiplied by 1 / d^t, t in days from an origin, so that they only ever grow by additions in log
    order: however the log is cut into batches, the same bits come out.
    """

    def __init__(self, discount: float) -> None:
        self._rate = -math.log2(discount) if discount < 1 else 0.0  # halvings a day
        self._origin = math.nan
        self._latest = -math.inf
        self._arms = Arms()
        self._won = np.zeros(16)
        self._lost = np.zeros(16)

    def add(self, keys: Sequence[str], won: Floats, lost: Floats, time: Floats) -> None:
        """Take evidence in, in log order."""
        if len(won) == 0:
            return
        arms = self._arms.learned(keys)
        if len(self._arms) + 1 > len(self._won):
            room = max(len(self._arms) + 1, 2 * len(self._won))
            self._won = np.concatenate((self._won, np.zeros(room - len(self._won))))
            self._lost = np.concatenate((self._lost, np.zeros(room - len(self._lost))))
        self._latest = max(self._latest, float(time.max()))
        if not self._rate:
            np.add.at(self._won, arms, won)
            np.add.at(self._lost, arms, lost)
            return
        if math.isnan(self._origin):
            self._origin = float(time[0])
        start = 0
        # Where the weights of this stretch would grow too large, the origin moves: at a place in the log, not in
        # the batch, so that the result doesn't depend on batches.
        while start < len(arms):
            halvings = (time[start:] - self._origin) / _DAY * self._rate
            beyond = np.flatnonzero(halvings > _REBASE_AT)
            stop = start + (int(beyond[0]) if len(beyond) else len(halvings))
            weight = np.exp2(halvings[: stop - start])
            np.add.at(self._won, arms[start:stop], won[start:stop] * weight)
            np.add.at(self._lost, arms[start:stop], lost[start:stop] * weight)
            if stop < len(arms):
                shrink = np.exp2(-(time[stop] - self._origin) / _DAY * self._rate)
                self._won *= shrink
                self._lost *= shrink
                self._origin = float(time[stop])
            start = stop

    def of(self, candidates: Candidates, now: float) -> tuple[Floats, Floats]:
        """Successes and failures of candidates as they count now, each of shape (n,)."""
        return self._counts(self._arms.of(candidates), now)

    def of_user(self, user: str, candidates: Candidates, now: float) -> tuple[Floats, Floats]:
        """The same of one user's own."""
        if len(self._arms) == 0:
            nothing = np.zeros(len(candidates))
            return nothing, nothing
        arms = self._arms.known([f"{user}\n{item}" for item in candidates.ids.tolist()])
        return self._counts(arms, now)

    def of_id(self, key: str) -> tuple[float, float]:
        """The same of one key, as it counted when the last evidence came."""
        won, lost = self._counts(self._arms.known([key]), self._latest)
        return float(won[0]), float(lost[0])

    def state(self, name: str) -> dict[str, Any]:
        """All of it, its names beginning with `name`."""
        used = len(self._arms) + 1
        return {
            f"{name}_ids": self._arms.ids,
            f"{name}_won": self._won[:used],
            f"{name}_lost": self._lost[:used],
            f"{name}_times": np.array([self._origin, self._latest]),
        }

    def load(self, name: str, state: Mapping[str, Any]) -> None:
        """Become what `state` gave. Raises ValueError where it doesn't fit."""
        try:
            ids = list(state[f"{name}_ids"])
            won, lost, times = (
                np.array(state[f"{name}_{part}"], dtype=np.float64) for part in ("won", "lost", "times")
            )
        except KeyError as key:
            raise ValueError(f"the state has no {key}") from None
        except TypeError as error:
            raise ValueError(f"{name}: {error}") from None
        if len(set(ids)) < len(ids) or not all(isinstance(identity, str) for identity in ids):
            raise ValueError(f"{name}: ids must be texts, each of them once")
        if won.shape != (len(ids) + 1,) or lost.shape != won.shape or times.shape != (2,):
            raise ValueError(
                f"{name}: {len(ids)} ids don't go with {won.shape} successes, {lost.shape} failures"
            )
        if not (np.isfinite(won).all() and np.isfinite(lost).all()):
            raise ValueError(f"{name}: successes and failures must be finite")
        self._arms, self._won, self._lost = Arms(ids), won, lost
        self._origin, self._latest = float(times[0]), float(times[1])

    def _counts(self, arms: NDArray[Any], now: float) -> tuple[Floats, Floats]:
        won, lost = self._won[arms], self._lost[arms]
        if self._rate and not math.isnan(self._origin):
            fade = 2.0 ** (-(max(now, self._latest) - self._origin) / _DAY * self._rate)
            won, lost = won * fade, lost * fade
        # Corrections may leave a trace below zero.
        return np.maximum(won, 0.0), np.maximum(lost, 0.0)


@hookimpl
def components() -> list[type[Policy]]:
    """What this plugin offers."""
    return [Ranker]
