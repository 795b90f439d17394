"""What became of a service's calls, in figures."""

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

NAMES = ("calls", "hits", "stale", "joined", "sent", "retries", "refused", "seconds")
"""The counters of an operation, beside `failures` by class.

calls: asked of us. hits, stale: answered from the cache. joined: waited for an equal call under way.
sent: requests that went out. retries: of these, second and later attempts. refused: not sent, as a budget is spent,
the service or its credentials are left alone, or it does not give the operation. seconds: spent waiting for answers.
"""


class Counters:
    """Counters by operation; safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, Counter[str]] = {}
        self._failures: dict[str, Counter[str]] = {}

    def add(self, operation: str, name: str, amount: float = 1) -> None:
        """Count something."""
        with self._lock:
            self._of(operation)[name] += amount  # type: ignore[assignment]  # seconds are no whole numbers

    def failed(self, operation: str, error: BaseException) -> None:
        """Count a failure by its class."""
        with self._lock:
            self._of(operation)
            self._failures[operation][type(error).__name__] += 1

    def read(self) -> Mapping[str, Mapping[str, Any]]:
        """Every operation's counters by name, with `failures` by class."""
        with self._lock:
            return {
                operation: {
                    **{name: counts[name] for name in NAMES},
                    "failures": dict(self._failures[operation]),
                }
                for operation, counts in self._counts.items()
            }

    def _of(self, operation: str) -> Counter[str]:
        if operation not in self._counts:
            self._counts[operation] = Counter()
            self._failures[operation] = Counter()
        return self._counts[operation]
