"""Uses a service as the platform does: with a memory and a clock, opened before and closed after.

from tastemaker.tests.fakes.using import using

found = using(Api(url=base_url), lambda service: service.search("jazz"))
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from tastemaker.core import LocalMemory, Service
from tastemaker.core.clock import Clock, wall

S = TypeVar("S", bound=Service)


def using(service: S, work: Callable[[S], Awaitable[Any]], *, clock: Clock = wall, name: str = "fake") -> Any:
    """What work with a service gives; `name`: of its entry in the configuration."""
    service._bind(LocalMemory(clock), clock, name)

    async def used() -> Any:
        await service.open()
        try:
            return await work(service)
        finally:
            await service.close()

    return asyncio.run(used())
