"""One entry of a section, and what is wrong with it."""

from typing import Any

import pytest

House = Any  # the fixture's class lives in conftest.py


def test_an_entry_switched_off_needs_no_plugin(house: House) -> None:
    books = house.books("scorers: {recent: {enabled: false, use: nowhere.thing}}").domains["books"]
    assert books.scorers == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "sources: {x: {use: toy.similr}}",
            "config.yaml:5:24: error[E04] no source is called 'toy.similr'; did you mean 'toy.similar'?",
        ),
        ("sources: {x: {use: toyy.similar}}", "error[E04] no plugin is called 'toyy'; did you mean 'toy'?"),
        (
            "sources: {x: {use: toy.seen}}",
            "error[E09] 'toy.seen' is a filter, not a source; it belongs under 'filters'",
        ),
        ("sources: {x: {limit: 3}}", "config.yaml:5:15: error[E07] 'x' needs the key 'use'"),
        ("sources: {x: {use: 3}}", "error[E05] 'use' must name a component, as plugin.component"),
        ("sources: {x: 3}", "error[E05] 'x' must be a mapping such as {use: plugin.component}"),
        ("sources: [toy.similar]", "must be a mapping such as {use: plugin.component}"),
        ("sources: 3", "error[E05] 'sources' must be a list of entries, or a mapping of them by name"),
        (
            "sources: {popular: {limt: 3}}",
            "error[E03] 'toy.popular' has no option 'limt'; did you mean 'limit'?",
        ),
        (
            "sources: {popular: {limit: '3'}}",
            "'limit' must be a whole number, not \"3\"; take the quotes off",
        ),
        ("sources: {popular: {weight: 3}}", "error[E03] 'toy.popular' has no option 'weight'"),
        ("sources: {'a b': {use: toy.popular}}", "error[E05] 'a b' can't name an entry"),
        ("sources: {similar: {by: 3}}", "'by' must be a list, not 3"),
        ("sources: {similar: {by: [3]}}", "entry 1 of 'by' must be a text, not 3; put it in quotes"),
        ("scorers: {recent: {weight: .inf}}", "'weight' must be finite"),
        ("scorers: {recent: {half_life_days: 0}}", "'half_life_days' must be more than 0, not 0"),
        ("scorers: {recent: {timeout_ms: 0}}", "'timeout_ms' must be more than 0, not 0"),
        ("scorers: {recent: {on_error: ignore}}", "'on_error' must be 'skip', not \"ignore\""),
        ("scorers: {x: {use: toy.freshness}}", "error[E07] 'toy.freshness' needs the key 'field'"),
        ("scorers: {x: {use: toy.picky, odd: 4}}", "error[E05] 'odd' must be odd, not 4"),
        (
            "scorers: {x: {use: toy.picky, odd: 13}}",
            "error[E08] 'toy.picky' can't take its options: RuntimeError: thirteen",
        ),
    ],
)
def test_what_is_wrong_with_an_entry_is_told(house: House, text: str, said: str) -> None:
    (found,) = house.problems(house.books, text)
    assert said in found
