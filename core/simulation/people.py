"""People with hidden tastes: what each item is worth to each of them, and how little of that the platform is told.

The utility of an item for a person, in logits, is

    taste · T(person, item) + appeal · A(item) + number · N(person, item)

T is the person's own taste: words that they like or dislike and a direction of the items' embedding, both of which
come from a few items that they are taken to love. It has mean 0 and deviation 1 over the catalogue and is cut at
±2.5. A is a standard normal number of the item, the same for everybody: quality that no column shows. N is the
wish for a certain size of one number field, such as a price level; it too has mean 0 and deviation 1.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import Formatter

import numpy as np
from numpy.typing import NDArray

from ..catalog.catalog import CatalogSnapshot
from ..config import DomainPlan
from ..errors import RequestError
from .noise import name_keys, normal

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

_REFERENCE = 2_000
"""Rows of the catalogue by which utilities are brought to scale."""
_CUT = 2.5
_TEXT_WORD = re.compile(r"[^\W\d_]{4,}")

_APPEAL = 1
"""The stream of random numbers that the items' appeal comes from."""


@dataclass(frozen=True)
class Hidden:
    """How strong the parts of a utility are, in logits for one standard deviation, and how a taste is made.

    anchors: items that a person is taken to love. words: most words that a taste has. disliked: most words that
    it has against it. told: share of the liked words that stand in the profile.
    """

    taste: float = 1.0
    appeal: float = 1.0
    number: float = 0.3
    anchors: int = 3
    words: int = 6
    disliked: int = 1
    told: float = 0.5


class People:
    """A crowd, drawn for one catalogue by a seed.

    names: user ids. profiles: what the platform is told of each.
    Raises RequestError where the catalogue is empty.
    """

    def __init__(
        self, catalog: CatalogSnapshot, plan: DomainPlan, count: int, seed: int, hidden: Hidden | None = None
    ) -> None:
        if len(catalog.live) == 0:
            raise RequestError(f"domain {plan.name!r} has no items: there is nothing to show to people")
        self.hidden = hidden or Hidden()
        self.seed = seed
        self._catalog = catalog
        self._words = WordFields(catalog)
        self._keys: NDArray[np.uint64] = np.empty(0, dtype=np.uint64)
        rng = np.random.default_rng((seed, 7))
        live = catalog.live
        self.reference: Rows = np.sort(rng.choice(live, min(_REFERENCE, len(live)), replace=False))
        self.names = [f"person-{number}" for number in range(count)]
        self._tastes = [_Taste(self, np.random.default_rng((seed, 8, number))) for number in range(count)]
        told = _Told(plan, self._words)
        self.profiles: list[dict[str, list[str]]] = [
            told.profile(catalog, taste, np.random.default_rng((seed, 9, number)), self.hidden.told)
            for number, taste in enumerate(self._tastes)
        ]

    def __len__(self) -> int:
        return len(self.names)

    def utility(self, person: int, catalog: CatalogSnapshot, rows: Rows) -> Floats:
        """What items are worth to a person, in logits, shape (n,)."""
        hidden = self.hidden
        taste = self._tastes[person]
        worth = hidden.taste * taste.liking(catalog, rows) + hidden.appeal * self.appeal(catalog, rows)
        if hidden.number and taste.number is not None:
            worth = worth + hidden.number * taste.number.fit(catalog, rows)
        return worth

    def appeal(self, catalog: CatalogSnapshot, rows: Rows) -> Floats:
        """What everybody sees in items and no column shows: standard normal, shape (n,)."""
        if len(self._keys) < len(catalog):
            fresh = name_keys(catalog.ids[len(self._keys) :])
            self._keys = np.concatenate((self._keys, fresh))
        return normal(self.seed, _APPEAL, self._keys[rows])

    def keys(self, rows: Rows) -> NDArray[np.uint64]:
        """A number for each item, of which `appeal` or `utility` was asked before, shape (n,)."""
        return self._keys[rows]

    def liked_words(self, person: int) -> Mapping[str, Sequence[str]]:
        """The words that a person likes, by field."""
        return self._tastes[person].words


class WordFields:
    """The category and tags fields of a catalogue."""

    def __init__(self, catalog: CatalogSnapshot) -> None:
        self.fields = catalog.schema.of_type("category", "tags")
        self.texts = catalog.schema.of_type("text")
        self._kinds = catalog.schema.fields
        counts = {field: self.codes(catalog, field, catalog.live)[1] for field in self.fields}
        most = max(3, len(catalog.live) // 5)
        self._telling = {}
        for field, codes in counts.items():
            count = np.bincount(codes, minlength=len(catalog.words(field)))
            self._telling[field] = (count >= min(3, most)) & (count <= most)

    def codes(
        self, catalog: CatalogSnapshot, field: str, rows: Rows
    ) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
        """Every word of every row: the row's place and the word's code, both shape (total,)."""
        if self._kinds[field] == "category":
            codes = catalog.column(field)[rows]
            known = np.flatnonzero(codes >= 0)
            return known, codes[known]
        indptr, codes = catalog.tags(field).runs(rows)
        return np.repeat(np.arange(len(rows)), np.diff(indptr)), codes

    def telling(self, catalog: CatalogSnapshot, rows: Rows) -> list[tuple[str, int]]:
        """The words of rows that neither nearly all items nor hardly any have, as field and code."""
        return [
            (field, code)
            for field in self.fields
            for code in sorted(set(self.codes(catalog, field, rows)[1].tolist()))
            if self._telling[field][code]
        ]


class _Taste:
    """One person's: weights of words, a direction of the embedding, a wish for a number."""

    def __init__(self, people: People, rng: np.random.Generator) -> None:
        catalog, fields, hidden = people._catalog, people._words, people.hidden
        live = catalog.live
        self.anchors: Rows = rng.choice(live, min(hidden.anchors, len(live)), replace=False)
        self._fields = fields
        self._weights: dict[str, Floats] = {}
        self.words: dict[str, list[str]] = {}
        liked = fields.telling(catalog, self.anchors)
        chosen = [liked[place] for place in rng.permutation(len(liked))[: hidden.words].tolist()]
        other: Rows = rng.choice(live, min(hidden.anchors, len(live)), replace=False)
        against = [word for word in fields.telling(catalog, other) if word not in liked]
        against = [against[place] for place in rng.permutation(len(against))[: hidden.disliked].tolist()]
        for words, sign in ((chosen, 1.0), (against, -1.0)):
            for (field, code), strength in zip(words, rng.uniform(0.5, 1.5, len(words)), strict=True):
                weights = self._weights.setdefault(field, np.zeros(len(catalog.words(field))))
                weights[code] = sign * strength
                if sign > 0:
                    self.words.setdefault(field, []).append(catalog.words(field).word(code))
        self._direction = None
        if catalog.vectors is not None and len(catalog.vectors):
            pull = rng.uniform(0.5, 1.5, len(self.anchors)).astype(np.float32)
            self._direction = pull @ catalog.vectors.take(self.anchors)
        self._scales = [_Scale(part) for part in self._parts(catalog, people.reference)]
        self._whole = _Scale(self._sum(catalog, people.reference))
        self.number = _Number.drawn(catalog, people.reference, rng)

    def liking(self, catalog: CatalogSnapshot, rows: Rows) -> Floats:
        """Shape (n,)."""
        return np.clip(self._whole(self._sum(catalog, rows)), -_CUT, _CUT)

    def _sum(self, catalog: CatalogSnapshot, rows: Rows) -> Floats:
        parts = self._parts(catalog, rows)
        scaled = [np.clip(scale(part), -_CUT, _CUT) for scale, part in zip(self._scales, parts, strict=True)]
        total: Floats = np.sum(scaled, axis=0)
        return total

    def _parts(self, catalog: CatalogSnapshot, rows: Rows) -> list[Floats]:
        words = np.zeros(len(rows))
        for field, weights in self._weights.items():
            places, codes = self._fields.codes(catalog, field, rows)
            known = codes < len(weights)  # words that came later mean nothing to anybody
            words += np.bincount(places[known], weights=weights[codes[known]], minlength=len(rows))
        if self._direction is None or catalog.vectors is None:
            return [words]
        return [words, (catalog.vectors.take(rows) @ self._direction).astype(np.float64)]


class _Scale:
    """Brings numbers to mean 0 and deviation 1, as they are over a reference."""

    def __init__(self, reference: Floats) -> None:
        self._mean = float(reference.mean())
        deviation = float(reference.std())
        self._factor = 1 / deviation if deviation > 1e-9 else 0.0

    def __call__(self, values: Floats) -> Floats:
        return (values - self._mean) * self._factor


class _Number:
    """The wish for a certain size of a number field: 0 is missing, and nobody minds."""

    def __init__(self, field: str, known: Floats, wished: float) -> None:
        self._field, self._known, self._wished = field, known, wished
        self._scale = _Scale(-np.abs(self._ranks(known) - wished))

    @classmethod
    def drawn(cls, catalog: CatalogSnapshot, reference: Rows, rng: np.random.Generator) -> "_Number | None":
        """A wish for one of the fields that are filled in for half of the items, None where there is none."""
        fields = []
        for field in catalog.schema.of_type("number"):
            values = catalog.column(field)[reference].astype(np.float64)
            values = np.sort(values[~np.isnan(values)])
            if 2 * len(values) >= len(reference) and values[0] < values[-1]:
                fields.append((field, values))
        place, wished = int(rng.integers(1 << 30)), float(rng.random())
        return cls(*fields[place % len(fields)], wished) if fields else None

    def fit(self, catalog: CatalogSnapshot, rows: Rows) -> Floats:
        """Shape (n,)."""
        values = catalog.column(self._field)[rows].astype(np.float64)
        fit = self._scale(-np.abs(self._ranks(values) - self._wished))
        return np.where(np.isnan(values), 0.0, fit)

    def _ranks(self, values: Floats) -> Floats:
        """The share of items with a smaller number, equal ones counted half, shape (n,)."""
        below = np.searchsorted(self._known, values, side="left")
        up_to = np.searchsorted(self._known, values, side="right")
        return (below + up_to) / (2 * len(self._known))


class _Told:
    """Under which keys of a profile a domain looks for which words.

    A scorer with the options `field` and `profile` looks under that key for words of that field. The keys of the
    embedder's `profile` template that are called like a field (in singular or plural) get its words, too; all
    other words stand under the first key that is called like none.
    """

    def __init__(self, plan: DomainPlan, words: WordFields) -> None:
        self._words = words
        self._keys: dict[str, list[str]] = {}
        self._others: str | None = None
        for step in plan.scorers:
            field, key = (getattr(step.component, option, None) for option in ("field", "profile"))
            if isinstance(field, str) and isinstance(key, str) and field in words.fields:
                self._keys.setdefault(field, []).append(key)
        known = {_stem(field): field for field in words.fields}
        template = getattr(plan.items.embedder, "profile", "")
        named = _names(template if isinstance(template, str) else "")
        for key in named:
            if (own := known.get(_stem(key))) is not None:
                self._keys.setdefault(own, []).append(key)
            elif self._others is None:
                self._others = key
        if self._others is None and not self._keys:
            self._others = named[0] if named else "interests"

    def profile(
        self, catalog: CatalogSnapshot, taste: _Taste, rng: np.random.Generator, share: float
    ) -> dict[str, list[str]]:
        """Some of the words that a person likes: `share` of them, and of the texts' words where items have few."""
        words = [(field, word) for field, listed in taste.words.items() for word in listed]
        count = round(share * len(words)) if len(words) > 1 else len(words)
        profile: dict[str, list[str]] = {}
        for place in sorted(rng.permutation(len(words))[:count].tolist()):
            field, word = words[place]
            keys = self._keys.get(field) or ([self._others] if self._others is not None else [])
            for key in dict.fromkeys(keys):
                profile.setdefault(key, []).append(word)
        if count < 2 and self._others is not None:
            spoken = _text_words(catalog, self._words.texts, taste.anchors)
            if spoken:
                listed = [spoken[place] for place in sorted(rng.permutation(len(spoken))[:3].tolist())]
                profile.setdefault(self._others, []).extend(listed)
        return profile


def _names(template: str) -> list[str]:
    """The names in the braces of a template, each once."""
    try:
        return list(dict.fromkeys(name for _, name, _, _ in Formatter().parse(template) if name))
    except ValueError:
        return []


def _stem(name: str) -> str:
    """A name in the singular.

    >>> _stem("categories") == _stem("category"), _stem("languages") == _stem("language")
    (True, True)
    """
    name = name.lower()
    if name.endswith("ies"):
        return name[:-3] + "y"
    return name.removesuffix("s")


def _text_words(catalog: CatalogSnapshot, fields: Sequence[str], rows: Rows) -> list[str]:
    """Words of the rows' texts, in the order of their number."""
    counts: Counter[str] = Counter()
    for field in fields:
        for text in catalog.column(field)[rows].tolist():
            if "://" not in text:
                counts.update(word.lower() for word in _TEXT_WORD.findall(text))
    return [word for word, _ in counts.most_common(12)]
