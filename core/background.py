"""Tasks that nobody waits for: begun while something is answered, and finished before the process ends."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import anyio.to_thread

T = TypeVar("T")


class Background:
    """The tasks under way on one event loop."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin a task."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def call(self, action: Callable[[], None]) -> None:
        """Begin a call that may block."""

        async def run() -> None:
            await anyio.to_thread.run_sync(action)

        self.begin(run())

    async def finish(self, seconds: float) -> None:
        """Wait until all that was begun is done, and no longer than that."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
