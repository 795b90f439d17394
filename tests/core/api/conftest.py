"""The application as callers see it: with a real store, over ASGI in this process."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import orjson
import pytest
from tastemaker.core.api import create_app
from tastemaker.core.clock import Clock, wall
from tastemaker.core.config import load
from tastemaker.core.orchestrator import Orchestrator

BOOKS = """
version: 1
store: sqlite:///books.db
{more}
domains:
  books:
    items:
      fields: {{title: text, genres: tags, rating: number, published: time}}
    sources: [{{use: catalog.popular, field: rating, limit: 30}}]
    filters: [{{use: catalog.seen, days: 30}}]
    scorers:
      rated: {{use: catalog.numeric, field: rating, low: 0, high: 50}}
    policies:
      taste: {{use: thompson.ranker, weight: 0.2}}
    rewards: {{open: 0.2, finish: 1.0}}
    slate: {{size: 5}}
"""

SHELF = [
    {"id": f"b{n:02}", "title": f"Book {n}", "genres": ["odd" if n % 2 else "even"], "rating": n}
    for n in range(40)
]


class Api:
    """A running application, and ways to call it that wait for the answer."""

    def __init__(self, config: Path, clock: Clock = wall, overrides: Sequence[str] = ()) -> None:
        self.app = create_app(load(config, overrides=overrides), clock=clock)
        self._runner = asyncio.Runner()
        self._stack = contextlib.AsyncExitStack()
        self.run(self._start)

    async def _start(self) -> None:
        await self._stack.enter_async_context(self.app.router.lifespan_context(self.app))
        transport = httpx.ASGITransport(self.app)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://test", timeout=30)

    @property
    def orchestrator(self) -> Orchestrator:
        found: Orchestrator = self.app.state.orchestrator
        return found

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What an async function gives."""
        return self._runner.run(function(*arguments))

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            return await self._client.request(method, path, **options)

        found: httpx.Response = self.run(send)
        return found

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.call("GET", path, **options)

    def put(self, path: str, json: Any) -> httpx.Response:
        return self.call("PUT", path, json=json)

    def post(self, path: str, json: Any) -> httpx.Response:
        return self.call("POST", path, json=json)

    def delete(self, path: str) -> httpx.Response:
        return self.call("DELETE", path)

    def raw(
        self,
        method: str,
        path: bytes,
        query: bytes = b"",
        headers: Sequence[tuple[bytes, bytes]] = (),
        chunks: Sequence[bytes] = (),
    ) -> tuple[int, Any]:
        """Status and body of a request that no client would send; the path and query go as they are."""
        left = [*chunks] or [b""]
        sent: list[Any] = []
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path.decode("latin-1")),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": list(headers),
            "server": ("test", 80),
            "client": ("test", 1),
        }

        async def receive() -> Any:
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

        async def send(message: Any) -> None:
            sent.append(message)

        async def go() -> None:
            await self.app(scope, receive, send)

        self.run(go)
        content = b"".join(message.get("body", b"") for message in sent[1:])
        return sent[0]["status"], orjson.loads(content)

    def record(self, user: str, item: str, kind: str = "finish", **more: Any) -> Any:
        """Record one interaction with a book; the receipt."""
        sent = {"domain": "books", "user": user, "item": item, "kind": kind, **more}
        answer = self.post("/v1/interactions", sent)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def close(self) -> None:
        self.run(self._client.aclose)
        self.run(self._stack.aclose)
        self._runner.close()


MakeApi = Callable[..., Api]


@pytest.fixture
def make_api(tmp_path: Path) -> Iterator[MakeApi]:
    """Applications over a configuration in this test's folder."""
    running: list[Api] = []

    def make(
        text: str | None = None,
        *,
        more: str = "",
        plugin: str | None = None,
        clock: Clock = wall,
        overrides: Sequence[str] = (),
        shelf: bool = True,
    ) -> Api:
        config = tmp_path / "config.yaml"
        config.write_text(text if text is not None else BOOKS.format(more=more))
        if plugin is not None:
            (tmp_path / "plugin.py").write_text(plugin)
        api = Api(config, clock, overrides)
        running.append(api)
        if shelf:
            answer = api.put("/v1/books/items", SHELF)
            assert answer.status_code == 200, answer.text
        return api

    yield make
    for api in running:
        api.close()


@pytest.fixture
def api(make_api: MakeApi) -> Api:
    """One domain of forty books, the higher the number the better rated."""
    return make_api()


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The same for a whole file, for tests that change nothing or don't mind changes."""
    config = tmp_path_factory.mktemp("still") / "config.yaml"
    config.write_text(BOOKS.format(more=""))
    api = Api(config)
    assert api.put("/v1/books/items", SHELF).status_code == 200
    yield api
    api.close()


def assert_problem(answer: httpx.Response, status: int, kind: str) -> Any:
    """That an answer is a problem of this kind; its document."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["type"] == f"/problems/{kind}"
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]
    assert isinstance(document["errors"], list)
    return document


@pytest.fixture
def problem() -> Callable[[httpx.Response, int, str], Any]:
    """Checks of problem documents."""
    return assert_problem
