"""Estimators of a policy's value: by hand, in expectation, and how often their intervals cover the truth."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import pytest
from numpy.typing import NDArray
from tastemaker.core.evaluation import (
    ESTIMATORS,
    Estimate,
    EvaluationError,
    Interval,
    LoggedBandit,
    Target,
    clipped_ips,
    difference,
    direct_method,
    doubly_robust,
    ips,
    optimistic_shrinkage,
    replay,
    self_normalised_doubly_robust,
    snips,
    switch_doubly_robust,
)

Floats = NDArray[np.float64]
Estimator = Callable[[LoggedBandit, Target], Estimate]

# Weights 2, 0.5, 1 and 0.
LOG = LoggedBandit(
    action=np.array([0, 1, 2, 0]),
    reward=np.array([1.0, 0.0, 1.0, 1.0]),
    propensity=np.array([0.25, 0.5, 0.5, 0.5]),
    predicted=np.array([0.5, 0.2, 0.4, 0.3]),
)
TARGET = Target(np.array([0.5, 0.25, 0.5, 0.0]), np.array([0.6, 0.3, 0.5, 0.4]))
ROBUST = (doubly_robust, self_normalised_doubly_robust)


@dataclass(frozen=True)
class World:
    """A bandit with a few contexts: all arrays but `context` have the shape (contexts, actions)."""

    context: Floats
    reward: Floats
    logging: Floats
    target: Floats
    model: Floats

    @classmethod
    def of(cls, seed: int, contexts: int = 5, actions: int = 4) -> "World":
        """Probabilities of rewards of 1, two policies that are far apart, and a model that is wrong."""
        rng = np.random.default_rng(seed)
        shape = contexts, actions
        return cls(
            context=rng.dirichlet(np.full(contexts, 5.0)),
            reward=rng.uniform(0.1, 0.9, shape),
            logging=0.6 * rng.dirichlet(np.full(actions, 3.0), contexts) + 0.4 / actions,
            target=rng.dirichlet(np.full(actions, 3.0), contexts),
            model=rng.uniform(0.1, 0.9, shape),
        )

    def value(self, policy: Floats) -> float:
        """What a policy earns."""
        return float(self.context @ (policy * self.reward).sum(axis=1))

    def draw(
        self, rng: np.random.Generator, *shape: int
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
        """Contexts, logged actions and rewards of 0 and 1, each of the given shape."""
        context = rng.choice(len(self.context), p=self.context, size=shape)
        below = self.logging.cumsum(axis=1)[context] < rng.random((*shape, 1))
        action = np.minimum(below.sum(axis=-1), self.logging.shape[1] - 1)
        return context, action, (rng.random(shape) < self.reward[context, action]).astype(np.float64)

    def log(
        self,
        context: NDArray[np.intp],
        action: NDArray[np.intp],
        reward: Floats,
        *,
        model: Floats | None = None,
        propensity: Floats | None = None,
    ) -> LoggedBandit:
        """The log, with the world's own model and propensities unless others are given."""
        return LoggedBandit(
            action,
            reward,
            (self.logging if propensity is None else propensity)[context, action],
            predicted=(self.model if model is None else model)[context, action],
        )

    def asked(
        self,
        context: NDArray[np.intp],
        action: NDArray[np.intp],
        *,
        policy: Floats | None = None,
        model: Floats | None = None,
    ) -> Target:
        """The world's target, or another policy, as a log asks about it."""
        policy = self.target if policy is None else policy
        model = self.model if model is None else model
        return Target(policy[context, action], (policy * model).sum(axis=1)[context])


@pytest.mark.parametrize(
    ("estimator", "value"),
    [
        (ips, (2 + 0 + 1 + 0) / 4),
        (snips, (2 + 0 + 1 + 0) / 3.5),
        (partial(clipped_ips, limit=1), (1 + 0 + 1 + 0) / 4),
        (direct_method, 1.8 / 4),
        (doubly_robust, (1.8 + 1.0 - 0.1 + 0.6) / 4),
        (self_normalised_doubly_robust, 1.8 / 4 + (1.0 - 0.1 + 0.6) / 3.5),
        (partial(switch_doubly_robust, threshold=1), (1.8 - 0.1 + 0.6) / 4),
        (partial(optimistic_shrinkage, shrinkage=1), (1.8 + 0.4 * 0.5 - 0.4 * 0.2 + 0.5 * 0.6) / 4),
    ],
)
def test_four_rows_by_hand(estimator: Estimator, value: float) -> None:
    assert estimator(LOG, TARGET).value == pytest.approx(value, rel=1e-12)


def test_limits_grow_with_the_log() -> None:
    assert clipped_ips(LOG, TARGET).value == clipped_ips(LOG, TARGET, limit=2).value
    assert optimistic_shrinkage(LOG, TARGET).value == optimistic_shrinkage(LOG, TARGET, shrinkage=4).value
    heavy = Target(np.array([0.75, 0.25, 0.5, 0.0]), TARGET.expected)  # the first weight is 3
    assert clipped_ips(LOG, heavy).value == clipped_ips(LOG, TARGET).value
    assert switch_doubly_robust(LOG, heavy).value == pytest.approx((1.8 - 0.1 + 0.6) / 4)


def test_replay_takes_the_rows_where_the_choice_is_the_logged_one() -> None:
    log = LoggedBandit(np.arange(4), np.array([1.0, 0.0, 0.0, 1.0]), np.full(4, 0.25))
    assert replay(log, Target(np.array([1.0, 0.0, 1.0, 0.0]))).value == 0.5
    assert replay(log, Target(np.array([1.0, 0.0, 0.0, 1.0]))).value == 1.0
    with pytest.raises(EvaluationError, match="replay needs choices"):
        replay(log, Target(np.full(4, 0.5)))
    with pytest.raises(EvaluationError, match="chosen uniformly"):
        replay(LOG, Target(np.array([1.0, 0.0, 1.0, 0.0])))


@pytest.mark.parametrize(
    "name", [name for name in ESTIMATORS if "robust" in name or "shrink" in name or "direct" in name]
)
def test_model_based_estimators_ask_for_the_model(name: str) -> None:
    bare = LoggedBandit(LOG.action, LOG.reward, LOG.propensity)
    with pytest.raises(EvaluationError, match="give the log its `predicted`"):
        ESTIMATORS[name](bare, TARGET)
    with pytest.raises(EvaluationError, match="give the target its `expected`"):
        ESTIMATORS[name](LOG, Target(TARGET.probability))


@pytest.mark.parametrize("limit", [-1.0, float("nan")])
def test_limits_below_zero_are_refused(limit: float) -> None:
    for estimate in (
        partial(clipped_ips, limit=limit),
        partial(switch_doubly_robust, threshold=limit),
        partial(optimistic_shrinkage, shrinkage=limit),
    ):
        with pytest.raises(EvaluationError, match="must be 0 or more"):
            estimate(LOG, TARGET)


class TestExpectation:
    """Over every context and action of a world, weighted by how probable the log makes them."""

    @staticmethod
    def expected(world: World, estimator: Estimator, *, model: Floats, propensity: Floats) -> float:
        context, action = (grid.ravel() for grid in np.indices(world.logging.shape))
        # Every one of these estimators is linear in the reward, so its mean does for it.
        log = world.log(context, action, world.reward.ravel(), model=model, propensity=propensity)
        terms = estimator(log, world.asked(context, action, model=model)).numerator[:, 0]
        return float((world.context[:, None] * world.logging).ravel() @ terms)

    @pytest.mark.parametrize("seed", range(3))
    @pytest.mark.parametrize("estimator", [ips, doubly_robust])
    def test_is_the_value_where_the_propensities_are_right(self, estimator: Estimator, seed: int) -> None:
        world = World.of(seed)
        found = self.expected(world, estimator, model=world.model, propensity=world.logging)
        assert found == pytest.approx(world.value(world.target), rel=1e-12)

    @pytest.mark.parametrize("seed", range(3))
    def test_is_the_value_where_the_model_is_right(self, seed: int) -> None:
        world = World.of(seed)
        wrong = np.roll(world.logging, 1, axis=1)
        value = world.value(world.target)
        for estimator in (doubly_robust, direct_method, switch_doubly_robust, optimistic_shrinkage):
            assert self.expected(world, estimator, model=world.reward, propensity=wrong) == pytest.approx(
                value
            )
        assert abs(self.expected(world, ips, model=world.reward, propensity=wrong) - value) > 0.005

    def test_is_neither_where_both_are_wrong(self) -> None:
        world = World.of(0)
        wrong = np.roll(world.logging, 1, axis=1)
        found = self.expected(world, doubly_robust, model=world.model, propensity=wrong)
        assert abs(found - world.value(world.target)) > 0.005

    def test_clipped_ips_is_too_low_by_what_is_cut_off(self) -> None:
        world = World.of(0)
        limit = 1.0
        found = self.expected(
            world, partial(clipped_ips, limit=limit), model=world.model, propensity=world.logging
        )
        cut = np.maximum(world.target - limit * world.logging, 0)
        lost = float(world.context @ (cut * world.reward).sum(axis=1))
        assert lost > 0.05
        assert found == pytest.approx(world.value(world.target) - lost)


class TestConsistency:
    """On a long log, a doubly robust estimate is right where either the model or the propensities are."""

    ROWS = 200_000

    @pytest.mark.parametrize("estimator", ROBUST)
    def test_with_a_wrong_model(self, estimator: Estimator) -> None:
        world = World.of(1)
        context, action, reward = world.draw(np.random.default_rng(1), self.ROWS)
        estimate = estimator(world.log(context, action, reward), world.asked(context, action))
        value = world.value(world.target)
        assert abs(estimate.value - value) < 4 * estimate.standard_error
        assert estimate.standard_error < 0.005
        model_alone = direct_method(world.log(context, action, reward), world.asked(context, action))
        assert abs(model_alone.value - value) > 10 * estimate.standard_error

    @pytest.mark.parametrize("estimator", ROBUST)
    def test_with_wrong_propensities(self, estimator: Estimator) -> None:
        world = World.of(1)
        wrong = np.roll(world.logging, 1, axis=1)
        context, action, reward = world.draw(np.random.default_rng(2), self.ROWS)
        log = world.log(context, action, reward, model=world.reward, propensity=wrong)
        target = world.asked(context, action, model=world.reward)
        estimate = estimator(log, target)
        assert abs(estimate.value - world.value(world.target)) < 4 * estimate.standard_error
        assert abs(ips(log, target).value - world.value(world.target)) > 10 * estimate.standard_error


class TestCoverage:
    """Of the 95 % intervals of 1,000 logs, 93 to 97 % hold the true value."""

    LOGS = 1_000

    @staticmethod
    @cache
    def logs(rows: int) -> tuple[World, list[tuple[LoggedBandit, Target, Target]]]:
        world = World.of(2)
        drawn = world.draw(np.random.default_rng(3), TestCoverage.LOGS, rows)
        return world, [
            (
                world.log(context, action, reward),
                world.asked(context, action),
                world.asked(context, action, policy=world.logging),
            )
            for context, action, reward in zip(*drawn, strict=True)
        ]

    @staticmethod
    def covered(intervals: list[Interval], value: float) -> float:
        return float(np.mean([found.low <= value <= found.high for found in intervals]))

    @staticmethod
    def admitted(estimates: list[Estimate]) -> list[Estimate]:
        """Those without refusals: all but one log in 500, where chance makes the mean weight look wrong."""
        found = [estimate for estimate in estimates if not estimate.refusals]
        assert len(found) >= 0.998 * len(estimates)
        return found

    @pytest.mark.parametrize("name", [name for name in ESTIMATORS if name not in ("direct_method", "replay")])
    def test_of_normal_intervals(self, name: str) -> None:
        world, logs = self.logs(1_000)
        estimates = self.admitted([ESTIMATORS[name](log, target) for log, target, _ in logs])
        intervals = [estimate.interval() for estimate in estimates]
        assert 0.93 <= self.covered(intervals, world.value(world.target)) <= 0.97
        assert np.mean([found.high - found.low for found in intervals]) < 0.1

    @pytest.mark.parametrize("estimator", [ips, snips])
    def test_of_bootstrap_intervals(self, estimator: Estimator) -> None:
        world, logs = self.logs(500)
        rng = np.random.default_rng(4)
        estimates = self.admitted([estimator(log, target) for log, target, _ in logs])
        intervals = [estimate.bootstrap(rng, draws=200) for estimate in estimates]
        assert 0.93 <= self.covered(intervals, world.value(world.target)) <= 0.97

    @pytest.mark.parametrize("estimator", [snips, doubly_robust])
    def test_of_differences(self, estimator: Estimator) -> None:
        world, logs = self.logs(1_000)
        gains = self.admitted([difference(estimator(log, a), estimator(log, b)) for log, a, b in logs])
        gain = world.value(world.target) - world.value(world.logging)
        assert 0.93 <= self.covered([found.interval() for found in gains], gain) <= 0.97

    def test_of_replay(self) -> None:
        world = World.of(2)
        uniform = World(
            world.context, world.reward, np.full_like(world.logging, 0.25), world.target, world.model
        )
        best = np.eye(4)[world.reward.argmax(axis=1)]
        drawn = uniform.draw(np.random.default_rng(5), self.LOGS, 1_000)
        held = []
        for context, action, reward in zip(*drawn, strict=True):
            found = replay(uniform.log(context, action, reward), Target(best[context, action])).interval()
            held.append(found.low <= world.value(best) <= found.high)
        assert 0.93 <= np.mean(held) <= 0.97

    def test_of_groups_of_rows_that_depend_on_each_other(self) -> None:
        rng = np.random.default_rng(6)
        groups, each = 200, 5
        held, narrow = [], []
        for _ in range(self.LOGS):
            liking = rng.uniform(0, 1, groups).repeat(each)
            weight = rng.choice([0.5, 1.5], groups * each)
            reward = (rng.random(groups * each) < liking).astype(np.float64)
            columns = np.zeros(groups * each), reward, np.full(groups * each, 0.5)
            target = Target(weight * 0.5)
            grouped = snips(LoggedBandit(*columns, groups=np.arange(groups).repeat(each)), target).interval()
            alone = snips(LoggedBandit(*columns), target).interval()
            held.append(grouped.low <= 0.5 <= grouped.high)
            narrow.append(alone.low <= 0.5 <= alone.high)
        assert 0.93 <= np.mean(held) <= 0.97
        assert np.mean(narrow) < 0.92
