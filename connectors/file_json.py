"""Objects of JSON Lines and JSON files, in constant memory."""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any

import orjson

from ..core import CollectorError
from .file_lines import LONGEST, BadRow, OpenFile, Row, codec_of, text_lines, without_mark

_CHUNK = 1 << 20
_SOLID = re.compile(r"[^ \t\r\n]")
_HALF = re.compile("[\ud800-\udfff]")
_HALF_A_CHARACTER = "bytes that are not in the file's encoding, or half of a surrogate pair"


def jsonl_rows(file: OpenFile, encoding: str) -> Iterator[Row | BadRow]:
    """One object per line; blank lines are left out."""
    for line, (text, sound) in enumerate(text_lines(file, encoding), start=1):
        if not sound:
            yield BadRow(line, f"bytes that are not {encoding}, or a line that is too long")
        elif text.strip():
            try:
                value = _parsed(text)
            except (ValueError, RecursionError) as problem:
                yield BadRow(line, f"no JSON: {_reason(problem)}")
                continue
            yield _row(value, line, file.offset)


def json_rows(file: OpenFile, encoding: str) -> Iterator[Row | BadRow]:
    """The objects of a list, or of the one list of objects that an object holds.

    Raises CollectorError where the file is built otherwise, or stops being JSON: nothing behind that can be
    read.
    """
    text = _Text(file, encoding)
    match text.peek():
        case "[":
            yield from _listed(text)
        case "{":
            yield from _wrapped(text)
        case found:
            raise text.error(f"{found!r} where a list of objects begins with '['")
    if text.peek() == "{":
        raise text.error("a second object; if each line is an object, write `format: jsonl`")
    if found := text.peek():
        raise text.error(f"{found!r} behind the end of the data")


def _listed(text: "_Text") -> Iterator[Row | BadRow]:
    text.take("[")
    while text.peek() != "]":
        line = text.line
        value, sound = text.value()
        yield _row(value, line, text.file.offset) if sound else BadRow(line, _HALF_A_CHARACTER)
        if text.peek() != "]":
            text.take(",")
    text.take("]")


def _wrapped(text: "_Text") -> Iterator[Row | BadRow]:
    text.take("{")
    found = ""
    while text.peek() != "}":
        key = str(text.value()[0])
        text.take(":")
        if text.peek() == "[" and text.peek_behind("[") == "{":
            if found:
                raise text.error(f"two lists of objects, {found!r} and {key!r}; leave one in the file")
            found = key
            yield from _listed(text)
        else:
            text.value()
        if text.peek() != "}":
            text.take(",")
    text.take("}")
    if not found and not text.peek():
        raise CollectorError(
            f"{text.file.name} holds one object without a list of objects in it; "
            "it must be a list of objects, or an object with such a list"
        )


def _row(value: object, line: int, offset: int) -> Row | BadRow:
    if isinstance(value, dict):
        return Row(value, line, offset)
    return BadRow(line, f"{json.dumps(value)[:40]} where an object in braces is wanted")


class _Text:
    """A sliding window over a file's text."""

    def __init__(self, file: OpenFile, encoding: str) -> None:
        self.file = file
        self.line = 1
        self._codec = codec_of(encoding)
        # Bytes that are no UTF-8 spoil the object they are in, and no other.
        unknown = "surrogateescape" if self._codec.startswith("utf-8") else "strict"
        self._decoder = codecs.getincrementaldecoder(self._codec)(unknown)
        self._json = json.JSONDecoder()
        self._window = ""
        self._at = 0
        self._begun = self._ended = False

    def peek(self) -> str:
        """The next character that is not space, without taking it; empty at the end."""
        while True:
            found = _SOLID.search(self._window, self._at)
            self._advance(found.start() if found else len(self._window))
            if found or not self._more(_CHUNK):
                return found.group() if found else ""

    def peek_behind(self, mark: str) -> str:
        """The next character that is not space behind the mark that comes next."""
        while True:
            found = _SOLID.search(self._window, self._at + len(mark))
            if found or not self._more(_CHUNK):
                return found.group() if found else ""

    def take(self, mark: str) -> None:
        """Go past the mark, which must come next."""
        found = self.peek()
        if found != mark:
            raise self.error(
                f"{found!r} where {mark!r} is wanted" if found else f"the file ends before {mark!r}"
            )
        self._at += 1

    def value(self) -> tuple[Any, bool]:
        """The next value, and whether all its characters are whole."""
        self.peek()
        size = _CHUNK
        while True:
            try:
                value, end = self._json.raw_decode(self._window, self._at)
            except (ValueError, RecursionError) as problem:
                # Perhaps the value only goes on behind the window.
                if len(self._window) - self._at > LONGEST or not self._more(size):
                    raise self.error(f"no JSON: {_reason(problem)}") from problem
                size *= 2
                continue
            if end < len(self._window) or not self._more(size):
                break
        piece = self._window[self._at : end]
        self._advance(end)
        return value, not (_HALF.search(piece) or "\\u" in piece) or _whole(value)

    def error(self, message: str) -> CollectorError:
        """An error at this place."""
        return CollectorError(f"{self.file.name}:{self.line}: {message}")

    def _advance(self, end: int) -> None:
        self.line += self._window.count("\n", self._at, end)
        self._at = end

    def _more(self, size: int) -> bool:
        """Widen the window; False at the end of the file."""
        if self._ended:
            return False
        raw = self.file.stream.read(size)
        self._ended = not raw
        if not self._begun:
            raw = without_mark(self.file.name, raw, self._codec)
            self._begun = True
        try:
            text = self._decoder.decode(raw, final=self._ended)
        except UnicodeError as problem:
            raise self.error(
                f"bytes that are not {self._codec} ({problem}); say the `encoding` it is in"
            ) from problem
        self._window = self._window[self._at :] + text
        self._at = 0
        return True


def _parsed(text: str) -> Any:
    """A value. Raises ValueError, RecursionError."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        value = json.loads(text)  # knows NaN and Infinity too, which Python writes
        if not _whole(value):
            raise ValueError(_HALF_A_CHARACTER) from None
        return value


def _whole(value: object) -> bool:
    """Whether the value has no lone surrogates: it could neither be stored nor sent."""
    return not _HALF.search(json.dumps(value, ensure_ascii=False))


def _reason(problem: Exception) -> str:
    if isinstance(problem, RecursionError):
        return "nested too deeply"
    if isinstance(problem, json.JSONDecodeError):
        return f"{problem.msg} at character {problem.colno}"
    return str(problem)
