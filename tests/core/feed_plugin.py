"""Collectors whose outside world is a folder: what they bring, and how they fail, stands in files there."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

from tastemaker.core import (
    Collection,
    Collector,
    CollectorError,
    Component,
    ConfigPath,
    Connector,
    ConnectorError,
    Context,
    Fault,
    Interaction,
    Record,
    Service,
    Source,
    Terms,
    hookimpl,
)


class Shop(Connector):
    """The shop that things come from."""

    key: str = ""
    folder: Path = Path()
    keep_days: float | None = None

    @property
    def terms(self) -> Terms:
        return Terms(self.keep_days)

    @property
    def configured(self) -> bool:
        return bool(self.key)

    def health(self) -> str | None:
        sick = self.folder / "sick"
        return sick.read_text() if sick.exists() else None


class Web(Service):
    """A service that nobody asks."""


class Feed(Collector):
    """Rows of a file, a JSON object each; the mark counts the runs. `sleep` waits, `raise` raises."""

    folder: ConfigPath
    watched: bool = False

    def collect(self, collection: Collection) -> Iterator[Record | Interaction | Fault]:
        for row in self.begun(collection):
            if isinstance(row, float):
                time.sleep(row)
            else:
                yield row
        collection.mark = f"{collection.mark}I"

    def begun(self, collection: Collection) -> Iterator[Record | Interaction | Fault | float]:
        lines = (self.folder / "rows").read_text().splitlines()
        with (self.folder / "runs").open("a") as runs:
            runs.write(f"{collection.mark or '-'}\n")
        for place, line in enumerate(lines):
            row: Any = json.loads(line)
            if "raise" in row:
                raise CollectorError(row["raise"])
            if "sleep" in row:
                yield float(row["sleep"])
            elif "kind" in row:
                yield Interaction(**{"domain": "", "time": 1.0, **row})
            elif "partial" in row:
                collection.partial = True
            elif "fault" in row:
                yield Fault(f"rows:{place}", row["fault"])
            else:
                yield Record(row, f"rows:{place}")

    def fingerprint(self) -> str:
        return str((self.folder / "rows").stat().st_size) if self.watched else ""


class Stream(Feed):
    """The same, bit by bit, from the shop."""

    shop: Shop

    async def collect(  # type: ignore[override]
        self, collection: Collection
    ) -> AsyncIterator[Record | Interaction | Fault]:
        for row in self.begun(collection):
            if isinstance(row, float):
                await asyncio.sleep(row)
            else:
                yield row
        collection.mark = f"{collection.mark}I"


class Window(Source):
    """What lies in the shop's window."""

    shop: Shop

    async def propose(self, context: Context) -> list[dict[str, Any]]:
        if (self.shop.folder / "shut").exists():
            raise ConnectorError("the shop is shut")
        return [{"id": "w1", "title": "Lamp"}, {"id": "w2", "title": "Rug"}]


@hookimpl
def components() -> Sequence[type[Component]]:
    return [Shop, Web, Feed, Stream, Window]
