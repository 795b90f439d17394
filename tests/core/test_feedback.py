"""Feedback: what all users' outcomes say of each item."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tastemaker.core import Catalog, Feedback, Outcomes


@pytest.fixture
def outcomes() -> Callable[..., Outcomes]:
    def made(items: list[str], reward: list[float], first: list[bool]) -> Outcomes:
        count = len(items)
        return Outcomes(
            ["ann"] * count, items, [""] * count, np.array(reward), np.array(reward), np.array(first, dtype=bool),
            np.full(count, np.nan), np.full(count, -1, dtype=np.int32), np.zeros(count), [{}] * count, [{}] * count,
        )  # fmt: skip

    return made


def test_it_counts_outcomes_once_and_rewards_all(
    outcomes: Callable[..., Outcomes], catalog_of: Callable[..., Catalog], everything: Callable[..., Any]
) -> None:
    feedback = Feedback()
    feedback.learn(outcomes(["i1", "i2", "i1"], [1.0, -0.5, 4.0], [True, True, False]))
    feedback.learn(outcomes([], [], []))
    feedback.learn(outcomes([f"x{number}" for number in range(100)], [0.0] * 100, [True] * 100))
    candidates = everything(catalog_of([{}, {}, {}]))
    assert feedback.count(candidates).tolist() == [0, 1, 1]
    assert feedback.reward(candidates).tolist() == [0, 5, -0.5]
    assert feedback.outcomes == 102
    other = Feedback()
    other.load(feedback.state())
    assert other.reward(candidates).tolist() == [0, 5, -0.5]
    assert other.outcomes == 102


def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(outcomes: Callable[..., Outcomes]) -> None:
    feedback = Feedback()
    feedback.learn(outcomes(["i1"], [1.0], [True]))
    with pytest.raises(ValueError, match="differ in length"):
        feedback.load({"ids": ["a", "b"], "count": np.zeros(2), "reward": np.zeros(3)})
    assert feedback.arms.ids == ["i1"]
