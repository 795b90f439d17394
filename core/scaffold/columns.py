"""What the columns of a table hold, guessed from their names and their values."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from ..catalog.items import MISSING, FieldType, typed_value
from ..errors import ItemError

Columns = Sequence[tuple[str, Sequence[Any]]]
"""Columns in order, each with the values that it has; cells without one are left out."""

SEPARATORS = ("|", ";", ",", "/")


def word_set(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


_PROSE = word_set(
    "title name headline description summary abstract text body content comment comments subject label caption "
    "plot synopsis about review notes note"
)
_LINKS = word_set("url uri link href image img picture photo thumbnail cover website homepage")
_TAGS = word_set(
    "tags tag genres genre topics topic keywords keyword categories labels languages frameworks subjects themes "
    "moods actors cast ingredients skills features interests"
)
_CATEGORIES = word_set(
    "category type kind brand colour color language genre author artist album publisher country city state region "
    "status license licence complexity level size department section group channel maker vendor studio"
)
_KEYS = word_set("id code sku isbn asin ean uuid guid slug number no zip postcode phone")
_FLAGS = word_set("is has can allow allows enabled disabled active archived available deleted hidden")
_TIMES = word_set(
    "time date at on created updated published released added modified timestamp ts when since first last"
)


@dataclass(frozen=True, slots=True)
class Guess:
    """One column as a field.

    name: of the field; column: in the file. distinct: different values among `count` that were looked at.
    words: how many words a value has in the median; low, high: bounds of numbers and times.
    """

    name: str
    column: str
    kind: FieldType
    because: str
    count: int
    distinct: int
    words: float = 1.0
    low: float = 0.0
    high: float = 0.0

    @property
    def hints(self) -> frozenset[str]:
        """The words of the field's name, in lower case."""
        return frozenset(name_words(self.name))

    @property
    def is_key(self) -> bool:
        """Whether its words are codes, which people don't read."""
        return _names_key(name_words(self.name))

    @property
    def is_prose(self) -> bool:
        """Whether it is a text that says what the item is: no address, no date."""
        return self.kind == "text" and not self.hints & (_LINKS | {"date"})


def name_words(name: str) -> list[str]:
    """The words of a column's name.

    >>> name_words("Median_priceGBP"), name_words("ISBN-13")
    (['median', 'price', 'gbp'], ['isbn', '13'])
    """
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return re.findall(r"[a-z]+|[0-9]+", split.lower())


def field_name(column: str, taken: Iterable[str] = ()) -> str:
    """A name for the field of a column that can stand in YAML and in `{templates}` as it is.

    >>> field_name("owner.login"), field_name("Größe (cm)"), field_name("2nd"), field_name("a b", ["a_b"])
    ('owner_login', 'größe_cm', 'field_2nd', 'a_b_2')
    """
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,63}", column):
        name = column
    else:
        letters = (each if f"a{each}".isidentifier() else " " for each in column.lower())
        name = "_".join("".join(letters).replace("_", " ").split())[:56] or "field"
        name = name if name.isidentifier() else f"field_{name}"
    used, stem, count = set(taken), name, 1
    while name in used:
        count += 1
        name = f"{stem}_{count}"
    return name


def guess_columns(columns: Columns, separator: str) -> list[Guess]:
    """A field for each column that has values."""
    guesses: list[Guess] = []
    for column, values in columns:
        known = [value for value in values if not _is_missing(value)]
        if known:
            name = field_name(column, [guess.name for guess in guesses])
            guesses.append(_guess(name, column, known, separator))
    return guesses


def guess_separator(columns: Columns) -> str:
    """What separates tags in the cells of this table; `|` where nothing does."""
    evidence = {
        separator: sum(_tag_share(column, values, separator) for column, values in columns)
        for separator in SEPARATORS
    }
    best = max(SEPARATORS, key=lambda separator: evidence[separator])
    return best if evidence[best] > 0 else "|"


def guess_id(columns: Columns, rows: int) -> tuple[str, str, float] | None:
    """The column that identifies a row: its name, why, and the share of different values; None for none."""
    best: tuple[float, str, str, float] | None = None
    for place, (column, values) in enumerate(columns):
        known = [str(value).strip() for value in values if not isinstance(value, (list, bool))]
        if not known or len(known) < rows:
            continue
        unique = len(set(known)) / len(known)
        words = name_words(column)
        named = _names_key(words)
        longest = max(map(len, known))
        if longest > 256 or (unique < 1 and not named) or unique < 0.5:
            continue
        spaced = sum(" " in value for value in known) / len(known)
        decimal = all(re.fullmatch(r"-?[0-9]*\.[0-9]+", value) for value in known)
        counted = not named and all(re.fullmatch(r"-?[0-9]+", value) for value in known)
        timed = fits("time", known) and not counted
        score = 10 * unique + 5 * named - 4 * spaced - 6 * (decimal or timed) - 3 * counted
        score -= 2 * bool(set(words) & _LINKS) + 0.1 * place
        if best is None or score > best[0]:
            every = "every row has another" if unique == 1 else f"{unique:.0%} of the rows have another"
            best = (score, column, f"{every}{', and its name says so' if named else ''}", unique)
    return best[1:] if best is not None and best[0] > 5 else None


def fits(kind: FieldType, values: Sequence[Any], separator: str = "|") -> bool:
    """Whether every value can be read as the type."""
    for value in values:
        try:
            typed_value("value", kind, value, separator)
        except ItemError:
            return False
    return True


def _names_key(words: Sequence[str]) -> bool:
    """Whether the words of a name say that it holds codes: `stock_code`, `isbn_13`, `product_key`, not `key`."""
    return bool(words) and (
        words[-1] in _KEYS or words[0] in _KEYS or (words[-1] == "key" and len(words) > 1)
    )


def _guess(name: str, column: str, values: Sequence[Any], separator: str) -> Guess:
    hints = set(name_words(column))
    texts = [_text(value) for value in values]
    distinct = len(set(texts))
    words = float(median(len(text.split()) for text in texts))
    kind, because = _kind(hints, column, values, texts, distinct, words, separator)
    low = high = 0.0
    if kind in ("number", "time"):
        numbers = [typed for value in values if isinstance(typed := typed_value(name, kind, value), float)]
        low, high = min(numbers, default=0.0), max(numbers, default=0.0)
    return Guess(name, column, kind, because, len(values), distinct, words, low, high)


def _kind(
    hints: set[str],
    column: str,
    values: Sequence[Any],
    texts: Sequence[str],
    distinct: int,
    words: float,
    separator: str,
) -> tuple[FieldType, str]:
    """The type of a column, and why."""
    lists = [value for value in values if isinstance(value, list)]
    if any(isinstance(entry, (Mapping, list)) for value in lists for entry in value):
        return "text", "nested data"
    if lists:
        return "tags", "lists"
    if any(isinstance(value, Mapping) for value in values):
        return "text", "nested data"
    if all(isinstance(value, bool) for value in values):
        return "flag", "true and false"
    lower = {text.lower() for text in texts}
    if lower <= {"true", "false", "yes", "no", "t", "f", "y", "n"}:
        return "flag", "only " + " and ".join(sorted(lower))
    if lower <= {"0", "1"} and hints & _FLAGS:
        return "flag", "only 0 and 1, and its name says so"
    if fits("number", values):
        return _numeric(column, texts)
    if fits("time", values):
        return "time", f"dates such as {texts[0]}"
    if _tag_share(column, values, separator):
        return "tags", f"words between {separator}"
    if "date" in hints and sum(fits("time", [value]) for value in values) * 2 > len(values):
        return "text", "dates, but not all of them"
    if hints & (_PROSE | _LINKS) and not hints & _CATEGORIES:
        return "text", "its name says so"
    longest = max(map(len, texts))
    repeats = distinct <= max(1, len(texts) // 2)
    if longest <= 100 and words <= 4 and (repeats or (hints & _CATEGORIES and words <= 3)):
        return "category", f"{distinct} different among {len(texts):,}" if repeats else "its name says so"
    return "text", f"{distinct:,} different texts" if distinct > 1 else "text"


def _numeric(column: str, texts: Sequence[str]) -> tuple[FieldType, str]:
    words = name_words(column)
    whole = all(re.fullmatch(r"-?[0-9]+", text) for text in texts)
    if _names_key(words) and whole:
        return "category", "numbers that name something"
    if whole and any(len(text) > 1 and text.startswith("0") for text in texts):
        return "category", "numbers with leading zeros"
    numbers = [abs(float(text.replace(",", ""))) for text in texts]
    if _TIMES.intersection(words) and all(
        1e8 <= number <= 5e9 or 1e11 <= number <= 5e12 for number in numbers
    ):
        return "time", "seconds since 1970" if max(numbers) < 1e11 else "milliseconds since 1970"
    return "number", "numbers"


def _tag_share(column: str, values: Sequence[Any], separator: str) -> float:
    """How sure it is that the cells hold tags between separators: 0, or the share of cells with several."""
    texts = [value for value in values if isinstance(value, str)]
    several = [text for text in texts if separator in text]
    hints = set(name_words(column))
    if not several or hints & _LINKS or fits("number", texts) or fits("time", texts):
        return 0.0
    pieces = [piece.strip() for text in several for piece in text.split(separator) if piece.strip()]
    if not pieces or median(map(len, pieces)) > 25 or median(len(piece.split()) for piece in pieces) > 3:
        return 0.0
    share = len(several) / len(texts)
    if hints & _TAGS:
        return 1 + share
    if hints & _PROSE or separator == "/":
        return 0.0
    repeated = sum(count for count in Counter(pieces).values() if count > 1) / len(pieces)
    enough = 0.1 if separator == "|" else 0.3
    return share if share >= enough and repeated >= 0.5 else 0.0


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else str(value)


def _is_missing(value: Any) -> bool:
    return value is None or value == [] or (isinstance(value, str) and value.strip().lower() in MISSING)
