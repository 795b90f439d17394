"""`tastemaker performance`."""

from tastemaker.core.cli.performance import legend


def test_it_shows_days_versions_and_top_items(run):
    assert "has shown no slate in the last 7 days" in run("performance", "books").out
    run("recommend", "books", "ann", "--limit", 2)
    ran = run("performance", "books", "--days", 2)
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert lines[0].split()[:4] == ["day", "slates", "people", "reward"]
    assert lines[1].split()[1:3] == ["1", "1"]
    assert "taste@online" in ran.out
    assert "shown most" in ran.out
    found = run("performance", "books", "--json").json()
    assert (found["total"]["slates"], found["total"]["shown"]) == (1, 2)


def test_lines_of_versions_are_told_apart_and_fit_80_columns(run):
    combinations = ["diversity@online, mood@2, taste@6", "diversity@online, mood@2, taste@7", "taste@7"]
    assert legend(combinations) == [
        "  1  diversity@online, mood@2, taste@6",
        "  2  … with taste@7",
        "  3  taste@7",
    ]
    run("recommend", "books", "ann", "--limit", 2)
    lines = run("performance", "books", "--days", 90).out.splitlines()
    assert max(map(len, lines[: lines.index("")])) <= 80
    heads = lines[0].split()
    assert heads[-5:] == ["skips", "whole", "tried", "cover", "bits"]
    assert "…" not in "".join(lines[:2])


def test_an_unknown_domain_is_named(run):
    ran = run("performance", "boks")
    assert (ran.code, "did you mean 'books'" in ran.err) == (2, True)
    assert run("performance", "books", "--days", 91).code == 2
