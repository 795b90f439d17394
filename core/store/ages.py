"""How old items are: when the origin of each was last asked for it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select, tuple_, update

from .database import Database
from .tables import chunks, items
from .transaction import Transaction
from .versions import Now

_columns = items.c
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class OriginCount:
    """How many items of one origin there are, and when the oldest and the newest of them were refreshed."""

    origin: str
    items: int
    oldest: float
    newest: float


class Ages:
    """When the items of all domains were refreshed. Those that are deleted don't count."""

    def __init__(self, database: Database, now: Now) -> None:
        self._database, self._now = database, now

    def by_origin(self, domain: str) -> list[OriginCount]:
        """The items of a domain by their origin."""
        age = _columns.refreshed
        statement = (
            select(_columns.origin, func.count(), func.min(age), func.max(age))
            .where(_columns.domain == domain, _columns.body.is_not(None))
            .group_by(_columns.origin)
            .order_by(_columns.origin)
        )
        return [OriginCount(*row) for row in self._database.all(statement)]

    def before(
        self,
        domain: str,
        origin: str,
        time: float,
        *,
        after: tuple[float, str] = (float("-inf"), ""),
        limit: int,
    ) -> list[tuple[float, str]]:
        """The items of an origin that were refreshed at a time or before: when, and their ids, oldest first.

        after: the last one of the page before.
        """
        place = tuple_(_columns.refreshed, _columns.id)
        here = (_columns.domain == domain, _columns.origin == origin, _columns.body.is_not(None))
        statement = select(_columns.refreshed, _columns.id).where(*here, _columns.refreshed <= time)
        if after[1]:
            statement = statement.where(place > tuple_(*after))
        statement = statement.order_by(_columns.refreshed, _columns.id).limit(limit)
        return [(row.refreshed, row.id) for row in self._database.all(statement)]

    def ids(self, domain: str, origin: str) -> Iterator[str]:
        """The ids of an origin's items, the oldest first; read page by page."""
        after = (float("-inf"), "")
        while page := self.before(domain, origin, float("inf"), after=after, limit=_PAGE):
            yield from (identity for _, identity in page)
            after = page[-1]

    def origins(self, domain: str, ids: Sequence[str]) -> dict[str, str]:
        """The origin of each of some items that are there."""
        found: dict[str, str] = {}
        for chunk in chunks(ids):
            here = (_columns.domain == domain, _columns.id.in_(chunk), _columns.body.is_not(None))
            rows = self._database.all(select(_columns.id, _columns.origin).where(*here))
            found.update((row.id, row.origin) for row in rows)
        return found

    def confirm(self, domain: str, ids: Sequence[str]) -> None:
        """Their origin was asked for items just now, and they are as they were."""

        def write(transaction: Transaction) -> None:
            transaction.lock()  # two writers of the same rows must not wait for each other
            for chunk in chunks(ids):
                here = (_columns.domain == domain, _columns.id.in_(chunk), _columns.body.is_not(None))
                statement = update(items).where(*here).values(refreshed=transaction.now())
                transaction.connection.execute(statement)

        self._now(write)
