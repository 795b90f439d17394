from pathlib import Path
from typing import Any

import jsonschema
import pytest
import tastemaker
from ruamel.yaml import YAML
from tastemaker.core.config import json_schema, load, show
from tastemaker.core.config.document import Origin, parse, plain
from tastemaker.core.config.problems import Problems
from tastemaker.core.registry import Registry

House = Any  # the fixture's class lives in conftest.py

ROOT = Path(str(tastemaker.__file__)).parent

BOOKS = """
items:
  from: {token: hush}
  embedding: {use: toy.text}
filters: [{use: toy.seen, days: 7}]
policies: {taste: {use: toy.ranker, weight: 0.4}, off: {use: toy.ranker, enabled: false}}
rewards: {open: 0.2, rating: {1: -1, 5: 1.5}, dwell: {per_unit: 0.1}}
"""


def test_every_value_has_its_origin(house: House) -> None:
    house.write("config.local.yaml", "domains: {books: {slate: {draws: 9}}}")
    text = show(house.books(BOOKS, "domains.books.slate.size=7"))
    lines = {line.strip() for line in text.splitlines()}
    assert "id: isbn  # preset toy:3" in lines
    assert "days: 7.0  # config.yaml:8" in lines
    assert "draws: 9  # config.local.yaml:1" in lines
    assert "size: 7  # --set" in lines
    assert "deadline_ms: 500.0  # default" in lines
    assert "books:  # config.yaml:3, extends toy" in lines
    for line in text.splitlines():
        assert line.endswith(":") or "  # " in line


def test_secrets_are_hidden(house: House) -> None:
    text = show(house.books(BOOKS, "store=postgresql://ann:hush@db/x?password=hush", "api.keys=[hush-hush]"))
    assert "hush" not in text
    assert 'token: "**********"  # config.yaml:6' in text
    assert "postgresql://ann:**********@db/x" in text
    assert 'keys: ["**********"]  # --set' in text


def test_what_is_shown_reads_back_as_the_same_configuration(house: House) -> None:
    settings = house.books(BOOKS.replace("token: hush", "separator: ';'"))
    text = show(settings)
    path = house.write("shown.yaml", text)
    again = load(path, environ={})
    # The plugin's file was run again, so its classes are others.
    assert repr(again.domains["books"]) == repr(settings.domains["books"])
    assert again.store == settings.store
    assert again.api == settings.api
    data = YAML(typ="safe", pure=True).load(text)
    assert list(data["domains"]["books"]["sources"]) == ["popular", "similar", "similar_2"]
    assert data["domains"]["books"]["policies"]["off"] == {"use": "toy.ranker", "enabled": False}


def test_odd_texts_read_back(house: House) -> None:
    title = 'a: b # "c" \\ ${X} \t\u2028 漢🎵\x85'
    settings = house.books("", f"domains.books.title='{title.replace('${', '$${')}'")
    shown = house.write("shown.yaml", show(settings))
    assert load(shown, environ={}).domains["books"].title == settings.domains["books"].title
    assert "${X}" in settings.domains["books"].title


def test_an_empty_configuration_shows_its_defaults(house: House) -> None:
    data = YAML(typ="safe", pure=True).load(show(load(house.write("e.yaml", ""), environ={})))
    assert data["domains"] == {}
    assert data["api"]["port"] == 8000


def read(text: str | bytes) -> Any:
    problems = Problems()
    data = text.encode() if isinstance(text, str) else text
    node = parse(data, Origin("", "", Path()), {}, problems)
    problems.check()
    return plain(node) if node else {}


@pytest.fixture
def schema(house: House) -> dict[str, Any]:
    return json_schema(house.load().registry)


def faults(schema: dict[str, Any], text: str) -> list[str]:
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(read(text))]


def test_the_schema_is_valid_and_knows_the_options(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    similar = schema["$defs"]["toy.popular"]
    assert similar["description"] == "What most people like."
    assert similar["properties"]["limit"]["description"] == "Most ids to propose."
    assert similar["properties"]["limit"]["default"] == 50


WHOLE = """
domains:
  books:
    items:
      from: {use: toy.table, path: x.csv}
      fields: {title: text, genres: tags, published: time}
    sources: [{use: toy.popular, limit: 3}]
    filters: {seen: {use: toy.seen, days: 3, on_error: ignore}}
    scorers: {recent: {use: toy.freshness, field: published, weight: 0.5}}
    rewards: {open: 1, rating: {1: -1}, dwell: {per_unit: 1}, seen: 0}
    slate: {size: 5, max_per: {genres: 1}}
"""


@pytest.mark.parametrize(
    "text",
    [
        WHOLE,
        "",
        "version: 1",
        "domains: {books: {extends: toy}}",
        "domains: {books: {extends: toy, sources: {popular: {limit: 3}}, scorers: {recent: null}}}",
        "domains: {books: {extends: toy, rewards: {use: toy.stars, scale: 2}}}",
        "domains: {books: {extends: toy, sources: [{use: mine.thing, anything: 1}]}}",
        "domains: {books: {enabled: false}}",
        "api:\n  port: ${PORT}\n  keys: ['${KEY}']",
    ],
)
def test_right_configurations_fit_the_schema(schema: dict[str, Any], text: str) -> None:
    assert faults(schema, text) == []


@pytest.mark.parametrize(
    "text",
    [
        "stor: x",
        "version: 2",
        "api: {port: x}",
        "domains: {Books: {extends: toy}}",
        "domains: {users: {extends: toy}}",
        "domains: {books: {}}",
        "domains: {books: {extends: toy, slat: {}}}",
        "domains: {books: {extends: toy, slate: {size: 0}}}",
        "domains: {books: {extends: toy, sources: [{limit: 3}]}}",
        "domains: {books: {extends: toy, rewards: {open: x}}}",
        "domains: {books: {extends: toy, rewards: {use: toy.stars, scal: 2}}}",
        WHOLE.replace("limit: 3", "limt: 3"),
        WHOLE.replace("limit: 3", "limit: 0"),
        WHOLE.replace("limit: 3", "weight: 3"),
        WHOLE.replace("on_error: ignore", "on_error: skip"),
        WHOLE.replace("field: published", "half_life_days: 3"),
        WHOLE.replace("toy.seen", "toy.popular"),
        WHOLE.replace("use: toy.popular, ", ""),
        WHOLE.replace("title: text", "title: txt"),
    ],
)
def test_wrong_configurations_do_not_fit_the_schema(schema: dict[str, Any], text: str) -> None:
    assert faults(schema, text)


def test_what_the_schema_passes_also_loads(house: House) -> None:
    assert set(house.load(WHOLE).domains) == {"books"}


SHIPPED = [ROOT / "config.yaml", *ROOT.glob("plugins/*/*.yaml")]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_what_is_shipped_fits_the_schema(path: Path) -> None:
    schema = json_schema(Registry(), preset=path.parent != ROOT)
    validator = jsonschema.Draft202012Validator(schema)
    assert [error.message for error in validator.iter_errors(read(path.read_bytes()))] == []


def test_the_shipped_configuration_loads() -> None:
    settings = load(ROOT / "config.yaml", environ={})
    assert settings.domains
    jsonschema.Draft202012Validator.check_schema(json_schema(settings.registry))
