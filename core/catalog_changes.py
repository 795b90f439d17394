"""Changes of catalogues while they are served: items put, removed, adopted from sources, and too old to be kept."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import anyio.to_thread
import orjson

from .agent import Agent
from .background import Background
from .clock import Clock
from .connections import Connections
from .errors import domain_of
from .learning import Learner
from .stock.expiry import Aged, Change, Expiry
from .stock.ingest import typed_items
from .stock.sample import parting
from .stock.stocking import Stocking
from .store import Store
from .terms import Terms

_log = logging.getLogger("tastemaker")

_OWN = Terms()


class CatalogChanges:
    """Writes items into the store, and waits until the catalogues have them. Made on the event loop that serves.

    background: finishes the items that requests leave behind. stocking: puts a sample back where nothing else is left.
    """

    def __init__(
        self,
        store: Store,
        agents: Mapping[str, Agent],
        learner: Learner,
        connections: Connections,
        stocking: Stocking,
        background: Background,
        clock: Clock,
    ) -> None:
        self._store, self._agents, self._learner, self._clock = store, agents, learner, clock
        self._connections, self._stocking, self._background = connections, stocking, background
        self._loop = asyncio.get_running_loop()
        self._expiring: dict[str, asyncio.Task[None]] = {}

    async def put(self, domain: str, raw: Sequence[Mapping[str, Any]]) -> int:
        """Insert or replace items, all or none; how many. Raises ItemError, NotFound, StoreError."""
        items = typed_items(domain_of(self._agents, domain).plan.items.schema, list(raw), "api", strict=True)
        await self._write(domain, items)
        return len(items)

    async def remove(self, domain: str, ids: Sequence[str]) -> int:
        """Take items out of the catalogue; how many of them were in it. Raises NotFound, StoreError."""
        snapshot = domain_of(self._agents, domain).catalog.snapshot()
        known = [identity for identity in ids if snapshot.row(identity) >= 0]
        if known:
            await self._write(domain, [(identity, None) for identity in known])
        return len(known)

    async def adopt(self, domain: str, raw: Sequence[Mapping[str, Any]], origin: str) -> list[str]:
        """Items that a source brought: stored where they are new or changed, and in the catalogue from now on.

        What must be given back some day replaces nothing that is the user's own. A caller that doesn't wait any
        longer leaves it under way: they will be there for the next request.
        """
        task = self._background.begin(self._adopted(domain, raw, origin))
        task.add_done_callback(_hear)
        return await asyncio.shield(task)

    async def expire(self, domain: str) -> Aged:
        """Refresh or remove the items that may not be kept longer. Raises NotFound, StoreError."""
        plan = domain_of(self._agents, domain).plan
        connectors = {name: each for of, name, each in self._connections if of == domain}
        aged = await Expiry(self._store, plan, connectors, self._write, self._clock).look()
        if aged.removed:
            await anyio.to_thread.run_sync(self._stocking.settle_sample, plan)
            if not self._learner.follows:
                await anyio.to_thread.run_sync(self._learner.fold)
        return aged

    def expire_soon(self, domain: str) -> None:
        """Begin to do so in the background, unless it is being done; for threads other than the event loop's."""

        def begin() -> None:
            if domain not in self._expiring:
                task = self._expiring[domain] = asyncio.create_task(self._expire(domain))
                task.add_done_callback(lambda _: self._expiring.pop(domain))

        self._loop.call_soon_threadsafe(begin)

    def stop(self) -> None:
        """Leave the items whose time is over to the next start."""
        for task in self._expiring.values():
            task.cancel()

    async def _expire(self, domain: str) -> None:
        try:
            await self.expire(domain)
        except Exception:
            _log.exception("%s: items whose time is over could not be looked after", domain)

    async def _adopted(self, domain: str, raw: Sequence[Mapping[str, Any]], origin: str) -> list[str]:
        agent = self._agents[domain]
        items = typed_items(agent.plan.items.schema, list(raw), origin, strict=False)
        snapshot = agent.catalog.snapshot()
        fresh = [
            (identity, body)
            for identity, body in items
            if not snapshot.holds(identity, orjson.loads(body)["values"])
        ]
        if fresh and agent.plan.origins.get(origin, _OWN) != _OWN:
            ids = [identity for identity, _ in fresh]
            of = await anyio.to_thread.run_sync(self._store.ages.origins, domain, ids)
            terms = agent.plan.origins
            own = {each for each, name in of.items() if name != "source" and terms.get(name, _OWN) == _OWN}
            fresh = [each for each in fresh if each[0] not in own]
        if fresh:
            await self._write(domain, fresh)
        return [identity for identity, _ in items]

    async def _write(self, domain: str, changes: Sequence[Change]) -> None:
        if any(body is not None for _, body in changes):
            plan = self._agents[domain].plan
            changes = await anyio.to_thread.run_sync(parting, self._store, plan, changes)
        receipt = await asyncio.wrap_future(self._store.put_items(domain, changes))
        await self._learner.caught_up(receipt.position)


def _hear(task: asyncio.Task[Any]) -> None:
    """Take note of a task's failure, whether anybody waits for it or not."""
    if not task.cancelled():
        task.exception()
