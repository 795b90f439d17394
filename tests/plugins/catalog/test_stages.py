"""What scorers count, by how long and how much somebody has been here."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tastemaker.core import Candidates
from tastemaker.plugins.catalog import Stages

DAY = 86_400.0
NOW = 1_700_000_000.0
STAGES = [
    {"times": {"own": 2, "heard": 0}},
    {"days": 7, "events": 5, "times": {"own": 1.5, "popular": 0}},
    {"days": 28, "events": 30, "times": {"popular": 0}},
]


@pytest.fixture(scope="module")
def factors(make_catalog: Any, make_context: Any) -> Any:
    snapshot = make_catalog().snapshot()

    def found(days: float | None, events: int, oldest: float = 0.0, **options: Any) -> dict[str, float]:
        history = [("emma", 1.0, "play", oldest)] * events
        profile = {} if days is None else {"since": NOW - days * DAY}
        stages = Stages.model_validate({"stages": STAGES, **options})
        return stages.factors(make_context(snapshot, history, profile=profile, now=NOW))

    return found


def test_each_stage_has_its_own(factors: Any) -> None:
    assert factors(0, 0) == {"own": 2, "heard": 0, "popular": 1}
    assert factors(7, 100) == {"own": 2, "heard": 0, "popular": 1}
    assert factors(10, 100) == {"own": 1.5, "heard": 1, "popular": 0}
    assert factors(28, 100) == {"own": 1.5, "heard": 1, "popular": 0}
    assert factors(31, 100) == {"own": 1, "heard": 1, "popular": 0}


def test_between_stages_it_goes_smoothly(factors: Any) -> None:
    assert factors(8.5, 100) == pytest.approx({"own": 1.75, "heard": 0.5, "popular": 0.5})
    assert factors(29.5, 100) == pytest.approx({"own": 1.25, "heard": 1, "popular": 0})
    assert factors(7, 100, smooth_days=0) == {"own": 1.5, "heard": 1, "popular": 0}


def test_an_old_account_that_did_nothing_is_new(factors: Any) -> None:
    assert factors(400, 0) == factors(0, 0)
    assert factors(400, 5) == factors(0, 0)
    assert factors(400, 10) == {"own": 1.5, "heard": 1, "popular": 0}
    assert factors(400, 35) == {"own": 1, "heard": 1, "popular": 0}


def test_without_a_date_the_oldest_thing_done_tells(factors: Any) -> None:
    assert factors(None, 40, oldest=60) == {"own": 1, "heard": 1, "popular": 0}
    assert factors(None, 40, oldest=2) == factors(2, 40)
    assert factors(None, 0) == factors(0, 0)


@pytest.mark.parametrize(
    ("since", "new"), [("2023-10-01", False), ("rubbish", True), (True, True), (NOW + 9, True)]
)
def test_dates_come_as_they_come(make_catalog: Any, make_context: Any, since: Any, new: bool) -> None:
    stages = Stages.model_validate({"stages": STAGES})
    context = make_context(
        make_catalog().snapshot(), [("emma", 1.0, "play", 0.0)] * 50, profile={"since": since}, now=NOW
    )
    assert (stages.factors(context)["heard"] == 0) is new


@given(st.floats(0, 60), st.floats(0, 1), st.integers(0, 60))
def test_a_little_later_it_is_a_little_different(factors: Any, days: float, step: float, events: int) -> None:
    before, after = factors(days, events), factors(days + step, events)
    assert all(abs(before[name] - after[name]) <= step / 3 * 2 + 1e-9 for name in before)


def test_scores_are_what_is_missing_from_the_scores_above(make_catalog: Any, make_context: Any) -> None:
    snapshot = make_catalog().snapshot()
    candidates = Candidates(snapshot, np.arange(3))
    candidates.scores = {
        "own": np.array([0.1, 0.2, 0.3]),
        "heard": np.array([1.0, 0.0, 0.5]),
        "else": np.ones(3),
    }
    stages = Stages.model_validate({"stages": STAGES})
    found = stages.score(make_context(snapshot, profile={"since": NOW}, now=NOW), candidates)
    assert found == pytest.approx([0.1 - 1.0, 0.2, 0.3 - 0.5])


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ([], "at least 1"),
        ([{"days": 3}], "the first stage begins at 0"),
        ([{}, {"days": 7}, {"days": 5, "events": 9}], "ascend"),
        ([{}, {}], "ascend"),
        ([{"times": {"own": -1}}], "greater than or equal to 0"),
    ],
)
def test_stages_that_do_not_ascend_are_refused(stages: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Stages.model_validate({"stages": stages})
