"""What is wrong with options that are right by themselves."""

from typing import Any

import pytest
from tastemaker.core import ConfigError
from tastemaker.core.config import json_schema, load, show

House = Any  # the fixture's class lives in conftest.py

DOMAIN = """\
domains:
  books:
    items: {fields: {title: text}}
    sources: [{use: catalog.random}]
    slate: {explore: 0.1}
    policies:
      mood: {use: q_learning.tuner%s}
    learning: {window_minutes: 45%s}
"""


@pytest.fixture
def loaded(tmp_path):
    def made(options="", learning=""):
        path = tmp_path / "config.yaml"
        path.write_text(DOMAIN % (options, learning))
        return load(path, environ={})

    return made


KNOBS = ", knobs: {explore: {low: {slate.explore: 0.1}, high: {slate.explore: 0.3}}}"


@pytest.mark.parametrize(
    ("options", "learning", "said"),
    [
        (
            ", weight: 0.3",
            "",
            "config.yaml:7:40: error[E03] 'mood' only tunes: it has no scores that a weight could count; drop it",
        ),
        (
            ", episode_minutes: 30",
            "",
            "config.yaml:7:57: error[E05] 'mood': episode_minutes, 30, must be 0 or at least learning.window_minutes, "
            "45: until then it isn't known what a slate earned",
        ),
        ("", ", margin: -1", "config.yaml:8:41: error[E05] 'margin' must be at least 0, not -1"),
    ],
)
def test_what_cannot_be_meant_is_refused(loaded, options, learning, said):
    with pytest.raises(ConfigError) as caught:
        loaded(KNOBS + options, learning)
    (problem,) = caught.value.problems
    text = str(problem)
    assert text[text.index("error") :] == said[said.index("error") :]


@pytest.mark.parametrize("minutes", [0, 45, 600])
def test_episodes_that_are_long_enough_or_none(loaded, minutes):
    settings = loaded(f"{KNOBS}, episode_minutes: {minutes}")
    assert settings.domains["books"].policies[0].component.episode_minutes == minutes
    text = show(settings)
    assert "weight" not in text[text.index("policies:") : text.index("slate:")].replace("slate.", "")
    schema = json_schema(settings.registry, ["q_learning"])
    assert "weight" not in schema["$defs"]["q_learning.tuner"]["properties"]
    assert "weight" in schema["$defs"]["q_learning.adjuster"]["properties"]


def test_features_that_are_none(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(
        "domains: {books: {items: {fields: {title: text}}, sources: [{use: catalog.random}], "
        "policies: [{use: linucb.ranker, features: []}]}}"
    )
    with pytest.raises(ConfigError, match=r"'features'.* at least 1"):
        load(path, environ={})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "slate: {max_per: {genre: 2}}",
            "error[E12] 'max_per' names 'genre', which is no field of the items; did you",
        ),
        (
            "slate: {max_per: {rating: 2}}",
            "'max_per' needs a field of the type category or tags, and 'rating' is number",
        ),
        (
            "sources: {similar: {by: [rating]}}",
            "config.yaml:5:30: error[E12] 'by' needs a field of the type category or tags",
        ),
        ("sources: {similar: {boost: {ratng: 1}}}", "config.yaml:5:33: error[E12] 'boost' names 'ratng'"),
        (
            "scorers: {recent: {field: rating}}",
            "'field' needs a field of the type time, and 'rating' is number; fields that fit: published",
        ),
        (
            "filters: {w: {use: toy.where, field: title, flag: title}}",
            "error[E12] 'flag' needs a field of the type flag",
        ),
    ],
)
def test_fields_that_do_not_fit_are_told(house: House, text: str, said: str) -> None:
    (found,) = house.problems(house.books, text)
    assert said in found


def test_a_policy_that_would_turn_what_is_not_there_is_told_so(house: House) -> None:
    knobs = """
    policies:
      taste: {use: toy.ranker}
      tuner:
        use: q_learning.tuner
        knobs:
          reach: {low: {sources.similr.limit: 5}, high: {sources.similar.limit: 500}}
          boldness: {low: {slate.explore: 0.1}, high: {slate.explore: 1.1}}
    """
    assert house.problems(house.books, knobs) == [
        "config.yaml:10:25: error[E12] 'tuner': no knob is called 'sources.similr.limit'; "
        "did you mean 'sources.similar.limit'?",
        "config.yaml:11:56: error[E12] 'tuner': the knob 'slate.explore' must be at most 1, not 1.1",
    ]


def test_a_knob_has_one_master(house: House) -> None:
    tuner = "{use: q_learning.tuner, knobs: {k: {low: {slate.explore: 0.1}, high: {slate.explore: 0.3}}}}"
    knobs = f"""
    policies:
      taste: {{use: toy.ranker}}
      one: {tuner}
      other: {tuner}
    """
    (problem,) = house.problems(house.books, knobs)
    assert problem == (
        "config.yaml:8:56: error[E12] 'other': the knob 'slate.explore' is turned by 'one' already"
    )
