"""Families: genres as people speak of them (Lo-fi Chill, Pop Anthems …), by words of genres and how tracks sound.

`families.csv` has one line for each: genre words, and the ranges of audio features that its tracks mostly lie in.
"""

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...connectors.files import Table
from ...core import (
    Candidates,
    CatalogSnapshot,
    Collection,
    Context,
    Fault,
    ItemError,
    NumberField,
    Record,
    Source,
    WordField,
    typed_value,
)
from ..catalog.ranking import best
from ..catalog.taste import fading
from ..catalog.words import codes_of, occurrences, wanted

_FILE = Path(__file__).with_name("families.csv")
_WHOLE, _LAST = 3.0, 1.5
"""What a genre that is one of the family's words counts, and one that ends in it, beside 1 for a word within it."""


@dataclass(frozen=True, slots=True)
class Family:
    """One family: the words that its genres hold, and by audio feature the range of most of its tracks."""

    name: str
    words: frozenset[str]
    phrases: re.Pattern[str]
    ranges: Mapping[str, tuple[float, float]]

    def fit(self, genres: list[str], sound: Mapping[str, float]) -> float:
        """How well a track fits: what its genres say, times the share of the ranges that it lies in and a little more.

        0 where it has genres, and none of them is of the family; without genres, the number of ranges if it lies in
        all that are known.
        """
        said = max(map(self._said, genres), default=0.0)
        known = [low <= sound[name] <= high for name, (low, high) in self.ranges.items() if name in sound]
        within = sum(known) / len(known) if known else 0.0
        if genres:
            return said * (0.25 + within) if said else 0.0
        return float(len(known)) if all(known) else 0.0

    def _said(self, genre: str) -> float:
        if genre in self.words:
            return _WHOLE
        ends = [match.end() for match in self.phrases.finditer(genre)]
        return 0.0 if not ends else _LAST if ends[-1] == len(genre) else 1.0


@cache
def families() -> tuple[Family, ...]:
    """All of them, as the file has them."""
    with _FILE.open(encoding="utf-8", newline="") as file:
        return tuple(_family(row) for row in csv.DictReader(file))


def _family(row: dict[str, str]) -> Family:
    name, words = row.pop("family"), row.pop("genres").split("|")
    ranges = {feature: tuple(map(float, text.split("-"))) for feature, text in row.items() if text}
    phrases = re.compile("|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in words))
    return Family(
        name, frozenset(words), phrases, {feature: (low, high) for feature, (low, high) in ranges.items()}
    )


def family_of(track: Mapping[str, Any]) -> str | None:
    """The family of a raw track, by its `genres` and audio features; None where these don't tell.

    >>> family_of({"genres": ["Indie Folk"], "energy": 0.3, "acousticness": 0.8})
    'Campfire Folk'
    >>> family_of({"genres": "rap", "energy": 0.9, "danceability": 0.8})
    'Hype Beats'
    >>> family_of({"genres": "rap", "energy": 0.3, "valence": 0.1})
    'Sad Boy Hours'
    >>> family_of({"title": "Untold"}) is None
    True
    """
    try:
        genres = typed_value("genres", "tags", track.get("genres") or [])
    except ItemError:
        genres = []
    words = [str(genre).casefold() for genre in genres] if isinstance(genres, list) else []
    sound = _sound(track)
    fits = [(family.fit(words, sound), -place) for place, family in enumerate(families())]
    most, place = max(fits)
    return families()[-place].name if most > 0 else None


def _sound(track: Mapping[str, Any]) -> dict[str, float]:
    found = {}
    for name in {name for family in families() for name in family.ranges}:
        try:
            value = typed_value(name, "number", track.get(name))
        except ItemError:
            continue
        if isinstance(value, float):
            found[name] = value
    return found


class Tracks(Table):
    """A table of tracks, read like `files.table`; a track without a `family` gets that of its genres and sound."""

    def collect(self, collection: Collection) -> Iterator[Record | Fault]:
        """Records in file order. Raises CollectorError where the file as a whole can't be read."""
        for record in super().collect(collection):
            if isinstance(record, Record) and not record.values.get("family"):
                values = {**record.values, "family": family_of(record.values)}
                record = Record(values, record.where, record.offset)
            yield record


class Families(Source):
    """The most popular tracks of the families that suit somebody best: the best of each in turn, then the second best.

    Families suit by what the situation or the profile asks for and by what was liked: r · 2^(-age / half_life_days)
    for each rewarded play. Where that names fewer than `count`, others fill up at random.
    """

    blocking: ClassVar[bool] = False

    field: WordField = Field("family", description="The category or tags that holds a track's family.")
    count: int = Field(3, ge=1, le=50, description="How many families.")
    limit: int = Field(100, ge=1, le=10_000, description="How many tracks to propose.")
    popularity: NumberField | None = Field(
        None, description="The number that tells popularity; by default chance."
    )
    key: str = Field(
        "family", description="The key of the situation or the profile that holds wanted families."
    )
    half_life_days: float = Field(
        30.0, ge=0.001, le=36_500, description="Days after which a play counts half."
    )

    def propose(self, context: Context) -> NDArray[np.intp]:
        """Rows of the catalogue, at most `limit`."""
        catalog = context.catalog
        holders = catalog.cached(("music: families", self.field), lambda: _holders(catalog, self.field))
        chosen = self._chosen(context, sorted(holders))
        each = -(-self.limit // max(len(chosen), 1))
        listed = [self._best(context, holders[code])[:each] for code in chosen]
        if not listed:
            return np.empty(0, dtype=np.intp)
        longest = max(map(len, listed))
        padded = np.stack(
            [np.pad(rows, (0, longest - len(rows)), constant_values=-1) for rows in listed], axis=1
        )
        rows = padded.ravel()
        rows = rows[rows >= 0]
        first = np.sort(np.unique(rows, return_index=True)[1])  # a track with two families comes once
        return rows[first][: self.limit]

    def _chosen(self, context: Context, codes: list[int]) -> list[int]:
        weights = dict.fromkeys(codes, 0.0)
        vocabulary = context.catalog.words(self.field)
        for known in (context.situation, context.profile):
            for word, weight in wanted(known.get(self.key)).items():
                for code in codes_of(vocabulary, (word,)).tolist():
                    if code in weights:
                        weights[code] += 1e6 * weight
        history = context.history
        reward = np.nan_to_num(np.asarray(history["reward"], dtype=np.float64))
        pull = reward * fading(history["age_days"], self.half_life_days)
        for code, weight in _worth(history, self.field, pull).items():
            if code in weights:
                weights[code] += weight
        shuffled = context.rng.permutation(len(codes)).tolist()
        order = sorted(shuffled, key=lambda place: -weights[codes[place]])
        return [codes[place] for place in order[: self.count]]

    def _best(self, context: Context, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        if self.popularity is None:
            return context.rng.permutation(rows)
        return rows[best(context.catalog.column(self.popularity)[rows], self.limit)]


def _worth(history: Candidates, field: str, pull: NDArray[np.float64]) -> dict[int, float]:
    positions, codes = occurrences(history, field)
    found = np.bincount(codes, weights=pull[positions]) if len(codes) else np.empty(0)
    return {code: float(found[code]) for code in np.flatnonzero(found).tolist()}


def _holders(catalog: CatalogSnapshot, field: str) -> dict[int, NDArray[np.intp]]:
    """By code of a word, the live rows that have it."""
    positions, codes = occurrences(Candidates(catalog, catalog.live), field)
    order = np.argsort(codes, kind="stable")
    parts = np.split(catalog.live[positions[order]], np.flatnonzero(np.diff(codes[order])) + 1)
    return dict(zip(np.unique(codes).tolist(), parts, strict=True)) if len(codes) else {}
