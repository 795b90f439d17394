"""Keys: who may call. Paths under /v1 ask for one where the configuration holds any."""

import hashlib
import hmac
from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from .problems import Issue, Problem

_WAYS = "send Authorization: Bearer KEY, or X-API-Key: KEY"


class KeyCheck:
    """Lets requests through that show one of the keys. Raises Problem for the others."""

    def __init__(self, app: ASGIApp, keys: Iterable[str]) -> None:
        self._app = app
        # Digests of equal length: how long a comparison takes says nothing of a key.
        self._keys = [_key_digest(key.encode()) for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check and pass on."""
        if scope["type"] in ("http", "websocket") and _guarded(scope["path"]):
            self._check(scope["headers"])
        await self._app(scope, receive, send)

    def _check(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        shown = [key for name, value in headers if (key := _key(name, value))]
        if not shown:
            raise _refused("No key was sent.", "is missing")
        digest = _key_digest(shown[0])
        fits = [hmac.compare_digest(digest, key) for key in self._keys]
        if len(shown) > 1 or not any(fits):
            raise _refused("This key is not known here.", "holds no key that is known here")


def _guarded(path: str) -> bool:
    return path == "/v1" or path.startswith("/v1/")


def _key(name: bytes, value: bytes) -> bytes | None:
    if name == b"x-api-key":
        return value.strip()
    if name == b"authorization":
        scheme, _, key = value.partition(b" ")
        return key.strip() if scheme.lower() == b"bearer" else None
    return None


def _key_digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _refused(detail: str, message: str) -> Problem:
    issue = Issue("header.authorization", message, _WAYS)
    return Problem("key", detail, [issue], {"WWW-Authenticate": 'Bearer realm="tastemaker"'})
