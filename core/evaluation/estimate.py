"""An estimate of a policy's value: its error, its interval, and whether one can be given.

Every estimator here is a sum of ratios of sums over rows, V = Σ_j (Σ_i N_ij / Σ_i D_ij): one ratio with D = 1 for a
mean, D = w for a self-normalised one, two for a model's mean plus a self-normalised correction, twice as many for
the difference of two policies. So one influence function and one bootstrap serve them all:

    ψ_i = Σ_j (N_ij - ρ_j D_ij) / mean(D_j),    ρ_j = Σ_i N_ij / Σ_i D_ij,    SE = sd(ψ) / √n

which is the delta method for ratios (Owen 2013, "Monte Carlo theory, methods and examples", §9.2 and §2.7). Where
rows come in groups, N_i and D_i are the sums of group i and n is the number of groups (cluster-robust).
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from ..errors import EvaluationError, EvaluationRefused
from .log import LoggedBandit, LoggedSlates
from .overlap import GROUPS, Overlap, Reason, Refusal, variance_share

Floats = NDArray[np.float64]

_AT_ONCE = 1 << 20
"""How many rows are resampled at a time."""
_NOTHING = 1e-12
"""A standard error this small beside the values it is made of is rounding."""


@dataclass(frozen=True, slots=True)
class Interval:
    """From low to high, with the confidence with which it covers the value, such as 0.95."""

    low: float
    high: float
    confidence: float


@dataclass(frozen=True, eq=False)
class Estimate:
    """What a policy would earn per row of a log, or how much more than another.

    estimator: such as `snips`.
    log: what it was made from.
    numerator, denominator: the terms of the ratios of sums, shape (n, ratios).
    weights: importance weights, shape (n, columns); applied: as they were used, clipped or shrunk, of the same shape.

    `value`, `standard_error` and `overlap` are always there, for whoever wants to see why. Intervals are not: while
    `refusals` holds anything, asking for one raises EvaluationRefused.
    """

    estimator: str
    log: LoggedBandit | LoggedSlates
    numerator: Floats
    denominator: Floats
    weights: Floats
    applied: Floats

    @cached_property
    def value(self) -> float:
        """The estimate, in units of the reward; NaN where it is 0 / 0."""
        return float(_value(self.numerator.sum(axis=0), self.denominator.sum(axis=0)))

    @cached_property
    def influence(self) -> Floats:
        """What each independent unit (row, or group by its number) adds to the error: ψ, mean 0, shape (m,)."""
        numerator, denominator = self._units
        if math.isnan(self.value):
            return np.full(len(numerator), np.nan)
        ratios = numerator.sum(axis=0) / denominator.sum(axis=0)
        terms: Floats = (numerator - ratios * denominator) / denominator.mean(axis=0)
        return np.asarray(terms.sum(axis=1))

    @cached_property
    def standard_error(self) -> float:
        """Of the value; NaN with a single unit. Of what a model or a clip hides it knows nothing."""
        count = len(self.influence)
        return float(self.influence.std(ddof=1) / math.sqrt(count)) if count > 1 else math.nan

    @cached_property
    def overlap(self) -> Overlap:
        """How much of the target the log has seen."""
        return Overlap.of(self.weights, self.applied, self.log.groups)

    @cached_property
    def refusals(self) -> tuple[Refusal, ...]:
        """Every reason why no honest interval can be given; empty where one can."""
        return (*self.overlap.refusals(), *self._refusals())

    def interval(self, confidence: float = 0.95) -> Interval:
        """The normal interval, value ± z · SE.

        Its low end is a one-sided bound, too, with confidence (1 + confidence) / 2.
        Raises EvaluationRefused where there are refusals.
        """
        self._admit(confidence)
        reach = float(ndtri((1 + confidence) / 2)) * self.standard_error
        return Interval(self.value - reach, self.value + reach, confidence)

    def bootstrap(
        self, rng: np.random.Generator, *, draws: int = 2_000, confidence: float = 0.95
    ) -> Interval:
        """The percentile interval over logs resampled with replacement (Efron 1979), by row or by group.

        Every draw makes every ratio anew, so that the denominators vary as they do in truth. The same generator
        state gives the same interval. Raises EvaluationRefused where there are refusals.
        """
        self._admit(confidence)
        if draws < 100:
            raise EvaluationError(f"{draws} draws are too few for a bootstrap: give at least 100")
        numerator, denominator = (_Resampled(terms) for terms in self._units)
        count = len(self.influence)
        values = np.empty(draws)
        step = max(1, _AT_ONCE // count)
        for start in range(0, draws, step):
            picks = rng.integers(0, count, size=(min(step, draws - start), count), dtype=np.int32)
            values[start : start + step] = _value(numerator.sums(picks), denominator.sums(picks))
        low, high = np.quantile(values, ((1 - confidence) / 2, (1 + confidence) / 2))
        return Interval(float(low), float(high), confidence)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; `interval` is the one at 95 %, None where it is refused."""
        interval = None if self.refusals else self.interval()
        return {
            "estimator": self.estimator,
            "value": self.value,
            "interval": interval and [interval.low, interval.high],
            "standard_error": self.standard_error,
            "overlap": asdict(self.overlap),
            "refusals": [refusal.as_dict() for refusal in self.refusals],
        }

    @cached_property
    def _units(self) -> tuple[Floats, Floats]:
        """Numerator and denominator, summed up by group, each of shape (m, ratios)."""
        if self.log.groups is None:
            return self.numerator, self.denominator
        summed = np.zeros((2, self.log.groups.max() + 1, self.numerator.shape[1]))
        np.add.at(summed[0], self.log.groups, self.numerator)
        np.add.at(summed[1], self.log.groups, self.denominator)
        return summed[0], summed[1]

    def _refusals(self) -> Iterator[Refusal]:
        """What the influence of single units says against an interval."""
        numerator, denominator = self._units
        unit = "row" if self.log.groups is None else "group"
        if self.log.groups is not None and len(numerator) < GROUPS:
            yield Refusal(Reason.FEW_GROUPS, f"the rows come in {len(numerator)} groups (at least {GROUPS})")
        undefined = math.isnan(self.value)
        scale = 0.0 if undefined else float(np.abs(numerator / denominator.mean(axis=0)).max())
        if undefined or not self.standard_error > _NOTHING * scale:
            yield Refusal(
                Reason.NO_VARIATION,
                f"every {unit} says the same, so how far off they may be can't be told from them",
            )
            return
        squares = np.square(self.influence)
        share, most = float(squares.max() / squares.sum()), variance_share(len(squares))
        if share > most:
            yield Refusal(
                Reason.DOMINANT_ROW,
                f"one {unit} makes up {share:.0%} of the variance (at most {most:.0%}): "
                "too few rewards, or too heavy a weight on one",
            )

    def _admit(self, confidence: float) -> None:
        if not 0 < confidence < 1:
            raise EvaluationError(f"a confidence of {confidence:g} can't be: it lies between 0 and 1")
        if self.refusals:
            reasons = "; ".join(str(refusal) for refusal in self.refusals)
            raise EvaluationRefused(f"no honest interval for {self.estimator}: {reasons}")


def difference(a: Estimate, b: Estimate) -> Estimate:
    """How much more a's policy would earn than b's: paired, row by row of the same log.

    What both policies do alike cancels out, so its error is smaller than that of the two apart. Its overlap is the
    worse of both. Raises EvaluationError where the estimates are of different logs.
    """
    if a.log is not b.log:
        raise EvaluationError("two estimates can be compared on the very same log only")
    name = a.estimator if a.estimator == b.estimator else f"{a.estimator} and {b.estimator}"
    return Estimate(
        f"the difference by {name}",
        a.log,
        np.concatenate((a.numerator, -b.numerator), axis=1),
        np.concatenate((a.denominator, b.denominator), axis=1),
        np.concatenate((a.weights, b.weights), axis=1),
        np.concatenate((a.applied, b.applied), axis=1),
    )


def _value(numerator: Floats, denominator: Floats) -> Floats:
    """The sum of the ratios, NaN where one is 0 / 0; shape (..., ratios) gives shape (...)."""
    undefined = np.full(np.shape(numerator), np.nan)
    ratios: Floats = np.divide(numerator, denominator, out=undefined, where=denominator != 0)
    return np.asarray(ratios.sum(axis=-1))


class _Resampled:
    """Sums of terms over resampled units; a column that never changes needs no resampling."""

    def __init__(self, terms: Floats) -> None:
        self._columns = [np.ascontiguousarray(column) for column in terms.T]
        self._fixed = [bool((column == column[0]).all()) for column in self._columns]

    def sums(self, picks: NDArray[np.int32]) -> Floats:
        """Picks of shape (draws, m) give sums of shape (draws, ratios)."""
        sums = [
            np.full(len(picks), column[0] * picks.shape[1]) if fixed else column[picks].sum(axis=1)
            for column, fixed in zip(self._columns, self._fixed, strict=True)
        ]
        return np.stack(sums, axis=1)
