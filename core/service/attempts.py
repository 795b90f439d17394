"""Requests: each admitted, made under a time limit and counted, and made again where that may help."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from inspect import isawaitable, iscoroutinefunction
from typing import Any

import anyio
import orjson

from .admission import Admission
from .call import Call
from .counters import Counters
from .errors import Garbage, ServiceError, Throttled, Unreachable
from .threads import Threads

_THROTTLED_SECONDS = 60.0
"""How much time a service gets that asks for it, where it doesn't say how much."""
_SHORTEST_WAIT, _LONGEST_WAIT = 0.1, 2.0
"""Seconds before the first retry, and at most before any; the wait is random between 0 and that."""
_THREADS = 64
"""Requests of one service at once, where its client blocks: fewer would go out one after another."""


@dataclass(frozen=True, slots=True)
class Limits:
    """timeout: seconds that a request may take. patience: seconds that are waited for at most if a service asks."""

    timeout: float
    retries: int
    patience: float

    @property
    def longest(self) -> float:
        """Seconds that a call with all its retries may take."""
        wait = max(_LONGEST_WAIT, self.patience + _SHORTEST_WAIT)
        return (self.retries + 1) * self.timeout + self.retries * wait + 1


class Attempts:
    """Makes requests of a service.

    name: what people call the service. fault: what an exception of its client means. clean: takes the secrets of the
    service and of a call out of a text.
    """

    def __init__(
        self,
        name: str,
        admission: Admission,
        limits: Limits,
        counters: Counters,
        fault: Callable[[Exception], ServiceError],
        clean: Callable[[str, Call], str],
    ) -> None:
        self._name, self._admission, self._limits, self._counters = name, admission, limits, counters
        self._fault, self._clean = fault, clean
        self._threads = Threads(_THREADS)

    async def made(self, call: Call, send: Callable[[], Any]) -> Any:
        """What a request gives, or the one after it that works. Raises ServiceError."""
        failure: ServiceError | None = None
        attempt = 0
        while True:
            try:
                if not iscoroutinefunction(send) and (hanging := self._threads.refusal()):
                    raise Unreachable(f"{call.named(self._name)}: {hanging}")
                await self._admission.admit(call)
            except ServiceError as refusal:
                self._counters.add(call.name, "refused")
                raise failure or refusal from None
            if attempt:
                self._counters.add(call.name, "retries")
            value, failure = await self._one(call, send)
            if failure is None:
                self._admission.answered(call)
                return value
            self._counters.failed(call.name, failure)
            wait = self._wait(failure, attempt)
            await self._admission.failed(call, failure, again=wait is not None)
            if wait is None:
                raise failure
            await anyio.sleep(wait)
            attempt += 1

    async def _one(self, call: Call, send: Callable[[], Any]) -> tuple[Any, ServiceError | None]:
        self._counters.add(call.name, "sent")
        began = time.perf_counter()
        problem: Exception
        try:
            async with asyncio.timeout(self._limits.timeout):
                value = await self._sent(send)
                orjson.dumps(value)
                return value, None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            problem = Unreachable("its client gave the request up")
        except Exception as error:
            problem = error
        finally:
            self._counters.add(call.name, "seconds", time.perf_counter() - began)
        return None, self._classified(call, problem)

    async def _sent(self, send: Callable[[], Any]) -> Any:
        if iscoroutinefunction(send):
            return await send()
        given = await self._threads.run(send)
        return await given if isawaitable(given) else given

    def _classified(self, call: Call, problem: Exception) -> ServiceError:
        """The ServiceError that an exception is, with nothing in it that mustn't be shown."""
        try:
            failure = self._fault(problem)
        except Exception as odd:
            failure = Garbage(f"{said(problem)} ({said(odd)})")
        text = " ".join(self._clean(str(failure), call).split())[:500]
        failure.args = (f"{call.named(self._name)}: {text}",)
        # What the client library raised holds URLs and headers: it goes no further.
        failure.__cause__ = failure.__context__ = None
        return failure.with_traceback(None)

    def _wait(self, failure: ServiceError, attempt: int) -> float | None:
        """The seconds after which to try again, None for not at all."""
        last = attempt >= self._limits.retries
        match failure:
            case Unreachable() if not last:
                return random.uniform(0, min(_LONGEST_WAIT, _SHORTEST_WAIT * 2**attempt))
            case Throttled():
                failure.after = _THROTTLED_SECONDS if failure.after is None else max(0.0, failure.after)
                if failure.after <= self._limits.patience and not last:
                    return failure.after + random.uniform(0, _SHORTEST_WAIT)
        return None


def said(error: BaseException) -> str:
    """An exception in words."""
    text = str(error)
    return type(error).__name__ + (f": {text}" if text else "")
