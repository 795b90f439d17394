"""One model that all share, and many that are scored at once: each is the ridge regression of what it saw."""

import numpy as np
import pytest
from tastemaker.policies.models import Disjoint, Shared

from .outcomes import drawn, ones, same, seen


class TestDisjoint:
    def test_each_is_a_model_of_its_own(self) -> None:
        arms, x, reward = drawn(400, 5, 4)
        model = Disjoint(5, 0.5, arms=6)
        model.learn(arms, x, reward, seen(400))
        model.settle()
        _, probes, _ = drawn(9, 5, 1, seed=7)
        asked = np.array([0, 1, 2, 3, 4, 5, 6, 1, 1])
        means, variances = model.estimates(asked, probes.astype(np.float32))
        every_mean, every_variance = model.grid(asked, probes.astype(np.float32))
        for arm in range(7):
            mine = arms == arm
            a = 0.5 * np.eye(5) + x[mine].T @ x[mine]
            theta = np.linalg.solve(a, x[mine].T @ reward[mine])
            places = np.flatnonzero(asked == arm)
            worth = probes @ theta
            np.testing.assert_allclose(means[places], worth[places], rtol=1e-5, atol=1e-6)
            wanted = np.einsum("nd,de,ne->n", probes, np.linalg.inv(a), probes)
            np.testing.assert_allclose(variances[places], wanted[places], rtol=1e-5)
            for place in places.tolist():
                np.testing.assert_allclose(every_mean[:, place], worth, rtol=1e-5, atol=1e-6)
                np.testing.assert_allclose(every_variance[:, place], wanted, rtol=1e-5)

    @pytest.mark.parametrize("asked", [[3, 0, 1], [1, 2, 3, 4, 0, 2, 2, 4], [0, 1, 2, 3, 4]])
    def test_many_contexts_at_once_are_scored_as_each_would_be(self, asked: list[int]) -> None:
        arms, x, reward = drawn(100, 4, 4)
        model = Disjoint(4, 1.0, arms=4)
        model.learn(arms, x, reward, seen(100))
        model.settle()
        which, probes = np.array(asked), x[:7].astype(np.float32)
        means, variances = model.grid(which, probes)
        assert means.shape == variances.shape == (7, len(asked))
        for place in range(7):
            one = model.estimates(which, np.repeat(probes[place : place + 1], len(which), axis=0))
            alone = model.grid(which, probes[place : place + 1])
            for found in (one, (alone[0][0], alone[1][0])):
                np.testing.assert_allclose(means[place], found[0], rtol=1e-5, atol=1e-6)
                np.testing.assert_allclose(variances[place], found[1], rtol=1e-5)

    @pytest.mark.parametrize("prior", [0.1, 1.0, 10.0])
    def test_what_nobody_tried_is_as_wide_as_the_prior_says(self, prior: float) -> None:
        # MABWiser starts from the inverse λI instead of I/λ: at λ = 0.1 its bonus is a tenth of what it should be.
        model = Disjoint(3, prior, arms=2)
        model.learn(ones(50), np.ones((50, 3)), np.ones(50), seen(50))
        model.settle()
        x = np.array([[0.6, 0.8, 0.0]], dtype=np.float32)
        for arm in (0, 2):
            means, variances = model.estimates(np.array([arm]), x)
            assert np.sqrt(variances[0]) == pytest.approx(1 / np.sqrt(prior), rel=1e-6)
            assert means[0] == 0

    def test_a_state_and_how_the_log_is_cut_change_no_bit_of_what_is_served(self) -> None:
        arms, x, reward = drawn(600, 40, 5)
        first = np.random.default_rng(1).random(600) < 0.8
        whole, cut = Disjoint(40, 1.0, arms=5), Disjoint(40, 1.0, arms=5)
        whole.learn(arms, x, reward, first)
        for start in range(0, 600, 7):
            part = slice(start, start + 7)
            cut.learn(arms[part], x[part], reward[part], first[part])
            cut.settle()
        whole.settle()
        loaded = Disjoint(40, 1.0)
        loaded.load(whole.state(), 5)
        every, probes = np.arange(6), x[:5].astype(np.float32)
        for other in (cut, loaded):
            assert same(whole.state(), other.state())
            for one, two in zip(whole.grid(every, probes), other.grid(every, probes), strict=True):
                assert one.tobytes() == two.tobytes()
            assert whole.factor(2).tobytes() == other.factor(2).tobytes()


class TestShared:
    def test_factor_and_coefficients_are_those_of_the_model_at_every_step(self) -> None:
        _, x, reward = drawn(150, 20, 1)
        model = Shared(20, 0.5)
        for step in range(150):
            model.learn(x[step : step + 1], reward[step : step + 1], seen(1))
            model.settle()
            a = 0.5 * np.eye(20) + x[: step + 1].T @ x[: step + 1]
            inverse = np.linalg.inv(a)
            spread = np.sum((x.astype(np.float32) @ model.factor) ** 2, axis=1)
            np.testing.assert_allclose(spread, np.einsum("nd,de,ne->n", x, inverse, x), rtol=1e-5)
            theta = inverse @ x[: step + 1].T @ reward[: step + 1]
            np.testing.assert_allclose(model.coefficients, theta, rtol=1e-5, atol=1e-6)

    def test_a_state_makes_another_the_same(self) -> None:
        _, x, reward = drawn(100, 9, 1)
        model, other = Shared(9, 1.0), Shared(9, 1.0)
        model.learn(x[:80], reward[:80], seen(80))
        model.settle()
        other.load(model.state())
        for each in (model, other):
            each.learn(x[80:], reward[80:], seen(20))
            each.settle()
        assert same(model.state(), other.state())
        assert model.factor.tobytes() == other.factor.tobytes()
        assert model.coefficients.tobytes() == other.coefficients.tobytes()
