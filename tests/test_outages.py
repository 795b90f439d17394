"""All four domains live, every subset of what they stand on in trouble: slates come in time, and say what is wrong."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("spotipy", reason="needs the extra 'spotify'")
pytest.importorskip("googleapiclient", reason="needs the extra 'youtube'")
pytest.importorskip("redis", reason="needs the extra 'redis'")

from tastemaker.connectors.redis import Memory
from tastemaker.core import Request, Slate
from tastemaker.core.clock import ManualClock
from tastemaker.core.config import load
from tastemaker.core.orchestrator import Orchestrator

from .fakes.faults import Fault
from .fakes.github import github
from .fakes.redis_server import RedisServer
from .fakes.serving import serve
from .fakes.spotify import spotify_app
from .fakes.woocommerce import KEY, SECRET, Shop, woocommerce
from .fakes.youtube import YouTube
from .fakes.youtube_catalogue import START

GITHUB_TOKEN = "github_pat_11AAAAAAA0abcdefghij"
YOUTUBE_KEY = "AIzaNotARealKey-0123456789"

DOMAINS = {"music": "spotify", "video": "youtube", "projects": "github", "products": "shop"}
ASKED = {"music": "sources.genres", "video": "sources.charts", "projects": "sources.search"}
"""A source of each domain that asks the service while a slate is made; a shop's products are there already."""
SERVICES = tuple(DOMAINS.values())
SUBSETS = list(chain.from_iterable(combinations(SERVICES, size) for size in range(len(SERVICES) + 1)))

SERVICE_SECONDS = 10.0  # so long that a busy machine brings nothing into trouble that is well
HANGING_SECONDS = 0.5  # for a service that will not answer: what is waited for longer is waited for in vain
DEADLINE_SECONDS = 12.0
HANGS_SECONDS = 60.0  # far longer than a slate may take, so that one that waits for a service is found out

TROUBLE = {
    "slow": Fault(times=-1, delay=HANGS_SECONDS),
    "down": Fault(times=-1, drop=True),
    "lying": Fault(times=-1, garbage=b'<html>{"items": 7, "tracks": "none"}'),
}

YAML = """
version: 1
store: sqlite:///{folder}/live.db
cache: {redis}
domains:
  music:
    extends: music
    connectors:
      spotify:
        {{client_id: app, client_secret: app-secret-3f9a, api_url: '{spotify}/v1', accounts_url: '{spotify}',
         budgets: {{api: {{limit: 100000}}}}, {calls}}}
  video:
    extends: video
    connectors:
      youtube: {{key: {youtube_key}, url: '{youtube}', {calls}}}
    sources:
      charts: {{again_minutes: 0}}      # one question for everybody: each slate shall ask it
  projects:
    extends: projects
    connectors:
      github: {{token: {github_token}, url: '{github}', budgets: {{search: {{limit: 100000}}}}, {calls}}}
  products:
    extends: products
    connectors:
      woocommerce: {{url: '{shop}', consumer_key: {key}, consumer_secret: {secret}, {calls}}}
"""
CALLS = (
    f"timeout_seconds: {SERVICE_SECONDS}, retries: 0, breaker: {{failures: 3, seconds: 30}}, "
    "cache: {answers: 0, stale: 0, missing: 0}"
)
COLLECTED = {"video": "harvest", "projects": "harvest", "products": "products", "music": "harvest"}


class Liar:
    """Takes Redis's place on its port, and talks nonsense."""

    def __init__(self, port: int) -> None:
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", port))
        self._listener.listen(64)
        self._thread = threading.Thread(target=self._talk, daemon=True)
        self._thread.start()

    def _talk(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection:
                    connection.settimeout(1)
                    with suppress(OSError):
                        connection.recv(4096)
                        connection.sendall(b"@@ 7 what?\r\n" * 20)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


class World:
    """The services and Redis, each of which can be brought into trouble, on one clock."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.clock = ManualClock(START)
        youtube = YouTube(self.clock, YOUTUBE_KEY, limits={"search": 100, "stats": 10**6, "units": 10**6})
        projects = github(self.clock)
        projects.state.tokens[GITHUB_TOKEN] = "ann"
        self.shop = shop = Shop(clock=START - time.time())
        for number in range(1, 30):
            category = {"id": number % 3, "name": f"Kind {number % 3}", "slug": f"kind-{number % 3}"}
            shop.put(number, price=f"{number}.00", categories=[category])
        self._apps: dict[str, Any] = {
            "spotify": spotify_app("development"), "youtube": youtube.app, "github": projects, "shop": woocommerce(shop)
        }  # fmt: skip
        for app in self._apps.values():
            app.state.faults = []
        self.urls = {name: stack.enter_context(serve(app)) for name, app in self._apps.items()}
        self.redis = RedisServer(folder)
        stack.callback(self.redis.kill)
        self._liar: Liar | None = None
        path = folder / "config.yaml"
        path.write_text(
            YAML.format(
                folder=folder, redis=self.redis.url, youtube_key=YOUTUBE_KEY, github_token=GITHUB_TOKEN, key=KEY,
                secret=SECRET, calls=CALLS, **self.urls,
            )
        )  # fmt: skip
        # Far above what it takes when all is well, so that a busy machine degrades nothing by itself.
        limits = [f"domains.{domain}.slate.deadline_ms={DEADLINE_SECONDS * 1000:.0f}" for domain in DOMAINS]
        limits += [f"domains.music.sources.{name}.wait_ms=11000" for name in ("seeds", "genres", "service")]
        found = load(path, overrides=limits, environ={})
        connectors = {
            step.name: step.component for plan in found.domains.values() for step in plan.connectors
        }
        self._connectors = {name: connectors["woocommerce" if name == "shop" else name] for name in SERVICES}
        assert isinstance(found.memory, Memory)
        # As found in the configuration, but with more patience: a busy machine may make a good Redis wait.
        self.settings = replace(
            found, memory=Memory(url=found.memory.url, timeout_seconds=1, look_again_seconds=0.2)
        )

    def strike(self, subset: tuple[str, ...], how: str) -> None:
        """Bring some of it into trouble."""
        for name in subset:
            if name != "redis":
                self._apps[name].state.faults[:] = [TROUBLE[how]]
                if how == "slow":
                    self._wait(name, HANGING_SECONDS)
            elif how == "slow":
                self.redis.freeze()
            else:
                self.redis.kill()
                if how == "lying":
                    self._liar = Liar(self.redis.port)

    def heal(self, subset: tuple[str, ...], how: str) -> None:
        """Let all be well again, and time go by until everything has been tried anew."""
        for name in subset:
            if name != "redis":
                self._apps[name].state.faults.clear()
                self._wait(name, SERVICE_SECONDS)
            elif how == "slow":
                self.redis.thaw()
            else:
                if self._liar is not None:
                    self._liar.close()
                    self._liar = None
                self.redis.start()
        self.go_on(61)

    def _wait(self, name: str, seconds: float) -> None:
        """Give up requests of a service after so long."""
        service: Any = self._connectors[name]
        attempts = service._around().attempts
        attempts._limits = replace(attempts._limits, timeout=seconds)

    def go_on(self, seconds: float) -> None:
        """Let time go by."""
        self.clock.advance(seconds)
        self.shop.clock += seconds


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(tmp_path, stack)


async def slates(platform: Orchestrator, user: str) -> dict[str, Slate]:
    """One slate of each domain for somebody new, who must be searched for."""
    profile = {
        "genres": ["jazz", f"jazz {user}"],
        "interests": [f"robots {user}"],
        "languages": ["Python"],
        "categories": ["Gaming"],
    }
    await platform.put_profile(user, profile)
    found = await asyncio.gather(*(platform.recommend(domain, Request(user)) for domain in DOMAINS))
    return dict(zip(DOMAINS, found, strict=True))


async def filled(platform: Orchestrator, world: World) -> None:
    """Every domain has collected something."""
    for domain, collector in COLLECTED.items():
        catalog = platform.agent(domain).catalog
        end = time.monotonic() + 60
        while not len(catalog.snapshot().live):
            assert time.monotonic() < end, f"{domain} collected nothing"
            with suppress(Exception):  # it is running already
                await platform.collect(domain, collector, "test")
            await asyncio.sleep(0.05)
            await platform.learner.reached(platform.store.end(), 20)


async def known(platform: Orchestrator, well: bool) -> bool:
    """Whether Redis comes to be known as well, or not, in a while."""
    memory: Any = platform.connections.memory
    for _ in range(200):
        if (await memory.health() is None) == well:
            return True
        await asyncio.sleep(0.05)
    return False


async def well(platform: Orchestrator, world: World, user: str, when: str) -> None:
    """Slates come to be whole again by themselves: the first call of a service that failed is alone in trying it."""
    for turn in range(3):
        found = await slates(platform, f"{user}-{turn}")
        assert all(slate.picks for slate in found.values()), when
        if not any(slate.degraded for slate in found.values()):
            return
        world.go_on(31)
    said = {domain: slate.degraded for domain, slate in found.items() if slate.degraded}
    raise AssertionError(f"{when}: {said}")


async def refused(platform: Orchestrator) -> str:
    """Why the shop's products can't be collected; "" where they can."""
    run = await platform.collect("products", "products", "test")
    assert (run.status, bool(run.error)) in (("failed", True), ("done", False)), run
    return run.error or ""


@pytest.mark.parametrize("redis", [False, True], ids=["without redis", "with redis"])
@pytest.mark.parametrize("how", TROUBLE)
def test_every_subset(world: World, how: str, redis: bool) -> None:
    async def life() -> None:
        async with Orchestrator(world.settings, clock=world.clock) as platform:
            await filled(platform, world)
            # Without Redis nobody spends of a budget that he never heard of.
            await well(platform, world, f"{how}-before", "at first")
            for place, services in enumerate(SUBSETS):
                if not (subset := (*services, *(("redis",) if redis else ()))):
                    continue
                world.strike(subset, how)
                begun = time.monotonic()
                collected = asyncio.create_task(refused(platform)) if "shop" in subset else None
                found = await slates(platform, f"{how}-{place}")
                took = time.monotonic() - begun
                assert took < DEADLINE_SECONDS + 10, f"{subset} {how}: {took:.1f} s"
                for domain, slate in found.items():
                    assert slate.picks, f"{subset} {how}: {domain} is empty"
                    hurt = {each.component for each in slate.degraded}
                    assert (ASKED.get(domain) in hurt) == (DOMAINS[domain] in subset and domain in ASKED), (
                        f"{subset} {how}: {domain} says {slate.degraded}"
                    )
                if collected is not None:
                    assert await collected, f"{subset} {how}"
                if redis:
                    assert await known(platform, well=False), f"{subset} {how}"
                world.heal(subset, how)
                if redis:
                    assert await known(platform, well=True), f"{subset} {how}"
                await well(platform, world, f"{how}-{place}-after", f"after {subset} {how}")
                if "shop" in subset:
                    assert not await refused(platform), f"after {subset} {how}"

    asyncio.run(life())
