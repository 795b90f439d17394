"""Feedback: what all users' outcomes say of each item. A fold over the log, as every policy's state."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arms import Arms
from .candidates import Candidates
from .outcomes import Outcomes


class Feedback:
    """Per item: how many outcomes there were, and the sum of their rewards.

    >>> feedback = Feedback()
    >>> feedback.outcomes, len(feedback.arms)
    (0, 0)
    """

    def __init__(self) -> None:
        self.arms = Arms()
        self.outcomes = 0
        self._count = np.zeros(16)
        self._reward = np.zeros(16)

    def learn(self, outcomes: Outcomes) -> None:
        """Take outcomes in, in log order."""
        self._reserve(len(self.arms) + len(outcomes) + 1)  # before readers can meet a new arm
        arms = self.arms.learned(outcomes.items)
        np.add.at(self._count, arms, outcomes.first)
        np.add.at(self._reward, arms, outcomes.reward)
        self.outcomes += int(outcomes.first.sum())

    def count(self, candidates: Candidates) -> NDArray[np.float64]:
        """How many outcomes each candidate had, shape (n,)."""
        return self._count[self.arms.of(candidates)]

    def reward(self, candidates: Candidates) -> NDArray[np.float64]:
        """The sum of each candidate's rewards, shape (n,)."""
        return self._reward[self.arms.of(candidates)]

    def state(self) -> dict[str, Any]:
        """All that was learned."""
        used = len(self.arms) + 1
        return {"ids": self.arms.ids, "count": self._count[:used], "reward": self._reward[:used]}

    def load(self, state: Mapping[str, Any]) -> None:
        """Become what `state` gave. Raises ValueError where it doesn't fit."""
        count, reward = np.array(state["count"], dtype=float), np.array(state["reward"], dtype=float)
        if not len(count) == len(reward) == len(state["ids"]) + 1:
            raise ValueError("feedback: ids, counts and rewards differ in length")
        self.arms = Arms(state["ids"])
        self._count, self._reward = count, reward
        self.outcomes = int(count.sum())

    def _reserve(self, length: int) -> None:
        if length > len(self._count):
            room = max(length, 2 * len(self._count))
            self._count = np.concatenate((self._count, np.zeros(room - len(self._count))))
            self._reward = np.concatenate((self._reward, np.zeros(room - len(self._reward))))
