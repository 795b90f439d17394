"""Trouble on purpose: what a fake service does instead of answering, and a log of what it was asked.

app = Starlette(routes=…, middleware=[Middleware(Faults)])
app.state.faults.append(Fault("/v1/search", delay=2.0))           # once
app.state.faults.append(Fault("", status=503, times=-1))          # every request, until it is removed
app.state.requests                                                # all of them, in order
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass
class Fault:
    """What goes wrong with requests whose path begins with `path`, and that ask for all that `query` holds.

    times: for how many of them; -1 for all. delay: seconds before anything else. drop: end the connection in
    the middle of the answer. garbage: this body with status 200. status, headers, body: this answer.
    """

    path: str = ""
    times: int = 1
    query: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drop: bool = False
    garbage: bytes | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def meets(self, asked: "Asked") -> bool:
        """Whether it is a request that goes wrong."""
        return asked.path.startswith(self.path) and self.query.items() <= asked.query.items()


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass
class Answered:
    """What the app said to a request."""

    asked: Asked
    status: int
    headers: Mapping[str, str]
    body: bytes


class Faults:
    """Middleware: keeps `app.state.requests` and `app.state.answers`, and does what `app.state.faults` says."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state: Any = scope["app"].state
        for name in ("requests", "answers", "faults"):
            if not hasattr(state, name):
                setattr(state, name, [])
        query = {name: values[-1] for name, values in parse_qs(scope["query_string"].decode()).items()}
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        asked = Asked(scope["method"], scope["path"], query, headers)
        state.requests.append(asked)
        fault = next((fault for fault in state.faults if fault.meets(asked)), None)
        if fault is None:
            await self._noted(asked, state, scope, receive, send)
            return
        if fault.times > 0:
            fault.times -= 1
            if fault.times == 0:
                state.faults.remove(fault)
        await asyncio.sleep(fault.delay)
        if fault.drop:
            headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b'{"items": [', "more_body": True})
            return  # with less than was promised: uvicorn closes the connection
        if fault.garbage is not None:
            await Response(fault.garbage, 200, media_type="application/json")(scope, receive, send)
        elif fault.status is not None:
            answer = Response(fault.body, fault.status, dict(fault.headers), "application/json")
            await answer(scope, receive, send)
        else:
            await self._noted(asked, state, scope, receive, send)

    async def _noted(self, asked: Asked, state: Any, scope: Scope, receive: Receive, send: Send) -> None:
        answer = Answered(asked, 0, {}, b"")

        async def note(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
                state.answers.append(answer)  # before its reader can go on: a 304 is whole with its headers
            else:
                answer.body += message.get("body", b"")
            await send(message)

        await self.app(scope, receive, note)
