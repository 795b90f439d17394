"""An answer as it is kept: also that there is none."""

from dataclasses import dataclass
from typing import Any

import orjson

from .errors import Missing


@dataclass(frozen=True, slots=True)
class Kept:
    """body: the answer as JSON. until: how long it is fresh, in seconds since the epoch. missing: why there is none."""

    body: bytes
    until: float
    missing: str = ""

    @classmethod
    def of(cls, value: Any, until: float, missing: str = "") -> "Kept":
        """An answer to keep."""
        return cls(orjson.dumps(value), until, missing)

    def fresh(self, now: float) -> bool:
        """Whether it may be given without a second thought."""
        return now < self.until

    def value(self) -> Any:
        """The answer, a copy for each who asks. Raises Missing."""
        if self.missing:
            raise Missing(self.missing)
        return orjson.loads(self.body)

    def to_bytes(self) -> bytes:
        """One line of JSON about it, and the answer after it."""
        return orjson.dumps([self.until, self.missing]) + b"\n" + self.body

    @classmethod
    def from_bytes(cls, body: bytes) -> "Kept | None":
        """What `to_bytes` gave; None for anything else."""
        head, _, rest = body.partition(b"\n")
        try:
            until, missing = orjson.loads(head)
        except ValueError:
            return None
        return cls(rest, until, missing)
