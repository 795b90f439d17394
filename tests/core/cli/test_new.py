"""new domain and new plugin, as commands."""

import pytest
from tastemaker.core.config import load


def test_a_new_domain_serves_at_once(run, folder):
    said = run("new", "domain", "library", "--from", "books.csv")
    assert said.code == 0
    assert "tastemaker recommend library ann --config library.yaml" in said.out
    assert said.out.splitlines()[3].split()[:2] == ["isbn", "id"]
    assert run("validate", "-c", "library.yaml").code == 0
    slate = run("recommend", "library", "ann", "-c", "library.yaml", "--json").json()
    assert len(slate["items"]) == 6
    assert slate["degraded"] == []


def test_nothing_is_overwritten_without_force(run, folder):
    run("new", "domain", "library", "--from", "books.csv")
    (folder / "library.yaml").write_text("# mine\n")
    said = run("new", "domain", "library", "--from", "books.csv")
    assert said.code == 2
    assert "--force" in said.err
    assert (folder / "library.yaml").read_text() == "# mine\n"
    assert run("new", "domain", "library", "--from", "books.csv", "--force").code == 0
    assert "library" in load(folder / "library.yaml").domains


def test_a_dash_prints_the_configuration(run, folder):
    said = run("new", "domain", "library", "--from", "books.csv", "--out", "-")
    (folder / "printed.yaml").write_text(said.out)
    assert run("validate", "-c", "printed.yaml").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["Books", "--from", "books.csv"], 2, "'Books' can't name a domain"),
        (["users", "--from", "books.csv"], 2, "'users' can't name a domain"),
        (["library", "--from", "none.csv"], 2, "no file at none.csv"),
        (["library", "--from", "empty.csv"], 1, "empty.csv is empty"),
        (["library", "--from", "zero.csv"], 1, "zero.csv has no rows"),
        (["library", "--from", "books.csv", "--id", "isbm"], 2, "did you mean 'isbn'?"),
        (["library", "--from", "books.csv", "--out", "nowhere/x.yaml"], 1, "nowhere/x.yaml: No such file"),
        (["library", "--from", "books.csv", "--out", "/proc/x.yaml"], 1, "/proc/x.yaml: "),
        (["library", "--from", "same.csv"], 2, "name one with --id"),
    ],
)
def test_what_cant_be_begun_is_one_line(run, folder, arguments, code, message):
    (folder / "empty.csv").write_text("")
    (folder / "zero.csv").write_text("id,title\n")
    (folder / "same.csv").write_text("colour,size\n" + "red,5\n" * 9)
    said = run("new", "domain", *arguments)
    assert said.code == code
    assert message in said.err
    assert len(said.err.splitlines()) == 1


def test_a_new_plugin_says_what_it_wrote(run, folder):
    said = run("new", "plugin", "night_mood")
    assert said.code == 0
    assert said.out.count("wrote ") == 4
    assert (folder / "tastemaker-night-mood" / "tastemaker_night_mood.py").is_file()
    again = run("new", "plugin", "night_mood")
    assert again.code == 2
    assert "is there already" in again.err
    assert "such as my_mood" in run("new", "plugin", "My-Mood").err


def test_simulate_measures_and_draws(run, folder):
    options = ["--people", "3", "--rounds", "4", "--seeds", "1"]
    found = run("simulate", "books", *options, "--json").json()
    assert (found["people"], found["rounds"], found["seeds"]) == (3, 4, 1)
    assert len(found["reward"]["with"]) == len(found["reward"]["without"]) == 4
    assert run("simulate", "books", *options, "--rounds", "0").code == 2
