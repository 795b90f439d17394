"""How old items are, and what of that a database keeps that an earlier version wrote."""

from collections.abc import Callable
from importlib import import_module

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import create_engine, inspect
from tastemaker.core.store import OriginCount, Store

Open = Callable[..., Store]
FEED = b'{"origin": "feed", "values": {"title": "Emma"}}'
TUBE = b'{"origin": "tube", "values": {}}'


@pytest.fixture
def clock() -> list[float]:
    """The time; tests set it."""
    return [100.0]


@pytest.fixture
def store(open_store: Open, clock: list[float]) -> Store:
    return open_store(clock=lambda: clock[0])


def test_an_item_is_as_old_as_its_last_writing(store: Store, clock: list[float]) -> None:
    store.put_items("books", [("a", FEED), ("b", FEED), ("c", TUBE)]).result()
    clock[0] = 200.0
    store.put_items("books", [("b", FEED), ("d", TUBE)]).result()
    assert store.ages.by_origin("books") == [
        OriginCount("feed", 2, 100.0, 200.0),
        OriginCount("tube", 2, 100.0, 200.0),
    ]
    assert store.ages.by_origin("music") == []
    assert store.ages.before("books", "feed", 199.0, limit=9) == [(100.0, "a")]
    assert store.ages.before("books", "feed", 200.0, limit=9) == [(100.0, "a"), (200.0, "b")]
    assert store.ages.before("books", "feed", 200.0, after=(100.0, "a"), limit=9) == [(200.0, "b")]
    assert store.ages.origins("books", ["a", "c", "nothing"]) == {"a": "feed", "c": "tube"}


def test_what_was_looked_at_again_is_young_again_without_a_word_in_the_log(
    store: Store, clock: list[float]
) -> None:
    store.put_items("books", [(f"b{number:03}", FEED) for number in range(300)]).result()
    end, clock[0] = store.end(), 300.0
    store.ages.confirm("books", [f"b{number:03}" for number in range(299)])
    assert store.ages.before("books", "feed", 299.0, limit=9) == [(100.0, "b299")]
    assert store.end() == end


def test_a_removed_item_keeps_nothing_and_has_no_age(url: str, store: Store) -> None:
    store.put_items("books", [("a", FEED)]).result()
    store.put_items("books", [("a", None)]).result()
    store.ages.confirm("books", ["a"])
    assert store.ages.by_origin("books") == []
    assert store.ages.before("books", "feed", 1e12, limit=9) == []
    engine = create_engine(url)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT id, body, origin FROM items").all() == [("a", None, "")]
    engine.dispose()


@pytest.mark.parametrize("body", [b"1", b"{}", b"\0\xff", b'{"origin": 7}', b"[]"])
def test_a_body_that_names_no_origin_has_none(store: Store, body: bytes) -> None:
    store.put_items("books", [("a", body)]).result()
    assert [count.origin for count in store.ages.by_origin("books")] == [""]


def test_a_database_of_the_second_schema_knows_the_origins_of_its_items(url: str, open_store: Open) -> None:
    open_store().close()
    engine = create_engine(url)
    versions = "tastemaker.core.store.migrations.versions"
    with engine.begin() as connection:
        for table in inspect(connection).get_table_names():
            connection.exec_driver_sql(f"DROP TABLE {table}")
        with Operations.context(MigrationContext.configure(connection)):
            import_module(f"{versions}.v0001_first").upgrade()
            import_module(f"{versions}.v0002_versions").upgrade()
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('0002')")
        mark = "%s" if "postgresql" in url else "?"
        rows = [("books", f"b{n:04}", FEED, n + 1) for n in range(4100)]
        rows += [("music", "t", TUBE, 1), ("music", "gone", None, 2), ("music", "odd", b"\0", 3)]
        for row in rows:
            connection.exec_driver_sql(
                f"INSERT INTO items (domain, id, body, changed) VALUES ({', '.join([mark] * 4)})", row
            )
        connection.exec_driver_sql(
            f"INSERT INTO users (id, profile, created, updated) VALUES ('ada', {mark}, 1, 1)", (b"{}",)
        )
    engine.dispose()
    store = open_store()
    (books,) = store.ages.by_origin("books")
    assert (books.origin, books.items) == ("feed", 4100)
    assert books.oldest == books.newest > 1.7e9  # unknown: from now on
    assert [(count.origin, count.items) for count in store.ages.by_origin("music")] == [("", 1), ("tube", 1)]
    assert len(list(store.items("books"))) == 4100
    assert store.item("books", "b0007") == FEED
    store.put_items("books", [("b0007", TUBE), ("b0008", None)]).result()
    assert [(count.origin, count.items) for count in store.ages.by_origin("books")] == [
        ("feed", 4098),
        ("tube", 1),
    ]
    store.accounts.put("ada", "tube", b"sealed")
    assert store.erase("ada").result() == {"profiles": 1, "accounts": 1, "entries": 0, "versions": 0}
    assert store.accounts.of("ada") == []
