"""shop.sql: what a query gives is what arrives; it can't write, and reads no more than it must."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import Engine, create_engine, text
from tastemaker.connectors.sql import Sql
from tastemaker.core import Collection, CollectorError, Fault, Record
from tastemaker.tests.databases import schema

NOW = 1_795_000_000.0
QUERY = "SELECT id, title, price, stock > 0 AS available, updated_at FROM products"


@pytest.fixture(params=["sqlite", "postgresql"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Engine]]:
    """A database with three products, its URL, and a way to change it."""
    if request.param == "sqlite":
        yield from _filled(f"sqlite:///{tmp_path / 'shop.db'}")
    else:
        with schema() as url:
            yield from _filled(url)


def _filled(url: str) -> Iterator[tuple[str, Engine]]:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(
            text(
                "CREATE TABLE products (id INTEGER PRIMARY KEY, title VARCHAR(50), price NUMERIC(10, 2), "
                "stock INTEGER, updated_at TIMESTAMP)"
            )
        )
        for place in range(3):
            put(connection, place, 10 + place, day=place + 1)
    yield url, engine
    engine.dispose()


def put(connection: Any, product: int, price: float, *, day: int) -> None:
    given = {
        "id": product,
        "price": price,
        "at": datetime(2026, 11, day, 12, tzinfo=UTC).replace(tzinfo=None),
    }
    connection.execute(text("DELETE FROM products WHERE id = :id"), {"id": product})
    connection.execute(
        text("INSERT INTO products VALUES (:id, 'P' || CAST(:id AS INTEGER), :price, 1, :at)").bindparams(
            **given
        )
    )


def collected(sql: Sql, collection: Collection | None = None) -> list[dict[str, Any]]:
    found = list(sql.collect(collection or Collection("shop", NOW)))
    assert not [each for each in found if isinstance(each, Fault)]
    return [dict(each.values) for each in found if isinstance(each, Record)]


def ids(sql: Sql, collection: Collection) -> list[int]:
    return sorted(row["id"] for row in collected(sql, collection))


def error(**options: Any) -> str:
    with pytest.raises(CollectorError) as caught:
        collected(Sql(**options))
    return str(caught.value)


def test_columns_are_fields(shop: tuple[str, Engine]) -> None:
    rows = collected(Sql(url=shop[0], query=QUERY + " ORDER BY id;  ", columns={"sku": "id"}))
    assert [(row["sku"], row["title"], float(row["price"]), bool(row["available"])) for row in rows] == [
        (0, "P0", 10.0, True), (1, "P1", 11.0, True), (2, "P2", 12.0, True)
    ]  # fmt: skip


def test_only_what_changed_is_read_again_until_all_is_due(shop: tuple[str, Engine]) -> None:
    url, engine = shop
    sql = Sql(url=url, query=QUERY, watermark="updated_at")
    first = Collection("shop", NOW)
    assert ids(sql, first) == [0, 1, 2]
    assert not first.partial
    with engine.begin() as connection:
        put(connection, 0, 99, day=9)
        connection.execute(text("DELETE FROM products WHERE id = 1"))
    second = Collection("shop", NOW + 60, mark=first.mark)
    assert ids(sql, second) == [0, 2], "the newest so far is read again: others may have its very time"
    assert second.partial
    third = Collection("shop", NOW + 120, mark=second.mark)
    assert ids(sql, third) == [0]
    whole = Collection("shop", NOW + 86_400, mark=third.mark)
    assert ids(sql, whole) == [0, 2]
    assert not whole.partial, "so that what is gone can be removed"
    after = Collection("shop", NOW + 86_460, mark=whole.mark)
    assert ids(sql, after) == [0]


@pytest.mark.parametrize("shop", ["postgresql"], indirect=True)  # SQLite's times are texts
def test_a_commit_that_came_late_is_not_missed(shop: tuple[str, Engine]) -> None:
    url, engine = shop
    sql = Sql(url=url, query=QUERY, watermark="updated_at")
    first = Collection("shop", NOW)
    collected(sql, first)
    late = datetime(2026, 11, 3, 12) - timedelta(seconds=30)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO products VALUES (7, 'late', 1, 1, :at)"), {"at": late})
    assert ids(sql, Collection("shop", NOW + 60, mark=first.mark)) == [2, 7]


def test_rows_without_a_watermark_always_come(shop: tuple[str, Engine]) -> None:
    url, engine = shop
    with engine.begin() as connection:
        connection.execute(text("UPDATE products SET updated_at = NULL WHERE id = 0"))
    sql, first = Sql(url=url, query=QUERY, watermark="updated_at"), Collection("shop", NOW)
    collected(sql, first)
    assert ids(sql, Collection("shop", NOW + 60, mark=first.mark)) == [0, 2]


def test_a_number_may_be_the_watermark(shop: tuple[str, Engine]) -> None:
    sql, first = Sql(url=shop[0], query=QUERY, watermark="price"), Collection("shop", NOW)
    collected(sql, first)
    assert ids(sql, Collection("shop", NOW + 60, mark=first.mark)) == [2]


@pytest.mark.parametrize("mark", ["nonsense", "[1]", '{"since": 3}', "null"])
def test_an_odd_mark_counts_as_none(shop: tuple[str, Engine], mark: str) -> None:
    sql = Sql(url=shop[0], query=QUERY, watermark="updated_at")
    assert ids(sql, Collection("shop", NOW, mark=mark)) == [0, 1, 2]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1; DELETE FROM products",
        "WITH gone AS (DELETE FROM products RETURNING *) SELECT * FROM gone",
        "SELECT 1) AS a; COMMIT; DELETE FROM products; SELECT * FROM (SELECT 1",
    ],
)
def test_nothing_is_ever_written(shop: tuple[str, Engine], query: str) -> None:
    url, engine = shop
    with pytest.raises(CollectorError):
        collected(Sql(url=url, query=query))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT COUNT(*) FROM products")).scalar_one() == 3


def test_a_function_that_writes_is_refused() -> None:
    with schema() as url:
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(text("CREATE SEQUENCE numbers"))
        said = error(url=url, query="SELECT nextval('numbers') AS id")
        engine.dispose()
    assert "the query would write, and may only read" in said


@pytest.mark.parametrize(
    "query", ["DELETE FROM products", "update products set price = 0", "-- SELECT\nDROP TABLE x"]
)
def test_a_statement_that_is_no_query_is_refused_at_once(query: str) -> None:
    with pytest.raises(ValidationError, match="must be one SELECT"):
        Sql(url="sqlite:///x.db", query=query)


def test_colons_and_percents_are_what_they_are(shop: tuple[str, Engine]) -> None:
    query = "SELECT id, '12:30 :id 5%' AS title FROM products WHERE title LIKE 'P%' -- all :of them"
    assert collected(Sql(url=shop[0], query=query))[0]["title"] == "12:30 :id 5%"


def test_mistakes_read_well(shop: tuple[str, Engine], tmp_path: Path) -> None:
    url, _ = shop
    assert "products_" in error(url=url, query="SELECT * FROM products_")
    said = error(url=url, query=QUERY, watermark="updated")
    assert "the query gives no column 'updated', which `watermark` names; did you mean 'updated_at'?" in said
    assert "no column 'skuu', which `columns` names for 'sku'" in error(
        url=url, query=QUERY, columns={"sku": "skuu"}
    )
    if "sqlite" not in url:  # which renames the second by itself
        assert "two columns 'id'" in error(url=url, query="SELECT id, id FROM products")
    assert "unable to open" in error(url=f"sqlite:///{tmp_path / 'none.db'}", query="SELECT 1")
    assert not (tmp_path / "none.db").exists()


def test_the_password_is_never_shown() -> None:
    url = "postgresql+psycopg://ann:hunter2@127.0.0.1:1/shop?password=hunter2"
    sql = Sql(url=url, query="SELECT 1")
    assert "hunter2" not in repr(sql)
    with pytest.raises(CollectorError) as caught:
        collected(sql)
    assert "hunter2" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


@pytest.mark.parametrize("url", ["shop.db", "oracle9://x", ""])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ValidationError, match="is no SQLAlchemy URL"):
        Sql(url=url, query="SELECT 1")


def test_a_driver_that_is_not_installed() -> None:
    sql = Sql(url="mysql+pyodbc://reader:hunter2@shop/db", query="SELECT id FROM products")
    with pytest.raises(CollectorError, match="the driver is missing") as caught:
        list(sql.collect(Collection("shop", NOW)))
    assert "hunter2" not in str(caught.value)
