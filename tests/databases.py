"""Databases that tests may write into: an empty PostgreSQL schema of its own for each."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import OperationalError


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
