"""The light embedder: texts to unit vectors by hashing, with nothing to download, fit or keep.

A text is a bag of words, a word is a bag of the n-grams of `<word>`, and an n-gram is one signed coordinate,
found by hashing (Weinberger et al. 2009, "Feature hashing for large scale multitask learning"). So words that
share a stem lie close, in any script, and the same text gets the same vector in every process and on every
machine. What was measured against it is in docs/decisions/0005-text-embedding.md.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

VERSION = "1"
"""Goes up whenever a text would get another vector."""

GRAMS = (3, 4, 5)
"""Lengths of the n-grams, in characters of `<word>`."""

_CHUNK = 500_000
"""Characters that are hashed at once: bounds memory to some tens of megabytes."""

_WORD = re.compile(r"\w+")

_IGNORED = """
a about above after again all also am an and any are as at be because been before being below between both but
by can could did do does doing down during each few for from further had has have having he her here hers him
his how i if in into is it its itself just me more most my myself no nor not now of off on once only or other
our ours out over own same she should so some such than that the their theirs them then there these they this
those through to too under until up us use used uses using very via was we were what when where which while
who whom why will with would you your yours yourself based make made makes www com http https
de la le les el los las en y o un una unos unas del al que con por para su se es lo como mas pero des du et au
aux une dans pour sur est qui ne pas plus par ce cette e em os da dos das um uma nao na di il che non
der die das und ist den von zu mit sich des auf fur nicht ein eine einer einem im dem het een van
и в на не что с по как это за из
"""
"""Words of much read languages that say nothing about a topic, and parts of addresses; without accents."""

_FUNCTION_WORDS = frozenset(_IGNORED.split())


def hashed(texts: Sequence[str], width: int) -> NDArray[np.float32]:
    """Unit vectors, shape (n, width); zero for a text without a word.

    >>> a, b, c = hashed(["Automated backups", "backup automation", "a cookbook"], 384)
    >>> bool(a @ b > 0.4 > a @ c)
    True
    """
    vectors = np.zeros((len(texts), width), dtype=np.float32)
    for start, stop in _chunks(texts):
        vectors[start:stop] = _embedded(texts[start:stop], width)
    return vectors


def words(text: str) -> list[str]:
    """The words that count, folded to lower case, without accents and marks.

    Function words are left out, unless there is nothing else.

    >>> words("The Café's R&D"), words("It")
    (['cafe', 's', 'r', 'd'], ['it'])
    """
    if text.isascii():
        text = text.lower()
    else:
        parts = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
        text = "".join(part for part in parts if unicodedata.category(part)[0] != "M")
    found = _WORD.findall(text)
    return [word for word in found if word not in _FUNCTION_WORDS] or found


def _chunks(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    start = size = 0
    for place, text in enumerate(texts):
        if size and size + len(text) > _CHUNK:
            yield start, place
            start, size = place, 0
        size += len(text)
    if start < len(texts):
        yield start, len(texts)


def _embedded(texts: Sequence[str], width: int) -> NDArray[np.float32]:
    vocabulary: dict[str, int] = {}
    ends, columns, counted = [0], list[int](), list[int]()
    for text in texts:
        counts = Counter(words(text))
        columns += [vocabulary.setdefault(word, len(vocabulary)) for word in counts]
        counted += counts.values()
        ends.append(len(columns))
    if not vocabulary:
        return np.zeros((len(texts), width), dtype=np.float32)
    # A word that is said four times is twice as important as one that is said once.
    bags = csr_array((np.sqrt(counted, dtype=np.float64), columns, ends), shape=(len(texts), len(vocabulary)))
    dense: NDArray[np.float64] = (bags @ _word_vectors(list(vocabulary), width)).toarray()
    lengths = np.linalg.norm(dense, axis=1, keepdims=True)
    units: NDArray[np.float64] = np.divide(dense, lengths, out=np.zeros_like(dense), where=lengths > 0)
    return units.astype(np.float32)


def _word_vectors(vocabulary: list[str], width: int) -> csr_array:
    """Shape (words, width): the sum of a word's signed n-grams over the square root of how many there are."""
    text = "<" + "><".join(vocabulary) + ">"
    letters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
    sizes = np.array([len(word) + 2 for word in vocabulary])
    owner = np.repeat(np.arange(len(sizes)), sizes)
    left = np.repeat(np.cumsum(sizes), sizes) - np.arange(len(letters))  # letters up to the end of the word
    rows, hashes = [], []
    for n in GRAMS:
        starts = np.flatnonzero(left >= n)
        value = np.full(len(starts), n, dtype=np.uint64)
        for step in range(n):
            value = value * np.uint64(0x100000001B3) + letters[starts + step]
        rows.append(owner[starts])
        hashes.append(_mixed(value))
    row, value = np.concatenate(rows), np.concatenate(hashes)
    grams = np.bincount(row, minlength=len(sizes))
    signs = np.where(value & np.uint64(1), 1.0, -1.0) / np.sqrt(grams)[row]
    places = ((value >> np.uint64(1)) % np.uint64(width)).astype(np.int64)
    return csr_array((signs, (row, places)), shape=(len(sizes), width))


def _mixed(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spreads every bit over all others: the finaliser of SplitMix64 (Steele et al. 2014)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
