"""Ridge regression one by one: equal to the explicit inverse at every step, and to the last bit however it is cut."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tastemaker.policies.ridge import Hybrid, Ridges

Floats = NDArray[np.float64]


def ones(count: int) -> NDArray[np.intp]:
    return np.ones(count, dtype=np.intp)


def seen(count: int) -> NDArray[np.bool_]:
    return np.ones(count, dtype=bool)


def drawn(count: int, width: int, arms: int, seed: int = 0) -> tuple[NDArray[np.intp], Floats, Floats]:
    rng = np.random.default_rng(seed)
    return rng.integers(1, arms + 1, count), rng.normal(size=(count, width)), rng.random(count)


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(one[name].tobytes() == other[name].tobytes() for name in one)


class TestOneModel:
    @pytest.mark.parametrize("prior", [0.1, 1.0, 10.0])
    @pytest.mark.parametrize("width", [1, 2, 7, 40, 132])
    def test_it_is_the_explicit_ridge_inverse_at_every_step(self, width: int, prior: float) -> None:
        # More than a block, so that inverses are made anew on the way; the widest has no matrix until then.
        _, x, reward = drawn(150, width, 1)
        model = Ridges(width, prior, arms=1)
        a, b = prior * np.eye(width), np.zeros(width)
        for step in range(len(x)):
            model.learn(ones(1), x[step : step + 1], reward[step : step + 1], seen(1))
            model.settle()
            a += np.outer(x[step], x[step])
            b += reward[step] * x[step]
            if width > 100 and step % 12:
                continue  # the explicit inverse takes its time
            inverse = np.linalg.inv(a)
            np.testing.assert_allclose(model.inverses(ones(1))[0], inverse, rtol=1e-9, atol=1e-11)
            np.testing.assert_allclose(model.solve(1, b), inverse @ b, rtol=1e-8, atol=1e-10)
            assert model.explained == pytest.approx(b @ inverse @ b, rel=1e-9)
        factor, inverse = model.factor(1), np.linalg.inv(a)
        np.testing.assert_allclose(factor @ factor.T, inverse, rtol=1e-5, atol=1e-6 * np.abs(inverse).max())

    def test_what_it_leaves_is_the_least_of_the_ridge_objective(self) -> None:
        _, x, reward = drawn(80, 5, 1)
        model = Ridges(5, 2.0, arms=1)
        model.learn(ones(80), x, reward, seen(80))
        model.settle()
        theta = model.solve(1, model.b[1])
        least = np.sum((reward - x @ theta) ** 2) + 2.0 * theta @ theta
        assert reward @ reward - model.explained == pytest.approx(least, rel=1e-10)

    @settings(max_examples=25, deadline=None)
    @given(st.sets(st.integers(1, 199)), st.sets(st.integers(1, 199)), st.booleans())
    def test_however_it_is_cut_the_same_bits_come_out(
        self, cuts: set[int], looks: set[int], fading: bool
    ) -> None:
        arms, x, reward = drawn(200, 6, 3)
        first = np.random.default_rng(1).random(200) < 0.8

        def taught(ends: set[int]) -> Ridges:
            model = Ridges(6, 1.0, arms=3)
            start = 0
            for end in sorted({*ends, 60, 200}):
                part = slice(start, end)
                model.learn(arms[part], x[part], reward[part], first[part])
                if end in looks:
                    model.settle()
                if end == 60 and fading:
                    model.fade(0.7)
                start = end
            model.settle()
            return model

        whole, cut = taught(set()), taught(cuts | looks)
        assert same(whole.state("arm"), cut.state("arm"))
        every = np.arange(4)
        assert whole.inverses(every).tobytes() == cut.inverses(every).tobytes()
        probes = x[:5].astype(np.float32)
        for one, other in zip(whole.grid(every, probes), cut.grid(every, probes), strict=True):
            assert one.tobytes() == other.tobytes()

    @settings(max_examples=8, deadline=None)
    @given(st.sets(st.integers(1, 199)))
    def test_a_wide_model_comes_to_the_same_bits_with_and_without_its_matrix(self, cuts: set[int]) -> None:
        _, x, reward = drawn(200, 140, 1)
        whole, cut = Ridges(140, 0.5, arms=1), Ridges(140, 0.5, arms=1)
        start = 0
        for end in sorted({*cuts, 100, 200}):
            cut.learn(ones(end - start), x[start:end], reward[start:end], seen(end - start))
            cut.settle()
            if end in (100, 200):  # before and after its first block
                part = slice(end - 100, end)
                whole.learn(ones(100), x[part], reward[part], seen(100))
                whole.settle()
                loaded = Ridges(140, 0.5)
                loaded.load("arm", whole.state("arm"), 1)
                for other in (cut, loaded):
                    assert same(whole.state("arm"), other.state("arm"))
                    assert whole.inverses(ones(1)).tobytes() == other.inverses(ones(1)).tobytes()
                    probes = x[:5].astype(np.float32)
                    for one, two in zip(
                        whole.grid(ones(1), probes), other.grid(ones(1), probes), strict=True
                    ):
                        assert one.tobytes() == two.tobytes()
            start = end

    def test_a_correction_counts_as_if_the_reward_had_been_known_at_once(self) -> None:
        _, x, reward = drawn(40, 4, 1)
        corrected, at_once = Ridges(4, 1.0, arms=1), Ridges(4, 1.0, arms=1)
        corrected.learn(ones(40), x, reward, seen(40))
        corrected.learn(ones(10), x[5:15], np.full(10, 0.5), ~seen(10))
        at_once.learn(ones(40), x, reward + 0.5 * np.isin(np.arange(40), np.arange(5, 15)), seen(40))
        for model in (corrected, at_once):
            model.settle()
        np.testing.assert_allclose(corrected.b, at_once.b, rtol=1e-12)
        np.testing.assert_array_equal(corrected.inverses(ones(1)), at_once.inverses(ones(1)))

    def test_faded_evidence_counts_a_share(self) -> None:
        _, x, reward = drawn(100, 5, 1)
        model = Ridges(5, 3.0, arms=1)
        model.learn(ones(70), x[:70], reward[:70], seen(70))
        model.fade(0.25)
        model.learn(ones(30), x[70:], reward[70:], seen(30))
        model.settle()
        weight = np.where(np.arange(100) < 70, 0.25, 1.0)
        a = 3.0 * np.eye(5) + (x * weight[:, None]).T @ x
        np.testing.assert_allclose(model.inverses(ones(1))[0], np.linalg.inv(a), rtol=1e-10, atol=1e-13)
        theta = np.linalg.solve(a, x.T @ (weight * reward))
        np.testing.assert_allclose(model.solve(1, model.b[1]), theta, rtol=1e-9)

    def test_a_hundred_thousand_updates_leave_it_exact(self) -> None:
        # Strongly correlated features, the hard case, and one by one: each is seen before the next one comes.
        rng = np.random.default_rng(3)
        width, count = 8, 100_000
        x = 1.0 + 0.05 * rng.normal(size=(count, width))
        model = Ridges(width, 1.0, arms=1)
        reward, yes = rng.random(count), seen(1)
        one = ones(1)
        for step in range(0, count, 10):
            model.learn(ones(10), x[step : step + 10], reward[step : step + 10], seen(10))
            model.settle()
        model.learn(one, x[:1], reward[:1], yes)
        model.settle()
        a = np.eye(width) + x.T @ x + np.outer(x[0], x[0])
        inverse = model.inverses(one)[0]
        assert np.abs(inverse @ a - np.eye(width)).max() < 1e-9
        assert np.array_equal(inverse, inverse.T)
        assert np.linalg.eigvalsh(inverse).min() > 0
        # What is served in float32 is never negative, and off by no more than float32 is of the largest entry.
        probes = rng.normal(size=(500, width)).astype(np.float32)
        served = model.grid(one, probes)[1][:, 0]
        exact = np.einsum("nd,de,ne->n", probes, inverse, probes, dtype=np.float64)
        assert (served >= 0).all()
        bound = 4 * np.finfo(np.float32).eps * np.abs(inverse).max() * np.abs(probes).sum(axis=1) ** 2
        assert (np.abs(served - exact) <= bound).all()


class TestManyArms:
    def test_each_is_a_model_of_its_own(self) -> None:
        arms, x, reward = drawn(400, 5, 4)
        model = Ridges(5, 0.5, arms=6)
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
        model = Ridges(4, 1.0, arms=4)
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
        model = Ridges(3, prior, arms=2)
        model.learn(ones(50), np.ones((50, 3)), np.ones(50), seen(50))
        model.settle()
        x = np.array([[0.6, 0.8, 0.0]], dtype=np.float32)
        for arm in (0, 2):
            means, variances = model.estimates(np.array([arm]), x)
            assert np.sqrt(variances[0]) == pytest.approx(1 / np.sqrt(prior), rel=1e-6)
            assert means[0] == 0


class TestHybrid:
    @pytest.mark.parametrize("prior", [0.3, 1.0, 5.0])
    def test_it_is_the_joint_ridge_of_shared_and_own_features(self, prior: float) -> None:
        arms, z, reward = drawn(300, 6, 4)
        x = np.concatenate((np.ones((300, 1)), z[:, :2] ** 2), axis=1)
        model = Hybrid(6, 3, prior)
        model.reserve(5)
        for step in range(300):
            part = slice(step, step + 1)
            model.learn(arms[part], z[part], x[part], reward[part], seen(1))
            if step % 50 == 49 or step < 3:
                model.settle()
                self.assert_joint(model, arms[: step + 1], z, x, reward, prior)

    def assert_joint(
        self, model: Hybrid, arms: NDArray[np.intp], z: Floats, x: Floats, reward: Floats, prior: float
    ) -> None:
        def joint(which: NDArray[np.intp], z: Floats, x: Floats) -> Floats:
            blocks = np.zeros((len(which), 5, 3))
            blocks[np.arange(len(which)), which - 1] = x
            return np.concatenate((z, blocks.reshape(len(which), 15)), axis=1)

        count = len(arms)
        design = joint(arms, z[:count], x[:count])
        a = prior * np.eye(21) + design.T @ design
        theta = np.linalg.solve(a, design.T @ reward[:count])
        asked = np.array([1, 2, 3, 4, 5, 1])
        request = np.repeat(x[:1], 6, axis=0)
        probes = joint(asked, z[:6], request)
        means, variances = model.estimates(asked, z[:6].astype(np.float32), x[:1].astype(np.float32))
        np.testing.assert_allclose(means, probes @ theta, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(
            variances, np.einsum("nd,de,ne->n", probes, np.linalg.inv(a), probes), rtol=1e-5
        )
        assert model.explained == pytest.approx(design.T @ reward[:count] @ theta, rel=1e-9)

    def test_corrections_and_cuts_change_nothing(self) -> None:
        arms, z, reward = drawn(120, 5, 3)
        x = z[:, :2]
        first = seen(120)
        first[60:] = False
        arms[60:], z[60:], x[60:] = arms[:60], z[:60], x[:60]
        whole, cut, at_once = Hybrid(5, 2, 1.0), Hybrid(5, 2, 1.0), Hybrid(5, 2, 1.0)
        for model in (whole, cut, at_once):
            model.reserve(3)
        whole.learn(arms, z, x, reward, first)
        for start in range(0, 120, 7):
            part = slice(start, start + 7)
            cut.learn(arms[part], z[part], x[part], reward[part], first[part])
            cut.settle()
        at_once.learn(arms[:60], z[:60], x[:60], reward[:60] + reward[60:], first[:60])
        for model in (whole, at_once):
            model.settle()
        assert same(whole.state(), cut.state())
        asked, own = z[:9].astype(np.float32), x[:1].astype(np.float32)
        one, other = (model.estimates(arms[:9], asked, own) for model in (whole, at_once))
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
