"""Tables in files: CSV, TSV, JSON, JSON Lines and Parquet, as they are or gzipped.

items:
  id: isbn
  from: {use: files.table, path: books.csv, columns: {isbn: ISBN-13, title: Name}}
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Literal, get_args

from pydantic import Field, field_validator

from ..core import (
    Collection,
    Collector,
    CollectorError,
    Component,
    ConfigPath,
    Fault,
    Record,
    did_you_mean,
    hookimpl,
)
from .file_csv import csv_header
from .file_json import json_rows, jsonl_rows
from .file_lines import BadRow, OpenFile, Row
from .file_parquet import parquet_columns, parquet_rows
from .nested import leaves, reached

Format = Literal["csv", "tsv", "json", "jsonl", "parquet"]

_ENDINGS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}

_LOOKED_AT = 1000
"""Objects of a file without a header that are read before it is said to lack a column."""


class Table(Collector):
    """Reads a table row by row, in constant memory.

    A row that can't be read becomes a Fault that names its line, and the rest goes on. Fields have the name
    of their column, unless `columns` maps the field to another; `owner.login` reaches into nested objects.
    """

    path: ConfigPath = Field(description="the file, from the folder of the config; may end in .gz")
    format: Format | None = Field(None, description="guessed from the name where it is left out")
    columns: Mapping[str, str] = Field(default_factory=dict, description="field: column in the file")
    encoding: str = Field("utf-8", description="of text files")

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str) -> str:
        try:
            " ".encode(encoding)
        except LookupError:
            near = did_you_mean(encoding, ["utf-8", "utf-16", "latin-1", "cp1252"])
            raise ValueError(f"no encoding is called {encoding!r}{near}") from None
        return encoding

    def collect(self, collection: Collection) -> Iterator[Record | Fault]:
        """Records in file order. Raises CollectorError where the file as a whole can't be read."""
        name = self.path.name
        for row in self._rows():
            if isinstance(row, BadRow):
                yield Fault(f"{name}:{row.line}", row.message)
            else:
                yield Record(self._mapped(row.values), f"{name}:{row.line}", row.offset)

    def size(self) -> int:
        """Bytes of the file, to which a record's `offset` grows. Raises CollectorError."""
        with OpenFile(self.path):
            return self.path.stat().st_size

    def fingerprint(self) -> str:
        """The file's length and time of change."""
        try:
            status = self.path.stat()
        except OSError:
            return ""
        return f"{status.st_size} {status.st_mtime_ns}"

    def columns_found(self, rows: int = 200) -> list[tuple[str, list[Any]]]:
        """The file's columns in order, each with the values that it has in the first rows.

        Nested objects are given by their parts, as `owner.login`. Raises CollectorError.
        """
        found: dict[str, list[Any]] = {}
        readable = (row for row in self._rows() if isinstance(row, Row))
        for row in islice(readable, rows):
            for column, value in leaves(row.values):
                values = found.setdefault(column, [])
                if value is not None and value != "":
                    values.append(value)
        return list(found.items())

    def _rows(self) -> Iterator[Row | BadRow]:
        match self.format or self._guessed():
            case "parquet":
                self._check(parquet_columns(self.path))
                yield from parquet_rows(self.path)
            case "csv" | "tsv" as kind:
                with OpenFile(self.path) as file:
                    header, rows = csv_header(file, self.encoding, "\t" if kind == "tsv" else None)
                    yield from self._doubles(header)
                    self._check(header)
                    yield from rows
            case kind:
                with OpenFile(self.path) as file:
                    objects = jsonl_rows if kind == "jsonl" else json_rows
                    yield from self._checked(objects(file, self.encoding))

    def _guessed(self) -> Format:
        endings = [ending for ending in map(str.lower, self.path.suffixes) if ending != ".gz"]
        if endings and endings[-1] in _ENDINGS:
            return _ENDINGS[endings[-1]]
        if self.path.is_dir():
            raise CollectorError(f"{self.path} is a folder; name a file in it")
        formats = ", ".join(get_args(Format))
        raise CollectorError(f"{self.path}: the name doesn't tell the format; say which: {formats}")

    def _check(self, header: Iterable[str]) -> None:
        known = {name for name in header if name}
        for field, column in self.columns.items():
            if column not in known:
                near = did_you_mean(column, known)
                raise CollectorError(f"{self.path} has no column {column!r} for the field {field!r}{near}")

    def _doubles(self, header: Sequence[str]) -> Iterator[BadRow]:
        for name in dict.fromkeys(name for name in header if name and header.count(name) > 1):
            if name in self.columns.values():
                raise CollectorError(
                    f"{self.path} has {header.count(name)} columns {name!r}; rename all but one"
                )
            yield BadRow(1, f"{header.count(name)} columns are called {name!r}; the first of them is read")

    def _checked(self, rows: Iterator[Row | BadRow]) -> Iterator[Row | BadRow]:
        """The rows of a file without a header.

        A mapped column that no object has is an error in a short file. In a long one, whose first objects are
        already taken in when that is known, it is a bad row at the end.
        """
        unseen, known, line = set(self.columns.values()), set[str](), 1
        begun = list(islice(rows, _LOOKED_AT)) if unseen else []
        for row in begun:
            if isinstance(row, Row):
                unseen -= _held(row, unseen)
                known.update(path for path, _ in leaves(row.values))
        if known and len(begun) < _LOOKED_AT:
            self._check(known | set(self.columns.values()) - unseen)
        yield from begun
        for row in rows:
            if unseen and isinstance(row, Row):
                unseen -= _held(row, unseen)
            line = row.line
            yield row
        if len(begun) == _LOOKED_AT:
            for column in sorted(unseen):
                yield BadRow(line, f"no object up to here has {column!r}{did_you_mean(column, known)}")

    def _mapped(self, values: dict[str, Any]) -> dict[str, Any]:
        return values | {field: reached(values, column) for field, column in self.columns.items()}


_ABSENT = object()


def _held(row: Row, columns: Iterable[str]) -> set[str]:
    return {column for column in columns if reached(row.values, column, _ABSENT) is not _ABSENT}


@hookimpl
def components() -> Sequence[type[Component]]:
    """What the plugin `files` offers."""
    return [Table]
