"""Shared and own features together: equal to one joint ridge regression."""

import numpy as np
import pytest
from numpy.typing import NDArray
from tastemaker.policies.hybrid import Hybrid

from .outcomes import Floats, drawn, same, seen


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

    @pytest.mark.parametrize("prior", [0.3, 5.0])
    @pytest.mark.parametrize("share", [0.0, 1e-3, 0.6, 0.97])
    def test_faded_evidence_counts_a_share_in_the_joint_ridge(self, prior: float, share: float) -> None:
        # Before the first whole block of the shared model, and after; of arms that have one, and that have none.
        arms, z, reward = drawn(300, 6, 4)
        arms[:150] = 1 + (arms[:150] > 3)
        x = np.concatenate((np.ones((300, 1)), z[:, :2] ** 2), axis=1)
        first, weights = np.arange(300) % 9 != 8, np.ones(300)
        for each in (arms, z, x):
            each[8::9] = each[5::9][: len(each[8::9])]  # which corrects the reward of three before
        model = Hybrid(6, 3, prior)
        model.reserve(5)
        for step in range(300):
            if step in (7, 90, 91, 250):
                model.fade(share)
                weights[:step] *= share
            if step in (7, 90, 200, 250):
                model.settle()
                self.assert_joint(model, arms[:step], z, x, reward, prior, first, weights)
            part = slice(step, step + 1)
            model.learn(arms[part], z[part], x[part], reward[part], first[part])
        model.settle()
        self.assert_joint(model, arms, z, x, reward, prior, first, weights)

    def assert_joint(
        self,
        model: Hybrid,
        arms: NDArray[np.intp],
        z: Floats,
        x: Floats,
        reward: Floats,
        prior: float,
        first: NDArray[np.bool_] | None = None,
        weights: Floats | None = None,
    ) -> None:
        def joint(which: NDArray[np.intp], z: Floats, x: Floats) -> Floats:
            blocks = np.zeros((len(which), 5, 3))
            blocks[np.arange(len(which)), which - 1] = x
            return np.concatenate((z, blocks.reshape(len(which), 15)), axis=1)

        count = len(arms)
        design = joint(arms, z[:count], x[:count])
        weight = np.ones(count) if weights is None else weights[:count]
        counted = weight if first is None else weight * first[:count]
        a = prior * np.eye(21) + (design.T * counted) @ design
        b = (design.T * weight) @ reward[:count]
        theta = np.linalg.solve(a, b)
        asked = np.array([1, 2, 3, 4, 5, 1])
        request = np.repeat(x[:1], 6, axis=0)
        probes = joint(asked, z[:6], request)
        means, variances = model.estimates(asked, z[:6].astype(np.float32), x[:1].astype(np.float32))
        np.testing.assert_allclose(means, probes @ theta, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(
            variances, np.einsum("nd,de,ne->n", probes, np.linalg.inv(a), probes), rtol=1e-5
        )
        assert model.explained == pytest.approx(b @ theta, rel=1e-9)

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
