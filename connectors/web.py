"""Services that speak JSON over HTTP: what their connectors have in common."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, ClassVar
from urllib.parse import urljoin

import httpx
import orjson
from pydantic import Field, PrivateAttr, SecretStr

from ..core import (
    Call,
    Garbage,
    Invalid,
    Missing,
    Refused,
    Service,
    ServiceError,
    Throttled,
    Unreachable,
)

_MOST_REDIRECTS = 3
_KEPT_DAYS = 7.0
"""How long a body is kept to be confirmed by its ETag."""
_LINK = re.compile(r'<([^<>]*)>\s*;[^<]*?\brel="?([^";,]+)"?', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered: `value`, its JSON; `headers`, those that the connector asks for, in small letters.

    next: the URL of the next page by the Link header, None where there is none.
    """

    value: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    next: str | None = None


class HttpService(Service):
    """A service that speaks JSON over HTTP; a subclass makes requests by `fetch`.

    It connects to the hosts of its configured URLs only, also where the service redirects it elsewhere.
    """

    loggers: ClassVar[tuple[str, ...]] = ("httpx", "httpcore")
    heard: ClassVar[frozenset[str]] = frozenset()
    """Headers of answers that the connector reads."""

    largest_megabytes: float = Field(16.0, gt=0, le=1024, description="Largest answer that is read.")
    proxy: SecretStr | None = Field(None, description="URL of a proxy that requests go through.")

    _home: "tuple[asyncio.AbstractEventLoop, httpx.AsyncClient] | None" = PrivateAttr(None)

    async def open(self) -> None:
        """Make a pool of connections for this event loop."""
        self._home = (asyncio.get_running_loop(), self._client())

    async def close(self) -> None:
        """Give up what is under way, and let go of the connections."""
        await super().close()
        home, self._home = self._home, None
        if home is not None:
            await home[1].aclose()

    def headers(self) -> Mapping[str, str]:
        """Headers of every request, such as the credentials'."""
        return {}

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> ServiceError:
        """What an answer with a status from 300 on means. A subclass knows its own, and asks this one for the rest."""
        said = f"HTTP {status}" + (f": {text}" if (text := _message(body)) else "")
        after = self.retry_after(headers)
        match status:
            case 429:
                return Throttled(said, after)
            case 503 if after is not None:
                return Throttled(said, after)
            case 401 | 403 | 407:
                return Refused(said)
            case 404 | 410:
                return Missing(said)
            case 408 | 425:
                return Unreachable(said)
            case _ if status >= 500:
                return Unreachable(said)
            case _ if status >= 400:
                return Invalid(said)
            case _:
                return Garbage(said)

    def retry_after(self, headers: Mapping[str, str]) -> float | None:
        """Seconds that the service asks for, None where it doesn't say, or not in a way that can be read."""
        said = headers.get("retry-after", "").strip()
        if said.isdecimal():
            return float(said)
        try:
            at = parsedate_to_datetime(said)
        except ValueError:
            return None
        return max(0.0, (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - self._clock())

    def fault(self, error: Exception) -> ServiceError:
        """What an exception of httpx means."""
        match error:
            case httpx.TimeoutException():
                return Unreachable(f"no answer within {self.timeout_seconds:g} s")
            case httpx.TransportError():
                return Unreachable(str(error) or type(error).__name__)
            case httpx.InvalidURL():
                return Invalid(str(error))
            case _:
                return super().fault(error)

    async def fetch(
        self,
        call: Call,
        url: str,
        params: Mapping[str, Any] | None = None,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        pick: Callable[[Any], Any] | None = None,
    ) -> Answer:
        """The answer of one request, from the cache where `call` has a key. Raises ServiceError.

        pick: takes what is wanted out of the JSON, before it is kept; raises Garbage where it isn't there.
        An answer with an ETag is asked for again with If-None-Match: where nothing has changed, nothing is sent.
        """

        async def send() -> Any:
            request = _Request(
                method, url, dict(params or {}), {**self.headers(), **(headers or {})}, body, pick
            )
            return await self._answer(call, request)

        given = await self.call(call, send)
        return Answer(given["value"], given["headers"], given["next"])

    async def _answer(self, call: Call, request: "_Request") -> dict[str, Any]:
        known, pick = await self._known(call, request), request.pick
        if known is not None:
            request.headers["if-none-match"] = known["etag"]
        async with self._connected() as client:
            for _ in range(_MOST_REDIRECTS + 1):
                self.check_host(request.url)
                status, headers, body = await self._sent_once(client, request)
                target = headers.get("location")
                if status not in (301, 302, 307, 308) or target is None or request.method != "GET":
                    break
                request = _Request("GET", urljoin(request.url, target), {}, request.headers, None, pick)
                self.check_host(request.url)
                await self.charge(call)  # the request after a redirect is one more
            else:
                raise Garbage(f"more than {_MOST_REDIRECTS} redirects, one after the other")
        if status == 304 and known is not None:
            answer: dict[str, Any] = known["answer"]
            return answer
        if status >= 300:
            raise self.refusal(status, headers, body)
        try:
            value = orjson.loads(body) if body.strip() else None
        except orjson.JSONDecodeError as error:
            raise Garbage(f"HTTP {status}, and what should be JSON isn't: {error}") from None
        await self.noticed(call, headers)
        links = {relation.lower(): target for target, relation in _LINK.findall(headers.get("link", ""))}
        answer = {
            "value": value if pick is None else pick(value),
            "headers": {name: headers[name] for name in self.heard if name in headers},
            "next": urljoin(request.url, links["next"]) if "next" in links else None,
        }
        if "etag" in headers and request.method == "GET":
            await self._keep(call, request, headers["etag"], answer)
        return answer

    async def noticed(self, call: Call, headers: Mapping[str, str]) -> None:
        """Told of the headers of every good answer, such as how much of a quota is left."""

    async def _sent_once(
        self, client: httpx.AsyncClient, request: "_Request"
    ) -> tuple[int, Mapping[str, str], bytes]:
        body = None if request.body is None else orjson.dumps(request.body)
        kind = {} if body is None else {"content-type": "application/json"}
        # httpx puts parameters in the place of a query that the URL has already.
        url = httpx.URL(request.url)
        if request.params:
            url = url.copy_merge_params(request.params)
        largest = int(self.largest_megabytes * 1_000_000)
        async with client.stream(
            request.method, url, headers={**kind, **request.headers}, content=body
        ) as given:
            read = bytearray()
            async for piece in given.aiter_bytes():
                read += piece
                if len(read) > largest:
                    raise Garbage(f"its answer is longer than {self.largest_megabytes:g} MB")
            return given.status_code, given.headers, bytes(read)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[httpx.AsyncClient]:
        """The client of this event loop, or one for this request only: a connection belongs to its loop."""
        home = self._home
        if home is not None and home[0] is asyncio.get_running_loop():
            yield home[1]
            return
        async with self._client() as client:
            yield client

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            timeout=self.timeout_seconds,
            follow_redirects=False,
            verify=_trusted(),
            trust_env=False,  # neither a proxy nor credentials that the config doesn't name
            proxy=None if self.proxy is None else self.proxy.get_secret_value(),
            headers={"user-agent": "tastemaker", "accept": "application/json"},
        )

    async def _known(self, call: Call, request: "_Request") -> dict[str, Any] | None:
        """The last answer to the same request, with its ETag."""
        if request.method != "GET" or not self.cache.seconds(call.keep):
            return None
        body = await self.memory.get(self._etag_key(call, request))
        if body is None:
            return None
        try:
            known = orjson.loads(body)
            return known if {"etag", "answer"} <= set(known) else None
        except (orjson.JSONDecodeError, TypeError):
            return None

    async def _keep(self, call: Call, request: "_Request", etag: str, answer: dict[str, Any]) -> None:
        if self.cache.seconds(call.keep):
            days = _KEPT_DAYS if self.keep_days is None else min(_KEPT_DAYS, self.keep_days)
            body = orjson.dumps({"etag": etag, "answer": answer})
            await self.memory.put(self._etag_key(call, request), body, days * 86_400)

    def _etag_key(self, call: Call, request: "_Request") -> str:
        query = sorted((name, str(value)) for name, value in request.params.items())
        headers = sorted(each for each in request.headers.items() if each[0] != "if-none-match")
        return self.place_of(call, "etag", f"{request.url} {query} {headers}")


@cache
def _trusted() -> ssl.SSLContext:
    """The certificates that are trusted; to read them takes longer than most requests."""
    return httpx.create_ssl_context(trust_env=False)


@dataclass(slots=True)
class _Request:
    method: str
    url: str
    params: dict[str, Any]
    headers: dict[str, str]
    body: Any
    pick: Callable[[Any], Any] | None


def _message(body: bytes) -> str:
    """What an answer says of its error, in a few words."""
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    for key in ("message", "detail", "title", "error_description", "error"):
        found = said.get(key) if isinstance(said, dict) else None
        if isinstance(found, dict):
            found = found.get("message")
        if isinstance(found, str) and found:
            return found[:200]
    return ""
