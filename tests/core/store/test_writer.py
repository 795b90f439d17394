"""What the writer does when things go wrong, and how hard it makes sure that what it says is on disk."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, cast

import pytest
from sqlalchemy import NullPool, create_engine, text
from tastemaker.core import StoreError, StoreUnavailable
from tastemaker.core.store import Entry, Receipt, Store
from tastemaker.core.store import store as module
from tastemaker.core.store.database import Database

Open = Callable[..., Store]


def slate(id: str, body: bytes = b"{}") -> Entry:
    return Entry("slate", id, "music", "ada", body)


class Held:
    """Keeps the writer of a store busy until it is let go."""

    def __init__(self, store: Store) -> None:
        busy, self._done = threading.Event(), threading.Event()

        def hold(_: int) -> None:
            busy.set()
            self._done.wait(10)

        store.listeners.append(hold)
        store.append([slate("held")])
        assert busy.wait(10)
        store.listeners.clear()

    def let_go(self) -> None:
        self._done.set()


def test_when_too_much_waits_more_is_refused_at_once_and_nothing_is_lost(open_store: Open) -> None:
    store = open_store(limit=10_000)
    held = Held(store)
    futures: list[Future[list[Receipt]]] = []

    def append_without_end() -> None:
        futures.extend(store.append([slate(str(number), bytes(1000))]) for number in range(1000))

    with pytest.raises(StoreUnavailable, match="wait to be written"):
        append_without_end()
    assert 5 <= len(futures) <= 10
    held.let_go()
    assert [future.result()[0].position for future in futures] == list(range(2, 2 + len(futures)))
    assert store.append([slate("again")]).result()[0].position == store.end()


def test_close_writes_what_was_accepted_and_refuses_the_rest(open_store: Open) -> None:
    store = open_store()
    held = Held(store)
    futures = [store.append([slate(str(number))]) for number in range(100)]
    futures.append(cast(Any, store.put_profile("ada", b"{}")))
    held.let_go()
    store.close()
    assert all(future.done() and future.exception() is None for future in futures)
    for call in (lambda: store.append([slate("late")]), lambda: store.tick(1), store.ping):
        with pytest.raises(StoreUnavailable, match="closed"):
            call()
    store.close()
    assert open_store().end() == 102


def test_one_bad_entry_fails_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even one that the store couldn't see to be bad."""
    monkeypatch.setattr(module, "check_entries", len)
    held = Held(store)
    good = [store.append([slate(str(number))]) for number in range(5)]
    bad = store.append([slate("fine"), slate("bad", cast(Any, {"no": "bytes"}))])
    more = [store.append([slate(str(number))]) for number in range(4, 8)]
    held.let_go()
    with pytest.raises(StoreError, match="can't be written") as caught:
        bad.result()
    assert not isinstance(caught.value, StoreUnavailable)
    assert [future.result()[0].position for future in good] == [2, 3, 4, 5, 6]
    assert [future.result()[0].position for future in more] == [6, 7, 8, 9]
    assert store.entry("slate", "fine") is None  # an append is written whole or not at all


def test_a_cancelled_append_is_not_written(store: Store) -> None:
    held = Held(store)
    cancelled, kept = store.append([slate("a")]), store.append([slate("b")])
    assert cancelled.cancel()
    held.let_go()
    assert kept.result()[0].position == 2
    assert [entry.id for entry in store.read(0)] == ["held", "b"]


def test_a_listener_may_not_wait_for_a_write(store: Store) -> None:
    said: list[str] = []

    def listen(_: int) -> None:
        try:
            store.checkpoint("music", "thompson", "digest", 1, b"state")
        except StoreError as error:
            said.append(str(error))

    store.listeners.append(listen)
    store.append([slate("a")]).result()
    store.close()
    assert ["can't wait" in words for words in said] == [True]


@pytest.mark.parametrize("durable", [True, False])
def test_a_durable_group_waits_for_the_disk(url: str, durable: bool) -> None:
    Store(url).close()
    database = Database(url)
    with database.writer() as connection:
        for now in (not durable, durable):
            database.begin(connection, durable=now)
            asked = "PRAGMA synchronous" if database.sqlite else "SHOW synchronous_commit"
            level = connection.exec_driver_sql(asked).scalar_one()
            connection.exec_driver_sql("COMMIT")
    if database.sqlite:
        assert level == (2 if durable else 1)  # FULL, NORMAL: https://www.sqlite.org/pragma.html
    else:
        assert level == ("on" if durable else "off")
    database.close()


def test_a_server_that_doesnt_wait_for_its_disk_is_told_to(postgresql: str) -> None:
    url = postgresql.replace("options=", "options=-csynchronous_commit%3Doff+")
    database = Database(url)
    with database.writer() as connection:
        database.begin(connection, durable=True)
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "on"
        connection.exec_driver_sql("COMMIT")
    database.close()


def test_a_locked_file_passes(sqlite: str) -> None:
    store = Store(f"{sqlite}?timeout=0.1")
    engine = create_engine(sqlite, isolation_level="AUTOCOMMIT")
    with engine.connect() as other:
        other.exec_driver_sql("BEGIN IMMEDIATE")
        held = [store.append([slate(str(number))]) for number in range(3)]
        for future in held:
            with pytest.raises(StoreUnavailable, match="locked"):
                future.result()
        assert store.end() == 0  # readers don't wait for writers
        other.exec_driver_sql("ROLLBACK")
    engine.dispose()
    assert store.append([slate("0")]).result()[0].position == 1
    store.close()


def test_a_full_disk_passes(sqlite: str) -> None:
    store = Store(sqlite)
    store.append([slate("before")]).result()
    connection = store._writer._connection
    assert connection is not None
    connection.exec_driver_sql("PRAGMA max_page_count = 1")  # at least what it has: no page more
    with pytest.raises(StoreUnavailable, match="full"):
        store.append([slate("big", bytes(1_000_000))]).result()
    assert store.append([slate("big", bytes(1_000_000))]).result()[0].position == 2
    store.close()


def cut(url: str, store_name: str) -> int:
    """End every connection of the store, as a restart of the server would; how many there were."""
    engine = create_engine(url.replace(f"application_name={store_name}", "application_name=cutter"))
    with engine.connect() as connection:
        ended = text(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = :name"
        )
        count = int(connection.execute(ended, {"name": store_name}).scalar_one())
        deadline = time.monotonic() + 10
        left = text("SELECT count(*) FROM pg_stat_activity WHERE application_name = :name")
        while connection.execute(left, {"name": store_name}).scalar_one() and time.monotonic() < deadline:
            connection.rollback()
            time.sleep(0.01)
    engine.dispose()
    return count


def test_lost_connections_are_replaced(postgresql: str) -> None:
    name = postgresql.rpartition("application_name=")[2].partition("&")[0]
    store = Store(postgresql)
    store.append([slate("before")]).result()
    store.ping()
    assert cut(postgresql, name) >= 2
    assert store.append([slate("after")]).result()[0].position == 2
    assert cut(postgresql, name) >= 1
    assert [entry.id for entry in store.read(0)] == ["before", "after"]
    assert store.append([slate("before")]).result()[0].duplicate
    store.close()


def test_appends_fail_while_there_is_no_server_and_succeed_after(
    postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = postgresql.rpartition("application_name=")[2].partition("&")[0]
    store = Store(postgresql)
    store.append([slate("before")]).result()
    with monkeypatch.context() as patch:
        # New connections go where nobody listens.
        nowhere = create_engine("postgresql+psycopg://127.0.0.1:9/none", poolclass=NullPool)
        patch.setattr(store._database, "_writers", nowhere)
        cut(postgresql, name)
        for future in [store.append([slate(str(number))]) for number in range(3)]:
            with pytest.raises(StoreUnavailable, match="can't be written"):
                future.result()
    assert store.append([slate("after")]).result()[0].position == 2
    store.close()


def test_a_closed_store_opens_no_connection_for_a_thread_that_comes_late(store: Store) -> None:
    store.append([slate("a")]).result()
    store.close()
    for look in (store.end, lambda: store.note("x"), lambda: store.history("ada")):
        with pytest.raises(StoreUnavailable, match="the store is closed"):
            look()
