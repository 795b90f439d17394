"""One deadline for several answers of services: what came is used, and what didn't is told."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

from ...core import ConnectorError, Context, Missing

T = TypeVar("T")


class JointWait:
    """Waits for several answers at once, until a moment of the event loop's clock; the late ones go on by themselves.

    end: that moment; by default it waits for all. That there is no such thing (Missing) is an empty answer.
    asked: how many it has waited for; failures: why some of those didn't come; lost: why some that came lack a page.
    """

    def __init__(self, end: float = float("inf")) -> None:
        self._end = end
        self.asked = 0
        self.failures: list[ConnectorError] = []
        self.lost: list[ConnectorError] = []

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return not self.failures and not self.lost

    async def all(self, awaited: Sequence[Awaitable[T]]) -> list[T]:
        """The answers that came in time. Raises ConnectorError where none did, and some failed."""
        return [answer for answer in await self._answers(awaited) if answer is not None]

    async def each(self, awaited: Sequence[Awaitable[Sequence[T]]]) -> list[Sequence[T]]:
        """The answers in order, empty where one didn't come. Raises ConnectorError as `all` does."""
        return [answer or () for answer in await self._answers(awaited)]

    def tell(self, context: Context) -> None:
        """Let the slate name what is missing."""
        if self.failures:
            context.lacks(f"{len(self.failures)} of {self.asked} answers are missing: {self.failures[0]}")
        if self.lost:
            context.lacks(f"pages of its answers are missing, {len(self.lost)} in all: {self.lost[0]}")

    async def _answers(self, awaited: Sequence[Awaitable[T]]) -> list[T | None]:
        if not awaited:
            return []
        tasks = [asyncio.ensure_future(each) for each in awaited]
        try:
            left = self._end - asyncio.get_running_loop().time()
            await asyncio.wait(tasks, timeout=None if left == float("inf") else max(0.0, left))
        finally:
            for task in tasks:
                task.cancel()  # a request that it waits for goes on, and its answer is kept
        failures = [_failure(task) for task in tasks]
        answers = [
            task.result() if failure is None else None for task, failure in zip(tasks, failures, strict=True)
        ]
        failed = [each for each in failures if each is not None and not isinstance(each, Missing)]
        for failure in failed:
            if not isinstance(failure, ConnectorError) or None not in failures:
                raise failure
            self.failures.append(failure)
        self.asked += len(tasks)
        return answers


def _failure(task: "asyncio.Future[Any]") -> BaseException | None:
    """Why there is no answer; None where there is one."""
    if not task.done() or task.cancelled():
        return ConnectorError("no answer in time; it will be there when it is asked for again")
    return task.exception()
