"""The features of linear policies: declared in YAML, measured for each candidate, bounded, and logged as they were.

Every declared feature becomes one or more columns of about unit length together:

- a number of the items is replaced by its rank among the catalogue's, spread to mean 0 and deviation 1 (an outlier
  or a skewed field does no harm); a number of the profile or situation is spread likewise from `low`..`high`;
- a flag is 1, -1, or 0 where it is missing;
- a number in bands is one-hot: in the column of its band, each of which holds as many of the catalogue's items;
- words are one-hot, of length 1 where there are several: in one column for each of the words in `among`, or hashed
  into `width` columns (Weinberger et al. 2009, without signs);
- what is usual is how many of the items that the user liked lately lie in each band, or have each word, at length 1;
- an embedding is projected to fewer columns by a fixed random orthonormal matrix;
- a cross is every product of a column of the one with a column of the other feature.

What is missing is 0. Values are cut at ±3 and rounded to 1/1024. The vector that the models see is a constant 1 and
the m features divided by √m, of about length √2 whatever is declared: so the same prior suits all declarations.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..core import (
    Candidates,
    CatalogSnapshot,
    Context,
    FieldOf,
    FieldType,
    FlagField,
    NumberField,
    Vocabulary,
    WordField,
)

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Codes = NDArray[np.int16]
UsualField = Annotated[str, FieldOf("number", "category", "tags")]
T = TypeVar("T", np.float32, np.float64)

_LARGEST = 3.0
_UNIT = 1024
_SPREAD = math.sqrt(12.0)  # of numbers that are uniform on 0..1, to deviation 1
_SAMPLE = 4096  # rows of the catalogue that ranks are taken from
_WIDTH = 8
_KINDS = ("number", "flag", "words", "embedding", "usual", "profile", "situation", "cross")
_RECENT = 50  # items of the history that tell what is usual


class Feature(BaseModel):
    """One declared feature: a `number`, `flag`, `words`, `embedding`, `usual`, `profile`, `situation` or `cross`.

    >>> Feature(words="brand", width=16).name, Feature(situation="mood", among=("calm", "party")).columns
    ('brand', 2)
    >>> Feature(usual="price", bands=4).name, Feature(usual="price", bands=4).columns
    ('usual.price', 4)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: NumberField | None = Field(None, description="A number field of the items.")
    flag: FlagField | None = Field(None, description="A flag field of the items.")
    words: WordField | None = Field(None, description="A category or tags field of the items.")
    embedding: int | None = Field(
        None, ge=1, le=256, description="How many columns the items' embedding is projected to."
    )
    usual: UsualField | None = Field(
        None,
        description="A field of the items, as it is with what the user liked lately: a number in `bands`, or words.",
    )
    profile: str | None = Field(None, min_length=1, description="A key of the profile.")
    situation: str | None = Field(None, min_length=1, description="A key of the situation.")
    cross: tuple[str, str] | None = Field(
        None,
        description="Two other features: an item's field by its name, `embedding`, `usual.field`, `profile.key`, "
        "`situation.key`.",
    )
    width: int | None = Field(
        None, ge=2, le=256, description=f"Columns that words are hashed into; {_WIDTH} by default."
    )
    among: tuple[str, ...] | None = Field(
        None, min_length=1, max_length=256, description="The words that count, with a column for each."
    )
    bands: int | None = Field(
        None,
        ge=2,
        le=16,
        description="Where an item's field is a number: so many bands, each with as many items of the catalogue, and "
        "with a column of its own.",
    )
    low: float | None = Field(
        None, allow_inf_nan=False, description="Where the profile or situation holds a number: its low end."
    )
    high: float | None = Field(None, allow_inf_nan=False, description="… and its high end.")

    @model_validator(mode="after")
    def _fits(self) -> "Feature":
        given = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            said = " and ".join(given) or "none"
            raise ValueError(f"a feature is one of {', '.join(_KINDS)}: this has {said}")
        kind = given[0]
        wordy = self.width is not None or self.among is not None
        scaled = self.low is not None or self.high is not None
        if self.bands is not None and (kind not in ("number", "usual") or wordy):
            raise ValueError(
                "`bands` are those of a number of the items, or of what the user usually likes of it"
            )
        if wordy and kind not in ("words", "usual", "profile", "situation"):
            raise ValueError(f"`width` and `among` are about words, and this is a feature of {kind!r}")
        if self.width is not None and self.among is not None:
            raise ValueError("give `width` or `among`, not both: words are hashed or listed")
        if self.among is not None and len({word.casefold() for word in self.among}) < len(self.among):
            raise ValueError("`among` names a word twice")
        if scaled and (kind not in ("profile", "situation") or wordy):
            raise ValueError("`low` and `high` are about numbers of the profile or situation")
        if scaled and (self.low is None or self.high is None or self.low >= self.high):
            raise ValueError("a number of the profile or situation needs `low` and `high`, low below high")
        return self

    @property
    def kind(self) -> str:
        """Which of the kinds it is."""
        return next(kind for kind in _KINDS if getattr(self, kind) is not None)

    @property
    def name(self) -> str:
        """What a cross calls it."""
        if self.cross is not None:
            return " x ".join(self.cross)
        if self.embedding is not None:
            return "embedding"
        named = str(getattr(self, self.kind))
        return f"{self.kind}.{named}" if self.kind in ("usual", "profile", "situation") else named

    @property
    def columns(self) -> int:
        """How many columns it has; for a cross, 0."""
        if self.cross is not None:
            return 0
        if self.embedding is not None:
            return self.embedding
        if self.among is not None:
            return len(self.among)
        if self.bands is not None:
            return self.bands
        if (
            self.words is not None
            or self.usual is not None
            or (self.kind in ("profile", "situation") and self.low is None)
        ):
            return self.width or _WIDTH
        return 1


def misfits(features: Sequence[Feature], fields: Mapping[str, FieldType]) -> Iterator[tuple[str, str]]:
    """What of declared features doesn't go with the types of the fields, as option and reason."""
    for feature in features:
        number = fields.get(feature.usual or "") == "number"
        if feature.usual is not None and number and feature.bands is None:
            yield (
                "features",
                f"what is usual of the number {feature.usual!r} is told in bands: add `bands: 4`",
            )
        elif feature.usual is not None and not number and feature.bands is not None:
            yield "features", f"`bands` are for numbers, and {feature.usual!r} is {fields.get(feature.usual)}"


class Features:
    """Declared features, ready to be measured.

    width: of the vectors, the constant included. of_request: the columns of the vectors that only depend on the
    request, the constant included. same_for_all: whether all of them do.
    digest: changes whenever the vectors would mean something else.
    Raises ValueError where a cross names no other feature, or two features are one.
    """

    def __init__(self, declared: Sequence[Feature]) -> None:
        self._declared = {feature.name: feature for feature in declared}
        if len(self._declared) < len(declared):
            names = [feature.name for feature in declared]
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"the feature {twice!r} is declared twice")
        columns = {name: feature.columns for name, feature in self._declared.items()}
        for name, feature in self._declared.items():
            for part in feature.cross or ():
                if part not in self._declared or self._declared[part].cross is not None:
                    plain = ", ".join(known for known, one in self._declared.items() if one.cross is None)
                    raise ValueError(f"a cross names {part!r}, and the features to be crossed are: {plain}")
            if feature.cross is not None:
                columns[name] = math.prod(columns[part] for part in feature.cross)
        self.columns = columns
        self.width = 1 + sum(columns.values())
        fixed = [np.full(count, self._of_request(name)) for name, count in columns.items()]
        self.of_request = np.flatnonzero(np.concatenate((np.ones(1, dtype=bool), *fixed)))
        self.same_for_all = len(self.of_request) == self.width
        self.digest = hashlib.blake2b(
            "\n".join(feature.model_dump_json(exclude_none=True) for feature in declared).encode(),
            digest_size=6,
        ).hexdigest()
        self._scale = 1.0 / (_UNIT * math.sqrt(max(len(declared), 1)))
        self._places: dict[str, tuple[Vocabulary, NDArray[np.intp]]] = {}
        self._listed = {
            name: {word.casefold(): place for place, word in enumerate(feature.among)}
            for name, feature in self._declared.items()
            if feature.among is not None
        }
        self._projections: dict[tuple[int, int], NDArray[np.float32]] = {}

    def measured(self, context: Context, candidates: Candidates) -> Codes:
        """The features of candidates as they are logged, in units of 1/1024, shape (n, width - 1)."""
        # What depends on the request alone is measured once.
        values = np.zeros((1 if self.same_for_all else len(candidates), self.width - 1))
        parts: dict[str, Floats] = {}
        for name, feature in self._declared.items():
            if feature.cross is None:
                parts[name] = self._measured(name, feature, context, candidates)
        start = 0
        for name, columns in self.columns.items():
            stop = start + columns
            if name not in parts:
                one, other = (parts[part] for part in self._declared[name].cross or ())
                crossed = one[:, :, None] * other[:, None, :]
                values[:, start:stop] = crossed.reshape(len(crossed), stop - start)
            else:
                values[:, start:stop] = parts[name]
            start = stop
        np.clip(values, -_LARGEST, _LARGEST, out=values)
        values *= _UNIT
        codes = np.rint(values, out=values).astype(np.int16)
        return np.broadcast_to(codes, (len(candidates), self.width - 1))

    def vectors(self, logged: Codes) -> Floats:
        """The vectors of logged features, shape (n, width): what is learned from."""
        return self._filled(logged, np.empty((len(logged), self.width)))

    def served(self, logged: Codes) -> Singles:
        """The same in float32: what estimates are made for."""
        return self._filled(logged, np.empty((len(logged), self.width), dtype=np.float32))

    def _filled(self, logged: Codes, vectors: NDArray[T]) -> NDArray[T]:
        vectors[:, 0] = 1
        np.multiply(logged, vectors.dtype.type(self._scale), out=vectors[:, 1:])
        return vectors

    def _of_request(self, name: str) -> bool:
        feature = self._declared[name]
        if feature.cross is not None:
            return all(self._of_request(part) for part in feature.cross)
        return feature.kind in ("usual", "profile", "situation")

    def _measured(self, name: str, feature: Feature, context: Context, candidates: Candidates) -> Floats:
        """Values before they are cut, shape (n, columns), or (1, columns) where they are the same for all."""
        if feature.number is not None:
            if feature.bands is not None:
                return _bands(candidates, feature.number, feature.bands)
            return _ranks(candidates, feature.number)[:, None]
        if feature.flag is not None:
            stored = candidates.catalog.column(feature.flag)[candidates.rows]
            return np.where(stored < 0, 0.0, 2.0 * stored - 1.0)[:, None]
        if feature.words is not None:
            return self._worded(name, feature.words, candidates)
        if feature.embedding is not None:
            return self._projected(candidates.embeddings, feature.embedding)
        if feature.usual is not None:
            liked = _liked(context)
            if feature.bands is not None:
                shown = _bands(liked, feature.usual, feature.bands)
            else:
                shown = self._worded(name, feature.usual, liked)
            return _unit(shown.sum(axis=0, keepdims=True))
        known: Mapping[str, Any] = context.profile if feature.profile is not None else context.situation
        value = known.get(feature.profile or feature.situation or "")
        if feature.low is not None and feature.high is not None:
            return np.array([[_spread(value, feature.low, feature.high)]])
        places = [place for word in _words_of(value) if (place := self._place(name, word)) >= 0]
        return _unit(np.bincount(places, minlength=self.columns[name])[None, :].astype(np.float64))

    def _worded(self, name: str, field: str, candidates: Candidates) -> Floats:
        catalog = candidates.catalog
        places = self._places_of(name, catalog.words(field))
        width = self.columns[name]
        if catalog.schema.fields[field] == "category":
            codes = candidates.codes(field)
            # Code -1, of a missing value, finds the last place: behind all words stands that of none.
            one_hot: Floats = (places[codes][:, None] == np.arange(width)).astype(np.float64)
            return one_hot
        indptr, codes = catalog.tags(field).runs(candidates.rows)
        lines = np.repeat(np.arange(len(candidates)), np.diff(indptr))
        found = places[codes]
        cells = (lines * width + found)[found >= 0]
        counts = np.bincount(cells, minlength=len(candidates) * width)
        return _unit(counts.reshape(len(candidates), width).astype(np.float64))

    def _places_of(self, name: str, words: Vocabulary) -> NDArray[np.intp]:
        """The column of each code of a vocabulary, -1 where the word doesn't count; and one -1 more at the end."""
        known, places = self._places.get(name, (words, np.array([-1], dtype=np.intp)))
        if known is not words:
            places = places[-1:]
        if len(places) <= len(words):
            fresh = [self._place(name, words.word(code)) for code in range(len(places) - 1, len(words))]
            places = np.concatenate((places[:-1], np.array([*fresh, -1], dtype=np.intp)))
        self._places[name] = words, places
        return places

    def _place(self, name: str, word: str) -> int:
        plain = word.casefold()
        listed = self._listed.get(name)
        if listed is not None:
            return listed.get(plain, -1)
        digest = hashlib.blake2b(plain.encode(errors="surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest, "little") % self.columns[name]

    def _projected(self, vectors: NDArray[np.float32], width: int) -> Floats:
        size = vectors.shape[1]
        projection = self._projections.get((size, width))
        if projection is None:
            random = np.random.default_rng(size).normal(size=(size, min(size, width)))
            basis = np.linalg.qr(random)[0] * math.sqrt(size / min(size, width))
            projection = self._projections[size, width] = np.zeros((size, width), dtype=np.float32)
            projection[:, : basis.shape[1]] = basis
        return (vectors @ projection).astype(np.float64)


def _liked(context: Context) -> Candidates:
    """The newest items of the history that the user liked."""
    liked = np.flatnonzero(np.nan_to_num(context.history["reward"]) > 0)
    return context.history.take(liked[:_RECENT])


def _ranks(candidates: Candidates, field: str) -> Floats:
    """Where numbers stand among the catalogue's, to mean 0 and deviation 1, shape (n,)."""
    shares = _shares(candidates, field)
    return np.where(np.isnan(shares), 0.0, (shares - 0.5) * _SPREAD)


def _bands(candidates: Candidates, field: str, bands: int) -> Floats:
    """In which band of the catalogue's numbers each lies: one-hot, all 0 where there is none, shape (n, bands)."""
    shares = _shares(candidates, field)
    place = np.minimum(np.floor(np.where(np.isnan(shares), -1.0, shares * bands)), bands - 1)
    one_hot: Floats = (place[:, None] == np.arange(bands)).astype(np.float64)
    return one_hot


def _shares(candidates: Candidates, field: str) -> Floats:
    """The share of the catalogue's numbers below each, shape (n,); NaN where there is none."""
    catalog = candidates.catalog
    known = catalog.cached(("linear ranks", field), lambda: _sample(catalog, field))
    values = candidates[field]
    if len(known) == 0:
        return np.full(len(values), np.nan)
    below = np.searchsorted(known, values, "left") + np.searchsorted(known, values, "right")
    return np.where(np.isnan(values), np.nan, below / (2 * len(known)))


def _sample(catalog: CatalogSnapshot, field: str) -> NDArray[np.float32]:
    live = catalog.live
    values = catalog.column(field)[live[:: max(1, len(live) // _SAMPLE)]]
    return np.sort(values[~np.isnan(values)])


def _spread(value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return 0.0
    # Held near the ends before anything is reckoned with it: it may be endless, or an int beyond all floats.
    near = float(min(max(value, low - (high - low)), high + (high - low)))
    return ((near - low) / (high - low) - 0.5) * _SPREAD


def _words_of(value: Any) -> list[str]:
    """The words in a value of a profile or situation: a text with commas, a list, a mapping's keys, or a plain value.

    >>> _words_of("calm, focus"), _words_of(["jazz"]), _words_of(7), _words_of(None)
    (['calm', 'focus'], ['jazz'], ['7'], [])
    """
    if value is None:
        return []
    if isinstance(value, str):
        return [word for part in value.split(",") if (word := part.strip())]
    if isinstance(value, list | tuple | set | frozenset | Mapping):
        return [str(word) for word in value]
    return [str(value)]


def _unit(counts: Floats) -> Floats:
    """Rows brought to length 1; those of nothing stay 0."""
    length = np.sqrt(np.einsum("nw,nw->n", counts, counts))
    return counts / np.where(length > 0, length, 1.0)[:, None]
