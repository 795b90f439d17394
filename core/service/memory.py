"""What the processes of one platform share about services: cached answers, spent budgets, locks, marks."""

import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ..clock import Clock, wall

LARGEST_MEMORY = 64 * 1024 * 1024
"""Bytes of cached values, with their keys, that a process keeps."""
_BESIDE = 300
"""About what Python needs for an entry, beside key and value."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One condition of a reservation: that no more than `limit` is spent under `key`.

    until: when the count ends, in seconds since the epoch; or
    seconds: the width of the window that slides along.
    """

    key: str
    limit: int
    until: float = 0.0
    seconds: float = 0.0


class SharedMemory(Protocol):
    """Keys are texts without secrets; values are bytes. No method raises: what is unreachable is empty.

    Every method may be called from any event loop.
    """

    def bind(self, clock: Clock) -> None:
        """Give it the clock by which values run out and days begin; called before it is opened."""
        ...

    async def get(self, key: str) -> bytes | None:
        """The value under a key, None where there is none or it has run out."""
        ...

    async def put(self, key: str, value: bytes, seconds: float) -> None:
        """Keep a value for so many seconds."""
        ...

    async def drop(self, prefix: str) -> None:
        """Forget every value whose key begins like this."""
        ...

    async def reserve(self, claims: Sequence[Claim], cost: int) -> float:
        """Spend `cost` under every claim, or nothing at all: 0 where it is spent, else seconds until it may be."""
        ...

    async def spent(self, claim: Claim) -> int:
        """What is spent under a claim now."""
        ...

    async def acquire(self, key: str, token: str, seconds: float) -> bool:
        """Take a lock; whoever holds it loses it after so many seconds."""
        ...

    async def release(self, key: str, token: str) -> None:
        """Give a lock back, if the token still holds it."""
        ...

    async def health(self) -> str | None:
        """None when well, else what is wrong, for people."""
        ...


class LocalMemory:
    """The memory of one process, for as long as it runs. What was least used is forgotten first."""

    def __init__(self, clock: Clock = wall, largest: int = LARGEST_MEMORY) -> None:
        self.clock = clock
        self._largest = largest
        self._lock = threading.Lock()
        self._values: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._bytes = 0
        self._counts: dict[str, tuple[int, float]] = {}
        self._windows: dict[str, deque[tuple[float, int]]] = {}
        self._locks: dict[str, tuple[str, float]] = {}

    def bind(self, clock: Clock) -> None:
        """Give it the clock by which values run out and days begin."""
        self.clock = clock

    async def get(self, key: str) -> bytes | None:
        """The value under a key, None where there is none or it has run out."""
        with self._lock:
            found = self._values.get(key)
            if found is None:
                return None
            if found[1] <= self.clock():
                self._forget(key)
                return None
            self._values.move_to_end(key)
            return found[0]

    async def put(self, key: str, value: bytes, seconds: float) -> None:
        """Keep a value for so many seconds."""
        with self._lock:
            self._forget(key)
            if seconds <= 0 or _size(key, value) > self._largest:
                return
            self._values[key] = (value, self.clock() + seconds)
            self._bytes += _size(key, value)
            while self._bytes > self._largest:
                self._forget(next(iter(self._values)))

    async def drop(self, prefix: str) -> None:
        """Forget every value whose key begins like this."""
        with self._lock:
            for key in [key for key in self._values if key.startswith(prefix)]:
                self._forget(key)

    async def reserve(self, claims: Sequence[Claim], cost: int) -> float:
        """Spend `cost` under every claim, or nothing at all: 0 where it is spent, else seconds until it may be."""
        with self._lock:
            now = self.clock()
            wait = max((self._wait(claim, cost, now) for claim in claims), default=0.0)
            if wait <= 0:
                for claim in claims:
                    self._spend(claim, cost, now)
            return wait

    async def spent(self, claim: Claim) -> int:
        """What is spent under a claim now."""
        with self._lock:
            return self._spent(claim, self.clock())

    async def acquire(self, key: str, token: str, seconds: float) -> bool:
        """Take a lock; whoever holds it loses it after so many seconds."""
        with self._lock:
            now = self.clock()
            held = self._locks.get(key)
            if held is not None and held[1] > now and held[0] != token:
                return False
            self._locks[key] = (token, now + seconds)
            return True

    async def release(self, key: str, token: str) -> None:
        """Give a lock back, if the token still holds it."""
        with self._lock:
            held = self._locks.get(key)
            if held is not None and held[0] == token:
                del self._locks[key]

    async def health(self) -> str | None:
        """Always well."""
        return None

    def _forget(self, key: str) -> None:
        found = self._values.pop(key, None)
        if found is not None:
            self._bytes -= _size(key, found[0])

    def _spent(self, claim: Claim, now: float) -> int:
        if claim.seconds:
            window = self._windows.setdefault(claim.key, deque())
            while window and window[0][0] <= now - claim.seconds:
                window.popleft()
            return sum(cost for _, cost in window)
        count, until = self._counts.get(claim.key, (0, claim.until))
        return count if until > now else 0

    def _wait(self, claim: Claim, cost: int, now: float) -> float:
        over = self._spent(claim, now) + cost - claim.limit
        if over <= 0:
            return 0.0
        if not claim.seconds:
            return max(claim.until - now, 0.001)
        for at, freed in self._windows[claim.key]:
            over -= freed
            if over <= 0:
                return max(at + claim.seconds - now, 0.001)
        return claim.seconds

    def _spend(self, claim: Claim, cost: int, now: float) -> None:
        if claim.seconds:
            self._windows[claim.key].append((now, cost))
            return
        if len(self._counts) > 1000:
            self._counts = {key: count for key, count in self._counts.items() if count[1] > now}
        self._counts[claim.key] = (self._spent(claim, now) + cost, claim.until)


def _size(key: str, value: bytes) -> int:
    return len(key) + len(value) + _BESIDE
