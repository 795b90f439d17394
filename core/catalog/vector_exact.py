"""The exact form of a vector index: float32 vectors in one matrix, read without locks beside one writer."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]
Slots = NDArray[np.int32]
Rows = NDArray[np.intp]

_SPARE = 1.25  # capacity over need whenever storage is allocated anew
_TIE = np.float32(1e-5)  # more than float32 rounding can move a cosine between two ways of summing it


@dataclass(frozen=True, slots=True)
class State:
    """What one search sees. Replaced as a whole by every change; slots of its storage are written once."""

    vectors: Floats  # (capacity, d), of unit length
    row_of: Slots  # (capacity,)
    slot_of: Slots  # by row; -1: the row has no vector
    used: int
    live: int
    dead: Slots  # used slots that no longer hold the vector of their row

    @classmethod
    def empty(cls, dimensions: int) -> "State":
        """No vectors."""
        none = np.empty(0, np.int32)
        return cls(np.empty((16, dimensions), np.float32), np.empty(16, np.int32), none, 0, 0, none)

    def slots(self, rows: ArrayLike) -> Slots:
        """Slots (n,) of rows (n,), -1 where a row has no vector or doesn't exist."""
        wanted = np.asarray(rows, np.intp)
        if len(self.slot_of) == 0:
            return np.full(wanted.shape, -1, np.int32)
        slots = self.slot_of.take(wanted, mode="clip")
        slots[(wanted < 0) | (wanted >= len(self.slot_of))] = -1
        return slots

    def alive(self) -> NDArray[np.bool_]:
        """Which used slots hold the vector of their row."""
        used = np.arange(self.used, dtype=np.int32)
        return np.asarray(self.slot_of[self.row_of[: self.used]] == used)


class Exact:
    """Vectors by row, all of them compared by every search; answers depend on nothing but the content."""

    def __init__(self, dimensions: int) -> None:
        self._state = State.empty(dimensions)

    def __len__(self) -> int:
        return self._state.live

    @property
    def nbytes(self) -> int:
        """Bytes allocated, spare capacity included."""
        state = self._state
        return state.vectors.nbytes + state.row_of.nbytes + state.slot_of.nbytes + state.dead.nbytes

    def rows(self) -> Rows:
        """The rows that have a vector, ascending."""
        return np.flatnonzero(self._state.slot_of >= 0)

    def change(self, gone: Rows, rows: Rows, vectors: Iterable[Floats]) -> None:
        """Take away the vectors of `gone`, then set those of rows (n,), given in blocks of unit vectors.

        Both are ascending without repetition. Readers see all of it or nothing.
        """
        state = self._state
        slot_of = np.full(max(len(state.slot_of), int(gone[-1]) + 1 if len(gone) else 0), -1, np.int32)
        slot_of[: len(state.slot_of)] = state.slot_of
        lost = int(np.count_nonzero(slot_of[gone] >= 0))
        slot_of[gone] = -1
        state = replace(state, slot_of=slot_of, live=state.live - lost)
        total = state.live + len(rows)
        if state.used + len(rows) > len(state.row_of) or state.used > 2 * total + 1024:
            state = _compacted(state, total)
        start = end = state.used
        for block in vectors:
            state.vectors[end : end + len(block)] = block
            end += len(block)
        state.row_of[start:end] = rows
        state.slot_of[rows] = np.arange(start, end, dtype=np.int32)
        state = replace(state, used=end, live=total)
        dead = np.flatnonzero(~state.alive()) if total < end else np.empty(0)
        self._state = replace(state, dead=dead.astype(np.int32))

    def has(self, rows: ArrayLike) -> NDArray[np.bool_]:
        """Which rows (n,) have a vector."""
        return np.asarray(self._state.slots(rows) >= 0)

    def take(self, rows: ArrayLike) -> Floats:
        """Unit vectors (n, d) of rows (n,); zeros where a row has none."""
        state = self._state
        slots = state.slots(rows)
        found = state.vectors.take(slots, axis=0, mode="clip")
        missing = slots < 0
        if missing.any():
            found[missing] = 0
        return found

    def search(self, direction: Floats, k: int, allowed: NDArray[np.bool_] | None) -> tuple[Rows, Floats]:
        """The k rows nearest to a unit vector (d,) and their cosines, best first, ties by row."""
        state = self._state
        k = min(k, state.live)
        if k <= 0:
            return np.empty(0, np.intp), np.empty(0, np.float32)
        slots: Slots | None = None
        permitted: NDArray[np.bool_] | None = None
        if allowed is not None:
            permitted = state.slot_of >= 0
            permitted[len(allowed) :] = False
            permitted[: len(allowed)] &= allowed[: len(permitted)]
            if np.count_nonzero(permitted) <= state.used // 4:
                slots = state.slot_of[permitted]
        known = state.vectors[: state.used] if slots is None else state.vectors.take(slots, axis=0)
        scores = np.asarray(known @ direction, np.float32)
        if slots is None:
            scores[state.dead] = -np.inf
            if permitted is not None:
                scores[~permitted[state.row_of[: state.used]]] = -np.inf
        return _best(state, scores, slots, direction, k)


def _compacted(state: State, total: int) -> State:
    """The state without dead slots, in new storage with room for so many; writes to its slot_of."""
    keep = np.flatnonzero(state.alive())
    capacity, count = int(_SPARE * total) + 16, len(keep)
    vectors = np.empty((capacity, state.vectors.shape[1]), np.float32)
    row_of = np.empty(capacity, np.int32)
    np.take(state.vectors, keep, axis=0, out=vectors[:count], mode="clip")
    row_of[:count] = state.row_of[keep]
    state.slot_of[row_of[:count]] = np.arange(count, dtype=np.int32)
    return replace(state, vectors=vectors, row_of=row_of, used=count)


def _best(state: State, scores: Floats, slots: Slots | None, query: Floats, k: int) -> tuple[Rows, Floats]:
    """The rows of the k best slots and their cosines."""
    # Those that may belong to the best are scored again, each by itself: the products that scored all of them
    # round differently depending on what stands next to a vector.
    least = np.float32(-np.inf)
    if len(scores) > k:
        least = np.partition(scores, len(scores) - k)[len(scores) - k] - _TIE
    chosen = np.flatnonzero(scores >= least if least > -np.inf else scores > -np.inf).astype(np.int32)
    if slots is not None:
        chosen = slots[chosen]
    cosines = np.clip(np.einsum("ij,j->i", state.vectors.take(chosen, axis=0), query), -1, 1)
    rows = state.row_of[chosen]
    order = np.lexsort((rows, -cosines))[:k]
    return rows[order].astype(np.intp), cosines[order]
