"""A small generated world to check components in: a catalogue, requests, and outcomes that follow from them."""

import asyncio
from collections.abc import AsyncIterable, Iterator, Mapping
from contextlib import contextmanager
from inspect import isawaitable
from typing import Any

import numpy as np
import orjson

from ..candidates import Candidates
from ..catalog.catalog import Catalog, CatalogSnapshot
from ..catalog.items import FieldType, ItemSchema, Value
from ..components import Policy
from ..context import Context
from ..feedback import Feedback
from ..interaction import Interaction
from ..outcomes import Outcomes

NOW = 1_750_000_000.0
DAY = 86_400.0
ITEMS = 60
WIDTH = 16

FIELDS: Mapping[str, FieldType] = {
    "title": "text",
    "description": "text",
    "category": "category",
    "complexity": "category",
    "tags": "tags",
    "price": "number",
    "rating": "number",
    "published": "time",
    "available": "flag",
}
"""The fields of the generated items; a check may ask for more."""

PROFILE: Mapping[str, Any] = {
    "interests": ["calm", "focus"],
    "skill_level": "beginner",
    "age": 30,
    "traits": {"openness": 72.0, "neuroticism": 35.0},
}
"""What is known of somebody who is known."""

WORDS = ("beginner", "intermediate", "advanced", "expert", "calm", "focus", "party")
KINDS = ("click", "like", "skip", "play", "rating", "purchase", "dismiss", "dwell")


class World:
    """Everything is drawn from one seed; a fifth of all values is missing, and some items were removed.

    fields: fields of the items beside FIELDS, by type.
    """

    def __init__(self, fields: Mapping[str, FieldType] | None = None, *, items: int = ITEMS) -> None:
        self.schema = ItemSchema({**FIELDS, **(fields or {})})
        self._rng = np.random.default_rng(20)
        self._catalog = Catalog(self.schema, dimensions=WIDTH)
        ids = [f"item-{number}" for number in range(items)]
        self._catalog.put([(identity, self._values()) for identity in ids])
        if items and self._catalog.vectors is not None:
            vectors = self._rng.normal(size=(items, WIDTH)).astype(np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors[::7] = 0
            self._catalog.vectors.put(np.arange(items), vectors)
        self._catalog.remove(ids[3::10])
        self.catalog: CatalogSnapshot = self._catalog.snapshot()
        self.feedback = Feedback()
        if items:
            self.feedback.learn(self._outcomes_of(ids, 50))

    def candidates(self, count: int | None = None) -> Candidates:
        """The first `count` items of the catalogue, or all of them, not in the order of their rows."""
        live = self.catalog.live
        rows = np.random.default_rng(3).permutation(live)[: len(live) if count is None else count]
        return Candidates(self.catalog, rows)

    def context(
        self, step: str = "component", *, known: bool = True, seed: int = 11, slate: str = "slate"
    ) -> Context:
        """A request by someone who is known, or by someone of whom nothing is."""
        past = self.catalog.live[:12] if known else np.empty(0, dtype=np.intp)
        rng = np.random.default_rng(5)
        kinds = np.empty(len(past), dtype=object)
        kinds[:] = [KINDS[number % len(KINDS)] for number in range(len(past))]
        rewards = rng.normal(size=len(past))
        rewards[1::4] = np.nan
        vector = np.full(WIDTH, WIDTH**-0.5, dtype=np.float32)
        return Context(
            domain="conformance",
            user="ann" if known else "new",
            slate=slate,
            now=NOW,
            size=5,
            draws=8,
            seed=seed,
            catalog=self.catalog,
            history=Candidates(
                self.catalog,
                past,
                columns={
                    "reward": rewards,
                    "kind": kinds,
                    "age_days": np.arange(len(past), dtype=np.float64),
                },
            ),
            feedback=self.feedback,
            profile=PROFILE if known else {},
            situation={"mood": "calm", "max_price": 50, "category": "party"} if known else {},
            embed_profile=(lambda _: vector) if known else None,
            step=step,
        )

    def interactions(self) -> list[Interaction]:
        """One of every kind, with and without a value."""
        return [
            Interaction(f"i-{kind}-{value}", "conformance", "ann", "item-1", kind, NOW, value=value)
            for kind in (*KINDS, "unheard-of")
            for value in (None, 0.0, 3.0)
        ]

    def outcomes(self, policy: Policy, slates: int = 12) -> Outcomes:
        """What followed from slates that this policy ranked: with its memos as the log gives them back."""
        rng = np.random.default_rng(8)
        users, items, ids, memos = [], [], [], []
        for number in range(slates):
            slate = f"slate-{number}"
            context = self.context(known=number % 2 == 0, seed=number, slate=slate)
            head = self.candidates(8)
            context.profile = {**context.profile, **plain(policy.perceive(context))}
            plain(policy.tune(context))
            plain(policy.rank(context, head))
            for place in range(4):
                users.append(context.user)
                items.append(str(head.ids[place]))
                ids.append(slate)
                memo = dict(context.memo) | {name: column[place] for name, column in head.memo.items()}
                memos.append(orjson.loads(orjson.dumps(memo, option=orjson.OPT_SERIALIZE_NUMPY)))
        count = len(items)
        reward = rng.choice([-1.0, 0.0, 0.5, 1.0, 5.0], count)
        first = rng.random(count) > 0.1
        return Outcomes(
            users=users,
            items=items,
            slates=ids,
            reward=reward,
            total=np.where(first, reward, reward + 1.0),
            first=first,
            propensity=rng.uniform(0.05, 1, count),
            position=np.tile(np.arange(4, dtype=np.int32), slates),
            time=NOW + np.sort(rng.uniform(0, 3 * DAY, count)),
            situations=[{"mood": "calm"}] * count,
            memos=memos,
            kinds=[("purchase", "click", "")[place % 3] for place in range(count)],
        )

    def _outcomes_of(self, ids: list[str], count: int) -> Outcomes:
        rng = np.random.default_rng(9)
        reward = rng.choice([-1.0, 0.0, 1.0], count)
        return Outcomes(
            users=["bob"] * count,
            items=[ids[place] for place in rng.integers(0, len(ids), count).tolist()],
            slates=[""] * count,
            reward=reward,
            total=reward,
            first=np.ones(count, dtype=bool),
            propensity=np.full(count, np.nan),
            position=np.full(count, -1, dtype=np.int32),
            time=np.full(count, NOW),
            situations=[{}] * count,
            memos=[{}] * count,
            kinds=["purchase"] * count,
        )

    def _values(self) -> dict[str, Value]:
        rng = self._rng
        values: dict[str, Value] = {}
        for name, kind in self.schema.fields.items():
            words = [str(word) for word in rng.choice(WORDS, 3, replace=False)]
            drawn: Value = float(rng.uniform(0, 100))
            match kind:
                case "text":
                    drawn = " ".join(words)
                case "category":
                    drawn = words[0]
                case "tags":
                    drawn = words[: int(rng.integers(1, 4))]
                case "time":
                    drawn = NOW + float(rng.uniform(-400, 5)) * DAY
                case "flag":
                    drawn = bool(rng.random() < 0.5)
                case "number":
                    drawn = float(np.float32(rng.uniform(-1, 1 if rng.random() < 0.3 else 100)))
            if rng.random() > 0.2:
                values[name] = drawn
        return values


def part(outcomes: Outcomes, chosen: slice) -> Outcomes:
    """A run of consecutive outcomes."""
    cut: dict[str, Any] = {name: getattr(outcomes, name)[chosen] for name in Outcomes.__dataclass_fields__}
    return Outcomes(**cut)


_loops: list[asyncio.Runner] = []


@contextmanager
def one_loop() -> Iterator[None]:
    """Whatever `plain` awaits is awaited on one event loop: what a connector opens belongs to that."""
    with asyncio.Runner() as runner:
        _loops.append(runner)
        try:
            yield
        finally:
            _loops.remove(runner)


def plain(value: Any) -> Any:
    """What a component's method gives, awaited where it has to be; of an async generator, a list."""

    async def waited() -> Any:
        return [each async for each in value] if isinstance(value, AsyncIterable) else await value

    if not isawaitable(value) and not isinstance(value, AsyncIterable):
        return value
    return _loops[-1].run(waited()) if _loops else asyncio.run(waited())
