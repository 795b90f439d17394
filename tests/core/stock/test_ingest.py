"""Items from a collector into the store: typed, all or nothing, every bad row reported."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, ClassVar

import pytest
from tastemaker.core import Collection, Collector, CollectorError, Fault, ItemError, ItemSchema, Record
from tastemaker.core.stock.ingest import Stopped, StoredItem, drained, ingest, typed_items
from tastemaker.core.store import Store

SCHEMA = ItemSchema({"title": "text", "rating": "number", "moods": "tags"}, id="isbn")


class Rows(Collector):
    rows: tuple[Any, ...] = ()
    fails: bool = False

    def collect(self, collection: Collection) -> Iterable[Record | Fault]:
        for place, row in enumerate(self.rows):
            yield row if isinstance(row, Fault) else Record(row, f"books.csv:{place + 2}", 10 * place)
        if self.fails:
            raise CollectorError("books.csv: the file ends in the middle of a row")


@pytest.fixture
def shop(url: str) -> Iterator[Store]:
    store = Store(url)
    yield store
    store.close()


def stored(store: Store) -> dict[str, Mapping[str, Any]]:
    return {
        name: StoredItem.from_bytes(body).values for name, body, _ in store.items("books") if body is not None
    }


def brought(store: Store, *rows: Any, **options: Any) -> Any:
    options = {"origin": "collector", "replace": True, **options}
    return ingest(store, "books", SCHEMA, Rows(rows=rows), options.pop("origin"), **options)


def test_rows_are_typed_and_bad_ones_reported_with_their_place(shop: Store) -> None:
    report = brought(
        shop,
        {"isbn": 1, "title": "Emma", "rating": "4.5", "moods": "calm|witty", "shelf": "B2"},
        {"isbn": "", "title": "Nobody"},
        Fault("books.csv:4", "no valid UTF-8"),
        {"isbn": 2, "rating": "many"},
        {"isbn": 3},
    )
    assert (report.written, report.unchanged, report.removed, report.rejected) == (2, 0, 0, 3)
    assert [fault.where for fault in report.faults] == ["books.csv:3", "books.csv:4", "books.csv:5"]
    assert "'rating' must be a finite number, not 'many'" in report.faults[2].message
    assert stored(shop) == {"1": {"title": "Emma", "rating": 4.5, "moods": ["calm", "witty"]}, "3": {}}


def test_again_nothing_is_written(shop: Store) -> None:
    brought(shop, {"isbn": 1, "title": "Emma"}, {"isbn": 2, "title": "Dune"})
    end = shop.end()
    report = brought(shop, {"isbn": 2, "title": "Dune"}, {"isbn": 1, "title": "Emma"})
    assert (report.written, report.unchanged) == (0, 2)
    assert shop.end() == end


def test_what_is_gone_from_the_collection_goes_but_only_what_came_from_it(shop: Store) -> None:
    brought(shop, {"isbn": 1}, {"isbn": 2}, {"isbn": 3})
    brought(shop, {"isbn": 4}, origin="import", replace=False)
    report = brought(shop, {"isbn": 1, "title": "Emma"}, {"isbn": 2})
    assert (report.written, report.unchanged, report.removed) == (1, 1, 1)
    assert stored(shop) == {"1": {"title": "Emma"}, "2": {}, "4": {}}
    assert brought(shop, {"isbn": 3}).written == 1
    assert set(stored(shop)) == {"3", "4"}


def test_of_rows_with_one_id_the_last_counts(shop: Store) -> None:
    assert brought(shop, {"isbn": 1, "title": "Draft"}, {"isbn": "1", "title": "Emma"}).written == 1
    assert stored(shop) == {"1": {"title": "Emma"}}


def test_a_collection_that_breaks_off_changes_nothing(shop: Store) -> None:
    brought(shop, {"isbn": 1})
    with pytest.raises(CollectorError, match="middle of a row"):
        ingest(shop, "books", SCHEMA, Rows(rows=({"isbn": 2},), fails=True), "collector", replace=True)
    assert set(stored(shop)) == {"1"}


def test_it_tells_how_far_it_is(shop: Store) -> None:
    offsets: list[int] = []
    brought(shop, {"isbn": 1}, {"isbn": 2}, {"isbn": 3}, progress=offsets.append)
    assert offsets == [0, 10, 20]


def test_a_thousand_faults_are_kept_and_all_counted(shop: Store) -> None:
    report = brought(shop, *[{"isbn": None}] * 1500)
    assert (report.rejected, len(report.faults)) == (1500, 1000)


class Slipping(Collector):
    """Yields what is nothing between two items."""

    async def collect(self, collection: Collection) -> AsyncIterator[Any]:  # type: ignore[override]
        for each in (Record({"id": 1}), None, Record({"id": 2})):
            yield each


def test_an_async_collector_that_yields_none_goes_on() -> None:
    assert list(drained(Slipping(), Collection("shop", 0.0))) == [
        Record({"id": 1}),
        None,
        Record({"id": 2}),
    ]


class Failing(Collector):
    """Brings some, and fails."""

    async def collect(self, collection: Collection) -> AsyncIterator[Any]:  # type: ignore[override]
        for each in range(1001):
            yield Record({"id": each})
        raise ValueError("the shop has closed")


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """One that runs in a thread of its own, as a server's does beside the thread that collects."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def brought_until(error: type[BaseException], drain: Iterator[Any]) -> list[Any]:
    """What came before an error that has to come."""
    brought: list[Any] = []
    with suppress(error):
        brought.extend(drain)
        pytest.fail(f"{error.__name__} was not raised")
    return brought


def test_what_came_before_a_failure_is_brought(loop: asyncio.AbstractEventLoop) -> None:
    brought = brought_until(ValueError, drained(Failing(), Collection("shop", 0.0), loop))
    assert brought == [Record({"id": each}) for each in range(1001)]


class Hanging(Collector):
    """Brings two, and then nothing more."""

    hangs: ClassVar = threading.Event()

    async def collect(self, collection: Collection) -> AsyncIterator[Any]:  # type: ignore[override]
        yield Record({"id": 1})
        yield Record({"id": 2})
        self.hangs.set()
        await asyncio.sleep(600)


class Clinging(Collector):
    """Brings two, and answers in its own way when it shall end."""

    error: type[BaseException] | None = None
    hangs: ClassVar = threading.Event()
    hears: ClassVar = threading.Event()
    cleans: ClassVar = threading.Event()

    async def collect(self, collection: Collection) -> AsyncIterator[Any]:  # type: ignore[override]
        yield Record({"id": 1})
        yield Record({"id": 2})
        try:
            self.hangs.set()
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            self.hears.set()
            if self.error is not None:
                raise self.error("cut off") from None
            while not self.cleans.is_set():
                await asyncio.sleep(0.01)


class Endless(Collector):
    """Always has one more."""

    async def collect(self, collection: Collection) -> AsyncIterator[Any]:  # type: ignore[override]
        while True:
            yield Record({"id": 1})


def test_what_came_before_a_stop_is_brought(loop: asyncio.AbstractEventLoop) -> None:
    drain = drained(Hanging(), Collection("shop", 0.0), loop, Hanging.hangs.is_set)
    assert brought_until(Stopped, drain) == [Record({"id": 1}), Record({"id": 2})]


@pytest.mark.parametrize("error", [None, CollectorError])
def test_how_one_that_is_stopped_ends_is_no_item_and_no_failure(
    loop: asyncio.AbstractEventLoop, error: type[BaseException] | None
) -> None:
    for event in (Clinging.hangs, Clinging.hears, Clinging.cleans):
        event.clear()
    drain = drained(Clinging(error=error), Collection("shop", 0.0), loop, Clinging.hangs.is_set)
    brought = [next(drain)]
    assert Clinging.hears.wait(30)
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(30)
    brought += brought_until(Stopped, drain)
    Clinging.cleans.set()
    assert brought == [Record({"id": 1}), Record({"id": 2})]


@pytest.mark.parametrize("error", [asyncio.CancelledError, SystemExit])
def test_no_failure_of_one_ends_the_loop_of_all(
    loop: asyncio.AbstractEventLoop, error: type[BaseException]
) -> None:
    class Quitting(Collector):
        async def collect(self, collection: Collection) -> AsyncIterator[Any]:  # type: ignore[override]
            yield Record({"id": 1})
            raise error

    drain = drained(Quitting(), Collection("shop", 0.0), loop)
    wanted = CollectorError if error is asyncio.CancelledError else error
    assert brought_until(wanted, drain) == [Record({"id": 1})]
    assert asyncio.run_coroutine_threadsafe(asyncio.sleep(0, "alive"), loop).result(30) == "alive"


def test_one_that_never_ends_is_stopped_and_leaves_the_loop_to_others(
    loop: asyncio.AbstractEventLoop,
) -> None:
    stop = threading.Event()
    drain = drained(Endless(), Collection("shop", 0.0), loop, stop.is_set)
    next(drain)
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(30)
    stop.set()
    assert len(brought_until(Stopped, drain)) < 1000


def test_typed_items_names_the_first_bad_one_by_its_place() -> None:
    with pytest.raises(ItemError, match=r"items\[1\]: 'isbn' must be"):
        typed_items(SCHEMA, [{"isbn": 1}, {}], "api", strict=True)
    with pytest.raises(ItemError, match=r"items\[0\]: no field is called 'titel'; did you mean 'title'"):
        typed_items(SCHEMA, [{"isbn": 1, "titel": "Emma"}], "api", strict=True)
    assert typed_items(SCHEMA, [{"isbn": 1, "shelf": 2}], "source", strict=False)[0][0] == "1"


def test_a_stored_item_comes_back_as_it_was() -> None:
    item = StoredItem({"title": "Emma", "rating": 0.1, "moods": ["calm"]}, "api")
    assert StoredItem.from_bytes(item.to_bytes()) == item
