"""Redis as the memory that the processes of one platform share: answers, spent budgets, locks, marks.

cache: redis://localhost:6379/0
"""

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

from pydantic import Field, PrivateAttr, SecretStr

from ..core import Claim, Component, Connector, ConnectorError, LocalMemory, hookimpl
from .redis_budgets import RESERVE, Tab

T = TypeVar("T")

_log = logging.getLogger("tastemaker.redis")

_MOST_TABS = 1000
_INSTALL = "pip install 'tastemaker[redis]'"

_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class Memory(Connector):
    """Shares answers, budgets, locks and marks between processes through one Redis server.

    While Redis doesn't answer, each process goes on with a memory of its own and looks for Redis in the background.
    Of a budget it may spend a share of what was left when it last heard of that, nothing where it never did, until some
    seconds after Redis is back: by then every process has told what it spent. What Redis has lost it is told again. So
    budgets hold for up to 1 / `share_alone` processes.
    """

    url: SecretStr = Field(
        SecretStr("redis://localhost:6379/0"), description="redis://, rediss:// or unix://"
    )
    prefix: str = Field("tastemaker", min_length=1, description="What its keys begin with.")
    timeout_seconds: float = Field(0.2, gt=0, le=5, description="Time limit of one request to Redis.")
    connections: int = Field(32, ge=1, le=1000, description="Most connections of one process.")
    look_again_seconds: float = Field(1.0, gt=0, description="How often an unreachable Redis is looked for.")
    share_alone: float = Field(
        0.25,
        ge=0,
        le=1,
        description="The part of a budget's rest that a process may spend without Redis, at most one by the number of "
        "processes.",
    )

    _local: LocalMemory = PrivateAttr(default_factory=LocalMemory)
    _lock: threading.Lock = PrivateAttr(default_factory=threading.Lock)
    _home: "_Home | None" = PrivateAttr(None)
    _away: str | None = PrivateAttr(None)
    _complaint: str = PrivateAttr("")
    _looking: "asyncio.Task[None] | None" = PrivateAttr(None)
    _tabs: dict[str, Tab] = PrivateAttr(default_factory=dict)
    _settles: float | None = PrivateAttr(None)
    _who: str = PrivateAttr(default_factory=lambda: secrets.token_hex(4))
    _undropped: set[str] = PrivateAttr(default_factory=set)

    async def open(self) -> None:
        """Make this event loop the one that talks to Redis. Raises ConnectorError where redis-py is missing."""
        self._here()
        await self.health()

    async def close(self) -> None:
        """Let go of the connections."""
        with self._lock:
            home, self._home = self._home, None
            looking, self._looking = self._looking, None
        if looking is not None and looking.get_loop() is asyncio.get_running_loop():
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
        if home is not None and home.loop is asyncio.get_running_loop():
            with suppress(Exception):
                await home.client.aclose()

    async def health(self) -> str | None:
        """None when Redis answers, else what is wrong, for people."""

        async def ping(home: "_Home") -> None:
            await home.client.ping()

        await self._tried(ping, None, even_if_down=True)
        return self._away

    async def get(self, key: str) -> bytes | None:
        """The value under a key, None where there is none or it has run out."""

        async def get(home: "_Home") -> tuple[bytes | None, int]:
            pipe = home.client.pipeline(transaction=False)
            value, left = await pipe.get(self._at(key)).pttl(self._at(key)).execute()
            return value, left

        found = await self._tried(get, None)
        if found is None:
            return await self._local.get(key)
        value, left = found
        # A copy for the time when Redis is away; one of what Redis has dropped must not come back.
        await self._local.put(key, value or b"", left / 1000 if value is not None and left > 0 else 0)
        return value

    async def put(self, key: str, value: bytes, seconds: float) -> None:
        """Keep a value for so many seconds."""
        await self._local.put(key, value, seconds)

        async def put(home: "_Home") -> None:
            if seconds > 0:
                await home.client.set(self._at(key), value, px=max(1, int(seconds * 1000)))
            else:
                await home.client.delete(self._at(key))

        await self._tried(put, None)

    async def drop(self, prefix: str) -> None:
        """Forget every value whose key begins like this, in Redis as soon as it is there."""
        await self._local.drop(prefix)
        with self._lock:
            self._undropped.add(prefix)
        await self._tried(self._drop, None)

    async def reserve(self, claims: Sequence[Claim], cost: int) -> float:
        """Spend `cost` under every claim, or nothing at all: 0 where it is spent, else seconds until it may be."""
        name = secrets.token_hex(6)
        if self._unsettled():
            if self._away is None and not all(self._tab(claim).heard_of for claim in claims):
                await self._tried(lambda home: self._reserve(home, claims, 0, ""), None)
            if not self._affords(claims, cost):
                return self.look_again_seconds
        wait = await self._tried(lambda home: self._reserve(home, claims, cost, name), None)
        return self._reserve_alone(claims, cost, name) if wait is None else wait

    async def spent(self, claim: Claim) -> int:
        """What is spent under a claim now, as far as is known."""
        await self._tried(lambda home: self._reserve(home, [claim], 0, ""), None)
        with self._lock:
            return self._tab(claim).spent(self._local.clock())

    async def acquire(self, key: str, token: str, seconds: float) -> bool:
        """Take a lock; whoever holds it loses it after so many seconds."""

        async def acquire(home: "_Home") -> bool:
            taken = await home.client.set(self._at(key), token, nx=True, px=max(1, int(seconds * 1000)))
            return bool(taken)

        taken = await self._tried(acquire, None)
        return await self._local.acquire(key, token, seconds) if taken is None else taken

    async def release(self, key: str, token: str) -> None:
        """Give a lock back, if the token still holds it."""
        await self._local.release(key, token)

        async def release(home: "_Home") -> None:
            await home.release(keys=[self._at(key)], args=[token])

        await self._tried(release, None)

    def bind(self, clock: Callable[[], float]) -> None:
        """Give it the clock by which values run out while Redis is away, and days begin."""
        self._local = LocalMemory(clock)

    async def _reserve(
        self, home: "_Home", claims: Sequence[Claim], cost: int, name: str, *, everything: bool = False
    ) -> float:
        now = self._local.clock()
        arguments: list[Any] = [cost, name, self._who]
        with self._lock:
            for claim in claims:
                arguments += self._tab(claim).arguments(claim, now, everything=everything)
        wait, *spent = await home.reserve(keys=[self._at(claim.key) for claim in claims], args=arguments)
        if wait < 0:  # Redis has lost what was in it
            self._unsettle()
            if cost and not self._affords(claims, cost):
                return self.look_again_seconds
            return await self._reserve(home, claims, cost, name, everything=True)
        with self._lock:
            for claim, total in zip(claims, spent, strict=True):
                self._tab(claim).heard(total, now, name, 0 if wait else cost)
        return float(wait) / 1000

    def _reserve_alone(self, claims: Sequence[Claim], cost: int, name: str) -> float:
        """Spend from this process's share of what is left, without Redis."""
        now = self._local.clock()
        with self._lock:
            tabs = [self._tab(claim) for claim in claims]
            for tab in tabs:
                tab.hold(now)
            if not all(tab.affords(cost, self.share_alone, now) for tab in tabs):
                return self.look_again_seconds
            for tab in tabs:
                tab.spend(name, cost, now)
        return 0.0

    def _affords(self, claims: Sequence[Claim], cost: int) -> bool:
        """Whether this process may spend before it is known what all have spent."""
        now = self._local.clock()
        with self._lock:
            tabs = [self._tab(claim) for claim in claims]
            for tab in tabs:
                tab.hold(now)
            return all(tab.affords(cost, self.share_alone, now) for tab in tabs)

    def _unsettle(self) -> None:
        """For so long, others may have spent what they haven't told."""
        now = self._local.clock()
        with self._lock:
            self._settles = time.monotonic() + 3 * self.look_again_seconds + 2 * self.timeout_seconds
            for tab in self._tabs.values():
                tab.hold(now)

    def _unsettled(self) -> bool:
        """Whether Redis is away, or was until a moment ago."""
        if self._away is not None:
            return True
        if self._settles is None:
            return False
        if time.monotonic() < self._settles:
            return True
        with self._lock:
            self._settles = None
            for tab in self._tabs.values():
                tab.settle()
        return False

    async def _tell(self, home: "_Home") -> None:
        """Say what was spent without Redis, before anybody goes on by what it holds."""
        with self._lock:
            claims = [tab.claim for tab in self._tabs.values()]
        for claim in claims:
            await self._reserve(home, [claim], 0, "")

    def _tab(self, claim: Claim) -> Tab:
        tab = self._tabs.pop(claim.key, None)
        if tab is None:
            tab = Tab(claim, self._who)
            if len(self._tabs) > _MOST_TABS:
                del self._tabs[next(iter(self._tabs))]
        self._tabs[claim.key] = tab  # the last used is the last one
        return tab

    async def _drop(self, home: "_Home") -> None:
        with self._lock:
            prefixes = list(self._undropped)
        for prefix in prefixes:
            pattern = "".join(f"\\{sign}" if sign in "*?[]\\" else sign for sign in self._at(prefix)) + "*"
            async for keys in _pages(home.client, pattern):
                await home.client.unlink(*keys)
            with self._lock:
                self._undropped.discard(prefix)

    async def _tried(
        self, action: Callable[["_Home"], Awaitable[T]], otherwise: T, *, even_if_down: bool = False
    ) -> T:
        """What an action gives; `otherwise` where Redis is away, at once where that is known already."""
        try:
            home = self._here()
        except ConnectorError as error:
            self._away = str(error)
            return otherwise
        if self._away is not None and not even_if_down:
            self._look_for(home)
            return otherwise
        if home.loop is asyncio.get_running_loop():
            return await self._done(home, action, otherwise)
        there = asyncio.run_coroutine_threadsafe(self._done(home, action, otherwise), home.loop)
        try:
            async with asyncio.timeout(5 * self.timeout_seconds):
                return await asyncio.wrap_future(there)
        except TimeoutError:  # that loop is busy, or has come to its end
            return otherwise

    async def _done(self, home: "_Home", action: Callable[["_Home"], Awaitable[T]], otherwise: T) -> T:
        try:
            given = await action(home)
        except home.away as error:
            self._lost(error)
            self._look_for(home)
            return otherwise
        except home.refused as error:  # it is there, and does not do this one thing
            self._complain(error)
            return otherwise
        if self._away is not None:
            self._found()
        return given

    def _lost(self, error: BaseException) -> None:
        self._unsettle()
        with self._lock:
            first, self._away = self._away is None, self._said(error)
        if first:
            _log.warning("%s", self._away)

    def _complain(self, error: BaseException) -> None:
        said = " ".join(str(error).split())[:200] or type(error).__name__
        with self._lock:
            new, self._complaint = said != self._complaint, said
        if new:
            _log.warning("Redis at %s refuses a command: %s", _shown(self.url), said)

    def _found(self) -> None:
        self._unsettle()
        with self._lock:
            self._away = None
        _log.warning("Redis answers again")

    def _said(self, error: BaseException) -> str:
        said = " ".join(str(error).split())[:200] or type(error).__name__
        return f"Redis at {_shown(self.url)} can't be used ({said}); until it can, each process remembers by itself"

    def _look_for(self, home: "_Home") -> None:
        """Look for Redis in the background, where nobody does yet."""

        async def look() -> None:
            while self._away is not None:
                await asyncio.sleep(self.look_again_seconds)
                with suppress(*home.away, home.refused):
                    await home.client.ping()
                    await self._drop(home)
                    await self._tell(home)
                    self._found()

        def start() -> None:
            with self._lock:
                if self._away is None or (self._looking is not None and not self._looking.done()):
                    return
                self._looking = home.loop.create_task(look())

        if home.loop is asyncio.get_running_loop():
            start()
        else:
            home.loop.call_soon_threadsafe(start)

    def _here(self) -> "_Home":
        """The event loop that talks to Redis, with its client: the first one that asked, while it runs."""
        with self._lock:
            if self._home is None or self._home.loop.is_closed() or not self._home.loop.is_running():
                self._home = _Home.made(self)
                self._looking = None
            return self._home

    def _at(self, key: str) -> str:
        return f"{self.prefix}:{key}"


@dataclass(frozen=True, slots=True)
class _Home:
    """An event loop with the client that lives in it, and its scripts."""

    loop: asyncio.AbstractEventLoop
    client: Any
    reserve: Any
    release: Any
    away: tuple[type[Exception], ...]
    refused: type[Exception]

    @classmethod
    def made(cls, options: Memory) -> "_Home":
        try:
            library = import_module("redis.asyncio")
            retries = import_module("redis.asyncio.retry").Retry
            backoff = import_module("redis.backoff").NoBackoff
            library_errors = import_module("redis.exceptions")
            away = (library_errors.ConnectionError, library_errors.TimeoutError, OSError, TimeoutError)
            refused = library_errors.RedisError
        except ModuleNotFoundError as error:
            raise ConnectorError(
                f"the shared memory needs redis-py, which is not installed: {_INSTALL}"
            ) from error
        seconds = options.timeout_seconds
        try:
            pool = library.BlockingConnectionPool.from_url(
                options.url.get_secret_value(),
                max_connections=options.connections,
                timeout=seconds,
                socket_timeout=seconds,
                socket_connect_timeout=seconds,
                retry=retries(backoff(), 0),
                decode_responses=False,
            )
        except ValueError as error:
            raise ConnectorError(
                f"{_shown(options.url)} is no URL of a Redis ({error}); write redis://localhost:6379/0"
            ) from None
        client = library.Redis(connection_pool=pool)
        client.auto_close_connection_pool = True
        reserve, release = client.register_script(RESERVE), client.register_script(_RELEASE)
        return cls(asyncio.get_running_loop(), client, reserve, release, away, refused)


async def _pages(client: Any, pattern: str) -> Any:
    cursor = 0
    while True:
        cursor, keys = await client.scan(cursor, match=pattern, count=1000)
        if keys:
            yield keys
        if not cursor:
            return


def _shown(url: SecretStr) -> str:
    """The URL without user and password."""
    scheme, _, rest = url.get_secret_value().partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"


@hookimpl
def components() -> Sequence[type[Component]]:
    """What the plugin `redis` offers."""
    return [Memory]
