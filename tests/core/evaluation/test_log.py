"""A log or a target that can't be is refused, and the message says where."""

from typing import Any

import numpy as np
import pytest
from tastemaker.core import TastemakerError
from tastemaker.core.evaluation import EvaluationError, LoggedBandit, LoggedSlates, Target, doubly_robust, ips

GOOD: dict[str, Any] = {"action": [0, 1, 2], "reward": [0.0, 1.0, 0.5], "propensity": [0.2, 1.0, 0.5]}


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("propensity", [0.2, 0.0, 0.5], "propensity is 0 in row 1: it must be above 0 and at most 1"),
        ("propensity", [0.2, 1.1, 0.5], "propensity is 1.1 in row 1: it must be above 0 and at most 1"),
        ("propensity", [0.2, 0.1, -0.5], "propensity is -0.5 in row 2: it must be above 0 and at most 1"),
        ("propensity", [float("nan"), 0.1, 0.5], "propensity is nan in row 0: it must be finite"),
        ("propensity", [0.2, 0.5], r"propensity has the shape \(2,\); it must be \(3,\)"),
        ("reward", [0.0, float("inf"), 0.5], "reward is inf in row 1: it must be finite"),
        ("reward", ["a", "b", "c"], "reward must be numbers"),
        ("reward", [], r"action has the shape \(3,\); it must be \(0,\)"),
        ("action", [0, 1, 0.5], "action is 0.5 in row 2: it must be a whole number from 0"),
        ("action", [0, -1, 1], "action is -1 in row 1: it must be a whole number from 0"),
        ("action", [[0], [1], [2]], r"action has the shape \(3, 1\); it must be \(3,\)"),
        ("position", [0, 1], r"position has the shape \(2,\)"),
        ("position", [0, 1, -1], "position is -1 in row 2"),
        ("predicted", [0.0, 1.0, float("nan")], "predicted is nan in row 2: it must be finite"),
        ("groups", ["ann", "bob"], r"groups has the shape \(2,\)"),
        ("groups", np.array(["ann", None, 3], dtype=object), "groups must be values that sort"),
    ],
)
def test_a_log_that_cannot_be(column: str, values: Any, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        LoggedBandit(**{**GOOD, column: values})


def test_a_log_without_rows() -> None:
    with pytest.raises(EvaluationError, match="nothing to evaluate"):
        LoggedBandit(np.empty(0, dtype=np.intp), np.empty(0), np.empty(0))
    with pytest.raises(EvaluationError, match="nothing to evaluate"):
        LoggedSlates(np.empty((0, 3)), np.empty((0, 3)))


@pytest.mark.parametrize(
    ("probability", "message"),
    [
        ([0.5, 1.5, 0.0], "the target's probability is 1.5 in row 1: it must be from 0 to 1"),
        ([0.5, -0.1, 0.0], "the target's probability is -0.1 in row 1"),
        ([0.5, float("nan"), 0.0], "the target's probability is nan in row 1"),
    ],
)
def test_a_target_that_cannot_be(probability: Any, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        Target(probability)
    with pytest.raises(EvaluationError, match="expected reward has the shape"):
        Target(np.array([0.5, 0.5]), np.array([0.5]))


def test_a_target_of_another_log() -> None:
    with pytest.raises(EvaluationError, match=r"shape \(2,\), the log's propensities \(3,\)"):
        ips(LoggedBandit(**GOOD), Target(np.array([0.5, 0.5])))


def test_columns_become_arrays_of_one_kind() -> None:
    log = LoggedBandit(**GOOD, groups=["bob", "ann", "bob"])  # type: ignore[arg-type]
    assert len(log) == 3
    assert log.reward.dtype == log.propensity.dtype == np.float64
    assert log.action.dtype == np.intp
    assert log.groups is not None
    assert log.groups.tolist() == [1, 0, 1]


def test_rounding_above_one_is_no_error() -> None:
    log = LoggedBandit(np.zeros(1, dtype=np.intp), np.ones(1), np.array([1 + 1e-12]))
    assert ips(log, Target(np.array([1 + 1e-12]))).value == 1


def test_errors_are_of_the_platforms_tree() -> None:
    with pytest.raises(TastemakerError):
        doubly_robust(LoggedBandit(**GOOD), Target(np.ones(3)))
