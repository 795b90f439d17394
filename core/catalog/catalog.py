"""The catalogue of a domain: its items in columns held in memory, changed by upserts, read through snapshots."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import UnknownColumn, Withheld, did_you_mean
from .columns import Growing, Rows, Tags, TagStore, Vocabulary
from .items import FieldType, ItemSchema, Value
from .retrieval import VectorIndex

T = TypeVar("T")

_DTYPES: dict[FieldType, tuple[Any, Any]] = {
    "number": (np.float32, np.nan),
    "flag": (np.int8, -1),
    "time": (np.float64, np.nan),
    "category": (np.int32, -1),
    "text": (object, ""),
}


class Catalog:
    """All items of one domain. One writer calls `put` and `remove`; readers take `snapshot()`.

    A row number, once given to an id, is its own as long as the process lives.

    >>> catalog = Catalog(ItemSchema({"title": "text", "rating": "number"}))
    >>> catalog.put([("emma", {"title": "Emma", "rating": 4.5}), ("dune", {"title": "Dune"})])
    >>> before = catalog.snapshot()
    >>> catalog.put([("emma", {"title": "Emma", "rating": 3.0})])
    >>> float(before.column("rating")[0]), float(catalog.snapshot().column("rating")[0])
    (4.5, 3.0)
    """

    def __init__(self, schema: ItemSchema, *, dimensions: int = 0) -> None:
        self.schema = schema
        self._rows: dict[str, int] = {}
        self._ids = Growing(object, "")
        self._alive = Growing(np.bool_, False)
        self._columns = {
            name: Growing(*_DTYPES[kind]) for name, kind in schema.fields.items() if kind != "tags"
        }
        self._words = {name: Vocabulary() for name in schema.of_type("category")}
        self._tags = {name: TagStore() for name in schema.of_type("tags")}
        self.vectors = VectorIndex(dimensions) if dimensions else None
        self._snapshot: CatalogSnapshot | None = None
        self._changing = threading.Lock()

    def put(self, items: Sequence[tuple[str, Mapping[str, Value]]]) -> None:
        """Insert or replace items, given as id and typed values; the last of equal ids wins."""
        with self._changing:
            self._put(dict(items))

    def _put(self, latest: Mapping[str, Mapping[str, Value]]) -> None:
        known = len(self._rows)
        rows = np.empty(len(latest), dtype=np.intp)
        for place, identity in enumerate(latest):
            rows[place] = self._rows.setdefault(identity, len(self._rows))
        total = len(self._rows)
        values = list(latest.values())
        self._ids.reserve(total)
        fresh = rows >= known
        if fresh.any():
            names = np.empty(len(latest), dtype=object)
            names[:] = list(latest)
            self._ids.write(rows[fresh], names[fresh])
        self._write(self._alive, rows, total, True)
        for name, column in self._columns.items():
            self._write(column, rows, total, self._encoded(name, values))
        for name, tags in self._tags.items():
            tags.reserve(total)
            tags.write(rows, [_words(item.get(name)) for item in values])
        self._snapshot = None

    def remove(self, ids: Iterable[str]) -> None:
        """Take items out; unknown ids are passed over."""
        rows = np.array(
            [row for identity in ids if (row := self._rows.get(identity)) is not None], dtype=np.intp
        )
        if len(rows):
            with self._changing:
                self._alive.write(rows, False)
                if self.vectors is not None:
                    self.vectors.remove(rows)
                self._snapshot = None

    def close(self) -> None:
        """End what works in the background."""
        if self.vectors is not None:
            self.vectors.close()

    def row(self, identity: str) -> int:
        """The row of an id, or -1 where it never had one."""
        return self._rows.get(identity, -1)

    def snapshot(self) -> "CatalogSnapshot":
        """What the catalogue holds now; later changes don't touch it."""
        snapshot = self._snapshot
        if snapshot is not None:
            return snapshot
        with self._changing:  # nothing can be seen half written
            if self._snapshot is None:
                total = len(self._rows)
                self._snapshot = CatalogSnapshot(
                    self.schema,
                    self._rows,
                    self._ids.view(total),
                    self._alive.view(total),
                    {name: column.view(total) for name, column in self._columns.items()},
                    self._words,
                    {name: tags.view(total) for name, tags in self._tags.items()},
                    self.vectors,
                )
            return self._snapshot

    @staticmethod
    def _write(column: Growing, rows: Rows, total: int, values: Any) -> None:
        column.reserve(total)
        column.write(rows, values)

    def _encoded(self, name: str, items: Sequence[Mapping[str, Value]]) -> NDArray[Any]:
        kind = self.schema.fields[name]
        dtype, missing = _DTYPES[kind]
        if kind == "category":
            add = self._words[name].add
            codes = [add(str(item[name])) if name in item else -1 for item in items]
            return np.array(codes, dtype=np.int32)
        column = np.empty(len(items), dtype=dtype)
        column[:] = [item.get(name, missing) for item in items]
        return column


def _words(value: Value | None) -> list[str]:
    return value if isinstance(value, list) else []


class CatalogSnapshot:
    """A catalogue at one moment; nothing in it ever changes.

    `len(snapshot)` counts rows; rows of removed items are left out of `alive`.
    withheld: fields that the items have and that this view of them doesn't show, with the reason for each.
    """

    def __init__(
        self,
        schema: ItemSchema,
        rows: Mapping[str, int],
        ids: NDArray[np.object_],
        alive: NDArray[np.bool_],
        columns: Mapping[str, NDArray[Any]],
        words: Mapping[str, Vocabulary],
        tags: Mapping[str, Tags],
        vectors: VectorIndex | None,
        withheld: Mapping[str, str] | None = None,
    ) -> None:
        self.schema = schema
        self.withheld = withheld or {}
        self.ids = ids
        self.alive = alive
        self.vectors = vectors
        self._rows = rows
        self._columns = columns
        self._words = words
        self._tags = tags
        self._cache: dict[Any, Any] = {}

    def __len__(self) -> int:
        return len(self.ids)

    def without(self, withheld: Mapping[str, str]) -> "CatalogSnapshot":
        """The same items without some fields, each with the reason why."""
        if not withheld:
            return self
        return self.cached(("without", *withheld.items()), lambda: self._without(withheld))

    def _without(self, withheld: Mapping[str, str]) -> "CatalogSnapshot":
        fields = {name: kind for name, kind in self.schema.fields.items() if name not in withheld}
        return CatalogSnapshot(
            ItemSchema(fields, self.schema.id, self.schema.separator),
            self._rows,
            self.ids,
            self.alive,
            {name: column for name, column in self._columns.items() if name not in withheld},
            {name: words for name, words in self._words.items() if name not in withheld},
            {name: tags for name, tags in self._tags.items() if name not in withheld},
            self.vectors,
            {**self.withheld, **withheld},
        )

    def unknown(
        self, name: str, known: Iterable[str], what: str = "is no column of these items"
    ) -> UnknownColumn:
        """What to raise for a column that isn't here."""
        if name in self.withheld:
            return Withheld(f"{name!r} is not for policies: {self.withheld[name]}")
        return UnknownColumn(f"{name!r} {what}{did_you_mean(name, known)}")

    def row(self, identity: str) -> int:
        """The row of an item that is in the catalogue, or -1."""
        row = self._rows.get(identity, -1)
        return row if 0 <= row < len(self.ids) and self.alive[row] else -1

    def rows(self, ids: Iterable[str]) -> NDArray[np.intp]:
        """The rows of ids, -1 where an item is not in the catalogue."""
        found = self.numbers(ids)
        known = (found >= 0) & (found < len(self.ids))
        known[known] = self.alive[found[known]]
        return np.where(known, found, -1)

    @property
    def identity(self) -> object:
        """The same object for all snapshots of one catalogue: their row numbers mean the same."""
        return self._rows

    def numbers(self, ids: Iterable[str]) -> NDArray[np.intp]:
        """The rows of ids, whether the items are still in the catalogue or not; -1 where they never were."""
        return np.array([self._rows.get(identity, -1) for identity in ids], dtype=np.intp)

    @property
    def live(self) -> NDArray[np.intp]:
        """The rows of all items, ascending, read-only."""
        return self.cached("live", self._live)

    def _live(self) -> NDArray[np.intp]:
        rows = np.flatnonzero(self.alive)
        rows.flags.writeable = rows.size == 0  # numpy permutes no empty read-only array
        return rows

    def column(self, name: str) -> NDArray[Any]:
        """A whole column as it is kept.

        Numbers are float32, flags int8 (-1 missing), times float64, texts objects, categories codes (-1 missing).

        Raises UnknownColumn, with the near misses, where no such field is declared.
        """
        column = self._columns.get(name)
        if column is None:
            reason = "holds tags: use tags()" if name in self._tags else "is no field of these items"
            raise self.unknown(name, self._columns, reason)
        return column

    def words(self, name: str) -> Vocabulary:
        """The vocabulary of a category or tags field."""
        if name in self._words:
            return self._words[name]
        return self.tags(name).vocabulary

    def tags(self, name: str) -> Tags:
        """A tags field of every row. Raises UnknownColumn."""
        tags = self._tags.get(name)
        if tags is None:
            raise self.unknown(name, self._tags, "is no tags field of these items")
        return tags

    def item(self, row: int) -> dict[str, Value]:
        """The typed values of one row, missing ones left out."""
        values: dict[str, Value] = {}
        for name, kind in self.schema.fields.items():
            if kind == "tags":
                if words := self._tags[name].words(row):
                    values[name] = words
                continue
            value = self._columns[name][row]
            if kind == "category":
                if value >= 0:
                    values[name] = self._words[name].word(int(value))
            elif kind == "flag":
                if value >= 0:
                    values[name] = bool(value)
            elif kind == "text":
                if value:
                    values[name] = str(value)
            elif not np.isnan(value):
                # float32 prints as it was given: 0.1, not 0.10000000149011612
                values[name] = float(str(value)) if kind == "number" else float(value)
        return values

    def holds(self, identity: str, values: Mapping[str, Value]) -> bool:
        """Whether the item is here with just these typed values; numbers as the columns keep them, in float32."""
        row = self.row(identity)
        return row >= 0 and self.item(row) == {
            name: float(str(np.float32(value)))
            if isinstance(value, float) and self.schema.fields[name] == "number"
            else value
            for name, value in values.items()
        }

    def cached(self, key: Any, make: Callable[[], T]) -> T:
        """What `make` gives, computed once for this snapshot."""
        if key not in self._cache:
            self._cache[key] = make()
        found: T = self._cache[key]
        return found
