"""The models of the linear policies: one that all items share, or one for each arm.

What is learned is kept in float64 (`ridge.py`). Estimates are made from copies in float32, which `settle` brings up to
date where something was learned. The copies of arms are packed, as one row of a triangle for each: the quadratic form
xᵀA⁻¹x is the product of that row with the packed x xᵀ, off-diagonals doubled, so that all arms are scored by one
matrix product over a quarter of the bytes of full matrices, and bytes are what scoring many arms costs.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .inverse import Floats, Numbers, Singles
from .ridge import Ridge
from .ridge_state import ridges_of, state_of

_CHUNK = 2048  # candidates whose packed squares are made at a time


class Shared:
    """One model for all candidates.

    factor: C with C Cᵀ = A⁻¹, shape (width, width), so that the variance of x is |xᵀC|². coefficients: θ, (width,).
    """

    def __init__(self, width: int, prior: float) -> None:
        self.ridge = Ridge(width, prior)
        self.factor = np.asfortranarray(np.eye(width) / math.sqrt(prior), dtype=np.float32)
        self.coefficients = np.zeros(width, dtype=np.float32)

    @property
    def explained(self) -> float:
        """As that of `Ridge`."""
        return self.ridge.explained

    def learn(self, x: Floats, reward: Floats, first: NDArray[np.bool_]) -> None:
        """Take observations in, in order: features x (n, width), their rewards, and whether they are new, (n,)."""
        new = first.tolist()
        for place, r in enumerate(reward.tolist()):
            self.ridge.learn(x[place], r, new[place])

    def fade(self, share: float) -> None:
        """Let all evidence so far count a share of what it does."""
        self.ridge.fade(share)

    def settle(self) -> None:
        """Bring factor and coefficients up to date."""
        self.ridge.settle(factor=self.factor)
        self.coefficients[:] = self.ridge.theta

    def state(self) -> dict[str, Any]:
        """All of it."""
        return state_of("shared", {1: self.ridge}, 1, self.ridge.width)

    def load(self, state: Mapping[str, Any], _: int = 0) -> None:
        """Become what `state` gave. Raises ValueError where it doesn't fit. Only for one that has learned nothing."""
        self.ridge = ridges_of("shared", state, 1, self.ridge.width, self.ridge.prior).get(1, self.ridge)
        self.settle()


class Disjoint:
    """A model for each arm from 1 on; arm 0 is the prior of those nobody tried."""

    def __init__(self, width: int, prior: float, arms: int = 0) -> None:
        self.width = width
        self.prior = prior
        self._arms = 0
        self._ridges: dict[int, Ridge] = {}
        self._stale: dict[int, Ridge] = {}
        self._factors: dict[int, Singles] = {}
        self._rows, self._columns = np.triu_indices(width)
        diagonal = self._rows == self._columns
        self._twice = np.where(diagonal, np.float32(1), np.float32(2))
        self._triangles = (diagonal / prior).astype(np.float32)[None, :]
        self._thetas = np.zeros((1, width), dtype=np.float32)
        self._explained = np.zeros(1)
        self.reserve(arms)

    def __len__(self) -> int:
        return self._arms

    def reserve(self, arms: int) -> None:
        """Make room for arms up to a number."""
        self._arms = max(arms, self._arms)
        if (known := len(self._thetas)) <= arms:
            room = max(arms + 1, 2 * known if known > 1 else 0)
            self._triangles, self._thetas, self._explained = (
                grown(each, room) for each in (self._triangles, self._thetas, self._explained)
            )

    def learn(self, arms: Numbers, x: Floats, reward: Floats, first: NDArray[np.bool_]) -> None:
        """Take observations in, as `Shared.learn` does, of arms (n,), reserved before."""
        r, new = reward.tolist(), first.tolist()
        for place, arm in enumerate(arms.tolist()):
            self.learner(arm).learn(x[place], r[place], new[place])

    def learner(self, arm: int) -> Ridge:
        """The model of an arm, to be taught before the next `settle`."""
        ridge = self._stale.get(arm)
        if ridge is None:
            ridge = self._ridges.get(arm)
            if ridge is None:
                ridge = self._ridges[arm] = Ridge(self.width, self.prior)
            self._stale[arm] = ridge
        return ridge

    def fade(self, share: float) -> None:
        """Let all evidence so far count a share of what it does."""
        for ridge in self._ridges.values():
            ridge.fade(share)
        self._stale.update(self._ridges)

    def settle(self) -> None:
        """Bring up to date what is served of the arms that learned."""
        triangles, thetas, explained = self._triangles, self._thetas, self._explained
        for arm, ridge in self._stale.items():
            ridge.settle(triangles[arm])
            thetas[arm] = ridge.theta
            explained[arm] = ridge.explained
        if self._factors:
            for arm in self._stale:
                self._factors.pop(arm, None)
        self._stale.clear()

    @property
    def tried(self) -> list[int]:
        """The arms that learned, in order."""
        return sorted(self._ridges)

    def ridge(self, arm: int) -> Ridge:
        """The model of an arm, up to date with all that it learned. Not to be taught."""
        ridge = self._ridges.get(arm)
        if ridge is None:
            return Ridge(self.width, self.prior)
        ridge.settle(self._triangles[arm])
        return ridge

    @property
    def explained(self) -> float:
        """The sum of those of the arms."""
        return float(self._explained[: self._arms + 1].sum())

    def estimates(self, arms: Numbers, x: Singles) -> tuple[Singles, Singles]:
        """θᵀx and xᵀA⁻¹x of candidates with features x (n, width) and arms (n,), each of shape (n,)."""
        means = np.einsum("nd,nd->n", self._thetas[arms], x)
        variances = np.empty(len(arms), dtype=np.float32)
        for start in range(0, len(arms), _CHUNK):
            part = slice(start, start + _CHUNK)
            np.einsum("np,np->n", self._triangles[arms[part]], self._packed(x[part]), out=variances[part])
        return means, np.maximum(variances, 0, out=variances)

    def grid(self, arms: Numbers, x: Singles) -> tuple[Singles, Singles]:
        """The same of every vector of x (m, width) with every one of arms (n,), each of shape (m, n)."""
        known = self._arms + 1
        squares = self._packed(x)
        # Where most arms are asked for, all of them are quicker than a copy of those.
        if 2 * len(arms) > known:
            means = x.dot(self._thetas[:known].T).take(arms, axis=1)
            variances = squares.dot(self._triangles[:known].T).take(arms, axis=1)
        else:
            means, variances = x.dot(self._thetas[arms].T), squares.dot(self._triangles[arms].T)
        return means, np.maximum(variances, 0, out=variances)

    def factor(self, arm: int) -> Singles:
        """C with C Cᵀ = A⁻¹ of one arm, shape (width, width)."""
        if arm not in self._factors:
            self._factors[arm] = np.linalg.cholesky(self.ridge(arm).inverse.whole()).astype(np.float32)
        return self._factors[arm]

    def coefficients(self, arm: int) -> Singles:
        """θ of one arm, shape (width,)."""
        theta: Singles = self._thetas[arm]
        return theta

    def state(self) -> dict[str, Any]:
        """All of it."""
        return state_of("arm", self._ridges, self._arms, self.width)

    def load(self, state: Mapping[str, Any], arms: int) -> None:
        """Become what `state` gave, which must be of so many arms, as `Shared.load` does."""
        self._ridges = ridges_of("arm", state, arms, self.width, self.prior)
        self.reserve(arms)
        self._stale = dict(self._ridges)
        self.settle()

    def _packed(self, x: Singles) -> Singles:
        packed: Singles = x.take(self._rows, axis=1)
        packed *= x.take(self._columns, axis=1)
        packed *= self._twice
        return packed


def grown(kept: NDArray[Any], room: int) -> NDArray[Any]:
    """With room for more arms, each as the first one, that nobody tried."""
    grown = np.empty((room, *kept.shape[1:]), dtype=kept.dtype)
    grown[: len(kept)] = kept
    grown[len(kept) :] = kept[0]
    return grown
