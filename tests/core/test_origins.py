"""Where items come from, and what a running platform does about their age."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tastemaker.core import Request
from tastemaker.core.api import create_app
from tastemaker.core.clock import ManualClock
from tastemaker.core.config import Settings, load
from tastemaker.core.orchestrator import Orchestrator
from tastemaker.core.stock.expiry import Aged
from tastemaker.core.store import OriginCount, Store

START = 1_800_000_000.0
DAY = 86_400.0

PLUGIN = '''
from pydantic import PrivateAttr
from tastemaker.core import *

class Tube(Service):
    """A service whose videos may be kept for ten days."""
    keep_days: float | None = 10
    cache: Keeping = Keeping(answers=0, features=0, user=0, stale=0)
    videos: list[str] = []

    async def refresh(self, ids):
        return [{"id": each, "title": f"{each} again"} if each in self.videos else None for each in ids]

class Free(Connector):
    """Something whose data are the user's own."""

class Live(Source):
    """Videos as they come, under the names they have."""
    service: Tube
    free: Free

    def propose(self, context):
        return [{"id": each, "title": each} for each in (*self.service.videos, "mine", "old")]

class Plain(Source):
    """Items from nowhere in particular."""
    def propose(self, context):
        return [{"id": "plain", "title": "plain"}]

class Feed(Collector):
    """All of the videos."""
    service: Tube
    def collect(self, collection):
        return [Record({"id": each, "title": each}) for each in self.service.videos]

@hookimpl
def components():
    return [Tube, Free, Live, Plain, Feed]
'''

VIDEOS = """
plugins: [./tube.py]
store: sqlite:///videos.db
domains:
  videos:
    connectors:
      free: {use: tube.free}
      tube: {use: tube.tube, videos: [v1, v2, v3]}
    items: {fields: {title: text}}
    sources: {live: {use: tube.live, timeout_ms: 20000}, plain: {use: tube.plain, timeout_ms: 20000}}
    slate: {size: 9, deadline_ms: 20000}
"""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def live(tmp_path: Path, clock: ManualClock) -> Callable[..., Any]:
    """What happens between start and stop."""
    (tmp_path / "tube.py").write_text(PLUGIN)

    def lived(what: Callable[[Orchestrator], Awaitable[Any]], *overrides: str) -> Any:
        async def life() -> Any:
            async with Orchestrator(settings(tmp_path, *overrides), clock=clock, follow=False) as tastemaker:
                return await what(tastemaker)

        return asyncio.run(life())

    return lived


def settings(folder: Path, *overrides: str) -> Settings:
    (folder / "config.yaml").write_text(VIDEOS)
    return load(folder / "config.yaml", overrides=[f"domains.videos.{each}" for each in overrides])


def of(tastemaker: Orchestrator) -> dict[str, str]:
    ids = [identity for identity, body, _ in tastemaker.store.items("videos") if body is not None]
    return tastemaker.store.ages.origins("videos", ids)


def test_what_a_source_brings_comes_from_its_connector_and_replaces_nothing_of_ones_own(
    live: Callable[..., Any],
) -> None:
    async def what(tastemaker: Orchestrator) -> Any:
        await tastemaker.put_items("videos", [{"id": "mine", "title": "my own"}])
        slate = await tastemaker.recommend("videos", Request("ann"))
        assert slate.degraded == []
        assert {pick.item for pick in slate.picks} == {"v1", "v2", "v3", "mine", "old", "plain"}
        catalog = tastemaker.agent("videos").catalog.snapshot()
        assert catalog.item(catalog.row("mine")) == {"title": "my own"}
        return of(tastemaker)

    # Of two connectors the one whose terms ask for something.
    origins = {"v1": "tube", "v2": "tube", "v3": "tube", "old": "tube", "plain": "source", "mine": "api"}
    assert live(what) == origins

    async def later(tastemaker: Orchestrator) -> Any:
        await tastemaker.put_items("videos", [{"id": "old", "title": "mine now"}])
        await tastemaker.recommend("videos", Request("ann"))
        return of(tastemaker)

    assert live(later) == {**origins, "old": "api"}


def test_what_is_read_at_the_start_comes_from_its_connector_and_is_read_again_in_time(
    live: Callable[..., Any], clock: ManualClock
) -> None:
    async def ages(tastemaker: Orchestrator) -> list[OriginCount]:
        return tastemaker.store.ages.by_origin("videos")

    feed = "items.from={use: tube.feed}"
    assert live(ages, feed) == [OriginCount("tube", 3, START, START)]
    clock.advance(DAY)
    assert live(ages, feed) == [OriginCount("tube", 3, START, START)]
    clock.advance(5 * DAY)
    assert live(ages, feed) == [OriginCount("tube", 3, clock(), clock())]


def test_an_orchestrator_asks_its_connectors_for_what_gets_old(
    live: Callable[..., Any], clock: ManualClock
) -> None:
    async def what(tastemaker: Orchestrator) -> Any:
        await tastemaker.recommend("videos", Request("ann"))
        clock.advance(9.5 * DAY)
        aged = await tastemaker.expire("videos")
        catalog = tastemaker.agent("videos").catalog.snapshot()
        return aged, sorted(catalog.ids[catalog.live].tolist()), catalog.item(catalog.row("v1"))

    aged, ids, item = live(what)
    assert aged == Aged(refreshed=3, removed=2, why={})
    assert ids == ["plain", "v1", "v2", "v3"]
    assert item == {"title": "v1 again"}


def test_nothing_too_old_is_served_after_a_pause(live: Callable[..., Any], clock: ManualClock) -> None:
    async def first(tastemaker: Orchestrator) -> Any:
        await tastemaker.recommend("videos", Request("ann"))

    async def second(tastemaker: Orchestrator) -> Any:
        return list(tastemaker.agent("videos").catalog.snapshot().live)

    live(first)
    clock.advance(10 * DAY)
    assert len(live(second)) == 1


def test_terms_outlast_the_connector_at_work_too(live: Callable[..., Any], clock: ManualClock) -> None:
    async def first(tastemaker: Orchestrator) -> Any:
        await tastemaker.recommend("videos", Request("ann"))

    live(first)
    clock.advance(9.5 * DAY)

    async def second(tastemaker: Orchestrator) -> Any:
        assert list(tastemaker.agent("videos").plan.origins) == ["free", "tube"]
        return await tastemaker.expire("videos")

    bare = ("connectors.tube=null", "sources.live=null")
    assert live(second, *bare) == Aged(refreshed=0, removed=5, why={})


def test_a_server_looks_after_it_by_itself(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tastemaker.core.learning.schedules._LOOK_SECONDS", 0.02)
    (tmp_path / "tube.py").write_text(PLUGIN)
    app = create_app(settings(tmp_path), clock=clock)

    async def life() -> None:
        async with app.router.lifespan_context(app):
            tastemaker: Orchestrator = app.state.orchestrator
            await tastemaker.recommend("videos", Request("ann"))
            async with asyncio.timeout(60):
                # What a store sees for the first time is due from then on.
                while tastemaker.store.note("schedule videos terms") is None:
                    await asyncio.sleep(0.02)
                clock.advance(9.5 * DAY)
                while len(tastemaker.agent("videos").catalog.snapshot().live) != 4:
                    await asyncio.sleep(0.02)

    asyncio.run(life())
    store = Store(f"sqlite:///{tmp_path / 'videos.db'}")
    try:
        assert [(count.origin, count.items) for count in store.ages.by_origin("videos")] == [
            ("source", 1),
            ("tube", 3),
        ]
    finally:
        store.close()
