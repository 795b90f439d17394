"""Thompson sampling for items: draw what each is worth from what is known of it, and rank by the draw.

A reward r counts as the share p = (r - low) / (high - low).

`rewards: bernoulli` (Chapelle & Li 2011, "An Empirical Evaluation of Thompson Sampling", Algorithm 2): p, clipped to
0..1, is a fraction of a success and 1 - p of a failure, which keeps the posterior mean at the mean of p (the
deterministic form of Agrawal & Goyal 2012, Algorithm 2). For an item with S successes and F failures the draw is
θ ~ Beta(successes + S, failures + F), the prior being the options of those names.

`rewards: gaussian`: p isn't clipped, and has an unknown mean and variance, with the conjugate normal-inverse-gamma
prior (Murphy 2007, "Conjugate Bayesian analysis of the Gaussian distribution", section 3) that κ = successes + failures
outcomes of mean m = successes / κ and variance m (1 - m) would leave. After n outcomes of mean x̄ and sum of squared
deviations D

    κ' = κ + n,   m' = (κ m + n x̄) / κ',   a = κ' / 2,   b = (κ m (1 - m) + D + κ n (x̄ - m)² / κ') / 2,
    λ ~ Gamma(a) / b,   θ ~ N(m', 1 / (κ' λ)).

With a discount d < 1, evidence that is t days old counts d^t; time is the log's. With `scope: user` the sums are each
user's own. With `scope: both` a user's belief is shrunk to the community's: what the community's draw says is the prior
of the user's own, as if it were `strength` outcomes: θ ~ Beta(strength · θ_c + S_u, strength · (1 - θ_c) + F_u), or the
normal-inverse-gamma form with m = θ_c, κ = strength and the variance 1 / λ_c.

Feedback may come late, in any order, and be corrected: it counts for the item that it names whenever it comes, and a
draw spreads over what is not known yet meanwhile.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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

    rewards: Literal["bernoulli", "gaussian"] = Field(
        default="bernoulli",
        description="Whether outcomes are taken for parts of a success, or for numbers with a spread of their own.",
    )
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
        self._items, self._users = self._evidence(), self._evidence()

    def _evidence(self) -> "_Evidence":
        return _Evidence(
            self.discount, ("won", "lost") if self.rewards == "bernoulli" else ("won", "lost", "squares")
        )

    def rank(self, context: Context, candidates: Candidates) -> Floats:
        """Draws of each candidate's worth, from 0 to 1 where it is a share, shape (context.draws, n)."""
        shape = (context.draws, len(candidates))
        prior = _Belief(self.successes, self.failures)
        if self.scope == "user":
            own = self._users.of_user(context.user, candidates, context.now)
            return self._drawn(context.rng, prior, own, shape)[0]
        worth, spread = self._drawn(context.rng, prior, self._items.of(candidates, context.now), shape)
        if self.scope == "global":
            return worth
        own = self._users.of_user(context.user, candidates, context.now)
        known = own[:2].any(axis=0)
        theirs = worth[:, known]
        if self.rewards == "bernoulli":
            theirs = np.clip(theirs, 1e-6, 1 - 1e-6)
        shrunk = _Belief(
            theirs * self.strength, (1 - theirs) * self.strength, None if spread is None else spread[:, known]
        )
        worth[:, known] = self._drawn(context.rng, shrunk, own[:, known], theirs.shape)[0]
        return worth

    def _drawn(
        self, rng: np.random.Generator, prior: "_Belief", sums: Floats, shape: tuple[int, int]
    ) -> tuple[Floats, Floats | None]:
        """Draws of what items are worth, and of the variance of their rewards where they have one of their own.

        sums: of each item, by column, shape (columns, n).
        """
        if self.rewards == "bernoulli":
            return rng.beta(prior.successes + sums[0], prior.failures + sums[1], shape), None
        weight, mean, shape_of, rate = prior.given(sums)
        variance = rate / rng.standard_gamma(shape_of, shape)
        return mean + rng.standard_normal(shape) * np.sqrt(variance / weight), variance

    def learn(self, outcomes: Outcomes) -> None:
        """Count fractions of successes and failures. Corrections of an earlier outcome move what it counted."""
        now = self._share(outcomes.total)
        before = np.where(outcomes.first, 0.0, self._share(outcomes.total - outcomes.reward))
        won = now - before
        lost = np.where(outcomes.first, 1 - now, -won)
        gained = np.stack([won, lost] if self.rewards == "bernoulli" else [won, lost, now**2 - before**2])
        if self.scope != "user":
            self._items.add(outcomes.items, gained, outcomes.time)
        if self.scope != "global":
            keys = [f"{user}\n{item}" for user, item in zip(outcomes.users, outcomes.items, strict=True)]
            self._users.add(keys, gained, outcomes.time)

    def _share(self, reward: Floats) -> Floats:
        """The share of a success that a reward counts as, shape (n,)."""
        share: Floats = (reward - self.low) / (self.high - self.low)
        return np.clip(share, 0.0, 1.0) if self.rewards == "bernoulli" else share

    def means(self, candidates: Candidates, now: float) -> Floats:
        """The community's posterior mean of each candidate, shape (n,)."""
        won, lost = self._items.of(candidates, now)[:2]
        means: Floats = (self.successes + won) / (self.successes + won + self.failures + lost)
        return means

    def state(self) -> State:
        """All that was learned."""
        return {**self._items.state("item"), **self._users.state("user")}

    def load(self, state: State) -> None:
        """Become what `state` gave. Raises ValueError where it doesn't fit."""
        items, users = self._evidence(), self._evidence()
        items.load("item", state)
        users.load("user", state)
        self._items, self._users = items, users

    def explain(self, item: str, memo: Mapping[str, Any]) -> str:
        """What everybody's feedback says of an item."""
        if not item:
            return ""
        sums = self._items.of_id(item)
        won, lost = sums[:2].tolist()
        if won == lost == 0:
            return "nobody's feedback yet: its worth is drawn from the prior"
        if self.rewards == "bernoulli":
            mean = (self.successes + won) / (self.successes + won + self.failures + lost)
            return f"{won:.1f} successes and {lost:.1f} failures so far: worth about {mean:.2f}"
        weight, mean, shape, rate = _Belief(self.successes, self.failures).given(sums)
        error = math.sqrt(float(rate) / float(shape) / float(weight))
        return f"{won + lost:.1f} outcomes so far: worth about {float(mean):.2f} ± {error:.2f}"


@dataclass(frozen=True, slots=True)
class _Belief:
    """A prior, as so many successes and failures; variance: of a single outcome, by default as of a coin."""

    successes: "float | Floats"
    failures: "float | Floats"
    variance: "Floats | None" = None

    def given(self, sums: Floats) -> "tuple[Floats, Floats, Floats, Floats]":
        """Weight κ', mean m', shape a and rate b of the normal-inverse-gamma belief after outcomes."""
        prior = np.asarray(self.successes + self.failures, dtype=np.float64)
        expected = self.successes / prior
        variance = expected * (1 - expected) if self.variance is None else self.variance
        won, lost, squares = sums
        count = won + lost
        some = np.where(count > 0, count, 1.0)
        # Where evidence fades, or comes and goes, sums keep rounding errors: no deviation is below 0.
        deviation = np.maximum(squares - won**2 / some, 0.0)
        weight = prior + count
        mean = (self.successes + won) / weight
        off = prior * count / weight * (won / some - expected) ** 2
        return weight, mean, weight / 2, (prior * variance + deviation + off) / 2


class _Evidence:
    """Sums by key, fading with time: of successes, failures and, where asked for, squares.

    Sums are kept multiplied by 1 / d^t, t in days from an origin, so that they only ever grow by additions in log
    order: however the log is cut into batches, the same bits come out.
    """

    def __init__(self, discount: float, columns: Sequence[str]) -> None:
        self._rate = -math.log2(discount) if discount < 1 else 0.0  # halvings a day
        self._origin = math.nan
        self._latest = -math.inf
        self._arms = Arms()
        self._columns = columns
        self._sums = np.zeros((len(columns), 16))

    def add(self, keys: Sequence[str], gained: Floats, time: Floats) -> None:
        """Take evidence in, in log order; gained: by column, shape (columns, n)."""
        if len(time) == 0:
            return
        arms = self._arms.learned(keys)
        if len(self._arms) + 1 > self._sums.shape[1]:
            room = max(len(self._arms) + 1, 2 * self._sums.shape[1]) - self._sums.shape[1]
            self._sums = np.concatenate((self._sums, np.zeros((len(self._sums), room))), axis=1)
        self._latest = max(self._latest, float(time.max()))
        if not self._rate:
            self._count(arms, gained)
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
            self._count(arms[start:stop], gained[:, start:stop] * weight)
            if stop < len(arms):
                self._sums *= np.exp2(-(time[stop] - self._origin) / _DAY * self._rate)
                self._origin = float(time[stop])
            start = stop

    def _count(self, arms: NDArray[np.intp], gained: Floats) -> None:
        for sums, column in zip(self._sums, gained, strict=True):
            np.add.at(sums, arms, column)

    def of(self, candidates: Candidates, now: float) -> Floats:
        """The sums of candidates as they count now, by column, shape (columns, n)."""
        return self._as_of(self._arms.of(candidates), now)

    def of_user(self, user: str, candidates: Candidates, now: float) -> Floats:
        """The same of one user's own."""
        if len(self._arms) == 0:
            return np.zeros((len(self._columns), len(candidates)))
        arms = self._arms.known([f"{user}\n{item}" for item in candidates.ids.tolist()])
        return self._as_of(arms, now)

    def of_id(self, key: str) -> Floats:
        """The same of one key, as it counted when the last evidence came, shape (columns,)."""
        sums: Floats = self._as_of(self._arms.known([key]), self._latest)[:, 0]
        return sums

    def state(self, name: str) -> dict[str, Any]:
        """All of it, its names beginning with `name`."""
        used = len(self._arms) + 1
        return {
            f"{name}_ids": self._arms.ids,
            **{
                f"{name}_{column}": sums[:used]
                for column, sums in zip(self._columns, self._sums, strict=True)
            },
            f"{name}_times": np.array([self._origin, self._latest]),
        }

    def load(self, name: str, state: Mapping[str, Any]) -> None:
        """Become what `state` gave. Raises ValueError where it doesn't fit."""
        try:
            ids = list(state[f"{name}_ids"])
            times = np.array(state[f"{name}_times"], dtype=np.float64)
            sums = [np.array(state[f"{name}_{column}"], dtype=np.float64) for column in self._columns]
        except KeyError as key:
            raise ValueError(f"the state has no {key}") from None
        except TypeError as error:
            raise ValueError(f"{name}: {error}") from None
        if len(set(ids)) < len(ids) or not all(isinstance(identity, str) for identity in ids):
            raise ValueError(f"{name}: ids must be texts, each of them once")
        for column, each in zip(self._columns, sums, strict=True):
            if each.shape != (len(ids) + 1,) or times.shape != (2,):
                raise ValueError(f"{name}: {len(ids)} ids don't go with {column} of shape {each.shape}")
            if not np.isfinite(each).all():
                raise ValueError(f"{name}: {column} must be finite")
        self._arms, self._sums = Arms(ids), np.stack(sums)
        self._origin, self._latest = times.tolist()

    def _as_of(self, arms: NDArray[Any], now: float) -> Floats:
        sums: Floats = self._sums.take(arms, axis=1)
        if self._rate and not math.isnan(self._origin):
            sums = sums * 2.0 ** (-(max(now, self._latest) - self._origin) / _DAY * self._rate)
        # Corrections may leave a trace below zero; where rewards are numbers, a sum of them may well be.
        return np.maximum(sums, 0.0) if len(self._columns) == 2 else sums


@hookimpl
def components() -> list[type[Policy]]:
    """What this plugin offers."""
    return [Ranker]
