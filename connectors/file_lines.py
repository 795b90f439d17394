"""Physical lines of a file, plain or gzipped, with their numbers and how far into the file they lie."""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from ..core import CollectorError, did_you_mean

LONGEST = 16 * 1024 * 1024
"""Bytes of the longest line, cell or object that is read: bounds memory, whatever the file holds."""

_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a file before its columns are mapped. line: of its first character, from 1."""

    values: dict[str, object]
    line: int
    offset: int


@dataclass(frozen=True, slots=True)
class BadRow:
    """One place of a file that can't be read, and why."""

    line: int
    message: str


class OpenFile:
    """A file opened for reading, unpacked where its name ends in `.gz`.

    A context manager: what goes wrong with the file inside the block is raised as CollectorError.
    name: what messages call it; by default its path. most: how many bytes it may have when it is unpacked.
    """

    def __init__(self, path: Path, *, name: str = "", most: int | None = None) -> None:
        self.path = path
        self.name = name or str(path)
        self._most = most
        self._raw: IO[bytes] | None = None
        self.stream: IO[bytes] = io.BytesIO()

    def __enter__(self) -> Self:
        try:
            self._raw = self.path.open("rb")
        except OSError as problem:
            raise CollectorError(_unopened(self.path, problem)) from problem
        if self.path.name.lower().endswith(".gz"):
            unpacked = gzip.GzipFile(fileobj=self._raw)
            limited = unpacked if self._most is None else _Limited(unpacked, self._most, self.name)
            self.stream = io.BufferedReader(limited, 1 << 18)
        else:
            self.stream = self._raw
        try:
            empty = not self.stream.peek(1)[:1] if isinstance(self.stream, io.BufferedReader) else False
        except (OSError, EOFError, zlib.error) as problem:
            self.close()
            raise CollectorError(self._broken(problem)) from problem
        if empty:
            self.close()
            raise CollectorError(f"{self.name} is empty")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if isinstance(problem, OSError | EOFError | zlib.error):
            raise CollectorError(self._broken(problem)) from problem

    def close(self) -> None:
        """Let go of the file."""
        self.stream.close()
        if self._raw is not None:
            self._raw.close()

    @property
    def offset(self) -> int:
        """Bytes of the file on disk that were read so far, to within a buffer."""
        return self._raw.tell() if self._raw is not None else 0

    def _broken(self, problem: BaseException) -> str:
        if isinstance(problem, EOFError):
            return f"{self.name} ends in the middle of its compressed data; copy or download it again"
        if isinstance(problem, gzip.BadGzipFile | zlib.error):
            return (
                f"{self.name} is not readable as gzip ({problem}); copy it again, or drop .gz from its name"
            )
        return f"{self.name} can't be read ({problem})"


class _Limited(io.RawIOBase):
    """The beginning of what a compressed file unpacks to. Raises CollectorError where there is more of it."""

    def __init__(self, source: gzip.GzipFile, most: int, name: str) -> None:
        self._source, self._left, self._most, self._name = source, most, most, name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        raw = self._source.read1(len(buffer))
        self._left -= len(raw)
        if self._left < 0:
            raise CollectorError(f"{self._name} unpacks to more than {self._most:,} bytes: not read")
        buffer[: len(raw)] = raw
        return len(raw)

    def close(self) -> None:
        self._source.close()
        super().close()


def _unopened(path: Path, problem: OSError) -> str:
    if isinstance(problem, FileNotFoundError):
        if not path.parent.is_dir():
            return f"no file at {path}: there is no folder {path.parent}"
        return f"no file at {path}{did_you_mean(path.name, (near.name for near in path.parent.iterdir()))}"
    if isinstance(problem, IsADirectoryError):
        return f"{path} is a folder; name a file in it"
    if isinstance(problem, PermissionError):
        return f"{path} may not be read by this user"
    return f"{path} can't be opened ({problem})"


def text_lines(file: OpenFile, encoding: str) -> Iterator[tuple[str, bool]]:
    """Lines with their ends, and whether each is sound.

    A byte that the encoding doesn't know makes its own line unsound and no other. A line of more than LONGEST
    bytes is cut there and unsound. Raises CollectorError where the file is in another encoding altogether.
    """
    codec = codec_of(encoding)
    if not _one_byte_line_ends(codec):
        yield from _wide_lines(file, codec)
        return
    first = True
    while raw := file.stream.readline(LONGEST):
        if first:
            raw = without_mark(file.name, raw, codec)
            first = False
        whole = len(raw) < LONGEST or raw.endswith(b"\n")
        if not whole:
            while (rest := file.stream.readline(LONGEST)) and not rest.endswith(b"\n"):
                pass
        try:
            yield raw.decode(codec), whole
        except UnicodeDecodeError:
            yield raw.decode(codec, "replace"), False


def codec_of(encoding: str) -> str:
    """The canonical name of a known encoding."""
    return codecs.lookup(encoding).name


def without_mark(name: str, raw: bytes, codec: str) -> bytes:
    """The beginning of a file without its byte order mark. Raises CollectorError for another codec's mark."""
    if not _one_byte_line_ends(codec):
        return raw
    for mark, other in _BYTE_ORDER_MARKS.items():
        if raw.startswith(mark):
            raise CollectorError(f"{name} is in {other}, not in {codec}; write `encoding: {other}`")
    return raw.removeprefix(codecs.BOM_UTF8)


def _one_byte_line_ends(codec: str) -> bool:
    return "a\n".encode(codec) == b"a\n" or codec == "utf-8-sig"


def _wide_lines(file: OpenFile, codec: str) -> Iterator[tuple[str, bool]]:
    reader = io.TextIOWrapper(file.stream, codec, errors="replace", newline="\n")
    try:
        while line := reader.readline(LONGEST):
            yield line, "\ufffd" not in line and (len(line) < LONGEST or line.endswith("\n"))
    except UnicodeError as problem:
        raise CollectorError(f"{file.name} is not in {codec} ({problem})") from problem
    finally:
        reader.detach()
