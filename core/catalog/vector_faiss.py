"""The large form of a vector index: faiss's inverted file with 8-bit scalar quantisation (`IVF…,SQ8`).

Importing this module needs faiss (`tastemaker[ann]`).
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from math import ceil, sqrt

import faiss
import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]
Rows = NDArray[np.intp]

SAMPLE = 40  # training vectors per cell
_LLOYD = 6  # k-means iterations
_PROBES = 64  # calibration queries: half items, half means of three items
_DEPTH = 500  # neighbours per calibration query
_RECALL = 0.97  # share of those neighbours that a search must find
_READ_LIMIT = 80_000  # vectors read per search at most, whatever calibration asks for
_ENTRY = 56  # bytes per vector beside its code: its id, and its entry in faiss's hash map from ids to places


class Cells:
    """Vectors by row as 8-bit codes in cells; a search reads the cells nearest to the query.

    faiss lets many read or one write, so each call to it is made under a lock, on one thread.
    """

    def __init__(self, sample: Floats, cells: int, pause: Callable[[], None] = lambda: None) -> None:
        """Cells trained on unit vectors (n, d), n ≥ cells, holding none of them.

        pause: called between steps of some seconds; what it raises ends the training.
        """
        dimensions = sample.shape[1]
        self._lock = threading.Lock()
        self._held = np.zeros(0, np.bool_)  # by row
        self._cells = self._nprobe = cells
        self._quantizer = faiss.IndexFlatIP(dimensions)
        self._index = faiss.IndexIVFScalarQuantizer(
            self._quantizer,
            dimensions,
            cells,
            faiss.ScalarQuantizer.QT_8bit,
            faiss.METRIC_INNER_PRODUCT,
            False,  # code vectors, not their differences from centroids: those of new content have no known range
        )
        options = faiss.ClusteringParameters()
        options.seed, options.niter, options.spherical = 0, 1, True
        options.min_points_per_centroid = 1  # faiss prints a warning to stderr below this
        clusters = faiss.Clustering(dimensions, cells, options)
        for _ in range(_LLOYD):
            with self._alone():
                clusters.train(sample, self._quantizer)  # goes on from the centroids that it holds
            pause()
        with self._alone():
            self._index.train(sample)  # only the codes' range: the cells are there
            # What is put later may lie outside the range of the sample and would be cut to it.
            margin = 2 / sqrt(dimensions)
            least, width = faiss.vector_to_array(self._index.sq.trained).reshape(2, dimensions)
            low = np.maximum(np.minimum(least, 0) - margin, -1)
            high = np.minimum(np.maximum(least + width, 0) + margin, 1)
            faiss.copy_array_to_vector(np.concatenate((low, high - low)), self._index.sq.trained)
            self._index.set_direct_map_type(faiss.DirectMap.Hashtable)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def nbytes(self) -> int:
        """Bytes of codes, ids and centroids; faiss doesn't tell how much room to grow it keeps beside."""
        dimensions = int(self._index.d)
        return len(self) * (dimensions + _ENTRY) + 4 * self._cells * dimensions + self._held.nbytes

    @property
    def reads(self) -> float:
        """The share of the cells that a search reads."""
        return self._nprobe / self._cells

    def rows(self) -> Rows:
        """The rows that have a vector, ascending."""
        with self._lock:
            return np.flatnonzero(self._held)

    def change(self, gone: Rows, rows: Rows, vectors: Iterable[Floats]) -> None:
        """Take away the vectors of `gone`, then set those of rows (n,), given in blocks of unit vectors.

        Both are ascending without repetition. Readers see all of it or nothing.
        """
        faiss.omp_set_num_threads(1)
        blocks = [self._index.sa_encode(block) for block in vectors]  # reads only what training has fixed
        codes = np.concatenate(blocks) if len(rows) > 0 else None
        size = int(gone[-1]) + 1 if len(gone) > 0 else 0
        ids = np.ascontiguousarray(gone, np.int64)
        with self._alone():
            self._index.remove_ids(faiss.IDSelectorArray(ids))
            if size > len(self._held):
                self._held = np.concatenate(
                    (self._held, np.zeros(size + size // 4 - len(self._held), np.bool_))
                )
            self._held[gone] = False
            if codes is not None:
                self._index.add_sa_codes(codes, np.ascontiguousarray(rows, np.int64))
                self._held[rows] = True

    def nearest(self, vectors: Floats) -> NDArray[np.int64]:
        """The cell of each vector (n,)."""
        faiss.omp_set_num_threads(1)
        found: NDArray[np.int64] = self._quantizer.search(vectors, 1)[1].ravel()
        return found

    def reserve(self, cells: NDArray[np.int64]) -> None:
        """Make room for vectors of these cells (n,), where none is held yet."""
        # A list that grows to its size by doubling leaves twice its memory behind.
        with self._alone():
            for cell, size in enumerate(np.bincount(cells, minlength=self._cells).tolist()):
                self._index.invlists.resize(cell, size)
                self._index.invlists.resize(cell, 0)

    def add(self, rows: Rows, vectors: Floats, cells: NDArray[np.int64]) -> None:
        """Set unit vectors (n, d) of rows (n,) that have none, when their cells (n,) are known; n ≥ 1."""
        ids, size = np.ascontiguousarray(rows, np.int64), int(rows.max()) + 1
        pointers = (faiss.swig_ptr(part) for part in (vectors, ids, cells))
        with self._alone():
            self._make_room(size)
            self._index.add_core(len(rows), *pointers)
            self._held[rows] = True

    def has(self, rows: ArrayLike) -> NDArray[np.bool_]:
        """Which rows (n,) have a vector."""
        with self._lock:
            return self._has(np.asarray(rows, np.intp))

    def take(self, rows: ArrayLike) -> Floats:
        """Unit vectors (n, d) of rows (n,); zeros where a row has none."""
        wanted = np.asarray(rows, np.intp)
        with self._alone():
            there = self._has(wanted)
            found: Floats = self._index.reconstruct_batch(wanted[there].astype(np.int64))
        found /= np.sqrt(np.einsum("ij,ij->i", found, found))[:, None]
        if there.all():
            return found
        every = np.zeros((len(wanted), found.shape[1]), np.float32)
        every[there] = found
        return every

    def search(self, direction: Floats, k: int, allowed: NDArray[np.bool_] | None) -> tuple[Rows, Floats]:
        """The k rows nearest to a unit vector (d,) and their cosines, best first, ties by row.

        The rarer what is allowed, and the more is asked for, the more cells are read; all if need be.
        """
        with self._alone():
            live = among = len(self)
            permitted: NDArray[np.bool_] | None = None
            if allowed is not None:
                size = min(len(allowed), len(self._held))
                permitted = allowed[:size] & self._held[:size]
                among = int(np.count_nonzero(permitted))
            k = min(k, among)
            if k <= 0:
                return np.empty(0, np.intp), np.empty(0, np.float32)
            options = {}
            if permitted is not None:
                options["sel"] = faiss.IDSelectorBitmap(np.packbits(permitted, bitorder="little"))
            reach = self._nprobe * max(1, k / _DEPTH) * live / among
            while True:
                nprobe = min(ceil(reach), self._cells)
                parameters = faiss.SearchParametersIVF(nprobe=nprobe, **options)
                cosines, rows = self._index.search(direction[None], k, params=parameters)
                if rows[0, -1] >= 0 or nprobe == self._cells:
                    break
                reach = 2 * nprobe
        order = np.lexsort((rows[0], -cosines[0]))
        return rows[0, order].astype(np.intp), np.clip(cosines[0, order], -1, 1)

    def calibrate(self) -> None:
        """Set how many cells a search reads: as many as find 0.97 of what reading all of them finds."""
        rows, rng = self.rows(), np.random.default_rng(0)
        if len(rows) == 0:
            return
        chosen = rows[rng.integers(0, len(rows), (_PROBES // 2, 4))]
        means = self.take(chosen[:, 1:].ravel()).reshape(len(chosen), 3, -1).mean(axis=1)
        probes = np.concatenate((self.take(chosen[:, 0]), means))
        depth = min(_DEPTH, len(rows))
        most = min(self._cells, max(1, _READ_LIMIT * self._cells // len(rows)))
        every, nprobe = self._nearest(probes, depth, self._cells), 1
        while nprobe < most:
            found = self._nearest(probes, depth, nprobe)
            shared = [np.isin(a, b).mean() for a, b in zip(every, found, strict=True)]
            if np.mean(shared) >= _RECALL:
                break
            nprobe = min(ceil(1.2 * nprobe), most)
        self._nprobe = nprobe

    def _nearest(self, queries: Floats, k: int, nprobe: int) -> NDArray[np.int64]:
        with self._alone():
            parameters = faiss.SearchParametersIVF(nprobe=nprobe)
            found: NDArray[np.int64] = self._index.search(queries, k, params=parameters)[1]
        return found

    def _make_room(self, size: int) -> None:
        if size > len(self._held):
            self._held = np.concatenate((self._held, np.zeros(size + size // 4 - len(self._held), np.bool_)))

    def _has(self, rows: Rows) -> NDArray[np.bool_]:
        known = (rows >= 0) & (rows < len(self._held))
        known[known] = self._held[rows[known]]
        return known

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._lock:
            # OpenMP keeps this number for each thread by itself.
            faiss.omp_set_num_threads(1)
            yield
