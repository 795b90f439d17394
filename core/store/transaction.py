"""One write transaction of the store: the only place where the log grows."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection

from .entries import Entry, Receipt
from .tables import chunks, execute, insert_rows, log

# Every transaction that writes more than a note changes this one row first, and the row stays locked until it
# commits: so positions are committed, and become visible, in their order, and no two writers wait for each
# other. (SQLite has one writer at a time anyway.)
_ADVANCE = (
    'UPDATE log_end SET "position" = "position" + ?, "time" = CASE WHEN "time" < ? THEN ? ELSE "time" END'
    ' RETURNING "position", "time"'
)


class Transaction:
    """What a piece of work sees of the write transaction it runs in."""

    def __init__(
        self, connection: Connection, clock: Callable[[], float], *, look_first: bool = False
    ) -> None:
        """`look_first`: look for entries that are in the log already, don't count on there being none."""
        self.connection = connection
        self.end = 0  # the position of the last entry written here, 0 for none
        self.duplicates = False  # whether an entry was in the log already
        self._clock = clock
        self._look_first = look_first

    def now(self) -> float:
        """The clock's time, seconds since the epoch."""
        return self._clock()

    def lock(self) -> tuple[int, float]:
        """The last position and its time, which stay so until this transaction writes or ends."""
        return self._advance(0, 0.0)

    def append(self, entries: Sequence[Entry]) -> list[Receipt]:
        """Write the entries that aren't in the log yet; a receipt for each, in their order.

        Without `look_first`, an entry that is in the log already makes the database raise IntegrityError.
        """
        known: dict[tuple[str, str], Receipt] = {}
        if self._look_first:
            self.lock()
            known = self._known(entries)
        new: dict[tuple[str, str], Entry] = {}
        for entry in entries:
            key = (entry.kind, entry.id)
            if key not in known:
                new.setdefault(key, entry)
        self.duplicates = len(new) < len(entries)
        time = 0.0
        if new:
            self.end, time = self._advance(len(new), self._clock())
        first = self.end - len(new) + 1
        insert_rows(
            self.connection,
            log,
            [
                (position, entry.kind, entry.id, entry.domain, entry.user, time, entry.body)
                for position, entry in enumerate(new.values(), first)
            ],
        )
        if not self.duplicates:
            return [Receipt(position, time, False) for position in range(first, self.end + 1)]
        places = {key: position for position, key in enumerate(new, first)}
        receipts = []
        for entry in entries:
            key = (entry.kind, entry.id)
            receipts.append(known.get(key) or Receipt(places[key], time, new.pop(key, None) is None))
        return receipts

    def _advance(self, count: int, now: float) -> tuple[int, float]:
        row: Any = execute(self.connection, _ADVANCE, (count, now, now)).one()
        return row.position, row.time

    def _known(self, entries: Sequence[Entry]) -> dict[tuple[str, str], Receipt]:
        """The receipts of the entries that are in the log already, by kind and id."""
        known = {}
        for chunk in chunks(list({(entry.kind, entry.id) for entry in entries})):
            rows: Iterable[Any] = execute(
                self.connection,
                'SELECT "kind", "id", "position", "time" FROM log WHERE ("kind", "id") IN (VALUES '
                + ", ".join(["(?, ?)"] * len(chunk))
                + ")",
                tuple(value for key in chunk for value in key),
            )
            known.update({(row.kind, row.id): Receipt(row.position, row.time, True) for row in rows})
        return known
