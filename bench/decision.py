"""Decisions in process: both compositions beside the same in plain numpy."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from time import time

import numpy as np
from tastemaker.core import Request
from tastemaker.core.orchestrator import Orchestrator

from . import world
from .plain_numpy import Plain
from .rows import Row, in_turns, latencies

_DOMAINS = {
    "reference": (world.REFERENCE, world.DIMENSIONS),
    "narrow": (world.REFERENCE, 64),
    "light": (world.LIGHT, world.DIMENSIONS),
}


def run(quick: bool) -> list[Row]:
    count = 2_000 if quick else world.ITEMS
    with TemporaryDirectory() as folder:
        settings = world.configured(Path(folder), _DOMAINS, count=count)
        world.filled(settings, users=20 if quick else world.USERS)
        with asyncio.Runner() as runner:
            orchestrator = Orchestrator(settings, follow=False)
            runner.run(orchestrator.start())
            try:
                return _measured(runner, orchestrator, quick)
            finally:
                runner.run(orchestrator.stop())


def _measured(runner: asyncio.Runner, orchestrator: Orchestrator, quick: bool) -> list[Row]:
    users = [world.user(number) for number in range(20 if quick else world.USERS)]
    rows: list[Row] = []
    rounds, each = (2, 20) if quick else (8, len(users))
    for name, (_, width) in _DOMAINS.items():
        slates = [runner.run(orchestrator.recommend(name, Request(user))) for user in users]
        assert not any(slate.degraded for slate in slates), slates[0].degraded
        assert all(len(slate.picks) == 12 for slate in slates)
        considered = int(np.median([slate.considered for slate in slates]))
        left = int(np.median([slate.considered - sum(slate.removed.values()) for slate in slates]))
        calls = [_decide(runner, orchestrator, name, users), _plain(orchestrator, name, users)]
        ours, plain = in_turns(calls, rounds, each)
        size = len(orchestrator.agent(name).catalog.snapshot())
        note = f"{considered:,} candidates, {left:,} after filters; {size:,} items, {width}-d"
        if name != "light":
            note += "; Thompson alone, no LinUCB"
        label = f"reference {width}-d" if name == "narrow" else name
        rows += latencies(f"{label} decision", ours, plain, f"beside plain numpy; {note}")
        (logged,) = in_turns([_recommend(runner, orchestrator, name, users)], rounds, each)
        rows += latencies(
            f"{label} decision, logged", logged, plain, "until the slate is in the log (SQLite)"
        )
    return rows


def _decide(
    runner: asyncio.Runner, orchestrator: Orchestrator, name: str, users: list[str]
) -> Callable[[int], object]:
    agent = orchestrator.agent(name)
    profiles = {user: runner.run(orchestrator.profile(user)) for user in users}

    def decide(number: int) -> object:
        user, now = users[number % len(users)], time()
        history = agent.histories.get(user)
        assert history is not None
        past = history.candidates(agent.catalog.snapshot(), now)
        decision = agent.decide(
            Request(user), slate=token_hex(14), now=now, profile=profiles[user], history=past
        )
        return _finished(decision)

    return decide


def _finished(coroutine: object) -> object:
    """The result of a coroutine that never waits: without the event loop's own time in it."""
    try:
        coroutine.send(None)  # type: ignore[attr-defined]
    except StopIteration as done:
        return done.value
    raise AssertionError("this decision has to wait for something")


def _recommend(
    runner: asyncio.Runner, orchestrator: Orchestrator, name: str, users: list[str]
) -> Callable[[int], object]:
    def recommend(number: int) -> object:
        return runner.run(orchestrator.recommend(name, Request(users[number % len(users)])))

    return recommend


def _plain(orchestrator: Orchestrator, name: str, users: list[str]) -> Callable[[int], object]:
    agent = orchestrator.agent(name)
    plain = Plain(agent.catalog.snapshot())
    known = []
    for number, user in enumerate(users):
        history = agent.histories.get(user)
        assert history is not None
        past = history.candidates(agent.catalog.snapshot(), time())
        taste = np.nan_to_num(past["reward"]).astype(np.float32) @ past.embeddings
        taste /= np.linalg.norm(taste)
        recent, bought = past.rows[past["age_days"] <= 30], past.rows[past["kind"] == "purchase"]
        known.append((taste, world.profile(number)["topics"], recent, bought))

    def recommend(number: int) -> object:
        taste, topics, recent, bought = known[number % len(known)]
        return (
            plain.light(taste, recent) if name == "light" else plain.reference(taste, topics, recent, bought)
        )

    return recommend
