"""What holds for estimates of any log."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from tastemaker.core.evaluation import (
    ESTIMATORS,
    LoggedBandit,
    LoggedSlates,
    Reason,
    Target,
    cascade_doubly_robust,
    clipped_ips,
    difference,
    direct_method,
    doubly_robust,
    independent_ips,
    ips,
    optimistic_shrinkage,
    reward_interaction_ips,
    self_normalised_doubly_robust,
    snips,
    switch_doubly_robust,
)

Floats = NDArray[np.float64]
FIXED = settings(max_examples=40, derandomize=True, deadline=None)


@dataclass
class Case:
    """A log and a target, in columns."""

    reward: Floats
    propensity: Floats
    probability: Floats
    predicted: Floats
    expected: Floats

    def log(self, rows: NDArray[np.intp] | None = None) -> LoggedBandit:
        rows = np.arange(len(self.reward)) if rows is None else rows
        return LoggedBandit(rows, self.reward[rows], self.propensity[rows], predicted=self.predicted[rows])

    def target(self, rows: NDArray[np.intp] | None = None) -> Target:
        rows = np.arange(len(self.reward)) if rows is None else rows
        return Target(self.probability[rows], self.expected[rows])


@st.composite
def cases(draw: st.DrawFn) -> Case:
    rows = draw(st.integers(2, 20))

    def column(low: float, high: float) -> Floats:
        return draw(arrays(np.float64, rows, elements=st.floats(low, high, width=32)))

    case = Case(column(-5, 5), column(0.125, 1), column(0, 1), column(-5, 5), column(-5, 5))
    assume(case.probability.sum() > 0.1)
    return case


@FIXED
@given(cases())
def test_the_logging_policy_itself_earns_the_mean(case: Case) -> None:
    log, itself = case.log(), Target(case.propensity)
    for estimator in (ips, snips):
        estimate = estimator(log, itself)
        assert estimate.value == pytest.approx(case.reward.mean(), abs=1e-12)
        assert (estimate.weights == 1).all()
        assert estimate.overlap.effective_sample_size == pytest.approx(len(log))
        assert estimate.overlap.max_weight == 1
        assert estimate.overlap.missing_support == 0


@FIXED
@given(cases(), st.floats(-10, 10), st.floats(-100, 100))
def test_snips_follows_scale_and_shift_of_the_rewards(case: Case, scale: float, shift: float) -> None:
    moved = LoggedBandit(np.arange(len(case.reward)), scale * case.reward + shift, case.propensity)
    before, after = snips(case.log(), case.target()), snips(moved, case.target())
    assert after.value == pytest.approx(scale * before.value + shift, abs=1e-8)
    assert after.standard_error == pytest.approx(abs(scale) * before.standard_error, abs=1e-8)


@FIXED
@given(cases())
def test_snips_stays_within_the_rewards(case: Case) -> None:
    value = snips(case.log(), case.target()).value
    seen = case.reward[case.probability > 0]
    assert seen.min() - 1e-9 <= value <= seen.max() + 1e-9


@FIXED
@given(cases(), st.floats(-10, 10))
def test_ips_follows_scale(case: Case, scale: float) -> None:
    moved = LoggedBandit(np.arange(len(case.reward)), scale * case.reward, case.propensity)
    expected = scale * ips(case.log(), case.target()).value
    assert ips(moved, case.target()).value == pytest.approx(expected, abs=1e-9)


@FIXED
@given(cases(), st.data())
def test_the_order_of_rows_does_not_matter(case: Case, data: st.DataObject) -> None:
    order = np.array(data.draw(st.permutations(range(len(case.reward)))))
    for name, estimator in ESTIMATORS.items():
        if name == "replay":
            continue
        here, there = estimator(case.log(), case.target()), estimator(case.log(order), case.target(order))
        assert there.value == pytest.approx(here.value, abs=1e-9)
        assert there.standard_error == pytest.approx(here.standard_error, abs=1e-9)
        assert there.overlap.effective_sample_size == pytest.approx(here.overlap.effective_sample_size)


@FIXED
@given(cases())
def test_limits_lead_from_the_model_to_the_weights(case: Case) -> None:
    log, target = case.log(), case.target()
    model, robust = direct_method(log, target).value, doubly_robust(log, target).value
    near = {"abs": 1e-6}
    assert switch_doubly_robust(log, target, threshold=np.inf).value == pytest.approx(robust, **near)
    assert optimistic_shrinkage(log, target, shrinkage=1e12).value == pytest.approx(robust, **near)
    assert optimistic_shrinkage(log, target, shrinkage=0).value == pytest.approx(model, **near)
    assert clipped_ips(log, target, limit=np.inf).value == pytest.approx(ips(log, target).value, **near)
    assert clipped_ips(log, target, limit=0).value == 0
    used = target.probability > 0
    below = float((case.probability / case.propensity)[used].min()) / 2
    assert switch_doubly_robust(log, target, threshold=below).value == pytest.approx(model, **near)


@FIXED
@given(cases())
def test_a_model_that_expects_nothing_changes_nothing(case: Case) -> None:
    nothing = np.zeros(len(case.reward))
    log = LoggedBandit(np.arange(len(nothing)), case.reward, case.propensity, predicted=nothing)
    target = Target(case.probability, nothing)
    for with_model, without in ((doubly_robust, ips), (self_normalised_doubly_robust, snips)):
        assert with_model(log, target).value == pytest.approx(without(log, target).value)
        assert with_model(log, target).standard_error == pytest.approx(
            without(log, target).standard_error, abs=1e-12
        )


@FIXED
@given(cases())
def test_slates_of_one_position_are_rows(case: Case) -> None:
    slates = LoggedSlates(case.reward[:, None], case.propensity[:, None], case.predicted[:, None])
    target = Target(case.probability[:, None], case.expected[:, None])
    for of_slates, of_rows in (
        (independent_ips, ips),
        (reward_interaction_ips, ips),
        (cascade_doubly_robust, doubly_robust),
    ):
        there, here = of_slates(slates, target), of_rows(case.log(), case.target())
        assert there.value == pytest.approx(here.value)
        assert there.standard_error == pytest.approx(here.standard_error, abs=1e-12)
        assert there.overlap == here.overlap


@FIXED
@given(cases())
def test_a_group_for_each_row_changes_nothing(case: Case) -> None:
    names = np.array([f"user {row}" for row in range(len(case.reward))])
    log = LoggedBandit(np.arange(len(names)), case.reward, case.propensity, groups=names)
    for estimator in (ips, snips):
        grouped, alone = estimator(log, case.target()), estimator(case.log(), case.target())
        assert grouped.value == pytest.approx(alone.value)
        assert grouped.standard_error == pytest.approx(alone.standard_error, abs=1e-12)


@FIXED
@given(cases())
def test_a_policy_is_no_better_than_itself(case: Case) -> None:
    log = case.log()
    for estimator in (ips, snips, doubly_robust, self_normalised_doubly_robust):
        itself = difference(estimator(log, case.target()), estimator(log, case.target()))
        assert itself.value == pytest.approx(0, abs=1e-12)
        assert itself.standard_error == pytest.approx(0, abs=1e-12)
        assert Reason.NO_VARIATION in {refusal.reason for refusal in itself.refusals}


@FIXED
@given(cases())
def test_effective_rows_are_between_one_and_all(case: Case) -> None:
    overlap = ips(case.log(), case.target()).overlap
    assert 1 - 1e-9 <= overlap.effective_sample_size <= len(case.reward) * (1 + 1e-9)
    assert 1 / len(case.reward) - 1e-9 <= overlap.largest_share <= 1
    assert overlap.replaced == 0
