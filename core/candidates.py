"""Candidates: the items under consideration, as one columnar batch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .catalog.catalog import CatalogSnapshot
from .catalog.columns import Vocabulary
from .errors import ComponentError, Withheld

if TYPE_CHECKING:
    from scipy import sparse

Numbers = NDArray[np.float64]
Scalar = TypeVar("Scalar", bound=np.generic)


class Candidates:
    """Rows of a catalogue under consideration, with what the steps so far found out about them.

    Its arrays are read-only, but for those of the memo: the components to come read them, too.

    catalog: the snapshot that the rows point into.
    rows: row numbers, shape (n,).
    origin: bit s is set where source s proposed the item, shape (n,), uint64.
    memo: by name, what a policy wants back with the outcome; arrays whose first axis is n.

    >>> from tastemaker.core import Catalog, ItemSchema
    >>> catalog = Catalog(ItemSchema({"energy": "number", "genre": "category", "moods": "tags"}))
    >>> catalog.put([("a", {"energy": 0.2, "genre": "folk", "moods": ["calm"]}), ("b", {"energy": 0.9})])
    >>> c = Candidates(catalog.snapshot(), np.array([1, 0]))
    >>> list(c.ids), (c["energy"] > 0.5).tolist(), c["genre"].tolist()
    (['b', 'a'], [True, False], ['', 'folk'])
    >>> c.tags("moods").toarray().tolist()
    [[0.0], [1.0]]
    >>> len(c.take(c["energy"] > 0.5))
    1
    """

    def __init__(
        self,
        catalog: CatalogSnapshot,
        rows: NDArray[np.intp],
        *,
        columns: Mapping[str, NDArray[Any]] | None = None,
        origin: NDArray[np.uint64] | None = None,
    ) -> None:
        self.catalog = catalog
        self.rows = _read_only(rows)
        self.origin = _read_only(np.zeros(len(rows), dtype=np.uint64) if origin is None else origin)
        self._scores: dict[str, Numbers] = {}
        self._score: Numbers = _read_only(np.zeros(len(rows)))
        self.memo: dict[str, NDArray[Any]] = {}
        self._own = {name: _read_only(column) for name, column in (columns or {}).items()}
        self._cache: dict[str, NDArray[Any]] = {}

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def score(self) -> Numbers:
        """The sum of the parts, shape (n,)."""
        self._check_scores()
        return self._score

    @score.setter
    def score(self, score: Numbers) -> None:
        self._score = _read_only(score)

    @property
    def scores(self) -> dict[str, Numbers]:
        """By scorer or policy, its weighted part of the score, shape (n,)."""
        self._check_scores()
        return self._scores

    @scores.setter
    def scores(self, scores: dict[str, Numbers]) -> None:
        self._scores = scores

    def _check_scores(self) -> None:
        if self.catalog.withheld:
            fields = ", ".join(map(repr, self.catalog.withheld))
            raise Withheld(f"scores are not for policies here: they may be made of {fields}")

    @property
    def ids(self) -> NDArray[np.object_]:
        """The items' ids, shape (n,)."""
        ids: NDArray[np.object_] = self._cached("ids", self.catalog.ids)
        return ids

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A column, shape (n,).

        float32 numbers (NaN missing), bool flags (False where missing), float64 times (NaN missing), texts and
        categories ("" missing).

        Raises UnknownColumn, naming the near misses.
        """
        if name in self._own:
            return self._own[name]
        schema = self.catalog.schema.fields
        kind = schema.get(name)
        if kind is None:
            raise self.catalog.unknown(name, [*schema, *self._own])
        if kind == "category":
            key = "words of " + name
            if key not in self._cache:
                self._cache[key] = _read_only(self.catalog.words(name).words(self.codes(name)))
            return self._cache[key]
        if kind == "flag":
            flags: NDArray[np.bool_] = self._cached(name, self.catalog.column(name)) == 1
            return flags
        return self._cached(name, self.catalog.column(name))

    def missing(self, name: str) -> NDArray[np.bool_]:
        """Where a column has no value, shape (n,)."""
        kind = self.catalog.schema.fields.get(name)
        if kind == "tags":
            missing: NDArray[np.bool_] = self.catalog.tags(name).counts(self.rows) == 0
        elif kind in ("category", "flag"):
            missing = self._cached(name, self.catalog.column(name)) < 0
        elif kind == "text":
            missing = self[name] == ""
        else:
            missing = np.isnan(self[name])
        return missing

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in self.catalog.schema.fields

    def codes(self, name: str) -> NDArray[np.int32]:
        """The codes of a category column, -1 where it is missing, shape (n,)."""
        codes: NDArray[np.int32] = self._cached(name, self.catalog.column(name))
        return codes

    def words(self, name: str) -> Vocabulary:
        """The vocabulary behind a category's codes or the columns of `tags`."""
        return self.catalog.words(name)

    def tags(self, name: str) -> "sparse.csr_array":
        """A tags column as 0 and 1, sparse, shape (n, words)."""
        from scipy import sparse  # half of what the imports of numbers take, and few need it

        tags = self.catalog.tags(name)
        indptr, codes = tags.runs(self.rows)
        ones = np.ones(len(codes), dtype=np.float32)
        return sparse.csr_array((ones, codes, indptr), shape=(len(self.rows), tags.width))

    @property
    def embeddings(self) -> NDArray[np.float32]:
        """The items' vectors, unit length or zero where there is none, shape (n, d)."""
        vectors = self.catalog.vectors
        if vectors is None:
            raise ComponentError("these items have no embedding: declare `items.embedding` in the domain")
        if "embeddings" not in self._cache:
            self._cache["embeddings"] = _read_only(vectors.take(self.rows))
        return self._cache["embeddings"]

    def take(self, chosen: NDArray[Any]) -> "Candidates":
        """The candidates at a boolean mask or at positions, in that order."""
        part = Candidates(
            self.catalog,
            self.rows[chosen],
            columns={name: column[chosen] for name, column in self._own.items()},
            origin=self.origin[chosen],
        )
        if self._scores:
            part.scores = {name: score[chosen] for name, score in self._scores.items()}
        part.score = self._score[chosen]
        part.memo = {name: value[chosen] for name, value in self.memo.items()}
        return part

    def without(self, withheld: Mapping[str, str]) -> "Candidates":
        """The same candidates without some fields of the items, and with the same memo."""
        part = Candidates(self.catalog.without(withheld), self.rows, columns=self._own, origin=self.origin)
        part.memo = self.memo
        return part

    def _cached(self, name: str, whole: NDArray[Any]) -> NDArray[Any]:
        part = self._cache.get(name)
        if part is None:
            part = self._cache[name] = _read_only(whole.take(self.rows))
        return part


def _read_only(array: NDArray[Scalar]) -> NDArray[Scalar]:
    """A view through which nothing can be changed. An empty one stays: numpy permutes no empty read-only array."""
    view = array[:]
    if len(view):
        view.setflags(write=False)
    return view
