"""Ridge regression, learned one observation after the other: the statistics under the linear policies.

For each arm, A = λI + Σ x xᵀ and b = Σ r x over its observations; θ = A⁻¹ b is the mean of the posterior
N(θ, σ² A⁻¹) (Li et al. 2010, Algorithm 1). A⁻¹ is kept packed, as one row of a triangle for each arm: the quadratic
form xᵀ A⁻¹ x is the product of that row with the packed x xᵀ, off-diagonals doubled, so that all arms are scored by
one matrix product over half the bytes.

What is learned is kept in float64. Estimates are made from a copy in float32, of which `settle` renews the arms that
changed: a quarter of the bytes of full matrices, and bytes are what scoring many arms costs.

A wide model needs no matrix while it is young: with v = u / √(1 + xᵀu) for each observation, A⁻¹ = I/λ - Σ v vᵀ, and
A⁻¹x costs as many products of vectors as there were observations.

An observation changes A⁻¹ by the formula of Sherman and Morrison, A⁻¹ - u uᵀ / (1 + xᵀu) with u = A⁻¹x. After every
`block` observations of an arm they are summed into A by one matrix product, and A⁻¹ is computed anew from A: rounding
never builds up over more than a block, and of a large batch only the last block is gone through one by one. Blocks
are counted in the log, so the result is the same to the last bit however the log is cut into batches.
"""

import math
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Numbers = NDArray[np.intp]

_CHUNK = 2048  # candidates whose packed squares are made at a time
_WIDE = 128  # columns from which on young models are quicker without a matrix


class Ridges:
    """Ridge models of `width` features, one for each arm from 1 on; arm 0 is the prior of those nobody tried.

    Learning marks what it touches; `settle` brings inverses and coefficients up to date, and must be called before
    they are asked for.
    """

    def __init__(self, width: int, prior: float, arms: int = 0) -> None:
        self.width = width
        self.prior = prior
        self.block = max(32, width)
        self._upper = np.triu_indices(width)
        self._square = np.empty((width, width), dtype=np.intp)  # where the triangle holds each entry
        self._square[self._upper] = np.arange(len(self._upper[0]))
        self._square.T[self._upper] = self._square[self._upper]
        diagonal = self._upper[0] == self._upper[1]
        self._twice = np.where(diagonal, np.float32(1), np.float32(2))
        self._untried = diagonal / prior
        self.b = np.zeros((1, width))
        self._inverses: dict[int, Floats] = {}  # A⁻¹, packed
        self._downdates: dict[int, Floats] = {}  # the v of young wide models, one in each row
        self._served = self._untried[None, :].astype(np.float32)
        self._served_theta = np.zeros((1, width), dtype=np.float32)
        self._explained = np.zeros(1)
        self._rows: list[list[Floats]] = [[]]  # observations since the arm's last block
        self._inside: list[int] = [0]  # how many of them A⁻¹ holds already; -1: it has to be made anew
        self._sums: dict[int, Floats] = {}  # Σ x xᵀ of whole blocks, packed
        self._stale: set[int] = set()
        self._factors: dict[int, Singles] = {}
        self.reserve(arms)

    def __len__(self) -> int:
        return len(self._rows) - 1

    def reserve(self, arms: int) -> None:
        """Make room for arms up to a number."""
        fresh = arms + 1 - len(self._rows)
        if fresh <= 0:
            return
        self._rows += [[] for _ in range(fresh)]
        self._inside += [0] * fresh
        if arms + 1 > len(self.b):
            room = max(arms + 1, 2 * len(self.b) if arms > 1 else 0)
            self.b, self._explained = _grown(self.b, room), _grown(self._explained, room)
            self._served, self._served_theta = _grown(self._served, room), _grown(self._served_theta, room)

    def learn(self, arms: Numbers, x: Floats, reward: Floats, first: NDArray[np.bool_]) -> None:
        """Take observations in, in order: features x (n, width) of arms (n,), reserved before.

        Where `first` is false, x was taken in before, and the reward is a difference to what it had then.
        """
        b, gained = self.b, x * reward[:, None]
        for place, (arm, new) in enumerate(zip(arms.tolist(), first.tolist(), strict=True)):
            b[arm] += gained[place]
            self._stale.add(arm)
            if new:
                self._observe(arm, x[place].copy())

    def fade(self, share: float) -> None:
        """Let all evidence so far count a share of what it does."""
        self.b *= share
        for sums in self._sums.values():
            sums *= share
        root = math.sqrt(share)
        for arm, rows in enumerate(self._rows):
            if rows or arm in self._sums:
                self._rows[arm] = [row * root for row in rows]
                self._inside[arm] = -1
                self._stale.add(arm)

    def settle(self) -> None:
        """Bring inverses and coefficients up to date."""
        for arm in sorted(self._stale):
            self._settle(arm)
        self._stale.clear()

    def solve(self, arm: int, x: Floats) -> Floats:
        """A⁻¹ x of one arm, all that it learned included, shape (width,)."""
        if arm in self._stale:
            self._settle(arm)
            self._stale.discard(arm)
        return self._solved(arm, x)

    @property
    def explained(self) -> float:
        """Σ bᵀθ over the arms: by how much Σ r² exceeds the least Σ (r - θᵀx)² + λ|θ|²."""
        return float(self._explained[: len(self._rows)].sum())

    def estimates(self, arms: Numbers, x: Singles) -> tuple[Singles, Singles]:
        """θᵀx and xᵀ A⁻¹ x of candidates with features x (n, width) and arms (n,), each of shape (n,)."""
        means = np.einsum("nd,nd->n", self._served_theta[arms], x)
        variances = np.empty(len(arms), dtype=np.float32)
        for start in range(0, len(arms), _CHUNK):
            part = slice(start, start + _CHUNK)
            np.einsum("np,np->n", self._served[arms[part]], self._packed(x[part]), out=variances[part])
        return means, np.maximum(variances, 0, out=variances)

    def grid(self, arms: Numbers, x: Singles) -> tuple[Singles, Singles]:
        """The same of every vector of x (m, width) with every one of arms (n,), each of shape (m, n)."""
        known = len(self._rows)
        squares = self._packed(x)
        # Where most arms are asked for, all of them are quicker than a copy of those.
        if 2 * len(arms) > known:
            means = (x @ self._served_theta[:known].T).take(arms, axis=1)
            variances = (squares @ self._served[:known].T).take(arms, axis=1)
        else:
            means, variances = x @ self._served_theta[arms].T, squares @ self._served[arms].T
        return means, np.maximum(variances, 0, out=variances)

    def inverses(self, arms: Numbers) -> Floats:
        """A⁻¹ of arms (n,), unpacked, shape (n, width, width)."""
        return np.array([self._inverse(arm) for arm in arms.tolist()])

    def factor(self, arm: int) -> Singles:
        """C with C Cᵀ = A⁻¹, shape (width, width): of one model that many candidates share."""
        if arm not in self._factors:
            self._factors[arm] = np.linalg.cholesky(self._inverse(arm)).astype(np.float32)
        return self._factors[arm]

    def coefficients(self, arm: int) -> Singles:
        """θ of one arm, shape (width,)."""
        theta: Singles = self._served_theta[arm]
        return theta

    def state(self, name: str) -> dict[str, Any]:
        """All of it, its names beginning with `name`."""
        rows = [row for rows in self._rows for row in rows]
        summed = sorted(self._sums)
        size = len(self._untried)
        return {
            f"{name}_b": self.b[: len(self._rows)].copy(),
            f"{name}_rows": np.array(rows).reshape(len(rows), self.width),
            f"{name}_waiting": np.array([len(rows) for rows in self._rows], dtype=np.int64),
            f"{name}_summed": np.array(summed, dtype=np.int64),
            f"{name}_sums": np.array([self._sums[arm] for arm in summed]).reshape(len(summed), size),
        }

    def load(self, name: str, state: Mapping[str, Any], arms: int) -> None:
        """Become what `state` gave, which must be of so many arms. Raises ValueError where it doesn't fit.

        Only for a model that has learned nothing.
        """
        b, rows, sums = (array_of(state, f"{name}_{part}", np.float64) for part in ("b", "rows", "sums"))
        waiting, summed = (array_of(state, f"{name}_{part}", np.int64) for part in ("waiting", "summed"))
        size = len(self._untried)
        shapes = {
            "b": (b.shape, (arms + 1, self.width)),
            "waiting": (waiting.shape, (arms + 1,)),
            "rows": (rows.shape, (int(waiting.sum()), self.width)),
            "summed": (summed.shape, (len(sums),)),
            "sums": (sums.shape, (len(sums), size)),
        }
        for part, (found, wanted) in shapes.items():
            if found != wanted:
                raise ValueError(
                    f"{name}_{part} has the shape {found}, and {wanted} would fit these features"
                )
        if (waiting < 0).any() or (waiting >= self.block).any() or waiting[0] or b[0].any():
            raise ValueError(
                f"{name}_waiting must be counts from 0 to {self.block - 1}, and nothing for arm 0"
            )
        if (np.diff(summed) <= 0).any() or not ((summed >= 1) & (summed <= arms)).all():
            raise ValueError(f"{name}_summed must be arms in ascending order")
        try:
            np.linalg.cholesky(sums[:, self._square] + self.prior * np.eye(self.width))
        except np.linalg.LinAlgError:
            raise ValueError(f"{name}_sums are no sums of squares of features") from None
        self.reserve(arms)
        self.b[: arms + 1] = b
        self._sums = {int(arm): line for arm, line in zip(summed.tolist(), sums, strict=True)}
        ends = np.cumsum(waiting).tolist()
        for arm in range(arms + 1):
            self._rows[arm] = list(rows[ends[arm] - int(waiting[arm]) : ends[arm]])
            self._inside[arm] = -1
        self._stale = set(range(1, arms + 1))
        self.settle()

    def _observe(self, arm: int, x: Floats) -> None:
        rows = self._rows[arm]
        rows.append(x)
        if len(rows) == self.block:
            block = np.array(rows)
            sums = (block.T @ block)[self._upper]
            if arm in self._sums:
                self._sums[arm] += sums
            else:
                self._sums[arm] = sums
            self._rows[arm] = []
            self._inside[arm] = -1

    def _settle(self, arm: int) -> None:
        rows, inside = self._rows[arm], self._inside[arm]
        if inside < 0:
            self._downdates.pop(arm, None)
            self._inverses.pop(arm, None)
            self._served[arm] = self._untried
            if arm in self._sums:
                self._inverses[arm] = self._inverted(self._sums[arm])
            inside = 0
        if self.width > _WIDE and arm not in self._sums:
            self._grow(arm, inside)
        else:
            inverse = self._inverses.get(arm)
            if inverse is None:
                inverse = self._inverses[arm] = self._untried.copy()
            for x in rows[inside:]:
                u = blas.dspmv(self.width, 1.0, inverse, x, lower=1)
                blas.dspr(self.width, -1.0 / (1.0 + x.dot(u)), u, inverse, lower=1, overwrite_ap=1)
            self._served[arm] = inverse
        self._inside[arm] = len(rows)
        b = self.b[arm]
        theta = self._solved(arm, b)
        self._served_theta[arm] = theta
        self._explained[arm] = b.dot(theta)
        self._factors.pop(arm, None)

    def _grow(self, arm: int, inside: int) -> None:
        """Take the observations from the `inside`th on into a young wide model."""
        rows, served = self._rows[arm], self._served[arm]
        kept = self._downdates.get(arm, np.empty((0, self.width)))
        if len(rows) > len(kept):
            kept = np.concatenate((kept[:inside], np.empty((2 * len(rows) - inside, self.width))))
            self._downdates[arm] = kept
        for place in range(inside, len(rows)):
            x, before = rows[place], kept[:place]
            u = x / self.prior
            u -= before.dot(x).dot(before)
            v = np.divide(u, math.sqrt(1.0 + x.dot(u)), out=kept[place])
            blas.sspr(self.width, -1.0, v.astype(np.float32), served, lower=1, overwrite_ap=1)

    def _solved(self, arm: int, x: Floats) -> Floats:
        """A⁻¹ x of one arm, as far as it has settled."""
        inverse = self._inverses.get(arm)
        if inverse is not None:
            solved: Floats = blas.dspmv(self.width, 1.0, inverse, x, lower=1)
            return solved
        solved = x / self.prior
        if arm in self._downdates:
            kept = self._downdates[arm][: self._inside[arm]]
            solved -= kept.dot(x).dot(kept)
        return solved

    def _inverse(self, arm: int) -> Floats:
        """A⁻¹ of one arm, shape (width, width)."""
        inverse = self._inverses.get(arm)
        if inverse is not None:
            return inverse[self._square]
        whole = np.eye(self.width) / self.prior
        if arm in self._downdates:
            kept = self._downdates[arm][: self._inside[arm]]
            whole -= kept.T @ kept
        return whole

    def _inverted(self, sums: Floats) -> Floats:
        whole = sums[self._square]
        whole[np.diag_indices(self.width)] += self.prior
        return cast(Floats, np.linalg.inv(whole)[self._upper])

    def _packed(self, x: Singles) -> Singles:
        packed: Singles = x.take(self._upper[0], axis=1)
        packed *= x.take(self._upper[1], axis=1)
        packed *= self._twice
        return packed


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
        self.shared = Ridges(shared, prior, arms=1)
        self.arms = Ridges(own, prior)
        self._mixed = np.zeros((1, own, shared))  # B_a = Σ x zᵀ
        self._served = np.zeros((1, own, shared), dtype=np.float32)  # G_a
        self._stale: set[int] = set()

    def reserve(self, arms: int) -> None:
        """Make room for arms up to a number."""
        self.arms.reserve(arms)
        room = len(self.arms.b)
        if room > len(self._mixed):
            self._mixed, self._served = _grown(self._mixed, room), _grown(self._served, room)

    def learn(self, arms: Numbers, z: Floats, x: Floats, reward: Floats, first: NDArray[np.bool_]) -> None:
        """Take observations in, as `Ridges.learn` does: shared features z (n, k), the arm's own x (n, d)."""
        one = np.ones(1, dtype=np.intp)
        for place, arm in enumerate(arms.tolist()):
            own, r, new = x[place], float(reward[place]), first[place : place + 1]
            u = self.arms.solve(arm, own)
            q = z[place] - u @ self._mixed[arm]
            if new[0]:
                root = math.sqrt(1.0 + own @ u)
                rest = (r - u @ self.arms.b[arm]) / root
                self.shared.learn(one, (q / root)[None, :], np.array([rest]), new)
                self._mixed[arm] += np.outer(own, z[place])
                self._stale.add(arm)
            else:
                self.shared.learn(one, q[None, :], reward[place : place + 1], new)
            self.arms.learn(arms[place : place + 1], own[None, :], reward[place : place + 1], new)

    def settle(self) -> None:
        """Bring inverses and coefficients up to date."""
        self.arms.settle()
        self.shared.settle()
        for arm in sorted(self._stale):
            self._served[arm] = self.arms.inverses(np.array([arm]))[0] @ self._mixed[arm]
        self._stale.clear()

    @property
    def explained(self) -> float:
        """As that of `Ridges`, of the joint model."""
        return self.shared.explained + self.arms.explained

    def estimates(self, arms: Numbers, z: Singles, x: Singles) -> tuple[Singles, Singles]:
        """Means and variances of candidates with shared features z (n, k) and arms (n,), each of shape (n,).

        The arms' features x are the same for all, shape (1, d).
        """
        (own,), (width,) = self.arms.grid(arms, x)
        known = len(self.arms) + 1
        if 2 * len(arms) > known:  # as in `Ridges.grid`
            q = z - np.matmul(x[0], self._served[:known]).take(arms, axis=0)
        else:
            q = z - np.matmul(x[0], self._served[arms])
        spread = q @ self.shared.factor(1)
        return q @ self.shared.coefficients(1) + own, np.einsum("nk,nk->n", spread, spread) + width

    def state(self) -> dict[str, Any]:
        """All of it."""
        mixed = self._mixed[: len(self.arms) + 1].copy()
        return {**self.shared.state("shared"), **self.arms.state("arm"), "mixed": mixed}

    def load(self, state: Mapping[str, Any], arms: int) -> None:
        """Become what `state` gave, as `Ridges.load` does."""
        mixed = array_of(state, "mixed", np.float64)
        if mixed.shape != (wanted := (arms + 1, *self._mixed.shape[1:])):
            raise ValueError(f"mixed has the shape {mixed.shape}, and {wanted} would fit these features")
        self.shared.load("shared", state, 1)
        self.arms.load("arm", state, arms)
        self.reserve(arms)
        self._mixed[: arms + 1] = mixed
        self._stale = set(range(1, arms + 1))
        self.settle()


def _grown(kept: NDArray[Any], room: int) -> NDArray[Any]:
    """With room for more arms, each as the first one, that nobody tried."""
    grown = np.empty((room, *kept.shape[1:]), dtype=kept.dtype)
    grown[: len(kept)] = kept
    grown[len(kept) :] = kept[0]
    return grown


def array_of(state: Mapping[str, Any], name: str, dtype: type[np.generic]) -> NDArray[Any]:
    """An array of finite numbers out of a state, copied. Raises ValueError where it isn't there or isn't that."""
    if name not in state:
        raise ValueError(f"the state has no {name!r}")
    try:
        found = np.array(state[name], dtype=dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} must be numbers: {error}") from None
    if not np.isfinite(found).all():
        raise ValueError(f"{name} must be finite")
    return found
