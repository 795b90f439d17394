"""`tastemaker performance`."""


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


def test_an_unknown_domain_is_named(run):
    ran = run("performance", "boks")
    assert (ran.code, "did you mean 'books'" in ran.err) == (2, True)
    assert run("performance", "books", "--days", 91).code == 2
