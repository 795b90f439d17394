"""Guessing what columns hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tastemaker.core.catalog.items import FIELD_TYPES
from tastemaker.core.scaffold.columns import field_name, fits, guess_columns, guess_id, guess_separator

MANY = list(range(40))


@pytest.mark.parametrize(
    ("column", "values", "kind"),
    [
        ("price", ["1.5", "20", "-3"], "number"),
        ("price", ["1,500", "20"], "number"),
        ("stars", [3, 4, 5], "number"),
        ("archived", ["true", "false", "true"], "flag"),
        ("in_print", ["yes", "no"], "flag"),
        ("available", ["0", "1", "1"], "flag"),
        ("copies", ["0", "1", "1"], "number"),
        ("listed", [True, False], "flag"),
        ("updated", ["2026-01-02", "2025-12-31T10:00:00Z"], "time"),
        ("created_at", ["1700000000", "1600000000"], "time"),
        ("published", ["1700000000000"], "time"),
        ("population", ["1700000000", "1600000000"], "number"),
        ("release_date", ["2026-01-02", "2012"], "time"),
        ("release_date", ["2026-01-02", "2025-01", "soon"], "text"),
        ("genres", ["novel|classic", "novel", "epic|scifi"], "tags"),
        ("themes", [["a", "b"], ["b"]], "tags"),
        ("colour", ["red", "blue", "red", "red", "blue"], "category"),
        ("brand", ["Acme", "Bolt", "Cog"], "category"),
        ("channel_id", ["17", "23", "42"], "category"),
        ("zip", ["01234", "99999"], "category"),
        ("title", ["Emma", "Emma", "Emma"], "text"),
        ("plot", ["A long story, with a comma, and another one."] * 3, "text"),
        ("link", ["https://example.org/a|b", "https://example.org/c"], "text"),
        ("note", ["n/a", "", "good"], "text"),
    ],
)
def test_types(column, values, kind):
    (guess,) = guess_columns([(column, values)], "|")
    assert guess.kind == kind, guess.because
    assert guess.because


def test_a_column_without_values_is_no_field():
    assert guess_columns([("empty", []), ("null", ["null", "n/a"])], "|") == []


@pytest.mark.parametrize(
    ("columns", "separator"),
    [
        ([("genres", ["a|b", "b|c"])], "|"),
        ([("tags", ["a;b", "b"])], ";"),
        ([("moods", ["calm, warm", "warm"])], ","),
        ([("title", ["Files, Cardboard, Pack of 4", "Lamp, red"])], "|"),
        ([("words", ["a,b", "b,a", "a,b"])], ","),
        ([("price", ["1,500", "2,000"])], "|"),
    ],
)
def test_separators(columns, separator):
    assert guess_separator(columns) == separator


@pytest.mark.parametrize(
    ("columns", "identity"),
    [
        ([("title", [f"Book number {n}" for n in MANY]), ("isbn", [str(n) for n in MANY])], "isbn"),
        (
            [("full_name", [f"a/{n}" for n in MANY]), ("url", [f"https://e.org/{n}" for n in MANY])],
            "full_name",
        ),
        ([("price", [f"{n}.5" for n in MANY]), ("name", [f"n{n}" for n in MANY])], "name"),
        ([("user_id", ["7"] * 40), ("video_id", [str(n % 35) for n in MANY])], "video_id"),
        ([("when", [f"2026-01-{n % 28 + 1:02}T{n % 24:02}:00" for n in MANY])], None),
        ([("colour", ["red"] * 40)], None),
        ([("id", MANY[:20]), ("code", [str(n) for n in MANY])], "code"),
    ],
)
def test_identities(columns, identity):
    found = guess_id(columns, 40)
    assert (found and found[0]) == identity


@given(st.lists(st.text(max_size=12), min_size=1, max_size=30))
def test_whatever_is_guessed_fits_every_value(values):
    for separator in "|;,":
        for guess in guess_columns([("column", values), ("genre tags", values)], separator):
            assert guess.kind in FIELD_TYPES
            assert fits(guess.kind, [value for value in values if value], separator)


@given(st.lists(st.text(max_size=80), max_size=8))
def test_field_names_are_plain_and_differ(columns):
    names: list[str] = []
    for column in columns:
        names.append(field_name(column, names))
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() and len(name) <= 64 for name in names)
