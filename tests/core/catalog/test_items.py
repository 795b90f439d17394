"""From raw values to typed ones, and what is refused on the way."""

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tastemaker.core import ItemError, ItemSchema
from tastemaker.core.catalog.items import FIELD_TYPES, FieldType, item_id, typed_value

WHEN = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "raw", "typed"),
    [
        ("text", "Emma", "Emma"),
        ("text", 7, "7"),
        ("text", ["a", 2], "a, 2"),
        ("text", ("a", "b"), "a, b"),
        ("text", "a\x00b", "ab"),
        ("number", 4, 4.0),
        ("number", "4.5", 4.5),
        ("number", " -1e3 ", -1000.0),
        ("number", "1,234,567.5", 1234567.5),
        ("flag", True, True),
        ("flag", "No", False),
        ("flag", 1, True),
        ("flag", 0.0, False),
        ("flag", "t", True),
        ("category", " jazz ", "jazz"),
        ("category", 7, "7"),
        ("tags", "a| b|a||", ["a", "b"]),
        ("tags", ["a", " b ", "a", "", None], ["a", "b"]),
        ("tags", ("b", "a"), ["b", "a"]),
        ("tags", 7, ["7"]),
        ("time", "2026-11-20T09:30:00Z", WHEN.timestamp()),
        ("time", "2026-11-20 09:30", WHEN.timestamp()),
        ("time", "2026-11-20T11:30:00+02:00", WHEN.timestamp()),
        ("time", "2026-11-20", WHEN.replace(hour=0, minute=0).timestamp()),
        ("time", "2026-11", WHEN.replace(day=1, hour=0, minute=0).timestamp()),
        ("time", "2026", WHEN.replace(month=1, day=1, hour=0, minute=0).timestamp()),
        ("time", WHEN, WHEN.timestamp()),
        ("time", WHEN.replace(tzinfo=None), WHEN.timestamp()),
        ("time", WHEN.timestamp(), WHEN.timestamp()),
        ("time", int(WHEN.timestamp() * 1000), WHEN.timestamp()),
        ("time", str(int(WHEN.timestamp())), WHEN.timestamp()),
    ],
)
def test_values_are_typed(kind: FieldType, raw: Any, typed: Any) -> None:
    found = typed_value("field", kind, raw)
    assert found == typed
    assert type(found) is type(typed)


@pytest.mark.parametrize("kind", FIELD_TYPES)
@pytest.mark.parametrize("raw", ["", "  ", "NULL", "None", "nan", "N/A", float("nan")])
def test_missing_values_are_missing(kind: FieldType, raw: Any) -> None:
    assert typed_value("field", kind, raw) is None


@pytest.mark.parametrize(
    ("kind", "raw"), [("tags", []), ("tags", "||"), ("tags", [None, " "]), ("category", " \x00 ")]
)
def test_so_are_those_that_hold_nothing(kind: FieldType, raw: Any) -> None:
    assert typed_value("field", kind, raw) is None


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        ("text", {"a": 1}),
        ("text", b"bytes"),
        ("text", {"a"}),
        ("text", "lone \ud800 surrogate"),
        ("text", "x" * 100_001),
        ("number", "many"),
        ("number", "inf"),
        ("number", math.inf),
        ("number", "1e400"),
        ("number", 1e39),
        ("number", "1,23"),
        ("number", [1]),
        ("number", 10**400),
        ("flag", "maybe"),
        ("flag", 2),
        ("flag", 0.5),
        ("flag", math.inf),
        ("flag", [True]),
        ("category", ["a"]),
        ("category", ("a",)),
        ("category", {"a": 1}),
        ("tags", {"a": 1}),
        ("tags", {"a"}),
        ("tags", True),
        ("tags", [{"a": 1}]),
        ("tags", [f"t{number}" for number in range(1001)]),
        ("time", "yesterday"),
        ("time", True),
        ("time", 1e20),
        ("time", math.inf),
        ("time", [1]),
        ("time", "2026-13-01"),
    ],
)
def test_what_does_not_fit_is_refused_and_named(kind: FieldType, raw: Any) -> None:
    with pytest.raises(ItemError, match=r"^'field' must be ") as error:
        typed_value("field", kind, raw)
    assert len(str(error.value)) < 250


@given(st.sampled_from(FIELD_TYPES), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2), max_leaves=5,
))  # fmt: skip
def test_anything_is_either_typed_or_refused_and_what_is_typed_stays_so(kind: FieldType, raw: Any) -> None:
    if raw is None:
        return
    try:
        typed = typed_value("field", kind, raw)
    except ItemError:
        return
    if typed is None:
        return
    wanted = {"text": str, "number": float, "flag": bool, "category": str, "tags": list, "time": float}
    assert type(typed) is wanted[kind]
    stored = orjson.loads(orjson.dumps(typed))
    assert stored == typed
    if kind == "time":
        assert abs(typed) < 1e11  # type: ignore[arg-type]
    elif kind != "text" or str(typed).strip():
        again = typed_value("field", kind, stored)
        assert again == typed or again is None


@given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1)), st.integers(-14, 14))
def test_times_mean_the_moment_whatever_their_zone(moment: datetime, hours: int) -> None:
    here = moment.replace(tzinfo=timezone(timedelta(hours=hours)))
    assert typed_value("field", "time", here.isoformat()) == pytest.approx(here.timestamp(), abs=1e-5)


class TestIds:
    @pytest.mark.parametrize(("raw", "identity"), [(42, "42"), ("  a b ", "a b"), (7.0, "7"), ("ü", "ü")])
    def test_texts_and_whole_numbers_are_ids(self, raw: Any, identity: str) -> None:
        assert item_id(raw) == identity

    @pytest.mark.parametrize(
        "raw",
        [None, "", "  ", True, 1.5, math.nan, math.inf, [1], "a\nb", "a\x00", "x" * 257, "\ud800", b"a"],
    )
    def test_nothing_else_is(self, raw: Any) -> None:
        with pytest.raises(ItemError, match="'isbn' must"):
            item_id(raw, "isbn")


class TestSchemas:
    schema = ItemSchema({"title": "text", "genres": "tags", "rating": "number"}, id="isbn", separator=";")

    def test_an_item_is_typed_by_its_fields(self) -> None:
        assert self.schema.typed({"isbn": 7, "title": "Emma", "genres": "a;b", "rating": "", "shelf": 2}) == (
            "7",
            {"title": "Emma", "genres": ["a", "b"]},
        )

    def test_strictly_unknown_keys_are_refused_with_the_nearest(self) -> None:
        with pytest.raises(ItemError, match="no field is called 'titel'; did you mean 'title'"):
            self.schema.typed({"isbn": 7, "titel": "Emma"}, strict=True)

    def test_fields_can_be_asked_for_by_type(self) -> None:
        assert self.schema.of_type("text", "tags") == ["title", "genres"]
        assert self.schema.of_type("flag") == []
