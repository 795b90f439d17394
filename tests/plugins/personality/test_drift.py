"""Traits drift with feedback: slowly, within bounds, the same in every process, and told in words."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tastemaker.core import Candidates, Catalog, Context, ItemSchema, Outcomes
from tastemaker.plugins.personality import Drift

TRAITS = {"extraversion": {"ideal": {"energy": 0.9}}, "openness": {"likes": ["folk"], "dislikes": ["pop"]}}
OPTIONS = {"traits": TRAITS, "words": "genres"}
TRACKS = {
    "lively": {"energy": 0.9, "genres": ["dance pop"]},
    "calm": {"energy": 0.1, "genres": ["indie folk"]},
    "middling": {"energy": 0.5, "genres": ["jazz"]},
    "other": {"energy": 0.5, "genres": ["rock"]},
}
PROFILE = {"traits": {"extraversion": 60, "openness": 40}}

Asked = Callable[..., tuple[Context, Candidates]]


@pytest.fixture(scope="module")
def asked(context_of: Callable[..., Context]) -> Asked:
    """A request as a policy has seen it: perceived, and ranked."""
    catalog = Catalog(ItemSchema({"energy": "number", "genres": "tags"}))
    catalog.put(list(TRACKS.items()))
    snapshot = catalog.snapshot()

    def made(
        policy: Drift, profile: Mapping[str, Any] = PROFILE, **request: Any
    ) -> tuple[Context, Candidates]:
        context, candidates = context_of(snapshot, profile, **request), Candidates(snapshot, np.arange(4))
        context.profile = {**context.profile, **policy.perceive(context)}
        assert not policy.rank(context, candidates).any()
        return context, candidates

    return made


def memo_of(asked: tuple[Context, Candidates], track: str) -> Mapping[str, Any]:
    """What comes back with the outcome of a track, through the log."""
    context, candidates = asked
    place = list(TRACKS).index(track)
    memo = dict(context.memo) | {name: column[place] for name, column in candidates.memo.items()}
    found: Mapping[str, Any] = orjson.loads(orjson.dumps(memo, option=orjson.OPT_SERIALIZE_NUMPY))
    return found


def outcomes(
    memos: Sequence[Mapping[str, Any]], rewards: Sequence[float], user: str = "ann", totals: Any = None
) -> Outcomes:
    count = len(memos)
    return Outcomes(
        users=[user] * count,
        items=["track"] * count,
        slates=["s"] * count,
        reward=np.array(rewards, dtype=np.float64),
        total=np.array(rewards if totals is None else totals, dtype=np.float64),
        first=np.ones(count, dtype=bool),
        propensity=np.ones(count),
        position=np.zeros(count, dtype=np.int32),
        time=np.arange(count, dtype=np.float64),
        situations=[{}] * count,
        memos=list(memos),
    )


def told(policy: Drift, asked: Asked, **request: Any) -> Mapping[str, Any]:
    context, _ = asked(policy, **request)
    return {name: context.profile[name] for name in TRAITS if name in context.profile}


def test_what_is_liked_moves_the_traits_it_speaks_for(asked: Asked) -> None:
    policy = Drift.model_validate(OPTIONS)
    assert told(policy, asked) == {}
    memo = memo_of(asked(policy), "lively")
    policy.learn(outcomes([memo], [1.0]))
    # Its energy is 0.8 beyond that of the mirrored ideal, a deviation of half of that over the catalogue: cut at 1.
    extraverted = 0.3 * min(0.8 / (2 * np.std([0.8, -0.8, 0, 0])), 1)
    open_to = -0.3 * min(1 / (2 * np.std([-1, 1, 0, 0])), 1)
    assert told(policy, asked) == pytest.approx(
        {"extraversion": 60 + extraverted, "openness": 40 + open_to}, abs=2e-3
    )
    policy.learn(outcomes([memo], [-1.0]))
    assert told(policy, asked) == {}


def test_insight_says_what_the_newest_outcome_changed(asked: Asked) -> None:
    policy = Drift.model_validate({**OPTIONS, "rate": 1.0})
    assert policy.insight("ann") == ""
    memo = memo_of(asked(policy), "lively")
    policy.learn(outcomes([memo], [1.0]))
    assert policy.insight("ann") == (
        "That moved your extraversion by +0.7, to 0.7 above what you told; your openness by -0.7, to 0.7 below what "
        "you told (on a scale of 100)."
    )
    assert policy.insight("bob") == ""
    context, _ = asked(policy)
    assert (
        policy.explain("", context.memo)
        == "took openness for 39.3, told 40.0, extraversion for 60.7, told 60.0"
    )
    policy.learn(outcomes([{}], [1.0]))
    assert policy.insight("ann") == ""
    policy.learn(outcomes([memo_of(asked(policy), "middling")], [1.0]))
    assert policy.insight("ann") == ""


def test_it_never_goes_further_than_its_reach(asked: Asked) -> None:
    policy = Drift.model_validate({**OPTIONS, "reach": 3})
    memo = memo_of(asked(policy), "lively")
    policy.learn(outcomes([memo] * 100, [1.0] * 100))
    assert told(policy, asked) == {"extraversion": 63, "openness": 37}
    assert policy.insight("ann") == ""
    high = {"traits": {"extraversion": 99, "openness": 0}}
    policy.learn(outcomes([memo_of(asked(policy, high, now=2_000.0), "lively")] * 100, [1.0] * 100))
    assert told(policy, asked, profile=high) == {"extraversion": 100, "openness": 0}


def test_corrections_come_to_what_the_whole_is_worth(asked: Asked) -> None:
    one, other = Drift.model_validate(OPTIONS), Drift.model_validate(OPTIONS)
    memo = memo_of(asked(one), "calm")
    one.learn(outcomes([memo], [0.6]))
    other.learn(outcomes([memo, memo, memo], [2.0, -2.5, 1.1], totals=[2.0, -0.5, 0.6]))
    assert told(one, asked) == pytest.approx(told(other, asked))


def test_a_new_assessment_starts_anew_and_old_slates_do_not_undo_that(asked: Asked) -> None:
    policy = Drift.model_validate(OPTIONS)
    old = memo_of(asked(policy), "lively")
    policy.learn(outcomes([old] * 5, [1.0] * 5))
    new = {"traits": {"extraversion": 20, "openness": 80}}
    assert told(policy, asked, profile=new) == {}
    policy.learn(outcomes([memo_of(asked(policy, new, now=2_000.0), "calm")], [1.0]))
    before = told(policy, asked, profile=new)
    assert before["openness"] > 80
    policy.learn(outcomes([old], [1.0]))
    assert told(policy, asked, profile=new) == before
    assert policy.insight("ann") == ""


@pytest.mark.parametrize("profile", [{}, {"traits": {"openness": "high"}}, {**PROFILE, "drift": False}])
def test_who_told_nothing_or_switched_it_off_is_left_alone(asked: Asked, profile: dict[str, Any]) -> None:
    policy = Drift.model_validate(OPTIONS)
    policy.learn(outcomes([memo_of(asked(policy), "lively")] * 9, [1.0] * 9))
    context, candidates = asked(policy, profile)
    assert context.profile == profile
    assert not context.memo
    assert not candidates.memo
    state = policy.state()
    policy.learn(outcomes([memo_of((context, candidates), "lively")], [1.0]))
    assert np.array_equal(policy.state()["shift"], state["shift"])


def test_items_from_beyond_are_measured_by_the_same_middle(asked: Asked) -> None:
    policy = Drift.model_validate(OPTIONS)
    context, candidates = asked(policy)
    alone = candidates.take(np.array([1]))
    alone.memo = {}
    policy.rank(context, alone)
    assert np.array_equal(alone.memo["says"][0], candidates.memo["says"][1])
    assert alone.memo["says"].any()


def test_those_gone_longest_are_forgotten(asked: Asked) -> None:
    policy = Drift.model_validate({**OPTIONS, "most_users": 2})
    for user in ("ann", "bob", "ann", "cid"):
        policy.learn(outcomes([memo_of(asked(policy, user=user), "calm")], [1.0], user))
    assert policy.state()["users"] == ["ann", "cid"]
    assert policy.statistics()["people"] == 2


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(list(TRACKS)), st.sampled_from(["ann", "bob"]), st.floats(-2, 2)),
        max_size=20,
    ),
    st.integers(1, 5),
)
def test_the_state_is_a_fold(asked: Asked, acts: list[tuple[str, str, float]], size: int) -> None:
    whole, cut = Drift.model_validate(OPTIONS), Drift.model_validate(OPTIONS)
    memos = {track: memo_of(asked(whole), track) for track in TRACKS}
    for place, (track, user, reward) in enumerate(acts):
        whole.learn(outcomes([memos[track]], [reward], user))
        cut.learn(outcomes([memos[track]], [reward], user))
        if place % size == 0:
            loaded = Drift.model_validate(OPTIONS)
            loaded.load(cut.state())
            cut = loaded
    assert (np.abs(whole.state()["shift"]) <= 10).all()
    for name, value in whole.state().items():
        assert np.array_equal(value, cut.state()[name])
