"""Items out of a database, by a query that can only read."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic import Field, SecretStr, field_validator
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from ..core import Collection, Collector, CollectorError, Fault, Record, did_you_mean
from .watermark import Watermark

_BATCH = 1000
_READS = re.compile(
    r"\s*(?:(?:--[^\n]*\n|/\*.*?\*/)\s*)*(select|with|values|table)\b", re.IGNORECASE | re.DOTALL
)
_HOUR = 3600.0


class Sql(Collector):
    """Brings in what a query gives, row by row; a column's name is its field's.

    The transaction is read-only, and never committed. With a `watermark`, a run reads only the rows whose watermark
    is not below the largest one so far; every `whole_every_hours` it reads all of them, so that rows which are gone
    can be told (see `replace`).
    """

    url: SecretStr = Field(
        description="an SQLAlchemy URL, such as postgresql+psycopg://user:password@host/shop"
    )
    query: str = Field(min_length=1, description="one SELECT whose columns are the items' fields")
    columns: Mapping[str, str] = Field(default_factory=dict, description="field: column of the query")
    watermark: str | None = Field(
        None, min_length=1, description="a column that grows when a row changes, such as updated_at"
    )
    overlap_seconds: float = Field(
        60,
        ge=0,
        le=86_400,
        description="how far before a watermark that is a time to read again, for late commits",
    )
    whole_every_hours: float = Field(24, gt=0, le=8760, description="how often to read all rows all the same")
    timeout_seconds: float = Field(
        60, gt=0, le=3600, description="of connecting; of the query, where the server can"
    )

    @field_validator("url")
    @classmethod
    def _readable(cls, url: SecretStr) -> SecretStr:
        try:
            make_url(url.get_secret_value()).get_dialect()
        except (ArgumentError, NoSuchModuleError) as problem:
            raise ValueError(
                "is no SQLAlchemy URL; write it as postgresql+psycopg://user:password@host/database or "
                "sqlite:////path/to/shop.db"
                + (f" ({problem})" if isinstance(problem, NoSuchModuleError) else "")
            ) from None
        return url

    @field_validator("query")
    @classmethod
    def _reads(cls, query: str) -> str:
        query = query.strip().rstrip(";").rstrip()
        if not _READS.match(query):
            raise ValueError(
                f"must be one SELECT, which only reads, and begins with {query.split()[0][:20]!r}"
            )
        return query

    def collect(self, collection: Collection) -> Iterator[Record | Fault]:
        """Rows in the database's order. Raises CollectorError where the query can't be run, or would write."""
        mark = Watermark.of(collection.mark, self._source())
        due = collection.now - mark.whole >= self.whole_every_hours * _HOUR
        since = None if self.watermark is None or due else mark.since
        engine = self._engine()
        newest = mark.since
        try:
            with engine.connect() as connection, ExitStack() as stack:
                self._only_reading(connection)
                result = connection.execute(*self._statement(since, connection))
                stack.callback(result.close)
                names = list(result.keys())
                self._check(names)
                for place, row in enumerate(result, start=1):
                    values = {name: _plain(value) for name, value in zip(names, row, strict=True)}
                    values |= {field: values[column] for field, column in self.columns.items()}
                    if self.watermark is not None:
                        newest = _later(newest, row[names.index(self.watermark)])
                    yield Record(values, f"row {place}")
        except SQLAlchemyError as problem:
            raise CollectorError(f"{self._where()}: {_reason(problem)}") from None
        finally:
            engine.dispose()
        if self.watermark is not None:
            collection.partial = since is not None
            whole = mark.whole if since is not None else collection.now
            collection.mark = Watermark(newest, whole, self._source()).text()

    def _engine(self) -> Engine:
        url = make_url(self.url.get_secret_value())
        options: dict[str, Any] = {}
        if url.get_backend_name() == "sqlite":
            options["timeout"] = self.timeout_seconds
            if url.database and not url.database.startswith("file:"):  # not made where there is none
                url = url.set(
                    database=f"file:{url.database}", query={**url.query, "mode": "ro", "uri": "true"}
                )
        elif url.get_backend_name() in ("postgresql", "mysql", "mariadb"):
            options["connect_timeout"] = max(1, int(self.timeout_seconds))
        try:
            engine = create_engine(url, poolclass=NullPool, connect_args=options)
        except ImportError as problem:
            raise CollectorError(
                f"{self._where()}: the driver is missing ({problem}): install it, or name another in `url`, "
                "such as mysql+pymysql://"
            ) from None
        if url.get_backend_name() in ("mysql", "mariadb"):

            @event.listens_for(engine, "connect")
            def _reading(connection: Any, _: Any) -> None:
                with connection.cursor() as cursor:
                    cursor.execute("SET SESSION TRANSACTION READ ONLY")

        return engine

    def _only_reading(self, connection: Connection) -> None:
        match connection.dialect.name:
            case "postgresql":
                connection.execute(text("SET TRANSACTION READ ONLY"))
                milliseconds = int(self.timeout_seconds * 1000)
                connection.execute(text(f"SET LOCAL statement_timeout = {milliseconds}"))
            case "sqlite":
                connection.execute(text("PRAGMA query_only = ON"))

    def _statement(self, since: Any, connection: Connection) -> tuple[Any, dict[str, Any]]:
        # As a part of another query it can be no second statement, nor one that writes.
        query = f"SELECT * FROM (\n{self.query.replace(':', chr(92) + ':')}\n) AS collected"
        given = {}
        if since is not None:
            column = connection.dialect.identifier_preparer.quote(self.watermark or "")
            query += f" WHERE collected.{column} >= :since OR collected.{column} IS NULL"
            behind = timedelta(seconds=self.overlap_seconds)
            given["since"] = since - behind if isinstance(since, datetime) else since
        return text(query).execution_options(stream_results=True, yield_per=_BATCH), given

    def _check(self, names: list[str]) -> None:
        wanted = {f"`columns` names for {field!r}": column for field, column in self.columns.items()}
        if self.watermark is not None:
            wanted["`watermark` names"] = self.watermark
        for where, column in wanted.items():
            if column not in names:
                raise CollectorError(
                    f"{self._where()}: the query gives no column {column!r}, which {where}{did_you_mean(column, names)}"
                )
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise CollectorError(f"{self._where()}: the query gives two columns {twice!r}; rename one by AS")

    def _source(self) -> str:
        """Changes when another database or another query is asked."""
        text = f"{self._where()} {self.query} {self.watermark}"
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def _where(self) -> str:
        url: URL = make_url(self.url.get_secret_value())
        return url.set(query={}).render_as_string(hide_password=True)


def _later(newest: Any, value: Any) -> Any:
    """The larger of two watermarks. Raises CollectorError where they can't be compared."""
    if isinstance(value, Decimal):
        value = int(value) if value == value.to_integral_value() else float(value)
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = value.isoformat()
    if value is None:
        return newest
    if not isinstance(value, str | int | float | datetime):
        raise CollectorError(f"the watermark {value!r} is no time, number or text")
    try:
        return value if newest is None or value > newest else newest
    except TypeError:
        return value  # the column's type was changed


def _plain(value: Any) -> Any:
    match value:
        case Decimal():
            return int(value) if value == value.to_integral_value() else value
        case UUID():
            return str(value)
        case date() if not isinstance(value, datetime):
            return value.isoformat()
        case _:
            return value


def _reason(problem: SQLAlchemyError) -> str:
    """What the database says, in one line, without the statement and its values."""
    said = str(getattr(problem, "orig", None) or problem).strip().splitlines()
    reason = said[0] if said else type(problem).__name__
    low = reason.lower()
    if "read-only" in low or "readonly" in low or "data-modifying" in low:
        return f"the query would write, and may only read ({reason})"
    return reason
