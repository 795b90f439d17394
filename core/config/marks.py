"""Places: which file or option a part of the configuration comes from, and where in it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Origin:
    """Where nodes come from.

    name: as shown in problems, such as `config.yaml`; label: as shown beside values, such as `preset music`.
    folder: what relative paths are relative to; rank: the order in which origins' problems are told.
    """

    name: str
    label: str
    folder: Path
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Mark:
    """A place: line and column count from 1, and are 0 where there is none."""

    origin: Origin
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.origin.label}:{self.line}" if self.line else self.origin.label
