"""The sources: rows of the catalogue that are worth considering, best first."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...core import Context, NumberField, Source, TimeField
from .ranking import best, liking_of_all, numbers_of_all
from .taste import Spatial, Tasting

Rows = NDArray[np.intp]


class Popular(Source):
    """Items with the largest numbers in a field or, without one, those that people liked most.

    How much people liked an item: the sum of its rewards / (its outcomes + 10). Items that nobody tried
    follow the liked ones, in the catalogue's order; disliked ones come last. So do items without the number.
    """

    blocking: ClassVar[bool] = False

    limit: int = Field(100, ge=1, le=10_000, description="How many items to propose.")
    field: NumberField | None = Field(
        None, description="The number that tells popularity; by default people's rewards tell."
    )

    def propose(self, context: Context) -> Rows:
        """Rows of the catalogue, best first, at most `limit`."""
        catalog, field, limit = context.catalog, self.field, self.limit
        if field is None:
            return catalog.live[best(liking_of_all(context), limit)]
        return catalog.cached(
            ("catalog: popular", field, limit),
            lambda: catalog.live[best(numbers_of_all(catalog, field), limit)],
        )


class Recent(Source):
    """The newest items by a time field; none from the future, none without a time."""

    blocking: ClassVar[bool] = False

    limit: int = Field(100, ge=1, le=10_000, description="How many items to propose.")
    field: TimeField = Field(description="The time that tells how new an item is.")

    def propose(self, context: Context) -> Rows:
        """Rows of the catalogue, best first, at most `limit`."""
        catalog, field, limit = context.catalog, self.field, self.limit
        # Twice as many as needed are kept per snapshot: only many items from the future cost a search.
        newest = catalog.cached(
            ("catalog: recent", field, limit),
            lambda: catalog.live[best(numbers_of_all(catalog, field), 2 * limit)],
        )
        past = newest[catalog.column(field)[newest] <= context.now]
        if len(past) < limit and len(newest) < len(catalog.live):
            times = numbers_of_all(catalog, field)
            known = np.flatnonzero(times <= context.now)
            past = catalog.live[known[best(times[known], limit)]]
        return past[:limit]


class Nearest(Tasting):
    """The items nearest to the user's taste, in whatever space."""

    limit: int = Field(200, ge=1, le=10_000, description="How many items to propose.")
    again: bool = Field(False, description="Whether to propose items of the user's history, too.")

    def propose(self, context: Context) -> Rows:
        """Rows of the catalogue, best first, at most `limit`."""
        taste = self.taste(context)
        if taste is None or not taste.attracts:
            return np.empty(0, dtype=np.intp)
        if self.again:
            return taste.space.nearest(context.catalog, taste.vector, self.limit)[: self.limit]
        past = context.history.rows
        rows = taste.space.nearest(context.catalog, taste.vector, self.limit + len(past))
        known = np.zeros(len(context.catalog), dtype=bool)
        known[past] = True
        return rows[~known[rows]][: self.limit]


class Similar(Spatial, Nearest, Source):
    """The items nearest to the user's taste; nothing for a user whose taste is unknown."""

    blocking: ClassVar[bool] = False


class Random(Source):
    """Items drawn evenly from the whole catalogue, each at most once."""

    blocking: ClassVar[bool] = False

    limit: int = Field(50, ge=1, le=10_000, description="How many items to propose.")

    def propose(self, context: Context) -> Rows:
        """Rows of the catalogue, best first, at most `limit`."""
        live = context.catalog.live
        drawn = context.rng.choice(len(live), size=min(self.limit, len(live)), replace=False, shuffle=True)
        return live[drawn]
