"""Thompson sampling: ranking and learning beside plain numpy and, where they are installed, MABWiser and river."""

import asyncio
from collections.abc import Callable
from contextlib import closing
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from time import time
from typing import Any

import numpy as np
import orjson
from tastemaker.core import Candidates, Catalog, Context, Interaction, ItemSchema, Outcomes, Request
from tastemaker.core.agent import Agent
from tastemaker.core.agent.histories import History
from tastemaker.core.config import Settings
from tastemaker.core.feedback import Feedback
from tastemaker.core.learning import Fold, Learner
from tastemaker.core.orchestrator import Orchestrator
from tastemaker.core.store import Entry, Store
from tastemaker.policies.thompson import Ranker

from . import world
from .rows import Floats, Row, medians, row

_TOP = 12


def run(quick: bool) -> list[Row]:
    rows: list[Row] = []
    for arms, rounds in ((1_000, 5),) if quick else ((1_000, 200), (100_000, 21), (1_000_000, 7)):
        rows += _ranked(arms, rounds)
    rows.append(_learned(2_000 if quick else 100_000, 2 if quick else 7))
    rows += _folded(100 if quick else 4_000, 1 if quick else 3)
    return rows


def _ranked(arms: int, rounds: int) -> list[Row]:
    """Draw for every arm and find the best, all in one call; views ~ Poisson(100), click rates ~ Beta(1, 30)."""
    rng = np.random.default_rng(3)
    views = rng.poisson(100, arms)
    won = rng.binomial(views, rng.beta(1, 30, arms)).astype(float)
    lost = views - won
    ids = [f"item-{place:07}" for place in range(arms)]
    catalog = Catalog(ItemSchema({"title": "text"}))
    catalog.put([(identity, {}) for identity in ids])
    candidates = Candidates(catalog.snapshot(), np.arange(arms))
    policy = Ranker()
    state = dict(policy.state())
    counts = {"item_won": won, "item_lost": lost}
    policy.load(
        {**state, "item_ids": ids, **{name: np.concatenate(([0.0], count)) for name, count in counts.items()}}
    )
    context = _context(candidates)
    alpha, beta = 1 + won, 1 + lost

    def ours(_: int) -> object:
        return _best(policy.rank(context, candidates)[0])

    def numpy(_: int) -> object:
        return _best(rng.beta(alpha, beta))

    mine, plain = medians([ours, numpy], rounds)
    name = f"Thompson, rank {arms:,} arms"
    rows = [row(name, mine * 1e3, plain * 1e3, "ms", f"beside plain numpy; the best {_TOP}, one draw")]
    if arms <= 1_000:  # with more, these take minutes
        rivals = {"mabwiser": ("MABWiser", _mabwiser), "river": ("river", _river)}
        for module, (label, made) in rivals.items():
            if find_spec(module):
                again, theirs = medians([ours, made(ids)], min(rounds, 5))
                rows.append(row(f"{name}: {label}", again * 1e3, theirs * 1e3, "ms", f"beside {label}"))
    return rows


def _best(draws: Floats) -> object:
    top = np.argpartition(draws, -_TOP)[-_TOP:]
    return top[np.argsort(-draws[top])]


def _context(candidates: Candidates) -> Context:
    return Context(
        domain="bench",
        user="ann",
        slate="bench",
        now=time(),
        size=_TOP,
        draws=1,
        seed=1,
        catalog=candidates.catalog,
        history=Candidates(candidates.catalog, np.empty(0, dtype=np.intp)),
        feedback=Feedback(),
        profile={},
        situation={},
    )


def _mabwiser(ids: list[str]) -> Callable[[int], object]:
    mabwiser: Any = import_module("mabwiser.mab")
    bandit = mabwiser.MAB(ids, mabwiser.LearningPolicy.ThompsonSampling(), seed=1)
    bandit.fit(ids, [1] * len(ids))

    def rank(_: int) -> object:
        draws = bandit.predict_expectations()
        return sorted(draws, key=draws.__getitem__, reverse=True)[:_TOP]

    return rank


def _river(ids: list[str]) -> Callable[[int], object]:
    policy: Any = import_module("river.bandit").ThompsonSampling(
        reward_obj=import_module("river.proba").Beta(), seed=1
    )
    for identity in ids:
        policy.update(identity, 1)
    return lambda _: policy.pull(ids)  # the best one alone: it gives no ranking


def _learned(count: int, rounds: int) -> Row:
    rng = np.random.default_rng(4)
    arms = 10_000
    items = [f"item-{place}" for place in (arms * rng.random(count) ** 2).astype(int).tolist()]
    reward = (rng.random(count) < 0.1).astype(float)
    outcomes = Outcomes(
        users=["ann"] * count,
        items=items,
        slates=["bench"] * count,
        reward=reward,
        total=reward,
        first=np.ones(count, dtype=bool),
        propensity=np.full(count, 0.1),
        position=np.zeros(count, dtype=np.int32),
        time=np.linspace(0, 86_400, count),
        situations=[{}] * count,
        memos=[{}] * count,
    )
    policy = Ranker()
    counts: dict[str, list[float]] = {}

    def plain(_: int) -> object:
        for item, clicked in zip(items, reward.tolist(), strict=True):
            seen = counts.setdefault(item, [0.0, 0.0])
            seen[0] += clicked
            seen[1] += 1 - clicked
        return None

    ours, theirs = medians([lambda _: policy.learn(outcomes), plain], rounds)
    note = f"beside a dict of counts in plain Python; batches of {count:,}, {arms:,} items"
    return row("Thompson, learn", count / ours, count / theirs, "/s", note)


def _folded(slates: int, rounds: int) -> list[Row]:
    """The whole way from the log: read, parse, attribute, teach."""
    with TemporaryDirectory() as folder:
        settings = world.configured(Path(folder), {"light": (world.LIGHT, 0)}, count=2_000)
        world.filled(settings, users=50, events=0)
        asyncio.run(_logged(settings, slates))
        plan = settings.domains["light"]
        with closing(Store(settings.store.get_secret_value())) as store:
            catalog = Catalog(plan.items.schema)
            folds: list[Fold] = []

            def ours(_: int) -> object:
                fold = Fold(Agent(plan, catalog))
                folds.append(fold)
                learner = Learner(
                    store, {"light": fold}, items=lambda position: None, profile=lambda user: None
                )
                learner.restore()
                return None

            def plain(_: int) -> object:
                position = 0
                while entries := store.read(position):
                    for entry in entries:
                        orjson.loads(entry.body)
                    position = entries[-1].position
                return None

            mine, theirs = medians([ours, plain], rounds)
            entries, outcomes = store.end(), folds[-1].outcomes
    note = f"{slates:,} slates of 12 with {entries:,} entries in all; beside reading them and orjson.loads"
    return [
        row("fold of the log, entries", entries / mine, entries / theirs, "/s", note),
        row("fold of the log, outcomes", outcomes / mine, None, "/s"),
    ]


async def _logged(settings: Settings, count: int) -> None:
    """Slates of real decisions, an interaction for every second one; a slate each second, so that windows close."""
    begun = time()
    now = begun
    entries = []
    nothing = History([], 0)
    async with Orchestrator(settings, clock=lambda: now, follow=False) as orchestrator:
        agent = orchestrator.agent("light")
        for number in range(count):
            user = world.user(number % 50)
            past = nothing.candidates(agent.catalog.snapshot(), now)
            slate = await agent.decide(
                Request(user), slate=f"slate-{number}", now=now, profile={}, history=past
            )
            entries.append(Entry("slate", slate.id, "light", user, slate.to_bytes()))
            if number % 2:
                pick = slate.picks[number % 12]
                done = Interaction(f"did-{number}", "light", user, pick.item, "click", now, slate=slate.id)
                entries.append(Entry("interaction", done.id, "light", user, done.to_bytes()))
            if len(entries) > 20:
                now += len(entries)
                orchestrator.store.append(entries, durable=False).result()
                entries = []
