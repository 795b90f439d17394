"""Google's own client for YouTube, tamed: one request at a time over a connection, and no key in what it tells.

It isn't safe in several threads, would retry what can't succeed, and logs URLs with the key in them.
"""

import http.client
import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from threading import Lock
from typing import Any
from urllib.parse import quote

import httplib2
from googleapiclient.discovery import build
from googleapiclient.errors import Error as ClientError
from googleapiclient.errors import HttpError
from googleapiclient.http import HttpRequest
from pydantic import SecretStr

from ..core import (
    Exhausted,
    Garbage,
    Invalid,
    Missing,
    Refused,
    ServiceError,
    Throttled,
    Unavailable,
    Unreachable,
)

_PLACEHOLDER = "THE-KEY"

_SPENT = {"quotaExceeded", "dailyLimitExceeded", "dailyLimitExceededUnreg"}
_TOO_FAST = {"rateLimitExceeded", "userRateLimitExceeded", "servingLimitExceeded", "concurrentLimitExceeded"}
_BAD_KEY = {"keyInvalid", "keyExpired", "API_KEY_INVALID", "API_KEY_EXPIRED"}
_NOT_GIVEN = {"API_KEY_SERVICE_BLOCKED"}
_CLOSED = {"playlistItemsNotAccessible", "channelClosed", "channelSuspended", "channelForbidden"}
_A_DAY = re.compile(r"per[ _]?day", re.IGNORECASE)


class Client:
    """YouTube's API as Google's client shows it, each request over connections of its own."""

    def __init__(self, url: str, key: SecretStr, seconds: float) -> None:
        self._url = url.rstrip("/") + "/"
        self._wires = _Wires(seconds, key)
        self._built: Any = None
        self._building = Lock()
        # It repeats what the server says of failures: the platform does that, without secrets.
        logging.getLogger("googleapiclient.http").setLevel(logging.ERROR)

    @property
    def api(self) -> Any:
        """Google's client; nothing is asked of the network to build it."""
        with self._building:
            if self._built is None:
                self._built = build(
                    "youtube",
                    "v3",
                    developerKey=_PLACEHOLDER,
                    client_options={"api_endpoint": self._url},
                    static_discovery=True,
                    cache_discovery=False,
                    http=self._wires.fresh(),
                    requestBuilder=partial(_Request, self._wires),
                )
            return self._built

    def ask(self, resource: str, method: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """The answer to one request for a list, such as that of `videos` by the method `list`.

        Raises Garbage where the answer is none, HttpError, and whatever connections raise.
        """
        answer = getattr(getattr(self.api, resource)(), method)(**asked).execute()
        if (
            not isinstance(answer, Mapping)
            or "kind" not in answer
            or not isinstance(answer.get("items", []), list)
        ):
            raise Garbage("its answer is no list of items")
        return answer

    def fault(self, error: Exception) -> ServiceError | None:
        """What an error of the client means; None for one that isn't its own."""
        match error:
            case HttpError():
                return _by_status(error)
            case http.client.HTTPException() | httplib2.ServerNotFoundError() | ConnectionError():
                return Unreachable(f"the connection broke: {type(error).__name__}")
            case ClientError() | httplib2.HttpLib2Error() | ValueError():
                return Garbage(f"its answer can't be read: {type(error).__name__}")
            case _:
                return None

    def close(self) -> None:
        """Close the connections, those in use as soon as they are free."""
        self._wires.close()


class _Wire(httplib2.Http):  # type: ignore[misc]  # it has no types
    """The connections of one request at a time. It follows no redirect, and puts the key into the URL."""

    def __init__(self, seconds: float, key: SecretStr) -> None:
        super().__init__(timeout=seconds)
        self.follow_redirects = False
        self._key = key

    def request(self, uri: str, *given: Any, **named: Any) -> Any:
        """As httplib2's; connections that anything went wrong on aren't used again."""
        key = quote(self._key.get_secret_value(), safe="")
        try:
            return super().request(uri.replace(f"key={_PLACEHOLDER}", f"key={key}"), *given, **named)
        except Exception:
            self.close()
            raise


class _Wires:
    """The connections that no request is using."""

    def __init__(self, seconds: float, key: SecretStr) -> None:
        self._seconds, self._key = seconds, key
        self._idle: list[_Wire] = []
        self._closed = False

    def fresh(self) -> _Wire:
        """New ones."""
        return _Wire(self._seconds, self._key)

    @contextmanager
    def taken(self) -> Iterator[_Wire]:
        """Those for one request; nobody else has them meanwhile."""
        try:
            wire = self._idle.pop()
        except IndexError:
            wire = self.fresh()
        try:
            yield wire
        finally:
            if self._closed:
                wire.close()
            else:
                self._idle.append(wire)

    def close(self) -> None:
        """Close them, those in use as soon as they are free; whoever asks later gets some for once."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()


class _Request(HttpRequest):  # type: ignore[misc]  # it has no types
    """A request that is made once, over connections of its own."""

    def __init__(self, wires: _Wires, http: httplib2.Http, *given: Any, **named: Any) -> None:
        super().__init__(http, *given, **named)
        self._wires = wires

    def execute(self, http: httplib2.Http | None = None, num_retries: int = 0) -> Any:
        """The answer. Raises HttpError, and whatever a connection may raise."""
        with self._wires.taken() as wire:
            return super().execute(http=wire, num_retries=0)


def _by_status(error: HttpError) -> ServiceError:
    """By status and reasons; that a 429 means the day, only its message tells."""
    status = int(error.status_code)
    message, reasons = _said(error)
    said = f"{status} {message}" if message else str(status)
    # Messages of quotas and of bad keys name no key; but they have links in them.
    said = re.sub(r"<[^>]*>", "", said)[:300]
    if reasons & _SPENT or (status == 429 and _A_DAY.search(message)):
        return Exhausted(said)
    if status == 429 or reasons & _TOO_FAST:
        return Throttled(said, _seconds(error.resp.get("retry-after")))
    if status == 401 or reasons & _BAD_KEY:
        return Refused(said)
    if status == 404 or "videoChartNotFound" in reasons or reasons & _CLOSED:
        return Missing(said)
    if status == 403:
        return Unavailable(said) if reasons & _NOT_GIVEN else Refused(said)
    if status == 408 or status >= 500:
        return Unreachable(said)
    return Invalid(said) if 400 <= status < 500 else Garbage(said)


def _said(error: HttpError) -> tuple[str, set[str]]:
    """The message of an error, and all reasons that it gives."""
    try:
        body = json.loads(error.content)["error"]
        details = [*body.get("errors", []), *body.get("details", [])]
        reasons = {str(each["reason"]) for each in details if isinstance(each, dict) and "reason" in each}
        limits = " ".join(str(each.get("metadata", "")) for each in details if isinstance(each, dict))
        return " ".join(f"{body.get('message', '')} {limits}".replace("{}", "").split()), reasons
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", set()


def _seconds(header: str | None) -> float | None:
    return float(header) if header is not None and re.fullmatch(r"[0-9]{1,6}", header) else None
