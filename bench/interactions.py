"""Interactions accepted durably per second, beside one INSERT and commit for each at the same durability."""

import asyncio
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, time
from typing import Any
from uuid import uuid4

import numpy as np
import orjson
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import OperationalError
from tastemaker.core import Interaction, Request
from tastemaker.core.config import Settings
from tastemaker.core.orchestrator import Orchestrator
from tastemaker.core.store import Entry, Store

from . import world
from .rows import Row, row
from .served import ask, post, server

_CLIENTS, _BATCH = 64, 1_000
_POSTGRES = os.environ.get("TASTEMAKER_TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432/test")

_TABLE = """
CREATE TABLE plain (position BIGINT PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL, domain TEXT NOT NULL,
                    "user" TEXT NOT NULL, "time" DOUBLE PRECISION NOT NULL, body {bytes} NOT NULL, UNIQUE (kind, id))
"""
_INSERT = "INSERT INTO plain VALUES ({}, {}, {}, {}, {}, {}, {})"

Insert = Callable[[tuple[Any, ...]], object]
Shown = Sequence[tuple[str, str, str, int]]
"""User, slate, item and position."""


def run(quick: bool) -> list[Row]:
    rows: list[Row] = []
    with TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/store.db"
        rows += _measured("SQLite", Path(folder), url, _sqlite(f"{folder}/plain.db"), quick)
    with _postgres() as server_url, TemporaryDirectory() as folder:
        if server_url is None:
            print(
                "no PostgreSQL (TASTEMAKER_TEST_POSTGRES says where): its lines are left out", file=sys.stderr
            )
        else:
            rows += _measured("PostgreSQL", Path(folder), server_url, _postgresql(server_url), quick)
    return rows


@contextmanager
def _sqlite(path: str) -> Iterator[Insert]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(_TABLE.format(bytes="BLOB"))
        yield lambda values: connection.execute(_INSERT.format(*"?" * 7), values)


@contextmanager
def _postgresql(url: str) -> Iterator[Insert]:
    import psycopg

    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(_TABLE.format(bytes="BYTEA"))
        yield lambda values: connection.execute(_INSERT.format(*["%s"] * 7), values)


def _values(number: int, entry: Entry) -> tuple[Any, ...]:
    return number, entry.kind, entry.id, entry.domain, entry.user, time(), entry.body


@contextmanager
def _postgres() -> Iterator[str | None]:
    """The URL of a PostgreSQL schema of its own, which goes at the end; None where there is no server."""
    name = f"bench_{uuid4().hex}"
    url = make_url(_POSTGRES)
    try:
        engine = create_engine(url, isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 3})
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE SCHEMA {name}")
    except (OperationalError, ModuleNotFoundError):
        yield None
        return
    try:
        yield url.update_query_dict({"options": f"-csearch_path={name}"}).render_as_string(
            hide_password=False
        )
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP SCHEMA {name} CASCADE")
        engine.dispose()


def _measured(
    database: str, folder: Path, url: str, plain: AbstractContextManager[Insert], quick: bool
) -> list[Row]:
    settings = world.configured(folder, {"light": (world.LIGHT, 0)}, store=url, count=2_000)
    world.filled(settings, users=50, events=0)
    shown = asyncio.run(_slates(settings, 20 if quick else 200))
    turns, count, each = (1, 400, 100) if quick else (5, 4_000, _BATCH)
    rates: dict[str, list[float]] = {}
    inserted = 0
    with closing(Store(url)) as store, plain as insert:
        for _ in range(turns):
            entries = [_entry(shown) for _ in range(count)]
            some = entries[: count // 8]
            started = perf_counter()
            for entry in some:
                inserted += 1
                insert(_values(inserted, entry))
            rates.setdefault("plain", []).append(len(some) / (perf_counter() - started))
            rates.setdefault("one by one", []).append(asyncio.run(_appended(store, entries, 1, _CLIENTS)))
            entries = [_entry(shown) for _ in range(2 * count)]
            rates.setdefault("batches", []).append(asyncio.run(_appended(store, entries, each, 4)))
    with server(settings.path) as served:
        for _ in range(turns):
            single = [post("/v1/interactions", _body(shown)) for _ in range(count)]
            seen = ask(served.port, single, _CLIENTS, warm=_CLIENTS, count=count - 2 * _CLIENTS, seconds=10)
            rates.setdefault("HTTP one by one", []).append(seen["rate"])
            batches = [post("/v1/interactions", _list(shown, each)) for _ in range(2 if quick else 14)]
            seen = ask(served.port, batches, 1, warm=1, count=len(batches) - 1, seconds=20)
            rates.setdefault("HTTP batches", []).append(seen["rate"] * each)
    middle = {name: float(np.median(values)) for name, values in rates.items()}
    beside = f"beside one INSERT and commit for each, one connection, {database}"
    said = (
        (
            "HTTP one by one",
            f"interactions over HTTP, {_CLIENTS} clients",
            f"{beside}; learned from before the answer",
        ),
        ("HTTP batches", f"interactions over HTTP in batches of {each:,}", "one client"),
        ("one by one", f"store alone, {_CLIENTS} callers", ""),
        ("batches", f"store alone in batches of {each:,}", "four callers"),
    )
    return [row(f"{database}: {name}", middle[key], middle["plain"], "/s", note) for key, name, note in said]


async def _slates(settings: Settings, count: int) -> Shown:
    """What real slates showed, so that interactions have something to refer to."""
    async with Orchestrator(settings, follow=False) as orchestrator:
        slates = [await orchestrator.recommend("light", Request(world.user(n % 50))) for n in range(count)]
    return [(slate.user, slate.id, pick.item, pick.position) for slate in slates for pick in slate.picks]


async def _appended(store: Store, entries: Sequence[Entry], batch: int, callers: int) -> float:
    """Entries per second, given to the store in batches by callers who each wait for their receipt."""
    loop = asyncio.get_running_loop()
    batches = iter([entries[start : start + batch] for start in range(0, len(entries), batch)])

    async def call() -> None:
        for some in batches:
            await store.append_soon(some, durable=True, loop=loop)

    started = perf_counter()
    await asyncio.gather(*(call() for _ in range(callers)))
    return len(entries) / (perf_counter() - started)


def _entry(shown: Shown) -> Entry:
    user, slate, item, position = shown[uuid4().int % len(shown)]
    done = Interaction(uuid4().hex, "light", user, item, "click", time(), slate=slate, position=position)
    return Entry("interaction", done.id, "light", user, done.to_bytes())


def _interaction(shown: Shown) -> dict[str, Any]:
    user, slate, item, position = shown[uuid4().int % len(shown)]
    told = {"id": uuid4().hex, "domain": "light", "user": user, "item": item, "kind": "click"}
    return {**told, "slate": slate, "position": position}


def _body(shown: Shown) -> str:
    return orjson.dumps(_interaction(shown)).decode()


def _list(shown: Shown, count: int) -> str:
    return orjson.dumps([_interaction(shown) for _ in range(count)]).decode()
