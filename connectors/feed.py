"""Product feeds with Google Merchant's attributes: CSV, TSV, XML (RSS 2.0, Atom), JSON and JSON Lines."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from functools import partial
from itertools import islice
from typing import Any, Literal, TypeVar

import anyio.to_thread
from pydantic import Field, field_validator

from ..core import Collection, Collector, CollectorError, ConfigPath, Fault, Record, did_you_mean
from .feed_download import Download, FeedUrl
from .feed_xml import feed_rows
from .file_csv import csv_header
from .file_json import json_rows, jsonl_rows
from .file_lines import BadRow, OpenFile, Row
from .merchant import Unusable, attribute, product
from .money import CURRENCIES
from .nested import reached

T = TypeVar("T")

Format = Literal["csv", "tsv", "xml", "json", "jsonl"]

_BATCH = 500
_NEVER = 1e11


class _Feed(Collector):
    """What feeds from a file and from a URL have in common."""

    format: Format | None = Field(None, description="told from the content where it is left out")
    encoding: str = Field("utf-8", description="of text files; XML says its own")
    columns: Mapping[str, str] = Field(
        default_factory=dict, description="item field: attribute or column, where they differ"
    )
    currency: str | None = Field(
        None, description="of the prices, by ISO 4217: those in another one are refused; by default any"
    )
    sellable: tuple[Literal["in_stock", "out_of_stock", "preorder", "backorder"], ...] = Field(
        ("in_stock", "preorder", "backorder"), description="availabilities of what can be bought"
    )

    @field_validator("currency")
    @classmethod
    def _known(cls, currency: str | None) -> str | None:
        if currency is None or currency in CURRENCIES:
            return currency
        raise ValueError(f"{currency!r} is no ISO 4217 currency, as USD and EUR are")

    async def collect(self, collection: Collection) -> AsyncIterator[Record | Fault]:
        """Products in the feed's order. Raises CollectorError, ServiceError where the feed can't be read at all."""
        last = _Seen.of(collection.mark)
        download = await self._fetched(
            last.version if last is not None and collection.now < last.until else ""
        )
        if download is None:
            collection.partial = True
            return
        reading = _Reading(self, download, collection.now)
        try:
            async with aclosing(_in_thread(reading.found())) as found:
                async for one in found:
                    yield one
        finally:
            download.discard()
        collection.mark = _Seen(download.version, reading.until).text()

    async def _fetched(self, version: str) -> Download | None:
        """The feed at hand; None where it still is at the version, which is empty where any will do."""
        raise NotImplementedError


class Feed(_Feed):
    """Brings in a shop's products from a feed at a URL (`shop.feed_url`), in constant memory.

    A product that can't be used becomes a Fault that names its line, and the rest goes on. What is asked for now is
    its `price`, whatever the feed calls a sale; `available` is whether it can be bought. A feed that has not changed
    since the last run, in which no sale has begun or ended since, brings nothing.
    """

    service: FeedUrl

    async def _fetched(self, version: str) -> Download | None:
        return await self.service.download(version)


class FeedFile(_Feed):
    """Brings in a shop's products from a feed in a file, as `shop.feed` does from a URL."""

    path: ConfigPath = Field(description="the file, from the folder of the config; may end in .gz")

    async def _fetched(self, version: str) -> Download | None:
        now = self._version()
        return None if now and now == version else Download(self.path, self.path.name, now)

    def size(self) -> int:
        """Bytes of the file, to which a record's `offset` grows."""
        return self.path.stat().st_size

    def _version(self) -> str:
        """The file's name, length and time of change; empty where it isn't there."""
        try:
            status = self.path.stat()
        except OSError:
            return ""
        return f"{self.path.name} {status.st_size} {status.st_mtime_ns}"


class _Seen:
    """What a run has seen, as its mark: the version of the feed, and when one of its sales begins or ends."""

    def __init__(self, version: str, until: float) -> None:
        self.version, self.until = version, until

    @classmethod
    def of(cls, text: str) -> "_Seen | None":
        try:
            held = json.loads(text)
            return cls(str(held["version"]), float(held["until"]))
        except (ValueError, KeyError, TypeError):
            return None

    def text(self) -> str:
        return json.dumps({"version": self.version, "until": self.until})


class _Reading:
    """One way through a feed. until: when the next of its sales begins or ends."""

    def __init__(self, feed: _Feed, download: Download, now: float) -> None:
        self._feed, self._download, self._now = feed, download, now
        self.until = _NEVER
        self._columns = {field: attribute(column) for field, column in feed.columns.items()}
        self._unseen = dict(self._columns)
        self._known: set[str] = set()

    def found(self) -> Iterator[Record | Fault]:
        """Products and faults. Raises CollectorError."""
        name, count = self._download.name, 0
        with OpenFile(self._download.path, name=name, most=self._download.most) as file:
            for row in self._rows(file):
                count += 1
                if isinstance(row, BadRow):
                    yield Fault(f"{name}:{row.line}", row.message)
                else:
                    yield from self._product(row, f"{name}:{row.line}")
        if not count:
            raise CollectorError(f"{name} holds no product")
        for field, column in self._unseen.items():
            near = did_you_mean(column, self._known)
            yield Fault(name, f"no product has {column!r}, which `columns` names for {field!r}{near}")

    def _product(self, row: Row, where: str) -> Iterator[Record | Fault]:
        raw: dict[str, Any] = {}
        for name, value in row.values.items():
            raw.setdefault(attribute(name), value)
        self._known |= raw.keys()
        raw |= {field: reached(raw, column) for field, column in self._columns.items()}
        if self._unseen:
            self._unseen = {field: name for field, name in self._unseen.items() if reached(raw, name) is None}
        try:
            made = product(raw, self._now, currency=self._feed.currency, sellable=self._feed.sellable)
        except Unusable as problem:
            yield Fault(where, str(problem))
            return
        for complaint in made.complaints:
            yield Fault(where, complaint)
        if made.changes is not None:
            self.until = min(self.until, made.changes)
        yield Record(made.item, where, row.offset)

    def _rows(self, file: OpenFile) -> Iterator[Row | BadRow]:
        encoding = self._feed.encoding
        match self._feed.format or _sniffed(file):
            case "xml":
                yield from feed_rows(file)
            case "jsonl":
                yield from jsonl_rows(file, encoding)
            case "json":
                yield from json_rows(file, encoding)
            case kind:
                _, rows = csv_header(file, encoding, "\t" if kind == "tsv" else None)
                yield from rows


def _sniffed(file: OpenFile) -> Format:
    """The format, told from the first bytes."""
    begun: bytes = file.stream.peek(4096)  # type: ignore[attr-defined]  # it is buffered
    text = begun.lstrip(b"\xef\xbb\xbf\xff\xfe").replace(b"\0", b"").lstrip()
    for mark, kind in ((b"<", "xml"), (b"{", "jsonl"), (b"[", "json")):
        if text.startswith(mark):
            return kind  # type: ignore[return-value]
    return "tsv" if b"\t" in text.partition(b"\n")[0] else "csv"


async def _in_thread(items: Iterator[T]) -> AsyncGenerator[T, None]:
    """What an iterator gives, made in a worker thread some at a time: nothing else waits for it."""
    while batch := await anyio.to_thread.run_sync(partial(_some, items)):
        for one in batch:
            yield one


def _some(items: Iterator[T]) -> list[T]:
    return list(islice(items, _BATCH))
