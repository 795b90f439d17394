"""The outer edges of the application: paths as they were sent, and an answer whatever happens."""

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problems import problem_of

PLUGINS = "/v1/plugins/"


class RawPaths:
    """Routes by the path as it was sent, so that `%2F` is part of a name and no separator.

    Endpoints decode their own segments; the routes of plugins see decoded paths, as usual.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Put the raw path in place and pass on."""
        if scope["type"] == "http":
            raw = scope.get("raw_path")
            if raw and (b"%" in raw or not raw.isascii()) and not scope["path"].startswith(PLUGINS):
                # Undecodable bytes become lone surrogates, which no name may hold.
                scope["path"] = raw.partition(b"?")[0].decode("utf-8", "surrogateescape")
        await self._app(scope, receive, send)


class LastResort:
    """Answers every exception that reaches it with a problem; what nobody foresaw is logged under an id."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and answer for what fails."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except ClientDisconnect:
            return
        except Exception as error:
            problem = problem_of(error, f"{scope['method']} {instance(scope)}")
            if started:
                raise
            await problem.response(instance(scope))(scope, receive, send)


def instance(scope: Scope) -> str:
    """The path that was asked for, as a URI reference in ASCII."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode("utf-8", "surrogateescape")
    return raw.partition(b"?")[0].decode("ascii", "replace").replace("\ufffd", "?")[:1024]
