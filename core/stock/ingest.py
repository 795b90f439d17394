"""Items from a collector into the store: typed, all or nothing, with every bad row reported."""

import asyncio
import concurrent.futures
import time
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import orjson

from ..catalog.items import ItemSchema, Value
from ..clock import Clock, wall
from ..collection import Collection, Fault, Record
from ..components import Collected, Collector
from ..errors import CollectorError, ItemError
from ..store import Receipt, Store

T = TypeVar("T")

_MOST_FAULTS = 1000
_LOOK_SECONDS = 0.25
_AT_ONCE, _AT_ONCE_SECONDS = 200, 0.005
"""How much of what an async collector has ready is fetched from its loop at once, and for how long the loop is held."""
_END = object()


@dataclass(slots=True)
class Report:
    """What became of a collection.

    written: new or changed items; unchanged: those the store had already; removed: those that are no longer in
    the collection; interactions, duplicates: those that were new, and those the log had already; rejected: rows that
    could not be taken, the first of which are in `faults`.
    """

    written: int = 0
    unchanged: int = 0
    removed: int = 0
    interactions: int = 0
    duplicates: int = 0
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
    clock: Clock = wall,
    loop: asyncio.AbstractEventLoop | None = None,
    progress: Callable[[int], None] = lambda offset: None,
) -> Report:
    """Collect items and write them in one transaction: an interrupted import leaves nothing behind.

    origin: what to note as the items' origin; with `replace`, items of that origin that are no longer in the
    collection are removed. loop: on which an async collector runs.
    progress: called with the bytes read so far. Raises CollectorError, StoreError.
    """
    report = Report()
    collected: dict[str, bytes] = {}
    collection = Collection(domain, clock())
    for record in drained(collector, collection, loop):
        if isinstance(record, Fault):
            report.reject(record.where, record.message)
            continue
        if not isinstance(record, Record):
            report.reject("", f"{type(record).__name__} is no item: `items.from` brings items only")
            continue
        try:
            identity, values = schema.typed(record.values)
        except ItemError as error:
            report.reject(record.where, str(error))
            continue
        collected[identity] = StoredItem(values, origin).to_bytes()
        progress(record.offset)
    changes: list[tuple[str, bytes | None]] = []
    same: list[str] = []
    for identity, body, _ in store.items(domain):
        if body is None:
            continue
        if collected.get(identity) == body:
            del collected[identity]
            same.append(identity)
        elif (
            replace
            and not collection.partial
            and identity not in collected
            and StoredItem.from_bytes(body).origin == origin
        ):
            changes.append((identity, None))
    report.unchanged, report.removed = len(same), len(changes)
    report.written = len(collected)
    changes.extend(collected.items())
    if changes:
        written(store.put_items(domain, changes))
    if same:
        store.ages.confirm(domain, same)
    return report


class Stopped(Exception):
    """Whoever drains a collector shall end."""


def drained(
    collector: Collector,
    collection: Collection,
    loop: asyncio.AbstractEventLoop | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Collected]:
    """What a collector yields, be it a `def` or an `async def` generator.

    loop: on which an async one runs, while the caller's thread waits; None: on one of its own. stopped: says whether to
    go on; Stopped is raised where not.
    """
    found = collector.collect(collection)
    if not isinstance(found, AsyncIterable):
        for each in found:
            if stopped():
                raise Stopped
            yield each
        return
    steps = aiter(found)
    turn = asyncio.Lock()

    async def several(brought: list[Any]) -> BaseException | None:
        """Fetch some; what ended it, StopAsyncIteration where it brought all, None where there may be more."""
        until = time.monotonic() + _AT_ONCE_SECONDS
        async with turn:
            try:
                while not brought or (len(brought) < _AT_ONCE and time.monotonic() < until):
                    each = await anext(steps, _END)
                    if each is _END:
                        return StopAsyncIteration()
                    brought.append(each)
            except asyncio.CancelledError:
                if asyncio.current_task().cancelling():  # type: ignore[union-attr]  # this is one
                    raise
                return CollectorError("raised CancelledError")
            except (Exception, SystemExit) as error:  # SystemExit would end the loop, and all others on it
                return error
        return None

    async def close() -> None:
        async with turn:  # one that was cancelled may still be cleaning up
            if isinstance(steps, AsyncGenerator):
                await steps.aclose()

    with ExitStack() as stack:
        run = partial(_on, loop, stopped) if loop is not None else stack.enter_context(asyncio.Runner()).run
        stack.callback(lambda: run(close()))
        while not stopped():
            brought: list[Any] = []
            try:
                ended = run(several(brought))
            except Stopped:
                yield from brought
                raise
            yield from brought
            if isinstance(ended, StopAsyncIteration):
                return
            if ended is not None:
                raise ended
        raise Stopped


def _on(loop: asyncio.AbstractEventLoop, stopped: Callable[[], bool], step: Coroutine[Any, Any, T]) -> T:
    future = asyncio.run_coroutine_threadsafe(step, loop)
    try:
        while not concurrent.futures.wait([future], timeout=_LOOK_SECONDS).done:
            if stopped():
                raise Stopped
        return future.result()
    finally:
        future.cancel()


def written(writing: Future[Receipt]) -> None:
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
