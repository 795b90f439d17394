"""Threads for clients that block: so many at once, and no more than that hang."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread

from .loops import PerLoop


class Threads:
    """Runs what may block, at most so many at once in an event loop; what hangs is left behind, and counted.

    A thread can't be ended. One that was left behind has given its place to another, so that those could grow in number
    for ever: when as many hang as may run, `refusal` says so.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._places = PerLoop(lambda: anyio.CapacityLimiter(most))
        self._lock = threading.Lock()
        self._hanging = 0

    def refusal(self) -> str | None:
        """Why nothing more must be begun, None where it may."""
        with self._lock:
            if self._hanging < self._most:
                return None
            return f"{self._hanging} requests that were given up still hang in its client: none is sent until one ends"

    async def run(self, call: Callable[[], Any]) -> Any:
        """What a call gives. Who is cancelled meanwhile leaves it behind."""
        begun = done = left_behind = False

        def work() -> Any:
            nonlocal begun, done
            begun = True
            try:
                return call()
            finally:
                with self._lock:
                    done = True
                    if left_behind:
                        self._hanging -= 1

        try:
            return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._places.here())
        except asyncio.CancelledError:
            with self._lock:
                if begun and not done:
                    left_behind = True
                    self._hanging += 1
            raise
