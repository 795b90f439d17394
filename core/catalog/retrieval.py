"""Cosine nearest neighbours over the rows of a catalogue.

Small catalogues are searched exactly: one float32 matrix, one matrix-vector product. Large ones are handed to
faiss, as 8-bit codes in cells (an inverted file: Jégou et al. 2011, section IV, with scalar instead of product
quantisation). docs/decisions/0004-vector-index.md says what was measured.
"""

import atexit
import ctypes
import logging
import threading
from collections.abc import Callable, Iterator
from math import sqrt
from typing import TYPE_CHECKING
from weakref import WeakSet

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .vector_exact import Exact, Floats, Rows

if TYPE_CHECKING:
    from .vector_faiss import Cells

_BULK = 2048  # vectors handled at a time while storing and building
_WAITING = 4  # times exact_limit: more float32 vectors than that don't pile up while the first cells are made

_log = logging.getLogger(__name__)


class VectorIndex:
    """Cosine nearest neighbours over catalogue rows; the one holder of the catalogue's vectors.

    Up to `exact_limit` vectors, answers are exact and depend on nothing but the content. Beyond it, a background
    thread rounds the vectors to 8 bits (for good) and divides them into cells; until that is done, every vector
    is compared. From then on a search reads as many cells as gave a recall of 0.97 for top-500 on the catalogue
    itself when they were made (80,000 vectors at most), and similarities are those of the rounded vectors. Cells
    are made anew in the background when as many vectors have been put as there were.

    This needs faiss; without it, all vectors are compared however many there are, and a warning is logged once.

    Not guaranteed beyond the limit: which of the farther neighbours are found. It depends on what the catalogue
    held when cells were made, and on when they got ready.

    Any number of threads may read while one changes the index: a reader sees all of a change or none of it.
    """

    def __init__(self, dimensions: int, *, exact_limit: int = 50_000) -> None:
        if dimensions < 1:
            raise ValueError(f"dimensions must be at least 1, not {dimensions}")
        self.dimensions = dimensions
        self.exact_limit = exact_limit
        self._form: Exact | Cells = Exact(dimensions)
        self._changing = threading.Condition()
        self._library = True
        self._building = False
        self._closed = False
        self._builder: threading.Thread | None = None
        self._built_for = 0  # vectors there were when cells were last made
        self._fresh = 0  # vectors put since
        self._late: list[Rows] = []  # rows changed while cells are being made

    def __len__(self) -> int:
        return len(self._form)

    @property
    def nbytes(self) -> int:
        """Bytes that hold vectors and index."""
        return self._form.nbytes

    @property
    def exact(self) -> bool:
        """Whether vectors are kept as given and all of them are compared."""
        return isinstance(self._form, Exact)

    def put(self, rows: Rows, vectors: Floats) -> None:
        """Set the vectors (n, d) of rows (n,), at any length; of a row named twice the last one counts.

        A zero or non-finite vector means that the row has none. Raises ValueError for other shapes. Waits for
        the first cells when many vectors beyond the limit have come in meanwhile.
        """
        rows, given = _as_rows(rows), _as_floats(vectors)
        if given.shape != (len(rows), self.dimensions):
            wanted = (len(rows), self.dimensions)
            raise ValueError(f"vectors for {len(rows)} rows must have shape {wanted}, not {given.shape}")
        if len(rows) == 0:
            return
        rows, last = np.unique(rows[::-1], return_index=True)
        pick = len(given) - 1 - last
        peak = np.maximum(given.max(axis=1), -given.min(axis=1))[pick]
        usable = np.isfinite(peak) & (peak > 0)
        with self._changing:
            self._changing.wait_for(self._has_room)
            pick = pick[usable]
            units = (_unit(given[pick[a:b]]) for a, b in _blocks(len(pick)))
            self._change(rows, rows[usable], units)

    def remove(self, rows: Rows) -> None:
        """Forget the vectors of these rows; rows without one are fine."""
        with self._changing:
            gone = np.unique(_as_rows(rows))
            self._change(gone, gone[:0], iter(()))

    def has(self, rows: Rows) -> NDArray[np.bool_]:
        """Which rows (n,) have a vector."""
        return self._form.has(rows)

    def take(self, rows: Rows) -> Floats:
        """Unit vectors (n, d) of rows (n,); zeros where a row has none."""
        return self._form.take(rows)

    def search(
        self, query: Floats, k: int, *, allowed: NDArray[np.bool_] | None = None
    ) -> tuple[Rows, Floats]:
        """The k rows nearest to the query (d,) and their cosines, best first, ties by row.

        `allowed[row]` restricts the answer; rows beyond its end are not allowed. Fewer than k come back only
        if there are fewer. A zero or non-finite query is near to nothing. Raises ValueError for other shapes.
        """
        given = _as_floats(query)
        if given.shape != (self.dimensions,):
            raise ValueError(f"a query must have shape ({self.dimensions},), not {given.shape}")
        peak = np.abs(given).max()
        if not (np.isfinite(peak) and peak > 0):
            return np.empty(0, np.intp), np.empty(0, np.float32)
        return self._form.search(_unit(given[None])[0], k, allowed)

    def close(self) -> None:
        """Give up cells that are being made, and wait for their thread: it must not outlive the interpreter."""
        with self._changing:
            self._closed = True
            self._changing.wait_for(lambda: not self._building)
        if self._builder is not None:
            self._builder.join()

    def settle(self) -> None:
        """Wait until no cells are being made in the background."""
        with self._changing:
            self._changing.wait_for(lambda: not self._building)

    def rebuild(self) -> None:
        """Make the cells anew for the present content and wait for them; nothing to do while exact."""
        with self._changing:
            self._changing.wait_for(lambda: not self._building)
            if not self.exact and len(self) > 0:
                self._start_building()
                self._changing.wait_for(lambda: not self._building)

    # What follows is for the writer and the thread that makes cells, under the lock unless it says otherwise.

    def _has_room(self) -> bool:
        return not (self._building and self.exact and len(self) > _WAITING * self.exact_limit)

    def _change(self, gone: Rows, rows: Rows, vectors: Iterator[Floats]) -> None:
        self._form.change(gone, rows, vectors)
        self._fresh += len(rows)
        if self._building:
            self._late.append(gone)
        else:
            self._start_if_due()

    def _start_if_due(self) -> None:
        due = len(self) > self.exact_limit if self.exact else len(self) > 0
        if due and self._library and not self._closed and self._fresh >= self._built_for:
            self._start_building()

    def _start_building(self) -> None:
        self._building, self._built_for, self._fresh = True, len(self), 0
        _at_work.add(self)
        self._builder = threading.Thread(target=self._build, name="tastemaker-vector-cells", daemon=True)
        self._builder.start()

    def _go_on(self) -> None:
        if self._closed:
            raise _Closed

    def _build(self) -> None:
        """Runs beside reads and changes, without the lock but for the last step."""
        try:
            cells = _cells(self._form, self.dimensions, self._go_on)
            with self._changing:
                if cells is not None:
                    late = np.unique(np.concatenate((*self._late, np.empty(0, np.intp))))
                    _copy(self._form, late, cells)
                    self._form = cells
            _give_back()
        except _Closed:
            pass
        except ImportError:
            self._library = False
            wanted = "pip install 'tastemaker[ann]'"
            _log.warning("every search compares all of the %d vectors: %s", self._built_for, wanted)
        except MemoryError:
            _log.warning("not enough memory to index %d vectors: it stays as it is", self._built_for)
        finally:
            with self._changing:
                self._building = False
                self._late.clear()
                self._start_if_due()
                self._changing.notify_all()


class _Closed(Exception):
    """The index was closed while its cells were being made."""


_at_work: "WeakSet[VectorIndex]" = WeakSet()
"""Indexes whose cells are or were being made."""


@atexit.register
def _close_all() -> None:
    """End the threads that make cells: the interpreter, where it ends first, tears them out of foreign code."""
    for index in list(_at_work):
        index.close()


def _cells(form: "Exact | Cells", dimensions: int, pause: Callable[[], None]) -> "Cells | None":
    """The vectors that a form holds, as cells, unless it holds none; it may change meanwhile.

    pause: called every few seconds at least; what it raises ends the work.
    """
    from .vector_faiss import SAMPLE, Cells  # faiss takes a while to import, and may not be there

    rows = form.rows()
    count = int(2 * sqrt(len(rows)))
    chosen = np.random.default_rng(0).choice(rows, min(len(rows), SAMPLE * count), replace=False)
    chosen.sort()
    sample = np.empty((len(chosen), dimensions), np.float32)
    for a, b in _blocks(len(chosen)):
        sample[a:b] = form.take(chosen[a:b])
        pause()
    kept = sample.any(axis=1)
    if not kept.all():
        sample = sample[kept]
    if len(sample) == 0:
        return None
    cells = Cells(sample, min(count, len(sample)), pause)
    del sample  # 120 MB for a million vectors
    _give_back()
    nearest = np.empty(len(rows), np.int64)
    for a, b in _blocks(len(rows)):
        nearest[a:b] = cells.nearest(form.take(rows[a:b]))
        pause()
    cells.reserve(nearest)
    for a, b in _blocks(len(rows)):
        vectors = form.take(rows[a:b])
        there = vectors.any(axis=1)
        if there.any():
            cells.add(rows[a:b][there], vectors[there], nearest[a:b][there])
        pause()
    cells.calibrate()
    return cells


def _copy(form: "Exact | Cells", rows: Rows, cells: "Cells") -> None:
    """Bring rows of the cells to what the form holds of them."""
    for a, b in _blocks(len(rows)):
        vectors = form.take(rows[a:b])
        there = vectors.any(axis=1)
        cells.change(rows[a:b], rows[a:b][there], [vectors[there]])


def _give_back() -> None:
    """Return freed memory to the system: without this glibc keeps as much again as an index takes."""
    trim = getattr(ctypes.pythonapi, "malloc_trim", None)  # among the symbols of the process, if at all
    if trim is not None:
        trim(ctypes.c_size_t(0))


def _as_rows(rows: ArrayLike) -> Rows:
    found = np.asarray(rows, np.intp)
    if found.ndim != 1 or (found < 0).any():
        raise ValueError("rows must be a flat array of numbers from 0 upwards")
    return found


def _as_floats(vectors: ArrayLike) -> NDArray[np.floating]:
    found = np.asarray(vectors)
    return found if found.dtype.kind == "f" else found.astype(np.float32)


def _unit(vectors: NDArray[np.floating]) -> Floats:
    """Usable vectors (n, d) at length 1."""
    # Dividing by the largest entry first keeps squares from overflowing and underflowing.
    scaled: Floats = (vectors / np.abs(vectors).max(axis=1, keepdims=True)).astype(np.float32)
    scaled /= np.sqrt(np.einsum("ij,ij->i", scaled, scaled))[:, None]
    return scaled


def _blocks(count: int) -> Iterator[tuple[int, int]]:
    """Bounds (start, end) of consecutive blocks that cover 0 … count."""
    return ((start, min(start + _BULK, count)) for start in range(0, count, _BULK))
