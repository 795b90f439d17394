"""Items that nobody may keep for ever: asked for anew while there is time, and removed before it is over."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from typing import Any

import anyio.to_thread

from ..clock import Clock
from ..components import Connector, Refreshed
from ..config import DomainPlan
from ..errors import ConnectorError, ItemError, TastemakerError
from ..interaction import Interaction
from ..store import Store
from ..terms import Terms
from .ingest import StoredItem, typed_items

_log = logging.getLogger("tastemaker.terms")

_ASKED_AT = 0.9
"""The share of the time that an item may be kept after which its origin is asked for it again."""
_BATCH = 50
_PATIENCE = 60.0
"""Seconds that an origin may take for one batch."""
_PAGE = 1000

Change = tuple[str, bytes | None]
Write = Callable[[str, Sequence[Change]], Awaitable[None]]
"""Writes items of a domain into store and catalogue."""


def look_seconds(plan: DomainPlan) -> float | None:
    """How often the ages of a domain's items have to be looked at; None: nothing in it ages."""
    days = [terms.keep_days for terms in plan.origins.values() if terms.keep_days is not None]
    if not days:
        return None if plan.items.most is None else 3600.0
    return 300.0 if min(days) < 3 else 3600.0


def in_force(store: Store, plan: DomainPlan) -> DomainPlan:
    """The plan with the terms of origins that it doesn't have any more, but items of which are still there.

    Terms are noted while they are declared: they outlast the connector whose data they are about. Raises StoreError.
    """
    for name, terms in plan.origins.items():
        key, written = _note(plan.name, name), _written(terms)
        if store.note(key) != written and (terms != Terms() or store.note(key) is not None):
            store.put_note(key, written)
    left = [count.origin for count in store.ages.by_origin(plan.name) if count.origin not in plan.origins]
    noted = {name: text for name in left if name and (text := store.note(_note(plan.name, name)))}
    if not noted:
        return plan
    return replace(plan, origins={**plan.origins, **{name: _read(text) for name, text in noted.items()}})


def copy_terms(source: Store, target: Store, domain: str) -> None:
    """Note in another store, for a copy of a domain's items, what terms they are under. Raises StoreError."""
    for count in source.ages.by_origin(domain):
        key = _note(domain, count.origin)
        if (terms := source.note(key)) is not None:
            target.put_note(key, terms)


def remove_overdue(store: Store, plan: DomainPlan, now: float) -> int:
    """Remove the items that are older than their terms allow; how many."""
    removed = 0
    for origin, terms in plan.origins.items():
        if terms.seconds is None:
            continue
        while ids := _ids(store, plan, origin, now - terms.seconds):
            store.put_items(plan.name, [(identity, None) for identity in ids]).result()
            removed += len(ids)
    if removed:
        _log.info("%s: %d items removed: their terms allow to keep them no longer", plan.name, removed)
    return removed


@dataclass(slots=True)
class Aged:
    """What became of the items whose time was nearly over.

    refreshed: their origin was asked for them; removed: they are gone, there or here; why: what kept an origin from
    being asked, by its name.
    """

    refreshed: int
    removed: int
    why: dict[str, str]


class Expiry:
    """Sees to it that a domain's items are never kept longer than the terms of their origins allow.

    connectors: by origin, those that can be asked for items again.
    """

    def __init__(
        self, store: Store, plan: DomainPlan, connectors: Mapping[str, Connector], write: Write, clock: Clock
    ) -> None:
        self._store, self._plan, self._write, self._clock = store, plan, write, clock
        self._connectors = connectors

    async def look(self) -> Aged:
        """Ask origins for the items whose time is nearly over, and remove those that can't wait for the next look."""
        aged = Aged(0, 0, {})
        # What isn't removed now may have to wait for two looks more: one may come late.
        ahead = 2 * (look_seconds(self._plan) or 0.0)
        for origin, terms in self._plan.origins.items():
            keep = terms.seconds
            if keep is None:
                continue
            connector = self._connectors.get(origin)
            asked = connector is not None and type(connector).refresh is not Connector.refresh
            if connector is not None and asked:
                await self._refresh(origin, connector, self._clock() - _ASKED_AT * keep, aged)
            last = self._clock() - (keep - ahead if asked else min(_ASKED_AT * keep, keep - ahead))
            await self._remove(origin, last, aged)
        for first in range(0, len(beyond := await anyio.to_thread.run_sync(self._beyond)), _PAGE):
            page = beyond[first : first + _PAGE]
            await self._write(self._plan.name, [(identity, None) for identity in page])
            aged.removed += len(page)
        if aged.removed or aged.why:
            said = "".join(f"; {origin} could not be asked: {why}" for origin, why in aged.why.items())
            _log.info(
                "%s: of the items whose terms let nobody keep them longer, %d were asked for anew and %d removed%s",
                self._plan.name,
                aged.refreshed,
                aged.removed,
                said,
            )
        return aged

    async def _refresh(self, origin: str, connector: Connector, before: float, aged: Aged) -> None:
        """Ask for items batch by batch, until all are young, or the origin has enough of it."""
        after = (float("-inf"), "")
        until = time.monotonic() + (look_seconds(self._plan) or 0.0)
        while time.monotonic() < until:
            page = await anyio.to_thread.run_sync(
                partial(self._store.ages.before, self._plan.name, origin, before, after=after, limit=_BATCH)
            )
            if not page:
                return
            after = page[-1]
            ids = [identity for _, identity in page]
            try:
                async with asyncio.timeout(_PATIENCE):
                    found = await _asked(connector, ids)
                if len(found) != len(ids):
                    raise ItemError(f"it gave {len(found)} items for {len(ids)} ids")
            except TimeoutError:
                aged.why[origin] = f"it gave no answer within {_PATIENCE:.0f} s"
                return
            except Exception as error:  # a plugin's code may raise anything
                aged.why[origin] = str(error) or type(error).__name__
                if not isinstance(error, TastemakerError):
                    _log.exception("%s: %s could not be asked for its items", self._plan.name, origin)
                return
            await self._take(origin, dict(zip(ids, found, strict=True)), aged)

    async def _take(
        self, origin: str, found: Mapping[str, Mapping[str, Any] | ConnectorError | None], aged: Aged
    ) -> None:
        """Write what has changed, remove what is gone, and note that the rest is as it was."""
        changes: list[Change] = []
        same: list[str] = []
        for identity, before in (await anyio.to_thread.run_sync(self._stored, origin, list(found))).items():
            raw = found[identity]
            if isinstance(raw, ConnectorError):
                aged.why[origin] = str(raw)
                continue  # it is asked for again
            if raw is None:
                changes.append((identity, None))
                aged.removed += 1
                continue
            try:
                body = self._renewed(origin, identity, before, raw)
            except ItemError as error:
                aged.why[origin] = f"it gave an item that doesn't fit: {error}"
                continue  # it stays as it is until it has to go
            aged.refreshed += 1
            if body == before:
                same.append(identity)
            else:
                changes.append((identity, body))
        if changes:
            await self._write(self._plan.name, changes)
        if same:
            await anyio.to_thread.run_sync(self._store.ages.confirm, self._plan.name, same)

    def _stored(self, origin: str, ids: Sequence[str]) -> dict[str, bytes]:
        """The items that are still there, and still of the origin."""
        domain = self._plan.name
        of = self._store.ages.origins(domain, ids)
        bodies = {
            identity: self._store.item(domain, identity) for identity in ids if of.get(identity) == origin
        }
        return {identity: body for identity, body in bodies.items() if body is not None}

    def _renewed(self, origin: str, identity: str, before: bytes, raw: Mapping[str, Any]) -> bytes:
        """An item with what its origin says of it now. Raises ItemError.

        Fields that its origin doesn't fill, or says nothing of, stay; those that it says None of go.
        """
        schema, fields = self._plan.items.schema, self._plan.origins[origin].fields
        own = {} if fields is None else StoredItem.from_bytes(before).values
        ((_, body),) = typed_items(schema, [{**own, **raw, schema.id: identity}], origin, strict=False)
        return body

    def _beyond(self) -> list[str]:
        """The items from outside that are too many: those refreshed longest ago that nobody has done anything with."""
        domain, most = self._plan.name, self._plan.items.most
        counts = self._store.ages.by_origin(domain)
        surplus = 0 if most is None else sum(count.items for count in counts) - most
        if surplus <= 0:
            return []
        found = [
            each
            for count in counts
            if count.origin in self._plan.origins
            for each in self._store.ages.before(domain, count.origin, count.newest, limit=count.items)
        ]
        used: set[str] = set()
        position = 0
        while entries := self._store.read(position, limit=_PAGE):
            position = entries[-1].position
            used.update(
                Interaction.from_bytes(entry.id, entry.domain, entry.user, entry.body).item
                for entry in entries
                if entry.kind == "interaction" and entry.domain == domain
            )
        return [identity for _, identity in sorted(found) if identity not in used][:surplus]

    async def _remove(self, origin: str, before: float, aged: Aged) -> None:
        while ids := await anyio.to_thread.run_sync(_ids, self._store, self._plan, origin, before):
            await self._write(self._plan.name, [(identity, None) for identity in ids])
            aged.removed += len(ids)


async def _asked(connector: Connector, ids: Sequence[str]) -> Refreshed:
    given: Any = (
        connector.refresh(ids)
        if iscoroutinefunction(connector.refresh)
        else await anyio.to_thread.run_sync(connector.refresh, ids, abandon_on_cancel=True)
    )
    found: Refreshed = await given if isawaitable(given) else given
    return found


def _ids(store: Store, plan: DomainPlan, origin: str, before: float) -> list[str]:
    return [identity for _, identity in store.ages.before(plan.name, origin, before, limit=_PAGE)]


def _note(domain: str, origin: str) -> str:
    return f"terms {domain} {origin}"


def _written(terms: Terms) -> str:
    fields = None if terms.fields is None else sorted(terms.fields)
    return json.dumps({**asdict(terms), "fields": fields})


def _read(text: str) -> Terms:
    noted = json.loads(text)
    fields = noted.pop("fields")
    return Terms(**noted, fields=None if fields is None else frozenset(fields))
