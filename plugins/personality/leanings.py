"""Leanings: which items people lean to who are high, or low, in one of the Big Five traits.

Those high in a trait lean to items near its ideal values, and to items with the words that it likes rather than those
that it dislikes. For those low in it, ideals are mirrored at the middle of the field's range, and what is liked and
disliked changes places.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from ...core import Candidates, CatalogSnapshot, Component, NumberField, Trait, WordField
from ..catalog.words import occurrences

Floats = NDArray[np.float64]

_RANGE = (0.0, 1.0)
_UNKNOWN = 0.5


class Leaning(BaseModel):
    """What those lean to who are high in a trait."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ideal: Mapping[NumberField, FiniteFloat] = Field(
        {}, description="Number fields, each with its ideal value."
    )
    likes: tuple[str, ...] = Field(
        (), description="Words: an item has one where a word of the item holds it."
    )
    dislikes: tuple[str, ...] = Field((), description="Words that speak against an item.")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.ideal or self.likes or self.dislikes):
            raise ValueError("a leaning needs `ideal`, `likes` or `dislikes`")
        return self


class Leanings(Component):
    """The options of components that know what traits lean to."""

    traits: Mapping[Trait, Leaning] = Field(
        min_length=1, description="What those high in each trait lean to: `ideal`, `likes`, `dislikes`."
    )
    words: WordField | None = Field(
        None, description="The category or tags that `likes` and `dislikes` are looked for in."
    )
    ranges: Mapping[NumberField, tuple[FiniteFloat, FiniteFloat]] = Field(
        {}, description="The least and the largest value of a field, where these aren't 0 and 1."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name, leaning in self.traits.items():
            if self.words is None and (leaning.likes or leaning.dislikes):
                raise ValueError(f"{name!r} likes or dislikes words: say in `words` which field has them")
            for field, ideal in leaning.ideal.items():
                low, high = self.ranges.get(field, _RANGE)
                if not low <= ideal <= high:
                    said = f"the ideal {field} of {name!r}, {ideal:g}, must lie from {low:g} to {high:g}"
                    raise ValueError(f"{said}; `ranges` says between which values {field} may lie")
        for field, (low, high) in self.ranges.items():
            if low >= high:
                raise ValueError(f"the range of {field!r} must ascend, not {low:g} and {high:g}")
        return self

    def suits(self, name: Trait, candidates: Candidates, *, high: bool) -> Floats:
        """How well each candidate suits those high, or low, in a trait: 0 to 1, 0.5 where nothing is known, shape (n,).

        The mean of 1 - |value - ideal| / range for each ideal value, and of the words where the trait has any: 1 for
        a liked one, 0 for a disliked one, 0.5 for neither or both.
        """
        leaning = self.traits[name]
        parts = [self._nearness(field, ideal, candidates, high) for field, ideal in leaning.ideal.items()]
        if self.words is not None and (leaning.likes or leaning.dislikes):
            liked = _holders(candidates, self.words, leaning.likes)
            disliked = _holders(candidates, self.words, leaning.dislikes)
            sign = 0.5 if high else -0.5
            parts.append(0.5 + sign * (liked.astype(np.float64) - disliked))
        found: Floats = np.mean(parts, axis=0)
        return found

    def _nearness(self, field: str, ideal: float, candidates: Candidates, high: bool) -> Floats:
        least, most = self.ranges.get(field, _RANGE)
        wanted = ideal if high else least + most - ideal
        values = candidates[field].astype(np.float64)
        return np.nan_to_num(np.clip(1 - np.abs(values - wanted) / (most - least), 0, 1), nan=_UNKNOWN)


def _holders(candidates: Candidates, field: str, phrases: Sequence[str]) -> NDArray[np.bool_]:
    """Which candidates have a word that holds one of the phrases, as "indie folk" holds "folk", shape (n,)."""
    held = np.zeros(len(candidates), dtype=bool)
    if phrases:
        positions, codes = occurrences(candidates, field)
        wanted = candidates.catalog.cached(
            ("personality: phrases", field, phrases), lambda: _holding(candidates.catalog, field, phrases)
        )
        held[positions[wanted[codes]]] = True
    return held


def _holding(catalog: CatalogSnapshot, field: str, phrases: Sequence[str]) -> NDArray[np.bool_]:
    """Which words of a field hold one of the phrases, in whatever case, shape (words,)."""
    pattern = re.compile(
        "|".join(rf"(?<!\w){re.escape(phrase.strip())}(?!\w)" for phrase in phrases), re.IGNORECASE
    )
    vocabulary = catalog.words(field)
    held = [pattern.search(vocabulary.word(code)) is not None for code in range(len(vocabulary))]
    return np.array(held, dtype=bool)
