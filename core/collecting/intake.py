"""What a collector brings in the background, into store and log: chunk by chunk, bad rows reported."""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

from ..catalog.items import item_id
from ..collection import Fault, Record
from ..config import DomainPlan
from ..errors import ItemError, StoreError
from ..interaction import Interaction
from ..stock.ingest import Report, StoredItem, written
from ..stock.sample import parting
from ..store import Entry, Store, check_entries

_CHUNK = 500
"""What is written at once."""
_CHUNK_SECONDS = 2.0
"""How long what was brought may wait to be written while more comes."""


class Intake:
    """Takes in what one run of a collector brings, chunk by chunk: what was written stays, whatever comes then.

    origin: what items get as theirs. Ids of interactions begin with domain and origin: a collector's ids are its own,
    while the log has each id once. spared: says of an item's origin whether this run leaves its items as they are.
    rows: how many were brought.
    """

    def __init__(
        self,
        store: Store,
        plan: DomainPlan,
        origin: str,
        now: float,
        *,
        spared: Callable[[str], bool] = lambda origin: False,
    ) -> None:
        self.report = Report()
        self.rows = 0
        self._store, self._plan, self._origin = store, plan, origin
        self._domain, self._schema = plan.name, plan.items.schema
        self._now, self._spared = now, spared
        self._brought: set[str] = set()
        self._items: dict[str, bytes] = {}
        self._entries: list[Entry] = []
        self._flushed = time.monotonic()

    def take(self, each: object) -> None:
        """Take one in; now and then all that was taken in is written. Raises StoreError."""
        self.rows += 1
        match each:
            case Fault():
                self.report.reject(each.where, each.message)
            case Record():
                self._item(each)
            case Interaction():
                self._interaction(each)
            case _:
                said = f"{type(each).__name__} is neither Record nor Interaction nor Fault"
                self.report.reject(f"row {self.rows}", said)
        waiting = len(self._items) + len(self._entries)
        if waiting >= _CHUNK or (waiting and time.monotonic() - self._flushed > _CHUNK_SECONDS):
            self.flush()

    def flush(self) -> None:
        """Write what was taken in. Raises StoreError."""
        entries, self._entries = self._entries, []
        if entries:
            receipts = self._store.append(entries).result()
            self.report.duplicates += sum(receipt.duplicate for receipt in receipts)
            self.report.interactions += sum(not receipt.duplicate for receipt in receipts)
        items, self._items = self._items, {}
        if items:
            self._write(items)
        self._flushed = time.monotonic()

    def remove_missing(self) -> str:
        """Remove the items of the origin that were not brought; why that was left, empty where it was done."""
        self.flush()
        if not self._brought:
            return "it brought no item: none was removed"
        gone = [
            identity
            for identity in self._store.ages.ids(self._domain, self._origin)
            if identity not in self._brought
        ]
        if gone:
            written(self._store.put_items(self._domain, [(identity, None) for identity in gone]))
            self.report.removed += len(gone)
        return ""

    def _item(self, record: Record) -> None:
        try:
            identity, values = self._schema.typed(record.values)
        except ItemError as error:
            self.report.reject(record.where, str(error))
            with suppress(ItemError):  # it is there, if not to be read: what is kept of it stays
                self._brought.add(item_id(record.values.get(self._schema.id)))
            return
        self._brought.add(identity)
        self._items[identity] = StoredItem(values, self._origin).to_bytes()

    def _interaction(self, interaction: Interaction) -> None:
        where = f"interaction {interaction.id!r}"
        try:
            item = item_id(interaction.item, "item")
            when = min(float(interaction.time), self._now)
            named = f"{self._domain} {self._origin} {interaction.id}" if interaction.id else ""
            fine = replace(interaction, id=named, domain=self._domain, item=item, time=when)
            entry = Entry("interaction", fine.id, fine.domain, fine.user, fine.to_bytes())
            check_entries([entry])
        except (ItemError, StoreError, TypeError, ValueError) as error:
            self.report.reject(where, str(error))
            return
        if not (interaction.user and interaction.kind and math.isfinite(when)):
            self.report.reject(where, "it needs a user, a kind and a time")
            return
        self._entries.append(entry)

    def _write(self, items: Mapping[str, bytes]) -> None:
        stored = self._store.bodies(self._domain, list(items))
        same = [identity for identity, body in items.items() if stored.get(identity) == body]
        changed = {identity: body for identity, body in items.items() if stored.get(identity) != body}
        for identity in [each for each in changed if each in stored]:
            if self._spared(StoredItem.from_bytes(stored[identity]).origin):
                del changed[identity]
        self.report.unchanged += len(items) - len(changed)
        self.report.written += len(changed)
        if changed:
            changes = parting(self._store, self._plan, list(changed.items()))
            written(self._store.put_items(self._domain, changes))
        if same:
            self._store.ages.confirm(self._domain, same)
