"""JSON over HTTP: what is asked, what is believed, and what an answer means."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from typing import Any, ClassVar

import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from tastemaker.connectors.web import Answer, HttpService
from tastemaker.core import (
    Call,
    Exhausted,
    Garbage,
    Invalid,
    Keeping,
    Missing,
    Refused,
    Throttled,
    Unreachable,
)
from tastemaker.core.clock import ManualClock
from tastemaker.tests.fakes.faults import Fault, Faults
from tastemaker.tests.fakes.using import using

NOON = 1_795_262_400.0


class Library(HttpService):
    """A service over HTTP as a subclass of it might be."""

    heard: ClassVar[frozenset[str]] = frozenset({"x-total"})

    url: str
    key: SecretStr = SecretStr("s3cret/key!")

    def headers(self) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self.key.get_secret_value()}"}

    async def books(self, path: str = "/books", key: str | None = None, **params: Any) -> Answer:
        return await self.fetch(Call("books", bucket="calls", key=key), self.url + path, params)


async def books(request: Request) -> Response:
    page = int(request.query_params.get("page", 1))
    headers = {"x-total": "3", "etag": f'"v{request.app.state.version}"'}
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    if page < 3:
        headers["link"] = f'</books?page={page + 1}>; rel="next", </books?page=3>; rel="last"'
    return JSONResponse([{"title": f"book {page}", "version": request.app.state.version}], headers=headers)


async def moved(request: Request) -> Response:
    return RedirectResponse(request.query_params["to"], 301)


async def large(request: Request) -> Response:
    return Response(b'"' + b"x" * 2_000_000 + b'"', media_type="application/json")


async def echo(request: Request) -> Response:
    body = await request.json() if request.method == "POST" else None
    return JSONResponse(
        {"query": str(request.url.query), "body": body, "agent": request.headers["user-agent"]}
    )


async def locked(request: Request) -> Response:
    """Opens to one key, and to the token of one person."""
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    if given in (request.app.state.key, "tok-of-ann"):
        return JSONResponse({"open": True})
    return JSONResponse({"message": "Bad credentials"}, 401)


@pytest.fixture
def app() -> Starlette:
    routes = [
        Route("/locked", locked),
        Route("/books", books),
        Route("/moved", moved),
        Route("/large", large),
        Route("/echo", echo, methods=["GET", "POST"]),
    ]
    app = Starlette(routes=routes, middleware=[Middleware(Faults)])
    app.state.version, app.state.requests, app.state.faults = 1, [], []
    app.state.key = "the right key"
    return app


def run(service: HttpService, work: Callable[[], Awaitable[Any]], clock: Any = None) -> Any:
    return using(service, lambda _: work(), clock=clock or ManualClock(NOON), name="library")


def test_an_answer_is_json_with_the_headers_asked_for_and_the_next_page(base_url):
    service = Library(url=base_url)

    async def work() -> list[str]:
        titles, answer = [], await service.books(page=1)
        assert answer.headers == {"x-total": "3"}
        while True:
            titles.append(answer.value[0]["title"])
            if answer.next is None:
                return titles
            answer = await service.fetch(Call("books"), answer.next)

    assert run(service, work) == ["book 1", "book 2", "book 3"]


def test_parameters_join_those_of_the_url_and_a_body_is_sent(base_url):
    service = Library(url=base_url)

    async def work() -> None:
        answer = await service.fetch(Call("echo"), f"{base_url}/echo?a=1", {"b": "x&y ü"})
        assert answer.value["query"] == "a=1&b=x%26y+%C3%BC"
        answer = await service.fetch(Call("echo"), f"{base_url}/echo", method="POST", body={"q": [1]})
        assert answer.value["body"] == {"q": [1]}
        assert answer.value["agent"] == "tastemaker"

    run(service, work)


def test_what_has_not_changed_is_not_sent_again(base_url, app):
    clock = ManualClock(NOON)
    service = Library(url=base_url, cache=Keeping(answers=60, stale=0))

    async def work() -> None:
        for version in (1, 1, 2):
            app.state.version = version
            answer = await service.books(key="books")
            assert answer.value[0]["version"] == version
            assert answer.headers == {"x-total": "3"}
            clock.advance(120)

    run(service, work, clock)
    asked = [request.headers.get("if-none-match") for request in app.state.requests]
    assert asked == [None, '"v1"', '"v1"']


def test_it_goes_where_it_is_sent_only_on_hosts_of_the_config(base_url, app):
    service = Library(url=base_url, retries=0)

    async def work() -> None:
        answer = await service.books("/moved", to="/books?page=2")
        assert answer.value[0]["title"] == "book 2"
        for elsewhere in (
            "https://evil.example/books",
            base_url.replace("http", "https", 1),
            "//evil.example/",
        ):
            with pytest.raises(
                Garbage, match=r"books: it points to \w+://\S+, which the config doesn't name"
            ):
                await service.books("/moved", to=elsewhere)
        with pytest.raises(Garbage, match="more than 3 redirects"):
            await service.books("/moved", to="/moved?to=/moved?to=/moved?to=/moved?to=/moved")
        app.state.requests.clear()
        with pytest.raises(Garbage, match="doesn't name"):
            await service.fetch(Call("books"), "http://127.0.0.1:9/books")

    run(service, work)
    assert app.state.requests == []


def test_each_redirect_is_charged(base_url):
    service = Library(url=base_url, retries=0, budgets={"calls": {"limit": 1}})

    async def work() -> None:
        with pytest.raises(Exhausted):
            await service.books("/moved", to="/books")

    run(service, work)


def test_a_service_that_redirects_comes_back_when_it_was_left_alone(app, base_url):
    clock = ManualClock(NOON)
    service = Library(url=base_url, retries=0, breaker={"failures": 1, "seconds": 30})
    app.state.faults.append(Fault(status=500))

    async def work() -> Answer:
        with pytest.raises(Unreachable):
            await service.books("/moved", to="/books")
        clock.advance(31)
        return await service.books("/moved", to="/books")

    assert run(service, work, clock).value[0]["title"] == "book 1"


def test_an_endless_answer_is_cut_off(base_url):
    service = Library(url=base_url, retries=0, largest_megabytes=1)

    async def work() -> None:
        with pytest.raises(Garbage, match="longer than 1 MB"):
            await service.books("/large")

    run(service, work)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, Invalid), (401, Refused), (403, Refused), (404, Missing), (408, Unreachable), (410, Missing),
        (422, Invalid), (429, Throttled), (500, Unreachable), (502, Unreachable), (503, Unreachable), (304, Garbage),
    ],
)  # fmt: skip
def test_a_status_says_what_may_be_done(base_url, app, status, error):
    service = Library(url=base_url, retries=0)
    body = b"" if status == 304 else b'{"message": "no such shelf"}'
    app.state.faults = [Fault(status=status, body=body)]

    async def work() -> None:
        with pytest.raises(
            error, match=f"^library: books: HTTP {status}" + (": no such shelf" if body else "")
        ):
            await service.books()

    run(service, work)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("120", 120.0), (formatdate(NOON + 60, usegmt=True), 60.0), ("soon", 60.0), ("-5", 60.0), (None, 60.0)],
)
def test_the_time_that_a_service_asks_for_is_read(base_url, app, said, seconds):
    service = Library(url=base_url, retries=0)
    app.state.faults = [Fault(status=429, headers={} if said is None else {"retry-after": said})]

    async def work() -> None:
        with pytest.raises(Throttled) as raised:
            await service.books()
        assert raised.value.after == seconds

    run(service, work)


def test_broken_connections_and_late_answers_are_tried_again(base_url, app):
    service = Library(url=base_url, timeout_seconds=2, retries=2)
    app.state.faults = [Fault(drop=True), Fault(delay=3)]

    async def work() -> None:
        assert (await service.books()).value[0]["title"] == "book 1"

    run(service, work)
    assert service.metrics["books"]["failures"] == {"Unreachable": 2}


def test_what_is_no_json_is_said_to_be_none(base_url, app):
    service = Library(url=base_url, retries=0)
    app.state.faults = [Fault(garbage=b"<html>Welcome</html>")]

    async def work() -> None:
        with pytest.raises(Garbage, match="HTTP 200, and what should be JSON isn't"):
            await service.books()

    run(service, work)


def test_no_secret_is_shown_whatever_fails(base_url, app, caplog):
    key = "s3cret/key!"
    service = Library(url=base_url, retries=0, timeout_seconds=2)
    gone = Library(url="http://127.0.0.1:9", retries=0)
    body = b'{"message": "key s3cret/key! (s3cret%2Fkey%21) is wrong"}'
    app.state.faults = [
        Fault(drop=True),
        Fault(status=401, body=body),
        Fault(garbage=b"s3cret/key!"),
        Fault(delay=3),
    ]
    shown = []

    async def work() -> None:
        for each in (service, service, service, service, gone):
            with pytest.raises((Unreachable, Refused, Garbage)) as raised:
                await each.books(api_key=key)
            shown.append(f"{raised.value!r}")

    with caplog.at_level(logging.DEBUG):
        run(service, work)
    logged = [record.getMessage() for record in caplog.records if not record.name.startswith("uvicorn")]
    everything = "".join([*logged, *shown, repr(service)])
    assert "library: books: HTTP 401: key *** (***) is wrong" in everything
    assert "s3cret" not in everything


def test_another_event_loop_gets_connections_of_its_own(base_url):
    service = Library(url=base_url)

    async def work() -> None:
        assert (await service.books()).value
        assert (await asyncio.to_thread(asyncio.run, service.books())).value

    run(service, work)


class TestCredentials:
    """A key that the service refuses, and a user's token that it refuses."""

    OPTIONS: ClassVar[dict[str, Any]] = {
        "key": "a wrong key", "retries": 0, "breaker": {"failures": 3, "seconds": 30},
    }  # fmt: skip

    @staticmethod
    async def of_user(service: Library, token: str) -> Any:
        call = Call("shelf", user="somebody", secrets=(token,))
        return await service.fetch(
            call, f"{service.url}/locked", headers={"authorization": f"Bearer {token}"}
        )

    def test_a_key_that_is_refused_is_not_sent_on_and_on(self, base_url, app):
        service, clock = Library(url=base_url, **self.OPTIONS), ManualClock(NOON)
        left_alone = (
            "left alone for 30 s after 3 refusals in a row; the last: library: books: HTTP 401: Bad cred"
        )

        async def refused(times: int) -> list[str]:
            said = []
            for _ in range(times):
                with pytest.raises(Refused) as told:
                    await service.books("/locked")
                said.append(str(told.value))
            return said

        async def work() -> None:
            assert await service.health() is None
            assert left_alone in (await refused(10))[-1]
            assert len(app.state.requests) == 3
            assert left_alone in str(await service.health())
            assert (await self.of_user(service, "tok-of-ann")).value == {"open": True}  # has its own token
            assert len(app.state.requests) == 4
            clock.advance(31)
            await refused(5)
            assert len(app.state.requests) == 5  # one tries
            app.state.key = "a wrong key"
            clock.advance(31)
            for _ in range(3):
                assert (await service.books("/locked")).value == {"open": True}
            assert await service.health() is None

        run(service, work, clock)

    def test_a_users_token_that_is_refused_closes_nothing(self, base_url, app):
        app.state.key = "a wrong key"
        service = Library(url=base_url, **self.OPTIONS)

        async def work() -> None:
            for _ in range(10):
                with pytest.raises(Refused, match="HTTP 401: Bad credentials"):
                    await self.of_user(service, "tok-of-bob")
            assert (await self.of_user(service, "tok-of-ann")).value == {"open": True}
            assert (await service.books("/locked")).value == {"open": True}
            assert await service.health() is None

        run(service, work)
        assert len(app.state.requests) == 12

    def test_one_thing_that_is_not_for_us_closes_nothing(self, base_url, app):
        service = Library(url=base_url, **{**self.OPTIONS, "key": "the right key"})

        async def work() -> None:
            for _ in range(4):
                app.state.faults = [Fault("/books", status=403, times=2)]
                for _ in range(2):
                    with pytest.raises(Refused, match="HTTP 403"):
                        await service.books()
                await service.books("/locked")

        run(service, work)
