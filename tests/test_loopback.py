"""No test leaves this machine, and one that tries is told so."""

import asyncio
import socket
import urllib.request

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from tastemaker.tests.fakes.faults import Fault, Faults
from tastemaker.tests.fakes.serving import serve


def test_a_connection_to_elsewhere_is_refused_and_noted(strays: list[str]) -> None:
    with pytest.raises(OSError, match=r"this machine only, not to '192\.0\.2\.1'"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    assert strays
    strays.clear()


def test_a_name_of_elsewhere_is_not_even_looked_up(strays: list[str]) -> None:
    with pytest.raises(OSError, match=r"not to 'api\.example\.org'"):
        urllib.request.urlopen("http://api.example.org/")
    with pytest.raises(httpx.ConnectError):
        asyncio.run(httpx.AsyncClient().get("https://api.example.org/"))
    assert strays == ["getaddrinfo 'api.example.org'"] * 2
    strays.clear()


async def hello(request: Request) -> JSONResponse:
    return JSONResponse({"hello": request.query_params.get("name"), "at": str(request.base_url)})


class TestAFakeService:
    app = Starlette(routes=[Route("/hello", hello)], middleware=[Middleware(Faults)])

    def test_answers_over_http(self) -> None:
        with serve(self.app) as base_url:
            answer = httpx.get(f"{base_url}/hello", params={"name": "ann"})
            assert answer.json() == {"hello": "ann", "at": f"{base_url}/"}
            assert self.app.state.base_url == base_url
        assert self.app.state.requests[-1].query == {"name": "ann"}
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{base_url}/hello")

    def test_fails_on_demand(self) -> None:
        with serve(self.app) as base_url:
            self.app.state.requests = []
            self.app.state.faults = [
                Fault("/hello", drop=True),
                Fault("/hello", garbage=b"<html>"),
                Fault("/hello", status=429, headers={"retry-after": "3"}, times=2),
            ]
            with pytest.raises(httpx.RemoteProtocolError):
                httpx.get(f"{base_url}/hello")
            assert httpx.get(f"{base_url}/hello").text == "<html>"
            for _ in range(2):
                assert httpx.get(f"{base_url}/hello").headers["retry-after"] == "3"
            assert httpx.get(f"{base_url}/hello").status_code == 200
            assert len(self.app.state.requests) == 5
