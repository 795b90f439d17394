"""An interval is refused where none can be honest, with the reason; and given where one can."""

import numpy as np
import pytest
from numpy.typing import NDArray
from tastemaker.core.evaluation import (
    Estimate,
    EvaluationRefused,
    LoggedBandit,
    Reason,
    Target,
    clipped_ips,
    difference,
    direct_method,
    doubly_robust,
    ips,
    snips,
)

Floats = NDArray[np.float64]
ROWS = 1_000


def rewards(rows: int = ROWS, rate: float = 0.5) -> Floats:
    """As many rewards of 1 as the rate says, spread evenly."""
    return np.asarray(np.diff(np.floor(np.arange(rows + 1) * rate + 1e-9)))


def weighted(
    weight: Floats, reward: Floats | None = None, groups: NDArray[np.intp] | None = None
) -> tuple[LoggedBandit, Target]:
    """A log with given importance weights."""
    propensity = np.full(len(weight), 1 / (weight.max() + 1))
    log = LoggedBandit(
        np.zeros(len(weight), dtype=np.intp),
        rewards(len(weight)) if reward is None else reward,
        propensity,
        predicted=np.full(len(weight), 0.5),
        groups=groups,
    )
    return log, Target(weight * propensity, np.linspace(0.4, 0.6, len(weight)))


def reasons(estimate: Estimate) -> set[Reason]:
    return {refusal.reason for refusal in estimate.refusals}


def share_of_one(share: float) -> Floats:
    """Weights of mean 1, one row with this share of them all."""
    weight = np.full(ROWS, (1 - share) * ROWS / (ROWS - 1))
    weight[0] = share * ROWS
    return weight


def of_effective(rows: float) -> Floats:
    """Weights of mean 1 in equal parts of 0 and more, that count as so many rows."""
    weight = np.zeros(ROWS)
    weight[: int(rows)] = ROWS / int(rows)
    return weight


def test_good_overlap_is_admitted() -> None:
    weight = np.tile([0.5, 1.5], ROWS // 2)
    for estimator in (ips, snips, doubly_robust):
        estimate = estimator(*weighted(weight, np.repeat([0.0, 1.0], ROWS // 2)))
        assert estimate.refusals == ()
        found = estimate.interval()
        assert found.low < 0.5 < found.high


class TestEachReason:
    def test_few_effective_rows(self) -> None:
        assert reasons(snips(*weighted(of_effective(99)))) >= {Reason.FEW_EFFECTIVE_ROWS}
        assert Reason.FEW_EFFECTIVE_ROWS not in reasons(snips(*weighted(of_effective(101))))

    def test_one_weight_dominates(self) -> None:
        assert Reason.DOMINANT_WEIGHT in reasons(snips(*weighted(share_of_one(0.06))))
        assert Reason.DOMINANT_WEIGHT not in reasons(snips(*weighted(share_of_one(0.04))))

    def test_one_row_dominates_though_weights_are_even(self) -> None:
        assert reasons(ips(*weighted(np.ones(ROWS), rewards(rate=0.004)))) == {Reason.DOMINANT_ROW}
        assert reasons(ips(*weighted(np.ones(ROWS), rewards(rate=0.006)))) == set()
        heavy = rewards()
        heavy[0] = 100.0
        assert reasons(ips(*weighted(np.ones(ROWS), heavy))) == {Reason.DOMINANT_ROW}

    def test_missing_support(self) -> None:
        # The target spends 0.3 on an action that the log never shows.
        rng = np.random.default_rng(1)
        action = rng.choice(3, p=[0.5, 0.3, 0.2], size=ROWS)
        log = LoggedBandit(action, rng.random(ROWS), np.array([0.5, 0.3, 0.2])[action])
        estimate = ips(log, Target(np.array([0.3, 0.3, 0.1])[action]))
        assert reasons(estimate) == {Reason.MISSING_SUPPORT}
        assert estimate.overlap.missing_support == pytest.approx(0.3, abs=0.05)
        assert "about 3" in str(estimate.refusals[0])
        assert reasons(ips(log, Target(np.array([0.5, 0.3, 0.2])[action]))) == set()

    def test_wrong_propensities(self) -> None:
        rng = np.random.default_rng(2)
        action = rng.choice(3, p=[0.7, 0.2, 0.1], size=ROWS)
        log = LoggedBandit(action, rng.random(ROWS), np.full(ROWS, 1 / 3))
        estimate = snips(log, Target(np.array([0.6, 0.2, 0.2])[action]))
        assert reasons(estimate) == {Reason.WRONG_PROPENSITIES}
        assert estimate.overlap.missing_support == 0

    def test_a_little_off_is_no_matter_however_long_the_log(self) -> None:
        weight = np.tile([0.5, 1.47], 500_000)
        estimate = snips(*weighted(weight, np.repeat([0.0, 1.0], 500_000)))
        assert abs(estimate.overlap.mean_weight - 1) > 10 * estimate.overlap.mean_weight_error
        assert estimate.refusals == ()

    def test_mostly_not_from_the_log(self) -> None:
        log, target = weighted(np.tile([0.5, 1.5], ROWS // 2))
        estimate = direct_method(log, target)
        assert reasons(estimate) == {Reason.MODEL_ONLY}
        assert estimate.standard_error > 0
        assert estimate.overlap.replaced == 1
        clipped = clipped_ips(*weighted(np.tile([0.0, 2.0], ROWS // 2), rewards(rate=0.25)), limit=0.9)
        assert clipped.overlap.replaced == pytest.approx(0.55)
        assert reasons(clipped) == {Reason.MODEL_ONLY}
        assert reasons(clipped_ips(log, target, limit=1.1)) == set()

    def test_no_variation(self) -> None:
        for reward in (np.zeros(ROWS), np.full(ROWS, 0.3)):
            assert reasons(snips(*weighted(np.tile([0.5, 1.5], ROWS // 2), reward))) == {Reason.NO_VARIATION}

    def test_two_targets_that_the_log_cannot_tell_apart(self) -> None:
        log, target = weighted(np.tile([0.5, 1.5], ROWS // 2))
        assert reasons(difference(snips(log, target), snips(log, target))) == {Reason.NO_VARIATION}

    def test_few_groups(self) -> None:
        weight, reward = np.tile([0.5, 1.5], ROWS // 2), np.random.default_rng(3).random(ROWS)
        few, enough = (np.arange(ROWS) % count for count in (29, 30))
        assert Reason.FEW_GROUPS in reasons(ips(*weighted(weight, reward, few)))
        assert reasons(ips(*weighted(weight, reward, enough))) == set()


def test_a_target_that_never_does_what_was_logged() -> None:
    log, target = weighted(np.zeros(ROWS))
    assert ips(log, target).value == 0
    assert np.isnan(snips(log, target).value)
    for estimator in (ips, snips, doubly_robust):
        estimate = estimator(log, target)
        assert reasons(estimate) >= {Reason.FEW_EFFECTIVE_ROWS, Reason.MISSING_SUPPORT}
        assert estimate.overlap.missing_support == 1


def test_a_refusal_gives_every_reason_and_its_figures() -> None:
    estimate = snips(*weighted(of_effective(4)))
    for ask in (estimate.interval, lambda: estimate.bootstrap(np.random.default_rng(1))):
        with pytest.raises(EvaluationRefused) as caught:
            ask()
        message = str(caught.value)
        assert message.startswith("no honest interval for snips: few effective rows: 1000 rows count as 4.0")
        assert "one weight dominates: one row has 25% of all weight" in message
        assert all(str(refusal) in message for refusal in estimate.refusals)


def test_a_difference_is_refused_where_either_side_is() -> None:
    log, good = weighted(np.tile([0.5, 1.5], ROWS // 2))
    bad = Target(of_effective(50) / ROWS * 50 * log.propensity)
    for gain in (difference(ips(log, good), ips(log, bad)), difference(ips(log, bad), ips(log, good))):
        assert Reason.FEW_EFFECTIVE_ROWS in reasons(gain)


def test_a_difference_to_a_model_alone_is_refused() -> None:
    log, target = weighted(np.tile([0.5, 1.5], ROWS // 2))
    for gain in (
        difference(ips(log, target), direct_method(log, target)),
        difference(direct_method(log, target), ips(log, target)),
    ):
        assert reasons(gain) == {Reason.MODEL_ONLY}


def test_refusals_part_intervals_that_hold_from_those_that_do_not() -> None:
    # Weights with tails from none to far too heavy, rewards from rare to frequent.
    rng = np.random.default_rng(4)
    held: dict[bool, list[bool]] = {True: [], False: []}
    for tail in (0.0, 0.5, 1.0, 1.5, 2.0):
        for rate in (0.003, 0.03, 0.3):
            for rows in (200, 2_000):
                for _ in range(40):
                    weight = np.exp(tail * rng.standard_normal(rows) - tail**2 / 2)
                    estimate = snips(*weighted(weight, (rng.random(rows) < rate).astype(np.float64)))
                    reach = 1.96 * np.nan_to_num(estimate.standard_error)
                    held[not estimate.refusals].append(abs(estimate.value - rate) <= reach)
    admitted, refused = np.mean(held[True]), np.mean(held[False])
    assert min(len(held[True]), len(held[False])) > 300
    assert admitted > 0.92
    assert refused < 0.75


def test_the_mean_weight_of_rows_that_depend_is_known_less_well() -> None:
    rng = np.random.default_rng(2)
    weight = np.repeat(rng.uniform(0, 2, 200), 5)
    log, target = weighted(weight)
    dependent, same = weighted(weight, groups=np.repeat(np.arange(200), 5))
    alone, together = snips(log, target).overlap, snips(dependent, same).overlap
    assert together.mean_weight == alone.mean_weight
    # Five equal rows say as much as one.
    single, one = weighted(weight[::5])
    assert together.mean_weight_error == pytest.approx(
        snips(single, one).overlap.mean_weight_error, rel=1e-12
    )
    assert together.mean_weight_error == pytest.approx(np.sqrt(5) * alone.mean_weight_error, rel=0.01)


@pytest.mark.parametrize("count", [30, 40, 60, 200])
def test_people_who_differ_by_nothing_but_noise_are_seldom_refused(count: int) -> None:
    rng = np.random.default_rng(count)
    refused = 0
    for _ in range(400):
        log, target = weighted(np.ones(count), reward=rng.normal(size=count), groups=np.arange(count))
        reasons = {refusal.reason for refusal in snips(log, target).refusals}
        refused += Reason.DOMINANT_ROW in reasons
    assert refused <= 0.05 * 400
