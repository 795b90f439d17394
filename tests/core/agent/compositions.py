"""Compositions of components that do well, badly or nothing, and what an agent decides with them."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from tastemaker.core import Candidates, Component, Context, Filter, Policy, Request, Scorer, Slate, Source
from tastemaker.core.agent import Agent
from tastemaker.core.agent.decision import Decision

NOW = 1_700_000_000.0
ITEMS: list[dict[str, Any]] = [
    {
        "title": f"Book {place}",
        "rating": float(place % 7),
        "genre": ("novel", "poem", "essay", "play")[place % 4],
        "moods": [("calm", "witty")[place % 2]],
        "available": place % 5 != 0,
    }
    for place in range(40)
]

Build = Callable[..., Agent]


def decided(agent: Agent, request: Request | None = None, slate: str = "s1", **options: Any) -> Slate:
    async def decide() -> Slate:
        given = {"profile": {}, **options}
        return await agent.decide(request or Request("ann"), slate=slate, now=NOW, **given)

    return asyncio.run(decide())


def again(agent: Agent, slate: Slate, **options: Any) -> Decision:
    history = agent.histories.finish(slate.user, []).candidates(agent.catalog.snapshot(), slate.time)
    return asyncio.run(agent.again(slate, history=history, **{"profile": {"age": 30}, **options}))


def reasons(slate: Slate) -> dict[str, str]:
    return {entry.component: entry.reason for entry in slate.degraded}


def items_of(slate: Slate) -> list[str]:
    return [pick.item for pick in slate.picks]


class InPlace(Component):
    blocking: ClassVar[bool] = False


class All(InPlace, Source):
    """Proposes everything."""

    def propose(self, context: Context) -> NDArray[np.intp]:
        return context.catalog.live


class First(InPlace, Source):
    """Proposes the first few."""

    count: int = 10

    def propose(self, context: Context) -> NDArray[np.intp]:
        return context.catalog.live[: self.count]


class Rating(InPlace, Scorer):
    def score(self, context: Context, candidates: Candidates) -> NDArray[np.float32]:
        rating: NDArray[np.float32] = candidates["rating"]
        return rating


class Available(InPlace, Filter):
    def keep(self, context: Context, candidates: Candidates) -> NDArray[np.bool_]:
        available: NDArray[np.bool_] = candidates["available"]
        return available


class Sluggish(InPlace, Filter):
    """Keeps all, after a while."""

    seconds: float

    def keep(self, context: Context, candidates: Candidates) -> NDArray[np.bool_]:
        time.sleep(self.seconds)
        return np.ones(len(candidates), dtype=bool)


class Nothing(InPlace, Filter):
    def keep(self, context: Context, candidates: Candidates) -> NDArray[np.bool_]:
        return np.zeros(len(candidates), dtype=bool)


class SoftNothing(Nothing):
    soft: ClassVar[bool] = True


class Rated(InPlace, Filter):
    """A wish for a rating between two numbers."""

    soft: ClassVar[bool] = True
    low: float = 0
    high: float = 6

    def keep(self, context: Context, candidates: Candidates) -> NDArray[np.bool_]:
        return self.distance(context, candidates) == 0

    def distance(self, context: Context, candidates: Candidates) -> NDArray[np.floating[Any]]:
        rating = candidates["rating"]
        return np.maximum(np.maximum(self.low - rating, rating - self.high), 0)


class LostRated(Rated):
    def distance(self, context: Context, candidates: Candidates) -> NDArray[np.floating[Any]]:
        raise ZeroDivisionError("by design")

    def keep(self, context: Context, candidates: Candidates) -> NDArray[np.bool_]:
        return np.zeros(len(candidates), dtype=bool)


class BrokenWish(LostRated):
    def keep(self, context: Context, candidates: Candidates) -> NDArray[np.bool_]:
        raise ZeroDivisionError("by design")


class Broken(Source, Filter, Scorer, Policy):
    """Raises in whatever it is asked."""

    def _fail(self, *_: Any) -> Any:
        raise ZeroDivisionError("by design")

    propose = keep = score = tune = rank = _fail


class BrokenInPlace(Broken):
    blocking: ClassVar[bool] = False


class BrokenAsync(Source, Filter, Scorer, Policy):
    async def _fail(self, *_: Any) -> Any:
        raise ZeroDivisionError("by design")

    propose = keep = score = rank = _fail


class Gives(Source, Filter, Scorer, Policy):
    """Returns one thing, whatever it is asked."""

    blocking: ClassVar[bool] = False
    what: Any = None

    def _give(self, context: Context, candidates: Candidates | None = None) -> Any:
        return self.what(len(candidates or ())) if callable(self.what) else self.what

    propose = keep = score = rank = _give
