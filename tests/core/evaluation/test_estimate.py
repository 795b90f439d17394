"""Errors, intervals and differences: against closed forms and by their laws."""

import numpy as np
import pytest
from tastemaker.core.evaluation import (
    Estimate,
    EvaluationError,
    LoggedBandit,
    Target,
    difference,
    doubly_robust,
    ips,
    self_normalised_doubly_robust,
    snips,
)

ROWS = 2_000


def drawn(seed: int = 1, rows: int = ROWS, *, groups: bool = False) -> tuple[LoggedBandit, Target]:
    rng = np.random.default_rng(seed)
    propensity = rng.uniform(0.2, 0.6, rows)
    log = LoggedBandit(
        action=rng.integers(0, 3, rows),
        reward=rng.normal(1, 1, rows),
        propensity=propensity,
        predicted=rng.normal(1, 0.5, rows),
        groups=rng.integers(0, rows // 4, rows) if groups else None,
    )
    return log, Target(propensity * rng.uniform(0.5, 1.5, rows), rng.normal(1, 0.5, rows))


class TestStandardError:
    def test_of_a_mean(self) -> None:
        log, target = drawn()
        terms = target.probability / log.propensity * log.reward
        assert ips(log, target).standard_error == pytest.approx(terms.std(ddof=1) / np.sqrt(ROWS))

    def test_of_a_ratio(self) -> None:
        log, target = drawn()
        weight = target.probability / log.propensity
        estimate = snips(log, target)
        errors = weight * (log.reward - estimate.value)
        closed = np.sqrt(np.square(errors).sum() * ROWS / (ROWS - 1)) / weight.sum()
        assert estimate.standard_error == pytest.approx(closed)

    @pytest.mark.parametrize("estimator", [snips, self_normalised_doubly_robust])
    def test_is_what_the_jackknife_says(self, estimator: object) -> None:
        log, target = drawn(rows=300)
        assert callable(estimator)
        assert target.expected is not None
        assert log.predicted is not None
        without = []
        for row in range(300):
            kept = np.arange(300) != row
            part = LoggedBandit(
                log.action[kept], log.reward[kept], log.propensity[kept], predicted=log.predicted[kept]
            )
            without.append(estimator(part, Target(target.probability[kept], target.expected[kept])).value)
        jackknife = np.sqrt(299 / 300 * np.square(without - np.mean(without)).sum())
        assert estimator(log, target).standard_error == pytest.approx(jackknife, rel=0.01)

    def test_of_rows_that_all_come_four_times_is_that_of_one_each(self) -> None:
        log, target = drawn(rows=500)
        again = np.arange(500).repeat(4)
        for estimator in (ips, snips):
            once = estimator(log, target)
            columns = log.action[again], log.reward[again], log.propensity[again]
            wide = Target(target.probability[again])
            grouped = estimator(LoggedBandit(*columns, groups=again), wide)
            assert grouped.value == pytest.approx(once.value)
            assert grouped.standard_error == pytest.approx(once.standard_error)
            assert estimator(LoggedBandit(*columns), wide).standard_error < 0.51 * once.standard_error

    def test_of_one_row_is_none(self) -> None:
        estimate = ips(LoggedBandit([0], [1.0], [0.5]), Target(np.array([0.5])))  # type: ignore[arg-type]
        assert np.isnan(estimate.standard_error)
        assert estimate.value == 1.0

    def test_influence_sums_to_nothing(self) -> None:
        for estimator in (ips, snips, self_normalised_doubly_robust):
            for groups in (False, True):
                influence = estimator(*drawn(groups=groups)).influence
                assert influence.mean() == pytest.approx(0, abs=1e-12)


class TestIntervals:
    def test_the_normal_one_is_value_and_errors(self) -> None:
        estimate = snips(*drawn())
        found = estimate.interval()
        assert (found.low + found.high) / 2 == pytest.approx(estimate.value)
        assert found.high - found.low == pytest.approx(2 * 1.959964 * estimate.standard_error, rel=1e-6)
        assert estimate.interval(0.9).low == pytest.approx(
            estimate.value - 1.644854 * estimate.standard_error
        )

    @pytest.mark.parametrize("estimator", [ips, snips, doubly_robust, self_normalised_doubly_robust])
    @pytest.mark.parametrize("groups", [False, True])
    def test_both_agree_on_a_long_log(self, estimator: object, groups: bool) -> None:
        assert callable(estimator)
        estimate: Estimate = estimator(*drawn(groups=groups))
        normal, bootstrap = estimate.interval(), estimate.bootstrap(np.random.default_rng(1))
        width = normal.high - normal.low
        assert bootstrap.low == pytest.approx(normal.low, abs=0.08 * width)
        assert bootstrap.high == pytest.approx(normal.high, abs=0.08 * width)

    def test_the_bootstrap_resamples_both_sides_of_a_ratio(self) -> None:
        log, target = drawn()
        moved = LoggedBandit(log.action, log.reward + 100, log.propensity)
        here = snips(log, target).bootstrap(np.random.default_rng(2))
        there = snips(moved, target).bootstrap(np.random.default_rng(2))
        assert there.low == pytest.approx(here.low + 100)
        assert there.high == pytest.approx(here.high + 100)

    def test_the_bootstrap_is_that_of_its_generator(self) -> None:
        estimate = snips(*drawn())
        first, again, other = (
            estimate.bootstrap(np.random.default_rng(seed), draws=300) for seed in (3, 3, 4)
        )
        assert first == again
        assert first != other

    @pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0, float("nan")])
    def test_confidence_lies_between_0_and_1(self, confidence: float) -> None:
        with pytest.raises(EvaluationError, match="confidence"):
            ips(*drawn()).interval(confidence)

    def test_a_bootstrap_needs_draws(self) -> None:
        with pytest.raises(EvaluationError, match="at least 100"):
            ips(*drawn()).bootstrap(np.random.default_rng(1), draws=99)


class TestDifference:
    def test_is_the_difference_of_the_values(self) -> None:
        log, target = drawn()
        other = Target(log.propensity, target.expected)
        for estimator in (ips, snips, self_normalised_doubly_robust):
            a, b = estimator(log, target), estimator(log, other)
            gain, loss = difference(a, b), difference(b, a)
            assert gain.value == pytest.approx(a.value - b.value)
            assert loss.value == pytest.approx(-gain.value)
            assert loss.standard_error == pytest.approx(gain.standard_error)

    def test_is_paired_row_by_row(self) -> None:
        log, target = drawn()
        nearly = Target(target.probability * np.linspace(0.99, 1.01, ROWS))
        a, b = ips(log, target), ips(log, nearly)
        gain = difference(a, b)
        terms = (target.probability - nearly.probability) / log.propensity * log.reward
        assert gain.standard_error == pytest.approx(terms.std(ddof=1) / np.sqrt(ROWS))
        assert gain.standard_error < 0.05 * a.standard_error

    def test_its_bootstrap_is_paired_too(self) -> None:
        log, target = drawn()
        gain = difference(snips(log, target), snips(log, Target(log.propensity)))
        normal, bootstrap = gain.interval(), gain.bootstrap(np.random.default_rng(5))
        width = normal.high - normal.low
        assert bootstrap.low == pytest.approx(normal.low, abs=0.08 * width)
        assert bootstrap.high == pytest.approx(normal.high, abs=0.08 * width)

    def test_its_overlap_is_the_worse_of_both(self) -> None:
        log, target = drawn()
        a, b = ips(log, target), ips(log, Target(log.propensity))
        assert b.overlap.effective_sample_size == pytest.approx(ROWS)
        for gain in (difference(a, b), difference(b, a)):
            assert gain.overlap.effective_sample_size == pytest.approx(a.overlap.effective_sample_size)
            assert gain.overlap.max_weight == a.overlap.max_weight
            assert gain.overlap.mean_weight == pytest.approx(a.overlap.mean_weight)

    def test_needs_one_log(self) -> None:
        (log, target), (other, another) = drawn(1), drawn(1)
        with pytest.raises(EvaluationError, match="same log"):
            difference(ips(log, target), ips(other, another))

    def test_may_mix_estimators(self) -> None:
        log, target = drawn()
        mixed = difference(snips(log, target), ips(log, Target(log.propensity)))
        assert mixed.value == pytest.approx(snips(log, target).value - log.reward.mean())
        assert mixed.estimator == "the difference by snips and ips"
