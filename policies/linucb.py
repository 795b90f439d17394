"""Linear bandits: what an item is worth to whoever asks is a linear function of features, learned by ridge regression.

`linucb.ranker` is LinUCB (Li et al. 2010, "A Contextual-Bandit Approach to Personalized News Article
Recommendation"): the score is the mean and a bonus for what is not known yet,

    θᵀx + alpha · s · √(xᵀ A⁻¹ x),     A = λI + Σ x xᵀ,   θ = A⁻¹ Σ r x.

`mode: shared` has one model for all items, `disjoint` one for each arm (Algorithm 1), `hybrid` both (Algorithm 2). An
arm is an item, or a value of the category field in `arms`. Arms that are items see the features of the request
alone: an item's own features are the same each time, and say no more than the constant. `linucb.thompson` draws from
the same posterior, scaled by v (Agrawal & Goyal 2013): θ ~ N(θ, v² s² A⁻¹).

A reward r counts as the share (r - low) / (high - low), clipped to 0..1, so that scores are on the scale of all
others. s is as wide as the rewards need, without tuning. Where much is known, an estimate is off by the noise that
the model leaves, σ² = (Σ r² - Σ bᵀθ + ¼) / (n + 1), as if one outcome had been pure noise. Where nothing is known,
it is off by what may be there to be learned, τ² = (Σ r² + ¼) / (n + 1), however little noise there is. With
ρ = λ xᵀA⁻¹x / |x|², the share of x that is unknown,

    s² = (1 - ρ²) σ² + ρ² τ².

Like A and b, σ and τ are made of sums over the log.

The vector x of every candidate is logged with the slate, and is the one that is learned from. What comes without it
(feedback without a slate) is not learned.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PrivateAttr, model_validator

from ..core import AnyField, Arms, Candidates, Context, FieldType, Outcomes, Policy, Scores, State, hookimpl
from .arrays import array_of
from .features import Feature, Features, misfits
from .hybrid import Hybrid
from .inverse import Floats, Numbers, Singles
from .models import Disjoint, Shared

_MOST_COLUMNS = 512
_MOST_OWN_COLUMNS = 128
"""Every arm of its own holds a triangle of this width."""
_STEPS = 20
"""In how many steps evidence fades to a half."""
_DAY = 86_400.0
_TIED = 6
"""Decimals in which scores must differ so as not to be tied: they are computed in float32."""


class _Linear(Policy):
    """What both have in common: options, features, statistics."""

    blocking: ClassVar[bool] = False

    mode: Literal["shared", "disjoint", "hybrid"] = "shared"
    features: tuple[Feature, ...] = Field(
        default=(Feature(embedding=16),),
        min_length=1,
        description="What the worth of an item may depend on; a constant is always there.",
    )
    arms: AnyField | None = Field(
        default=None,
        description="A category field, for one model for each of its values; without it, one for each item.",
    )
    low: float = Field(
        default=0.0, allow_inf_nan=False, description="The reward that counts as a full failure."
    )
    high: float = Field(
        default=1.0, allow_inf_nan=False, description="The reward that counts as a full success."
    )
    prior: float = Field(
        default=1.0,
        ge=1e-3,
        le=1e6,
        description="The ridge λ: how many outcomes the belief that nothing matters is worth.",
    )
    discount: float = Field(
        default=1.0,
        ge=1e-6,
        le=1,
        description="How much evidence that is one day old still counts; 1 never forgets.",
    )

    _features: Features = PrivateAttr()
    _own: NDArray[np.intp] = PrivateAttr()
    _arms: Arms = PrivateAttr()
    _model: Shared | Disjoint | Hybrid = PrivateAttr()
    _count: float = PrivateAttr()
    _squares: float = PrivateAttr()
    _step: float = PrivateAttr()

    @model_validator(mode="after")
    def _fits(self) -> "_Linear":
        if self.low >= self.high:
            raise ValueError(f"low must be below high, not {self.low:g} and {self.high:g}")
        if self.mode == "shared" and self.arms is not None:
            raise ValueError("`arms` goes with mode disjoint or hybrid: a shared model has no arms")
        features = Features(self.features)
        self._bounded(features.columns, _MOST_COLUMNS)
        if len(own := self._own_columns(features)) > _MOST_OWN_COLUMNS:
            raise ValueError(
                f"each arm has a model of its own with {len(own)} columns, and may have at most {_MOST_OWN_COLUMNS}: "
                "declare fewer, or use mode shared"
            )
        return self

    @staticmethod
    def _bounded(columns: Mapping[str, int], most: int) -> None:
        width = 1 + sum(columns.values())
        if width > most:
            widest = sorted(columns.items(), key=lambda entry: -entry[1])[:3]
            said = ", ".join(f"{name} {count}" for name, count in widest)
            raise ValueError(
                f"the features have {width} columns, and may have at most {most} (widest: {said})"
            )

    def misfits(self, fields: Mapping[str, FieldType]) -> Iterable[tuple[str, str]]:
        """`arms` must be a category: an item has one arm."""
        yield from misfits(self.features, fields)
        if self.arms is not None and fields.get(self.arms, "category") != "category":
            yield "arms", f"{self.arms!r} is {fields[self.arms]}, and must be a category: an item has one arm"

    def model_post_init(self, _: Any) -> None:
        """Start with nothing learned."""
        self._features = Features(self.features)
        self._own = self._own_columns(self._features)
        self._reset()

    def _own_columns(self, features: Features) -> NDArray[np.intp]:
        """The columns that the models of single arms see."""
        if self.mode == "shared":
            return np.empty(0, dtype=np.intp)
        if self.mode == "disjoint" and self.arms is not None:
            return np.arange(features.width)
        return features.of_request

    def _reset(self) -> None:
        self._arms = Arms()
        if self.mode == "shared":
            self._model = Shared(self._features.width, self.prior)
        elif self.mode == "disjoint":
            self._model = Disjoint(len(self._own), self.prior)
        else:
            self._model = Hybrid(self._features.width, len(self._own), self.prior)
        self._count = self._squares = 0.0
        self._step = -1.0

    @property
    def noise(self) -> float:
        """σ: the deviation of rewards, as shares from 0 to 1, from what the model makes of them."""
        return math.sqrt((max(self._squares - self._model.explained, 0.0) + 0.25) / (self._count + 1.0))

    @property
    def size(self) -> float:
        """τ: the root mean square of rewards, as shares from 0 to 1."""
        return math.sqrt((max(self._squares, 0.0) + 0.25) / (self._count + 1.0))

    def _measure(self, context: Context, candidates: Candidates) -> tuple[Singles, Numbers]:
        """The vectors of candidates (n, width) and their arms (n,), noted for when their outcomes come."""
        features = self._features
        logged = features.measured(context, candidates)
        candidates.memo["x"] = logged
        context.memo["features"] = features.digest
        if self.mode == "shared":
            arms = np.ones(len(candidates), dtype=np.intp)
        elif self.arms is None:
            arms = self._arms.of(candidates).astype(np.intp)
        else:
            codes, places = np.unique(candidates.codes(self.arms), return_inverse=True)
            words = candidates.words(self.arms).words(codes)
            arms = self._arms.known(words.tolist())[places]
            candidates.memo["arm"] = words.astype(str)[places]
        # Models of items see what is the same for all candidates.
        by_item = self.mode == "disjoint" and self.arms is None
        return features.served(logged[:1] if by_item else logged), arms

    def _estimates(self, x: Singles, arms: Numbers) -> tuple[Singles, Singles, Singles]:
        """Means, widths √(xᵀ A⁻¹ x), and |x|² of vectors (n, width) of arms (n,), each of shape (n,).

        Where the models see the same for all candidates, |x|² has the shape (1,).
        """
        own, model = x[:, self._own], self._model
        if isinstance(model, Shared):
            return x @ model.coefficients, np.sqrt(_squared(x @ model.factor)), _squared(x)
        if isinstance(model, Hybrid):
            means, variances = model.estimates(arms, x, own[:1])
            return means, np.sqrt(variances), _squared(x) + _squared(own[:1])
        if self.arms is None:
            (means,), (variances,) = model.grid(arms, own[:1])
            return means, np.sqrt(variances), _squared(own[:1])
        means, variances = model.estimates(arms, own)
        return means, np.sqrt(variances), _squared(own)

    def _scales(self, widths: Singles, lengths: Singles) -> Singles:
        """s, by which widths count, from the widths and |x|²; shape (n,)."""
        noise, size = self.noise**2, self.size**2
        unknown = np.minimum(widths * widths * (self.prior / lengths), 1)
        scales: Singles = np.sqrt(noise + (size - noise) * (unknown * unknown))
        return scales

    def learn(self, outcomes: Outcomes) -> None:
        """Take in what was logged with its features. Corrections of an earlier outcome change its reward alone."""
        known = [
            place
            for place, memo in enumerate(outcomes.memos)
            if memo.get("features") == self._features.digest
            and memo.get("x") is not None
            and (self.arms is None or memo.get("arm") is not None)
        ]
        if not known:
            return
        memos = [outcomes.memos[place] for place in known]
        x = self._features.vectors(np.array([memo["x"] for memo in memos], dtype=np.int16))
        if self.mode == "shared":
            arms = np.ones(len(known), dtype=np.intp)
        else:
            keys = [outcomes.items[place] for place in known] if self.arms is None else None
            arms = self._arms.learned([memo["arm"] for memo in memos] if keys is None else keys)
        first, total = outcomes.first[known], outcomes.total[known]
        now = self._share(total)
        before = np.where(first, 0.0, self._share(total - outcomes.reward[known]))
        start = 0
        for stop, step in self._stretches(outcomes.time[known]):
            self._fade(step)
            part = slice(start, stop)
            self._take(arms[part], x[part], now[part], before[part], first[part])
            start = stop
        self._model.settle()

    def _take(self, arms: Numbers, x: Floats, now: Floats, before: Floats, first: NDArray[np.bool_]) -> None:
        model, own, gained = self._model, x[:, self._own], now - before
        if isinstance(model, Shared):
            model.learn(x, gained, first)
        else:
            model.reserve(len(self._arms))
            if isinstance(model, Hybrid):
                model.learn(arms, x, own, gained, first)
            else:
                model.learn(arms, own, gained, first)
        # One by one: sums of sums depend on how they are cut, and what has faded is no whole number.
        for new, more in zip(first.tolist(), (now * now - before * before).tolist(), strict=True):
            self._count += new
            self._squares += more

    def _stretches(self, time: Floats) -> Iterable[tuple[int, float]]:
        """Where each stretch of outcomes ends that no fading divides, and the step of time that it is in."""
        if self.discount == 1:
            return [(len(time), self._step)]
        length = -_DAY / math.log2(self.discount) / _STEPS
        steps = np.maximum.accumulate(np.maximum(np.floor(time / length), self._step))
        ends = [*(np.flatnonzero(np.diff(steps)) + 1).tolist(), len(time)]
        return [(end, float(steps[end - 1])) for end in ends]

    def _fade(self, step: float) -> None:
        if step <= self._step:
            return
        if self._step >= 0:
            share = 2.0 ** ((self._step - step) / _STEPS)
            self._model.fade(share)
            self._count *= share
            self._squares *= share
        self._step = step

    def _share(self, reward: Floats) -> Floats:
        """The share of a success that a reward counts as, shape (n,)."""
        return np.clip((reward - self.low) / (self.high - self.low), 0.0, 1.0)

    def state(self) -> State:
        """All that was learned."""
        sums = np.array([self._count, self._squares, self._step])
        kept = {"schema": self._schema(), "arms": self._arms.ids, "sums": sums}
        return {**kept, **self._model.state()}

    def load(self, state: State) -> None:
        """Become what `state` gave. Raises ValueError where it doesn't fit."""
        if state.get("schema") != self._schema():
            raise ValueError(
                f"this state is of {state.get('schema')!r}, not of {self._schema()!r}: another mode or other features"
            )
        ids = state.get("arms")
        if not isinstance(ids, list) or not all(isinstance(identity, str) for identity in ids):
            raise ValueError("arms must be a list of texts")
        if len(set(ids)) < len(ids):
            raise ValueError("arms must be texts, each of them once")
        sums = array_of(state, "sums", np.float64)
        if sums.shape != (3,) or sums[0] < 0:
            raise ValueError("sums must be a count, a sum of squares and a step of time")
        fresh = type(self).model_validate({name: getattr(self, name) for name in type(self).model_fields})
        fresh._model.load(state, len(ids))
        self._model, self._arms = fresh._model, Arms(ids)
        self._count, self._squares, self._step = sums.tolist()

    def _schema(self) -> str:
        arms = "" if self.mode == "shared" else f" by {self.arms or 'item'}"
        return f"{self.mode}{arms}, {self._features.width} columns, {self._features.digest}"

    def explain(self, item: str, memo: Mapping[str, Any]) -> str:
        """What the model makes of an item now, with the features that were logged when it was ranked."""
        if not item or memo.get("features") != self._features.digest or memo.get("x") is None:
            return ""
        x = self._features.served(np.array([memo["x"]], dtype=np.int16))
        if self.mode == "shared":
            arm = np.ones(1, dtype=np.intp)
        else:
            arm = self._arms.known([item if self.arms is None else str(memo.get("arm"))])
        means, widths, lengths = self._estimates(x, arm)
        deviation = float((widths * self._scales(widths, lengths))[0])
        return self._said(float(means[0]), deviation, float(widths[0] * np.sqrt(self.prior / lengths[0])))

    def _said(self, mean: float, deviation: float, unknown: float) -> str:
        """A mean in words; unknown: the width as a share of what it was before anything was learned."""
        raise NotImplementedError


class Ranker(_Linear):
    """Learns what an item's features are worth, and adds a bonus for what it knows little of (LinUCB)."""

    mode: Literal["shared", "disjoint", "hybrid"] = Field(
        default="shared",
        description="One model for all items, one for each arm, or both: a shared one and what each arm adds.",
    )
    alpha: float = Field(
        default=0.75,
        ge=0,
        le=1e3,
        description="How many deviations the bonus is: 0 takes what seems best, more explores more.",
    )

    def rank(self, context: Context, candidates: Candidates) -> Scores:
        """Upper bounds of each candidate's worth, shape (n,); with ties, (context.draws, n), broken at random."""
        x, arms = self._measure(context, candidates)
        if len(arms) == 0:
            return np.zeros(0)
        means, widths, lengths = self._estimates(x, arms)
        scores: Singles = means + self.alpha * widths * self._scales(widths, lengths)
        ordered = np.sort(np.round(scores, _TIED))
        if (ordered[1:] != ordered[:-1]).all():
            return scores
        return scores + context.rng.random((context.draws, len(scores))) * (2 * 10.0**-_TIED)

    def _said(self, mean: float, deviation: float, unknown: float) -> str:
        return f"θ·x = {mean:.2f}, bonus {self.alpha * deviation:.2f}: {_knowledge(unknown)}"


class Thompson(_Linear):
    """Learns what an item's features are worth, and ranks by a draw from what is known (linear Thompson sampling)."""

    mode: Literal["shared", "disjoint"] = Field(
        default="shared", description="One model for all items, or one for each arm."
    )
    v: float = Field(
        default=0.3,
        ge=0,
        le=1e3,
        description="How many deviations of the posterior the draws have: 0 takes what seems best.",
    )

    def rank(self, context: Context, candidates: Candidates) -> Scores:
        """Draws of each candidate's worth, shape (context.draws, n).

        Candidates that share a model share its draw: their scores go together.
        """
        x, arms = self._measure(context, candidates)
        if len(arms) == 0:
            return np.zeros((context.draws, 0))
        model = self._model
        if isinstance(model, Shared):
            return self._drawn(context, x, model.factor, model.coefficients)
        if self.arms is None:  # no two candidates share a model: their draws are independent
            means, widths, lengths = self._estimates(x, arms)
            drawn = context.rng.standard_normal((context.draws, len(arms)), dtype=np.float32)
            drawn *= self.v * widths * self._scales(widths, lengths)
            return np.add(drawn, means, out=drawn)
        assert isinstance(model, Disjoint)
        own = x[:, self._own]
        # Values that nobody tried are all arm 0, and still have a model each.
        kinds, places = np.unique(candidates.codes(self.arms), return_index=True)
        of_candidate = np.searchsorted(kinds, candidates.codes(self.arms))
        worth = np.empty((context.draws, len(own)), dtype=np.float32)
        for kind, arm in enumerate(arms[places].tolist()):
            mine = of_candidate == kind
            worth[:, mine] = self._drawn(context, own[mine], model.factor(arm), model.coefficients(arm))
        return worth

    def _drawn(self, context: Context, x: Singles, factor: Singles, theta: Singles) -> Singles:
        """Draws of what vectors (n, width) of one model are worth, shape (context.draws, n)."""
        spread = x @ factor
        scales = self.v * self._scales(np.sqrt(_squared(spread)), _squared(x))
        drawn = context.rng.standard_normal((context.draws, x.shape[1]), dtype=np.float32) @ spread.T
        drawn *= scales
        drawn += x @ theta
        return drawn

    def _said(self, mean: float, deviation: float, unknown: float) -> str:
        return f"θ·x = {mean:.2f} ± {self.v * deviation:.2f}: {_knowledge(unknown)}"


def _squared(x: Singles) -> Singles:
    """|x|² of vectors (n, d), shape (n,)."""
    squared: Singles = np.einsum("nd,nd->n", x, x)
    return squared


def _knowledge(unknown: float) -> str:
    if unknown > 0.5:
        return "little is known of this kind"
    return "something is known of this kind" if unknown > 0.15 else "much is known of this kind"


@hookimpl
def components() -> list[type[Policy]]:
    """What this plugin offers."""
    return [Ranker, Thompson]
