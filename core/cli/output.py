"""What commands print: tables, JSON and single lines."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import typer

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH = 100
"""Columns of a table where the output is no terminal."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    whole: its cells are wrapped rather than cut, for what people copy; width: characters it takes, where that is
    not for the table to find.
    """

    title: str
    right: bool = False
    whole: bool = False
    width: int | None = None


def table(columns: Sequence[Column | str], rows: Sequence[Sequence[object]], gap: int = 2) -> None:
    """Print rows under their columns' titles; gap: spaces between two columns."""
    from rich.table import Table

    shown = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
    for column in columns:
        each = Column(column) if isinstance(column, str) else column
        justify: Literal["right", "left"] = "right" if each.right else "left"
        overflow: Literal["fold", "ellipsis"] = "fold" if each.whole else "ellipsis"
        shown.add_column(
            each.title, justify=justify, overflow=overflow, no_wrap=not each.whole, width=each.width
        )
    for row in rows:
        shown.add_row(*(printable(cell) for cell in row))
    console().print(shown)


def console() -> "Console":
    """Where tables go: as wide as the terminal, without a meaning of brackets or colons in texts."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else _WIDTH
    return Console(width=width, markup=False, emoji=False, highlight=False)


def printable(value: object) -> str:
    """A value in characters that leave the terminal as it is."""
    return "".join(each if each.isprintable() or each == "\n" else " " for each in str(value))


def say(text: str = "") -> None:
    """Print a line of the answer."""
    typer.echo(printable(text))


def note(text: str) -> None:
    """Print a line beside the answer, on stderr."""
    typer.echo(printable(text), err=True)


def as_json(value: Any) -> None:
    """Print JSON; NaN becomes null."""
    import orjson

    options = orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
    typer.echo(orjson.dumps(value, default=_plain, option=options).decode())


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return str(value)


@contextmanager
def bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal's stderr; nothing where there is no terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def counted(count: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "item"), counted(1200, "item"), counted(0, "policy"), counted(7, "day")
    ('1 item', '1,200 items', '0 policies', '7 days')
    """
    if count == 1:
        return f"1 {noun}"
    plural = f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2] not in "aeiou" else f"{noun}s"
    return f"{count:,} {plural}"
