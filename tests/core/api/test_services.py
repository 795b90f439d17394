"""Connectors and collectors over HTTP."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Api

PLUGIN = Path(__file__).parents[1] / "feed_plugin.py"
CONFIG = """
store: sqlite:///books.db
plugins: [{plugin}]
domains:
  books:
    connectors:
      market: {{use: feed_plugin.shop, key: k, folder: {folder}}}
      closed: {{use: feed_plugin.shop}}
    items: {{fields: {{title: text}}}}
    sources:
      random: {{use: catalog.random}}
      window: {{use: feed_plugin.window, shop: closed}}
    collectors:
      feed: {{use: feed_plugin.feed, folder: .}}
      late: {{use: feed_plugin.stream, folder: ., shop: market, every: 6h, enabled: false}}
"""


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(plugin=PLUGIN, folder=tmp_path))
    (tmp_path / "rows").write_text(json.dumps({"id": 1, "title": "Emma"}) + "\n")
    found = Api(config)
    yield found
    found.close()


def collector(api: Api) -> Any:
    (found,) = api.get("/v1/admin/domains/books/collectors").json()["collectors"]
    return found


def done(api: Api) -> Any:
    """The collector once its last run has ended."""
    until = time.monotonic() + 30
    while (found := collector(api))["last"] is None or found["last"]["status"] == "running":
        assert time.monotonic() < until
        time.sleep(0.02)
    return found


def test_a_server_runs_collectors_when_it_starts_and_when_it_is_asked(api: Api, tmp_path: Path) -> None:
    first = done(api)
    assert (first["name"], first["use"], first["origin"], first["every"]) == (
        "feed",
        "feed_plugin.feed",
        "feed",
        "1d",
    )
    assert (first["last"]["status"], first["last"]["trigger"], first["last"]["written"]) == (
        "done",
        "schedule",
        1,
    )
    assert first["due"] == first["last"]["started"] + 86_400
    (tmp_path / "rows").write_text(json.dumps({"id": 2, "title": "Dune"}) + "\n" + json.dumps({"fault": "?"}))
    begun = api.post("/v1/admin/domains/books/collectors/feed/runs", None)
    assert (begun.status_code, begun.json()["status"], begun.json()["trigger"]) == (202, "running", "api")
    last = done(api)["last"]
    assert (last["written"], last["rejected"]) == (1, 1)
    assert last["faults"] == [{"where": "rows:1", "message": "?"}]
    assert not {"mark", "options", "outside"} & set(last)


def test_one_run_at_a_time(api: Api, tmp_path: Path) -> None:
    done(api)
    (tmp_path / "rows").write_text(json.dumps({"sleep": 1}) + "\n")
    path = "/v1/admin/domains/books/collectors/feed/runs"
    assert api.post(path, None).status_code == 202
    refused = api.post(path, None)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/conflict")
    assert "books.feed is running since" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("books/collectors/fed/runs", "no collector of books is called 'fed'; did you mean 'feed'?"),
        ("boks/collectors/feed/runs", "no domain is called 'boks'; did you mean 'books'?"),
    ],
)
def test_names_that_are_none(api: Api, path: str, said: str) -> None:
    answer = api.post(f"/v1/admin/domains/{path}", None)
    assert (answer.status_code, answer.json()["detail"]) == (404, said)


def test_services_say_how_they_are(api: Api, tmp_path: Path) -> None:
    answer = api.get("/v1/admin/services").json()
    assert (answer["cache"]["url"], answer["cache"]["trouble"]) == ("memory://", "")
    assert "each process counts alone" in answer["cache"]["note"]
    market, closed = answer["services"]
    assert (market["name"], market["configured"], market["trouble"]) == ("market", True, "")
    assert (closed["configured"], closed["empty"]) == (False, ["key"])
    assert closed["without"] == ["sources.window"]
    (tmp_path / "sick").write_text("the shop is on fire\n")
    assert api.get("/v1/admin/services").json()["services"][0]["trouble"] == "the shop is on fire"
