"""States of tabular policies: what of a request they tell, and that they can't be mistaken."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tastemaker.core import Candidates, Catalog, Context, Feedback, ItemSchema
from tastemaker.policies.states import Variable, plain, state_of, time_of_day

CATALOG = Catalog(ItemSchema({"title": "text"})).snapshot()
MIDNIGHT = 1_700_006_400.0  # 2023-11-15 in UTC


def state(
    *variables: Mapping[str, Any], hour: float = 0.0, profile: Any = None, situation: Any = None
) -> str:
    context = Context(
        domain="music", user="ann", slate="s", now=MIDNIGHT + hour * 3600, size=5, draws=1, seed=1,
        catalog=CATALOG, history=Candidates(CATALOG, np.empty(0, dtype=np.intp)), feedback=Feedback(),
        profile=profile or {}, situation=situation or {},
    )  # fmt: skip
    return state_of([Variable(**variable) for variable in variables], context)


def test_a_state_can_be_read() -> None:
    found = state(
        {"trait": "openness"}, {"domain": True}, {"situation": "mood"}, {"time_of_day": True},
        hour=8, profile={"openness": 80}, situation={"mood": " Calm "},
    )  # fmt: skip
    assert found == "openness=high|music|mood=calm|morning"


@pytest.mark.parametrize(
    ("value", "bin"),
    [
        (0, "low"), (32.9, "low"), (33, "medium"), (65, "medium"), (66, "high"), (100, "high"), (10**400, "high"),
        (None, "?"), ("80", "?"), (True, "?"), (float("nan"), "?"), ([50], "?"), (float("-inf"), "low"),
    ],
)  # fmt: skip
def test_a_trait_is_low_medium_high_or_unknown(value: Any, bin: str) -> None:
    for profile in (
        {"openness": value},
        {"traits": {"openness": value}},
        {"personality": {"openness": value}},
    ):
        assert state({"trait": "openness"}, profile=profile) == f"openness={bin}"


def test_what_is_not_known_is_a_value_of_its_own() -> None:
    variables: Any = [{"trait": "openness"}, {"profile": "level"}, {"situation": "mood"}]
    assert state(*variables, profile={"traits": "none"}) == "openness=?|level=?|mood=?"


def test_numbers_have_the_bins_of_their_cuts() -> None:
    ages: Any = {"profile": "age", "cuts": [18, 30, 60], "bins": ["child", "young", "adult", "old"]}
    assert [state(ages, profile={"age": age}) for age in (3, 18, 59, 60)] == [
        "age=child", "age=young", "age=adult", "age=old",
    ]  # fmt: skip
    assert state({"situation": "bpm", "cuts": [100]}, situation={"bpm": 99.5}) == "bpm=low"


def test_words_are_those_that_count_in_one_order() -> None:
    listed: Any = {"situation": "mood", "among": ["Calm", "happy"]}
    assert state(listed, situation={"mood": "CALM"}) == "mood=calm"
    assert state(listed, situation={"mood": "odd"}) == "mood=other"
    assert state(listed, situation={"mood": ["happy", "odd", "calm"]}) == "mood=calm+happy"
    assert state(listed, situation={"mood": []}) == "mood=?"
    assert state({"situation": "mood"}, situation={"mood": ["b", "a"]}) == "mood=a+b"
    assert state({"situation": "mood"}, situation={"mood": {"a": 1}}) == "mood=?"


@pytest.mark.parametrize(
    ("hour", "name"),
    [
        (0, "night"), (4.99, "night"), (5, "morning"), (12, "afternoon"), (17, "evening"), (21.99, "evening"),
        (22, "night"),
    ],
)  # fmt: skip
def test_the_time_of_day_is_told_or_that_of_the_clock(hour: float, name: str) -> None:
    assert state({"time_of_day": True}, hour=hour) == name
    assert state({"time_of_day": True, "utc_offset": -9.5}, hour=hour + 9.5) == name
    assert time_of_day(MIDNIGHT + hour * 3600) == name
    assert state({"time_of_day": True}, hour=hour, situation={"time_of_day": "Evening"}) == "evening"
    assert state({"time_of_day": True}, hour=hour, situation={"time_of_day": "noonish"}) == name


@given(st.text(), st.text())
def test_whatever_a_caller_says_a_state_has_its_parts_and_no_more(one: str, other: str) -> None:
    found = state({"situation": "one"}, {"situation": "other"}, situation={"one": one, "other": other})
    parts = [part.split("=") for part in found.split("|")]
    assert [part[0] for part in parts] == ["one", "other"]
    assert [part[1] for part in parts] == [plain(one) or "?", plain(other) or "?"]
    assert len(found) <= 100
    found.encode()
