"""A domain's items: fields, collector, embedder, and what is wrong with them."""

from typing import Any

import pytest

House = Any  # the fixture's class lives in conftest.py


def test_the_collector_says_what_separates_tags(house: House) -> None:
    assert house.books("items: {from: {separator: ';'}}").domains["books"].items.schema.separator == ";"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("items: {fields: {title: txt}}", "error[E05] 'txt' is no type of a field; did you mean 'text'?"),
        ("items: {field: {}}", "error[E03] no key is called 'field' here; did you mean 'fields'?"),
        ("items: {from: {use: toy.popular}}", "error[E09] 'toy.popular' is a source, not a collector"),
        ("items: {embedding: {use: toy.wire}}", "error[E09] 'toy.wire' is a connector that embeds nothing"),
        (
            "items: {embedding: {use: toy.text, text: '{titel}'}}",
            "'toy.text' embeds the field 'titel', which the items don't have; did you mean 'title'?",
        ),
        ("items: {from: {token: 5}}", "error[E05] 'token' must be a text; put it in quotes"),
        ("items: 3", "error[E05] 'items' must be a mapping"),
    ],
)
def test_what_is_wrong_with_items_is_told(house: House, text: str, said: str) -> None:
    (found,) = house.problems(house.books, text)
    assert said in found
