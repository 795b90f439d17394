"""Items from a collector into the store: typed, all or nothing, with every bad row reported."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import orjson

from .collection import Fault
from .components import Collector
from .errors import ItemError
from .items import ItemSchema, Value
from .store import Receipt, Store

_MOST_FAULTS = 1000


@dataclass(slots=True)
class Report:
    """What became of a collection.

    written: new or changed items; unchanged: those the store had already; removed: those that are no longer in
    the collection; rejected: rows that could not be taken, the first of which are in `faults`.
    """

    written: int = 0
    unchanged: int = 0
    removed: int = 0
    rejected: int = 0
    faults: list[Fault] = field(default_factory=list)

    def reject(self, where: str, message: str) -> None:
        """Note a row that could not be taken."""
        self.rejected += 1
        if len(self.faults) < _MOST_FAULTS:
            self.faults.append(Fault(where, message))


@dataclass(frozen=True, slots=True)
class StoredItem:
    """An item as the store holds it: typed values, and where it came from."""

    values: Mapping[str, Value]
    origin: str

    def to_bytes(self) -> bytes:
        """The body of the item's row."""
        return orjson.dumps({"values": self.values, "origin": self.origin}, option=orjson.OPT_SORT_KEYS)

    @classmethod
    def from_bytes(cls, body: bytes) -> "StoredItem":
        """The item that `to_bytes` wrote."""
        fields = orjson.loads(body)
        return cls(fields["values"], fields["origin"])


def ingest(
    store: Store,
    domain: str,
    schema: ItemSchema,
    collector: Collector,
    origin: str,
    *,
    replace: bool = False,
    progress: Callable[[int], None] = lambda offset: None,
) -> Report:
    """Collect items and write them in one transaction: an interrupted import leaves nothing behind.

    origin: what to note as the items' origin; with `replace`, items of that origin that are no longer in the
    collection are removed. progress: called with the bytes read so far. Raises CollectorError, StoreError.
    """
    report = Report()
    collected: dict[str, bytes] = {}
    for record in collector.collect():
        if isinstance(record, Fault):
            report.reject(record.where, record.message)
            continue
        try:
            identity, values = schema.typed(record.values)
        except ItemError as error:
            report.reject(record.where, str(error))
            continue
        collected[identity] = StoredItem(values, origin).to_bytes()
        progress(record.offset)
    changes: list[tuple[str, bytes | None]] = []
    for identity, body, _ in store.items(domain):
        if body is None:
            continue
        if collected.get(identity) == body:
            del collected[identity]
            report.unchanged += 1
        elif replace and identity not in collected and StoredItem.from_bytes(body).origin == origin:
            changes.append((identity, None))
    report.removed = len(changes)
    report.written = len(collected)
    changes.extend(collected.items())
    if changes:
        _written(store.put_items(domain, changes))
    return report


def _written(writing: Future[Receipt]) -> None:
    """Wait for a write; where the wait is interrupted, the write is called off, or is too far to be."""
    try:
        writing.result()
    except KeyboardInterrupt:
        if writing.cancel():
            raise
        writing.result()


def typed_items(
    schema: ItemSchema, raw: list[Mapping[str, Any]], origin: str, *, strict: bool
) -> list[tuple[str, bytes]]:
    """Raw items as the store wants them. Raises ItemError, naming the item by its place, for the first bad one."""
    items = []
    for place, item in enumerate(raw):
        try:
            identity, values = schema.typed(item, strict=strict)
        except ItemError as error:
            raise ItemError(f"items[{place}]: {error}") from None
        items.append((identity, StoredItem(values, origin).to_bytes()))
    return items
