"""Ridge regression, learned one observation after the other: the statistics under the linear policies.

A = λI + Σ x xᵀ and b = Σ r x over the observations of a model; θ = A⁻¹b is the mean of the posterior N(θ, σ² A⁻¹)
(Li et al. 2010, Algorithm 1). An observation changes A⁻¹ by one square of a vector (`inverse.py`), and adds
u (r - θᵀx) / c to θ, with u = A⁻¹x and c = 1 + xᵀu.

After every `block` observations these are summed into A and b by one matrix product, and A⁻¹ and θ are computed anew
from them: rounding never builds up over more than a block, and of a large batch only the last block is gone through
one by one. Blocks are counted in the log, so the result is the same to the last bit however the log is cut.
"""

import math

import numpy as np
from scipy.linalg.blas import daxpy, ddot, sgemv, sger

from .inverse import Floats, Narrow, Singles, Wide, inverse_of, inverted, longer, upper


class Ridge:
    """One model of `width` features.

    sum_x, sum_r: Σ x xᵀ, packed, and Σ r x of whole blocks; sum_x is None before the first. rewards, fresh: of the
    observations since, as `learn` got them; their features are `waiting`. These are all that it knows, and what follows
    is as of the last `settle`: theta, θ, shape (width,), inverse, A⁻¹, and explained, bᵀθ, by how much Σ r² exceeds the
    least Σ (r - θᵀx)² + λ|θ|².
    """

    __slots__ = (
        "_settled",
        "_x",
        "block",
        "explained",
        "fresh",
        "inverse",
        "prior",
        "rewards",
        "sum_r",
        "sum_x",
        "theta",
        "width",
    )

    def __init__(self, width: int, prior: float) -> None:
        self.width = width
        self.prior = prior
        self.block = max(32, width)
        self.sum_x: Floats | None = None
        self.sum_r = np.zeros(width)
        self._x = np.empty((4, width))
        self.rewards: list[float] = []
        self.fresh: list[bool] = []
        self.theta = np.zeros(width)
        self.inverse: Narrow | Wide = inverse_of(width, prior)
        self.explained = 0.0
        self._settled = (
            0  # how many of those that wait θ and A⁻¹ hold already; -1: these have to be made anew
        )

    @property
    def waiting(self) -> Floats:
        """The features of what came since the last whole block, shape (n, width)."""
        return self._x[: len(self.rewards)]

    def learn(self, x: Floats, reward: float, fresh: bool) -> None:
        """Take in an observation with features (width,).

        Where it isn't `fresh`, its features were taken in before, and the reward is a difference to what it had then.
        """
        count = len(self.rewards)
        if count == len(self._x):
            self._x = longer(self._x, self.block)
        self._x[count] = x
        self.rewards.append(reward)
        self.fresh.append(fresh)
        if count + 1 == self.block:
            self._sum()

    def become(
        self, sums: tuple[Floats, Floats] | None, waiting: Floats, rewards: list[float], fresh: list[bool]
    ) -> None:
        """Know just this: sum_x and sum_r, and what waits."""
        if sums is not None:
            self.sum_x, self.sum_r = sums
        self._x, self.rewards, self.fresh, self._settled = waiting.copy(), rewards, fresh, -1

    def fade(self, share: float) -> None:
        """Let all evidence so far count a share of what it does."""
        if self.sum_x is not None:
            self.sum_x = self.sum_x * share
        self.sum_r = self.sum_r * share
        root, x = math.sqrt(share), self.waiting
        x *= root
        self.rewards = [reward * root for reward in self.rewards]
        self._settled = -1

    def add(self, sum_x: Floats, sum_r: Floats) -> None:
        """Take in sums over observations: Σ x xᵀ, packed, and Σ r x."""
        self.sum_x = sum_x if self.sum_x is None else self.sum_x + sum_x
        self.sum_r = self.sum_r + sum_r
        self._settled = -1

    def settle(self, triangle: Singles | None = None, factor: Singles | None = None) -> None:
        """Bring θ and A⁻¹ up to date, and copies in float32 that were so with them.

        triangle: A⁻¹, packed. factor: C with C Cᵀ = A⁻¹, shape (width, width), in Fortran's order. It is changed by the
        formula of Potter, C - u wᵀ / (c + √c) with w = Cᵀx, so that C Cᵀ can't become negative by rounding.
        Raises LinAlgError where A is not positive definite.
        """
        if self._settled < 0:
            self._renew(triangle, factor)
        width, theta, inverse = self.width, self.theta, self.inverse
        for place in range(self._settled, len(self.rewards)):
            x, reward = self._x[place], self.rewards[place]
            u = inverse.solve(x)
            known, gain = ddot(x, theta), ddot(x, u)
            if self.fresh[place]:
                share, left = 1.0 / (1.0 + gain), reward - known
                daxpy(u, theta, width, left * share)
                self.explained += reward * reward - left * left * share
                if factor is not None:
                    w = sgemv(1.0, factor, x, 0.0, None, 0, 1, 0, 1, 1)
                    sger(-share / (1.0 + math.sqrt(share)), u, w, 1, 1, factor, 1, 1, 1)
                inverse.take(u, share, triangle)
            else:
                daxpy(u, theta, width, reward)
                self.explained += reward * (2.0 * known + reward * gain)
        if triangle is not None:
            inverse.serve(triangle)
        self._settled = len(self.rewards)

    def _sum(self) -> None:
        x = self.waiting
        fresh = x if all(self.fresh) else x[self.fresh]
        self.add((fresh.T @ fresh).take(upper(self.width)), np.array(self.rewards) @ x)
        self.rewards, self.fresh = [], []

    def _renew(self, triangle: Singles | None, factor: Singles | None) -> None:
        """Make θ and A⁻¹ of whole blocks."""
        p = root = None
        if self.sum_x is not None:
            p, root = inverted(self.sum_x, self.prior, self.width)
        self.inverse = inverse_of(self.width, self.prior, p)
        self.theta = self.inverse.solve(self.sum_r)
        self.explained = ddot(self.sum_r, self.theta)
        if triangle is not None:
            triangle[:] = (np.eye(self.width) / self.prior if p is None else p.T).take(upper(self.width))
        if factor is not None:
            factor[:] = np.eye(self.width) / math.sqrt(self.prior) if root is None else root
        self._settled = 0
