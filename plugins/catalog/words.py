"""Words of items and of people: how what somebody wants is found among the words that items have.

Case never matters: "Jazz" in a profile finds "jazz" in a field.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from ...core import Candidates, Vocabulary

Codes = NDArray[np.int32]

_SEPARATORS = re.compile(r"[,|;]")


class _Folded:
    """The codes of a vocabulary by case-folded word; grows along with it."""

    def __init__(self) -> None:
        self._codes: dict[str, list[int]] = {}
        self._read = 0

    def codes(self, vocabulary: Vocabulary, word: str) -> Sequence[int]:
        while self._read < len(vocabulary):
            self._codes.setdefault(vocabulary.word(self._read).casefold(), []).append(self._read)
            self._read += 1
        return self._codes.get(word.casefold(), ())


_folded: WeakKeyDictionary[Vocabulary, _Folded] = WeakKeyDictionary()


def codes_of(vocabulary: Vocabulary, words: Iterable[str]) -> Codes:
    """The codes of words in whatever case; unknown words are passed over."""
    folded = _folded.get(vocabulary)
    if folded is None:
        folded = _folded[vocabulary] = _Folded()
    return np.array([code for word in words for code in folded.codes(vocabulary, word)], dtype=np.int32)


def weights_of(vocabulary: Vocabulary, wanted: Mapping[str, float]) -> NDArray[np.float64]:
    """The weight of every word of the vocabulary, 0 where it isn't wanted, shape (words,)."""
    weights = np.zeros(len(vocabulary))
    for word, weight in wanted.items():
        weights[codes_of(vocabulary, (word,))] = weight
    return weights


def occurrences(candidates: Candidates, field: str) -> tuple[NDArray[np.intp], Codes]:
    """Every word of every candidate: the candidate's position and the word's code, both shape (total,).

    field: a category or tags field. Raises UnknownColumn for any other.
    """
    if candidates.catalog.schema.fields.get(field) == "category":
        codes = candidates.codes(field)
        known = np.flatnonzero(codes >= 0)
        return known, codes[known]
    indptr, codes = candidates.catalog.tags(field).runs(candidates.rows)
    return np.repeat(np.arange(len(candidates)), np.diff(indptr)), codes


def wanted(value: Any) -> dict[str, float]:
    """What a value of a profile or situation asks for: positive weights by case-folded word.

    A text holds words between commas, semicolons or bars; a list holds words; a mapping gives weights by
    word. Anything else asks for nothing.

    >>> wanted("Folk, Jazz"), wanted({"folk": 2, "noise": -1}), wanted(7)
    ({'folk': 1.0, 'jazz': 1.0}, {'folk': 2.0}, {})
    """
    return {
        folded: weight
        for part, weight in _parts(value)
        if isinstance(part, str) and (folded := part.casefold())
    }


def unknown(value: Any, known: Callable[[str], bool]) -> list[Any]:
    """The parts of a value of a situation, as they are written, that ask for no known word.

    known: whether a case-folded word is. Where nothing is asked for, nothing is unknown.

    >>> unknown("Folk, Klingon", {"folk", "jazz"}.__contains__), unknown(["jazz", 7, ""], {"jazz"}.__contains__)
    (['Klingon'], [7])
    """
    return [
        part
        for part, _ in _parts(value)
        if not isinstance(part, str) or (part and not known(part.casefold()))
    ]


def _parts(value: Any) -> Iterator[tuple[Any, float]]:
    """What a value holds of positive weight, with that; texts without the blanks around them."""
    if isinstance(value, str):
        value = _SEPARATORS.split(value)
    if isinstance(value, Mapping):
        pairs = [(part, _weight(weight)) for part, weight in value.items()]
    elif isinstance(value, list | tuple | set | frozenset):
        pairs = [(part, 1.0) for part in value]
    else:
        return
    for part, weight in pairs:
        if weight > 0:
            yield part.strip() if isinstance(part, str) else part, weight


def _weight(value: Any) -> float:
    known = isinstance(value, int | float) and math.isfinite(value)
    return min(float(value), 1e6) if known else 0.0
