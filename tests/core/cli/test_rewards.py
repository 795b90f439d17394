"""`tastemaker rewards`."""

import pytest


@pytest.fixture
def video(folder):
    (folder / "config.yaml").write_text(
        "version: 1\nstore: sqlite:///taste.db\ndomains:\n  clips: {extends: video}\n  songs: {extends: music}\n"
    )
    return folder


def test_it_shows_the_map_and_works_an_example_out(run):
    ran = run("rewards", "books")
    assert ran.code == 0, ran.err
    assert "what" in ran.out.splitlines()[0]
    assert "Done with one item, 60 s after the slate:" in ran.out


def test_a_like_a_whole_watch_and_a_better_mood_come_to_2_3(video, run):
    steps = ("like", "completion=1", "--situation", "mood=neutral", "--then", "mood=peaceful")
    ran = run("rewards", "clips", *steps, "--json")
    assert [(line["done"], line["adds"], line["total"]) for line in ran.json()["example"]] == [
        ("like", pytest.approx(1.3), pytest.approx(1.3)),
        ("completion 1", pytest.approx(1.0), pytest.approx(2.3)),
    ]
    shown = run("rewards", "clips").out  # its own example is the same
    assert "mood neutral → calm" in shown
    assert shown.split()[-1] == "+2.3"


def test_haste_has_its_bonus(video, run):
    def total(*options):
        return run("rewards", "songs", "save", *options, "--json").json()["example"][-1]["total"]

    assert total("--after", 10) == pytest.approx(1.7)
    assert total("--after", 60) == pytest.approx(1.5)


def test_what_is_worth_nothing_is_refused_with_what_was_meant(video, run):
    assert "did you mean 'like'" in run("rewards", "clips", "liek").err
    for value in ("all", "nan", "-inf"):
        ran = run("rewards", "clips", f"completion={value}")
        assert (ran.code, "must be a finite number" in ran.err) == (2, True)
    assert "did you mean 'clips'" in run("rewards", "clip").err


def test_a_domain_without_rewards_says_so(folder, run):
    (folder / "config.yaml").write_text(
        "version: 1\nstore: sqlite:///taste.db\ndomains:\n  plain:\n    items: {fields: {title: text}}\n"
        "    sources: [{use: catalog.popular}]\n"
    )
    assert "nothing is learned" in run("rewards", "plain").out
