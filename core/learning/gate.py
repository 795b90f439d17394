"""The gate: what a trained policy is asked before it goes live by itself."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import isawaitable
from typing import Any, Protocol

from ..components import Embedder, State
from ..config import Settings
from ..store import Store


class Comparison(Protocol):
    """How a candidate compares with what is live; refusals say why no honest interval can be given."""

    def passes(self, margin: float) -> bool:
        """Whether the candidate is better by more than a margin, at the low end of the 95 % interval."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""


class Compare(Protocol):
    """Compares two states of a policy on the slates of a span that the candidate has not learned from."""

    def __call__(
        self,
        settings: Settings,
        store: Store,
        domain: str,
        policy: str,
        *,
        candidate: State,
        active: State,
        since: int,
        until: int,
        progress: Callable[[int, int], None],
    ) -> Comparison:
        """The comparison on the slates above the log position `since`, up to and including `until`."""


def comparison() -> Compare:
    """What the gate asks: the log, off-policy."""
    from ..evaluation.counterfactual import compare  # it is built on the fold

    return compare


@contextmanager
def opened(embedder: Embedder | None) -> Iterator[None]:
    """For a comparison, which decides slates again, and embeds profiles for that."""
    if embedder is None:
        yield
        return
    _waited(embedder.open())
    try:
        yield
    finally:
        _waited(embedder.close())


def _waited(value: Any) -> None:
    async def wait() -> None:
        await value

    if isawaitable(value):
        asyncio.run(wait())
