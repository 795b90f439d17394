"""A bookshop that lives: its configuration, what people do there, and what it has learned of it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from tastemaker.core import Interaction, Request
from tastemaker.core.agent import state_digest
from tastemaker.core.clock import ManualClock
from tastemaker.core.config import Settings, Step
from tastemaker.core.orchestrator import Orchestrator

START = 1_700_000_000.0
BOOKS = """
books:
  items:
    id: isbn
    from: {use: files.table, path: books.csv}
    fields: {title: text, rating: number, genre: category, moods: tags}
  sources: {random: {use: catalog.random, limit: 40}}
  filters: {seen: {use: catalog.seen, days: 30, kinds: [hide]}}
  policies:
    taste: {use: thompson.ranker, scope: both, discount: 0.9}
  rewards: {click: 1, skip: -1, seen: 0}
  slate: {size: 5, explore: 0.2, deadline_ms: 20000}
  learning: {window_minutes: 10}
films:
  items: {fields: {title: text}}
  sources: [{use: catalog.random}]
  policies: {taste: {use: thompson.ranker}}
  rewards: {click: 1}
"""


def lived(
    settings: Settings,
    life: Callable[[Orchestrator], Awaitable[Any]],
    *,
    follow: bool = True,
    clock: Any = None,
) -> Any:
    """What happens between the start and the stop of an orchestrator."""

    async def live() -> Any:
        async with Orchestrator(settings, clock=clock or ManualClock(START), follow=follow) as orchestrator:
            return await life(orchestrator)

    return asyncio.run(live())


def digests(orchestrator: Orchestrator) -> dict[str, str]:
    return {
        f"{domain}.{name}": state_digest(state)
        for domain, fold in orchestrator.folds.items()
        for name, (_, state) in fold.states().items()
    }


def did(item: str, kind: str = "click", **fields: Any) -> Interaction:
    fields = {"id": f"{kind} {item}", "domain": "books", "user": "ann", "time": START, **fields}
    return Interaction(item=item, kind=kind, **fields)


async def an_evening(orchestrator: Orchestrator, clock: ManualClock, name: str = "x") -> None:
    """A few users get slates and react to some of what they see."""
    for turn in range(12):
        user = ("ann", "eve", "tom")[turn % 3]
        slate = await orchestrator.recommend("books", Request(user))
        clock.advance(30)
        acts = [
            did(pick.item, ("click", "skip", "hide")[pick.position % 3], id=f"{name}{turn}.{pick.position}", user=user,
                slate=slate.id, time=clock())
            for pick in slate.picks[: turn % 4]
        ]  # fmt: skip
        await orchestrator.record(acts)
        clock.advance(200)


async def next_slate(orchestrator: Orchestrator, user: str = "ann") -> bytes:
    """The decision for a slate of a known id, as bytes; without writing it down."""
    history = await orchestrator.history("books", user, START + 1e6)
    profile = await orchestrator.profile(user)
    slate = await orchestrator.agent("books").decide(
        Request(user), slate="the next", now=START + 1e6, profile=profile, history=history
    )
    return slate.to_bytes()


def with_steps(settings: Settings, **sections: Mapping[str, Any]) -> Settings:
    """The settings with steps of the books replaced by components of a test's own."""
    steps = {
        section: tuple(Step(name, f"test.{name}", component) for name, component in components.items())
        for section, components in sections.items()
    }
    return replace(
        settings, domains={**settings.domains, "books": replace(settings.domains["books"], **steps)}
    )
