"""The reward map: what each kind of interaction is worth."""

from typing import Any

import pytest
from pydantic import ValidationError
from tastemaker.core import Interaction
from tastemaker.core.rewards import RewardTable

TABLE = RewardTable(
    kinds={
        "click": 5,
        "skip": -2.5,
        "rating": {1: -5, 3: 0, 5: 10},
        "dwell": {"per_unit": 0.1, "at_least": -1, "at_most": 3},
    }
)


@pytest.mark.parametrize(
    ("kind", "value", "worth"),
    [
        ("click", None, 5.0),
        ("click", 99.0, 5.0),
        ("skip", None, -2.5),
        ("rating", 5.0, 10.0),
        ("rating", 3.0, 0.0),
        ("rating", 4.0, None),
        ("rating", None, None),
        ("dwell", 20.0, 2.0),
        ("dwell", 600.0, 3.0),
        ("dwell", -600.0, -1.0),
        ("dwell", None, None),
        ("wave", None, None),
        ("", 1.0, None),
    ],
)
def test_each_kind_has_its_worth(kind: str, value: float | None, worth: float | None) -> None:
    assert TABLE.reward(Interaction("1", "books", "ann", "emma", kind, 0.0, value=value)) == worth


@pytest.mark.parametrize(
    "rule",
    [
        "much",
        float("nan"),
        float("inf"),
        {"a": 1},
        {1: "much"},
        {"per_unit": 1, "more": 2},
        {"at_most": 1},
        [1],
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(rule: Any) -> None:
    with pytest.raises(ValidationError):
        RewardTable(kinds={"click": rule})
