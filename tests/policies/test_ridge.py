"""Ridge regression one by one: equal to the explicit inverse at every step, and to the last bit however it is cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tastemaker.policies.inverse import upper
from tastemaker.policies.ridge import Ridge

Floats = NDArray[np.float64]


def drawn(count: int, width: int, seed: int = 0) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, width)), rng.random(count)


class Model(Ridge):
    """With both copies that are served: A⁻¹ as a packed triangle, and a factor of it."""

    def __init__(self, width: int, prior: float) -> None:
        super().__init__(width, prior)
        self.triangle = (np.eye(width) / prior).take(upper(width)).astype(np.float32)
        self.factor = np.asfortranarray(np.eye(width) / np.sqrt(prior), dtype=np.float32)

    def taught(self, x: Floats, reward: Floats, fresh: NDArray[np.bool_] | bool = True) -> None:
        news = np.broadcast_to(fresh, len(x))
        for row, r, new in zip(x, reward.tolist(), news.tolist(), strict=True):
            self.learn(row, r, new)

    def served(self) -> None:
        self.settle(self.triangle, self.factor)

    def bits(self) -> list[bytes]:
        every = (self.sum_r, self.waiting, np.array(self.rewards), np.array(self.fresh), self.theta)
        derived = (self.inverse.whole(), self.triangle, self.factor, np.array(self.explained))
        sums = b"" if self.sum_x is None else self.sum_x.tobytes()
        return [sums, *(np.ascontiguousarray(part).tobytes() for part in (*every, *derived))]

    def squares(self, x: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What the triangle and what the factor make of xᵀA⁻¹x, in float32, each of shape (n,)."""
        rows, columns = np.triu_indices(self.width)
        twice = np.where(rows == columns, np.float32(1), np.float32(2))
        return (x[:, rows] * x[:, columns] * twice) @ self.triangle, np.sum((x @ self.factor) ** 2, axis=1)


class TestOneByOne:
    @pytest.mark.parametrize("prior", [0.1, 1.0, 10.0])
    @pytest.mark.parametrize("width", [1, 2, 7, 32, 33, 40, 132, 200])
    def test_it_is_the_explicit_ridge_inverse_at_every_step(self, width: int, prior: float) -> None:
        # More than a block, so that all is made anew on the way; the widest have no matrix in the beginning.
        x, reward = drawn(width + 90, width)
        model = Model(width, prior)
        a, b = prior * np.eye(width), np.zeros(width)
        for step in range(len(x)):
            model.learn(x[step], float(reward[step]), True)
            model.settle(model.triangle, model.factor)
            a += np.outer(x[step], x[step])
            b += reward[step] * x[step]
            if width > 60 and step % 25 and step < width + 89:
                continue  # the explicit inverse takes its time
            inverse = np.linalg.inv(a)
            np.testing.assert_allclose(model.inverse.whole(), inverse, rtol=1e-10, atol=1e-12)
            np.testing.assert_allclose(model.inverse.solve(b), inverse @ b, rtol=1e-9, atol=1e-11)
            np.testing.assert_allclose(model.theta, inverse @ b, rtol=1e-9, atol=1e-11)
            assert model.explained == pytest.approx(b @ inverse @ b, rel=1e-10)
        largest = np.abs(inverse).max()
        np.testing.assert_allclose(model.factor @ model.factor.T, inverse, rtol=1e-5, atol=2e-6 * largest)
        np.testing.assert_allclose(model.triangle, inverse.take(upper(width)), rtol=1e-5, atol=2e-7 / prior)

    def test_what_it_leaves_is_the_least_of_the_ridge_objective(self) -> None:
        x, reward = drawn(80, 5)
        model = Model(5, 2.0)
        model.taught(x, reward)
        model.settle()
        least = np.sum((reward - x @ model.theta) ** 2) + 2.0 * model.theta @ model.theta
        assert reward @ reward - model.explained == pytest.approx(least, rel=1e-10)

    @pytest.mark.parametrize("width", [6, 70, 140])  # in place; with V; with V that is taken into P
    @settings(max_examples=8, deadline=None)
    @given(
        cuts=st.sets(st.integers(1, 299)),
        looks=st.sets(st.integers(1, 299)),
        fading=st.booleans(),
        again=st.booleans(),
    )
    def test_however_it_is_cut_the_same_bits_come_out(
        self, width: int, cuts: set[int], looks: set[int], fading: bool, again: bool
    ) -> None:
        x, reward = drawn(300, width)
        fresh = np.random.default_rng(1).random(300) < 0.9

        def taught(ends: set[int], reborn: bool) -> Model:
            model = Model(width, 0.5)
            start = 0
            for end in sorted({*ends, 190, 300}):
                model.taught(x[start:end], reward[start:end], fresh[start:end])
                if end in looks:
                    model.served()
                if end == 190 and fading:
                    model.fade(0.7)
                if end == 190 and reborn:
                    other = Model(width, 0.5)
                    sums = None if model.sum_x is None else (model.sum_x, model.sum_r)
                    other.become(sums, model.waiting, model.rewards, model.fresh)
                    model = other
                start = end
            model.served()
            return model

        assert taught(set(), False).bits() == taught(cuts | looks, again).bits()

    def test_a_correction_counts_as_if_the_reward_had_been_known_at_once(self) -> None:
        for width in (4, 36):
            x, reward = drawn(80, width)
            corrected, at_once = Model(width, 1.0), Model(width, 1.0)
            corrected.taught(x, reward)
            corrected.taught(x[5:15], np.full(10, 0.5), False)
            at_once.taught(x, reward + 0.5 * np.isin(np.arange(80), np.arange(5, 15)))
            for model in (corrected, at_once):
                model.served()
            np.testing.assert_allclose(corrected.theta, at_once.theta, rtol=1e-10, atol=1e-13)
            assert corrected.explained == pytest.approx(at_once.explained, rel=1e-10)
            np.testing.assert_allclose(corrected.inverse.whole(), at_once.inverse.whole(), rtol=0, atol=1e-13)

    @pytest.mark.parametrize("width", [5, 50])
    def test_faded_evidence_counts_a_share(self, width: int) -> None:
        x, reward = drawn(100, width)
        model = Model(width, 3.0)
        model.taught(x[:70], reward[:70])
        model.fade(0.25)
        model.taught(x[70:], reward[70:])
        model.settle()
        weight = np.where(np.arange(100) < 70, 0.25, 1.0)
        a = 3.0 * np.eye(width) + (x * weight[:, None]).T @ x
        np.testing.assert_allclose(model.inverse.whole(), np.linalg.inv(a), rtol=1e-10, atol=1e-13)
        theta = np.linalg.solve(a, x.T @ (weight * reward))
        np.testing.assert_allclose(model.theta, theta, rtol=1e-9, atol=1e-12)
        assert model.explained == pytest.approx(theta @ x.T @ (weight * reward), rel=1e-10)

    @pytest.mark.parametrize(("width", "count"), [(8, 100_000), (40, 20_000)])
    def test_a_hundred_thousand_updates_leave_it_exact(self, width: int, count: int) -> None:
        # Strongly correlated features, the hard case, and one by one: each is seen before the next one comes.
        rng = np.random.default_rng(3)
        x = 1.0 + 0.05 * rng.normal(size=(count, width))
        reward = rng.random(count)
        model = Model(width, 1.0)
        for step in range(0, count, 10):
            model.taught(x[step : step + 10], reward[step : step + 10])
            model.served()
        model.learn(x[0], float(reward[0]), True)
        model.served()
        a = np.eye(width) + x.T @ x + np.outer(x[0], x[0])
        inverse = model.inverse.whole()
        assert np.abs(inverse @ a - np.eye(width)).max() < 1e-9
        assert np.array_equal(inverse, inverse.T)
        assert np.linalg.eigvalsh(inverse).min() > 0
        b = x.T @ reward + reward[0] * x[0]
        np.testing.assert_allclose(model.theta, np.linalg.solve(a, b), rtol=0, atol=1e-10)
        # What the triangle serves is off by no more than float32 is of the largest entry, what the factor serves by no
        # more than that is of each value itself.
        probes = rng.normal(size=(500, width)).astype(np.float32)
        triangle, factor = model.squares(probes)
        exact = np.einsum("nd,de,ne->n", probes, inverse, probes, dtype=np.float64)
        bound = 4 * np.finfo(np.float32).eps * np.abs(inverse).max() * np.abs(probes).sum(axis=1) ** 2
        assert (np.abs(triangle - exact) <= bound).all()
        np.testing.assert_allclose(factor, exact, rtol=1e-4)

    def test_what_is_no_sum_of_squares_is_refused(self) -> None:
        model = Model(3, 1.0)
        model.become((np.full(6, -9.0), np.zeros(3)), np.empty((0, 3)), [], [])
        with pytest.raises(np.linalg.LinAlgError, match="no sums of squares"):
            model.settle()
