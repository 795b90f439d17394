"""The platform's clock: the wall's, or one that a simulation turns by hand."""

import time
from typing import Protocol


class Clock(Protocol):
    """Gives the time now, in seconds since the epoch."""

    def __call__(self) -> float:
        """Seconds since the epoch."""
        ...


class ManualClock:
    """A clock that stands still until it is moved.

    >>> clock = ManualClock(100.0)
    >>> clock.advance(5)
    >>> clock()
    105.0
    """

    def __init__(self, start: float) -> None:
        self._now = start

    def __call__(self) -> float:
        """The time it was moved to."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self._now += seconds


wall: Clock = time.time
