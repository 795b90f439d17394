"""Slate estimators against a small slate world that is gone through slate by slate."""

from dataclasses import dataclass
from itertools import permutations

import numpy as np
import pytest
from numpy.typing import NDArray
from tastemaker.core.evaluation import (
    SLATE_ESTIMATORS,
    EvaluationError,
    LoggedSlates,
    Target,
    cascade_doubly_robust,
    difference,
    independent_ips,
    reward_interaction_ips,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

ITEMS, SIZE, CONTEXTS = 4, 3, 2
SLATES: Ints = np.array(list(permutations(range(ITEMS), SIZE)), dtype=np.intp)
CONTEXT = np.array([0.3, 0.7])


@dataclass(frozen=True)
class Policy:
    """Items one after the other without replacement, by strength (Plackett–Luce), shape (contexts, items)."""

    strength: Floats

    @property
    def steps(self) -> Floats:
        """The probability of each item of each slate given those above it, shape (contexts, slates, SIZE)."""
        chosen = self.strength[:, SLATES]
        left = self.strength.sum(axis=1)[:, None, None] - (np.cumsum(chosen, axis=2) - chosen)
        return np.asarray(chosen / left)

    @property
    def whole(self) -> Floats:
        """The probability of each slate, shape (contexts, slates)."""
        return np.asarray(self.steps.prod(axis=2))

    @property
    def places(self) -> Floats:
        """The probability of each item of each slate at its position, shape (contexts, slates, SIZE)."""
        at = np.zeros((CONTEXTS, SIZE, ITEMS))
        for place in range(SIZE):
            np.add.at(at[:, place], (slice(None), SLATES[:, place]), self.whole)
        return np.stack([at[:, place, SLATES[:, place]] for place in range(SIZE)], axis=2)

    def value(self, reward: Floats) -> float:
        return float(CONTEXT @ (self.whole * reward.sum(axis=2)).sum(axis=1))


RNG = np.random.default_rng(1)
LOGGING = Policy(RNG.uniform(0.5, 2, (CONTEXTS, ITEMS)))
TARGET = Policy(RNG.uniform(0.5, 2, (CONTEXTS, ITEMS)))
OWN = RNG.uniform(0, 1, (CONTEXTS, SIZE, ITEMS))
INDEPENDENT = np.stack([OWN[:, place, SLATES[:, place]] for place in range(SIZE)], axis=2)


def cascade() -> Floats:
    """Rewards that depend on the items above: an item is worth less the better they were."""
    above = np.cumsum(INDEPENDENT, axis=2) - INDEPENDENT
    return np.asarray(INDEPENDENT / (1 + 2 * above))


def upwards() -> Floats:
    """Rewards that depend on what stands below: no cascade."""
    return np.asarray(INDEPENDENT * (1 + INDEPENDENT[:, :, ::-1]))


def same_prefix(length: int) -> NDArray[np.bool_]:
    """Which slates begin with the same items, shape (slates, slates)."""
    return np.asarray((SLATES[:, None, :length] == SLATES[None, :, :length]).all(axis=2))


def model_of(q: Floats) -> Floats:
    """v: what the target makes of q at each position given the items above it, shape of q."""
    expected = np.zeros_like(q)
    for place in range(SIZE):
        # The slates with the same items above, weighted by the target's choice from this position on.
        onwards = TARGET.steps[:, :, place:].prod(axis=2)
        alike = same_prefix(place)
        expected[:, :, place] = np.einsum("st,ct,ct->cs", alike, onwards, q[:, :, place])
    return expected


def true_q(reward: Floats) -> Floats:
    """The target's expected reward from each position on, given the items down to it, shape of the rewards."""
    q = np.zeros_like(reward)
    for place in range(SIZE):
        onwards = TARGET.steps[:, :, place + 1 :].prod(axis=2)
        still = reward[:, :, place:].sum(axis=2)
        q[:, :, place] = np.einsum("st,ct,ct->cs", same_prefix(place + 1), onwards, still)
    return q


def arbitrary_q() -> Floats:
    """A model that is wrong, but the same for the same items down to a position."""
    weights = np.random.default_rng(2).uniform(0, 1, (CONTEXTS, SIZE, SIZE, ITEMS))
    q = np.zeros((CONTEXTS, len(SLATES), SIZE))
    for place in range(SIZE):
        for earlier in range(place + 1):
            q[:, :, place] += weights[:, place, earlier, SLATES[:, earlier]]
    return q


def flat(table: Floats) -> Floats:
    return table.reshape(CONTEXTS * len(SLATES), SIZE)


def expectation(
    name: str, reward: Floats, *, q: Floats | None = None, propensity: Floats | None = None
) -> float:
    """The mean of an estimator over every slate of the world, weighted by how probable the log makes it."""
    marginal = name == "independent_ips"
    logged = (LOGGING.places if marginal else LOGGING.steps) if propensity is None else propensity
    q = arbitrary_q() if q is None else q
    log = LoggedSlates(flat(reward), flat(logged), predicted=flat(q))
    target = Target(flat(TARGET.places if marginal else TARGET.steps), flat(model_of(q)))
    terms = SLATE_ESTIMATORS[name](log, target).numerator[:, 0]
    return float((CONTEXT[:, None] * LOGGING.whole).ravel() @ terms)


def test_the_world_adds_up() -> None:
    assert len(SLATES) == 24
    assert LOGGING.whole.sum(axis=1) == pytest.approx(1)
    assert abs(TARGET.value(cascade()) - LOGGING.value(cascade())) > 0.02
    # The model's mean over the first position is the value itself.
    first = model_of(true_q(cascade()))[:, :, 0]
    assert CONTEXT @ first[:, 0] == pytest.approx(TARGET.value(cascade()))


@pytest.mark.parametrize("name", SLATE_ESTIMATORS)
def test_all_are_unbiased_where_positions_are_independent(name: str) -> None:
    assert expectation(name, INDEPENDENT) == pytest.approx(TARGET.value(INDEPENDENT), rel=1e-12)


@pytest.mark.parametrize("name", ["reward_interaction_ips", "cascade_doubly_robust"])
def test_cascade_estimators_are_unbiased_in_a_cascade(name: str) -> None:
    assert expectation(name, cascade()) == pytest.approx(TARGET.value(cascade()), rel=1e-12)


@pytest.mark.parametrize(
    ("name", "reward"), [("independent_ips", cascade()), ("reward_interaction_ips", upwards())]
)
def test_and_biased_where_people_read_otherwise(name: str, reward: Floats) -> None:
    assert abs(expectation(name, reward) - TARGET.value(reward)) > 1e-3


def test_cascade_doubly_robust_is_right_where_the_model_is() -> None:
    wrong = np.full_like(LOGGING.steps, 0.4)
    reward = cascade()
    assert expectation("cascade_doubly_robust", reward, q=true_q(reward), propensity=wrong) == pytest.approx(
        TARGET.value(reward), rel=1e-12
    )
    assert abs(expectation("reward_interaction_ips", reward, propensity=wrong) - TARGET.value(reward)) > 0.05


def drawn(rng: np.random.Generator, rows: int) -> tuple[Ints, Ints]:
    """Contexts and slates (as rows of SLATES) that the logging policy chose."""
    context = rng.choice(CONTEXTS, p=CONTEXT, size=rows)
    below = LOGGING.whole.cumsum(axis=1)[context] < rng.random((rows, 1))
    return context, np.minimum(below.sum(axis=1), len(SLATES) - 1)


def test_intervals_cover_the_value() -> None:
    rng = np.random.default_rng(3)
    reward, q = cascade(), true_q(cascade())
    v, value = model_of(q), TARGET.value(reward)
    held: dict[str, list[bool]] = {"reward_interaction_ips": [], "cascade_doubly_robust": []}
    widths: dict[str, list[float]] = {name: [] for name in held}
    for _ in range(1_000):
        at = drawn(rng, 1_000)
        clicks = (rng.random((1_000, SIZE)) < reward[at]).astype(np.float64)
        log = LoggedSlates(clicks, LOGGING.steps[at], predicted=q[at])
        target = Target(TARGET.steps[at], v[at])
        for name in held:
            found = SLATE_ESTIMATORS[name](log, target).interval()
            held[name].append(found.low <= value <= found.high)
            widths[name].append(found.high - found.low)
    for name, covered in held.items():
        assert 0.93 <= np.mean(covered) <= 0.97, name
    assert np.mean(widths["cascade_doubly_robust"]) < 0.95 * np.mean(widths["reward_interaction_ips"])


# Weights 2 and 0.5 in the first slate, 1 and 3 in the second.
LOG = LoggedSlates(
    np.array([[1.0, 2.0], [0.0, 1.0]]),
    np.array([[0.25, 0.5], [0.5, 0.25]]),
    predicted=np.array([[1.0, 0.5], [0.25, 0.75]]),
)
ASKED = Target(np.array([[0.5, 0.25], [0.5, 0.75]]), np.array([[2.0, 1.0], [0.5, 0.25]]))


def test_two_slates_by_hand() -> None:
    assert independent_ips(LOG, ASKED).value == (2 * 1 + 0.5 * 2 + 0 + 3 * 1) / 2
    assert reward_interaction_ips(LOG, ASKED).value == (2 * 1 + 1 * 2 + 0 + 3 * 1) / 2
    first = 2 * (1 - 1) + 2 + 1 * (2 - 0.5) + 2 * 1
    second = 1 * (0 - 0.25) + 0.5 + 3 * (1 - 0.75) + 1 * 0.25
    assert cascade_doubly_robust(LOG, ASKED).value == (first + second) / 2


def test_overlap_is_that_of_the_worst_position() -> None:
    overlap = reward_interaction_ips(LOG, ASKED).overlap
    assert overlap.rows == 2
    assert overlap.effective_sample_size == pytest.approx((1 + 3) ** 2 / (1 + 9))
    assert overlap.max_weight == 3
    assert overlap.largest_share == 0.75


def test_a_slate_filled_up_is_a_shorter_slate() -> None:
    filled = LoggedSlates(np.c_[LOG.reward, np.zeros(2)], np.c_[LOG.propensity, np.ones(2)])
    target = Target(np.c_[ASKED.probability, np.ones(2)])
    for estimator in (independent_ips, reward_interaction_ips):
        assert estimator(filled, target).value == estimator(LOG, ASKED).value


def test_slates_in_groups_and_in_pairs() -> None:
    rng = np.random.default_rng(4)
    at = drawn(rng, 2_000)
    clicks = (rng.random((2_000, SIZE)) < cascade()[at]).astype(np.float64)
    again = np.arange(2_000).repeat(3)
    once = LoggedSlates(clicks, LOGGING.steps[at])
    thrice = LoggedSlates(clicks[again], LOGGING.steps[at][again], groups=again)
    alone, grouped = (
        difference(
            reward_interaction_ips(log, Target(asked)), reward_interaction_ips(log, Target(log.propensity))
        )
        for log, asked in ((once, TARGET.steps[at]), (thrice, TARGET.steps[at][again]))
    )
    assert grouped.interval().low == pytest.approx(alone.interval().low)
    gain = TARGET.value(cascade()) - LOGGING.value(cascade())
    assert abs(alone.value - gain) < 4 * alone.standard_error


def test_slates_need_positions() -> None:
    with pytest.raises(EvaluationError, match="shape \\(slates, positions\\)"):
        LoggedSlates(np.ones(3), np.ones(3))
    with pytest.raises(EvaluationError, match="propensity is 0 in row 1, position 0: it must be above 0"):
        LoggedSlates(np.ones((2, 2)), np.array([[0.5, 0.5], [0.0, 0.5]]))
    with pytest.raises(EvaluationError, match="they must be the same"):
        independent_ips(LOG, Target(np.ones((2, 3))))
