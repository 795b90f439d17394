"""One crowd living with one composition: slates from the real orchestrator, answers into its real log."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from pydantic import SecretStr

from ..catalog.catalog import CatalogSnapshot
from ..clock import ManualClock
from ..config import DomainPlan, Settings, load
from ..context import Request
from ..errors import domain_of
from ..interaction import Interaction
from ..orchestrator import Orchestrator
from ..service import Service
from ..stock.expiry import copy_terms
from ..store import Store
from .answers import Answers, Habits, Kinds
from .people import Hidden, People

Floats = NDArray[np.float64]

LONG_AGO = 0.0
"""When a simulation's items are brought in: before everything else."""
_DEFAULT_START = 1_767_225_600.0
"""Where no item has a time: 2026-01-01."""
_HOURS = 6
_MINUTE, _HOUR, _DAY = 60.0, 3_600.0, 86_400.0


@dataclass(frozen=True)
class Life:
    """What happened, by round; all of shape (rounds,).

    reward: what the answers to a slate are worth, on average over all they could be. liked: share of the shown
    items that got a positive answer. degraded: slates that something was missing for.
    seconds: of deciding, all rounds together. interactions: what people did, all rounds together.
    """

    reward: Floats
    liked: Floats
    degraded: int
    seconds: float
    interactions: int


def offline(settings: Settings, domain: str) -> Settings:
    """The configuration with a domain's services switched off. Raises NotFound, ConfigError.

    Where one is configured, its file and overrides are loaded again.
    """
    services = (step.component for step in plan_of(settings, domain).connectors)
    if not any(isinstance(service, Service) and service.configured for service in services):
        return settings
    return replace(load(settings.path, overrides=settings.overrides, offline=True), store=settings.store)


def learning(settings: Settings, domain: str) -> Settings:
    """The domain as it is, alone and in a store of its own."""
    return alone(settings, domain, plan_of(settings, domain))


def unlearning(settings: Settings, domain: str) -> Settings:
    """The same composition without policies and without exploration."""
    plan = plan_of(settings, domain)
    slate = plan.slate.model_copy(update={"explore": 0.0})
    return alone(settings, domain, replace(plan, policies=(), slate=slate))


def plan_of(settings: Settings, domain: str) -> DomainPlan:
    """The plan of a domain. Raises NotFound."""
    return domain_of(settings.domains, domain)


def live(
    settings: Settings,
    domain: str,
    seed: int,
    *,
    people: int,
    rounds: int,
    hidden: Hidden | None = None,
    habits: Habits | None = None,
    progress: Callable[[int], None] = lambda rounds: None,
) -> Life:
    """Let a crowd live with a composition in a temporary store. Raises TastemakerError.

    settings: of `learning` or `unlearning`. progress: called with the number of rounds that are done.
    """
    with TemporaryDirectory(prefix="tastemaker-") as folder:
        store = SecretStr(f"sqlite:///{Path(folder) / 'simulation.db'}")
        if settings.domains[domain].items.collector is None:
            copied_items(settings, store, domain)
        town = _Town(replace(settings, store=store), domain, seed, people, rounds, hidden, habits, progress)
        return asyncio.run(town.live())


class _Town:
    def __init__(
        self,
        settings: Settings,
        domain: str,
        seed: int,
        people: int,
        rounds: int,
        hidden: Hidden | None,
        habits: Habits | None,
        progress: Callable[[int], None],
    ) -> None:
        self._settings, self._domain, self._seed = settings, domain, seed
        self._count, self._rounds = people, rounds
        self._hidden, self._habits = hidden, habits
        self._progress = progress
        self._slates = 0

    async def live(self) -> Life:
        kinds = Kinds(self._domain, plan_of(self._settings, self._domain).reward)
        clock = ManualClock(LONG_AGO)
        async with Orchestrator(
            self._settings, clock=clock, follow=False, slate_ids=self._slate_id
        ) as orchestrator:
            agent = orchestrator.agent(self._domain)
            catalog = agent.catalog.snapshot()
            people = People(catalog, agent.plan, self._count, self._seed, self._hidden)
            answers = Answers(people, catalog, kinds, self._habits)
            clock.advance(start_of(agent.plan, catalog) - clock())
            for name, profile in zip(people.names, people.profiles, strict=True):
                await orchestrator.put_profile(name, profile)
            pause = pause_of(agent.plan)
            reward, liked = np.zeros(self._rounds), np.zeros(self._rounds)
            shown, degraded, seconds, interactions = 0, 0, 0.0, 0
            for number in range(self._rounds):
                clock.advance(pause)
                orchestrator.store.tick(0.0).result()  # so that the windows of the last round close
                orchestrator.learn()
                done: list[Interaction] = []
                shown = 0
                for person, name in enumerate(people.names):
                    before = perf_counter()
                    slate = await orchestrator.recommend(self._domain, Request(name))
                    seconds += perf_counter() - before
                    degraded += bool(slate.degraded)
                    snapshot = agent.catalog.snapshot()
                    rows = snapshot.numbers(pick.item for pick in slate.picks)
                    given = answers(person, number, snapshot, rows)
                    shown += len(rows)
                    liked[number] += len({answer.position for answer in given if answer.reward > 0})
                    reward[number] += answers.worth(person, snapshot, rows)
                    done += [
                        Interaction(
                            id=f"{slate.id}-{answer.position}-{answer.kind}",
                            domain=self._domain,
                            user=name,
                            item=slate.picks[answer.position].item,
                            kind=answer.kind,
                            time=clock(),
                            value=answer.value,
                            slate=slate.id,
                            position=answer.position,
                        )
                        for answer in given
                    ]
                await orchestrator.record(done)
                interactions += len(done)
                reward[number] /= len(people)
                liked[number] /= max(shown, 1)
                self._progress(1)
        return Life(reward, liked, degraded, seconds, interactions)

    def _slate_id(self, _: float) -> str:
        """The same in both arms, so that both draw the same random numbers; other for other seeds."""
        self._slates += 1
        return f"simulated-{self._seed}-{self._slates}"


def alone(settings: Settings, domain: str, plan: DomainPlan) -> Settings:
    """Only this domain, without a deadline: no decision may depend on how busy the machine is."""
    slate = plan.slate.model_copy(update={"deadline_ms": 60_000.0})
    return replace(settings, domains={domain: replace(plan, slate=slate)})


def pause_of(plan: DomainPlan) -> float:
    """Seconds between two slates of a person, in which the windows of the first one close."""
    return max(_HOURS * _HOUR, plan.learning.window_minutes * _MINUTE + 1)


def start_of(plan: DomainPlan, catalog: CatalogSnapshot) -> float:
    """The day after the newest time in the catalogue: the same whenever the simulation runs."""
    times = [catalog.column(field)[catalog.live] for field in plan.items.schema.of_type("time")]
    newest = np.nanmax(np.concatenate([*times, [-np.inf]]))
    return float(newest) + _DAY if newest > LONG_AGO else _DEFAULT_START


def copied_items(settings: Settings, target: SecretStr, domain: str) -> None:
    """Bring items that came through the API, and are in the domain's own store only, into another."""
    source = Store(settings.store.get_secret_value())
    try:
        copy = Store(target.get_secret_value(), clock=lambda: LONG_AGO)
        try:
            items = [(name, body) for name, body, _ in source.items(domain) if body is not None]
            copy_terms(source, copy, domain)
            for first in range(0, len(items), 1000):
                copy.put_items(domain, items[first : first + 1000]).result()
        finally:
            copy.close()
    finally:
        source.close()
