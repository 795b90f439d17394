"""`tastemaker doctor` and `collect`: plain words about what is configured, and collectors run by hand."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
PLUGIN = Path(__file__).parents[1] / "feed_plugin.py"
CONFIG = """\
store: sqlite:///books.db
plugins: [{plugin}]
domains:
  books:
    connectors:
      market: {{use: feed_plugin.shop, key: "${{SHOP_KEY:-}}", folder: {folder}}}
      web: {{use: feed_plugin.web, budgets: {{search: {{limit: 100, per: day}}}}}}
    items: {{fields: {{title: text}}}}
    sources:
      random: {{use: catalog.random}}
      window: {{use: feed_plugin.window}}
    collectors:
      feed: {{use: feed_plugin.feed, folder: ., every: 6h}}
      stream: {{use: feed_plugin.stream, folder: .}}
"""


@pytest.fixture
def shop(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("SHOP_KEY", raising=False)
    (folder / "config.yaml").write_text(CONFIG.format(plugin=PLUGIN, folder=folder))
    (folder / "rows").write_text(json.dumps({"id": 1, "title": "Emma"}) + "\n")
    return folder


def test_before_anything_has_started(shop: Path, run: Run) -> None:
    ran = run("doctor")
    lines = [line.strip() for line in ran.out.splitlines()]
    assert ran.code == 0
    assert lines[0].endswith("books.db: not there yet: the first start makes it")
    alone = "each process counts alone, and anew when it starts; redis:// counts for all"
    assert f"cache  memory://: budgets are as this process counts: with cache: memory:// {alone}" in lines
    assert run("doctor", "--json").json()["cache"]["note"].endswith(alone)
    assert "market (feed_plugin.shop): not configured: key is empty" in lines
    assert "web (feed_plugin.web): well" in lines
    assert "search: 100 of 100 left as this process counts" in lines
    assert (
        "collectors.feed (feed_plugin.feed), every 6h: has not run yet; a server runs it when it starts"
        in lines
    )
    assert "sources.window: left out: the connector 'market' is not configured" in lines
    assert "no items yet" in lines
    assert lines[-1] == "Nothing is broken."
    assert not (shop / "books.db").exists()


def test_after_a_run(shop: Path, run: Run) -> None:
    collected = run("collect", "books")
    assert (collected.code, collected.out.splitlines()) == (
        0,
        [
            "books.feed: 1 item written, 0 unchanged, 0 removed; 0 rows rejected",
            "books.stream: left out: the connector 'market' is not configured",
        ],
    )
    found = run("doctor", "books", "--json").json()
    (feed,) = found["domains"]["books"]["collectors"]
    assert (feed["last"]["status"], feed["last"]["rows"]) == ("done", 1)
    assert [(each["origin"], each["items"]) for each in found["domains"]["books"]["catalogue"]] == [
        ("feed", 1)
    ]
    assert found["broken"] == []


def test_a_collection_of_which_no_row_can_be_taken_ends_with_1(shop: Path, run: Run) -> None:
    good, bad = json.dumps({"id": 1, "title": "Emma"}), json.dumps({"title": "Nobody"})
    for rows, code in (([good, bad], 0), ([bad], 1), ([], 0)):
        (shop / "rows").write_text("".join(f"{row}\n" for row in rows))
        ran = run("collect", "books", "feed")
        assert (ran.code, f"{rows.count(bad)} row" in ran.out) == (code, True)


def test_what_is_broken_is_named_and_ends_with_1(
    shop: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_KEY", "hunter2")
    (shop / "sick").write_text("the shop is on fire")
    (shop / "rows").write_text(json.dumps({"raise": "no more paper"}) + "\n")
    failed = run("collect", "books", "feed")
    assert failed.code == 1
    assert failed.out.startswith("books.feed: failed: 0 items written")
    assert failed.out.endswith("no more paper\n")
    ran = run("doctor")
    assert ran.code == 1
    assert ran.out.splitlines()[-3:] == [
        "2 things broken:",
        "  books: the connector 'market': the shop is on fire",
        "  books: the collector 'feed': no more paper",
    ]
    assert "hunter2" not in ran.out + ran.err + run("doctor", "--json").out


def test_items_that_the_next_start_can_not_read(folder: Path, run: Run) -> None:
    table = "{use: files.table, path: shelf.csv}"
    (folder / "config.yaml").write_text(
        "store: sqlite:///books.db\n"
        f"domains: {{books: {{items: {{from: {table}, fields: {{title: text}}}}, "
        "sources: {all: {use: catalog.random}}}}\n"
    )
    ran = run("doctor")
    assert ran.code == 1
    assert ran.out.splitlines()[-1].startswith("  books: items.from: no file at ")
    (folder / "shelf.csv").write_text("id,title\n1,Emma\n")
    ran = run("doctor")
    assert (ran.code, ran.out.splitlines()[-1]) == (0, "Nothing is broken.")
    assert not (folder / "books.db").exists()


@pytest.mark.parametrize(("store", "said"), [("no/books.db", "the folder"), ("shelf", "can't be opened")])
def test_a_store_that_the_first_start_can_not_make(shop: Path, run: Run, store: str, said: str) -> None:
    (shop / "shelf").mkdir()
    ran = run("doctor", "--set", f"store=sqlite:///{store}")
    assert ran.code == 1
    assert f"the store sqlite:///{shop / store}" in ran.out
    assert said in ran.out.splitlines()[-1]
    assert not (shop / "no").exists()


def test_a_store_that_is_none(shop: Path, run: Run) -> None:
    (shop / "books.db").write_text("no database at all, and longer than a header has to be" * 50)
    ran = run("doctor")
    assert ran.code == 1
    assert "1 thing broken:" in ran.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["collect", "books", "fed"], "no collector of books is called 'fed'; did you mean 'feed'?"),
        (["collect", "books", "stream"], "takes no part: the connector 'market' is not configured"),
        (["collect", "boks"], "no domain is called 'boks'"),
        (["doctor", "boks"], "no domain is called 'boks'"),
    ],
)
def test_names_that_are_none(shop: Path, run: Run, arguments: list[str], said: str) -> None:
    ran = run(*arguments)
    assert ran.code == 2
    assert said in ran.err
