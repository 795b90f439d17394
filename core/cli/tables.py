"""Tables in files, as the commands read them: the reader, its columns, its progress and its faults."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from ..errors import did_you_mean
from .failing import Misuse
from .output import note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..collection import Collection, Fault, Record
    from ..registry import Registry

READER = "files.table"
_SHOWN = 20


class Table(Protocol):
    """What the command needs of a collector that reads tables."""

    separator: str

    def collect(self, collection: "Collection") -> "Iterable[Record | Fault]":
        """Rows and faults."""

    def size(self) -> int:
        """Bytes of the file."""

    def columns_found(self, rows: int = 200) -> list[tuple[str, list[Any]]]:
        """Columns with the values of the first rows."""


def table_of(registry: "Registry", file: Path, **options: Any) -> Table:
    """A reader of a file, from the plugin that reads tables. Raises Misuse, PluginProblem."""
    from pydantic import ValidationError

    if not file.exists():
        near = did_you_mean(file.name, _neighbours(file))
        raise Misuse(f"no file at {file}{near if near.startswith('; did') else ''}")
    reader = registry.component(READER, "collector")
    try:
        given = {name: value for name, value in options.items() if value is not None}
        return cast("Table", reader.model_validate({"path": file, **given}))
    except ValidationError as error:
        from ..config.words import words

        first = error.errors(include_url=False)[0]
        raise Misuse(f"--{first['loc'][0]} {words(first)}, not {first['input']!r}") from None


def check_columns(reader: Table, file: Path, wanted: dict[str, str], fix: str) -> list[str]:
    """The columns of the file. Raises Misuse where one that is needed (by field) is missing."""
    found = [name for name, _ in reader.columns_found()]
    for field, column in wanted.items():
        if found and column not in found:
            raise Misuse(
                f"{file} has no column {column!r} for the {field}{did_you_mean(column, found)}; {fix}"
            )
    return found


def show_faults(faults: list[str], count: int) -> None:
    """Tell the first rows that could not be taken, and how many more there are."""
    for fault in faults[:_SHOWN]:
        note(fault)
    if count > min(len(faults), _SHOWN):
        note(f"… and {count - min(len(faults), _SHOWN):,} more rows that can't be taken")


@contextmanager
def progress_bar(title: str, size: int) -> "Iterator[Callable[[int], None]]":
    """A bar on a terminal's stderr, moved by the bytes read so far; nothing where there is no terminal."""
    import sys

    if not sys.stderr.isatty():
        yield lambda offset: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=size)
        shown = 0

        def move(offset: int) -> None:
            nonlocal shown
            if offset > shown:  # files are read by the block: most rows move nothing
                shown = offset
                progress.update(task, completed=offset)
                if offset >= size:
                    progress.update(task, description="writing to the store")

        yield move


def _neighbours(file: Path) -> list[str]:
    return [near.name for near in file.parent.iterdir()] if file.parent.is_dir() else []
