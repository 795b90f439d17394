"""Catalogues, plans and settings by hand, and an empty database of each kind that the platform runs on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr
from tastemaker.core import Candidates, Catalog, Component, ItemSchema
from tastemaker.core.clock import ManualClock
from tastemaker.core.config import DomainPlan, ItemsPlan, LearningOptions, Settings, SlateOptions, Step, load
from tastemaker.core.rewards import RewardTable
from tastemaker.tests.core.bookshop import BOOKS, START
from tastemaker.tests.databases import schema

FIELDS: dict[str, Any] = {
    "title": "text",
    "rating": "number",
    "genre": "category",
    "moods": "tags",
    "available": "flag",
    "published": "time",
}


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture
def postgresql() -> Iterator[str]:
    with schema() as url:
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


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def shop(settings_of: Callable[..., Settings], tmp_path: Path, url: str) -> Settings:
    """Fifty books, and films without any."""
    rows = [
        f"b{number},Book {number},{number % 5},{'novel' if number % 2 else 'poem'},a|b"
        for number in range(50)
    ]
    (tmp_path / "books.csv").write_text("\n".join(["isbn,title,rating,genre,moods", *rows]))
    return settings_of(BOOKS, url)
