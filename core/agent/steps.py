"""What the core does around every call of a component: time limit, errors, validation, notes of what failed."""

import asyncio
import inspect
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from ..components import Component, Connector
from ..context import Context
from ..errors import TastemakerError
from ..service import Service
from ..service.redaction import redacted
from ..slate import Degradation

_log = logging.getLogger("tastemaker.agent")

_MOST_HANGING = 2
_MUTE_SECONDS = 10.0


class Failed(Exception):
    """A step gave nothing usable; the degradation has been noted."""


class Deadline:
    """The time by which a request has to be answered, in seconds of the monotonic clock."""

    __slots__ = ("_end",)

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds left; not above zero when it is over."""
        return self._end - time.monotonic()


class Conduct:
    """How a component has behaved so far: the calls of it that hang, and when the log last heard of it.

    Compositions that differ by a knob share it.
    """

    __slots__ = ("hanging", "lock", "muted_until")

    def __init__(self) -> None:
        self.hanging = 0
        self.lock = threading.Lock()
        self.muted_until = 0.0


class Guard:
    """Calls one method of one component under its time limit.

    A component that computes in memory runs in place; one that may block runs in a thread and is left behind
    at its limit. While calls of it that were left behind still run, further ones are refused at once.
    """

    label = ""
    weight = 1.0
    on_error = ""
    origin = ""
    soft = False
    distance: "Guard | None" = None
    """Of a filter that is a wish: what says how far candidates are from it."""
    connectors: Sequence[tuple[str, Connector]] = ()
    """Those that the component holds, with their names."""

    @property
    def asks(self) -> bool:
        """Whether a call may ask a service."""
        return any(isinstance(connector, Service) for _, connector in self.connectors)

    def __init__(
        self,
        name: str,
        component: Component,
        method: str,
        timeout_ms: float | None,
        around: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None,
        conduct: Conduct | None = None,
    ) -> None:
        self.name = name
        self.component = component
        self.timeout = None if timeout_ms is None else timeout_ms / 1000
        call: Callable[..., Any] = getattr(component, method)
        self._is_async = inspect.iscoroutinefunction(call)
        self._threaded = not self._is_async and type(component).blocking
        self._call = call if around is None else around(call)
        self._conduct = Conduct() if conduct is None else conduct

    @property
    def in_place(self) -> bool:
        """Whether a call never waits."""
        return not (self._is_async or self._threaded)

    async def run(self, deadline: Deadline, degraded: list[Degradation], *arguments: Any) -> Any:
        """What the method gives. Raises Failed, with the reason noted in `degraded`."""
        for name, connector in self.connectors:
            if connector.trouble:
                raise self.failed(degraded, f"left out: the connector {name!r}: {connector.trouble}")
        limit = deadline.left()
        if limit <= 0:
            raise self.failed(degraded, "left out: the deadline of the request was reached")
        if self.timeout is not None:
            limit = min(limit, self.timeout)
        try:
            if self.in_place:
                return self._call(*arguments)
            with anyio.move_on_after(limit) as scope:
                given = (
                    await self._in_thread(degraded, arguments) if self._threaded else self._call(*arguments)
                )
                return await given if inspect.isawaitable(given) else given
        except Failed:
            raise
        except asyncio.CancelledError:
            if _is_being_cancelled():
                raise
            raise self.failed(degraded, "raised CancelledError") from None
        except (Exception, SystemExit) as error:
            raise self._raised(degraded, error, arguments) from None
        assert scope.cancelled_caught
        raise self.failed(degraded, f"gave no answer within {limit * 1000:.0f} ms")

    def failed(self, degraded: list[Degradation], why: str, error: BaseException | None = None) -> Failed:
        """Note a failure; the exception to raise. The log hears of each component at most every few seconds."""
        degraded.append(Degradation(self.name, why))
        now = time.monotonic()
        if now >= self._conduct.muted_until:
            self._conduct.muted_until = now + _MUTE_SECONDS
            _log.warning(
                "%s %s", self.name, why, exc_info=None if isinstance(error, TastemakerError) else error
            )
        return Failed(why)

    def _raised(
        self, degraded: list[Degradation], error: BaseException, arguments: tuple[Any, ...]
    ) -> Failed:
        """Note what a call raised, without the credentials that its request came with."""
        context = arguments[0] if arguments and isinstance(arguments[0], Context) else None
        if context is None or not context.credentials:
            return self.failed(degraded, reason(error), error)
        secrets = [each.get_secret_value() for each in context.credentials.values()]
        return self.failed(degraded, redacted(reason(error), secrets))  # a traceback could show them

    async def _in_thread(self, degraded: list[Degradation], arguments: tuple[Any, ...]) -> Any:
        conduct = self._conduct
        if conduct.hanging >= _MOST_HANGING:
            raise self.failed(degraded, f"left out: {conduct.hanging} earlier calls of it still hang")
        begun = done = left_behind = False

        def call() -> Any:
            nonlocal begun, done
            begun = True
            try:
                return self._call(*arguments)
            finally:
                with conduct.lock:
                    done = True
                    if left_behind:
                        conduct.hanging -= 1

        try:
            return await anyio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=_threads())
        except asyncio.CancelledError:
            with conduct.lock:
                if begun and not done:
                    left_behind = True
                    conduct.hanging += 1
            raise


def _is_being_cancelled() -> bool:
    """Whether somebody asked the running task to stop, rather than the component raising by itself."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def reason(error: BaseException) -> str:
    """An exception in one line, for people."""
    text = " ".join(str(error).split())[:300]
    if isinstance(error, TastemakerError):
        return text
    return f"raised {type(error).__name__}" + (f": {text}" if text else "")


_limiter: RunVar[anyio.CapacityLimiter] = RunVar("tastemaker components")


def _threads() -> anyio.CapacityLimiter:
    # One limiter for each event loop: they can't be shared.
    limiter = _limiter.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(128)
        _limiter.set(limiter)
    return limiter
