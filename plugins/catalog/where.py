"""The `where` filter: one field of the items, compared with fixed values or with values of the situation."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PrivateAttr, model_validator

from ...core import (
    AnyField,
    Candidates,
    ComponentError,
    Context,
    FieldType,
    Filter,
    ItemError,
    UnknownColumn,
    typed_value,
)
from .words import codes_of

Mask = NDArray[np.bool_]
Scalar = bool | int | float | str
Bound = int | float | str
Test = Literal[
    "equals",
    "not_equals",
    "one_of",
    "none_of",
    "all_of",
    "at_least",
    "at_most",
    "within_days",
    "contains",
]

_DAY = 86_400.0
_FITS: Mapping[Test, tuple[FieldType, ...]] = {
    "equals": ("number", "flag", "category", "tags"),
    "not_equals": ("number", "flag", "category", "tags"),
    "one_of": ("number", "category", "tags"),
    "none_of": ("number", "category", "tags"),
    "all_of": ("tags",),
    "at_least": ("number", "time"),
    "at_most": ("number", "time"),
    "within_days": ("time",),
    "contains": ("text",),
}
_NEGATIVE = frozenset({"not_equals", "none_of"})
_VALUE: Mapping[FieldType, str] = {
    "number": "a number",
    "time": "a time such as 2026-11-20",
    "flag": "true or false",
    "category": "a word",
    "tags": "a word",
    "text": "a text",
}
_VALUES: Mapping[FieldType, str] = {"number": "numbers", "category": "words", "tags": "words"}


class Where(Filter):
    """Keeps items whose field passes every test given.

    Tests by the field's type: number: equals, not_equals, one_of, none_of, at_least, at_most; time: at_least,
    at_most, within_days; flag: equals, not_equals; category: equals, not_equals, one_of, none_of; tags: the
    same, where equals means "has it", and all_of; text: contains. Case never matters.
    """

    blocking: ClassVar[bool] = False

    field: AnyField = Field(description="The field to test.")
    equals: Scalar | None = Field(None, description="Is this value; tags: holds this word.")
    not_equals: Scalar | None = Field(None, description="Is not this value; tags: does not hold this word.")
    one_of: tuple[Scalar, ...] | None = Field(None, min_length=1, description="Is or holds any of these.")
    none_of: tuple[Scalar, ...] | None = Field(None, min_length=1, description="Is or holds none of these.")
    all_of: tuple[str, ...] | None = Field(None, min_length=1, description="Holds all of these words.")
    at_least: Bound | None = Field(None, description="Is this number or time (ISO 8601), or more.")
    at_most: Bound | None = Field(None, description="Is this number or time (ISO 8601), or less.")
    within_days: float | None = Field(
        None, gt=0, le=36_500, description="Lies between so many days ago and now."
    )
    contains: str | None = Field(None, min_length=1, description="The text contains this.")
    situation: dict[Test, str] = Field(
        {},
        description="Keys of the request's situation that give values by test, such as {at_most: max_price}. "
        "Where it has no fitting value, the test's own option holds, without one the test is left out; the slate names "
        "a value that doesn't fit, and of several words those that no item has.",
    )
    missing: Literal["keep", "drop"] | None = Field(
        None,
        description="What happens to items without a value; by default they are dropped, and kept where every "
        "test is a negative one.",
    )

    _fixed: dict[FieldType, dict[Test, Any]] = PrivateAttr(default_factory=dict)
    """What is tested by the type of the field, where that is the same for every request."""

    @model_validator(mode="after")
    def _tests_fit(self) -> Self:
        tests = {**self._given(), **self.situation}
        if not tests:
            raise ValueError(f"give at least one test: {', '.join(get_args(Test))}")
        types = [kind for kind in get_args(FieldType) if all(kind in _FITS[test] for test in tests)]
        if not types:
            raise ValueError(f"{_listed(tests)} don't go together: no type of field has them all")
        for test, value in self._given().items():
            if all(_typed(kind, test, value) is None for kind in types):
                raise ValueError(f"`{test}` can't be {value!r}: it takes {_takes(test, types)}")
        for kind in types:
            low, high = (_typed(kind, test, getattr(self, test)) for test in ("at_least", "at_most"))
            if low is not None and high is not None and low > high:
                raise ValueError(f"`at_least` ({self.at_least}) is more than `at_most` ({self.at_most})")
        return self

    def misfits(self, fields: Mapping[str, FieldType]) -> Iterable[tuple[str, str]]:
        """Tests that don't go with the field's type, or values that it can't have."""
        kind = fields[self.field]
        for test in {**self._given(), **self.situation}:
            if kind not in _FITS[test]:
                yield test, f"`{test}` is for {_listed(_FITS[test])}, and {self.field!r} is {kind}"
            elif test in self._given() and _typed(kind, test, getattr(self, test)) is None:
                yield test, f"`{test}` of {self.field!r}, a {kind} field, can't be {getattr(self, test)!r}"

    def keep(self, context: Context, candidates: Candidates) -> Mask:
        """Raises ComponentError where a test doesn't fit the field's type."""
        kind = _type_of(candidates, self.field)
        tests = self._tests(kind, context)
        if not tests:
            return np.ones(len(candidates), dtype=bool)
        passed, known = _COMPARE[kind](candidates, self.field, tests, context.now)
        missing = self.missing or ("keep" if _NEGATIVE.issuperset(tests) else "drop")
        return passed | ~known if missing == "keep" else passed & known

    def _given(self) -> dict[Test, Any]:
        return {test: value for test in _FITS if (value := getattr(self, test)) is not None}

    def _tests(self, kind: FieldType, context: Context) -> dict[Test, Any]:
        tests = self._fixed.get(kind)
        if tests is None:
            tests = self._wanted(kind, context)
            if not self.situation:
                self._fixed[kind] = tests
        return tests

    def _wanted(self, kind: FieldType, context: Context) -> dict[Test, Any]:
        tests: dict[Test, Any] = {}
        for test in {**self._given(), **self.situation}:
            if kind not in _FITS[test]:
                raise ComponentError(
                    f"where: {self.field!r} is a {kind} field, and `{test}` is for {_listed(_FITS[test])}; "
                    f"it takes {_listed(name for name, kinds in _FITS.items() if kind in kinds)}"
                )
            value = self._said(kind, test, context) if test in self.situation else None
            if value is None:
                value = _typed(kind, test, getattr(self, test))
            if value is not None:
                tests[test] = value
            elif test not in self.situation:
                raise ComponentError(
                    f"where: `{test}` of {self.field!r}, a {kind} field, can't be {getattr(self, test)!r}"
                )
        return tests

    def _said(self, kind: FieldType, test: Test, context: Context) -> Any:
        """What the situation gives for a test, None where that doesn't fit; what of it isn't heeded is named."""
        key = self.situation[test]
        value = _typed(kind, test, context.situation.get(key))
        if value is None:
            context.unheeded(key, _takes(test, (kind,)))
        elif test in ("equals", "one_of") and kind in ("category", "tags"):
            vocabulary = context.catalog.words(self.field)
            strange = [word for word in value if not len(codes_of(vocabulary, (word,)))]
            if len(strange) < len(value):
                context.unheeded(key, f"words that items have under {self.field!r}", strange)
        return value


class Wish(Where):
    """Like `catalog.where`, but a wish rather than a rule: where it would leave nothing, the nearest items stay.

    Numbers and times are the nearer the less they are beyond a bound or away from a value; of other fields all items
    are equally near.
    """

    soft: ClassVar[bool] = True

    def distance(self, context: Context, candidates: Candidates) -> NDArray[np.floating[Any]]:
        """In the field's unit, shape (n,); items without a value are as far as the furthest."""
        kind = _type_of(candidates, self.field)
        distance = np.zeros(len(candidates))
        if kind not in ("number", "time"):
            return distance
        values = candidates[self.field].astype(np.float64)
        for test, wanted in self._tests(kind, context).items():
            np.maximum(distance, _beyond(values, test, wanted, context.now), out=distance)
        unknown = np.isnan(values)
        distance[unknown] = 0.0
        distance[unknown] = distance.max(initial=0.0)
        return distance


def _type_of(candidates: Candidates, field: str) -> FieldType:
    kind = candidates.catalog.schema.fields.get(field)
    if kind is None:
        known = candidates.catalog.schema.fields
        raise UnknownColumn(f"where: {field!r} is no field of these items; known: {_listed(known)}")
    return kind


def _takes(test: Test, kinds: Iterable[FieldType]) -> str:
    """What a test takes for fields of some types, in words."""
    if test == "within_days":
        return "a number of days above 0"
    fitting = [kind for kind in kinds if kind in _FITS[test]]
    if test in ("one_of", "none_of", "all_of"):
        return "a list of " + " or ".join(dict.fromkeys(_VALUES[kind] for kind in fitting))
    return " or ".join(dict.fromkeys(_VALUE[kind] for kind in fitting))


def _typed(kind: FieldType, test: Test, value: Any) -> Any:
    """What a test compares with: one value or a tuple of them; None where the value doesn't fit."""
    if value is None:
        return None
    if test == "within_days":
        days = _value("number", value)
        return days if isinstance(days, float) and days > 0 else None
    if test == "contains":
        return value.casefold() if isinstance(value, str) and value and "\0" not in value else None
    if test in ("at_least", "at_most"):
        return _value(kind, value)
    several = value if isinstance(value, list | tuple) else (value,)
    values = tuple(_value(kind, each) for each in several)
    return None if not values or None in values else values


def _value(kind: FieldType, value: Any) -> Any:
    # Read as an item's own value would be, so that both sides of a comparison mean the same.
    if isinstance(value, bool) != (kind == "flag") and not (kind == "flag" and isinstance(value, str)):
        return None
    if not isinstance(value, Scalar):
        return None
    try:
        return typed_value("value", "category" if kind == "tags" else kind, value)
    except ItemError:
        return None


def _numbers(candidates: Candidates, field: str, tests: Mapping[Test, Any], now: float) -> tuple[Mask, Mask]:
    values = candidates[field]
    known = ~np.isnan(values)
    passed = known.copy()
    for test, wanted in tests.items():
        match test:
            case "at_least":
                passed &= values >= wanted
            case "at_most":
                passed &= values <= wanted
            case "within_days":
                passed &= (values >= now - wanted * _DAY) & (values <= now)
            case "equals" | "one_of":
                passed &= np.isin(values, np.array(wanted, dtype=values.dtype))
            case _:
                passed &= ~np.isin(values, np.array(wanted, dtype=values.dtype))
    return passed, known


def _beyond(values: NDArray[np.float64], test: Test, wanted: Any, now: float) -> NDArray[np.float64]:
    """How far values are from passing a test; 0 for those that pass, and for tests that nothing is near to."""
    beyond = np.zeros_like(values)
    match test:
        case "at_least":
            beyond = wanted - values
        case "at_most":
            beyond = values - wanted
        case "within_days":
            beyond = np.maximum(now - wanted * _DAY - values, values - now)
        case "equals" | "one_of":
            steps = np.sort(np.array(wanted))  # a request may name thousands: no matrix of values by them
            place = np.searchsorted(steps, values)
            below, above = steps[np.maximum(place - 1, 0)], steps[np.minimum(place, len(steps) - 1)]
            beyond = np.minimum(np.abs(values - below), np.abs(above - values))
    return np.maximum(beyond, 0)


def _flags(candidates: Candidates, field: str, tests: Mapping[Test, Any], now: float) -> tuple[Mask, Mask]:
    values = candidates[field]
    passed = np.ones(len(values), dtype=bool)
    for test, (wanted,) in tests.items():
        passed &= values == wanted if test == "equals" else values != wanted
    return passed, ~candidates.missing(field)


def _words(candidates: Candidates, field: str, tests: Mapping[Test, Any], now: float) -> tuple[Mask, Mask]:
    vocabulary = candidates.words(field)
    holding, known = (
        _holding_category if candidates.catalog.schema.fields[field] == "category" else _holding_tags
    )(candidates, field)

    def holders(words: Sequence[str]) -> Mask:
        wanted = np.zeros(len(vocabulary) + 1, dtype=bool)  # the last one is for no word at all: -1
        wanted[codes_of(vocabulary, words)] = True
        return holding(wanted) if wanted.any() else np.zeros(len(candidates), dtype=bool)

    passed = known.copy()
    for test, words in tests.items():
        match test:
            case "equals" | "one_of":
                passed &= holders(words)
            case "all_of":
                for word in words:
                    passed &= holders((word,))
            case _:
                passed &= ~holders(words)
    return passed, known


def _holding_category(candidates: Candidates, field: str) -> tuple[Callable[[Mask], Mask], Mask]:
    """Who holds one of the words that a mask over the codes wants; and who holds any."""
    codes = candidates.codes(field)
    return lambda wanted: wanted[codes], codes >= 0


def _holding_tags(candidates: Candidates, field: str) -> tuple[Callable[[Mask], Mask], Mask]:
    """As `_holding_category`, for fields of many words."""
    runs = cache(lambda: candidates.catalog.tags(field).runs(candidates.rows))

    def holding(wanted: Mask) -> Mask:
        bounds, codes = runs()
        found = np.zeros(len(codes) + 1, dtype=np.intp)
        np.cumsum(wanted[codes], out=found[1:])
        holds: Mask = found[bounds[1:]] > found[bounds[:-1]]
        return holds

    return holding, ~candidates.missing(field)


def _texts(candidates: Candidates, field: str, tests: Mapping[Test, Any], now: float) -> tuple[Mask, Mask]:
    texts = candidates[field]
    passed = np.zeros(len(texts), dtype=bool)
    # Items' texts hold no NUL, so one search goes through all of them; counting NULs tells whose a hit is.
    pieces = "\0".join(texts.tolist()).casefold().split(tests["contains"])
    ends = np.cumsum([piece.count("\0") for piece in pieces[:-1]], dtype=np.intp)
    passed[ends] = True
    return passed, texts.astype(bool)


_COMPARE: Mapping[FieldType, Callable[[Candidates, str, Mapping[Test, Any], float], tuple[Mask, Mask]]] = {
    "text": _texts,
    "number": _numbers,
    "flag": _flags,
    "category": _words,
    "tags": _words,
    "time": _numbers,
}


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
