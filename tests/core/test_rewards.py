"""The reward map: what each kind of interaction is worth."""

from typing import Any

import pytest
from pydantic import ValidationError
from tastemaker.core import Interaction, Occasion
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


def test_a_whole_listen_is_worth_more() -> None:
    table = RewardTable(kinds={"completion": {"per_unit": 0.5, "whole": 0.5}})
    worth = [
        table.reward(Interaction("1", "video", "ann", "up", "completion", 0.0, value=value))
        for value in (0.0, 0.5, 0.99, 1.0)
    ]
    assert worth == [0.0, 0.25, 0.495, 1.0]


LIKE = {"like": 1.0, "play": 0.5}


@pytest.mark.parametrize(
    ("bonus", "done", "earned"),
    [
        ({"repeat": True}, {"kind": "play"}, True),
        ({"repeat": True}, {"kind": "like"}, False),
        ({"within_seconds": 10}, {}, True),
        ({"within_seconds": 9}, {}, False),
        ({"within_seconds": 10, "kinds": ["play"]}, {"kind": "like"}, False),
        ({"situation": {"mood": "sad"}}, {}, True),
        ({"situation": {"mood": "sad"}}, {"situation": {"mood": "calm"}}, False),
        ({"situation": {"place": ["bus", "train"]}}, {"situation": {"place": "train"}}, True),
        ({"situation": {"place": ["bus", "train"]}}, {}, False),
        (
            {"change": {"mood": {"from": "sad", "to": ["calm", "happy"]}}},
            {"situation": {"mood": "calm"}},
            True,
        ),
        (
            {"change": {"mood": {"from": "sad", "to": ["calm", "happy"]}}},
            {"situation": {"mood": "sad"}},
            False,
        ),
        ({"change": {"mood": {"from": "sad", "to": "sad"}}}, {}, False),
        ({"change": {"mood": {"from": "angry", "to": "calm"}}}, {"situation": {"mood": "calm"}}, False),
    ],
)
def test_a_bonus_is_earned_where_all_of_its_conditions_hold(bonus: Any, done: Any, earned: bool) -> None:
    table = RewardTable(kinds=LIKE, bonuses={"more": {"add": 0.3, **bonus}})
    occasion = Occasion(kinds={"play"}, seconds=10.0, situation={"mood": "sad"})
    interaction = Interaction("1", "music", "ann", "so what", **{"kind": "like", "time": 0.0, **done})
    assert table.earned(interaction, occasion) == ({"more": 0.3} if earned else {})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bonuses": {"always": {"add": 1}}}, "a bonus needs a condition"),
        ({"bonuses": {"b": {"add": 1, "repeat": True, "kinds": ["lik"]}}}, "did you mean 'like'"),
        ({"bonuses": {"b": {"add": float("nan"), "repeat": True}}}, "finite"),
        ({"bonuses": {"b": {"add": 1, "within_seconds": 0}}}, "greater than 0"),
        ({"bonuses": {"b": {"add": 1, "change": {"mood": {"from": "sad"}}}}}, "to"),
        ({"at_least": 2, "at_most": 1}, "at_least must not be above at_most"),
    ],
)
def test_bonuses_and_bounds_that_make_no_sense_are_refused(options: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        RewardTable(kinds=LIKE, **options)


def test_bounds_hold_what_an_item_is_worth() -> None:
    table = RewardTable(kinds=LIKE, at_least=-1, at_most=2)
    assert [table.bounded(worth) for worth in (-5.0, 0.5, 5.0)] == [-1.0, 0.5, 2.0]
    assert RewardTable(kinds=LIKE).bounded(5.0) == 5.0
