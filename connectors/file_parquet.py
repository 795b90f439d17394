"""Rows of Parquet files, a batch at a time, by pyarrow (extra `parquet`)."""

from collections.abc import Iterator
from datetime import date, datetime, time
from importlib import import_module
from pathlib import Path
from typing import Any

from ..core import CollectorError
from .file_lines import OpenFile, Row

_BATCH = 1024


def parquet_columns(path: Path) -> list[str]:
    """The names of the columns, with those inside of structs as `owner.login`. Raises CollectorError."""
    with OpenFile(path):
        return [name for field in _opened(path).schema_arrow for name in _names(field)]


def parquet_rows(path: Path) -> Iterator[Row]:
    """Rows; `line` is the number of the row, from 1. Raises CollectorError."""
    arrow = import_module("pyarrow")
    file = _opened(path)
    size, total, line = path.stat().st_size, max(file.metadata.num_rows, 1), 0
    try:
        for batch in file.iter_batches(batch_size=_BATCH):
            for values in _microseconds(arrow, batch).to_pylist():
                line += 1
                yield Row({name: _plain(value) for name, value in values.items()}, line, size * line // total)
    except (arrow.ArrowException, OSError, ValueError) as problem:
        raise CollectorError(
            f"{path}: row {line + 1} can't be read ({problem}); write the file again"
        ) from problem
    finally:
        file.close()


def _opened(path: Path) -> Any:
    try:
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise CollectorError(
            f"{path} needs pyarrow, which is not installed: pip install 'tastemaker[parquet]'; "
            "or write it as CSV or JSON Lines"
        ) from None
    try:
        return parquet.ParquetFile(path)
    except (arrow.ArrowException, OSError) as problem:
        raise CollectorError(f"{path} is no Parquet file ({problem})") from problem


def _names(field: Any) -> list[str]:
    names = [field.name]
    if hasattr(field.type, "num_fields") and str(field.type).startswith("struct<"):
        names += [f"{field.name}.{name}" for inner in field.type for name in _names(inner)]
    return names


def _microseconds(arrow: Any, batch: Any) -> Any:
    """Nanoseconds are more than Python's times can hold."""
    for place, field in enumerate(batch.schema):
        if arrow.types.is_timestamp(field.type) and field.type.unit == "ns":
            coarse = batch.column(place).cast(arrow.timestamp("us", tz=field.type.tz), safe=False)
            batch = batch.set_column(place, field.name, coarse)
    return batch


def _plain(value: Any) -> Any:
    """Dates as ISO text, exact decimals as float; lists and structs likewise."""
    match value:
        case datetime() | str() | int() | float() | None:
            return value
        case date() | time():
            return value.isoformat()
        case dict():
            return {name: _plain(part) for name, part in value.items()}
        case list():
            return [_plain(part) for part in value]
        case bytes():
            return value
        case _:
            return float(value) if hasattr(value, "as_tuple") else str(value)
