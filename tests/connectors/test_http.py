"""Any API by YAML alone: URLs, pages, fields, and a whole domain without a line of Python."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request as Asked
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tastemaker.connectors.http import Api, Items, Proposals
from tastemaker.connectors.templates import Template
from tastemaker.core import (
    Collection,
    CollectorError,
    Exhausted,
    Fault,
    Garbage,
    LocalMemory,
    Record,
    Request,
    diagnosis,
)
from tastemaker.core.clock import wall
from tastemaker.core.config import load
from tastemaker.core.orchestrator import Orchestrator
from tastemaker.tests.fakes.faults import Fault as Trouble
from tastemaker.tests.fakes.faults import Faults
from tastemaker.tests.fakes.using import using

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "books-api.yaml"
TOKEN = "tok/en of-the-shelf"
WORDS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20)


class TestTemplates:
    @given(shelf=WORDS, interests=st.lists(WORDS, min_size=1, max_size=3), mood=WORDS)
    def test_values_stay_where_they_are_put(self, shelf: str, interests: list[str], mood: str) -> None:
        """Whatever a user writes becomes no other path, parameter or host."""
        template = Template.of(
            "https://api.example/v1/{settings.shelf}/books?q={profile.interests}&m={situation.mood}&z=1"
        )
        values = {
            "settings": {"shelf": shelf},
            "profile": {"interests": interests},
            "situation": {"mood": mood},
        }
        url = template.filled(values)
        if url is None:
            assert not all(text.strip().strip(".") for text in (shelf, mood)) or not any(
                map(str.strip, interests)
            )
            return
        parts = urlsplit(url)
        assert (parts.scheme, parts.netloc) == ("https", "api.example")
        assert [unquote(part) for part in parts.path.split("/")] == ["", "v1", shelf.strip(), "books"]
        joined = ",".join(filter(None, (text.strip() for text in interests)))
        assert parse_qs(parts.query, keep_blank_values=True) == {
            "q": [joined],
            "m": [mood.strip()],
            "z": ["1"],
        }

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("/x?q={profil.interests}", "nothing is called 'profil'; did you mean 'profile'"),
            ("/x?q={profile}", "must be written {profile.NAME}"),
            ("/x?q={user.name}", "must be written {user}"),
            ("/x?q={2+2}", "is no placeholder"),
            ("/x?q={user", "a brace without its other half"),
        ],
    )
    def test_what_is_no_placeholder_is_refused(self, text: str, said: str) -> None:
        with pytest.raises(ValueError, match=said):
            Template.of(text)

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (True, "true"),
            (3.0, "3"),
            (0.5, "0.5"),
            (["a", None, 2], "a%2C2"),
            ({"a": 1}, None),
            ([], None),
            ("..", None),
        ],
    )
    def test_values_as_they_stand_in_a_url(self, value: Any, text: str | None) -> None:
        assert Template.of("/{settings.x}").filled({"settings": {"x": value}}) == (text and f"/{text}")


BOOKS = [
    {"id": n, "attributes": {"title": f"Book {n}", "tags": ["a", "b"]}, "changed": f"2026-01-{n:02}"}
    for n in range(1, 26)
]


async def by_page(request: Asked) -> Response:
    page, size = int(request.query_params["page"]), int(request.query_params.get("per_page", 10))
    return JSONResponse({"data": BOOKS[(page - 1) * size : page * size]})


async def by_offset(request: Asked) -> Response:
    offset = int(request.query_params["offset"])
    return JSONResponse({"data": BOOKS[offset : offset + 10]})


async def by_cursor(request: Asked) -> Response:
    begin = int(request.query_params.get("after", "c0")[1:])
    more = begin + 10 < len(BOOKS)
    return JSONResponse(
        {"data": BOOKS[begin : begin + 10], "meta": {"next": f"c{begin + 10}" if more else None}}
    )


async def by_url(request: Asked) -> Response:
    begin = int(request.query_params.get("from", 0))
    url = f"{request.app.state.base_url}/url?from={begin + 10}" if begin + 10 < len(BOOKS) else None
    return JSONResponse({"data": BOOKS[begin : begin + 10], "next": url})


async def by_link(request: Asked) -> Response:
    begin = int(request.query_params.get("from", 0))
    headers = {"link": f'</link?from={begin + 10}>; rel="next"'} if begin + 10 < len(BOOKS) else {}
    return JSONResponse(BOOKS[begin : begin + 10], headers=headers)


async def endless(request: Asked) -> Response:
    return JSONResponse({"data": BOOKS[:2], "next": f"{request.app.state.base_url}/endless"})


async def lured(request: Asked) -> Response:
    return JSONResponse({"data": BOOKS[:2], "next": "https://evil.example/collect"})


async def changed(request: Asked) -> Response:
    since = request.query_params["since"]
    return JSONResponse([book for book in BOOKS if book["changed"] > since])


async def guarded(request: Asked) -> Response:
    given = (
        request.headers.get("x-key"),
        request.headers.get("authorization"),
        request.query_params.get("key"),
    )
    return JSONResponse([{"id": str(given)}])


async def shelves(request: Asked) -> Response:
    """The same ETag for all, whatever the language."""
    language = request.headers.get("accept-language", "")
    return JSONResponse(
        [{"id": f"{request.path_params['name']} {language}".strip()}], headers={"etag": '"1"'}
    )


async def library(request: Asked) -> Response:
    """As Open Library's search answers."""
    query = request.query_params["q"].lower().removeprefix("subject:")
    page, limit = int(request.query_params.get("page", 1)), int(request.query_params.get("limit", 100))
    found = [
        {
            "key": f"/works/OL{n}{query.encode().hex()}W",
            "title": f"{query.title()} Volume {n}",
            "author_name": [f"Author {n % 7}"],
            "subject": [query, "Fiction", *(f"s{i}" for i in range(20))],
            "first_publish_year": 1900 + n % 120,
            "edition_count": n,
        }
        for n in range(1, 161)
    ]
    return JSONResponse(
        {"numFound": len(found), "start": 0, "docs": found[(page - 1) * limit : page * limit]}
    )


@pytest.fixture
def app() -> Starlette:
    endpoints = {
        "/page": by_page, "/offset": by_offset, "/cursor": by_cursor, "/url": by_url, "/link": by_link,
        "/endless": endless, "/lured": lured, "/changed": changed, "/guarded": guarded, "/search.json": library,
        "/shelves/{name}/{of}": shelves,
    }  # fmt: skip
    routes = [Route(path, endpoint) for path, endpoint in endpoints.items()]
    app = Starlette(routes=routes, middleware=[Middleware(Faults)])
    app.state.requests, app.state.faults, app.state.answers = [], [], []
    return app


@pytest.fixture
def run(base_url: str) -> Callable[..., Any]:
    def run(work: Callable[[Api], Awaitable[Any]], **options: Any) -> Any:
        service = Api(**{"url": base_url, "retries": 0, **options})
        return using(service, work, name="shelf")

    return run


async def collected(collector: Items, collection: Collection | None = None) -> list[Any]:
    return [each async for each in collector.collect(collection or Collection("books", 0.0))]


FIELDS = {"id": "id", "title": "attributes.title", "tags": "attributes.tags", "none": "nothing.here"}


class TestItems:
    @pytest.mark.parametrize(
        ("path", "items", "paging", "pages"),
        [
            ("/page", "data", {"by": "page", "size": 10, "size_parameter": "per_page"}, 3),
            ("/page", "data", {"by": "page"}, 4),
            ("/offset", "data", {"by": "offset", "size": 10}, 3),
            ("/cursor", "data", {"by": "cursor", "parameter": "after", "next": "meta.next"}, 3),
            ("/url", "data", {"by": "url", "next": "next"}, 3),
            ("/link", "@", {"by": "link"}, 3),
        ],
    )
    def test_all_pages_are_read(self, run, app, path, items, paging, pages):
        async def work(service: Api) -> None:
            found = await collected(
                Items(service=service, path=path, items=items, fields=FIELDS, paging=paging)
            )
            assert [record.values["id"] for record in found] == list(range(1, 26))
            assert found[3].values == {"id": 4, "title": "Book 4", "tags": ["a", "b"], "none": None}
            assert "page 1, item 4" in found[3].where

        run(work)
        assert len(app.state.requests) == pages

    def test_pages_that_never_end_do(self, run, app):
        async def work(service: Api) -> None:
            reading = Items(
                service=service, path="/endless", items="data", paging={"by": "url", "next": "next"}
            )
            found = await collected(reading)
            assert isinstance(found[-1], Fault)
            assert "read already" in found[-1].message
            cut = Items(service=service, path="/page", items="data", paging={"by": "page", "most": 2})
            assert len(await collected(cut)) == 20

        run(work)

    def test_a_page_of_another_host_is_not_read(self, run, app):
        async def work(service: Api) -> None:
            reading = Items(
                service=service, path="/lured", items="data", paging={"by": "url", "next": "next"}
            )
            with pytest.raises(
                CollectorError, match=r"page 2: .*https://evil\.example, which the config doesn't name"
            ):
                await collected(reading)

        run(work)

    def test_only_what_is_new_since_the_last_time(self, run, app):
        async def work(service: Api) -> None:
            reading = Items(service=service, path="/changed?since={mark|2026-01-20}", mark="changed")
            first, second = Collection("books", 0.0), Collection("books", 0.0, mark="2026-01-25")
            assert len(await collected(reading, first)) == 5
            assert first.mark == "2026-01-25"
            assert await collected(reading, second) == []
            assert second.mark == "2026-01-25"
            with pytest.raises(CollectorError, match="can't be filled in"):
                await collected(Items(service=service, path="/changed?since={mark}"))

        run(work)

    def test_a_bad_row_is_left_out_and_told_of(self, run, app):
        body = b'{"data": [1, 2, "x", null, {"id": "ok"}]}'

        async def work(service: Api) -> None:
            app.state.faults = [Trouble(status=200, body=body, times=-1)]
            *faults, record = await collected(Items(service=service, path="/rows", items="data"))
            assert record == Record({"id": "ok"}, "/rows page 1, item 5")
            assert [fault.message for fault in faults if isinstance(fault, Fault)] == [
                f"it is no object but {kind}" for kind in ("a number", "a number", "a text", "null")
            ]
            source = Proposals(service=service, path="/rows", items="data")
            assert await source.propose(Asking()) == [{"id": "ok"}]

        run(work)

    @pytest.mark.parametrize(
        "path", ["//evil.example/{user}", "https://evil.example/x", "HTTP://evil.example"]
    )
    def test_a_path_that_names_a_host_is_refused(self, path):
        with pytest.raises(ValidationError, match="must be a path"):
            Proposals(service=Api(url="https://api.example"), path=path)

    def test_fields_without_the_id_are_complained_of(self):
        api = Api(url="https://api.example")
        reading = Items(service=api, path="/x", fields={"title": "t", "genre": "g"})
        known = {"title": "text", "genre": "tags"}
        assert [option for option, _ in reading.misfits(known)] == ["fields"]
        assert list(Items(service=api, path="/x", fields={"title": "t", "isbn": "id"}).misfits(known)) == []

    def test_it_says_which_page_failed(self, run, app):
        async def work(service: Api) -> None:
            reading = Items(service=service, path="/page", items="data", paging={"by": "page"})
            app.state.faults = [Trouble(status=500, body=b'{"error": {"message": "out of ink"}}')]
            with pytest.raises(CollectorError, match="page 1: shelf: items: HTTP 500: out of ink"):
                await collected(reading)
            with pytest.raises(CollectorError, match="there is no list of objects"):
                await collected(Items(service=service, path="/page?page=1", items="data[0].id"))

        run(work)


class TestTheApi:
    @pytest.mark.parametrize(
        ("options", "given"),
        [
            ({"token": TOKEN}, (None, f"Bearer {TOKEN}", None)),
            ({"token": TOKEN, "header": "X-Key", "scheme": ""}, (TOKEN, None, None)),
            ({"token": TOKEN, "parameter": "key"}, (None, None, TOKEN)),
            ({"send": {"x-key": "public"}}, ("public", None, None)),
        ],
    )
    def test_the_token_goes_where_the_api_wants_it(self, run, options, given):
        async def work(service: Api) -> None:
            (record,) = await collected(Items(service=service, path="/guarded"))
            assert record.values["id"] == str(given)

        run(work, **options)

    def test_without_the_token_that_it_wants_it_is_not_configured(self):
        url = "https://api.shelf.example"
        assert Api(url=url).configured
        assert not Api(url=url, token="").configured
        assert Api(url=url, token="x").configured
        assert "of-the-shelf" not in repr(Api(url=url, token=TOKEN))

    def test_its_calls_have_a_budget(self, run, app):
        async def work(service: Api) -> None:
            reading = Items(service=service, path="/page", items="data", paging={"by": "page"})
            with pytest.raises(CollectorError, match=r"page 3: .*the budget 'calls' of 2 a day is spent"):
                await collected(reading)

        run(work, budgets={"calls": {"limit": 2}})
        assert len(app.state.requests) == 2

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"url": "api.example"}, "must begin with https://"),
            ({"url": "https://x", "budgets": {"search": {"limit": 1}}}, "its only budget is `calls`"),
        ],
    )
    def test_what_is_wrong_is_said(self, options, said):
        with pytest.raises(ValidationError, match=said):
            Api(**options)

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"items": "data["}, "is no JMESPath"),
            ({"fields": {"id": "]"}}, "is no JMESPath"),
            ({"path": "/x?{nobody}"}, "nothing is called 'nobody'"),
            ({"paging": {"by": "cursor"}}, "`by: cursor` needs a `next`"),
            ({"paging": {"by": "page", "next": "x"}}, "`by: page` has no `next`"),
            ({"paging": {"by": "offset"}}, "needs the `size`"),
        ],
    )
    def test_a_reading_that_cant_work_is_refused(self, options, said):
        with pytest.raises(ValidationError, match=said):
            Items(**{"service": Api(url="https://x.example"), "path": "/x", **options})

    def test_what_doesnt_go_with_the_domain_is_said_when_the_config_is_read(self):
        service = Api(url="https://x.example")
        reading = Items(
            service=service,
            path="/{settings.shelff}",
            settings={"shelf": "new"},
            fields={"id": "id", "titel": "t"},
        )
        problems = dict(reading.misfits({"title": "text"}))
        assert "did you mean 'shelf'" in problems["path"]
        assert "of 'id' and 'titel' only one can be the id" in problems["fields"]
        assert "did you mean 'title'" in problems["fields"]


class Asking:
    def __init__(self, **parts: Any) -> None:
        self.profile, self.situation, self.user, self.domain, self.now, self.size = (
            {},
            {},
            "ann",
            "books",
            0.0,
            5,
        )
        self.__dict__.update(parts)


class TestProposals:
    def test_it_proposes_what_the_api_answers(self, run, app):
        async def work(service: Api) -> None:
            source = Proposals(
                service=service, path="/changed?since={situation.since|2026-01-23}", fields=FIELDS, limit=1
            )
            assert [item["title"] for item in await source.propose(Asking())] == ["Book 24"]
            assert [
                item["id"] for item in await source.propose(Asking(situation={"since": "2026-01-24"}))
            ] == [25]
            for user in ("bob", "cid"):
                await source.propose(Asking(user=user))  # shares the answer
            nothing = Proposals(service=service, path="/changed?since={profile.since}")
            assert await nothing.propose(Asking()) == []
            app.state.faults = [Trouble("/changed", status=404)]
            assert await source.propose(Asking(situation={"since": "never"})) == []

        run(work)
        assert len(app.state.requests) == 3

    def test_apis_on_one_host_share_their_budget_and_no_answer(self, base_url, app):
        """What an option changes in the answer is no answer for whoever has it otherwise."""
        memory, budgets = LocalMemory(wall), {"calls": {"limit": 3}}

        async def main() -> list[Any]:
            found = []
            for options in (
                {"url": f"{base_url}/shelves/films"},
                {"url": f"{base_url}/shelves/books"},
                {"url": f"{base_url}/shelves/books", "send": {"accept-language": "de"}},
                {"url": f"{base_url}/shelves/books", "timeout_seconds": 4.0},  # asks nothing else
            ):
                service = Api(budgets=budgets, **options)
                service._bind(memory, wall, "shelf")
                found += await Proposals(service=service, path="/all").propose(Asking())
            with pytest.raises(Exhausted):
                await Proposals(service=service, path="/more").propose(Asking())
            return [each["id"] for each in found]

        assert asyncio.run(main()) == ["films", "books", "books de", "books"]
        assert len(app.state.requests) == 3

    def test_what_fails_is_an_error_that_the_slate_can_name(self, run, app):
        app.state.faults = [Trouble(garbage=b"<html>", times=-1)]

        async def work(service: Api) -> None:
            with pytest.raises(Garbage):
                await Proposals(service=service, path="/page?page=1").propose(Asking())

        run(work)

    def test_a_spent_budget_too(self, run):
        async def work(service: Api) -> None:
            with pytest.raises(Exhausted):
                await Proposals(service=service, path="/page?page=1", items="data").propose(Asking())

        run(work, budgets={"calls": {"limit": 0}})


def test_a_whole_domain_without_python(app, base_url, tmp_path, monkeypatch):
    """The example of the documentation, against a server that answers as the service does."""
    monkeypatch.setenv("BOOKS_API_URL", base_url)
    monkeypatch.setenv("TASTEMAKER_STORE", f"sqlite:///{tmp_path}/books.db")

    async def life() -> None:
        settings = load(EXAMPLE)
        (step,) = settings.domains["books"].collectors
        async with Orchestrator(settings) as tastemaker:
            records = [each async for each in step.component.collect(Collection("books", 0.0))]
            assert len(records) > 100
            assert all(isinstance(each, Record) for each in records)
            await tastemaker.put_items("books", [record.values for record in records])
            await tastemaker.put_profile("ann", {"interests": ["sailing ships"]})
            slate = await tastemaker.recommend("books", Request("ann"))
            assert slate.degraded == []
            assert len(slate.picks) == 12
            catalog = tastemaker.agent("books").catalog.snapshot()
            items = [catalog.item(catalog.row(pick.item)) for pick in slate.picks]
            assert sum("Sailing Ships" in item["title"] for item in items) >= 3
            assert all(len(item["subjects"]) == 12 for item in items)
        assert app.state.requests[0].headers["user-agent"] == "my-recommender (me@example.org)"

    asyncio.run(life())


def test_slates_and_the_doctor_name_a_key_that_the_service_refuses(app, base_url, tmp_path):
    app.state.faults = [Trouble("/guarded", status=401, body=b'{"message": "bad key"}', times=-1)]
    (tmp_path / "books.csv").write_text("id,title\n1,Emma\n2,Dune\n")
    config = tmp_path / "config.yaml"
    config.write_text(
        f"""\
store: sqlite:///{tmp_path}/books.db
plugins: [http, files]
domains:
  books:
    connectors:
      shelf: {{use: http.api, url: "{base_url}", token: wr0ng-key, breaker: {{failures: 2, seconds: 1h}}}}
    items: {{from: {{use: files.table, path: books.csv}}, fields: {{title: text}}}}
    sources:
      search: {{use: http.source, path: "/guarded?q={{user}}"}}
    slate: {{size: 2, deadline_ms: 20000}}
"""
    )
    why = r"left alone for 3\d+ s after 2 refusals in a row; the last: shelf: proposals: HTTP 401: bad key"

    async def life() -> None:
        settings = load(config, environ={})
        async with Orchestrator(settings) as tastemaker:
            for number in range(5):
                slate = await tastemaker.recommend("books", Request(f"user {number}"))
                assert len(slate.picks) == 2
            noted = {each.component: each.reason for each in slate.degraded}
            assert re.search(why, noted["sources.search"])
            (state,) = await diagnosis.connectors(settings.domains["books"])
            assert re.search(why, state.trouble)

    asyncio.run(life())
    assert len(app.state.requests) == 2
