"""The fields of a domain's items: their types, and how raw values become typed ones."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from ..errors import ItemError, did_you_mean

FieldType = Literal["text", "number", "flag", "category", "tags", "time"]
"""The types an item's field may have."""

FIELD_TYPES: tuple[FieldType, ...] = get_args(FieldType)

MISSING = frozenset({"", "null", "none", "nan", "n/a", "na"})
"""Cells of a table that mean "no value", in lower case."""

_TRUE = frozenset({"true", "yes", "y", "1", "t", "on"})
_FALSE = frozenset({"false", "no", "n", "0", "f", "off"})
_LONGEST_ID = 256
_LONGEST_TEXT = 100_000
_MOST_TAGS = 1_000

Value = str | float | bool | list[str]
"""A typed value of a field, as it is stored."""


@dataclass(frozen=True)
class ItemSchema:
    """The typed fields of one domain's items.

    fields: type by field name.
    id: the raw key that holds the item's id.
    separator: what separates tags in a single cell.

    >>> schema = ItemSchema({"title": "text", "genres": "tags", "rating": "number"}, id="isbn")
    >>> schema.typed({"isbn": 7, "title": "Emma", "genres": "novel|classic", "rating": "4.5", "shelf": "B2"})
    ('7', {'title': 'Emma', 'genres': ['novel', 'classic'], 'rating': 4.5})
    """

    fields: Mapping[str, FieldType]
    id: str = "id"
    separator: str = "|"

    def typed(self, raw: Mapping[str, Any], *, strict: bool = False) -> tuple[str, dict[str, Value]]:
        """The id and the typed values of a raw item; missing values are left out.

        Keys that are no field are ignored, unless `strict`. Raises ItemError for a bad id or value.
        """
        identity = item_id(raw.get(self.id), self.id)
        if strict:
            for key in raw:
                if key != self.id and key not in self.fields:
                    raise ItemError(f"no field is called {key!r}{did_you_mean(key, self.fields)}")
        values: dict[str, Value] = {}
        for name, kind in self.fields.items():
            value = raw.get(name)
            if value is None:
                continue
            typed = typed_value(name, kind, value, self.separator)
            if typed is not None:
                values[name] = typed
        return identity, values

    def of_type(self, *kinds: FieldType) -> list[str]:
        """The names of the fields that have one of the types."""
        return [name for name, kind in self.fields.items() if kind in kinds]


def item_id(value: Any, key: str = "id") -> str:
    """An item's id as text: 1 to 256 printable characters. Raises ItemError otherwise.

    >>> item_id(42)
    '42'
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ItemError(f"{key!r} must be a text or a whole number, not {_shown(value)}")
    if isinstance(value, float):
        if not value.is_integer():
            raise ItemError(f"{key!r} must be a text or a whole number, not {value!r}")
        value = int(value)
    identity = str(value).strip()
    if not 1 <= len(identity) <= _LONGEST_ID:
        raise ItemError(f"{key!r} must have 1 to {_LONGEST_ID} characters, not {len(identity)}")
    if not identity.isprintable():
        raise ItemError(f"{key!r} must be printable, not {_shown(identity)}")
    return identity


def typed_value(name: str, kind: FieldType, value: Any, separator: str = "|") -> Value | None:
    """One typed value, or None where the raw one means "missing". Raises ItemError where it doesn't fit."""
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, str) and value.strip().lower() in MISSING:
        return None
    try:
        typed: Value | None = _PARSERS[kind](value, separator)
    except (ValueError, TypeError, OverflowError) as problem:
        reason = f" ({problem})" if isinstance(problem, _Misfit) else ""
        raise ItemError(f"{name!r} must be {_WANTED[kind]}, not {_shown(value)}{reason}") from None
    return typed


class _Misfit(ValueError):
    """A value that doesn't fit, with a reason worth showing."""


def _text(value: Any, _: str) -> str:
    if isinstance(value, list | tuple):
        value = ", ".join(str(part) for part in value)
    if isinstance(value, dict | set | bytes):
        raise TypeError
    text = str(value).replace("\x00", "")
    if len(text) > _LONGEST_TEXT:
        raise _Misfit(f"longer than {_LONGEST_TEXT:,} characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _Misfit("no valid Unicode") from None
    return text


def _number(value: Any, _: str) -> float:
    number = float(value.replace(",", "") if isinstance(value, str) and _THOUSANDS.match(value) else value)
    if not math.isfinite(number):
        raise _Misfit("not finite")
    if abs(number) > 3e38:
        raise _Misfit("too large")
    return number


_THOUSANDS = re.compile(r"^\s*[-+]?\d{1,3}(,\d{3})+(\.\d*)?\s*$")


def _flag(value: Any, _: str) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, float) and not value.is_integer():
        raise ValueError
    word = str(int(value)) if isinstance(value, int | float) else str(value).strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError


def _category(value: Any, separator: str) -> str | None:
    if isinstance(value, list | tuple | dict | set | bytes):
        raise TypeError
    return _text(value, separator).strip()[:_LONGEST_ID] or None


def _tags(value: Any, separator: str) -> list[str] | None:
    if isinstance(value, dict | set | bytes | bool):
        raise TypeError
    parts: Iterable[Any] = value if isinstance(value, list | tuple) else str(value).split(separator)
    words = (_text(part, separator).strip()[:_LONGEST_ID] for part in parts if part is not None)
    tags = dict.fromkeys(word for word in words if word)
    if len(tags) > _MOST_TAGS:
        raise _Misfit(f"more than {_MOST_TAGS:,} of them")
    return list(tags) or None


def _time(value: Any, _: str) -> float:
    if isinstance(value, bool):
        raise TypeError
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, int | float) or _EPOCH.match(value):
        seconds = float(value)
        if abs(seconds) > 1e11:  # milliseconds, as JavaScript counts
            seconds /= 1000
        if not -1e11 < seconds < 1e11:
            raise _Misfit("out of range")
        return seconds
    text = value.strip()
    if _PERIOD.match(text):  # a year or a month, as release dates often are: its first moment
        text += "-01" if len(text) > 4 else "-01-01"
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


_PERIOD = re.compile(r"^\d{4}(-\d{2})?$")
_EPOCH = re.compile(r"^\s*-?\d{9,13}(\.\d+)?\s*$")

_PARSERS: dict[FieldType, Any] = {
    "text": _text,
    "number": _number,
    "flag": _flag,
    "category": _category,
    "tags": _tags,
    "time": _time,
}

_WANTED: dict[FieldType, str] = {
    "text": "a text",
    "number": "a finite number",
    "flag": "true or false",
    "category": "one word or phrase",
    "tags": "a list of words",
    "time": "a time such as 2026-11-20T09:30:00Z or seconds since 1970",
}


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
