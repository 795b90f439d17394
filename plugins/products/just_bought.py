"""Keeping away from people what they just bought."""

from collections.abc import Iterable, Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...core import Candidates, Context, FieldType, Filter, Vocabulary, WordField

Mask = NDArray[np.bool_]


class JustBought(Filter):
    """Drops what the user bought lately, in whatever size or colour.

    What is used up comes again when it may be needed: after so many days in its category, and not after `days`.
    """

    blocking: ClassVar[bool] = False

    days: float = Field(180, gt=0, le=36_500, description="How many days a purchase keeps an item away.")
    kinds: tuple[str, ...] = Field(
        ("purchase",), min_length=1, description="The kinds of interaction that are purchases."
    )
    group: WordField | None = Field(
        None, description="The category field that variants of one product share, such as item_group_id."
    )
    category: WordField | None = Field(None, description="The category field that `replenish` is about.")
    replenish: Mapping[str, float] = Field(
        {}, description="Categories of what is used up, and the days after which it may come again."
    )

    def misfits(self, fields: Mapping[str, FieldType]) -> Iterable[tuple[str, str]]:
        """Options that don't go together, or with the fields."""
        if self.replenish and self.category is None:
            yield "replenish", "`replenish` needs `category`: the field whose words it names"
        if self.group is not None and fields.get(self.group) == "tags":
            yield "group", f"`group` needs a category field, and {self.group!r} is tags"
        for name, days in self.replenish.items():
            if not 0 <= days <= 36_500:
                yield "replenish", f"the days of {name!r} must lie between 0 and 36500, not {days:g}"

    def keep(self, context: Context, candidates: Candidates) -> Mask:
        """True where the candidate stays, shape (n,)."""
        history = context.history
        kinds = history["kind"]
        bought = np.logical_or.reduce([kinds == kind for kind in self.kinds]).astype(bool)
        bought &= history["age_days"] <= self._days(history)
        rows = history.rows[bought]
        away = np.zeros(len(context.catalog), dtype=bool)
        away[rows] = True
        keep = ~away[candidates.rows]
        if self.group is not None and len(rows):
            groups = context.catalog.column(self.group)
            gone = np.zeros(len(context.catalog.words(self.group)) + 1, dtype=bool)
            gone[groups[rows]] = True
            gone[-1] = False  # the place that code -1, no group, finds
            keep &= ~gone[groups[candidates.rows]]
        return keep

    def _days(self, history: Candidates) -> NDArray[np.float64]:
        """For how long each purchase of the history keeps its item away, shape (n,)."""
        days = np.full(len(history), self.days)
        if self.category is None or not self.replenish or not len(history):
            return days
        catalog, field = history.catalog, self.category
        listed = tuple(self.replenish.items())
        by_code = catalog.cached(
            ("products: replenished", field, listed), lambda: _by_code(catalog.words(field), dict(listed))
        )
        if catalog.schema.fields[field] == "category":
            found = by_code[history.codes(field)]
        else:
            indptr, codes = catalog.tags(field).runs(history.rows)
            found = np.full(len(history), np.inf)
            np.minimum.at(found, np.repeat(np.arange(len(history)), np.diff(indptr)), by_code[codes])
        return np.where(np.isfinite(found), found, days)


def _by_code(words: Vocabulary, days: Mapping[str, float]) -> NDArray[np.float64]:
    """The days of each word by its code, infinite for others; and for code -1 at the end."""
    by_name = {name.casefold(): value for name, value in days.items()}
    found = [by_name.get(words.word(code).casefold(), np.inf) for code in range(len(words))]
    return np.array([*found, np.inf])
