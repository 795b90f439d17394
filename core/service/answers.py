"""Answers: out of the cache while they are fresh, fetched once for all who ask for the same."""

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from ..clock import Clock
from .call import Call
from .counters import Counters
from .errors import Missing, Unreachable
from .kept import Kept
from .keys import Keys
from .loops import PerLoop
from .memory import SharedMemory
from .options import Keeping

_LOOK_AGAIN = (0.02, 0.25)
"""Seconds between two looks at whether another process has fetched an answer: at first, and at most."""

Ask = Callable[[], Awaitable[Any]]
"""Has a request made, and made again where that may help."""


class Answers:
    """Gives the answers of calls that have a key.

    name: what people call the service. oldest: seconds after which an answer is kept no longer, whatever `cache` says;
    None: it may be. under_way: seconds that a call may take.
    """

    def __init__(
        self,
        name: str,
        keys: Keys,
        memory: SharedMemory,
        clock: Clock,
        counters: Counters,
        cache: Keeping,
        oldest: float | None,
        under_way: float,
    ) -> None:
        self._name, self._keys, self._memory, self._clock = name, keys, memory, clock
        self._counters = counters
        self._cache, self._oldest, self._under_way = cache, oldest, under_way
        self._flights: PerLoop[dict[str, asyncio.Task[Kept]]] = PerLoop(dict)

    async def get(self, call: Call, ask: Ask) -> Any:
        """The answer of a call, a copy for each who asks. Raises ServiceError."""
        key = self._keys.of(call, call.key or "")
        found = await self._kept(call, key)
        if found is not None and found.fresh(self._clock()):
            self._counters.add(call.name, "hits")
            return found.value()
        flight, joined = self._flight(call, key, ask)
        if found is not None:
            self._counters.add(call.name, "stale")
            return found.value()
        if joined:
            self._counters.add(call.name, "joined")
        try:
            return (await asyncio.shield(flight)).value()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise Unreachable(f"{call.named(self._name)}: given up, as the service was closed") from None

    async def give_up(self) -> None:
        """Give up what is under way in this event loop."""
        flights = list(self._flights.here().values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    async def forget(self, user: str) -> None:
        """Forget every answer that is one user's."""
        await self._memory.drop(self._keys.users(user))

    def _flight(self, call: Call, key: str, ask: Ask) -> "tuple[asyncio.Task[Kept], bool]":
        """The task that fetches an answer, one for all who ask for it, and whether it was under way already."""
        flights = self._flights.here()
        flight = flights.get(key)
        if flight is not None:
            return flight, True
        flight = flights[key] = asyncio.get_running_loop().create_task(self._fetched(call, key, ask))

        def landed(flight: "asyncio.Task[Kept]") -> None:
            del flights[key]
            if not flight.cancelled():
                flight.exception()  # heard, whether anybody waits for it or not

        flight.add_done_callback(landed)
        return flight, False

    async def _fetched(self, call: Call, key: str, ask: Ask) -> Kept:
        if not self._cache.seconds(call.keep):
            return Kept.of(await ask(), 0.0)
        lock, token = f"lock:{key}", secrets.token_hex(8)
        wait, longest = _LOOK_AGAIN
        while not await self._memory.acquire(lock, token, self._under_way):
            await anyio.sleep(wait)
            wait = min(2 * wait, longest)
        try:
            found = await self._kept(call, key)
            if found is not None and found.fresh(self._clock()):
                self._counters.add(call.name, "joined")
                return found
            return await self._renewed(call, key, ask)
        finally:
            await self._memory.release(lock, token)

    async def _renewed(self, call: Call, key: str, ask: Ask) -> Kept:
        seconds, stale = self._cache.seconds(call.keep), self._cache.stale
        missing: Missing | None = None
        try:
            value = await ask()
        except Missing as error:
            value, missing, seconds, stale = None, error, self._cache.missing, 0.0
        seconds *= random.uniform(0.9, 1.1)
        if self._oldest is not None:
            seconds = min(seconds, self._oldest)
            stale = min(stale, self._oldest - seconds)
        kept = Kept.of(value, self._clock() + seconds, "" if missing is None else str(missing))
        await self._memory.put(key, kept.to_bytes(), seconds + stale)
        if missing is not None:
            raise missing
        return kept

    async def _kept(self, call: Call, key: str) -> Kept | None:
        if not self._cache.seconds(call.keep):
            return None
        body = await self._memory.get(key)
        return None if body is None else Kept.from_bytes(body)
