"""What is appended can be read: in order, once, and by user."""

import asyncio
import itertools
import random
import threading
from collections.abc import Callable, Iterator
from contextvars import Context
from typing import Any, TypeVarTuple, cast
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tastemaker.core import StoreError
from tastemaker.core.store import Entry, Receipt, Store

Open = Callable[..., Store]
_Arguments = TypeVarTuple("_Arguments")


def interaction(id: str, user: str = "ada", domain: str = "music", kind: str = "interaction") -> Entry:
    return Entry(kind, id, domain, user, f'{{"id":"{id}"}}'.encode())


def append(store: Store, *entries: Entry) -> list[Receipt]:
    return store.append(entries).result()


def test_an_entry_comes_back_as_it_was_with_its_position_and_time(open_store: Open) -> None:
    store = open_store(clock=lambda: 12.5)
    given = Entry("interaction", "ä✓'\"%s?:x", "musik", "üser", bytes(range(256)))
    assert append(store, given) == [Receipt(1, 12.5, False)]
    (found,) = store.read(0)
    assert found == Entry(given.kind, given.id, given.domain, given.user, given.body, 12.5, 1)
    assert type(found.body) is bytes
    assert store.entry("interaction", given.id) == found
    assert store.entry("slate", given.id) is None
    assert store.end() == 1


def test_an_empty_log(store: Store) -> None:
    assert store.end() == 0
    assert store.read(0) == []
    assert store.append([]).result() == []
    assert store.end() == 0


def test_reading_pages_of_the_log(store: Store) -> None:
    append(store, *(interaction(str(n)) for n in range(1, 11)))
    assert [entry.position for entry in store.read(3, limit=4)] == [4, 5, 6, 7]
    assert [entry.position for entry in store.read(3, until=5)] == [4, 5]
    assert store.read(10) == []


def test_the_same_kind_and_id_is_written_once(store: Store) -> None:
    first, *_ = append(store, interaction("a"))
    again, new, twice, other = append(
        store,
        interaction("a", user="eve"),
        interaction("b"),
        interaction("b"),
        interaction("a", kind="slate"),
    )
    assert again == Receipt(first.position, first.time, True)
    assert (new.position, new.duplicate) == (2, False)
    assert (twice.position, twice.duplicate) == (2, True)
    assert (other.position, other.duplicate) == (3, False)
    assert [(entry.kind, entry.id, entry.user) for entry in store.read(0)] == [
        ("interaction", "a", "ada"),
        ("interaction", "b", "ada"),
        ("slate", "a", "ada"),
    ]
    assert [receipt.duplicate for receipt in append(store, interaction("a"), interaction("b"))] == [
        True,
        True,
    ]
    assert store.end() == 3


def test_duplicates_in_one_group(store: Store) -> None:
    """Appends that wait while the writer is busy are committed together, each with receipts of its own."""
    busy, done = threading.Event(), threading.Event()

    def hold(_: int) -> None:
        busy.set()
        done.wait(10)

    store.listeners.append(hold)
    store.append([interaction("first")])
    busy.wait(10)
    futures = [store.append([interaction(name)]) for name in "abacab"]
    store.listeners.clear()
    done.set()
    receipts = [future.result()[0] for future in futures]
    assert [(receipt.position, receipt.duplicate) for receipt in receipts] == [
        (2, False),
        (3, False),
        (2, True),
        (4, False),
        (2, True),
        (3, True),
    ]
    assert [entry.id for entry in store.read(0)] == ["first", "a", "b", "c"]


def test_more_entries_than_one_statement_takes(store: Store) -> None:
    entries = [interaction(str(n)) for n in range(1237)]
    positions = [receipt.position for receipt in append(store, *entries)]
    assert positions == list(range(1, 1238))
    again = append(store, *entries[::-1])
    assert [receipt.position for receipt in again] == positions[::-1]
    assert all(receipt.duplicate for receipt in again)


def test_time_never_decreases_when_the_clock_goes_back(open_store: Open) -> None:
    clock = iter([100.0, 90.0, 101.0, 50.0])
    store = open_store(clock=lambda: next(clock))
    times = [append(store, interaction(str(n)))[0].time for n in range(3)]
    assert times == [100.0, 100.0, 101.0]
    store.close()
    behind = open_store(clock=lambda: 7.0)
    assert append(behind, interaction("later"))[0].time == 101.0
    assert [entry.time for entry in behind.read(0)] == [100.0, 100.0, 101.0, 101.0]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    calls=st.lists(
        st.lists(st.tuples(st.sampled_from(["slate", "interaction"]), st.integers(0, 5)), max_size=6),
        max_size=8,
    ),
    together=st.booleans(),
)
def test_the_log_is_what_came_first_in_order(
    store: Store, calls: list[list[tuple[str, int]]], together: bool
) -> None:
    mark = uuid4().hex  # the store is shared by all examples
    start = store.end()
    expected: dict[tuple[str, str], int] = {}
    futures = []
    wanted = []
    for call in calls:
        entries = [interaction(f"{mark}-{n}", kind=kind) for kind, n in call]
        receipts = []
        for entry in entries:
            key = (entry.kind, entry.id)
            duplicate = key in expected
            receipts.append((expected.setdefault(key, start + len(expected) + 1), duplicate))
        wanted.append(receipts)
        futures.append(store.append(entries))
        if not together:
            futures[-1].result()
    got = [[(receipt.position, receipt.duplicate) for receipt in future.result()] for future in futures]
    assert got == wanted
    assert {(entry.kind, entry.id): entry.position for entry in store.read(start)} == expected
    assert store.end() == start + len(expected)


@pytest.mark.parametrize(
    "entry",
    [
        Entry("", "1", "music", "ada", b""),
        Entry("slate", "", "music", "ada", b""),
        Entry("slate", "a\0b", "music", "ada", b""),
        Entry("slate", "1", "music", "a\0b", b""),
        Entry("slate", "1", "music", "\ud800", b""),
        Entry("slate", "i" * 1001, "music", "ada", b""),
        Entry("slate", "1", "music", "✓" * 334, b""),
        Entry("slate", "1", "music", "ada", cast(Any, "text")),
    ],
)
def test_names_that_not_every_database_could_keep_are_refused(store: Store, entry: Entry) -> None:
    with pytest.raises(StoreError, match=r"kind and an id|NUL|Unicode|at most|body"):
        store.append([interaction("good"), entry])
    assert store.end() == 0


def test_the_longest_names_are_kept(store: Store) -> None:
    # Incompressible: PostgreSQL looks at what is left of a name in an index.
    rng = random.Random(0)
    name, user = ("".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=1000)) for _ in range(2))
    append(store, interaction(name, user=user))
    assert [entry.id for entry in store.history(user)] == [name]


@pytest.fixture
def told(store: Store) -> Store:
    """Six entries of ada's, at 1 2 4 5 6 7, and one of bob's."""
    append(
        store,
        interaction("1", kind="slate"),
        interaction("2"),
        interaction("3", user="bob"),
        interaction("4", domain="video"),
        interaction("5"),
        interaction("6", kind="slate"),
        interaction("7"),
    )
    return store


@pytest.mark.parametrize(
    ("options", "positions"),
    [
        ({}, [7, 5, 4, 2]),
        ({"domain": "music"}, [7, 5, 2]),
        ({"domain": "music", "kinds": ("slate",)}, [6, 1]),
        ({"kinds": ("slate", "interaction")}, [7, 6, 5, 4, 2, 1]),
        ({"before": 5}, [4, 2]),
        ({"up_to": 5}, [5, 4, 2]),
        ({"limit": 2}, [7, 5]),
        ({"domain": "books"}, []),
        ({"kinds": ()}, []),
    ],
)
def test_a_users_history_is_newest_first(told: Store, options: dict[str, Any], positions: list[int]) -> None:
    assert [entry.position for entry in told.history("ada", **options)] == positions


def test_ticks_come_when_the_log_is_quiet(open_store: Open) -> None:
    now = 1000.0
    store = open_store(clock=lambda: now)
    assert store.tick(10).result() is False  # nothing began, so nothing can be over
    append(store, interaction("a"))
    now += 9
    assert store.tick(10).result() is False
    now += 1
    assert store.tick(10).result() is True
    assert store.tick(10).result() is False
    assert [(entry.kind, entry.user, entry.time) for entry in store.read(1)] == [("tick", "", 1010.0)]


def test_listeners_hear_of_each_new_end(store: Store) -> None:
    heard: list[int] = []

    def fail(_: int) -> None:
        raise ValueError("a listener that fails harms nobody")

    store.listeners.append(fail)
    store.listeners.append(heard.append)
    append(store, interaction("a"), interaction("b"))
    append(store, interaction("a"))  # a duplicate: the end stays
    store.put_profile("ada", b"{}").result()
    store.put_items("music", [("x", b"{}")]).result()
    store.close()
    assert heard == [2, 3, 4]


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts how often another thread wakes it up."""

    wakes = 0

    def call_soon_threadsafe(
        self,
        callback: Callable[[*_Arguments], object],
        *args: *_Arguments,
        context: Context | None = None,
    ) -> asyncio.Handle:
        self.wakes += 1
        return super().call_soon_threadsafe(callback, *args, context=context)


@pytest.fixture
def loop() -> Iterator[CountingLoop]:
    loop = CountingLoop()
    yield loop
    loop.close()


def test_an_event_loop_is_woken_once_for_a_group(store: Store, loop: CountingLoop) -> None:
    busy, done = threading.Event(), threading.Event()

    def hold(_: int) -> None:
        busy.set()
        done.wait(10)

    async def main() -> list[list[Receipt]]:
        store.listeners.append(hold)
        store.append([interaction("first")])
        busy.wait(10)
        futures = [store.append_soon([interaction(str(n))], n % 2 > 0, loop) for n in range(50)]
        futures[7].cancel()
        none = store.append_soon([], True, loop)
        store.listeners.clear()
        done.set()
        await asyncio.wait(futures)
        assert await none == []
        return [future.result() for future in futures if not future.cancelled()]

    receipts = list(itertools.chain.from_iterable(loop.run_until_complete(main())))
    assert [receipt.position for receipt in receipts] == [n + 2 for n in range(50) if n != 7]
    assert loop.wakes == 1
    # Who no longer waits has still been heard.
    assert store.end() == 51
