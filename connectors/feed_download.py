"""Fetching a product feed: from the one URL that the config names, up to a size, and only where it has changed."""

import base64
import hashlib
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import httpx
from pydantic import Field, SecretStr, field_validator

from ..core import Budget, Call, Garbage, Invalid, ServiceError
from .web import HttpService

_MEGABYTE = 1_000_000
_GZIP = b"\x1f\x8b"
_CHUNK = 1 << 16
_REDIRECTS = 5
_VALIDATORS = {"etag": "if-none-match", "modified": "if-modified-since"}


@dataclass(frozen=True, slots=True)
class Download:
    """A feed at hand. version: what tells whether it has changed. most: bytes that it may unpack to."""

    path: Path
    name: str
    version: str
    most: int | None = None
    folder: Path | None = None

    def discard(self) -> None:
        """Delete what was downloaded."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


class FeedUrl(HttpService):
    """A product feed at a URL, for `shop.feed`. It connects to that URL's host, and follows no redirect elsewhere."""

    url: SecretStr = Field(
        SecretStr(""), description="of the feed, with http or https; empty: not configured"
    )
    user: str = Field("", description="where the URL asks for one")
    password: SecretStr = Field(SecretStr(""), description="… and its password")
    largest_megabytes: float = Field(
        500, gt=0, le=20_000, description="Largest feed that is read; it may unpack to ten times as much."
    )
    timeout_seconds: float = Field(120, gt=0, le=300, description="Time limit of one download.")
    budgets: Mapping[str, Budget] = Field(
        default={"feed": Budget(limit=120, per=3600.0)},
        description="By bucket: how much of a quota is spent.",
    )

    @field_validator("url")
    @classmethod
    def _web(cls, url: SecretStr) -> SecretStr:
        text = url.get_secret_value().strip()
        parts = urlsplit(text)
        if text and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError(
                "must be a URL that begins with https:// or http://; for a file, give shop.feed its `path`"
            )
        return SecretStr(text)

    @property
    def configured(self) -> bool:
        """Whether there is a URL."""
        return bool(self.url.get_secret_value())

    @property
    def hosts(self) -> frozenset[str]:
        """The URL's host with its port."""
        url = urlsplit(self.url.get_secret_value())
        return frozenset({url.netloc.rpartition("@")[2].lower()}) if url.netloc else frozenset()

    def check_host(self, url: str) -> None:
        """Raises Garbage for a URL with another host than the feed's, or one that leaves https behind."""
        given, own = urlsplit(url), urlsplit(self.url.get_secret_value())
        place = (given.scheme, given.netloc.rpartition("@")[2].lower())
        safe = given.scheme == "https" and given.hostname == own.hostname
        if place != (own.scheme, own.netloc.rpartition("@")[2].lower()) and not safe:
            raise Garbage(f"it points to {given.scheme}://{place[1]}, which the config doesn't name")

    async def download(self, version: str = "") -> Download | None:
        """The feed in a temporary file; None where it still is at the version. Raises ServiceError."""
        folder = Path(tempfile.mkdtemp(prefix="tastemaker-feed-"))

        call = Call("feed", bucket="feed")
        try:
            found = await self.call(call, partial(self._fetched, call, folder, version))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        if found is None:
            shutil.rmtree(folder, ignore_errors=True)
            return None
        most = int(self.largest_megabytes * _MEGABYTE) * 10
        return Download(folder / found["file"], found["name"], found["version"], most, folder)

    async def health(self) -> str | None:
        """None where the URL answers, else what is wrong; costs as much of the budget as a download."""
        call = Call("health", bucket="feed")

        async def reached() -> None:
            async with self._asked(call, {}):
                pass

        try:
            await self.call(call, reached)
        except ServiceError as error:
            return str(error)
        return None

    def headers(self) -> Mapping[str, str]:
        """The account, where there is one."""
        if not self.user:
            return {}
        account = f"{self.user}:{self.password.get_secret_value()}".encode()
        return {"authorization": f"Basic {base64.b64encode(account).decode()}"}

    async def _fetched(self, call: Call, folder: Path, version: str) -> dict[str, str] | None:
        """One download: the file's name in the folder, what to call it, and its version."""
        most, path = int(self.largest_megabytes * _MEGABYTE), folder / "feed"
        async with self._asked(call, self._conditions(version)) as response:
            if response.status_code == 304:
                return None
            size = 0
            with path.open("wb") as file:
                async for piece in response.aiter_bytes(_CHUNK):
                    size += len(piece)
                    if size > most:
                        raise Invalid(f"the feed is larger than {self.largest_megabytes:g} MB")
                    file.write(piece)
            with path.open("rb") as file:
                packed = file.read(2) == _GZIP
            kept = path.rename(folder / "feed.gz") if packed else path
            return {"file": kept.name, "name": _name(self.url), "version": self._version(response)}

    @asynccontextmanager
    async def _asked(self, call: Call, headers: Mapping[str, str]) -> AsyncIterator[httpx.Response]:
        """The response to a request for the feed, still to be read. Raises ServiceError where there is none.

        Redirects are followed within the feed's host; the request after one is one more, and charged.
        """
        url, asked = self.url.get_secret_value(), {"accept": "*/*", **self.headers(), **headers}
        async with self._connected() as client:
            for redirects in range(_REDIRECTS + 1):
                self.check_host(url)
                if redirects:
                    await self.charge(call)
                async with client.stream("GET", url, headers=asked) as response:
                    status, target = response.status_code, response.headers.get("location")
                    if status in (301, 302, 303, 307, 308) and target:
                        url = urljoin(url, target)
                        continue
                    if status >= 300 and status != 304:
                        raise self.refusal(status, response.headers, b"")
                    yield response
                    return
        raise Garbage(f"more than {_REDIRECTS} redirects, one after the other")

    def _conditions(self, version: str) -> dict[str, str]:
        """Headers that ask for the feed only where it is at another version."""
        try:
            held = json.loads(version)
            given = {str(name): str(value) for name, value in held.items()}
        except (ValueError, AttributeError):
            return {}
        if given.pop("url", "") != self._url_digest():
            return {}
        return {header: given[name] for name, header in _VALIDATORS.items() if name in given}

    def _version(self, response: httpx.Response) -> str:
        """What the server says of the feed's version; empty where it says nothing."""
        given = {"etag": response.headers.get("etag"), "modified": response.headers.get("last-modified")}
        held = {name: value for name, value in given.items() if value}
        return json.dumps({**held, "url": self._url_digest()}) if held else ""

    def _url_digest(self) -> str:
        return hashlib.blake2b(self.url.get_secret_value().encode(), digest_size=8).hexdigest()


def _name(url: SecretStr) -> str:
    """What people call the feed: the last part of its path, else its host."""
    parts = urlsplit(url.get_secret_value())
    return unquote(parts.path.rpartition("/")[2]) or parts.hostname or "feed"
