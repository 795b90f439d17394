"""Leaves a service alone while it fails, or refuses the credentials that it is asked with."""

import threading

from ..clock import Clock
from .options import Breaker


class Circuit:
    """Closed while calls succeed; open for a while after too many failures in a row; then one call tries again.

    >>> now = 0.0
    >>> circuit = Circuit(Breaker(failures=2, seconds=30), lambda: now)
    >>> for _ in range(2):
    ...     circuit.failed("no answer")
    >>> circuit.refusal()
    'left alone for 30 s after 2 failures in a row; the last: no answer'
    >>> now = 30.0
    >>> circuit.refusal(), circuit.refusal()  # the first may try
    (None, 'left alone while one call tries it again, after 2 failures in a row; the last: no answer')
    >>> circuit.succeeded()
    >>> circuit.refusal()
    """

    def __init__(self, options: Breaker, clock: Clock, counted: str = "failures") -> None:
        self._options = options
        self._counted = counted
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._open_until = 0.0
        self._last = ""
        self._trying = False

    def refusal(self) -> str | None:
        """Why a call must not be made, None where it may."""
        with self._lock:
            if self._failures < self._options.failures:
                return None
            now = self._clock()
            if now >= self._open_until:
                # The caller tries; should it never come back, another may after the same time.
                self._open_until = now + self._options.seconds
                self._trying = True
                return None
            return self._reason(now)

    def reason(self) -> str | None:
        """Why calls are refused for now, None where they aren't."""
        with self._lock:
            now = self._clock()
            shut = self._failures >= self._options.failures and now < self._open_until
            return self._reason(now) if shut else None

    def _reason(self, now: float) -> str:
        how_long = "while one call tries it again," if self._trying else f"for {self._open_until - now:.0f} s"
        return (
            f"left alone {how_long} after {self._failures} {self._counted} in a row; the last: {self._last}"
        )

    def untried(self) -> None:
        """The call that might have tried the service was not made after all."""
        with self._lock:
            if self._trying:
                self._trying = False
                self._open_until = self._clock()

    def succeeded(self) -> None:
        """The service answered."""
        with self._lock:
            self._failures = 0
            self._trying = False

    def failed(self, why: str) -> None:
        """The service failed."""
        with self._lock:
            self._failures += 1
            self._last = why
            self._trying = False
            if self._failures >= self._options.failures:
                self._open_until = self._clock() + self._options.seconds
