"""Rows of CSV and TSV files (RFC 4180, and the semicolons of European spreadsheets), in constant memory."""

import csv
from collections import deque
from collections.abc import Iterator

from ..core import CollectorError
from .file_lines import LONGEST, BadRow, OpenFile, Row, text_lines


def csv_header(file: OpenFile, encoding: str, delimiter: str | None) -> "tuple[list[str], Rows]":
    """The names of the columns, and the rows below them. Raises CollectorError where there is no header.

    delimiter: None tells commas from semicolons by the header.
    """
    lines = _Lines(text_lines(file, encoding))
    head = next(lines, "")
    if "\r" in head.rstrip("\r\n"):
        raise CollectorError(
            f"{file.name} ends its lines with bare carriage returns; save it with line feeds (Unix)"
        )
    if not lines.sound:
        raise CollectorError(f"{file.name}:1: the header is not in {encoding}; say the `encoding` it is in")
    delimiter = delimiter or (";" if ";" in head and "," not in head else ",")
    lines.push_back()
    rows = Rows(file, lines, delimiter)
    return rows.header(), rows


class Rows:
    """Iterates over the rows below the header."""

    def __init__(self, file: OpenFile, lines: "_Lines", delimiter: str) -> None:
        # The csv module has one limit for the whole process, by default too low for a long text.
        csv.field_size_limit(max(csv.field_size_limit(), LONGEST))
        self._file = file
        self._lines = lines
        self._reader = csv.reader(lines, delimiter=delimiter, strict=True)
        self._names: list[str] = []

    def header(self) -> list[str]:
        """The names of the columns, from the first line that is not blank."""
        for cells in self._cells():
            if isinstance(cells, BadRow):
                raise CollectorError(
                    f"{self._file.name}:{cells.line}: no header can be read: {cells.message}"
                )
            self._names = [cell.strip() for cell in cells[1]]
            return self._names
        raise CollectorError(
            f"{self._file.name} holds only blank lines; its first line must name the columns"
        )

    def __iter__(self) -> Iterator[Row | BadRow]:
        wanted = len(self._names)
        places = {name: self._names.index(name) for name in self._names if name}
        for cells in self._cells():
            if isinstance(cells, BadRow):
                yield cells
                continue
            line, values = cells
            if len(values) != wanted:
                yield BadRow(line, f"{_cells(len(values))} where the header has {wanted}")
            else:
                yield Row({name: values[place] for name, place in places.items()}, line, self._file.offset)

    def _cells(self) -> Iterator[tuple[int, list[str]] | BadRow]:
        """Cells by line; blank lines are left out.

        A quote that opens and never closes swallows what follows it. So where a record of several lines
        can't be read, only its first line is given up, and the others are read again.
        """
        while True:
            self._lines.begin()
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except csv.Error as problem:
                yield BadRow(self._lines.begun, f"no CSV: {_reason(problem)}")
                self._lines.again()
                continue
            if not self._lines.sound:
                yield BadRow(
                    self._lines.begun, "bytes that are not in the file's encoding, or a line that is too long"
                )
            elif any(cell.strip() for cell in cells) or len(cells) > 1:
                yield self._lines.begun, cells


class _Lines:
    """Feeds the csv reader, and remembers the lines of the record that it is in."""

    def __init__(self, source: Iterator[tuple[str, bool]]) -> None:
        self._source = source
        self._waiting: deque[tuple[str, bool]] = deque()
        self._record: list[tuple[str, bool]] = []
        self._size = 0
        self.begun = 1

    @property
    def sound(self) -> bool:
        """Whether every line of the record is."""
        return all(sound for _, sound in self._record)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._size > LONGEST:
            raise csv.Error("unexpected end of data")
        line, sound = self._waiting.popleft() if self._waiting else next(self._source)
        self._record.append((line, sound))
        self._size += len(line)
        return line

    def begin(self) -> None:
        """The next line begins a record."""
        self.begun += len(self._record)
        self._record = []
        self._size = 0

    def again(self) -> None:
        """Take all lines of the record but its first for lines that are still to come."""
        self._waiting.extendleft(reversed(self._record[1:]))
        del self._record[1:]

    def push_back(self) -> None:
        """Take the lines of the record for lines that are still to come."""
        self._waiting.extendleft(reversed(self._record))
        self._record = []


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"


def _reason(problem: csv.Error) -> str:
    reason = str(problem)
    if reason == "unexpected end of data":
        return "a quote opens here and doesn't close"
    if reason.startswith("new-line character"):
        return "a bare carriage return outside of quotes"
    return reason
