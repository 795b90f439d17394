"""The connectors of all domains at work: opened at the start, tried again where that fails, closed at the end."""

import asyncio
import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, cast

import anyio
import anyio.to_thread

from .accounts import Accounts
from .agent.steps import reason
from .clock import Clock
from .components import Connector
from .config import Settings
from .service import LocalMemory, Service, SharedMemory

_log = logging.getLogger("tastemaker.connectors")

_OPEN_SECONDS = 10.0
"""How long one is waited for, before it counts as failed."""
OPENING_SECONDS = _OPEN_SECONDS + 1
"""After so long it is known of each whether it could be opened; whoever has the time waits for that."""
_START_SECONDS = 3.0
"""How long the start waits for all of them."""
_CLOSE_SECONDS = 5.0
_AGAIN_SECONDS = (1.0, 60.0)
"""The first and the longest time before an opening that failed is tried again."""


class Connections:
    """Opens and closes the configured connectors; whichever fails doesn't keep the others, or the start, back.

    While one is in trouble, the steps that hold it are left out of a slate, which says so.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        shared = settings.memory
        self.memory: SharedMemory = LocalMemory() if shared is None else cast("SharedMemory", shared)
        self.memory.bind(clock)
        self._settings, self._clock = settings, clock
        self._opened: dict[int, Connector] = {}
        self._opening: asyncio.Task[None] | None = None
        self._blocked: dict[int, asyncio.Task[Any]] = {}

    def __iter__(self) -> Iterator[tuple[str, str, Connector]]:
        """Domain, name and connector, of those that are configured; without a domain what `cache` names."""
        if self._settings.memory is not None:
            yield "", "cache", self._settings.memory
        for plan in self._settings.domains.values():
            for step in plan.connectors:
                if isinstance(step.component, Connector) and step.component.configured:
                    yield plan.name, step.name, step.component

    async def open(self, accounts: Accounts | None, patience: float | None = None) -> None:
        """Open all of them at once; those that fail, or take longer than `patience`, are left to the background."""
        for _, name, connector in self:
            if connector.trouble:
                connector._begin()
            if isinstance(connector, Service):
                connector._bind(self.memory, self._clock, name, accounts)
        tried = asyncio.Event()
        self._opening = asyncio.get_running_loop().create_task(self._keep_open(tried))
        with suppress(TimeoutError):
            async with asyncio.timeout(_START_SECONDS if patience is None else patience):
                await tried.wait()

    async def forget(self, user: str, service: str | None = None) -> None:
        """Let services, or those of one name, forget what they have answered about a user."""
        asked = [
            connector
            for _, name, connector in self
            if isinstance(connector, Service) and service in (None, name)
        ]
        await asyncio.gather(*(connector.forget(user) for connector in asked))

    async def close(self) -> None:
        """Close what was opened."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
            self._opening = None
        for opening in self._blocked.values():
            opening.cancel()
        self._blocked.clear()
        opened, self._opened = list(self._opened.values()), {}
        for connector in opened:
            connector._trouble = "it is closed"
            try:
                with anyio.fail_after(_CLOSE_SECONDS):
                    await called(connector.close)
            except (Exception, SystemExit) as error:
                _log.warning("%s could not be closed: %s", type(connector).__name__, reason(error))

    async def _open_all(self) -> None:
        waiting = [each for each in self if each[2].trouble]
        await asyncio.gather(*(self._open(*each) for each in waiting))

    async def _open(self, domain: str, name: str, connector: Connector) -> None:
        try:
            with anyio.fail_after(_OPEN_SECONDS):
                await self._begun(connector)
        except (Exception, SystemExit) as error:  # a plugin's code may raise anything
            said = reason(error) if str(error) else f"no answer within {_OPEN_SECONDS:.0f} s"
            trouble = f"it could not be opened: {said}"
            if trouble != connector.trouble:
                _log.warning("%s: %s", f"{domain}: connectors.{name}" if domain else name, trouble)
            connector._trouble = trouble
            return
        self._opened[id(connector)] = connector
        connector._trouble = ""

    async def _begun(self, connector: Connector) -> None:
        """Have it opened. What blocks beyond the limit can't be ended: it is waited for again, and not begun anew."""
        if inspect.iscoroutinefunction(connector.open):
            await connector.open()
            return
        opening = self._blocked.pop(id(connector), None)
        if opening is None:
            opening = asyncio.get_running_loop().create_task(called(connector.open))
        try:
            await asyncio.shield(opening)
        finally:
            if not opening.done():
                self._blocked[id(connector)] = opening

    async def _keep_open(self, tried: asyncio.Event) -> None:
        seconds, longest = _AGAIN_SECONDS
        await self._open_all()
        tried.set()
        while any(connector.trouble for _, _, connector in self):
            await asyncio.sleep(seconds)
            seconds = min(2 * seconds, longest)
            await self._open_all()


async def called(method: Callable[[], Any]) -> Any:
    """What a method gives that may be async, or else may block."""
    if inspect.iscoroutinefunction(method):
        return await method()
    given = await anyio.to_thread.run_sync(method, abandon_on_cancel=True)
    return await given if inspect.isawaitable(given) else given
