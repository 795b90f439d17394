"""A shelf of books whose worth is known, readers who answer by it, and the log of what they did."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from tastemaker.core import Context, Interaction, Request, Slate, Source, State
from tastemaker.core.clock import ManualClock
from tastemaker.core.config import DomainPlan, Settings
from tastemaker.core.orchestrator import Orchestrator
from tastemaker.core.rewards import RewardTable
from tastemaker.core.store import Store
from tastemaker.policies.thompson import Ranker

BOOKS = 12
LIKED = np.linspace(0.05, 0.6, BOOKS)
"""The probability that a reader likes each book."""
START = 1_700_000_000.0


class All(Source):
    """Proposes every item."""

    blocking: ClassVar[bool] = False

    def propose(self, context: Context) -> NDArray[np.intp]:
        return context.catalog.live


@dataclass
class Shelf:
    """A domain with its store; `read` writes its log."""

    settings: Settings
    plan: DomainPlan
    clock: ManualClock
    liked: NDArray[np.float64]

    def store(self) -> Store:
        return Store(self.settings.store.get_secret_value())

    def read(
        self, seed: int, *, readers: int = 40, rounds: int = 5, learning: bool = True
    ) -> tuple[list[Slate], list[State]]:
        """Every reader gets a slate in each round, and likes each book of it with the book's own probability.

        Without `learning` the answers of all rounds are logged at the end, so that every slate is decided by the
        untaught policies. Gives the slates, and what the first policy knew before each round and at the end.
        """
        return asyncio.run(self._read(seed, readers, rounds, learning))

    async def _read(
        self, seed: int, readers: int, rounds: int, learning: bool
    ) -> tuple[list[Slate], list[State]]:
        rng = np.random.default_rng((seed, 3))
        count = 0

        def slate_id(_: float) -> str:
            nonlocal count
            count += 1
            return f"slate-{seed}-{count}"

        shown: list[Slate] = []
        states: list[State] = []
        waiting: list[Interaction] = []
        async with Orchestrator(
            self.settings, clock=self.clock, follow=False, slate_ids=slate_id
        ) as tastemaker:
            agent = tastemaker.agent(self.plan.name)
            await tastemaker.put_items(self.plan.name, [self.book(number) for number in range(BOOKS)])
            for _ in range(rounds):
                states += [policy.state() for policy in list(agent.policies.values())[:1]]
                for reader in range(readers):
                    self.clock.advance(1.0)
                    slate = await tastemaker.recommend(self.plan.name, Request(f"reader-{reader}"))
                    assert not slate.degraded
                    shown.append(slate)
                    waiting += self.answers(slate, rng)
                if learning:
                    await tastemaker.record(waiting)
                    waiting = []
                    self.later(tastemaker)
            await tastemaker.record(waiting)
            self.later(tastemaker)
            states += [policy.state() for policy in list(agent.policies.values())[:1]]
        return shown, states

    def later(self, tastemaker: Orchestrator) -> None:
        """The windows of all slates close, and what came is learned."""
        self.clock.advance(self.plan.learning.window_minutes * 60 + 1)
        tastemaker.store.tick(0.0).result()
        tastemaker.learn()

    def book(self, number: int) -> dict[str, Any]:
        return {"id": f"b{number}", "title": f"Book {number}", "rating": number % 4}

    def answers(self, slate: Slate, rng: np.random.Generator) -> list[Interaction]:
        liked = [pick for pick in slate.picks if rng.random() < LIKED[int(pick.item[1:])]]
        return [
            Interaction(
                f"{slate.id}-{pick.item}",
                slate.domain,
                slate.user,
                pick.item,
                "click",
                slate.time,
                slate=slate.id,
            )
            for pick in liked
        ]

    def worth(self, policy: str, state: State, decisions: int = 600) -> float:
        """What a state earns per slate, found out by letting it decide."""

        async def run() -> float:
            async with Orchestrator(self.settings, clock=self.clock, follow=False) as tastemaker:
                agent = tastemaker.agent(self.plan.name)
                agent.policies[policy].load(state, 0)
                slates = [
                    await agent.decide(Request("anyone"), slate=f"run-{number}", now=self.clock(), profile={})
                    for number in range(decisions)
                ]
            return float(np.mean([sum(LIKED[int(pick.item[1:])] for pick in each.picks) for each in slates]))

        return asyncio.run(run())


@pytest.fixture
def shelf(
    plan_of: Callable[..., DomainPlan], settings_of: Callable[..., Settings], tmp_path: Path
) -> Callable[..., Shelf]:
    """A shelf with policies of one's choice, of three places each slate."""
    made: list[Shelf] = []

    def make(policies: Mapping[str, Any] | None = None, **options: Any) -> Shelf:
        plan = plan_of(
            fields={"title": "text", "rating": "number"},
            sources=options.pop("sources", {"all": All()}),
            policies={"taste": Ranker()} if policies is None else policies,
            reward=options.pop("reward", RewardTable(kinds={"click": 1.0}, seen=0.0)),
            slate={"size": 3, "shortlist": 4.0, **options.pop("slate", {})},
            learning={"window_minutes": options.pop("window_minutes", 100.0)},
            **options,
        )
        settings = settings_of({"books": plan}, f"sqlite:///{tmp_path / f'shelf-{len(made)}.db'}")
        made.append(Shelf(settings, plan, ManualClock(START), LIKED))
        return made[-1]

    return make


@pytest.fixture
def taught() -> Callable[[Sequence[float]], State]:
    """A Thompson ranker's state that has seen so many readers like each book, of forty that were asked."""

    def made(liked: Sequence[float]) -> State:
        won = np.array([0.0, *(40 * np.asarray(liked))])
        state = dict(Ranker().state())
        state.update(
            item_ids=[f"b{number}" for number in range(len(liked))],
            item_won=won,
            item_lost=np.array([0.0, *(40 - won[1:])]),
        )
        return state

    return made
