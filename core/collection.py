"""What a collector yields: records as they stand in the outside world, and faults where one can't be read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Record:
    """One raw item or interaction.

    values: by field name, untyped; the domain's schema types them.
    where: for people, such as `books.csv:14`.
    offset: bytes read so far, for a progress bar; 0 where unknown.
    """

    values: Mapping[str, Any]
    where: str = ""
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Fault:
    """One place that can't be read, and why; the rest of the collection goes on."""

    where: str
    message: str
