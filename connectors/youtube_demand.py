"""Demand: how often, and how lately, each search was wanted; shared by the processes that share a service."""

import asyncio
import secrets
from collections.abc import Iterable, Mapping

import orjson

from ..core import Service

_FLUSH_SECONDS = 5.0
_LOCK_SECONDS = 5.0
_KEEP_SECONDS = 14 * 86_400.0
_MOST = 1000


class Demand:
    """Counts that halve in a day.

    What is noted is kept here for some seconds, and then added to what all processes know.
    """

    def __init__(self, service: Service, half_life_seconds: float = 86_400.0) -> None:
        self._service = service
        self._half_life = half_life_seconds
        self._noted: dict[str, int] = {}
        self._flushed = float("-inf")
        self._flush: asyncio.Task[None] | None = None

    def note(self, terms: Iterable[str], now: float) -> None:
        """Somebody wants these searches. Costs no time: what has to wait is done in the background."""
        for term in terms:
            if term in self._noted or len(self._noted) < _MOST:
                self._noted[term] = self._noted.get(term, 0) + 1
        if now >= self._flushed + _FLUSH_SECONDS and (self._flush is None or self._flush.done()):
            self._flushed = now
            self._flush = asyncio.get_running_loop().create_task(self.flush(now))

    async def flush(self, now: float) -> None:
        """Add what was noted to what all processes know; where that is being changed just now, keep it for later."""
        if not self._noted:
            return
        memory, key, token = self._service.memory, self._service.place("demand"), secrets.token_hex(8)
        if not await memory.acquire(f"lock:{key}", token, _LOCK_SECONDS):
            return
        try:
            noted, self._noted = self._noted, {}
            counts = await self._read(now)
            for term, count in noted.items():
                counts[term] = counts.get(term, 0.0) + count
            most = sorted(counts, key=lambda term: -counts[term])[:_MOST]
            body = orjson.dumps({"at": now, "counts": {term: counts[term] for term in most}})
            await memory.put(key, body, _KEEP_SECONDS)
        finally:
            await memory.release(f"lock:{key}", token)

    async def counts(self, now: float) -> Mapping[str, float]:
        """By search: how often it was wanted, a time that is a day ago counting half."""
        await self.flush(now)
        return await self._read(now)

    async def _read(self, now: float) -> dict[str, float]:
        body = await self._service.memory.get(self._service.place("demand"))
        try:
            known = orjson.loads(body or b"{}")
            left = 0.5 ** (max(0.0, now - known.get("at", now)) / self._half_life)
            return {term: count * left for term, count in known.get("counts", {}).items()}
        except (ValueError, AttributeError, TypeError):
            return {}
