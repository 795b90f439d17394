"""What somebody would search for: terms from interests, personality and liked videos, adjusted by the knobs."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ...core import Candidates, CatalogSnapshot, Component, Context, Trait, WordField, traits_of
from ..catalog.words import codes_of, occurrences, wanted, weights_of

Values = NDArray[np.float64]

_DAY = 86_400.0
_LONGEST = 80
_OPERATORS = re.compile(r'[|"]|(?<!\S)-+')


@dataclass(frozen=True, slots=True)
class Term:
    """One search: its text, and the plain subject and the adjective that it is made of."""

    text: str
    subject: str
    adjective: str = ""


class _When(BaseModel):
    """Something that holds above, or below, a number."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    above: float | None = Field(None, description="Holds above this …")
    below: float | None = Field(None, description="… or below this.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.above is None) == (self.below is None):
            raise ValueError("give `above` or `below`, one of both")
        return self

    def holds(self, value: float) -> bool:
        """Whether it does for a value."""
        return value > self.above if self.above is not None else value < (self.below or 0.0)


class TraitTerms(_When):
    """What people search for whose trait of personality, 0 to 100, is above or below a number."""

    trait: Trait = Field(description="One of the Big Five.")
    terms: tuple[str, ...] = Field(min_length=1, description="What they search for.")


class Adjustment(_When):
    """Words that go in front of terms while a knob is above or below a number."""

    knob: Literal["energy", "valence", "exploration"] = Field(description="Which knob.")
    words: tuple[str, ...] = Field(min_length=1, description="One of them goes in front of each term.")


class Asking(Component):
    """The options that say what somebody would search for; equal options share their answers in a request.

    Terms, until there are enough: what the situation asks for; interests, by weight, and others every day where
    there are too many; what goes with the personality, a third of them at most unless there is room; and the
    commonest tags of what was liked.
    """

    terms: int = Field(6, ge=1, le=50, description="How many terms there are at most.")
    situation: tuple[str, ...] = Field(("query",), description="Keys of the situation that hold terms.")
    profile: tuple[str, ...] = Field(("interests",), description="Keys of the profile that hold terms.")
    personality: tuple[TraitTerms, ...] = Field((), description="Terms by trait.")
    liked: int = Field(2, ge=0, le=20, description="How many terms come from the tags of liked videos.")
    adjust: tuple[Adjustment, ...] = Field((), description="Words that go in front of terms, by knob.")
    energy: float = Field(0.5, ge=0, le=1, description="Knob: from calm to exciting.")
    valence: float = Field(0.5, ge=0, le=1, description="Knob: from grave to cheerful.")
    exploration: float = Field(0.3, ge=0, le=1, description="Knob: from the usual to the unusual.")
    tags: WordField = Field("tags", description="The words that videos have.")
    searches: WordField = Field(
        "searches", description="The tags field with the searches that found a video."
    )

    def wishes(self, context: Context) -> Sequence[Term]:
        """What to search for, the most wanted first."""
        key = ("video: terms", *(getattr(self, name) for name in Asking.model_fields))
        return context.cached(key, lambda: self._adjusted(self._subjects(context)))

    def answers(self, context: Context, catalog: CatalogSnapshot) -> Values:
        """How well every row of a catalogue answers the terms, from 0 to 1, shape (rows,).

        0.6 is for being found by YouTube for a term, 0.25 for having its subject among the tags, and 0.15 for having
        one of the adjectives there, too.
        """
        key = ("video: answers", len(catalog), *(getattr(self, name) for name in Asking.model_fields))
        return context.cached(key, lambda: self._answers(catalog, self.wishes(context)))

    def _answers(self, catalog: CatalogSnapshot, terms: Sequence[Term]) -> Values:
        answers = np.zeros(len(catalog))
        if not terms:
            return answers
        # The first term weighs 1, the last 0.7.
        weights = {term: 1 - 0.3 * place / len(terms) for place, term in enumerate(terms)}
        found = {term.text: weight for term, weight in weights.items()}
        subjects: dict[str, float] = {}
        for term, weight in weights.items():
            for word in dict.fromkeys((term.subject, *term.subject.split())):
                # A word of several is less than all of them.
                share = 1.0 if word == term.subject else 0.5
                subjects[word] = max(subjects.get(word, 0.0), weight * share)
        adjectives = {term.adjective: 1.0 for term in terms if term.adjective}
        about = self._most(catalog, self.tags, subjects)
        answers += 0.6 * self._most(catalog, self.searches, found) + 0.25 * about
        answers += np.where(about > 0, 0.15 * self._most(catalog, self.tags, adjectives), 0.0)
        return answers

    def _most(self, catalog: CatalogSnapshot, field: str, words: Mapping[str, float]) -> Values:
        """The largest weight of the words that each row has, shape (rows,)."""
        most = np.zeros(len(catalog))
        by_code = weights_of(catalog.words(field), words)
        if words and by_code.any():
            rows, codes = catalog.cached(("video: words", field), lambda: _words_of_all(catalog, field))
            weights = by_code[codes]
            some = np.flatnonzero(weights)
            np.maximum.at(most, rows[some], weights[some])
        return most

    def _adjusted(self, subjects: Sequence[str]) -> Sequence[Term]:
        words = [rule.words for rule in self.adjust if rule.holds(getattr(self, rule.knob))]
        found = []
        for place, subject in enumerate(subjects):
            adjective = ""
            if words:
                group = words[place % len(words)]
                adjective = group[place // len(words) % len(group)]
            found.append(Term(f"{adjective} {subject}".strip(), subject, adjective))
        return tuple(found)

    def _subjects(self, context: Context) -> Sequence[str]:
        asked = list(_terms_of(context.situation, self.situation))
        interests = list(_terms_of(context.profile, self.profile))
        leanings = list(self._leanings(context.profile))
        room = max(0, self.terms - len(asked))
        personal = min(len(leanings), max(room - len(interests), room // 3))
        if len(interests) > room - personal:
            first = int(context.now // _DAY) % len(interests)
            interests = interests[first:] + interests[:first]
        chosen = dict.fromkeys([*asked, *interests[: max(0, room - personal)], *leanings[:personal]])
        for tag in self._liked(context) if len(chosen) < self.terms else ():
            chosen.setdefault(tag)
        return list(chosen)[: self.terms]

    def _leanings(self, profile: Mapping[str, Any]) -> Iterator[str]:
        """The terms of the personality: the first of each leaning, the strongest first, then the second of each."""
        traits, strengths = traits_of(profile), []
        for leaning in self.personality:
            value = traits.get(leaning.trait)
            if value is not None and leaning.holds(value):
                strengths.append((abs(value - 50), leaning))
        strengths.sort(key=lambda pair: -pair[0])
        for place in range(max((len(leaning.terms) for _, leaning in strengths), default=0)):
            for _, leaning in strengths:
                if place < len(leaning.terms):
                    yield leaning.terms[place]

    def _liked(self, context: Context) -> Sequence[str]:
        history = context.history
        liked = history.take(np.nan_to_num(history["reward"]) > 0) if self.liked and len(history) else None
        if liked is None or not len(liked):
            return ()
        _, codes = occurrences(liked, self.tags)
        vocabulary = context.catalog.words(self.tags)
        moods = {word for rule in self.adjust for word in rule.words}
        counts = np.bincount(codes, minlength=len(vocabulary))
        counts[codes_of(vocabulary, moods)] = 0
        commonest = np.argsort(-counts, kind="stable")[: self.liked]
        return [_plain(vocabulary.word(code)) for code in commonest.tolist() if counts[code] > 1]


def _terms_of(known: Mapping[str, Any], keys: Sequence[str]) -> Iterator[str]:
    """The words under the keys, those of the largest weight first, without what a search takes for an operator."""
    for key in keys:
        weights = wanted(known.get(key))
        for word in sorted(weights, key=lambda word: -weights[word]):
            if plain := _plain(word):
                yield plain


def _plain(text: str) -> str:
    return " ".join(_OPERATORS.sub(" ", text.casefold()).split())[:_LONGEST].strip()


def _words_of_all(catalog: CatalogSnapshot, field: str) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """Every word of every live row: the row and the word's code."""
    live = catalog.live
    places, codes = occurrences(Candidates(catalog, live), field)
    return live[places], codes
