"""What somebody would search for, and which videos answer it."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from tastemaker.core import Candidates, Context
from tastemaker.core.config import load
from tastemaker.core.conformance import check_component
from tastemaker.plugins.video.asking import Adjustment, TraitTerms
from tastemaker.plugins.video.filters import Categories, Languages
from tastemaker.plugins.video.scorers import Asked
from tastemaker.plugins.video.sources import Search

Contexts = Callable[..., Context]

ADJUST = (
    Adjustment(knob="energy", above=0.7, words=("exciting", "intense")),
    Adjustment(knob="energy", below=0.3, words=("calm", "relaxing")),
    Adjustment(knob="valence", above=0.7, words=("uplifting",)),
    Adjustment(knob="exploration", above=0.5, words=("unusual",)),
)
FIELDS = {"searches": "tags", "channel_id": "category", "language": "category"}


def texts(search: Search, context: Context) -> list[str]:
    return [term.text for term in search.wishes(context)]


def test_interests_are_searched_for_the_heaviest_first(context_of: Contexts) -> None:
    context = context_of([], profile={"interests": {"chess": 1, "otters": 3, "-noise": 2}})
    assert texts(Search(), context) == ["otters", "noise", "chess"]


def test_what_the_situation_asks_for_comes_first(context_of: Contexts) -> None:
    context = context_of([], profile={"interests": "chess"}, situation={"query": '"Night  Trains" | -sleep'})
    assert texts(Search(), context) == ["night trains", "sleep", "chess"]


@pytest.mark.parametrize(
    ("knobs", "wanted"),
    [
        ({}, ["chess", "otters", "quiz"]),
        ({"energy": 0.7}, ["chess", "otters", "quiz"]),
        ({"energy": 0.8}, ["exciting chess", "intense otters", "exciting quiz"]),
        ({"energy": 0.2}, ["calm chess", "relaxing otters", "calm quiz"]),
        ({"valence": 0.9}, ["uplifting chess", "uplifting otters", "uplifting quiz"]),
        ({"exploration": 0.6}, ["unusual chess", "unusual otters", "unusual quiz"]),
        ({"energy": 0.8, "valence": 0.9}, ["exciting chess", "uplifting otters", "intense quiz"]),
    ],
)
def test_knobs_put_words_in_front(context_of: Contexts, knobs: dict[str, float], wanted: list[str]) -> None:
    context = context_of([], profile={"interests": ["chess", "otters", "quiz"]})
    assert texts(Search(adjust=ADJUST, **knobs), context) == wanted


def test_personality_has_a_third_of_the_terms_and_all_where_there_is_nothing_else(
    context_of: Contexts,
) -> None:
    leanings = (
        TraitTerms(trait="openness", above=60, terms=("documentary", "folk music")),
        TraitTerms(trait="openness", below=40, terms=("gardening",)),
        TraitTerms(trait="extraversion", below=40, terms=("piano",)),
    )
    search = Search(personality=leanings, terms=3)
    traits = {"openness": 70, "extraversion": 5}
    # Extraversion is further from the middle.
    assert texts(search, context_of([], profile={"traits": traits})) == ["piano", "documentary", "folk music"]
    busy = context_of([], profile={"personality": traits, "interests": ["chess", "otters", "quiz"]})
    assert texts(search, busy)[2:] == ["piano"]
    assert texts(search, context_of([], profile={"openness": 50})) == []


def test_too_many_interests_take_turns_by_the_day(context_of: Contexts) -> None:
    profile = {"interests": ["a", "b", "c", "d"]}
    days = [texts(Search(terms=2), context_of([], profile=profile, now=day * 86_400.0)) for day in range(4)]
    assert days == [["a", "b"], ["b", "c"], ["c", "d"], ["d", "a"]]


def test_tags_of_what_was_liked_fill_what_is_left(context_of: Contexts) -> None:
    items = [
        {"tags": ["otters", "calm"]},
        {"tags": ["otters", "calm", "river"]},
        {"tags": ["river"]},
        {"tags": ["quiz"]},
    ]
    liking = context_of(items, liked=[0, 1, 2])
    assert texts(Search(adjust=ADJUST), liking) == ["otters", "river"]
    assert texts(Search(liked=0), liking) == []


def test_what_youtube_found_comes_before_what_has_the_tags(context_of: Contexts) -> None:
    items = [
        {"title": "nothing", "tags": ["calm"]},
        {"title": "tagged", "tags": ["Night Trains"]},
        {"title": "tagged and calm", "tags": ["night trains", "calm"]},
        {"title": "found", "searches": ["calm night trains"]},
        {"title": "half", "tags": ["trains"]},
        {"title": "found for another search", "searches": ["intense night trains"]},
    ]
    context = context_of(items, profile={"interests": "night trains"})
    search = Search(adjust=ADJUST, energy=0.1)
    rows = asyncio.run(search.propose(context))
    assert [items[row]["title"] for row in np.asarray(rows)] == ["found", "tagged and calm", "tagged", "half"]
    everything = Candidates(context.catalog, context.catalog.live)
    score = Asked(adjust=ADJUST, energy=0.1).score(context, everything)
    assert score.tolist() == pytest.approx([0, 0.25, 0.4, 0.6, 0.125, 0])
    assert len(asyncio.run(Search(limit=1).propose(context))) == 1


def test_without_anything_to_ask_nothing_is_proposed(context_of: Contexts) -> None:
    context = context_of([{"tags": ["chess"]}])
    assert len(asyncio.run(Search().propose(context))) == 0
    assert Asked().score(context, Candidates(context.catalog, context.catalog.live)).tolist() == [0.0]


def test_a_rule_is_above_or_below_something() -> None:
    with pytest.raises(ValidationError, match="one of both"):
        Adjustment(knob="energy", words=("x",))


def test_languages_that_somebody_speaks_stay(context_of: Contexts) -> None:
    items = [{"language": "en"}, {"language": "de"}, {"language": "fr"}, {}]

    def kept(**known: object) -> list[bool]:
        context = context_of(items, **known)
        stays: list[bool] = (
            Languages().keep(context, Candidates(context.catalog, context.catalog.live)).tolist()
        )
        return stays

    assert kept() == [True] * 4
    assert kept(profile={"languages": "English, de-AT"}) == [True, True, False, True]
    assert kept(profile={"languages": "en"}, situation={"languages": ["French"]}) == [
        False,
        False,
        True,
        True,
    ]


def test_diversity_says_how_many_categories_stay(context_of: Contexts) -> None:
    categories = ["Music", "Music", "Comedy", "Sports", "News", ""]
    items = [{"category": each} if each else {} for each in categories]

    def kept(diversity: float, **known: object) -> set[str]:
        context = context_of(items, **known)
        stays = Categories(narrow=1, wide=3, diversity=diversity).keep(
            context, Candidates(context.catalog, context.catalog.live)
        )
        return {categories[place] for place in np.flatnonzero(stays)}

    assert kept(0) == set(categories)  # nothing is known of the user
    assert kept(0, profile={"categories": "sports"}) == {"Sports", ""}
    assert kept(0.5, profile={"categories": "sports"}) == {"Sports", "Music", ""}
    assert kept(1, liked=[2], profile={"interests": ["news"]}) == {"Comedy", "News", "Music", ""}


@pytest.mark.parametrize("component", [Search, Asked, Languages, Categories])
def test_components_keep_the_contract(component: type) -> None:
    check_component(component, fields=FIELDS)


def test_the_preset_says_the_same_of_search_and_score(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("version: 1\ndomains: {video: {extends: video}}\n")
    plan = load(tmp_path / "config.yaml").domains["video"]
    search = next(step.component for step in plan.sources if step.name == "search")
    asked = next(step.component for step in plan.scorers if step.name == "asked")
    assert isinstance(search, Search)
    assert isinstance(asked, Asked)
    assert (search.personality, search.adjust) == (asked.personality, asked.adjust)
    assert len(search.personality) > 4
    holding = {rule.words[0] for rule in search.adjust if rule.knob == "energy" and rule.holds(0.71)}
    assert holding == {"exciting"}
