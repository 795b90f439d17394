"""Connectors at work: opened, bound, tried again, closed; and slates while one of them is not there."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request as Asked
from starlette.responses import JSONResponse
from starlette.routing import Route
from tastemaker.core import Call, ConfigError
from tastemaker.core.clock import ManualClock
from tastemaker.core.config import Settings, load
from tastemaker.core.context import Request
from tastemaker.core.orchestrator import Orchestrator
from tastemaker.tests.fakes.redis_server import RedisServer
from tastemaker.tests.fakes.serving import serve

PLUGIN = '''
import asyncio
from pathlib import Path
from tastemaker.core import *

class Shelf(Connector):
    """Opens where its file is; writes down what is done to it."""
    path: Path
    word: str = "shelf"

    def open(self):
        if not self.path.exists():
            raise ConnectorError(f"there is no {self.path.name}")
        self.note("open")

    def close(self):
        self.note("close")

    def note(self, deed):
        with self.path.with_name("deeds").open("a") as file:
            file.write(f"{self.word} {deed}\\n")

class Slow(Shelf):
    """One that takes its time."""
    async def open(self):
        await asyncio.sleep(0)
        self.note("open")

class Hanging(Shelf):
    """One that never opens."""
    async def open(self):
        await asyncio.sleep(3600)

class Web(Service):
    """A service."""

class Loved(Source):
    """Reads what is loved from the shelf."""
    service: Shelf

    def propose(self, context):
        return self.service.path.read_text().split()

@hookimpl
def components():
    return [Shelf, Slow, Hanging, Web, Loved]
'''


def patient(settings: Settings) -> Settings:
    """The same, with a Redis that a busy machine may make wait."""
    from tastemaker.connectors.redis import Memory

    assert isinstance(settings.memory, Memory)
    return replace(settings, memory=Memory(url=settings.memory.url, timeout_seconds=5))


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., Settings]:
    (tmp_path / "library.py").write_text(PLUGIN)
    (tmp_path / "books.csv").write_text("id,title\n1,Emma\n2,Dune\n3,Momo\n")

    def made(*overrides: str) -> Settings:
        path = tmp_path / "config.yaml"
        path.write_text(
            f"""\
plugins: [./library.py]
domains:
  books:
    connectors:
      shelf: {{use: library.shelf, path: {tmp_path / "loved.txt"}}}
      slow: {{use: library.slow, path: {tmp_path / "x"}, word: slow}}
      web: {{use: library.web}}
    items:
      from: {{use: files.table, path: books.csv}}
      fields: {{title: text}}
    sources:
      loved: {{use: library.loved, service: shelf}}
    slate: {{size: 2, deadline_ms: 20000}}
"""
        )
        return load(path, overrides=overrides, environ={})

    return made


def test_connectors_are_opened_and_closed_and_services_share_a_memory(
    settings: Callable[..., Settings], tmp_path: Path
) -> None:
    (tmp_path / "loved.txt").write_text("2 1")

    async def run() -> None:
        async with Orchestrator(settings(), clock=lambda: 5.0) as tastemaker:
            web: Any = tastemaker.settings.domains["books"].connectors[2].component
            assert (web._memory, web._name) == (tastemaker.connections.memory, "web")
            slate = await tastemaker.recommend("books", Request("ann", 2))
            assert sorted(pick.item for pick in slate.picks) == ["1", "2"]
            assert slate.degraded == []
            assert all(not connector.trouble for _, _, connector in tastemaker.connections)
        assert web.trouble == "it is closed"

    asyncio.run(run())
    deeds = (tmp_path / "deeds").read_text().splitlines()
    assert sorted(deeds) == ["shelf close", "shelf open", "slow close", "slow open"]


def test_one_that_cant_be_opened_keeps_nothing_from_starting_and_is_tried_again(
    settings: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tastemaker.core.connections._AGAIN_SECONDS", (0.01, 0.01))

    async def run() -> None:
        async with Orchestrator(settings()) as tastemaker:
            slate = await tastemaker.recommend("books", Request("ann", 2))
            assert len(slate.picks) == 2  # from the catalogue at large
            noted = {each.component: each.reason for each in slate.degraded}
            why = "left out: the connector 'shelf': it could not be opened: there is no loved.txt"
            assert noted["sources.loved"] == why
            (tmp_path / "loved.txt").write_text("3")
            async with asyncio.timeout(20):
                while any(connector.trouble for _, _, connector in tastemaker.connections):
                    await asyncio.sleep(0.01)
            slate = await tastemaker.recommend("books", Request("ann", 2))
            assert slate.degraded == []
            assert slate.picks[0].item == "3"

    asyncio.run(run())
    assert (tmp_path / "deeds").read_text().count("shelf close") == 1


def test_one_that_hangs_while_it_is_opened_holds_nothing_up(
    settings: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tastemaker.core.connections._START_SECONDS", 0.2)
    (tmp_path / "loved.txt").write_text("3")

    async def run() -> None:
        found = settings(
            "domains.books.connectors.slow.use=library.hanging", "domains.books.connectors.slow.path=x"
        )
        async with Orchestrator(found) as tastemaker:
            slow = next(each for _, name, each in tastemaker.connections if name == "slow")
            assert slow.trouble == "it is still being opened"
            assert (await tastemaker.recommend("books", Request("ann", 2))).degraded == []

    asyncio.run(run())


BLOCKING = """

class Blocking(Shelf):
    \"\"\"Blocks while it is opened, until its file is there.\"\"\"
    def open(self):
        self.note("begins to open")
        while not self.path.exists():
            time.sleep(0.01)
        self.note("open")
"""


def test_one_that_blocks_while_it_is_opened_is_opened_once(
    settings: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tastemaker.core.connections._AGAIN_SECONDS", (0.01, 0.01))
    monkeypatch.setattr("tastemaker.core.connections._OPEN_SECONDS", 0.05)
    more = PLUGIN.replace("@hookimpl", f"{BLOCKING}\n@hookimpl").replace("Loved]", "Loved, Blocking]")
    (tmp_path / "library.py").write_text(more.replace("import asyncio", "import asyncio, time"))
    (tmp_path / "loved.txt").write_text("3")
    there = tmp_path / "there"

    async def run() -> None:
        use = ("use=library.blocking", f"path={there}", "word=blocking")
        found = settings(*(f"domains.books.connectors.slow.{each}" for each in use))
        async with Orchestrator(found) as tastemaker:
            blocking = next(each for _, name, each in tastemaker.connections if name == "slow")
            for _ in range(20):  # many times its limit
                await asyncio.sleep(0.05)
            assert "no answer within" in blocking.trouble
            there.touch()
            async with asyncio.timeout(20):
                while blocking.trouble:
                    await asyncio.sleep(0.01)

    try:
        asyncio.run(run())
    finally:
        there.touch()
    deeds = [deed for deed in (tmp_path / "deeds").read_text().splitlines() if deed.startswith("blocking")]
    assert deeds == ["blocking begins to open", "blocking open", "blocking close"]


COLLECTING = """

class Late(Shelf):
    \"\"\"Says late that it can't be opened.\"\"\"
    async def open(self):
        await asyncio.sleep(0.6)
        raise ConnectorError("the key is wrong")

class New(Collector):
    \"\"\"Brings what is new on a shelf.\"\"\"
    service: Shelf

    def collect(self, collection):
        yield Record({"id": "9", "title": "New"}, "shelf")
"""


@pytest.mark.parametrize(
    ("use", "patience", "said"),
    [
        ("late", 11.0, "the connector 'slow': it could not be opened: the key is wrong"),
        ("hanging", 0.3, "the connector 'slow': it is still being opened"),
    ],
)
def test_a_collector_waits_until_it_is_known_whether_its_connector_opens(
    settings: Callable[..., Settings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    use: str,
    patience: float,
    said: str,
) -> None:
    monkeypatch.setattr("tastemaker.core.connections._START_SECONDS", 0.01)
    monkeypatch.setattr("tastemaker.core.collecting.collecting.OPENING_SECONDS", patience)
    plugin = tmp_path / "library.py"
    more = PLUGIN.replace("@hookimpl", f"{COLLECTING}\n@hookimpl").replace("Loved]", "Loved, Late, New]")
    plugin.write_text(more)
    (tmp_path / "loved.txt").write_text("3")

    async def run() -> None:
        found = settings(
            f"domains.books.connectors.slow.use=library.{use}",
            "domains.books.connectors.slow.path=x",
            "domains.books.collectors.new.use=library.new",
            "domains.books.collectors.new.service=slow",
            "domains.books.collectors.new.every=1d",
        )
        async with Orchestrator(found) as tastemaker:
            ended = await asyncio.to_thread(tastemaker.collecting.run, "books", "new", "api")
            assert (ended.status, ended.error) == ("failed", said)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("here", "'cache' must be a URL such as memory:// or redis://localhost:6379/0"),
        ("cupboard://x", "no plugin is called 'cupboard'"),
        ("catalog://x", "no connector is called 'catalog.memory'"),
    ],
)
def test_a_cache_that_is_none_is_told(settings: Callable[..., Settings], url: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        settings(f"cache={url}")
    assert settings("cache=memory://").memory is None


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    pytest.importorskip("redis", reason="needs the extra 'redis'")
    server = RedisServer(tmp_path)
    yield server
    server.kill()


class Loved:
    """A service on loopback that says what a user loves, and how often it was asked; and how a connector asks it."""

    def __init__(self, url: str, heard: list[str]) -> None:
        self.url, self.heard = url, heard

    async def asked(self, tastemaker: Orchestrator, *users: str) -> list[str]:
        """Whose answers had to be fetched."""
        web: Any = tastemaker.settings.domains["books"].connectors[2].component
        self.heard.clear()
        for user in users:
            call = Call("loved", key="loved", keep="user", user=user)
            assert await web.call(call, lambda user=user: self.ask(user)) == {"user": user}
        return list(self.heard)

    async def ask(self, user: str) -> Any:
        async with httpx.AsyncClient() as client:
            return (await client.get(f"{self.url}/loved", params={"user": user})).json()


@pytest.fixture
def loved() -> Iterator[Loved]:
    heard: list[str] = []

    async def answer(request: Asked) -> JSONResponse:
        heard.append(request.query_params["user"])
        return JSONResponse({"user": request.query_params["user"]})

    with serve(Starlette(routes=[Route("/loved", answer)])) as url:
        yield Loved(url, heard)


@pytest.mark.parametrize("cache", ["memory", "redis"])
def test_what_services_said_about_a_user_is_forgotten_with_the_user(
    settings: Callable[..., Settings], loved: Loved, cache: str, request: pytest.FixtureRequest
) -> None:
    shared = request.getfixturevalue("redis").url if cache == "redis" else "memory://"
    found = settings(f"cache={shared}")
    found = patient(found) if cache == "redis" else found

    async def run() -> None:
        async with Orchestrator(found) as tastemaker:
            assert await loved.asked(tastemaker, "ann", "bob", "ann") == ["ann", "bob"]
            await tastemaker.unlink("ann", "shelf")
            assert await loved.asked(tastemaker, "ann", "bob") == []
            await tastemaker.erase("ann")
            assert await loved.asked(tastemaker, "ann", "bob") == ["ann"]
            await tastemaker.unlink("ann", "web")
            assert await loved.asked(tastemaker, "ann", "bob") == ["ann"]
            await tastemaker.unlink("bob")
            assert await loved.asked(tastemaker, "ann", "bob") == ["bob"]

    asyncio.run(run())


def test_a_redis_is_shared_and_its_memory_goes_by_the_clock(
    settings: Callable[..., Settings], redis: RedisServer, loved: Loved
) -> None:
    clock = ManualClock(1_000_000.0)
    first, second = (patient(settings(f"cache={redis.url}")) for _ in range(2))

    async def run() -> None:
        async with Orchestrator(first, clock=clock) as one, Orchestrator(second, clock=clock) as other:
            assert [each.trouble for _, name, each in one.connections if name == "cache"] == [""]
            assert await loved.asked(one, "ann") == ["ann"]
            assert await loved.asked(other, "ann") == []
            redis.kill()
            assert await loved.asked(one, "ann") == []  # a copy of its own
            clock.advance(10 * 86_400)  # it has run out, and is not even stale
            assert await loved.asked(one, "ann") == ["ann"]

    asyncio.run(run())


def test_a_redis_behind_tls(settings: Callable[..., Settings], tmp_path: Path, loved: Loved) -> None:
    pytest.importorskip("redis", reason="needs the extra 'redis'")
    server = RedisServer(tmp_path, tls=True)
    assert server.url.startswith("rediss://")

    async def run() -> None:
        first, second = (patient(settings(f"cache={server.url}")) for _ in range(2))
        async with Orchestrator(first) as one, Orchestrator(second) as other:
            assert [each.trouble for _, name, each in one.connections if name == "cache"] == [""]
            assert await loved.asked(one, "ann") == ["ann"]
            assert await loved.asked(other, "ann") == []

    try:
        asyncio.run(run())
    finally:
        server.kill()
