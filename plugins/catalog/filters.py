"""The filters: what may stay among the candidates."""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...core import Candidates, Context, Filter, FlagField
from .where import Where, Wish

__all__ = ["Available", "Seen", "Where", "Wish"]

Mask = NDArray[np.bool_]


class Seen(Filter):
    """Drops what the user came across already."""

    blocking: ClassVar[bool] = False

    days: float | None = Field(
        None, gt=0, le=36_500, description="How many days back an encounter counts; by default for ever."
    )
    kinds: tuple[str, ...] | None = Field(
        None, min_length=1, description="The kinds of interaction that count, such as play; by default all."
    )

    def keep(self, context: Context, candidates: Candidates) -> Mask:
        """True where the candidate stays, shape (n,)."""
        history = context.history
        counts = np.ones(len(history), dtype=bool)
        if self.days is not None:
            counts &= history["age_days"] <= self.days
        if self.kinds is not None:
            kinds = history["kind"]
            counts &= np.logical_or.reduce([kinds == kind for kind in self.kinds])
        seen = np.zeros(len(context.catalog), dtype=bool)
        seen[history.rows[counts]] = True
        return ~seen[candidates.rows]


class Available(Filter):
    """Keeps items that can be had: those whose flag is not false."""

    blocking: ClassVar[bool] = False

    field: FlagField = Field("available", description="The flag that tells whether an item can be had.")
    missing: Literal["keep", "drop"] = Field(
        "keep", description="What happens to items of which it is not known."
    )

    def keep(self, context: Context, candidates: Candidates) -> Mask:
        """True where the candidate stays, shape (n,)."""
        available: Mask = candidates[self.field]
        return available | candidates.missing(self.field) if self.missing == "keep" else available
