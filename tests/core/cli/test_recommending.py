"""recommend and explain."""

import sqlite3

import pytest


def test_a_slate_is_shown_with_what_it_is_made_of(run):
    said = run("recommend", "books", "ann", "--mood", "scifi")
    assert said.code == 0
    title, _, head, *rows = said.out.splitlines()
    assert title == "Books for ann: 3 of 6 candidates"
    assert head.split() == ["#", "item", "title", "score", "rated", "fits", "taste", "from"]
    assert len(rows[:3]) == 3
    assert all(len(line) <= 100 for line in said.out.splitlines())
    assert all("popular" in row for row in rows[:3])


def test_json_is_what_the_api_answers_with_parts(run):
    slate = run("recommend", "books", "ann", "-n", "2", "--json").json()
    assert list(slate) == ["slate", "domain", "user", "items", "degraded"]
    assert [pick["position"] for pick in slate["items"]] == [0, 1]
    for pick in slate["items"]:
        assert pick["item"]["title"]
        assert sum(pick["parts"].values()) == pytest.approx(pick["score"])
        assert 0 < pick["propensity"] <= 1


def test_the_situation_is_typed_as_in_yaml(run, folder):
    said = run(
        "recommend",
        "books",
        "ann",
        "--situation",
        "max=4.5",
        "--situation",
        "on=true",
        "--mood",
        "12",
        "--json",
    )
    log = sqlite3.connect(folder / "taste.db")
    (body,) = log.execute("select body from log where kind = 'slate'").fetchone()
    log.close()
    assert b'"situation":{"max":4.5,"on":true,"mood":"12"}' in body
    assert said.json()["slate"]


def test_a_trace_tells_what_became_of_the_others(run):
    said = run(
        "recommend",
        "books",
        "ann",
        "-n",
        "2",
        "--trace",
        "--set",
        "domains.books.filters=[{use: catalog.where, field: rating, at_least: 4.1}]",
    )
    assert "filters.where dropped 1" in said.out
    assert "3 candidates left over" in said.out
    trace = run("recommend", "books", "ann", "--trace", "--json").json()["trace"]
    assert trace["considered"] == 6
    assert len(trace["fates"]) == 3


def test_what_failed_is_told_in_words(run, folder):
    (folder / "shaky.py").write_text(
        "from tastemaker.core import Scorer, hookimpl\n"
        "class Shaky(Scorer):\n"
        "    '''Fails.'''\n"
        "    def score(self, context, candidates):\n"
        "        raise ValueError('no luck today')\n"
        "@hookimpl\n"
        "def components():\n"
        "    return [Shaky]\n"
    )
    said = run(
        "recommend",
        "books",
        "ann",
        "--set",
        "plugins=[./shaky.py]",
        "--set",
        "domains.books.scorers.x={use: shaky.shaky}",
    )
    assert said.code == 0
    assert "degraded: scorers.x: raised ValueError: no luck today" in said.out
    assert "Traceback" not in said.err


def test_hostile_titles_leave_the_terminal_alone(run, folder):
    (folder / "books.csv").write_text("isbn,title,rating\n1,\x1b[31m[bold]red[/bold]\x07,4\n")
    said = run("recommend", "books", "ann")
    assert "\x1b" not in said.out
    assert "[bold]red[/bold]" in said.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["boks", "ann"], "error: no domain is called 'boks' in config.yaml; did you mean 'books'?\n"),
        (["books", " "], "error: 'USER' must have 1 to 256 characters, not 0\n"),
        (
            ["books", "ann", "--situation", "x"],
            "error: --situation 'x' has no name and value; write it as max_price=20\n",
        ),
    ],
)
def test_misuse_is_one_line(run, arguments, message):
    said = run("recommend", *arguments)
    assert (said.code, said.err) == (2, message)


def test_a_store_that_is_none_is_one_line(run, folder):
    (folder / "taste.db").write_text("this is certainly no database, whatever its name may say")
    for command in (["recommend", "books", "ann"], ["domains"], ["import", "books", "books.csv"]):
        said = run(*command)
        assert said.code == 1
        assert said.err.startswith("error: ")
        assert len(said.err.splitlines()) == 1


def test_explain_tells_of_every_item_and_of_one_that_is_not_there(run):
    slate = run("recommend", "books", "ann", "-n", "2", "--json").json()
    shown = [pick["id"] for pick in slate["items"]]
    said = run("explain", slate["slate"], "--item", "nothing")
    assert said.code == 0
    assert all(f"'{item}'" in said.out for item in shown)
    assert "'nothing' is not in the catalogue" in said.out
    found = run("explain", slate["slate"], "--json").json()
    assert [item["id"] for item in found["items"]] == shown
    assert found["exact"] is True
    missing = run("explain", "nope")
    assert (missing.code, missing.err) == (1, "error: no slate 'nope' is logged\n")
