"""The Big Five Inventory: every question has its place, and answers come to what the key says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tastemaker.core import trait_confidence, trait_of, traits_of
from tastemaker.core.inventory import KEY, QUESTIONS, assess
from tastemaker.core.traits import BIG_FIVE

ANSWERS = st.dictionaries(st.integers(1, QUESTIONS), st.integers(1, 5), min_size=1)


def test_every_question_belongs_to_one_trait() -> None:
    places = [number for scale in KEY.values() for number in (*scale.speaks_for, *scale.against)]
    assert sorted(places) == list(range(1, QUESTIONS + 1))
    assert tuple(KEY) == BIG_FIVE
    # The sixteen statements that are turned round.
    turned = sorted(number for scale in KEY.values() for number in scale.against)
    assert turned == [2, 6, 8, 9, 12, 18, 21, 23, 24, 27, 31, 34, 35, 37, 41, 43]


def test_an_example_worked_out_by_hand() -> None:
    answers = dict.fromkeys(range(1, QUESTIONS + 1), 3)
    # Extraversion: 1, 11, 16, 26, 36 for it and 6, 21, 31 against it.
    answers |= {1: 5, 11: 4, 16: 4, 26: 3, 36: 5, 6: 1, 21: 2, 31: 2}
    found = assess(answers)
    assert found.traits["extraversion"] == pytest.approx(
        100 * ((5 + 4 + 4 + 3 + 5 + 5 + 4 + 4) / 8 - 1) / 4, abs=0.01
    )
    assert found.traits["openness"] == found.traits["neuroticism"] == 50
    assert found.answered == 44
    # For it 4.2, against it 5/3: a little less than the middle, in one of five traits.
    assert found.acquiescence == round(((4.2 + 5 / 3) / 2 - 3) / 5, 3)
    assert found.confidence["extraversion"] == pytest.approx(
        0.88 * (1 - abs(found.acquiescence) / 2), abs=0.001
    )


def test_who_answers_by_the_key_is_at_the_end_of_a_scale() -> None:
    for name, scale in KEY.items():
        high = dict.fromkeys(scale.speaks_for, 5) | dict.fromkeys(scale.against, 1)
        assert assess(high).traits == {name: 100}
        assert assess({number: 6 - answer for number, answer in high.items()}).traits == {name: 0}
        assert assess(high).confidence[name] == pytest.approx(scale.alpha)


def test_who_says_yes_to_everything_is_noted_and_not_believed() -> None:
    yes = assess(dict.fromkeys(range(1, QUESTIONS + 1), 5))
    assert yes.acquiescence == 2
    assert set(yes.confidence.values()) == {0}
    assert assess(dict.fromkeys(range(1, QUESTIONS + 1), 1)).acquiescence == -2


@given(ANSWERS)
def test_answers_turned_round_give_the_mirrored_traits(answers: dict[int, int]) -> None:
    found = assess(answers)
    mirrored = assess({number: 6 - answer for number, answer in answers.items()})
    assert found.traits.keys() == mirrored.traits.keys()
    for name, value in found.traits.items():
        assert 0 <= value <= 100
        assert mirrored.traits[name] == pytest.approx(100 - value, abs=0.011)
        assert 0 <= found.confidence[name] <= KEY[name].alpha + 0.001
    assert mirrored.acquiescence == pytest.approx(-found.acquiescence)


@given(st.sets(st.integers(1, QUESTIONS), min_size=2))
def test_the_fewer_answers_the_less_sure(questions: set[int]) -> None:
    whole = assess(dict.fromkeys(questions, 3))
    questions.pop()
    less = assess(dict.fromkeys(questions, 3))
    assert all(less.confidence.get(name, 0) <= sure for name, sure in whole.confidence.items())
    assert sum(less.confidence.values()) < sum(whole.confidence.values())


def test_no_answer_is_no_assessment() -> None:
    with pytest.raises(ValueError, match="none of the questions"):
        assess({})


def test_laid_over_a_profile_it_replaces_the_traits_and_nothing_else() -> None:
    profile = {
        "languages": ["en"],
        "openness": 20,
        "traits": {"neuroticism": 30, "extraversion": 10},
        "assessment": {"inventory": "own", "confidence": {"neuroticism": 0.4}},
    }
    found = assess({5: 5, 35: 1, 1: 4}).laid_over(profile, 12.0)
    assert found["languages"] == ["en"]
    assert traits_of(found) == {"openness": 100, "extraversion": 75, "neuroticism": 30}
    assert trait_confidence(found, "neuroticism") == 0.4
    assert 0 < trait_confidence(found, "openness") < 0.81
    assert (found["assessment"]["inventory"], found["assessment"]["time"]) == ("bfi-44", 12.0)
    assert profile["openness"] == 20
    assert trait_of(found, "openness") == 100


@pytest.mark.parametrize(
    "profile", [{}, {"traits": 7}, {"openness": "high"}, {"openness": True}, {"traits": {}}]
)
def test_what_is_no_number_is_no_trait(profile: dict[str, object]) -> None:
    assert traits_of(profile) == {}
    assert trait_confidence({"assessment": profile}, "openness") == 1
