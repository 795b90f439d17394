"""The tables of the store, and how many rows are written with few statements."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    CursorResult,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

# Ordered by bytes on every database, so that what is read in the order of its ids has one order everywhere.
Name = Text().with_variant(Text(collation="C"), "postgresql")
# SQLite keeps a table in the order of its key only when the key is called INTEGER.
Position = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData()

log = Table(
    "log",
    metadata,
    Column("position", Position, primary_key=True, autoincrement=False),
    Column("kind", Name, nullable=False),
    Column("id", Name, nullable=False),
    Column("domain", Name, nullable=False),
    Column("user", Name, nullable=False),
    Column("time", Double, nullable=False),
    Column("body", LargeBinary, nullable=False),
    UniqueConstraint("kind", "id", name="log_kind_id"),
    # `kind` comes last only to be found without a look at the row.
    Index("log_by_user", "user", "domain", "position", "kind"),
)

# One row: where the log ends; kept apart, so that no position is used twice when the log's newest rows go.
log_end = Table(
    "log_end",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, nullable=False),
    Column("time", Double, nullable=False),
)

users = Table(
    "users",
    metadata,
    Column("id", Name, primary_key=True),
    Column("profile", LargeBinary, nullable=False),
    Column("created", Double, nullable=False),
    Column("updated", Double, nullable=False),
)

items = Table(
    "items",
    metadata,
    Column("domain", Name, primary_key=True),
    Column("id", Name, primary_key=True),
    Column("body", LargeBinary, nullable=True),  # null: deleted
    Column("changed", BigInteger, nullable=False),  # the position of the log entry that announced it
    Column("origin", Name, nullable=False),  # as its body says
    Column("refreshed", Double, nullable=False),  # when its origin was last asked for it
    Index("items_by_change", "domain", "changed", "id"),
    Index("items_by_age", "domain", "origin", "refreshed", "id"),
)

vectors = Table(
    "vectors",
    metadata,
    Column("domain", Name, primary_key=True),
    Column("id", Name, primary_key=True),
    Column("model", Name, primary_key=True),
    Column("version", Name, nullable=False),
    Column("digest", Name, nullable=False),  # of what was embedded
    Column("vector", LargeBinary, nullable=False),  # float32, little-endian
)

policy_versions = Table(
    "policy_versions",
    metadata,
    Column("id", Name, primary_key=True),
    Column("domain", Name, nullable=False),
    Column("policy", Name, nullable=False),
    Column("config_digest", Name, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("created", Double, nullable=False),
    Column("checksum", Name, nullable=False),
    Column("state", LargeBinary, nullable=False),
    Column("number", Integer, nullable=True),  # null: a checkpoint, which newer ones push out
    Column("origin", Name, nullable=False),
    Column("run", Name, nullable=False),
    Column("note", Name, nullable=False),
    UniqueConstraint("domain", "policy", "number", name="policy_versions_number"),
    Index("policy_versions_place", "domain", "policy", "config_digest", "position"),
)

training_runs = Table(
    "training_runs",
    metadata,
    Column("id", Name, primary_key=True),
    Column("domain", Name, nullable=False),
    Column("policy", Name, nullable=False),
    Column("status", Name, nullable=False),
    Column("trigger", Name, nullable=False),
    Column("promote", Name, nullable=False),
    Column("started", Double, nullable=False),
    Column("finished", Double, nullable=True),
    Column("heartbeat", Double, nullable=False),
    Column("progress", Double, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("since_time", Double, nullable=True),
    Column("until_time", Double, nullable=True),
    Column("rows", BigInteger, nullable=False),
    Column("users", BigInteger, nullable=False),
    Column("reward", Double, nullable=True),
    Column("like_rate", Double, nullable=True),
    Column("options", Name, nullable=False),
    Column("statistics", Name, nullable=False),
    Column("estimates", Name, nullable=False),
    Column("version", Integer, nullable=True),
    Column("outcome", Name, nullable=False),
    Column("error", Name, nullable=False),
    Index("training_runs_by_start", "domain", "started"),
)

accounts = Table(
    "accounts",
    metadata,
    Column("user", Name, primary_key=True),
    Column("service", Name, primary_key=True),
    Column("body", LargeBinary, nullable=False),  # encrypted
    Column("updated", Double, nullable=False),
)

notes = Table(
    "notes",
    metadata,
    Column("key", Name, primary_key=True),
    Column("value", Name, nullable=False),
)

_ROWS = 256  # per statement: 2,048 parameters at most, far under what either database takes
_Row = TypeVar("_Row")


def execute(connection: Connection, sql: str, values: tuple[object, ...] = ()) -> CursorResult[Any]:
    """Run `sql`, its parameters written as `?`, past SQLAlchemy's compiler: for what runs all the time."""
    if values and connection.dialect.paramstyle != "qmark":
        sql = sql.replace("?", "%s")
    return connection.exec_driver_sql(sql, values)


def insert_rows(
    connection: Connection,
    table: Table,
    rows: Sequence[tuple[object, ...]],
    *,
    replace: Sequence[str] = (),
) -> None:
    """Insert `rows` (values in the order of the table's columns), many per statement.

    With `replace`, rows whose primary key is there already have these columns overwritten; without, they are
    refused. No key may come twice in `rows`.
    """
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    head = f'INSERT INTO "{table.name}" ({names}) VALUES '
    one = f"({', '.join('?' * len(table.columns))})"
    tail = ""
    if replace:
        key = ", ".join(f'"{column.name}"' for column in table.primary_key.columns)
        changes = ", ".join(f'"{name}" = excluded."{name}"' for name in replace)
        tail = f" ON CONFLICT ({key}) DO UPDATE SET {changes}"
    for chunk in chunks(rows):
        execute(connection, head + ", ".join([one] * len(chunk)) + tail, tuple(chain.from_iterable(chunk)))


def chunks(rows: Sequence[_Row]) -> Iterator[Sequence[_Row]]:
    """Cut `rows` into powers of two, 256 at most: few lengths, so that statements stay prepared."""
    start = 0
    while (left := len(rows) - start) > 0:
        size = min(_ROWS, 1 << (left.bit_length() - 1))
        yield rows[start : start + size]
        start += size
