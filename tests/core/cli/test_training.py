"""`tastemaker train`, `runs`, `versions`, `save`, `promote`, `rollback` and `export`."""

import json
import time
import urllib.request
from pathlib import Path

import pytest
from tastemaker.core.cli.versions import _show_difference


@pytest.fixture
def learned(run, folder: Path):
    """The domain after people have clicked."""
    rows = [f"u{number % 7},{number % 5 + 1},click\n" for number in range(60)]
    (folder / "acts.csv").write_text("user,item,kind\n" + "".join(rows))
    assert run("import", "books", "acts.csv", "--interactions").code == 0
    return run


def test_a_run_and_what_it_came_to(learned):
    said = learned("train", "books", "--no-promote")
    assert said.code == 0, said.err
    assert said.out.startswith("books.taste@1: kept: nobody asked for its promotion\n")
    assert "60 outcomes of 7 users" in said.out
    assert "1.000 on average, more than 0 in 100.0%" in said.out
    assert "tastemaker promote books taste@1" in said.out
    (run,) = learned("runs", "books", "--json").json()
    assert (run["status"], run["trigger"], run["version"], run["rows"]) == ("done", "cli", 1, 60)
    title, line, *more = learned("runs", "books").out.splitlines()
    assert title.split() == ["started", "by", "positions", "rows", "reward", "result", "outcome"]
    span = f"{run['since']}-{run['until']}"
    assert line.split()[1:7] == ["cli", span, "60", "1.000", "taste@1", "kept:"]
    words = " ".join([line, *more]).split()
    assert " ".join(words[6:]) == "kept: nobody asked for its promotion"
    assert max(map(len, (title, line, *more))) <= 100
    again = learned("train", "books", "--policy", "taste", "--since", "7d", "--no-promote", "--json").json()
    assert (again[0]["version"], again[0]["rows"]) == (2, 60)


def test_versions_are_listed_shown_and_compared(learned):
    assert "no version is kept" in learned("versions", "books").out
    assert learned("save", "books", "taste", "--note", "as it was").code == 0
    learned("train", "books", "--no-promote")
    listed = learned("versions", "books", "taste", "--json").json()
    assert [(each["name"], each["origin"], each["note"]) for each in listed] == [
        ("taste@2", "training", ""),
        ("taste@1", "saved", "as it was"),
    ]
    shown = learned("versions", "books").out
    assert "taste@2" in shown
    assert "as it was" in shown
    details = learned("versions", "books", "taste@2")
    assert "trained by cli on 60 outcomes of 7 users" in details.out
    assert "item_won" in details.out
    same = learned("versions", "books", "taste@1", "taste@2", "--json").json()
    assert all(entry["changed"] is False for entry in same["entries"]), (
        "a run over everything is what is live"
    )
    compared = learned("versions", "books", "taste@1", "taste@2").out
    assert "none" in compared
    listed_entries = [line.split()[0] for line in compared.splitlines()[3:] if line[:1].strip()]
    assert listed_entries == [entry["name"] for entry in same["entries"]]


def test_entries_are_named_in_full_however_long_the_rest(capsys):
    name, text = "an_entry_with_a_name_of_some_length", repr("x" * 58)
    entry = {"name": name, "before": text, "after": text, "changed": True, "mean_change": 1, "max_change": 2}
    _show_difference(
        {**dict.fromkeys(("domain", "policy", "before", "after"), "x"), "entries": [entry]}, False
    )
    shown = capsys.readouterr().out
    assert name in shown.split()
    assert shown.count("x") > 2 * 58, "and nothing else is cut either"
    assert max(map(len, shown.splitlines())) <= 100


def test_promoted_and_rolled_back(learned):
    learned("save", "books", "taste")
    learned("import", "books", "acts.csv", "--interactions")
    said = learned("promote", "books", "taste@1")
    assert said.code == 0, said.err
    assert "books.taste is taste@1 from log position" in said.out
    assert "kept as taste@2" in said.out
    back = learned("rollback", "books", "taste", "--json").json()
    assert (back["version"], back["before"]) == (2, 3)
    live = [each["name"] for each in learned("versions", "books", "--json").json() if each["active"]]
    assert live == ["taste@2"]
    learned("train", "books", "--no-promote")
    assert "taste@4 was never compared" in learned("promote", "books", "taste@4").err


def test_exported_so_that_people_can_read_it(learned, folder: Path):
    learned("save", "books", "taste")
    said = learned("export", "books", "taste@1", "taste.json")
    assert (said.code, said.out) == (0, "")
    exported = json.loads((folder / "taste.json").read_text())
    assert exported["name"] == "taste@1"
    assert sorted(exported["state"]["item_ids"]) == ["1", "2", "3", "4", "5"]
    assert sum(exported["state"]["item_won"]) == 60
    assert learned("export", "books", "taste@1", "-").json() == exported
    missing = learned("export", "books", "taste@1", "nowhere/taste.json")
    assert missing.code == 1
    assert missing.err.startswith("error: nowhere/taste.json:")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("train", "bocks"), 2, "did you mean 'books'"),
        (("train", "books", "--policy", "tast"), 2, "did you mean 'taste'"),
        (("train", "books", "--since", "2999-01-01"), 2, "has not come yet"),
        (("train", "books", "--since", "soon"), 2, "write 7d, 36h"),
        (("versions", "books", "tast"), 2, "did you mean 'taste'"),
        (("versions", "books", "taste@9"), 2, "no taste@9 in books; there is: none is kept"),
        (("versions", "books", "taste@1", "other@1"), 2, "of different policies"),
        (("promote", "books", "taste"), 2, "write it as taste@3"),
        (("promote", "books", "taste@9"), 2, "no taste@9"),
        (("rollback", "books", "taste"), 1, "never promoted"),
        (("export", "books", "taste@9", "-"), 2, "no taste@9"),
    ],
)
def test_what_cannot_be(run, arguments, code, said):
    ran = run(*arguments)
    assert ran.code == code
    assert said in ran.err
    assert ran.out == ""


def test_with_nothing_to_learn_from(run):
    said = run("train", "books")
    assert said.code == 1
    assert "refused: books has no outcomes" in said.out
    assert "refused: books has no outcomes" in " ".join(run("runs", "books").out.split())
    assert "was never trained" in run("runs", "books", "--set", "store=sqlite:///other.db").out


def test_a_server_takes_it_up_within_a_second(learned, start, folder: Path):
    """Promoted from the command line beside a running server."""
    assert learned("save", "books", "taste").code == 0
    state = _served(start)
    first = state()
    (folder / "more.csv").write_text("user,item,kind\n" + "ann,6,click\n" * 9)
    assert learned("import", "books", "more.csv", "--interactions").code == 0
    _until(lambda: state() != first)
    assert learned("promote", "books", "taste@1").code == 0
    _until(lambda: state() == first)


def _served(start):
    """Gives the digest of what a running server has learned."""
    program = start("serve", "--port", "0")
    url = program.stdout.readline().split()[-1]

    def digest() -> str:
        with urllib.request.urlopen(f"{url}/v1/domains", timeout=30) as answer:
            return json.load(answer)["domains"][0]["policies"][0]["state"]

    return digest


def _until(happened):
    until = time.monotonic() + 30
    while not (found := happened()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return found
