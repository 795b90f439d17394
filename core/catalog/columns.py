"""The columns that hold a catalogue in memory: grown by appending, changed by copying, read without locks.

A column hands out frozen views. Rows beyond a view's end may be filled while it is read; a row inside it is
never written again: the first change after a view was taken copies the array.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.intp]


class Growing:
    """One array with room to spare, and the rule that what a view shows never changes."""

    def __init__(self, dtype: Any, missing: Any) -> None:
        self._missing = missing
        self._data = np.full(16, missing, dtype=dtype)
        self._shown = 0

    def reserve(self, length: int) -> None:
        """Make room for `length` rows."""
        if length > len(self._data):
            larger = np.full(max(length, len(self._data) * 3 // 2), self._missing, dtype=self._data.dtype)
            larger[: len(self._data)] = self._data
            self._data = larger
            self._shown = 0

    def write(self, rows: Rows, values: Any) -> None:
        """Set rows, reserved before."""
        if len(rows) and int(rows.min()) < self._shown:
            self._data = self._data.copy()
            self._shown = 0
        self._data[rows] = values

    def view(self, length: int) -> NDArray[Any]:
        """The first `length` rows, read-only."""
        self._shown = max(self._shown, length)
        view = self._data[:length]
        view.flags.writeable = False
        return view


class Vocabulary:
    """Words and their codes from 0, in the order of arrival. Only ever grows."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._words: list[str] = []

    def __len__(self) -> int:
        return len(self._words)

    def add(self, word: str) -> int:
        """The word's code, made where it is new."""
        code = self._codes.get(word)
        if code is None:
            code = len(self._words)
            self._words.append(word)
            self._codes[word] = code
        return code

    def code(self, word: str) -> int:
        """The word's code, or -1."""
        return self._codes.get(word, -1)

    def codes(self, words: Sequence[str]) -> NDArray[np.int32]:
        """The codes of the words that are known."""
        found = [code for word in words if (code := self._codes.get(str(word))) is not None]
        return np.array(found, dtype=np.int32)

    def word(self, code: int) -> str:
        """The word of a code."""
        return self._words[code]

    def words(self, codes: NDArray[np.int32]) -> NDArray[np.object_]:
        """The words of many codes; the empty text for -1."""
        known = self._words
        found = np.empty(len(codes), dtype=object)
        found[:] = [known[code] if code >= 0 else "" for code in codes.tolist()]
        return found


class TagStore:
    """Many words per row: one growing pool of codes, and where each row's run of them starts and ends."""

    def __init__(self) -> None:
        self.vocabulary = Vocabulary()
        self._pool = Growing(np.int32, 0)
        self._used = 0
        self._start = Growing(np.int64, 0)
        self._count = Growing(np.int32, 0)

    def reserve(self, length: int) -> None:
        """Make room for `length` rows."""
        self._start.reserve(length)
        self._count.reserve(length)

    def write(self, rows: Rows, values: Sequence[Sequence[str] | None]) -> None:
        """Set the words of rows; what they had before stays in the pool unused."""
        add = self.vocabulary.add
        coded = [[add(word) for word in words] if words else [] for words in values]
        counts = np.array([len(codes) for codes in coded], dtype=np.int32)
        flat = np.array([code for codes in coded for code in codes], dtype=np.int32)
        self._pool.reserve(self._used + len(flat))
        self._pool.write(np.arange(self._used, self._used + len(flat)), flat)
        starts = self._used + np.concatenate(([0], np.cumsum(counts[:-1]))) if len(counts) else counts
        self._used += len(flat)
        self._start.write(rows, starts)
        self._count.write(rows, counts)

    def view(self, length: int) -> "Tags":
        """The first `length` rows, frozen."""
        return Tags(
            self.vocabulary, self._pool.view(self._used), self._start.view(length), self._count.view(length)
        )


class Tags:
    """A frozen view of many words per row."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        pool: NDArray[np.int32],
        start: NDArray[np.int64],
        count: NDArray[np.int32],
    ) -> None:
        self.vocabulary = vocabulary
        self._pool = pool
        self._start = start
        self._count = count
        self.width = len(vocabulary)

    def runs(self, rows: Rows) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
        """The words of rows in compressed sparse form: `indptr` (n + 1), codes (total,)."""
        counts = self._count[rows]
        indptr = np.zeros(len(rows) + 1, dtype=np.intp)
        np.cumsum(counts, out=indptr[1:])
        places = np.repeat(self._start[rows] - indptr[:-1], counts) + np.arange(indptr[-1])
        return indptr, self._pool[places]

    def counts(self, rows: Rows) -> NDArray[np.int32]:
        """How many words rows have, shape (n,)."""
        counts: NDArray[np.int32] = self._count[rows]
        return counts

    def words(self, row: int) -> list[str]:
        """The words of one row."""
        start = int(self._start[row])
        return [
            self.vocabulary.word(code) for code in self._pool[start : start + int(self._count[row])].tolist()
        ]
