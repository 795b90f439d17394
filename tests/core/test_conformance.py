"""The contract checks: every component of ours keeps it, and whoever breaks it is told how to mend that."""

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
    Embedder,
    Fault,
    Filter,
    NumberField,
    Policy,
    Record,
    Reward,
    Scorer,
    Source,
)
from tastemaker.core.conformance import check_component
from tastemaker.core.registry import Registry

SAMPLE = Path(__file__).parents[2] / "plugins" / "products" / "sample.csv"
OPTIONS: dict[str, dict[str, Any]] = {
    "catalog.freshness": {"field": "published"},
    "catalog.numeric": {"field": "rating", "low": 0, "high": 5},
    "catalog.recent": {"field": "published"},
    "catalog.tag_match": {"field": "tags", "profile": "interests"},
    "catalog.where": {"field": "price", "at_most": 20},
    "embeddings.text": {"text": "{title} {tags}"},
    "files.table": {"path": SAMPLE},
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
    if component.__pydantic_complete__ and name not in OPTIONS:
        needed = [option for option, field in component.model_fields.items() if field.is_required()]
        assert not needed, f"add options for {name} to the table above"
    if name == "dqn.ranker" and find_spec("torch") is None and os.environ.get("CI") != "true":
        pytest.skip("needs the extra `dqn`: make test EXTRAS=all")
    assert check_component(component, **OPTIONS.get(name, {}), quiet=True) >= 20


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


class Wordy(Reward):
    """Gives a text."""

    def reward(self, interaction):
        return "much"


class Nothing(Collector):
    """Gives bare rows, and faults."""

    def collect(self):
        return [{"id": 1}]


class Moving(Collector):
    """Gives something else every time."""

    _turn: int = PrivateAttr(0)

    def collect(self):
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
