"""The filters: in which languages, and of how many categories videos may be."""

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...core import Candidates, Context, Filter, WordField
from ..catalog.words import codes_of, unknown, wanted

Mask = NDArray[np.bool_]

_NAMES = {
    "arabic": "ar", "chinese": "zh", "dutch": "nl", "english": "en", "french": "fr", "german": "de", "hindi": "hi",
    "italian": "it", "japanese": "ja", "korean": "ko", "polish": "pl", "portuguese": "pt", "russian": "ru",
    "spanish": "es", "swedish": "sv", "turkish": "tr", "ukrainian": "uk",
}  # fmt: skip


class Languages(Filter):
    """Keeps videos in the languages that the situation or the profile names, and those of unknown language.

    Where neither names one, all stay. Words that are no language of any video, nor known by name, are passed over; of
    those of the situation the slate says so.
    """

    blocking: ClassVar[bool] = False
    soft: ClassVar[bool] = True

    field: WordField = Field("language", description="The category with the language's code, such as en.")
    key: str = Field("languages", description="The key of the situation or the profile that names languages.")
    names: Mapping[str, str] = Field(_NAMES, description="Codes of languages by name.")

    def keep(self, context: Context, candidates: Candidates) -> Mask:
        """True where the video stays, shape (n,)."""
        asked = context.situation.get(self.key)
        spoken = self._codes(wanted(asked), candidates)
        strange = unknown(asked, lambda word: bool(self._codes((word,), candidates)))
        takes = "languages of videos by code or name, such as en or German"
        context.unheeded(self.key, takes, strange if spoken else None)
        # A profile is everybody's: to others, languages are Python and Go.
        spoken = spoken or self._codes(wanted(context.profile.get(self.key)), candidates)
        if not spoken:
            return np.ones(len(candidates), dtype=bool)
        codes = codes_of(candidates.words(self.field), spoken)
        return np.isin(candidates.codes(self.field), codes) | candidates.missing(self.field)

    def _codes(self, words: Iterable[str], candidates: Candidates) -> Sequence[str]:
        """The codes of those of the words that name a language."""
        codes = [self.names.get(word, word.partition("-")[0]) for word in words]
        return [
            code
            for code in codes
            if code in self.names.values() or candidates.words(self.field).code(code) >= 0
        ]


class Categories(Filter):
    """Keeps videos of a few categories, those that matter most to the user: how many, the knob `diversity` says.

    What matters: the categories that profile or situation name, and those of liked videos. Of users of whom nothing
    is known, all stay; so do videos without a category.
    """

    blocking: ClassVar[bool] = False
    soft: ClassVar[bool] = True

    field: WordField = Field("category", description="The category.")
    profile: tuple[str, ...] = Field(("categories", "interests"), description="Keys that may name some.")
    situation: tuple[str, ...] = Field(("category",), description="Keys that may name some.")
    narrow: int = Field(3, ge=1, le=1000, description="How many there are with a diversity of 0 …")
    wide: int = Field(12, ge=1, le=1000, description="… and with a diversity of 1.")
    diversity: float = Field(0.5, ge=0, le=1, description="Knob: from few categories to many.")

    def keep(self, context: Context, candidates: Candidates) -> Mask:
        """True where the video stays, shape (n,)."""
        vocabulary = candidates.words(self.field)
        matters = np.zeros(len(vocabulary))
        for given, keys in ((context.situation, self.situation), (context.profile, self.profile)):
            for key in keys:
                matters[codes_of(vocabulary, wanted(given.get(key)))] = 1.0
        history = context.history
        if len(history):
            reward = np.maximum(np.nan_to_num(history["reward"]), 0)
            past = history.codes(self.field)
            liked = np.bincount(past[past >= 0], weights=reward[past >= 0], minlength=len(vocabulary))
            matters += liked / max(liked.sum(), 1e-9)
        if not matters.any():
            return np.ones(len(candidates), dtype=bool)
        codes = candidates.codes(self.field)
        unknown: Mask = codes < 0
        # What is proposed most decides among those that matter equally.
        matters += 1e-3 * np.bincount(codes[~unknown], minlength=len(vocabulary)) / max(len(codes), 1)
        count = round(self.narrow + (self.wide - self.narrow) * self.diversity)
        chosen = np.argsort(-matters, kind="stable")[:count]
        return np.isin(codes, chosen) | unknown
