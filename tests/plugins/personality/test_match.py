"""Which items suit which traits."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tastemaker.core import Candidates, Catalog, Context, ItemSchema
from tastemaker.plugins.personality import Match

TRACKS = {
    "lively": {"energy": 0.9, "tempo": 170, "genres": ["dance pop"]},
    "calm": {"energy": 0.1, "tempo": 70, "genres": ["Indie Folk", "soul"]},
    "middling": {"energy": 0.5, "tempo": 120, "genres": ["popcorn"]},
    "unknown": {},
}
EXTRAVERSION = {"ideal": {"energy": 0.9}}
OPENNESS = {"likes": ["folk"], "dislikes": ["pop"]}

Shown = Callable[[dict[str, Any]], tuple[Context, Candidates]]


@pytest.fixture(scope="module")
def shown(context_of: Callable[..., Context]) -> Shown:
    catalog = Catalog(ItemSchema({"energy": "number", "tempo": "number", "genres": "tags"}))
    catalog.put(list(TRACKS.items()))
    snapshot = catalog.snapshot()

    def made(profile: dict[str, Any]) -> tuple[Context, Candidates]:
        return context_of(snapshot, profile), Candidates(snapshot, np.arange(len(TRACKS)))

    return made


def scores(shown: Shown, profile: dict[str, Any], **options: Any) -> dict[str, float]:
    match = Match.model_validate({"words": "genres", "ranges": {"tempo": (60, 180)}, **options})
    return dict(zip(TRACKS, np.round(match.score(*shown(profile)), 6).tolist(), strict=True))


def test_nearness_to_the_ideal_and_its_mirror(shown: Shown) -> None:
    extraversion = {"traits": {"extraversion": EXTRAVERSION}}
    high = scores(shown, {"traits": {"extraversion": 100}}, **extraversion)
    assert high == {"lively": 1.0, "calm": 0.2, "middling": 0.6, "unknown": 0.5}
    low = scores(shown, {"traits": {"extraversion": 0}}, **extraversion)
    assert low == {"lively": 0.2, "calm": 1.0, "middling": 0.6, "unknown": 0.5}


def test_other_ranges_are_mirrored_at_their_own_middle(shown: Shown) -> None:
    slow = {"traits": {"conscientiousness": {"ideal": {"tempo": 70}}}}
    assert scores(shown, {"conscientiousness": 100}, **slow)["calm"] == 1
    assert scores(shown, {"conscientiousness": 0}, **slow)["lively"] == 1


def test_words_are_found_whole_within_words_in_any_case(shown: Shown) -> None:
    openness = {"traits": {"openness": OPENNESS}}
    found = scores(shown, {"traits": {"openness": 100}}, **openness)
    assert found == {"lively": 0.0, "calm": 1.0, "middling": 0.5, "unknown": 0.5}
    found = scores(shown, {"traits": {"openness": 0}}, **openness)
    assert found == {"lively": 1.0, "calm": 0.0, "middling": 0.5, "unknown": 0.5}


def test_values_and_words_count_alike(shown: Shown) -> None:
    both = {"traits": {"openness": {"ideal": {"energy": 0.1, "tempo": 60}, **OPENNESS}}}
    assert scores(shown, {"openness": 100}, **both)["calm"] == pytest.approx(
        np.mean([1, 1 - 10 / 120, 1]), abs=1e-6
    )


def test_the_middle_says_nothing_and_doubt_says_less(shown: Shown) -> None:
    extraversion = {"traits": {"extraversion": EXTRAVERSION}}
    assert set(scores(shown, {}, **extraversion).values()) == {0.5}
    assert set(scores(shown, {"extraversion": 50}, **extraversion).values()) == {0.5}
    assert scores(shown, {"extraversion": 75}, **extraversion)["lively"] == 0.75
    sure = {"extraversion": 100, "assessment": {"confidence": {"extraversion": 0.5}}}
    assert scores(shown, sure, **extraversion)["lively"] == 0.75


def test_several_traits_share_what_there_is(shown: Shown) -> None:
    both = {"traits": {"extraversion": EXTRAVERSION, "openness": OPENNESS}}
    found = scores(shown, {"extraversion": 100, "openness": 100}, **both)
    assert found["lively"] == 0.5
    found = scores(shown, {"extraversion": 100, "openness": 75}, **both)
    assert found["lively"] == pytest.approx(0.5 + (0.5 - 0.5 * 0.5) / 1.5, abs=1e-6)


@given(st.dictionaries(st.sampled_from(["openness", "extraversion", "agreeableness"]), st.floats(-20, 120)))
def test_scores_lie_between_0_and_1(shown: Shown, profile: dict[str, float]) -> None:
    both = {"traits": {"extraversion": EXTRAVERSION, "openness": OPENNESS}}
    assert all(0 <= score <= 1 for score in scores(shown, profile, **both).values())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"traits": {}}, "at least 1"),
        ({"traits": {"humour": EXTRAVERSION}}, "Input should be 'openness'"),
        ({"traits": {"openness": {}}}, "a leaning needs `ideal`, `likes` or `dislikes`"),
        ({"traits": {"openness": OPENNESS}}, "say in `words` which field has them"),
        ({"traits": {"openness": {"ideal": {"tempo": 100}}}}, "must lie from 0 to 1; `ranges` says"),
        ({"traits": {"openness": EXTRAVERSION}, "ranges": {"energy": (1, 0)}}, "must"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Match.model_validate(options)
