"""What people do with a slate, in the kinds of interaction that the domain's reward map knows.

1. The item at position p (from 0) is looked at with probability (1 + p)^-patience. What is not looked at gets no
   answer.
2. Of an item that is looked at, the person feels utility + e, with e from the standard logistic distribution,
   drawn once for each person, item and round. Above a threshold that is a positive answer, so that its
   probability is 1 / (1 + exp(threshold - utility)); below another it is a negative one.
3. The kinds with a fixed positive reward are steps of a ladder, by reward. Each step has a threshold of its own:
   who feels more goes further, and does all the steps below it, too.
   Of the kinds with a fixed negative reward only the step that was reached is done.
4. Some of those who answer also rate, or stay a while, where the reward map has such kinds.

Thresholds are set so that of items taken at random from the catalogue, `positive` of those looked at are answered,
`negative` of them badly, and each step of the ladder is taken by `further` of those who took the one before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit

from ..catalog.catalog import CatalogSnapshot
from ..components import Reward
from ..errors import RequestError
from ..rewards import PerUnit, RewardTable
from .noise import logistic, uniform
from .people import People

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

_FELT, _LOOKS, _RATES, _STAYS = 2, 3, 4, 5
"""Streams of random numbers."""
_CALIBRATED_ON = 100
"""People by whom the thresholds are set."""


@dataclass(frozen=True)
class Habits:
    """How people answer; the module says what each means.

    rates, stays: share of the answers that come with a rating, and of the positive ones with a dwell.
    """

    patience: float = 0.5
    positive: float = 0.1
    negative: float = 0.03
    further: float = 0.3
    rates: float = 0.1
    stays: float = 0.2


@dataclass(frozen=True)
class Answer:
    """One thing a person does with one item of a slate."""

    position: int
    kind: str
    value: float | None
    reward: float


@dataclass(frozen=True)
class Step:
    """One kind of a ladder. value: None where the kind needs none."""

    kind: str
    reward: float
    value: float | None = None


class Kinds:
    """The kinds of a reward map, as people use them.

    liking: the ladder, weakest first. disliking: mildest first.
    Raises RequestError where the map has nothing that people could like to do.
    """

    def __init__(self, domain: str, reward: Reward) -> None:
        table = reward.kinds if isinstance(reward, RewardTable) else {}
        fixed = [Step(kind, rule) for kind, rule in table.items() if isinstance(rule, float)]
        self.ratings = {
            kind: _ordered(rule) for kind, rule in table.items() if isinstance(rule, dict) and rule
        }
        self.stays = {kind: rule for kind, rule in table.items() if isinstance(rule, PerUnit)}
        liking = [step for step in fixed if step.reward > 0]
        disliking = [step for step in fixed if step.reward < 0]
        if not liking:
            rated = [
                Step(kind, reward, value) for kind, steps in self.ratings.items() for value, reward in steps
            ]
            liking = [step for step in rated if step.reward > 0]
            disliking = disliking or [step for step in rated if step.reward < 0]
            self.ratings = {}
        if not liking:
            raise RequestError(
                f"domain {domain!r} has no kind of interaction with a fixed positive reward, so people can't say "
                "that they like something: give it one in `rewards`, such as {click: 1}"
            )
        self.liking = _ladder(liking)
        self.disliking = _ladder(disliking)
        # A whole dwell is worth as much as the weakest answer.
        whole = self.liking[0].reward
        self.wholes = {kind: whole / rule.per_unit for kind, rule in self.stays.items() if rule.per_unit > 0}


class Answers:
    """How a crowd answers slates."""

    def __init__(
        self, people: People, catalog: CatalogSnapshot, kinds: Kinds, habits: Habits | None = None
    ) -> None:
        self.kinds = kinds
        self.habits = habits = habits or Habits()
        self._people = people
        some = range(min(len(people), _CALIBRATED_ON))
        felt = np.stack([people.utility(person, catalog, people.reference) for person in some])
        steps = range(len(kinds.liking))
        self.thresholds = np.array(
            [threshold(felt, habits.positive * habits.further**step) for step in steps]
        )
        self.aversions = np.array(
            [
                -threshold(-felt, habits.negative * habits.further**step)
                for step in range(len(kinds.disliking))
            ]
        )
        self._sorted = np.sort(felt[:, :200], axis=None)

    def __call__(self, person: int, turn: int, catalog: CatalogSnapshot, rows: Rows) -> list[Answer]:
        """What a person does with the items of a slate, in its order.

        turn: the round, from 0.
        """
        people, habits, kinds = self._people, self.habits, self.kinds
        utility = people.utility(person, catalog, rows)
        keys = people.keys(rows)
        seed = people.seed
        felt = utility + logistic(seed, _FELT, person, turn, keys)
        looks = uniform(seed, _LOOKS, person, turn, np.arange(len(rows))) < looked_at(
            len(rows), habits.patience
        )
        liked = (felt[:, None] > self.thresholds).sum(axis=1) * looks
        disliked = (felt[:, None] < self.aversions).sum(axis=1) * looks
        answers: list[Answer] = []
        for position in np.flatnonzero(liked + disliked).tolist():
            steps = kinds.liking[: liked[position]]
            if disliked[position]:
                steps = kinds.disliking[disliked[position] - 1 : disliked[position]]
            answers += [Answer(position, step.kind, step.value, step.reward) for step in steps]
            key = int(keys[position])
            if kinds.ratings and uniform(seed, _RATES, person, turn, key) < habits.rates:
                answers += [self._rating(kind, position, float(felt[position])) for kind in kinds.ratings]
            if liked[position]:
                answers += self._stay(person, turn, position, key, float(felt[position]))
        return answers

    def worth(self, person: int, catalog: CatalogSnapshot, rows: Rows) -> float:
        """The reward of a person's answers to a slate, on average over all that they could be.

        Ratings and dwells, which come on top of other answers, are not counted, nor is the reward of silence.
        """
        utility = self._people.utility(person, catalog, rows)[:, None]
        worth = expit(utility - self.thresholds) @ np.array([step.reward for step in self.kinds.liking])
        # Of the steps of disliking only the last is taken: each adds what it is worse than the one before.
        disliking = np.diff([0.0, *(step.reward for step in self.kinds.disliking)])
        worth = worth + expit(self.aversions - utility) @ disliking
        return float(looked_at(len(rows), self.habits.patience) @ worth)

    def _rating(self, kind: str, position: int, felt: float) -> Answer:
        """The better an item is felt to be beside the others of the catalogue, the higher."""
        steps = self.kinds.ratings[kind]
        rank = float(np.searchsorted(self._sorted, felt)) / (len(self._sorted) + 1)
        value, reward = steps[int(rank * len(steps))]
        return Answer(position, kind, value, reward)

    def _stay(self, person: int, turn: int, position: int, key: int, felt: float) -> list[Answer]:
        stays = []
        for number, (kind, whole) in enumerate(self.kinds.wholes.items()):
            if uniform(self._people.seed, _STAYS, person, turn, key, number) < self.habits.stays:
                value = round(whole * float(expit(felt - self.thresholds[0])), 2)
                stays.append(Answer(position, kind, value, self.kinds.stays[kind].of(value)))
        return stays


def looked_at(length: int, patience: float) -> Floats:
    """The probability that each position of a slate is looked at, shape (length,).

    >>> looked_at(4, 0.5).round(2).tolist()
    [1.0, 0.71, 0.58, 0.5]
    """
    return np.asarray((1.0 + np.arange(length)) ** -patience, dtype=np.float64)


def threshold(utilities: Floats, share: float) -> float:
    """The threshold above which utility + logistic noise comes with probability `share`, on average."""
    low, high = float(utilities.min()) - 40, float(utilities.max()) + 40
    return float(brentq(lambda edge: float(expit(utilities - edge).mean()) - share, low, high, xtol=1e-9))


def _ladder(steps: Sequence[Step]) -> list[Step]:
    """By the size of the reward, the first kind of each."""
    by_size: dict[float, Step] = {}
    for step in steps:
        by_size.setdefault(abs(step.reward), step)
    return [by_size[size] for size in sorted(by_size)]


def _ordered(rule: Mapping[float, float]) -> list[tuple[float, float]]:
    """Pairs of value and reward, the worst first."""
    return sorted(rule.items(), key=lambda pair: (pair[1], pair[0]))
