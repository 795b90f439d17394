"""The table of all figures, for the terminal and for README.md."""

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from .budgets import BUDGETS
from .rows import Row

Measured = dict[str, list[Row] | None]

BEGIN, END = "<!-- figures: written by `python -m bench --write` -->", "<!-- end of figures -->"
_HEAD = ("what", "ours", "beside", "ratio", "budget", "met?", "note")


def show(measured: Mapping[str, Sequence[Row] | None], *, quick: bool) -> None:
    """Print the table; what failed is said in it."""
    title = f"{machine()}{'; a quick run, whose figures say little' if quick else ''}"
    table = Table(*_HEAD, title=title, title_style="", header_style="bold")
    for column in table.columns[1:4]:
        column.justify = "right"
    for name, rows in measured.items():
        table.add_section()
        for cells in _lines(name, rows):
            table.add_row(*cells)
    # A table in a file or a pipe isn't cut to some terminal's width.
    Console(width=None if os.isatty(1) else 190).print(table)


def write(measured: Mapping[str, Sequence[Row] | None], readme: Path) -> None:
    """Put the figures between the marks in README.md, in place of those of the same benches."""
    text = readme.read_text()
    before, found, rest = text.partition(BEGIN)
    old, ended, after = rest.partition(END)
    if not (found and ended):
        raise SystemExit(f"{readme} lacks the line {BEGIN if not found else END}")
    sections = {part.partition("\n")[0]: part for part in old.split("### ")[1:]}
    for name, rows in measured.items():
        if rows is not None:
            sections[name] = "\n".join([name, "", f"{machine()}.", "", *_markdown(name, rows), "", ""])
    readme.write_text(
        "".join([before, BEGIN, "\n\n", *(f"### {part}" for part in sections.values()), END, after])
    )


def machine() -> str:
    """When and where this was measured."""
    model = platform.processor() or platform.machine()
    with open("/proc/cpuinfo") as info:
        models = [line.partition(":")[2].strip() for line in info if line.startswith("model name")]
    today = datetime.now(UTC).date().isoformat()
    return f"{today}, {models[0] if models else model}, {os.cpu_count()} cores, Python {platform.python_version()}"


def _lines(name: str, rows: Sequence[Row] | None) -> Iterator[tuple[str, ...]]:
    if rows is None:
        yield name, "failed", "", "", "", "no", "see above"
        return
    for row in rows:
        budget = BUDGETS.get(row["name"])
        yield (
            row["name"],
            _figure(row["ours"], row["unit"]),
            "" if row["baseline"] is None else _figure(row["baseline"], row["unit"]),
            "" if row["ratio"] is None else f"{row['ratio']:.2f} ×",
            "" if budget is None else budget.text,
            "" if budget is None else "yes" if budget.met(row) else "no",
            row["note"],
        )


def _markdown(name: str, rows: Sequence[Row]) -> Iterator[str]:
    yield f"| {' | '.join(_HEAD)} |"
    yield "|---|--:|--:|--:|---|---|---|"
    for cells in _lines(name, rows):
        yield f"| {' | '.join(cells)} |"


def _figure(value: float, unit: str) -> str:
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{digits}f} {unit}".strip()
