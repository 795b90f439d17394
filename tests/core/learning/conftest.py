"""Logs made of chance, and what policies make of them."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
from tastemaker.core import Context, Interaction, Outcomes, Pick, Policy, Slate, State
from tastemaker.core.config import DomainPlan
from tastemaker.core.rewards import RewardTable
from tastemaker.core.store import Entry
from tastemaker.policies.thompson import Ranker

WINDOW_MINUTES = 2.0


class Diary(Policy):
    """Writes down all that it is taught."""

    blocking: ClassVar[bool] = False
    pages: int = 1
    _lines: list[str]

    def model_post_init(self, _: Any) -> None:
        self._lines = []

    def tune(self, context: Context) -> dict[str, Any]:
        return {}

    def learn(self, outcomes: Outcomes) -> None:
        for place, item in enumerate(outcomes.items):
            numbers = (
                outcomes.reward[place].item(),
                outcomes.total[place].item(),
                bool(outcomes.first[place]),
                outcomes.propensity[place].item(),
                outcomes.position[place].item(),
                outcomes.time[place].item(),
            )
            memo = sorted(outcomes.memos[place].items())
            self._lines.append(
                f"{outcomes.users[place]} {item} {outcomes.slates[place]} {numbers!r} {memo!r}"
            )

    def state(self) -> State:
        return {"lines": self._lines}

    def load(self, state: State) -> None:
        lines = state["lines"]
        if not isinstance(lines, list):
            raise ValueError("lines must be a list")
        self._lines = lines


@pytest.fixture(scope="session")
def diary() -> type[Diary]:
    return Diary


@pytest.fixture(scope="session")
def learning_plan(plan_of: Callable[..., DomainPlan]) -> Callable[..., DomainPlan]:
    """A domain with every kind of learning in it."""

    def made(name: str = "books", **options: Any) -> DomainPlan:
        policies = {
            "taste": Ranker(low=-1, high=2),
            "fading": Ranker(discount=0.5, scope="both"),
            "own": Ranker(scope="user", discount=0.9),
            "diary": Diary(),
        }
        return plan_of(
            name=name,
            policies=options.pop("policies", policies),
            reward=RewardTable(
                kinds={"click": 1.0, "buy": 5.0, "skip": -2.0}, seen=options.pop("seen", -0.5)
            ),
            learning={"window_minutes": WINDOW_MINUTES, **options.pop("learning", {})},
            **options,
        )

    return made


@pytest.fixture(scope="session")
def random_entries() -> Callable[..., list[Entry]]:
    """Entries of a log of two domains and three users, with gaps from none to days; `time` tells when each came."""

    def made(seed: int, count: int, start: float = 1_700_000_000.0) -> list[Entry]:
        rng = np.random.default_rng(seed)
        time, slates, entries = start, [("none", "ann", "books")], []
        for number in range(count):
            time += float(rng.choice([0.0, 1.0, 30.0, 200.0, 200_000.0], p=[0.2, 0.4, 0.3, 0.08, 0.02]))
            kind = str(rng.choice(["slate", "interaction", "tick", "profile"], p=[0.35, 0.5, 0.1, 0.05]))
            user = str(rng.choice(["ann", "eve", "tom"]))
            domain = str(rng.choice(["books", "films"], p=[0.8, 0.2]))
            identity, body = f"{kind}{number}", b"{}"
            if kind == "slate":
                items = rng.choice(9, 3, replace=False).tolist()
                picks = [
                    Pick(f"i{item}", place, rng.normal(), rng.uniform(0.1, 1), {}, [])
                    for place, item in enumerate(items)
                ]
                memo = {
                    "diary": {"context": {"arm": number}, "items": {"x": [number, number + 1, number + 2]}}
                }
                body = Slate(identity, domain, user, time, picks, 3, number, "digest", memo=memo).to_bytes()
                slates.append((identity, user, domain))
            elif kind == "interaction":
                slate, shown_to, _ = slates[-int(rng.integers(1, min(len(slates), 4) + 1))]
                body = Interaction(
                    identity,
                    domain,
                    user if rng.random() < 0.2 else shown_to,
                    f"i{rng.integers(10)}",
                    str(rng.choice(["click", "buy", "skip", "wave"])),
                    time,
                    slate=None if rng.random() < 0.2 else slate,
                ).to_bytes()
                user = user if rng.random() < 0.2 else shown_to
            else:
                domain = user = ""
            entries.append(Entry(kind, identity, domain, user, body, time, number + 1))
        return entries

    return made
