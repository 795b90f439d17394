"""The items of RSS 2.0 feeds and the entries of Atom feeds, in constant memory, by defusedxml (extra `shop`)."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any
from xml.etree.ElementTree import ParseError

from ..core import CollectorError
from .file_lines import LONGEST, OpenFile, Row

_CHUNK = 1 << 16
_GOOGLE = ("http://base.google.com/ns/1.0", "http://base.google.com/cns/1.0")
_FEEDS = {"channel": "item", "feed": "entry"}


def feed_rows(file: OpenFile) -> Iterator[Row]:
    """The elements inside of each item as texts by name, without namespaces; lists where one is there repeatedly.

    Google's elements go before others of that name. Those that have elements of their own are left out. Raises
    CollectorError where the file is no well-formed feed, declares entities, or has an item of more than 16 MB:
    nothing behind that can be read.
    """
    try:
        defused = import_module("defusedxml.ElementTree")
        refused = import_module("defusedxml").DefusedXmlException
    except ImportError:
        raise CollectorError(
            f"{file.name} is XML and needs defusedxml, which is not installed: pip install 'tastemaker[shop]'; "
            "or bring the feed as CSV or JSON Lines"
        ) from None
    items = _Items()
    parser = defused.DefusedXMLParser(target=items)
    expat = items.expat = parser.parser
    behind = 0  # bytes up to the end of the last whole item
    try:
        while chunk := file.stream.read(_CHUNK):
            parser.feed(chunk)
            if items.rows:
                behind = expat.CurrentByteIndex
                yield from (Row(values, line, file.offset) for line, values in items.taken())
            elif expat.CurrentByteIndex - behind > LONGEST:
                raise CollectorError(
                    f"{file.name}:{expat.CurrentLineNumber}: more than 16 MB without an item's end"
                )
        parser.close()
    except refused as problem:
        reason = type(problem).__name__
        raise CollectorError(
            f"{file.name} declares XML entities ({reason}), which no feed needs: not read"
        ) from None
    except ParseError as problem:
        reason, (line, column) = str(problem).partition(":")[0], problem.position
        raise CollectorError(f"{file.name}:{line}:{column + 1}: no well-formed XML: {reason}") from None
    if not items.known:
        raise CollectorError(
            f"{file.name} is no product feed: it has neither a <channel> of <item>s (RSS 2.0) nor a <feed> of "
            "<entry>s (Atom)"
        )


class _Items:
    """What the parser tells of: it keeps the item that it is in, and nothing else.

    known: whether there is a channel or feed at all.
    """

    expat: Any = None

    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, object]]] = []
        self.known = False
        self._wanted = ""
        self._depth = 0  # below the item, 0 outside
        self._line = 0
        self._values: dict[str, object] = {}
        self._google: set[str] = set()
        self._texts: list[str] = []
        self._nested = False

    def taken(self) -> list[tuple[int, dict[str, object]]]:
        """The items that have ended since the last call, with the lines where they begin."""
        rows, self.rows = self.rows, []
        return rows

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        _, name = _split(tag)
        if self._depth:
            self._depth += 1
            if self._depth == 2:
                self._texts = [attributes.get("href", "")] if name == "link" else []
                self._nested = False
            else:
                self._nested = True
        elif name in _FEEDS:
            self.known, self._wanted = True, _FEEDS[name]
        elif name == self._wanted:
            self._depth, self._line = 1, self.expat.CurrentLineNumber
            self._values, self._google = {}, set()

    def data(self, text: str) -> None:
        if self._depth == 2:
            self._texts.append(text)

    def end(self, tag: str) -> None:
        if self._depth == 1:
            self.rows.append((self._line, self._values))
        elif self._depth == 2 and not self._nested:
            self._add(*_split(tag))
        self._depth -= self._depth > 0

    def close(self) -> None:
        """Nothing is left to be done."""

    def _add(self, space: str, name: str) -> None:
        text = "".join(self._texts).strip()
        held = self._values.get(name)
        if space in _GOOGLE and name not in self._google:
            self._google.add(name)
            self._values[name] = text
        elif held is None:
            self._values[name] = text
        elif (space in _GOOGLE) == (name in self._google):
            self._values[name] = [*(held if isinstance(held, list) else [held]), text]


def _split(tag: str) -> tuple[str, str]:
    """Namespace and name of an element."""
    space, _, name = tag.rpartition("}")
    return space.removeprefix("{"), name
