"""What is refused when the config is read, because the terms of a service forbid to learn from its data."""

from pathlib import Path
from textwrap import dedent, indent

import pytest
from tastemaker.core import ConfigError, Terms
from tastemaker.core.config import DomainPlan, load

PLUGIN = '''
from tastemaker.core import *

class Radio(Service):
    """Songs that may be shown and not learned from."""
    fills = frozenset({"title", "energy", "genres", "mood"})
    key: str = "k"
    trainable: bool = False
    keep_days: float | None = 1

    @property
    def configured(self):
        return bool(self.key)

class Live(Source):
    """What is on the air."""
    service: Radio

class Own(Policy):
    """A policy of somebody else's."""
    field: NumberField | None = None

class Asking(Policy):
    """One that asks by itself."""
    service: Radio | None = None

@hookimpl
def components():
    return [Radio, Live, Own, Asking]
'''
SONGS = """\
connectors: {station: {use: radio.radio}}
items:
  fields: {title: text, energy: number, genres: tags, mood: category, shelf: category, bpm: number}
sources: [{use: radio.live}, {use: catalog.random}]
"""


@pytest.fixture
def told(tmp_path: Path) -> object:
    """The plan of a domain with further lines of YAML, or the problems in it."""
    (tmp_path / "radio.py").write_text(PLUGIN)

    def tell(more: str = "", *overrides: str) -> DomainPlan | list[str]:
        text = f"plugins: [./radio.py]\ndomains:\n  songs:\n{indent(SONGS + dedent(more), '    ')}"
        (tmp_path / "config.yaml").write_text(text)
        try:
            return load(tmp_path / "config.yaml", overrides=overrides).domains["songs"]
        except ConfigError as error:
            return [str(problem).rpartition("config.yaml:")[2] for problem in error.problems]

    return tell


WHY = (
    "'station' fills it, whose terms forbid to learn from its data; take a field that is your own: shelf, bpm"
)


@pytest.mark.parametrize(
    ("more", "place", "what"),
    [
        ("policies: [{use: linucb.ranker, features: [{number: bpm}, {number: energy}]}]", "8:72",
         "'features' names 'energy'"),
        ("policies: [{use: linucb.ranker, mode: disjoint, arms: mood}]", "8:59", "'arms' names 'mood'"),
        ("policies: [{use: linucb.thompson, features: [{words: genres}]}]", "8:58", "'features' names 'genres'"),
        ("policies: [{use: q_learning.adjuster, fields: [bpm, energy]}]", "8:57", "'fields' names 'energy'"),
        ("policies: [{use: q_learning.adjuster, words: mood}]", "8:50", "'words' names 'mood'"),
        ("policies: [{use: q_learning.adjuster, cuts: {energy: [1, 2]}}]", "8:50", "'cuts' names 'energy'"),
        ("policies: [{use: radio.own, field: energy}]", "8:40", "'field' names 'energy'"),
    ],
)  # fmt: skip
def test_a_policy_that_names_such_a_field_is_refused_at_its_place(
    told: object, more: str, place: str, what: str
) -> None:
    (problem,) = told(more)  # type: ignore[operator]
    assert problem == f"{place}: error[E15] {what}: {WHY}"


def test_an_embedding_that_names_such_a_field_is_refused(told: object) -> None:
    shelves = "items.embedding={use: embeddings.text, text: '{shelf}'}"
    titles = "items.embedding={use: embeddings.text, text: '{shelf} {title}'}"
    assert isinstance(told("", f"domains.songs.{shelves}"), DomainPlan)  # type: ignore[operator]
    (problem,) = told("", f"domains.songs.{titles}")  # type: ignore[operator]
    assert "error[E15] 'embeddings.text' embeds the field 'title': 'station' fills it" in problem


def test_a_policy_that_would_ask_the_service_itself_is_refused(told: object) -> None:
    (problem,) = told("policies: [{use: radio.asking}]")  # type: ignore[operator]
    assert problem == (
        "8:22: error[E15] 'asking' learns, and holds 'station', whose terms forbid to learn from its data; "
        "have a source or a scorer hold it"
    )


def test_a_default_is_taken_from_what_is_left(told: object) -> None:
    assert isinstance(told("policies: [{use: q_learning.adjuster}]"), DomainPlan)  # type: ignore[operator]
    gone = [f"domains.songs.items.fields.{name}=null" for name in ("shelf", "bpm")]
    (problem,) = told("policies: [{use: q_learning.adjuster}]", *gone)  # type: ignore[operator]
    assert "the items have no number and no category field" in problem


def test_scorers_and_filters_may_read_what_policies_may_not(told: object) -> None:
    plan = told(  # type: ignore[operator]
        """\
        scorers: [{use: catalog.numeric, field: energy, low: 0, high: 1}]
        filters: [{use: catalog.where, field: energy, at_least: 0.1}]
        slate: {max_per: {genres: 2}}
        """
    )
    assert isinstance(plan, DomainPlan)
    fields = frozenset({"title", "energy", "genres", "mood"})
    assert plan.origins == {
        "station": Terms(
            keep_days=1, trainable=False, fields=fields, lag_days=0.5
        )  # answers are cached meanwhile
    }
    assert sorted(plan.withheld) == ["energy", "genres", "mood", "title"]


@pytest.mark.parametrize("override", ["key=''", "trainable=true"])
def test_without_a_key_or_with_the_owners_leave_there_is_nothing_to_refuse(
    told: object, override: str
) -> None:
    plan = told(  # type: ignore[operator]
        "policies: [{use: linucb.ranker, features: [{number: energy}]}]",
        f"domains.songs.connectors.station.{override}",
    )
    assert isinstance(plan, DomainPlan), plan
    assert plan.withheld == {}


def test_the_digest_tells_whether_something_is_withheld(told: object) -> None:
    plans = [told("", f"domains.songs.connectors.station.trainable={each}") for each in ("true", "false")]  # type: ignore[operator]
    assert plans[0].digest != plans[1].digest


def test_days_too_few_to_look_in_time_are_refused(told: object) -> None:
    (problem,) = told("", "domains.songs.connectors.station.keep_days=0.01")  # type: ignore[operator]
    assert "'station' has no terms: keep_days must be at least 0.1, not 0.01" in problem
    with pytest.raises(ValueError, match=r"keep_days must be at least 0\.1"):
        Terms(keep_days=0)
