"""docs/http.md is true: every curl in it is sent, and every answer has the shape that is printed."""

import json
import re
import shlex
from pathlib import Path

import pytest
from tastemaker.core.api.problems import KINDS

DOCS = Path(__file__).parents[3] / "docs" / "http.md"
EXAMPLE = re.compile(r"^```sh\n(curl .*?)\n```\n```json\n(.*?)\n```$", re.DOTALL | re.MULTILINE)
CONFIG = """
version: 1
store: sqlite:///books.db
domains:
  books:
    items:
      fields: {title: text, genres: tags, rating: number}
    sources: [{use: catalog.popular, field: rating, limit: 100}]
    filters: [{use: catalog.seen}]
    scorers:
      rated: {use: catalog.numeric, field: rating, low: 0, high: 5}
    policies:
      taste: {use: thompson.ranker, weight: 0.01}
    rewards: {open: 0.2, finish: 1.0}
    slate: {size: 5}
"""
EXACT = {
    "id",
    "status",
    "kind",
    "domain",
    "user",
    "item",
    "verdict",
    "where",
    "message",
    "hint",
    "type",
    "title",
    "written",
    "removed",
    "dropped_by",
    "detail",
    "instance",
    "size",
    "mood",
    "exact",
    "replayed",
    "traced",
    "explored",
    "rank",
    "considered",
    "rated",
    "propensity",
}


def sent(command):
    """Method, URL and body of a curl command."""
    words = shlex.split(command)
    method, url, body, headers = "GET", "", None, {}
    rest = iter(words[1:])
    for word in rest:
        if word == "-X":
            method = next(rest)
        elif word == "-H":
            name, _, value = next(rest).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = next(rest)
        else:
            url = word
    assert url.startswith("http://127.0.0.1:8000/")
    return method, url.removeprefix("http://127.0.0.1:8000"), body, headers


def same_shape(printed, got, where="answer"):
    if isinstance(printed, dict):
        assert isinstance(got, dict), where
        assert set(printed) == set(got), where
        for key, value in printed.items():
            same_shape(value, got[key], f"{where}.{key}")
            if key in EXACT and isinstance(value, str | int | float):
                assert got[key] == (value if isinstance(value, str) else pytest.approx(value)), (
                    f"{where}.{key}"
                )
    elif isinstance(printed, list):
        assert isinstance(got, list), where
        assert len(printed) == len(got), where
        for number, pair in enumerate(zip(printed, got, strict=True)):
            same_shape(*pair, f"{where}[{number}]")
    elif isinstance(printed, int | float) and not isinstance(printed, bool):
        assert isinstance(got, int | float), where
    else:
        assert type(printed) is type(got), where


def test_every_example(make_api):
    api = make_api(CONFIG, shelf=False)
    slate = ""
    examples = EXAMPLE.findall(DOCS.read_text())
    assert len(examples) == DOCS.read_text().count("```sh") == 21
    for command, printed in examples:
        method, path, body, headers = sent(command)
        answer = api.call(
            method,
            path.replace("$SLATE", slate),
            content=body.replace("$SLATE", slate) if body else None,
            headers=headers,
        )
        expected = json.loads(printed)
        got = answer.json()
        assert (answer.status_code >= 400) == ("type" in expected), (command, got)
        same_shape(expected, got, command.splitlines()[0])
        slate = slate or got.get("slate", "")


def test_every_kind_of_problem_is_told():
    rows = dict(re.findall(r"^\| `/problems/([a-z-]+)` \| (\d+) \|", DOCS.read_text(), re.MULTILINE))
    assert rows == {kind: str(status) for kind, (status, _) in KINDS.items()}
