"""Terms: how long the data of an origin may be kept, and whether anything may learn from it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

DAY = 86_400.0
SHORTEST_DAYS = 0.1
_SHORTEST_ITEM_DAYS = 0.075
"""What an item has to be left with: in a tenth of less, nobody could look after it twice."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What whoever data comes from allows. By default all: the data is the user's own.

    keep_days: an item is asked for again or removed before it is so old; None keeps it. At least 0.1.
    trainable: whether embeddings and policies may use it.
    fields: the items' fields that hold it; None: all of them.
    lag_days: how old it may be when it comes in, out of a cache: an item is kept so much shorter. At most
    `longest_lag(keep_days)`. Raises ValueError.

    >>> Terms(trainable=False, fields=frozenset({"title"})).withholds("title")
    True
    """

    keep_days: float | None = None
    trainable: bool = True
    fields: frozenset[str] | None = None
    lag_days: float = 0.0

    def __post_init__(self) -> None:
        if self.keep_days is not None and not self.keep_days >= SHORTEST_DAYS:
            raise ValueError(f"keep_days must be at least {SHORTEST_DAYS:g}, not {self.keep_days!r}")
        if self.keep_days is not None and not 0 <= self.lag_days <= longest_lag(self.keep_days):
            most = longest_lag(self.keep_days)
            raise ValueError(f"lag_days must be from 0 to {most:g}, not {self.lag_days!r}")

    @property
    def seconds(self) -> float | None:
        """How long an item may be kept once it has come in; None: for ever."""
        return None if self.keep_days is None else (self.keep_days - self.lag_days) * DAY

    def withholds(self, field: str) -> bool:
        """Whether nothing may learn from a field of an item of this origin."""
        return not self.trainable and (self.fields is None or field in self.fields)


def longest_lag(keep_days: float) -> float:
    """Days that an answer may be kept at most, of those that its data may.

    An answer and the item that is made of it share these days: what one gets, the other is asked for so much sooner.
    Halves cost the fewest requests. An item that may be kept for few hours gets more, to be asked for in time.

    >>> longest_lag(1.0)
    0.5
    """
    return min(keep_days / 2, keep_days - _SHORTEST_ITEM_DAYS)


def withheld(origins: Mapping[str, Terms], fields: Iterable[str]) -> dict[str, str]:
    """The fields that nothing may learn from, each with the reason, in words.

    >>> withheld({"radio": Terms(trainable=False, fields=frozenset({"title"}))}, ["title", "energy"])
    {'title': "'radio' fills it, whose terms forbid to learn from its data"}
    """
    found = {}
    for field in fields:
        by = [repr(name) for name, terms in origins.items() if terms.withholds(field)]
        if by:
            found[field] = f"{' and '.join(by)} fills it, whose terms forbid to learn from its data"
    return found
