"""Databases that tests may write into: PostgreSQL schemas of their own, and SQLite files that are migrated already."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import OperationalError
from tastemaker.core.store.database import Database

migrate = Database._migrate


@contextmanager
def schema() -> Iterator[str]:
    """The URL of a PostgreSQL schema of its own."""
    server = os.environ.get("TASTEMAKER_TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432/test")
    url = make_url(server)
    name = f"store_{uuid4().hex}"
    engine = create_engine(url, isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 3})
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE SCHEMA {name}")
    except OperationalError:
        engine.dispose()
        missing = f"no PostgreSQL at {url!r} (TASTEMAKER_TEST_POSTGRES says where)"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    try:
        query = {"options": f"-csearch_path={name}", "application_name": name}
        yield url.update_query_dict(query).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP SCHEMA {name} CASCADE")
        engine.dispose()


def copying(template: Path) -> Callable[[Database], None]:
    """In place of a database's migration: a new SQLite file begins as a copy of the migrated `template`.

    It is then opened and migrated like any other; a copy is whole as soon as it is there, and takes nobody's place.
    """

    def migrated(database: Database) -> None:
        if database.sqlite and not Path(database.url.database or "").exists():
            copy = shutil.copyfile(template, template.with_name(uuid4().hex))
            with suppress(OSError):  # another thread was first, or it is a place where no database can be
                os.link(copy, database.url.database or "")
            copy.unlink()
        migrate(database)

    return migrated
