"""What is wrong with a domain as a whole, and with the sections that are no entries."""

from typing import Any

import pytest

House = Any  # the fixture's class lives in conftest.py


def test_a_reward_component_takes_the_place_of_the_table(house: House) -> None:
    reward = house.books("rewards: {use: toy.stars, scale: 2}").domains["books"].reward
    assert reward.component_name() == "stars"


def test_a_domain_whose_sources_are_all_off_needs_one(house: House) -> None:
    off = "{popular: {enabled: false}, similar: {enabled: false}, similar_2: null}"
    (said,) = house.problems(house.books, f"sources: {off}")
    assert "error[E07] the domain 'books' needs at least one source" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("slate: {size: 0}", "config.yaml:5:19: error[E05] 'size' must be at least 1, not 0"),
        ("slate: {size: 5.5}", "'size' must be a whole number, not 5.5"),
        ("slate: {size: true}", "'size' must be a whole number, not true"),
        ("slate: {explore: .nan}", "'explore' must be finite, not NaN"),
        ("slate: {stable: no}", "'stable' must be 'never' or 'day', not \"no\""),
        (
            "slate: {sise: 3}",
            "config.yaml:5:13: error[E03] 'slate' has no option 'sise'; did you mean 'size'?",
        ),
        ("slate: 3", "config.yaml:5:12: error[E05] 'slate' must be a mapping"),
        ("slate: {max_per: {genres: 0}}", "config.yaml:5:31: error[E05] 'genres' must be at least 1, not 0"),
        ("slat: {}", "config.yaml:5:5: error[E03] no key is called 'slat' here; did you mean 'slate'?"),
        ("learning: {history: -1}", "'history' must be at least 0, not -1"),
        ("title: 5", "error[E05] 'title' must be a text; put it in quotes"),
        ("enabled: maybe", "'enabled' must be true or false, not \"maybe\""),
        ("sources: []", "error[E07] the domain 'books' needs at least one source"),
        (
            f"sources: [{', '.join(['{use: catalog.random}'] * 65)}]",
            "error[E05] 'books' has 65 sources; 64 is the most",
        ),
        (
            "rewards: {open: lots}",
            "'open' must be a number, or a mapping, not \"lots\"; a reward is a number,",
        ),
        ("rewards: {open: {per_unit: x}}", "error[E05] 'per_unit' must be a number, not \"x\""),
        ("rewards: {open: {good: 1}}", "error[E05] the key 'good' must be a number"),
        ("rewards: {open: {per_unit: 1, at_mst: 3}}", "no key is called 'at_mst'; did you mean 'at_most'?"),
        ("rewards: [1]", "error[E05] 'rewards' must be a mapping"),
        ("rewards: {use: toy.seen}", "error[E09] 'toy.seen' is a filter, not a reward"),
        (
            "policies: {recent: {use: toy.ranker}}",
            "error[E13] a scorer and a policy are both called 'recent'",
        ),
    ],
)
def test_what_is_wrong_in_a_domain_is_told(house: House, text: str, said: str) -> None:
    (found,) = house.problems(house.books, text)
    assert said in found
