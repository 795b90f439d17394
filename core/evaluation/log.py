"""The logged data that an evaluation starts from, and the policy that it is about."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EvaluationError

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_ABOVE_ONE = 1e-9
"""How far rounding may carry a probability above 1."""


@dataclass(frozen=True, eq=False)
class LoggedBandit:
    """What was shown one at a time, and what it earned: n rows.

    action: which item was shown, as numbers from 0, shape (n,).
    reward: what it earned, shape (n,).
    propensity: the probability with which the logging policy showed it, in (0, 1], shape (n,).
    position: where it stood, from 0, shape (n,).
    predicted: the reward that a model expects of the logged action in its context, shape (n,). The model must not
        have been fitted on the row that it predicts: fit on other rows (cross-fitting) or on an earlier log.
    groups: rows of one group, such as those of one user, depend on each other; any values that sort, shape
        (n,); kept as numbers. Intervals are then made over groups. Without it, rows count as independent.

    What isn't float64 (`action` and `position`: whole numbers) is converted. Raises EvaluationError where a column
    has another shape, is not finite or is out of range.
    """

    action: Ints
    reward: Floats
    propensity: Floats
    position: Ints | None = None
    predicted: Floats | None = None
    groups: Ints | None = None

    def __post_init__(self) -> None:
        shape = (len(self.reward),)
        _set(self, "action", _whole("action", self.action, shape))
        _set(self, "reward", _numbers("reward", self.reward, shape))
        _set(self, "propensity", _propensities(self.propensity, shape))
        if self.position is not None:
            _set(self, "position", _whole("position", self.position, shape))
        if self.predicted is not None:
            _set(self, "predicted", _numbers("predicted", self.predicted, shape))
        if self.groups is not None:
            _set(self, "groups", _groups(self.groups, len(self)))

    def __len__(self) -> int:
        return len(self.reward)


@dataclass(frozen=True, eq=False)
class LoggedSlates:
    """What was shown as slates of k positions, and what each position earned: n slates.

    reward: what each position earned, best position first, shape (n, k). Where positions count differently, times
        their weight.
    propensity: a probability for each position, in (0, 1], shape (n, k). For `independent_ips`: that this item stood
        at this position, given the context. For the cascade estimators: that it did, given the context and the items
        above it.
    predicted: for `cascade_doubly_robust`, the reward that a model expects from this position and all below it, given
        the context and the items down to this position, shape (n, k).
    groups: as in `LoggedBandit`, of slates, shape (n,).

    A slate of fewer than k items is filled up with rewards of 0 and probabilities of 1. Raises EvaluationError as
    `LoggedBandit` does.
    """

    reward: Floats
    propensity: Floats
    predicted: Floats | None = None
    groups: Ints | None = None

    def __post_init__(self) -> None:
        shape = np.shape(self.reward)
        if len(shape) != 2 or shape[1] == 0:
            raise EvaluationError(
                f"the rewards of slates must have the shape (slates, positions), not {shape}"
            )
        _set(self, "reward", _numbers("reward", self.reward, shape))
        _set(self, "propensity", _propensities(self.propensity, shape))
        if self.predicted is not None:
            _set(self, "predicted", _numbers("predicted", self.predicted, shape))
        if self.groups is not None:
            _set(self, "groups", _groups(self.groups, len(self)))

    def __len__(self) -> int:
        return len(self.reward)


@dataclass(frozen=True, eq=False)
class Target:
    """A policy to be evaluated, as far as a log asks about it.

    probability: that it would have done what was logged, in [0, 1], of the same kind and shape as the log's
        propensities: (n,), or (n, k) for slates.
    expected: the model's prediction averaged over what the policy would do in the row's context, Σ_a π(a|x) q(x, a),
        shape (n,). For slates: given the items above the position, shape (n, k).

    Raises EvaluationError where a value is not finite or is no probability.
    """

    probability: Floats
    expected: Floats | None = None

    def __post_init__(self) -> None:
        shape = np.shape(self.probability)
        probability = _numbers("the target's probability", self.probability, shape)
        wrong = (probability < 0) | (probability > 1 + _ABOVE_ONE)
        _refuse("the target's probability", probability, wrong, "must be from 0 to 1")
        _set(self, "probability", probability)
        if self.expected is not None:
            _set(self, "expected", _numbers("the target's expected reward", self.expected, shape))


def weights(log: LoggedBandit | LoggedSlates, target: Target) -> Floats:
    """How much more probable the target makes what was logged: π(a|x) / p, shape of the propensities."""
    if target.probability.shape != log.propensity.shape:
        raise EvaluationError(
            f"the target's probabilities have the shape {target.probability.shape}, "
            f"the log's propensities {log.propensity.shape}: they must be the same"
        )
    return target.probability / log.propensity


def model(log: LoggedBandit | LoggedSlates, target: Target) -> tuple[Floats, Floats]:
    """The predictions for the logged actions, and those expected under the target, each shaped as the rewards."""
    if log.predicted is None:
        raise EvaluationError("this estimator needs a model: give the log its `predicted` rewards")
    if target.expected is None:
        raise EvaluationError("this estimator needs a model: give the target its `expected` rewards")
    return log.predicted, target.expected


def _set(instance: object, name: str, value: object) -> None:
    object.__setattr__(instance, name, value)


def _numbers(name: str, values: Any, shape: tuple[int, ...]) -> Floats:
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise EvaluationError(f"{name} must be numbers") from None
    if numbers.shape != shape:
        raise EvaluationError(f"{name} has the shape {numbers.shape}; it must be {shape}")
    if len(numbers) == 0:
        raise EvaluationError(f"{name} has no rows: there is nothing to evaluate")
    _refuse(name, numbers, ~np.isfinite(numbers), "must be finite")
    return numbers


def _propensities(values: Any, shape: tuple[int, ...]) -> Floats:
    numbers = _numbers("propensity", values, shape)
    wrong = (numbers <= 0) | (numbers > 1 + _ABOVE_ONE)
    _refuse("propensity", numbers, wrong, "must be above 0 and at most 1")
    return numbers


def _whole(name: str, values: Any, shape: tuple[int, ...]) -> Ints:
    numbers = _numbers(name, values, shape)
    _refuse(name, numbers, (numbers < 0) | (numbers % 1 != 0), "must be a whole number from 0")
    return numbers.astype(np.intp)


def _groups(values: Any, rows: int) -> Ints:
    names = np.asarray(values)
    if names.shape != (rows,):
        raise EvaluationError(f"groups has the shape {names.shape}; it must be {(rows,)}")
    try:
        return np.unique(names, return_inverse=True)[1]
    except TypeError:
        raise EvaluationError("groups must be values that sort: all texts, or all numbers") from None


def _refuse(name: str, values: Floats, wrong: NDArray[np.bool_], rule: str) -> None:
    places = np.argwhere(wrong)
    if len(places):
        where = f"row {places[0][0]}" + (f", position {places[0][1]}" if wrong.ndim == 2 else "")
        raise EvaluationError(f"{name} is {values[tuple(places[0])]:g} in {where}: it {rule}")
