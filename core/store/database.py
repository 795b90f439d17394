"""The database under the store: what a URL means, how it is opened and migrated, what its faults mean."""

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Executable,
    NullPool,
    create_engine,
    event,
    inspect,
    make_url,
    text,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.pool import ConnectionPoolEntry

from ..errors import StoreError, StoreUnavailable
from .migrations import HEAD

WAIT = 10.0  # seconds to wait for another writer of the same file, or for a free connection
# How long a silent server is believed in: seconds, and milliseconds for the user timeout
# (https://www.postgresql.org/docs/current/libpq-connect.html).
_PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
_MIGRATIONS = Path(__file__).parent / "migrations"
_migrating = threading.Lock()  # Alembic keeps the migration at work in a global
_MIGRATION_LOCK = 0x7A57E  # any number, the same in every process
# https://www.sqlite.org/rescode.html: busy, locked, no memory, read-only, interrupted, I/O, full, can't open,
# protocol
_PASSING_SQLITE = frozenset({5, 6, 7, 8, 9, 10, 13, 14, 15})
# https://www.postgresql.org/docs/current/errcodes-appendix.html: connection, read-only after a failover,
# rollback, resources, state of an object, operator, system
_PASSING_POSTGRESQL = ("08", "25006", "40", "53", "55", "57", "58")


class Database:
    """A migrated database; reads share a pool of connections, the one writer has its own.

    Every connection is in autocommit mode: a read is one statement, and the writer says BEGIN itself.
    """

    def __init__(self, url: str) -> None:
        """Open and migrate; a StoreError with the URL, its password hidden, when that can't be done."""
        self.url = _understood(url)
        self.sqlite = self.url.get_backend_name() == "sqlite"
        with self.faults("it can't be opened"):
            try:
                self._closed = False
                self._readers = self._engine()
                self._writers = self._engine(poolclass=NullPool)
            except ModuleNotFoundError as error:
                raise StoreError(
                    f"{self}: {error.name} is missing: pip install 'tastemaker[postgres]'"
                ) from error
            try:
                self._migrate()
            except BaseException:
                self.close()
                raise

    def __str__(self) -> str:
        """The URL without its secrets."""
        return _shown(self.url)

    def all(self, statement: Executable) -> Sequence[Any]:
        """Every row that a reading `statement` gives."""
        with self.faults("it can't be read"):
            try:
                with self._readers.connect() as connection:
                    return connection.execute(statement).all()
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
            # The server went away since the last read, and the pool has dropped what it held: once more.
            with self._readers.connect() as connection:
                return connection.execute(statement).all()

    def first(self, statement: Executable) -> Any | None:
        """The first row that a reading `statement` gives."""
        rows = self.all(statement)
        return rows[0] if rows else None

    def writer(self) -> Connection:
        """A new connection for the one writer; the caller closes it."""
        connection = self._writers.connect()
        if self.sqlite:
            return connection
        if connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "off":
            connection.exec_driver_sql("SET synchronous_commit = on")
        return connection

    def begin(self, connection: Connection, *, durable: bool) -> None:
        """Start a write transaction; its commit waits for the disk when `durable`."""
        if self.sqlite:
            if connection.info.get("durable") is not durable:
                connection.exec_driver_sql(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                connection.info["durable"] = durable
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        elif durable:
            connection.exec_driver_sql("BEGIN")
        else:
            connection.exec_driver_sql("BEGIN; SET LOCAL synchronous_commit = off")

    def close(self) -> None:
        """Close every idle connection, and open no other: a thread that was given up may ask for one much later."""
        if self._closed:
            return
        self._closed = True
        for engine in (self._readers, self._writers):
            engine.dispose()
            event.listen(engine, "do_connect", self._refuse)

    def _refuse(self, *_: object) -> None:
        raise StoreUnavailable(f"{self}: the store is closed")

    @contextmanager
    def faults(self, what: str) -> Iterator[None]:
        """Turn what the database says into a StoreError that says `what`."""
        try:
            yield
        except SQLAlchemyError as error:
            raise self.fault(error, what) from error

    def fault(self, error: Exception, what: str) -> StoreError:
        """The error to raise for what a database, its driver or SQLAlchemy raised."""
        if isinstance(error, StoreError):
            return error
        cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
        reason = (str(cause).strip() or type(cause).__name__).splitlines()[0]
        if self.url.password:
            reason = reason.replace(str(self.url.password), "***")
        kind = StoreUnavailable if _passing(error) else StoreError
        return kind(f"{self}: {what}: {reason}")

    def _engine(self, **options: Any) -> Engine:
        if self.sqlite:
            patience: dict[str, float] = {"timeout": WAIT}
        else:
            patience = dict(_PATIENCE)
        arguments = {key: value for key, value in patience.items() if key not in self.url.query}
        if "poolclass" not in options:
            options |= {"pool_size": 8, "max_overflow": 24, "pool_timeout": WAIT}
        engine = create_engine(
            self.url, isolation_level="AUTOCOMMIT", hide_parameters=True, connect_args=arguments, **options
        )
        if self.sqlite:
            event.listen(engine, "connect", _prepare)
        return engine

    def _migrate(self) -> None:
        """Bring the schema to HEAD; processes that start at once wait for the first one to do it."""
        with self._writers.connect() as connection:
            if self.sqlite:
                _write_ahead(connection)
            if _revision(connection) == HEAD:
                return
            self.begin(connection, durable=True)
            if not self.sqlite:
                lock = "SELECT pg_advisory_xact_lock(:number, hashtext(coalesce(current_schema(), '')))"
                connection.execute(text(lock), {"number": _MIGRATION_LOCK})
            if (revision := _revision(connection)) != HEAD:
                self._upgrade(connection, revision)
            connection.exec_driver_sql("COMMIT")

    def _upgrade(self, connection: Connection, revision: str | None) -> None:
        # Imported here: it takes a while, and hardly any start has something to upgrade.
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        try:
            with _migrating:
                command.upgrade(config, "head")
        except CommandError as error:
            known = f"its schema is {revision!r}, and the newest that this Tastemaker knows is {HEAD!r}"
            raise StoreError(f"{self}: {known}: use the Tastemaker that wrote it, or a newer one") from error


def _understood(url: str) -> URL:
    """The parsed URL of a database that the store can use."""
    right = "sqlite:///tastemaker.db or postgresql+psycopg://user:password@host/database"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        # The text isn't repeated: there may be a password in it.
        raise StoreError(f"the store's URL can't be read; right would be {right}") from error
    if parsed.drivername in ("postgres", "postgresql"):
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername == "postgresql+psycopg":
        return parsed
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise StoreError(f"{_shown(parsed)}: {parsed.drivername} is no store; right would be {right}")
    name = parsed.database or ":memory:"
    if name == ":memory:" or name.startswith("file:"):
        raise StoreError(
            f"{_shown(parsed)}: the store needs the path of a file, as in sqlite:///tastemaker.db"
        )
    if not Path(name).absolute().parent.is_dir():
        raise StoreError(f"{_shown(parsed)}: the folder {Path(name).absolute().parent} doesn't exist")
    return parsed


def _shown(url: URL) -> str:
    secret = [key for key in url.query if "password" in key]
    return url.update_query_dict(dict.fromkeys(secret, "***")).render_as_string(hide_password=True)


def _passing(error: Exception) -> bool:
    """Whether the same call may succeed later."""
    if isinstance(error, NoConnection):
        return True
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF in _PASSING_SQLITE
    state = getattr(cause, "sqlstate", None)
    if state is None:
        return isinstance(error, (OperationalError, InterfaceError))
    return str(state).startswith(_PASSING_POSTGRESQL)


def _prepare(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    """What every SQLite connection needs."""
    # Deleted content is overwritten with zeros from the first write on: an erasure can't reach what was freed
    # before it.
    connection.execute("PRAGMA secure_delete = ON").close()
    connection.execute("PRAGMA cache_size = -16384").close()  # KiB


def _write_ahead(connection: Connection) -> None:
    """Switch a new file to write-ahead logging; SQLite itself doesn't wait for another process that does."""
    deadline = time.monotonic() + WAIT
    while True:
        try:
            if connection.exec_driver_sql("PRAGMA journal_mode = WAL").scalar_one() == "wal":
                return
        except OperationalError as error:
            if not _passing(error):
                raise
        if time.monotonic() > deadline:
            raise StoreUnavailable(
                f"{connection.engine.url.database}: write-ahead logging can't be switched on"
            )
        time.sleep(0.01)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
