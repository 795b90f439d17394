"""How much of a target a log has seen, and when that is too little for an honest interval."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Floats = NDArray[np.float64]

EFFECTIVE_ROWS = 100.0
"""Below this effective sample size there is no interval."""
GROUPS = 30
"""Below this number of groups of dependent rows there is none either."""
WEIGHT_SHARE = 0.05
"""No row may have more than this share of all weight."""
VARIANCE_SHARE = 0.2
"""No row (or group) may have more than this share of the estimate's variance …"""
USUAL_CHANCE = 0.01
"""… unless there are so few that the largest of as many normal ones has it with at least this probability."""
REPLACED_SHARE = 0.5
"""A model, or a clip, may stand in for at most this share of the target's weight."""
WEIGHT_ERRORS = 4.0
"""How many standard errors the mean weight may be off 1 …"""
WEIGHT_OFF = 0.02
"""… unless it is off by no more than this."""


def variance_share(units: int) -> float:
    """The share of the variance that one of so many rows or groups may have.

    >>> [round(variance_share(units), 2) for units in (30, 40, 60, 10_000)]
    [0.31, 0.26, 0.2, 0.2]
    """
    square = float(ndtri(1 - USUAL_CHANCE / (2 * units))) ** 2
    return max(VARIANCE_SHARE, square / (units - 1 + square))


class Reason(StrEnum):
    """Why an estimate is refused an interval."""

    FEW_EFFECTIVE_ROWS = "few effective rows"
    FEW_GROUPS = "few groups"
    DOMINANT_WEIGHT = "one weight dominates"
    DOMINANT_ROW = "one row dominates"
    MISSING_SUPPORT = "missing support"
    WRONG_PROPENSITIES = "wrong propensities"
    MODEL_ONLY = "mostly not from the log"
    NO_VARIATION = "no variation"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason why no interval goes with an estimate; message: for people, with the figures."""

    reason: Reason
    message: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"

    def as_dict(self) -> dict[str, str]:
        """Plain values, for JSON."""
        return {"reason": self.reason.value, "message": self.message}


@dataclass(frozen=True, slots=True)
class Overlap:
    """How much of a target a log has seen. Of several columns of weights (positions, targets), the worst of each.

    rows: how many the log has.
    effective_sample_size: (Σw)² / Σw², in rows (Kish 1965): how many rows logged by the target itself would do as
        well. Of the weights that the estimator used.
    max_weight: the largest of them.
    largest_share: the share of their sum that the largest has.
    mean_weight: of all weights, before any clipping: its expectation is 1 where the propensities are right and the
        log can show whatever the target would.
    mean_weight_error: its standard error.
    replaced: the share of the target's weight that the estimator doesn't take from the log, but from a model or
        nowhere: 0 for IPS and DR, 1 for the direct method.
    """

    rows: int
    effective_sample_size: float
    max_weight: float
    largest_share: float
    mean_weight: float
    mean_weight_error: float
    replaced: float

    @property
    def missing_support(self) -> float:
        """The share of the target's probability on what the log never shows, as far as the mean weight tells."""
        return max(0.0, 1.0 - self.mean_weight)

    @classmethod
    def of(cls, weights: Floats, applied: Floats, groups: NDArray[np.intp] | None = None) -> "Overlap":
        """The overlap from weights before and after clipping, each of shape (n, columns).

        groups: numbers from 0 of rows that depend on each other, shape (n,); None: none do.
        """
        rows = len(weights)
        used, total = applied.sum(axis=0), weights.sum(axis=0)
        squares = np.square(applied).sum(axis=0)
        mean = weights.mean(axis=0)
        error = _error(weights - mean, groups)
        largest = applied.max(axis=0)
        worst = int(np.argmax(np.abs(mean - 1) - np.maximum(WEIGHT_OFF, WEIGHT_ERRORS * error)))
        return cls(
            rows=rows,
            effective_sample_size=float(_ratio(np.square(used), squares, 0.0).min()),
            max_weight=float(largest.max()),
            largest_share=float(_ratio(largest, used, 1.0).max()),
            mean_weight=float(mean[worst]),
            mean_weight_error=float(error[worst]),
            replaced=float((1 - _ratio(used, total, 1.0)).max()),
        )

    def refusals(self) -> Iterator[Refusal]:
        """Why weights like these carry no interval: nothing where they do."""
        if self.replaced > REPLACED_SHARE:
            yield Refusal(
                Reason.MODEL_ONLY,
                f"{self.replaced:.0%} of the target's weight is not taken from the log (at most {REPLACED_SHARE:.0%}), "
                "so nothing there checks the estimate",
            )
            if self.replaced > 1 - 1e-9:
                return
        if self.effective_sample_size < EFFECTIVE_ROWS:
            yield Refusal(
                Reason.FEW_EFFECTIVE_ROWS,
                f"{self.rows} rows count as {self.effective_sample_size:.1f} (at least {EFFECTIVE_ROWS:.0f}): "
                "the target does too seldom what was logged",
            )
        if self.largest_share > WEIGHT_SHARE:
            yield Refusal(
                Reason.DOMINANT_WEIGHT,
                f"one row has {self.largest_share:.0%} of all weight (at most {WEIGHT_SHARE:.0%}), "
                f"{self.max_weight:.4g}",
            )
        off = self.mean_weight - 1
        if abs(off) > max(WEIGHT_OFF, WEIGHT_ERRORS * self.mean_weight_error):
            figures = (
                f"the mean weight is {self.mean_weight:.3f} ± {self.mean_weight_error:.3f} and should be 1"
            )
            if off < 0:
                yield Refusal(
                    Reason.MISSING_SUPPORT,
                    f"{figures}: about {-off:.0%} of what the target does is not in the log",
                )
            else:
                yield Refusal(
                    Reason.WRONG_PROPENSITIES,
                    f"{figures}: the logged propensities are too small, or the target's probabilities too large",
                )


def _error(deviations: Floats, groups: NDArray[np.intp] | None) -> Floats:
    """The standard error of a mean from deviations by row, shape (n, columns); by group where rows depend."""
    rows, units = len(deviations), deviations
    if groups is not None:
        units = np.zeros((groups.max() + 1, deviations.shape[1]))
        np.add.at(units, groups, deviations)
    if len(units) == 1:
        return np.full(deviations.shape[1], np.inf)
    squares: Floats = np.square(units).sum(axis=0) * (len(units) / (len(units) - 1))
    return np.sqrt(squares) / rows


def _ratio(numerator: Floats, denominator: Floats, otherwise: float) -> Floats:
    """The quotient, or `otherwise` where the denominator is 0."""
    ratio: Floats = np.divide(
        numerator, denominator, out=np.full(np.shape(numerator), otherwise), where=denominator > 0
    )
    return ratio
