"""shop.feed_url: a feed over HTTP, from its own host, up to a size, and only where it has changed."""

import asyncio
import gzip
import hashlib
import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import pytest
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from tastemaker.connectors.feed import Feed
from tastemaker.connectors.feed_download import FeedUrl
from tastemaker.core import (
    Collection,
    CollectorError,
    Exhausted,
    Fault,
    Garbage,
    Invalid,
    Record,
    Refused,
    ServiceError,
    Unreachable,
)
from tastemaker.tests.fakes import faults
from tastemaker.tests.fakes.serving import serve

CSV = "id,title,price,sale_price,sale_price_effective_date\n1,Mug,12 EUR,,\n2,Jug,9 EUR,,\n"
SECRET = "t0ken-of-the-feed"
QUICK: dict[str, Any] = {"timeout_seconds": 30, "retries": 0}


async def feed(request: Request) -> Response:
    """The feed with an ETag, a time or neither, as the path says; unpacked on the way, or a packed file."""
    state, how = request.app.state, request.path_params["how"]
    if how == "private" and request.headers.get("authorization") != "Basic YW5uOnB3LW9mLWFubg==":
        return Response("who are you?", 401)
    body = state.body if isinstance(state.body, bytes) else state.body.encode()
    headers = {}
    if how == "etag":
        headers["ETag"] = f'"{hashlib.sha256(body).hexdigest()[:8]}"'
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(None, 304, headers)
    if how == "modified":
        headers["Last-Modified"] = state.modified
        if request.headers.get("if-modified-since") == state.modified:
            return Response(None, 304, headers)
    if how == "encoded":
        return Response(gzip.compress(body), headers={"Content-Encoding": "gzip"}, media_type="text/csv")
    return Response(gzip.compress(body) if how == "packed" else body, headers=headers)


async def elsewhere(request: Request) -> Response:
    return RedirectResponse(request.query_params["to"])


@pytest.fixture
def app() -> Starlette:
    routes = [Route("/away", elsewhere), Route("/{how}/products.csv", feed)]
    app = Starlette(routes=routes, middleware=[Middleware(faults.Faults)])
    app.state.body, app.state.modified = CSV, formatdate(1_794_000_000, usegmt=True)
    return app


@pytest.fixture
def url(app: Starlette) -> Iterator[str]:
    with serve(app) as url:
        yield url


def collected(service: FeedUrl, collection: Collection | None = None) -> list[Any]:
    async def run() -> list[Any]:
        feed = Feed(service=service)
        return [each async for each in feed.collect(collection or Collection("shop", time.time()))]

    return asyncio.run(run())


def failure(service: FeedUrl) -> Exception:
    with pytest.raises((ServiceError, CollectorError)) as caught:
        collected(service)
    return caught.value


@pytest.mark.parametrize("how", ["plain", "packed", "encoded", "etag", "modified"])
def test_a_feed_comes_over_http(url: str, how: str) -> None:
    found = collected(FeedUrl(url=f"{url}/{how}/products.csv", **QUICK))
    assert [(each.values["id"], each.where) for each in found if isinstance(each, Record)] == [
        ("1", "products.csv:2"), ("2", "products.csv:3")
    ]  # fmt: skip


@pytest.mark.parametrize("how", ["etag", "modified"])
def test_only_a_feed_that_has_changed_is_read_again(app: Starlette, url: str, how: str) -> None:
    service, first = FeedUrl(url=f"{url}/{how}/products.csv", **QUICK), Collection("shop", time.time())
    assert len(collected(service, first)) == 2
    again = Collection("shop", time.time(), mark=first.mark)
    assert collected(service, again) == []
    assert (again.partial, again.mark) == (True, first.mark)
    app.state.body, app.state.modified = CSV + "3,Cup,3 EUR,,\n", formatdate(1_795_000_000, usegmt=True)
    assert len(collected(service, again)) == 3


def test_a_sale_that_has_ended_has_an_unchanged_feed_read_again(app: Starlette, url: str) -> None:
    app.state.body = CSV.replace("1,Mug,12 EUR,,", "1,Mug,12 EUR,10 EUR,2026-11-01T00:00Z/2026-11-10T00:00Z")
    service = FeedUrl(url=f"{url}/etag/products.csv", **QUICK)
    first = Collection("shop", 1_794_000_000.0)  # 2026-11-06
    assert collected(service, first)[0].values["price"] == 10
    later = Collection("shop", 1_794_000_000.0 + 5 * 86_400, mark=first.mark)
    assert collected(service, later)[0].values["price"] == 12


def test_the_mark_of_another_feed_is_none(url: str) -> None:
    first = Collection("shop", time.time())
    collected(FeedUrl(url=f"{url}/etag/products.csv?of=a", **QUICK), first)
    other = FeedUrl(url=f"{url}/etag/products.csv?of=b", **QUICK)
    assert len(collected(other, Collection("shop", time.time(), mark=first.mark))) == 2


def test_an_account_is_sent(app: Starlette, url: str) -> None:
    address = f"{url}/private/products.csv"
    assert len(collected(FeedUrl(url=address, user="ann", password="pw-of-ann", **QUICK))) == 2
    assert isinstance(failure(FeedUrl(url=address, **QUICK)), Refused)


def test_it_goes_nowhere_else(url: str, strays: list[str]) -> None:
    assert len(collected(FeedUrl(url=f"{url}/away?to={url}/plain/products.csv", **QUICK))) == 2
    for host in ("http://169.254.169.254/latest", "http://127.0.0.1:1/x.csv", "file:///etc/passwd"):
        found = failure(FeedUrl(url=f"{url}/away?to={host}", **QUICK))
        assert isinstance(found, Garbage)
        assert "which the config doesn't name" in str(found)
    found = failure(FeedUrl(url=f"{url}/away?to=/away?to=/away", **QUICK))
    assert isinstance(found, Garbage | Invalid | Unreachable)
    assert strays == []


def test_every_request_is_charged_and_none_is_made_beyond_the_budget(app: Starlette, url: str) -> None:
    address = f"{url}/away?to=/plain/products.csv"
    service = FeedUrl(url=address, budgets={"feed": {"limit": 5}}, **QUICK)

    def left() -> int:
        return asyncio.run(service.remaining())["feed"].left

    assert len(collected(service)) == 2
    assert left() == 3
    assert asyncio.run(service.health()) is None
    assert left() == 1
    assert isinstance(failure(service), Exhausted)  # the redirect would be one too many
    assert "the budget 'feed' of 5 in 3600 s is spent" in str(asyncio.run(service.health()))
    assert [asked.path for asked in app.state.requests] == ["/away", "/plain/products.csv"] * 2 + ["/away"]


def test_its_health_leaves_a_service_alone_that_fails(app: Starlette, url: str) -> None:
    app.state.faults = [faults.Fault(status=500, times=-1)]
    service = FeedUrl(url=f"{url}/plain/products.csv", breaker={"failures": 2}, **QUICK)
    for _ in range(4):
        said = str(asyncio.run(service.health()))
    assert "left alone for" in said
    assert len(app.state.requests) == 2


@pytest.mark.parametrize("how", ["plain", "encoded"])
def test_a_feed_may_be_so_large_and_no_larger(app: Starlette, url: str, how: str) -> None:
    app.state.body = CSV + "".join(f"{number},Mug {number},1 EUR,,\n" for number in range(3, 3000))
    address = f"{url}/{how}/products.csv"
    found = failure(FeedUrl(url=address, largest_megabytes=0.01, **QUICK))
    assert isinstance(found, Invalid)
    assert "larger than 0.01 MB" in str(found)
    assert len(collected(FeedUrl(url=address, largest_megabytes=0.1, **QUICK))) == 2999


def test_a_bomb_is_not_unpacked(app: Starlette, url: str) -> None:
    app.state.body = CSV.encode() + b" " * 20_000_000
    found = failure(FeedUrl(url=f"{url}/packed/products.csv", largest_megabytes=0.5, **QUICK))
    assert "products.csv unpacks to more than 5,000,000 bytes" in str(found)


@pytest.mark.parametrize(
    "fault",
    [faults.Fault(drop=True), faults.Fault(status=503), faults.Fault(delay=3.0), faults.Fault(status=500)],
)
def test_trouble_leaves_nothing_behind(app: Starlette, url: str, fault: faults.Fault, tmp_path: Any) -> None:
    app.state.faults = [fault]
    collection = Collection("shop", time.time())
    service = FeedUrl(url=f"{url}/etag/products.csv", timeout_seconds=1, retries=0)
    with pytest.raises(Unreachable):
        collected(service, collection)
    assert collection.mark == ""
    assert len(collected(FeedUrl(url=f"{url}/etag/products.csv", **QUICK))) == 2


def test_what_is_no_feed_is_told(app: Starlette, url: str) -> None:
    app.state.body = "<html><body>Log in, please</body></html>"
    assert "products.csv is no product feed" in str(
        failure(FeedUrl(url=f"{url}/plain/products.csv", **QUICK))
    )


def test_secrets_of_the_url_are_never_shown(app: Starlette, url: str) -> None:
    service = FeedUrl(url=f"{url}/plain/products.csv?token={SECRET}", **QUICK)
    assert SECRET not in repr(service)
    app.state.body = CSV + "3,,1 EUR,,\n"
    found = collected(service)
    assert [each for each in found if isinstance(each, Fault)] == [
        Fault("products.csv:4", "'3' has no title")
    ]
    app.state.faults = [faults.Fault(status=500)]
    assert SECRET not in str(failure(service))


def test_health_and_configuration(app: Starlette, url: str) -> None:
    assert asyncio.run(FeedUrl(url=f"{url}/plain/products.csv").health()) is None
    assert "404" in str(asyncio.run(FeedUrl(url=f"{url}/nothing").health()))
    assert "connect" in str(asyncio.run(FeedUrl(url="http://127.0.0.1:1/x").health())).lower()
    assert not FeedUrl().configured
    assert FeedUrl(url="https://ann:pw@shop.example/f.xml").hosts == {"shop.example"}
    for wrong in ("shop.example/f.xml", "ftp://shop.example/f.xml", "f.xml"):
        with pytest.raises(ValidationError, match="must be a URL"):
            FeedUrl(url=wrong)
