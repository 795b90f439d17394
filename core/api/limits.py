"""Limits: how long a body and a query may be, counted as they arrive."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problems import Issue, Problem

_LONGEST_QUERY = 16_384
_LONGEST_PATH = 8_192


class Limits:
    """Refuses what is too long: at once where its length is declared, else as it is read. Raises Problem."""

    def __init__(self, app: ASGIApp, body_bytes: int) -> None:
        self._app = app
        self._most = body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, and count what is received."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if len(scope["query_string"]) > _LONGEST_QUERY:
            raise _too_large("query", f"is longer than {_LONGEST_QUERY:,} bytes", "use the POST form")
        if len(scope["path"]) > _LONGEST_PATH:
            raise _too_large("path", f"is longer than {_LONGEST_PATH:,} characters", "")
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value[:20]) > self._most:
                raise self._too_long()
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > self._most:
                    raise self._too_long()
            return message

        await self._app(scope, counted, send)

    def _too_long(self) -> Problem:
        return _too_large(
            "body", f"is longer than {self._most:,} bytes", "send it in parts, or raise api.body_limit_bytes"
        )


def _too_large(where: str, message: str, hint: str) -> Problem:
    return Problem("too-large", f"The {where} {message}.", [Issue(where, message, hint)])
