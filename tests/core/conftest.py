"""Catalogues, plans and settings by hand, and an empty database of each kind that the platform runs on."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from pydantic import SecretStr
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import OperationalError
from tastemaker.core import Candidates, Catalog, Component, ItemSchema
from tastemaker.core.config import DomainPlan, ItemsPlan, LearningOptions, Settings, SlateOptions, Step, load
from tastemaker.core.rewards import RewardTable

FIELDS: dict[str, Any] = {
    "title": "text",
    "rating": "number",
    "genre": "category",
    "moods": "tags",
    "available": "flag",
    "published": "time",
}


@contextmanager
def _schema() -> Iterator[str]:
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


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture
def postgresql() -> Iterator[str]:
    with _schema() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database."""
    found: str = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def catalog_of() -> Callable[..., Catalog]:
    """A catalogue of items given as typed values; their ids are i0, i1, …; vectors where they are given."""

    def made(
        items: Sequence[Mapping[str, Any]], vectors: Any = None, fields: Mapping[str, Any] = FIELDS
    ) -> Catalog:
        catalog = Catalog(ItemSchema(fields), dimensions=0 if vectors is None else np.shape(vectors)[1])
        catalog.put([(f"i{place}", values) for place, values in enumerate(items)])
        if catalog.vectors is not None:
            catalog.vectors.put(np.arange(len(items)), np.asarray(vectors, dtype=np.float32))
        return catalog

    return made


@pytest.fixture(scope="session")
def everything() -> Callable[[Catalog], Candidates]:
    """All items of a catalogue as candidates."""
    return lambda catalog: Candidates(catalog.snapshot(), catalog.snapshot().live)


def _steps(components: Mapping[str, Component | Step]) -> tuple[Step, ...]:
    return tuple(
        each if isinstance(each, Step) else Step(name, f"test.{type(each).component_name()}", each)
        for name, each in components.items()
    )


@pytest.fixture(scope="session")
def plan_of() -> Callable[..., DomainPlan]:
    """A composition by hand: components or steps by name."""

    def made(
        *,
        name: str = "books",
        fields: Mapping[str, Any] = FIELDS,
        sources: Mapping[str, Component | Step] | None = None,
        filters: Mapping[str, Component | Step] | None = None,
        scorers: Mapping[str, Component | Step] | None = None,
        policies: Mapping[str, Component | Step] | None = None,
        reward: Any = None,
        slate: Mapping[str, Any] | None = None,
        learning: Mapping[str, Any] | None = None,
        embedder: Any = None,
    ) -> DomainPlan:
        return DomainPlan(
            name=name,
            title=name.title(),
            items=ItemsPlan(ItemSchema(fields), embedder=embedder),
            sources=_steps(sources or {}),
            filters=_steps(filters or {}),
            scorers=_steps(scorers or {}),
            policies=_steps(policies or {}),
            reward=reward or RewardTable(kinds={"click": 1.0, "skip": -1.0}, seen=0.0),
            # Far above what any of it takes, so that a busy machine degrades nothing by itself.
            slate=SlateOptions(**{"size": 4, "deadline_ms": 20_000, **(slate or {})}),
            learning=LearningOptions(**(learning or {})),
            digest="0123456789abcdef",
        )

    return made


@pytest.fixture
def settings_of(tmp_path: Path) -> Callable[..., Settings]:
    """Settings from YAML, or from plans by hand; the store is at the URL given, or a new one."""

    def made(
        domains: str | Mapping[str, DomainPlan], store: str | None = None, overrides: Sequence[str] = ()
    ) -> Settings:
        path = tmp_path / "config.yaml"
        text = (
            domains
            if isinstance(domains, str)
            else "books: {items: {fields: {title: text}}, sources: [{use: catalog.random}]}"
        )
        path.write_text(f"version: 1\nstore: sqlite:///{tmp_path / 'tastemaker.db'}\ndomains:\n")
        with path.open("a") as file:
            file.write("".join(f"  {line}\n" for line in dedent(text).strip().splitlines()))
        settings = load(path, overrides=list(overrides))
        if store is not None:
            settings = replace(settings, store=SecretStr(store))
        return settings if isinstance(domains, str) else replace(settings, domains=domains)

    return made
