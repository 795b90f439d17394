"""What a policy of places and moves notes, and logs of what came of it, by hand."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from tastemaker.core import Candidates, Catalog, CatalogSnapshot, Context, Feedback, ItemSchema, Outcomes
from tastemaker.policies.q_learning import Tuner

NOW = 1_700_000_000.0
MINUTE = 60.0
PLACE: Any = [{"situation": "place"}]
MOVES: Any = {"move": {"left": {"slate.diversity": 0.1}, "right": {"slate.diversity": 0.9}}}
NO_ITEMS = Catalog(ItemSchema({"title": "text"})).snapshot()


def context_of(
    catalog: CatalogSnapshot = NO_ITEMS,
    *,
    user: str = "ann",
    now: float = NOW,
    seed: int = 1,
    size: int = 4,
    profile: Mapping[str, Any] | None = None,
    situation: Mapping[str, Any] | None = None,
) -> Context:
    return Context(
        domain="shop", user=user, slate="s", now=now, size=size, draws=1, seed=seed, catalog=catalog,
        history=Candidates(catalog, np.empty(0, dtype=np.intp)), feedback=Feedback(),
        profile=profile or {}, situation=situation or {}, step="policies.tuner",
    )  # fmt: skip


def memo_of(policy: Tuner, place: str, move: str | None = None, **context: Any) -> dict[str, Any]:
    """What the policy notes when it decides in a place; with another move, as if it had chosen that."""
    asked = context_of(situation={"place": place}, **context)
    policy.tune(asked)
    if move is not None:
        asked.memo["action"] = {"move": move}
    logged: dict[str, Any] = json.loads(json.dumps(asked.memo))
    return logged


class Log:
    """Outcomes as the learner would give them, one line at a time."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def add(
        self,
        reward: float,
        memo: Mapping[str, Any],
        *,
        user: str = "ann",
        slate: str = "s",
        item: str = "i0",
        first: bool = True,
        time: float | None = None,
    ) -> "Log":
        when = memo.get("time", NOW) if time is None else time
        line = {"user": user, "slate": slate, "item": item, "reward": reward, "first": first}
        self.lines.append({**line, "time": when, "memo": memo})
        return self

    def outcomes(self, start: int = 0, stop: int | None = None) -> Outcomes:
        lines = self.lines[start:stop]
        reward = np.array([line["reward"] for line in lines], dtype=np.float64)
        return Outcomes(
            users=[line["user"] for line in lines],
            items=[line["item"] for line in lines],
            slates=[line["slate"] for line in lines],
            reward=reward,
            total=reward,
            first=np.array([line["first"] for line in lines], dtype=np.bool_),
            propensity=np.ones(len(lines)),
            position=np.zeros(len(lines), dtype=np.int32),
            time=np.array([line["time"] for line in lines], dtype=np.float64),
            situations=[{}] * len(lines),
            memos=[line["memo"] for line in lines],
        )


NOTHING_NEW: Mapping[str, Any] = {"time": NOW + 1e6}
"""The memo of an outcome that the policy has no part in, long after all others."""


def learned(policy: Tuner, log: Log) -> dict[str, dict[str, dict[str, float]]]:
    """The table once all episodes have ended."""
    policy.learn(log.outcomes())
    policy.learn(Log().add(1.0, NOTHING_NEW, user="bob", slate="").outcomes())
    return policy.table()
