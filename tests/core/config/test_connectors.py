"""Connectors of a domain: who gets which, what takes no part without one, what is said of it."""

from pathlib import Path
from textwrap import dedent
from typing import Any

import jsonschema
import pytest
from tastemaker.core import ConfigError
from tastemaker.core.config import DomainPlan, Settings, json_schema, load, show

PLUGIN = '''
import re
from pydantic import Field, SecretStr
from tastemaker.core import *

class Shelf(Connector):
    """A library's shelves."""
    key: SecretStr = SecretStr("")
    slow: float = 1

    @property
    def configured(self):
        return bool(self.key.get_secret_value())

class Radio(Connector):
    """Another service."""
    volume: int = 1

class Loved(Source):
    """What readers love."""
    service: Shelf
    limit: int = Field(50, ge=1)

class Everything(Source):
    """From wherever."""
    service: Shelf | None
    also: Shelf | Radio | None = None

class Aliased(Source):
    """From wherever, by another name."""
    shelf: Shelf = Field(alias="from")

class Fresh(Filter):
    """What is on the shelf now."""
    service: Shelf

class Loud(Scorer):
    """How loud it is."""
    radio: Radio

class Mood(Policy):
    """Turns what is loved up and down."""
    service: Shelf | None = None
    limits: list[int] = [10, 20]

    def tune(self, context):
        return {"sources.loved.limit": self.limits[0]}

    def settings(self):
        return [{"sources.loved.limit": limit} for limit in self.limits]

class Feed(Collector):
    """Books as they come."""
    service: Shelf

class Sample(Collector):
    """A few books."""
    rows: int = 3

class Words(Embedder):
    """Vectors from the service."""
    service: Shelf

@hookimpl
def components():
    return [Shelf, Radio, Loved, Everything, Aliased, Fresh, Loud, Mood, Feed, Sample, Words]
'''

BOOKS = """\
connectors:
  shelf: {use: library.shelf, key: "${SHELF_KEY:-}"}
items:
  fields: {title: text}
  from: {use: library.sample, without: shelf}
sources:
  loved: {use: library.loved, limit: 20}
  everything: {use: library.everything}
  random: {use: catalog.random}
filters: [{use: library.fresh}]
policies:
  mood: {use: library.mood}
collectors:
  feed: {use: library.feed, every: 6h, replace: true}
"""


@pytest.fixture
def books(tmp_path: Path) -> Any:
    (tmp_path / "library.py").write_text(PLUGIN)

    def loaded(text: str = BOOKS, *overrides: str, **environ: str) -> Settings:
        path = tmp_path / "config.yaml"
        path.write_text("plugins: [./library.py]\ndomains:\n  books:\n")
        with path.open("a") as file:
            file.write("".join(f"    {line}\n" for line in dedent(text).splitlines()))
        return load(path, overrides=overrides, environ=environ)

    return loaded


def plan(settings: Settings) -> DomainPlan:
    return settings.domains["books"]


def problems(books: Any, *arguments: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        books(*arguments)
    return [str(problem).partition(" error")[2] for problem in caught.value.problems]


def test_components_get_the_connector_of_their_type(books: Any) -> None:
    found = plan(books(SHELF_KEY="secret"))
    (shelf,) = found.connectors
    assert [step.name for step in found.sources] == ["loved", "everything", "random"]
    assert all(step.component.service is shelf.component for step in found.sources[:2])  # type: ignore[attr-defined]
    assert found.filters[0].component.service is shelf.component  # type: ignore[attr-defined]
    assert found.sources[1].connectors == {"service": "shelf", "also": "shelf"}
    assert found.items.collector is None
    (feed,) = found.collectors
    assert (feed.every, feed.replace, feed.origin) == ("6h", True, "shelf")
    assert {name: left.why for name, left in found.left_out.items()} == {
        "items.from": "the connector 'shelf' is configured"
    }


@pytest.mark.parametrize("off", [(), ("domains.books.connectors.shelf.enabled=false",)])
def test_without_its_key_whatever_needs_a_connector_takes_no_part(books: Any, off: tuple[str, ...]) -> None:
    found = plan(books(BOOKS, *off, **({"SHELF_KEY": "secret"} if off else {})))
    assert [step.name for step in found.sources] == ["everything", "random"]
    assert found.sources[0].component.service is None  # type: ignore[attr-defined]
    assert found.sources[0].connectors == {}
    assert (found.filters, found.collectors) == ((), ())
    assert found.items.collector is not None
    assert sorted(found.left_out) == ["collectors.feed", "filters.fresh", "sources.loved"]
    why = "the connector 'shelf' is " + ("switched off" if off else "not configured")
    assert found.left_out["sources.loved"].why == why


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({}, None),
        ({"SHELF_KEY": "secret"}, "the connector 'shelf' is configured"),
        ({"ATTIC_KEY": "secret"}, "the connector 'attic' is configured"),
    ],
)
def test_an_entry_may_stand_in_for_several_connectors(
    books: Any, environ: dict[str, str], why: str | None
) -> None:
    two = BOOKS.replace("items:", 'attic: {use: library.shelf, key: "${ATTIC_KEY:-}"}\nitems:', 1)
    two = two.replace("attic:", "  attic:", 1).replace("without: shelf", "without: [shelf, attic]")
    two = two.partition("sources:")[0]
    left = plan(books(two + "sources: [{use: catalog.random}]\n", **environ)).left_out.get("items.from")
    assert (left.why if left else None) == why
    (said,) = problems(books, BOOKS.replace("without: shelf", "without: [shelf, self]"))
    assert "'without' names the connector 'self'" in said


def test_knobs_of_what_is_left_out_change_nothing_and_must_fit_all_the_same(books: Any) -> None:
    without, live = plan(books()), plan(books(SHELF_KEY="secret"))
    assert without.with_knobs({"sources.loved.limit": 5}).sources == without.sources
    turned = live.with_knobs({"sources.loved.limit": 5}).sources[0].component
    assert (turned.limit, turned.service) == (5, live.connectors[0].component)  # type: ignore[attr-defined]
    (said,) = problems(books, BOOKS.replace("library.mood}", "library.mood, limits: [0]}"))
    assert "the knob 'sources.loved.limit' must be at least 1" in said


def test_an_option_may_have_another_name_in_yaml(books: Any) -> None:
    text = BOOKS.replace("{use: library.everything}", "{use: library.aliased, from: shelf}")
    source = plan(books(text, SHELF_KEY="x")).sources[1]
    assert source.connectors == {"shelf": "shelf"}
    assert "from: shelf" in show(books(text, SHELF_KEY="x"))


def test_a_knob_is_no_way_to_another_connector(books: Any) -> None:
    with pytest.raises(Exception, match="must be a connector"):
        plan(books(SHELF_KEY="secret")).with_knobs({"sources.loved.service": "shelf"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "sources: [{use: library.loved}]",
            "[E14] 'loved': its 'service' needs a connector, and the domain has none; "
            "add an entry of the type Shelf under 'connectors'",
        ),
        (
            "connectors: [{use: library.shelf}, {use: library.shelf}]\nsources: [{use: library.loved}]",
            "[E14] 'loved': several connectors can be its 'service'; say which: service: shelf or shelf_2",
        ),
        (
            "connectors: [{use: library.shelf}]\nsources: [{use: library.loved, service: shelv}]",
            "[E14] 'loved': no connector of the domain is called 'shelv'; did you mean 'shelf'?",
        ),
        (
            "connectors: [{use: library.radio}]\nsources: [{use: library.loved, service: radio}]",
            "[E14] 'loved': the connector 'radio' is no Shelf; add an entry of the type Shelf under 'connectors'",
        ),
        (
            "connectors: [{use: library.shelf}]\nsources: [{use: catalog.random, without: self}]",
            "[E14] 'without' names the connector 'self', which the domain doesn't have; did you mean 'shelf'?",
        ),
        (
            "connectors: [{use: library.loved}]\nsources: [{use: catalog.random}]",
            "[E09] 'library.loved' is a source, not a connector; it belongs under 'sources'",
        ),
        (
            "sources: [{use: catalog.random}, {use: library.sample}]",
            "[E09] 'library.sample' is a collector, not a source; it belongs under 'items.from' or 'collectors'",
        ),
        (
            "sources: [{use: catalog.random}]\ncollectors: [{use: library.sample, every: often}]",
            "[E05] 'every' must be a time such as 7d, 36h or 90m, not \"often\"",
        ),
        (
            "connectors: [{use: library.shelf}, {use: library.shelv}]\nsources: [{use: library.loved}]",
            "[E04] no connector is called 'library.shelv'; did you mean 'library.shelf'?",
        ),
        (
            "connectors: [{use: library.shelf, slow: x}]\nsources: [{use: library.loved}]",
            "[E05] 'slow' must be a number, not \"x\"",
        ),
    ],
)
def test_what_is_wrong_is_told(books: Any, text: str, said: str) -> None:
    assert problems(books, "items: {fields: {title: text}}\n" + text) == [said]


TWICE = """\
connectors: {shelf: {use: library.shelf, key: x}, other: {use: library.shelf, key: x}}
items: {fields: {title: text}}
sources: [{use: catalog.random}]
collectors:
  old: {use: library.feed, service: shelf, replace: true}
  new: {use: library.feed, service: shelf, replace: true}
"""


def test_collectors_that_would_remove_each_others_items_are_refused(books: Any) -> None:
    said = (
        "[E13] 'new' and 'old' both remove the items of 'shelf' that they don't bring: each would remove the other's; "
        "give each a connector of its own under 'connectors', with the same options; or leave out 'replace'"
    )
    assert problems(books, TWICE) == [said]
    whole = "domains.books.items.from={use: library.feed, service: shelf}"
    (told,) = problems(books, TWICE, "domains.books.collectors.new=null", whole)
    assert told == said.replace("'new' and 'old'", "'old' and 'items.from'")
    assert len(plan(books(TWICE, "domains.books.collectors.new.service=other")).collectors) == 2
    assert len(plan(books(TWICE, "domains.books.collectors.new.replace=false")).collectors) == 2
    assert len(plan(books(TWICE, "domains.books.collectors.new.enabled=false")).collectors) == 1


def test_what_is_shown_can_be_read_back_and_holds_no_secret(books: Any, tmp_path: Path) -> None:
    live = show(books(SHELF_KEY="hunter2-hunter2"))
    assert "hunter2" not in live
    assert "service: shelf" in live
    without = show(books())
    assert "loved:  # left out: the connector 'shelf' is not configured" in without
    assert "shelf:  # not configured" in without
    again = tmp_path / "again.yaml"
    again.write_text(without)
    assert plan(load(again, environ={})).digest == plan(books()).digest


def test_the_digest_follows_the_options_of_connectors_but_not_their_secrets_or_what_collects(
    books: Any,
) -> None:
    first = plan(books(SHELF_KEY="one")).digest
    assert plan(books(SHELF_KEY="two")).digest == first
    assert plan(books(BOOKS, "domains.books.connectors.shelf.slow=2", SHELF_KEY="one")).digest != first
    assert plan(books(BOOKS, "domains.books.collectors.feed.every=1h", SHELF_KEY="one")).digest == first
    assert plan(books()).digest != first


def test_the_schema_knows_connectors_and_collectors(books: Any) -> None:
    settings = books()
    schema = json_schema(settings.registry, ["library", "catalog"])
    validator = jsonschema.Draft202012Validator(schema)

    def faults(text: dict[str, Any]) -> list[str]:
        whole = {"domains": {"books": {"items": {"fields": {"title": "text"}}, **text}}}
        return [error.message for error in validator.iter_errors(whole)]

    shelf = {"connectors": {"shelf": {"use": "library.shelf", "key": "${X}"}}}
    assert not faults({**shelf, "sources": {"loved": {"use": "library.loved"}}})
    assert not faults({**shelf, "sources": {"loved": {"use": "library.loved", "service": "shelf"}}})
    assert faults({**shelf, "sources": {"loved": {"use": "library.loved", "service": {"key": "x"}}}})
    assert faults({"connectors": {"shelf": {"use": "library.loved"}}, "sources": [{"use": "catalog.random"}]})
    collected = {"feed": {"use": "library.feed", "every": "6h", "replace": True, "without": "x"}}
    assert not faults({**shelf, "sources": [{"use": "catalog.random"}], "collectors": collected})
    collected["feed"]["every"] = 6
    assert faults({**shelf, "sources": [{"use": "catalog.random"}], "collectors": collected})


@pytest.mark.parametrize(
    ("connectors", "said"),
    [
        ("{github: {use: youtube.api, key: x}}", "6:32: .* must be github.api .*; write use: github.api"),
        ("null", "6:17: .* 'github' is taken out here.*; .* github: {enabled: false}"),
        ("{github: null}", "6:26: .* 'github' is taken out here.*; .* github: {enabled: false}"),
    ],
)
def test_who_spoils_a_connector_of_a_preset_is_told_of_his_own_line(
    tmp_path: Path, connectors: str, said: str
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        f"""\
version: 1
store: sqlite:///x.db
domains:
  projects:
    extends: projects
    connectors: {connectors}
"""
    )
    with pytest.raises(ConfigError, match=said) as told:
        load(path, environ={})
    assert len(told.value.problems) == 1
