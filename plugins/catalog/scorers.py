"""The scorers: 1 (best) at most for every candidate, and 0 at least but for `similarity`."""

import math
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from ...core import Candidates, Context, NumberField, Scorer, Scores, TimeField, WordField
from .ranking import liking, liking_of_all, numbers_of_all
from .taste import Spatial, Tasting, unit
from .words import codes_of, occurrences, unknown, wanted, weights_of

_NEUTRAL = 0.5
_DAY = 86_400.0


class Similarity(Spatial, Tasting, Scorer):
    """How near the item is to the user's taste: the cosine, 0 where either is unknown.

    Below 0 is what resembles things that were disliked.
    """

    blocking: ClassVar[bool] = False

    def score(self, context: Context, candidates: Candidates) -> Scores:
        """Scores from -1 to 1, shape (n,)."""
        return self.nearness(context, candidates)


class Popularity(Scorer):
    """How popular the item is beside the most popular one of the catalogue.

    By a field: log(1 + number) / log(1 + largest number), 0 where it is missing or negative. Without one, by
    how much people liked it: the sum of its rewards / (its outcomes + 10), divided by the largest of these,
    and 0 where that is negative.
    """

    blocking: ClassVar[bool] = False

    field: NumberField | None = Field(
        None, description="The number that tells popularity; by default people's rewards tell."
    )

    def score(self, context: Context, candidates: Candidates) -> Scores:
        """Scores from 0 to 1, shape (n,)."""
        catalog, field = context.catalog, self.field
        if field is None:
            most = float(liking_of_all(context).max(initial=0))
            values = np.maximum(liking(context, candidates), 0)
        else:
            most = catalog.cached(
                ("catalog: most", field),
                lambda: math.log1p(np.fmax.reduce(numbers_of_all(catalog, field), initial=0)),
            )
            values = np.log1p(np.fmax(candidates[field].astype(np.float64), 0))
        return np.clip(values / most, 0, 1) if most > 0 else np.zeros(len(candidates))


class Freshness(Scorer):
    """2^(-age / half-life): 1 for an item of this moment or of the future, 0 where the time is missing."""

    blocking: ClassVar[bool] = False

    field: TimeField = Field(description="The time that tells how old an item is.")
    half_life_days: float = Field(30.0, ge=0.001, le=36_500, description="The age in days that scores 0.5.")

    def score(self, context: Context, candidates: Candidates) -> Scores:
        """Scores from 0 to 1, shape (n,)."""
        age_days = np.maximum(context.now - candidates[self.field], 0) / _DAY
        return np.nan_to_num(np.exp2(-age_days / self.half_life_days), copy=False)


class Numeric(Scorer):
    """How well a number suits: near an ideal, or far along a range.

    With `ideal` and `tolerance`: 1 at the ideal, falling linearly to 0 at that distance from it. With `low`
    and `high`: rising linearly from 0 at `low` to 1 at `high`, or falling where `better` is lower.
    """

    blocking: ClassVar[bool] = False

    field: NumberField = Field(description="The number to score.")
    ideal: float | None = Field(None, ge=-1e38, le=1e38, description="The number that scores 1.")
    tolerance: float | None = Field(
        None, ge=1e-9, le=1e38, description="The distance from the ideal that scores 0."
    )
    situation: str | None = Field(
        None,
        min_length=1,
        description="The key of the situation whose number, if there is one, is the ideal.",
    )
    low: float | None = Field(None, ge=-1e38, le=1e38, description="Where the range begins.")
    high: float | None = Field(None, ge=-1e38, le=1e38, description="Where the range ends.")
    better: Literal["higher", "lower"] = Field("higher", description="Which end of the range scores 1.")
    missing: float = Field(0.0, ge=0, le=1, description="The score of an item without the number.")

    @model_validator(mode="after")
    def _one_shape(self) -> Self:
        near = self.ideal is not None and self.tolerance is not None
        along = self.low is not None and self.high is not None
        given = sum(option is not None for option in (self.ideal, self.tolerance, self.low, self.high))
        if near == along or given != 2:
            raise ValueError("give either `ideal` and `tolerance`, or `low` and `high`")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"`low` ({self.low:g}) must be less than `high` ({self.high:g})")
        if along and self.situation is not None:
            raise ValueError("`situation` gives the ideal: it goes with `ideal` and `tolerance`")
        if near and self.better != "higher":
            raise ValueError("`better` goes with `low` and `high`")
        return self

    def score(self, context: Context, candidates: Candidates) -> Scores:
        """Scores from 0 to 1, shape (n,)."""
        values = candidates[self.field].astype(np.float64)
        if self.ideal is not None and self.tolerance is not None:
            scores = 1 - np.abs(values - self._ideal(context, self.ideal)) / self.tolerance
        elif self.low is not None and self.high is not None:
            scores = (values - self.low) / (self.high - self.low)
            if self.better == "lower":
                scores = 1 - scores
        return np.where(np.isnan(scores), self.missing, np.clip(scores, 0, 1))

    def _ideal(self, context: Context, ideal: float) -> float:
        given = context.situation.get(self.situation) if self.situation is not None else None
        if isinstance(given, int | float) and not isinstance(given, bool) and abs(given) <= 1e38:
            return float(given)
        if self.situation is not None:
            context.unheeded(self.situation, "a number")
        return ideal


class TagMatch(Scorer):
    """The share of the wanted words that the item has, by weight where weights are given; case is ignored.

    What is wanted comes from the user's profile, the situation, or both: a text with commas, a list of words,
    or a mapping of words to positive weights. 0.5 where nothing is wanted.
    """

    blocking: ClassVar[bool] = False

    field: WordField = Field(description="The category or tags whose words are compared.")
    profile: str | None = Field(
        None, min_length=1, description="The key of the profile that has wanted words."
    )
    situation: str | None = Field(
        None, min_length=1, description="The key of the situation that says what is wanted."
    )
    enough: int | None = Field(
        None, ge=1, description="How many of the wanted words, the heaviest first, score 1; by default all."
    )

    @model_validator(mode="after")
    def _something_wanted(self) -> Self:
        if self.profile is None and self.situation is None:
            raise ValueError("give `profile`, `situation`, or both: a key that holds the wanted words")
        return self

    def score(self, context: Context, candidates: Candidates) -> Scores:
        """Scores from 0 to 1, shape (n,)."""
        words = wanted(context.profile.get(self.profile)) if self.profile is not None else {}
        asked = wanted(context.situation.get(self.situation)) if self.situation is not None else {}
        for word, weight in asked.items():
            words[word] = words.get(word, 0.0) + weight
        vocabulary = candidates.words(self.field)
        if self.situation is not None:
            strange = unknown(
                context.situation.get(self.situation), lambda word: len(codes_of(vocabulary, (word,))) > 0
            )
            some = len(codes_of(vocabulary, asked)) > 0
            takes = f"words that items have under {self.field!r}"
            context.unheeded(self.situation, takes, strange if some else None)
        if not words:
            return np.full(len(candidates), _NEUTRAL)
        weights = weights_of(vocabulary, words)
        positions, codes = occurrences(candidates, self.field)
        found = np.bincount(positions, weights=weights.take(codes), minlength=len(candidates))
        whole = sum(sorted(words.values(), reverse=True)[: self.enough])
        return np.clip(found / whole, 0, 1)


class Novelty(Spatial, Scorer):
    """How new the item is to people and, if wanted, to this user.

    To people: half / (half + the item's outcomes), so 1 for an item that nobody has tried. To the user:
    (1 - cosine) / 2 between the item and the sum of the history's newest `recent` items, whatever their
    rewards; 0.5 where either is unknown. The score is (1 - unlike) · the first + unlike · the second.
    """

    blocking: ClassVar[bool] = False

    half: int = Field(10, ge=1, le=1_000_000, description="How many outcomes halve the novelty of an item.")
    unlike: float = Field(
        0.0, ge=0, le=1, description="The weight of being unlike what the user came across last, 0 to 1."
    )
    recent: int = Field(20, ge=1, le=1000, description="How many of the newest history items `unlike` sees.")

    def score(self, context: Context, candidates: Candidates) -> Scores:
        """Scores from 0 to 1, shape (n,)."""
        untried = self.half / (self.half + np.maximum(context.feedback.count(candidates), 0))
        if self.unlike == 0:
            return untried
        return (1 - self.unlike) * untried + self.unlike * self._unlike(context, candidates)

    def _unlike(self, context: Context, candidates: Candidates) -> Scores:
        rows = context.history.rows[: self.recent]
        for space in self.spaces(context.catalog) if len(rows) else ():
            past = unit(space.blend(rows, np.ones(len(rows))))
            if past is not None:
                cosines = space.cosines(candidates, past).astype(np.float64)
                return (1 - np.clip(cosines, -1, 1)) / 2
        return np.full(len(candidates), _NEUTRAL)
