"""A domain's configuration, begun from a data file: fields guessed, and a composition that fits them."""

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import time as clock
from typing import Any, Protocol

from ..config.loading import DOMAIN_NAME, RESERVED
from ..config.scalars import meaning
from ..errors import CollectorError, RequestError, did_you_mean
from .columns import Guess, guess_columns, guess_id, guess_separator, name_words, word_set

_LOOKED_AT = 5000
"""Rows that are read to guess from."""


def _listed(text: str) -> list[str]:
    """Words in their order: what stands first is preferred."""
    return text.split()


_POPULAR = _listed(
    "views plays streams downloads sales sold units orders purchases customers stars votes likes popularity "
    "rating_count ratings reviews watchers forks followers count lines"
)
_OLD = _listed("published released release publication added created first uploaded year date time")
_FRESH = _listed("updated modified pushed last")
_PRICES = _listed("price cost amount")
_RATINGS = _listed("rating score stars grade")
_THERE = frozenset({"available", "active", "enabled", "in stock", "for sale"})
_GONE = word_set("archived deleted hidden disabled removed discontinued expired unavailable")
_DAY = 86_400.0
_HALF_LIVES = (1, 2, 7, 14, 30, 90, 180, 365, 1000, 3650)


class Table(Protocol):
    """A collector that can show its columns."""

    def columns_found(self, rows: int = 200) -> list[tuple[str, list[Any]]]:
        """Columns with the values of the first rows."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A configuration, and what was guessed for it.

    rows: rows that were looked at; whole: they were all. remarks: what the owner of the data should know.
    """

    yaml: str
    id: str
    id_because: str
    fields: Sequence[Guess]
    rows: int
    whole: bool
    remarks: Sequence[str]


def begin_domain(name: str, source: Path, reader: Table, folder: Path, *, id: str | None = None) -> Draft:
    """A configuration for `name` with the items of `source`, to be written into `folder`.

    id: the column of the items' ids; guessed where it is None. Raises RequestError, CollectorError.
    """
    if not re.fullmatch(DOMAIN_NAME, name) or name in RESERVED:
        raise RequestError(
            f"{name!r} can't name a domain: a lower-case letter, then letters, digits, '_' and '-', "
            f"and none of {', '.join(sorted(RESERVED))}"
        )
    columns = reader.columns_found(_LOOKED_AT)
    rows = max((len(values) for _, values in columns), default=0)
    if not rows:
        raise CollectorError(f"{source} has no rows to guess from")
    identity, because, unique = _identity(columns, rows, id, source)
    separator = guess_separator(columns)
    fields = [guess for guess in guess_columns(columns, separator) if guess.column != identity]
    if not fields:
        raise RequestError(
            f"{source} has no column beside the id {identity!r}: items need at least one field"
        )
    remarks = []
    if unique < 1:
        remarks.append(f"several rows have the same {identity}: of those, the last one counts")
    empty = [column for column, values in columns if not values]
    if empty:
        remarks.append(f"without a value in these rows, and left out: {', '.join(empty)}")
    if len(fields) > 200:
        remarks.append("the file has more than 200 columns: keep the fields that matter")
    page = _Page(name, identity, source, separator, fields, folder)
    return Draft("\n".join(page.lines()) + "\n", identity, because, fields, rows, rows < _LOOKED_AT, remarks)


def _identity(
    columns: list[tuple[str, list[Any]]], rows: int, id: str | None, source: Path
) -> tuple[str, str, float]:
    if id is None:
        found = guess_id(columns, rows)
        if found is None:
            names = ", ".join(column for column, _ in columns[:12])
            raise RequestError(f"no column of {source} tells its rows apart; name one with --id: {names}")
        return found
    for column, values in columns:
        if column == id:
            return id, "you said so", len(set(map(str, values))) / max(1, rows)
    raise RequestError(f"{source} has no column {id!r}{did_you_mean(id, [column for column, _ in columns])}")


class _Page:
    """The YAML of one domain."""

    def __init__(
        self, name: str, identity: str, source: Path, separator: str, fields: Sequence[Guess], folder: Path
    ) -> None:
        self.name, self.identity, self.source, self.separator = name, identity, source, separator
        self.fields, self.folder = fields, folder
        self.popular = _named(fields, "number", _POPULAR)
        self.price = _named(fields, "number", _PRICES)
        self.rating = _named(
            fields, "number", [word for word in _RATINGS if word != "stars" or not self._many_stars()]
        )
        self.time = _named(fields, "time", _OLD) or _named(fields, "time", _FRESH)
        self.time = self.time or next((guess for guess in fields if guess.kind == "time"), None)
        self.category = _best_category(fields)

    def _many_stars(self) -> bool:
        return any("stars" in guess.hints and guess.high > 10 for guess in self.fields)

    def lines(self) -> Iterator[str]:
        """The whole file."""
        yield f"# The domain {self.name}, begun from {self.source.name}. Every guess can be changed."
        yield "# Check it with `tastemaker validate`; see what there is with `tastemaker plugins`."
        yield "version: 1"
        yield f"store: sqlite:///{self.name}.db  # or postgresql+psycopg://user@host/name"
        yield ""
        yield "domains:"
        yield f"  {self.name}:"
        for section in (self._items, self._sources, self._filters, self._scorers, self._rest):
            for line in section():
                yield f"    {line}" if line else ""

    def _items(self) -> Iterator[str]:
        path = _path(self.source, self.folder)
        yield f"title: {quoted(self.name.replace('_', ' ').replace('-', ' ').capitalize())}"
        yield "items:"
        yield f"  id: {quoted(self.identity)}"
        options = [f"use: files.table, path: {quoted(path)}"]
        if self.separator != "|":
            options.append(f"separator: {quoted(self.separator)}")
        renamed = {guess.name: guess.column for guess in self.fields if guess.name != guess.column}
        if renamed:
            columns = ", ".join(f"{key}: {quoted(column)}" for key, column in renamed.items())
            options.append(f"columns: {{{columns}}}")
        yield "  # Read again at every start where the file has changed."
        yield f"  from: {{{', '.join(options)}}}"
        yield "  # A field is a text, a number, a flag, a category (one word), tags (several) or a time."
        yield "  fields:"
        for guess in self.fields:
            yield f"    {guess.name}: {guess.kind}  # {' '.join(guess.because.split())}"
        if self._embedded():
            yield "  # Items are near when these texts are spelt alike; name a `model` for what they mean."
            yield "  embedding:"
            yield "    use: embeddings.text"
            yield f"    text: {quoted(' '.join('{' + name + '}' for name in self._embedded()))}"
            yield '    profile: "{interests}"  # what of a user\'s profile describes taste'

    def _sources(self) -> Iterator[str]:
        yield ""
        yield "# Sources propose candidates; what several propose counts once."
        yield "sources:"
        if self._has_space():
            yield "  similar: {use: catalog.similar, limit: 200}  # near to what the user liked"
        if self.popular:
            yield f"  popular: {{use: catalog.popular, limit: 100, field: {self.popular.name}}}"
        yield "  liked: {use: catalog.popular, limit: 50}  # by what people did here"
        if self.time:
            yield f"  recent: {{use: catalog.recent, limit: 50, field: {self.time.name}}}"
        yield "  random: {use: catalog.random, limit: 50}  # so that nothing stays unseen for ever"

    def _filters(self) -> Iterator[str]:
        yield ""
        yield "# Filters keep or drop, in this order."
        yield "filters:"
        yield "  seen: {use: catalog.seen, days: 30}"
        for guess in self.fields:
            says = " ".join(word for word in name_words(guess.name) if word != "is")
            if guess.kind == "flag" and says in _THERE:
                yield f"  {guess.name}: {{use: catalog.available, field: {guess.name}}}"
            elif guess.kind == "flag" and says in _GONE:
                yield f"  {guess.name}: {{use: catalog.where, field: {guess.name}, equals: false}}"
        if self.price:
            yield "  # A request may say --situation max_price=20."
            options = "situation: {at_most: max_price}, missing: keep"
            yield f"  affordable: {{use: catalog.wish, field: {self.price.name}, {options}}}"

    def _scorers(self) -> Iterator[str]:
        yield ""
        yield "# Scorers say how good a candidate is, from 0 to 1; their weighted sum is the score."
        yield "scorers:"
        if self._has_space():
            yield "  match: {use: catalog.similarity, weight: 0.5}"
        if self.category:
            key = self.category.name
            yield f"  wanted: {{use: catalog.tag_match, field: {key}, profile: {key}, situation: {key}, weight: 0.2}}"
        if self.popular:
            yield f"  popular: {{use: catalog.popularity, field: {self.popular.name}, weight: 0.1}}"
        if self.rating and self.rating is not self.popular and self.rating.low < self.rating.high:
            low, high = _number(self.rating.low), _number(self.rating.high)
            yield f"  rated: {{use: catalog.numeric, field: {self.rating.name}, low: {low}, high: {high}, weight: 0.1}}"
        if self.time:
            options = f"field: {self.time.name}, half_life_days: {_half_life(self.time)}"
            yield f"  fresh: {{use: catalog.freshness, {options}, weight: 0.1}}"
        yield "  new: {use: catalog.novelty, weight: 0.05}  # what few have tried yet"

    def _rest(self) -> Iterator[str]:
        yield ""
        yield "# Policies learn: this one how well each item is liked, by Thompson sampling."
        yield "policies:"
        yield "  taste: {use: thompson.ranker, weight: 0.4, low: -1, high: 3}  # rewards of a failure and a success"
        yield ""
        yield "# What an interaction is worth; other kinds are logged and not learned from."
        yield "rewards:"
        yield "  view: 1"
        yield "  click: 1"
        yield "  like: 3"
        if self.price:
            yield "  cart: 2"
            yield "  purchase: 3"
        yield "  dismiss: -1"
        yield "  rating: {1: -1, 2: -0.5, 3: 1, 4: 2, 5: 3}"
        yield "  seen: 0  # shown, and nothing came of it"
        yield ""
        yield "slate:"
        yield "  size: 12"
        yield "  explore: 0.1  # share of the places for items that are there to be tried"
        yield "  diversity: 0.2  # 0: the score alone; 1: as unlike each other as can be"
        if self.category:
            yield f"  max_per: {{{self.category.name}: 4}}  # most items with the same one"
        yield ""
        yield "learning:"
        yield "  window_minutes: 60  # how long after a slate an interaction still counts for it"

    def _embedded(self) -> list[str]:
        """The fields whose words say what an item is, titles and descriptions first."""
        texts = [guess for guess in self.fields if guess.is_prose]
        prose = [guess for guess in texts if guess.words >= 2] or texts
        tags = [guess for guess in self.fields if guess.kind == "tags"]
        words = [
            guess
            for guess in self.fields
            if guess.kind == "category" and guess.distinct > 1 and not guess.is_key
        ]
        return [guess.name for guess in [*prose[:3], *tags[:3], *words[:3]]] if prose or tags else []

    def _has_space(self) -> bool:
        """Whether items can be near each other: by an embedding, or by words they share."""
        return bool(self._embedded()) or any(guess.kind in ("category", "tags") for guess in self.fields)


def _named(fields: Sequence[Guess], kind: str, wanted: Sequence[str]) -> Guess | None:
    """The field of the kind whose name has the first of the wanted words that any has."""
    fitting = [guess for guess in fields if guess.kind == kind and guess.low < guess.high]
    for word in wanted:
        for guess in fitting:
            if word in guess.hints or word == guess.name:
                return guess
    return None


def _best_category(fields: Sequence[Guess]) -> Guess | None:
    """The category that divides the items best, by some words that come again and again; else the first tags."""
    dividing = [
        guess
        for guess in fields
        if guess.kind == "category"
        and not guess.is_key
        and 3 <= guess.distinct <= max(3, guess.count // 3)
        and guess.distinct <= 500
    ]
    named = frozenset({"category", "genre", "type", "department"})
    tags = next((guess for guess in fields if guess.kind == "tags"), None)
    return max(dividing, key=lambda guess: bool(guess.hints & named), default=tags)


def _half_life(time: Guess) -> int:
    """A quarter of the span of the times, or half the age of the newest where that is more, in round days."""
    days = max(time.high - time.low, 2 * (clock() - time.high)) / _DAY / 4
    return min(_HALF_LIVES, key=lambda choice: abs(choice - days))


def _number(value: float) -> str:
    return f"{value:.6g}"


def _path(source: Path, folder: Path) -> str:
    """The source as seen from the configuration's folder: relative where both lie side by side."""
    whole = source.resolve()
    try:
        return whole.relative_to(folder.resolve()).as_posix()
    except ValueError:
        near = os.path.relpath(whole, folder.resolve())
        return near if near.count("..") <= 2 else str(whole)


def quoted(text: str) -> str:
    """A text as YAML 1.2 that means it, in a flow mapping, too.

    >>> print(*map(quoted, ["books.csv", "yes", "12", "a: b", "${X}", ""]))
    books.csv yes "12" "a: b" "$${X}" ""
    """
    if re.fullmatch(r"[A-Za-z_./][\w./-]*( [\w./-]+)*", text) and meaning(text) == text:
        return text
    return json.dumps(text, ensure_ascii=False).replace("${", "$${")
