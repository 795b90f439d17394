"""The contract checks: every component of ours keeps it, and whoever breaks it is told how to mend that."""

import asyncio
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ConfigDict, PrivateAttr
from tastemaker.core import (
    Collector,
    Component,
    Connector,
    ConnectorError,
    Embedder,
    Fault,
    Filter,
    Interaction,
    NumberField,
    Policy,
    Record,
    Reward,
    Scorer,
    Source,
)
from tastemaker.core.config.holding import wanted
from tastemaker.core.conformance import check_component
from tastemaker.core.registry import Registry

SAMPLE = Path(__file__).parents[3] / "plugins" / "products" / "sample.csv"
NOBODY = "http://127.0.0.1:9"
"""Where no service is."""
LEANINGS = {
    "openness": {"ideal": {"price": 80}, "likes": ["calm"], "dislikes": ["party"]},
    "neuroticism": {"likes": ["focus"]},
}
OPTIONS: dict[str, dict[str, Any]] = {
    "catalog.freshness": {"field": "published"},
    "catalog.numeric": {"field": "rating", "low": 0, "high": 5},
    "catalog.recent": {"field": "published"},
    "catalog.stages": {"stages": [{"times": {"match": 2}}, {"days": 7, "events": 5}]},
    "catalog.tag_match": {"field": "tags", "profile": "interests"},
    "catalog.where": {"field": "price", "at_most": 20},
    "catalog.wish": {"field": "price", "at_most": 20},
    "embeddings.text": {"text": "{title} {tags}"},
    "files.table": {"path": SAMPLE},
    "github.api": {"url": NOBODY},
    "http.api": {"url": NOBODY, "token": ""},
    "http.items": {"path": "/books"},
    "http.source": {"path": "/books"},
    "music.families": {"field": "category", "popularity": "rating"},
    "music.similar": {"features": ["price", "rating"]},
    "music.similarity": {"features": ["price", "rating"]},
    "music.tracks": {"path": SAMPLE},
    "personality.drift": {"traits": LEANINGS, "words": "tags", "ranges": {"price": [0, 100]}},
    "personality.match": {"traits": LEANINGS, "words": "tags", "ranges": {"price": [0, 100]}},
    "projects.harvest": {"queries": ["topic:maps"]},
    "shop.feed_file": {"path": SAMPLE},
    "shop.sql": {"url": "sqlite://", "query": "SELECT 1 AS id UNION SELECT 2"},
    "video.asked": {"fields": {"searches": "tags"}},
    "video.search": {"fields": {"searches": "tags"}},
}
"""What components need that have options without a default."""


def offered() -> list[tuple[str, type[Component]]]:
    registry = Registry()
    registry.plugins(installed=True)
    own = [plugin for plugin in registry.loaded() if plugin.distribution == "tastemaker"]
    return [(f"{plugin.name}.{short}", found) for plugin in own for short, found in plugin.components.items()]


@pytest.mark.parametrize(
    ("name", "component"), offered(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_built_in_component_keeps_the_contract(name, component):
    options = OPTIONS.get(name, {})
    named = {found: use for use, found in offered()}
    held = {
        option: types[0](**OPTIONS.get(named.get(types[0], ""), {}))
        for option, types, needed in wanted(component)
        if needed
    }
    if component.__pydantic_complete__:
        fields = component.model_fields.items()
        needed = [option for option, field in fields if field.is_required() and option not in options | held]
        assert not needed, f"add options for {name} to the table above"
    if name == "dqn.ranker" and find_spec("torch") is None and os.environ.get("CI") != "true":
        pytest.skip("needs the extra `dqn`: make test EXTRAS=all")
    live = issubclass(component, Connector) or held  # what they do is checked where there is a server
    assert check_component(component, **held, **options, quiet=True) >= (8 if live else 20)


def test_variants_that_draw_or_remember():
    for scope in ("user", "both"):
        ranker = Registry().component("thompson.ranker", "policy")
        assert check_component(ranker, scope=scope, discount=0.9, low=-1, high=5, quiet=True) > 100


def test_an_instance_is_checked_as_it_is(capsys):
    class Level(Scorer):
        """A number as it is."""

        field: NumberField

        def score(self, context, candidates):
            return np.nan_to_num(candidates[self.field])

    assert check_component(Level(field="energy"), fields={"energy": "number"}) > 20
    assert capsys.readouterr().out.startswith("Level (scorer): ")


class Bad(Scorer):
    """Breaks something."""

    def score(self, context, candidates):
        return np.zeros(len(candidates))


class Undocumented(Scorer):
    def score(self, context, candidates):
        return np.zeros(len(candidates))


class Idle(Filter):
    """Defines nothing."""


class Loose(Bad):
    """Takes any option."""

    model_config = ConfigDict(extra="allow")


class Soft(Bad):
    """Can be changed."""

    model_config = ConfigDict(frozen=False)
    level: int = 1


class Heavy(Bad):
    """Takes a key of the core's."""

    weight: float = 1


class Listing(Bad):
    """Gives a list."""

    def score(self, context, candidates):
        return [0.0] * len(candidates)


class Short(Bad):
    """Gives one value too few."""

    def score(self, context, candidates):
        return np.zeros(max(len(candidates) - 1, 0))


class Holes(Bad):
    """Gives NaN where the number is missing."""

    def score(self, context, candidates):
        return candidates["rating"]


class Greedy(Bad):
    """Fails without candidates."""

    def score(self, context, candidates):
        return np.nan_to_num(candidates["rating"] / candidates["rating"].max())


class Familiar(Bad):
    """Fails for a new user."""

    def score(self, context, candidates):
        return np.full(len(candidates), context.profile["age"])


class Meddler(Bad):
    """Writes into what it was given."""

    def score(self, context, candidates):
        candidates.score[:] = 1
        return candidates.score


class Ranks(Bad):
    """Depends on the order."""

    def score(self, context, candidates):
        return np.arange(len(candidates))


class Dice(Bad):
    """Draws from a generator of its own."""

    def score(self, context, candidates):
        return np.random.default_rng().random(len(candidates))


class Numbers(Filter):
    """Gives numbers for yes and no."""

    def keep(self, context, candidates):
        return np.ones(len(candidates))


class Ghosts(Source):
    """Proposes what was removed."""

    def propose(self, context):
        return np.arange(len(context.catalog))


class Twice(Source):
    """Proposes everything twice."""

    def propose(self, context):
        return np.repeat(context.catalog.live, 2)


class TooMany(Source):
    """Has no end."""

    limit: int = 3

    def propose(self, context):
        return context.catalog.live


class Mixed(Source):
    """Gives numbers as a list."""

    def propose(self, context):
        return [1, 2]


class Counting(Policy):
    """Counts, rightly."""

    _count: float = PrivateAttr(0.0)

    def rank(self, context, candidates):
        return np.full(len(candidates), self._count)

    def learn(self, outcomes):
        self._count += len(outcomes)

    def state(self):
        return {"count": self._count}

    def load(self, state):
        if "count" not in state:
            raise ValueError("no count")
        self._count = state["count"]


class ByBatch(Counting):
    """Counts batches."""

    def learn(self, outcomes):
        self._count += len(outcomes) > 0


class Forgetful(Counting):
    """Keeps its state to itself."""

    def state(self):
        return {"count": 0.0}


class Trusting(Counting):
    """Loads whatever comes."""

    def load(self, state):
        self._count = state.get("count", 0.0)


class Torn(Counting):
    """Fails in the middle."""

    def load(self, state):
        self._count = 0.0
        if "count" not in state:
            raise ValueError("no count")
        self._count = state["count"]


class Pickled(Counting):
    """Keeps an object."""

    def state(self):
        return {"count": self._count, "thing": object()}


class Stateless(Counting):
    """Has no state to tell."""

    def state(self):
        return None


class Dropout(Counting):
    """Can't learn."""

    def learn(self, outcomes):
        raise RuntimeError("too hard")


class Fragile(Counting):
    """Falls over a state that isn't its own."""

    def load(self, state):
        self._count = state["count"]


class Cryptic(Counting):
    """Notes an object."""

    def rank(self, context, candidates):
        context.memo["why"] = object()
        return super().rank(context, candidates)


class Wordy(Reward):
    """Gives a text."""

    def reward(self, interaction):
        return "much"


class Nothing(Collector):
    """Gives bare rows, and faults."""

    def collect(self, collection):
        return [{"id": 1}]


class Moving(Collector):
    """Gives something else every time."""

    _turn: int = PrivateAttr(0)

    def collect(self, collection):
        self._turn += 1
        return [Record({"id": self._turn}), Fault("here", "bad")]


class Long(Embedder):
    """Gives vectors of any length."""

    @property
    def width(self):
        return 4

    def encode(self, texts):
        return np.ones((len(texts), 4), dtype=np.float32)


@pytest.mark.parametrize(
    ("component", "taught"),
    [
        (Undocumented, "it needs a docstring"),
        (Idle, "a filter defines keep"),
        (Loose, 'keep `extra="forbid"`'),
        (Soft, "keep `frozen=True`"),
        (Heavy, "rename them"),
        (Listing, "gave list, not a numpy array of numbers"),
        (Short, "not a numpy array of numbers of shape"),
        (Holes, "a missing number is NaN in its column"),
        (Greedy, "with 0 candidates for 'ann' raised ValueError"),
        (Familiar, "for 'new' raised KeyError"),
        (Meddler, "leave what you were given as it is"),
        (Ranks, "depends on the order of the candidates"),
        (Dice, "take all randomness from context.rng"),
        (Numbers, "not a numpy array of bool"),
        (Ghosts, "context.catalog.live"),
        (Twice, "propose each of them once"),
        (TooMany, "where its limit is 3"),
        (Mixed, "give rows of context.catalog, ids, or items"),
        (ByBatch, "every process cuts the log in another way"),
        (Forgetful, "state() must hold all of it"),
        (Trusting, "must raise ValueError"),
        (Torn, "left a changed state behind"),
        (Pickled, "can't be stored"),
        (Stateless, "state() gave NoneType, not a mapping"),
        (Dropout, "learn() raised RuntimeError: too hard"),
        (Fragile, "load() of nothing must raise ValueError"),
        (Cryptic, "its memo 'why' can't be logged"),
        (Wordy, "give a finite number, or None"),
        (Nothing, "give Record"),
        (Moving, "the second time"),
        (Long, "vectors of length 1"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_what_breaks_the_contract_is_told_how_to_mend_it(component, taught):
    with pytest.raises(AssertionError) as failure:
        check_component(component)
    assert taught in str(failure.value)
    assert str(failure.value).startswith(f"{component.__name__}: ")


def test_what_keeps_it_passes():
    assert check_component(Bad, quiet=True) > 20
    assert check_component(Counting, quiet=True) > 50


class Line(Connector):
    """A line that is open on one event loop only, as network clients are."""

    _loop: Any = PrivateAttr(None)

    async def open(self):
        self._loop = asyncio.get_running_loop()

    async def close(self):
        self._loop = None

    async def ask(self):
        if self._loop is not asyncio.get_running_loop():
            raise ConnectorError("it is not open here")
        return ["item-1", "item-2"]


class Calling(Source):
    """Asks by the line."""

    line: Line

    async def propose(self, context):
        return await self.line.ask() if len(context.catalog.live) else []


class Streaming(Collector):
    """Brings what the line says, bit by bit."""

    line: Line

    async def collect(self, collection):
        for each in await self.line.ask():
            yield Record({"id": each})
        yield Interaction("1", collection.domain, "ann", "item-1", "buy", collection.now)


@pytest.mark.parametrize("component", [Calling, Streaming])
def test_connectors_among_the_options_are_open_while_a_component_is_checked(component):
    line = Line()
    assert check_component(component, line=line, quiet=True) > 5
    assert line._loop is None
    assert check_component(line, quiet=True) > 5
