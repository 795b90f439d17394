"""Hybrid ridge regression: one model that all arms share, and one for each arm."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import ddot, dger

from .arrays import array_of
from .inverse import Floats, Numbers, Singles, upper
from .models import Disjoint, Shared, grown


class Hybrid:
    """One model that all arms share, on features z, and one for each arm, on features x (Li et al. 2010, Algorithm 2).

    E[r] = βᵀz + θ_aᵀx. Kept in a form in which an observation changes the shared model by one rank: with
    u = A_a⁻¹x, q = z - B_aᵀu and c = 1 + xᵀu,

        A₀ += q qᵀ / c,  b₀ += q (r - uᵀb_a) / c,  then  A_a += x xᵀ,  B_a += x zᵀ,  b_a += r x,

    where A₀, b₀ are those of the algorithm after its arms were eliminated. For a candidate, the mean is
    qᵀβ + θ_aᵀx and the variance qᵀA₀⁻¹q + xᵀu, with θ_a = A_a⁻¹b_a. Estimates take q = z - G_aᵀx, where
    G_a = A_a⁻¹B_a is renewed for the arms that changed: no inverse is unpacked for them.
    """

    def __init__(self, shared: int, own: int, prior: float) -> None:
        self.shared = Shared(shared, prior)
        self.arms = Disjoint(own, prior)
        self._mixed = np.zeros((1, own, shared))  # B_a = Σ x zᵀ
        self._served = np.zeros((1, own, shared), dtype=np.float32)  # G_a
        self._stale: set[int] = set()

    def reserve(self, arms: int) -> None:
        """Make room for arms up to a number."""
        self.arms.reserve(arms)
        if (known := len(self._mixed)) <= arms:
            room = max(arms + 1, 2 * known if known > 1 else 0)
            self._mixed, self._served = grown(self._mixed, room), grown(self._served, room)

    def learn(self, arms: Numbers, z: Floats, x: Floats, reward: Floats, first: NDArray[np.bool_]) -> None:
        """Take observations in, as `Disjoint.learn` does: shared features z (n, k), the arm's own x (n, d)."""
        shared = self.shared.ridge
        rewards, news = reward.tolist(), first.tolist()
        for place, arm in enumerate(arms.tolist()):
            both, own, r, new = z[place], x[place], rewards[place], news[place]
            self.arms.learner(arm)
            ridge = self.arms.ridge(arm)
            u = ridge.inverse.solve(own)
            q = both - u.dot(self._mixed[arm])
            if new:
                root = math.sqrt(1.0 + ddot(own, u))
                shared.learn(q / root, (r - ddot(own, ridge.theta)) / root, True)
                dger(1.0, both, own, 1, 1, self._mixed[arm].T, 1, 1, 1)
                self._stale.add(arm)
            else:
                shared.learn(q, r, False)
            ridge.learn(own, r, new)

    def fade(self, share: float) -> None:
        """Let all evidence so far count a share of what it does.

        The λ in every A_a doesn't fade, so that the arms explain less of what is shared: with G_a, θ_a before and
        G_a', θ_a' after, A₀ gains λ (1 - share) Σ G_aᵀG_a', and b₀ gains λ (1 - share) Σ G_aᵀθ_a'.
        """
        width = self.shared.ridge.width
        squares, products = np.zeros((width, width)), np.zeros(width)
        for arm in self.arms.tried:
            mixed = self._mixed[arm]
            before = self.arms.ridge(arm).inverse.times(mixed)
            mixed *= share
            self.arms.learner(arm).fade(share)
            faded = self.arms.ridge(arm)
            squares += before.T @ faded.inverse.times(mixed)
            products += before.T @ faded.theta
            self._stale.add(arm)
        again = self.shared.ridge.prior * (1.0 - share)
        self.shared.fade(share)
        self.shared.ridge.add(again * squares.take(upper(width)), again * products)

    def settle(self) -> None:
        """Bring inverses and coefficients up to date."""
        self.arms.settle()
        self.shared.settle()
        for arm in sorted(self._stale):
            self._served[arm] = self.arms.ridge(arm).inverse.times(self._mixed[arm])
        self._stale.clear()

    @property
    def explained(self) -> float:
        """As that of `Ridge`, of the joint model."""
        return self.shared.explained + self.arms.explained

    def estimates(self, arms: Numbers, z: Singles, x: Singles) -> tuple[Singles, Singles]:
        """Means and variances of candidates with shared features z (n, k) and arms (n,), each of shape (n,).

        The arms' features x are the same for all, shape (1, d).
        """
        (own,), (width,) = self.arms.grid(arms, x)
        known = len(self.arms) + 1
        if 2 * len(arms) > known:  # as in `Disjoint.grid`
            q = z - np.matmul(x[0], self._served[:known]).take(arms, axis=0)
        else:
            q = z - np.matmul(x[0], self._served[arms])
        spread = q @ self.shared.factor
        return q @ self.shared.coefficients + own, np.einsum("nk,nk->n", spread, spread) + width

    def state(self) -> dict[str, Any]:
        """All of it."""
        mixed = self._mixed[: len(self.arms) + 1].copy()
        return {**self.shared.state(), **self.arms.state(), "mixed": mixed}

    def load(self, state: Mapping[str, Any], arms: int) -> None:
        """Become what `state` gave, as `Disjoint.load` does."""
        mixed = array_of(state, "mixed", np.float64)
        if mixed.shape != (wanted := (arms + 1, *self._mixed.shape[1:])):
            raise ValueError(f"mixed has the shape {mixed.shape}, and {wanted} would fit these features")
        self.shared.load(state)
        self.arms.load(state, arms)
        self.reserve(arms)
        self._mixed[: arms + 1] = mixed
        self._stale = set(range(1, arms + 1))
        self.settle()
