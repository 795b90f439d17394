"""A plugin for a service, begun: a connector, a collector and a source that work, and tests against a local server."""

MODULE = '''\
"""$title: the way to its API, and what it has to offer."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from pydantic import Field, SecretStr
from tastemaker.connectors.web import HttpService
from tastemaker.core import Call, Collection, Collector, Context, Record, Source, hookimpl


class Api(HttpService):
    """The API of $title, one page of items at a time."""

    url: str = Field("https://api.$name.example/v1", description="where the API is")
    key: SecretStr = Field(SecretStr(""), description="its key; without one nothing of this takes part")

    @property
    def configured(self) -> bool:
        return bool(self.key.get_secret_value())

    def headers(self) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self.key.get_secret_value()}"}

    async def items(self, page: int) -> list[dict[str, Any]]:
        """The items of a page, from 1; none beyond the last. Raises ServiceError."""
        answer = await self.fetch(Call("items", key=str(page)), f"{self.url}/items", {"page": page})
        return list(answer.value["items"])


class Items(Collector):
    """All its items, page by page."""

    service: Api

    async def collect(self, collection: Collection) -> AsyncIterator[Record]:
        page = 1
        while items := await self.service.items(page):
            for item in items:
                yield Record(item, f"page {page}")
            page += 1


class Newest(Source):
    """What stands on its first page now."""

    service: Api
    limit: int = Field(50, ge=1)

    async def propose(self, context: Context) -> list[dict[str, Any]]:
        return (await self.service.items(1))[: self.limit]


@hookimpl
def components():
    return [Api, Items, Newest]
'''

TESTS = '''\
"""The plugin keeps the contract of its components, against a server that answers as $title would."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest
from tastemaker.core.conformance import check_component
from tastemaker.core.registry import Registry
from $module import Api, Items, Newest

PAGES = {"1": [{"id": 1, "title": "One"}, {"id": 2, "title": "Two"}], "2": [{"id": 3, "title": "Three"}]}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        page = parse_qs(urlsplit(self.path).query)["page"][0]
        known = self.headers["authorization"] == "Bearer secret"
        body = json.dumps({"items": PAGES.get(page, [])} if known else {"error": "unknown key"}).encode()
        self.send_response(200 if known else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def api():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield Api(url=f"http://127.0.0.1:{server.server_port}", key="secret")
        server.shutdown()


def test_components_keep_their_contract(api):
    assert check_component(api) > 5
    assert check_component(Items, service=api) > 5
    assert check_component(Newest, service=api, limit=1) > 10


def test_without_a_key_it_takes_no_part():
    assert not Api().configured


def test_tastemaker_finds_the_plugin():
    plugin = Registry().load("$name")
    assert sorted(plugin.components) == ["api", "items", "newest"]
'''

README = """\
# $title

A plugin for Tastemaker, with a connector and what it brings:

- `$name.api` is the way to the API: with a cache, budgets, retries and a breaker around every call.
- `$name.items` collects all items, in the background.
- `$name.newest` proposes what stands on the first page now.

```yaml
domains:
  books:
    connectors:
      $name: {use: $name.api, key: "$${KEY:-}"}
    items:
      fields: {title: text}
    collectors:
      items: {use: $name.items, every: 6h, replace: true}
    sources:
      newest: {use: $name.newest, limit: 50}
      random: {use: catalog.random}
```

Work on it:

```sh
pip install -e '.[test]'
pytest
tastemaker doctor
```
"""
