"""The inverse of a matrix that grows by one square of a vector after the other.

By the formula of Sherman and Morrison, x xᵀ on top of A takes u uᵀ / c from A⁻¹, with u = A⁻¹x and c = 1 + xᵀu. Of few
columns, A⁻¹ is packed and changed in place. Of many, it is kept as P - VᵀV with v = u / √c in each row of V, so that no
matrix is written, and in the beginning, when P is I/λ, there is none: A⁻¹x costs two products with as many rows as
there were squares. Now and then V is taken into P.

BLAS's options are passed by position: a first keyword costs half a microsecond, as much as a product of this size.
"""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import dgemm, dgemv, dscal, dspmv, dspr, dsymm, dsymv, dsyrk, sspr
from scipy.linalg.lapack import dpotrf, dtrtri

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Numbers = NDArray[np.intp]

_NARROW = 32  # columns up to which a packed matrix is quicker
_ROWS = 64  # of V, before it is taken into P


class Narrow:
    """Of up to 32 columns."""

    __slots__ = ("_packed", "_width")

    def __init__(self, width: int, prior: float, p: Floats | None) -> None:
        self._width = width
        self._packed = (np.eye(width) / prior if p is None else p.T).take(upper(width))

    def solve(self, x: Floats) -> Floats:
        """A⁻¹x, shape (width,)."""
        return dspmv(self._width, 1.0, self._packed, x, 1, 0, 0.0, None, 1, 0, 1)

    def take(self, u: Floats, share: float, _: Singles | None) -> None:
        """Take u uᵀ · share from it; u is used up."""
        dspr(self._width, -share, u, self._packed, 1, 0, 1, 1)

    def serve(self, triangle: Singles) -> None:
        """Bring a packed copy up to date, as far as `take` didn't."""
        triangle[:] = self._packed

    def times(self, b: Floats) -> Floats:
        """A⁻¹ b, of b (width, k)."""
        return self.whole() @ b

    def whole(self) -> Floats:
        """A⁻¹, shape (width, width)."""
        return self._packed.take(square(self._width))


class Wide:
    """Of more columns."""

    __slots__ = ("_p", "_prior", "_rows", "_v")

    def __init__(self, width: int, prior: float, p: Floats | None) -> None:
        self._prior = prior
        self._p = p  # its lower triangle; None is I/λ
        self._v = np.empty((4, width))
        self._rows = 0  # of V

    def solve(self, x: Floats) -> Floats:
        """A⁻¹x, shape (width,)."""
        v = self._v[: self._rows]
        if self._p is not None:
            u = dsymv(1.0, self._p, x, 0.0, None, 0, 1, 0, 1, 1)
            return dgemv(-1.0, v.T, v.dot(x), 1.0, u, 0, 1, 0, 1, 0, 1) if self._rows else u
        return dgemv(-1.0, v.T, v.dot(x), 1.0 / self._prior, x) if self._rows else x / self._prior

    def take(self, u: Floats, share: float, triangle: Singles | None) -> None:
        """Take u uᵀ · share from it, and from a packed copy; u is used up."""
        v = dscal(math.sqrt(share), u)
        if triangle is not None:
            sspr(len(v), -1.0, v, triangle, 1, 0, 1, 1)
        if self._rows == len(self._v):
            self._make_room()
        self._v[self._rows] = v
        self._rows += 1

    def serve(self, triangle: Singles) -> None:
        """Nothing is left to do."""

    def times(self, b: Floats) -> Floats:
        """A⁻¹ b, of b (width, k)."""
        v = self._v[: self._rows]
        if self._p is None:
            return dgemm(-1.0, v.dot(b).T, v.T, 1.0 / self._prior, b.T, 0, 1).T
        p = dsymm(1.0, self._p, b.T, side=1, lower=1)
        return dgemm(-1.0, v.dot(b).T, v.T, 1.0, p, 0, 1, 1).T

    def whole(self) -> Floats:
        """A⁻¹, shape (width, width)."""
        v = self._v[: self._rows]
        p = np.eye(v.shape[1]) / self._prior if self._p is None else np.tril(self._p)
        return p + np.tril(p, -1).T - v.T @ v

    def _make_room(self) -> None:
        width = self._v.shape[1]
        # A product with P costs what one with half as many rows of V does.
        most = max(_ROWS, width // 2) if self._p is None else _ROWS
        if self._rows < most:
            self._v = longer(self._v, most)
            return
        p = np.eye(width, order="F") / self._prior if self._p is None else self._p
        self._p = dsyrk(-1.0, self._v.T, 1.0, p, lower=1, overwrite_c=1)
        self._v, self._rows = self._v[:_ROWS], 0


def inverse_of(width: int, prior: float, p: Floats | None = None) -> Narrow | Wide:
    """An inverse that begins as I/λ, or as p, of which the lower triangle counts."""
    return (Narrow if width <= _NARROW else Wide)(width, prior, p)


def inverted(sum_x: Floats, prior: float, width: int) -> tuple[Floats, Floats]:
    """The lower triangle of A⁻¹, A = λI + Σ x xᵀ, and C with C Cᵀ = A⁻¹, each of shape (width, width).

    sum_x: Σ x xᵀ, packed. Raises LinAlgError where A is not positive definite.
    """
    a = np.zeros((width, width))
    a.ravel()[upper(width)] = sum_x
    a[np.diag_indices(width)] += prior
    root, failed = dpotrf(a.T, lower=1, overwrite_a=1)
    if failed:
        raise np.linalg.LinAlgError("these are no sums of squares of features")
    half = dtrtri(root, lower=1, overwrite_c=1)[0]
    return dsyrk(1.0, half, trans=1, lower=1), half.T


@cache
def upper(width: int) -> Numbers:
    """The places of the upper triangle in a flat square, row by row."""
    rows, columns = np.triu_indices(width)
    return rows * width + columns


@cache
def square(width: int) -> Numbers:
    """Where such a triangle holds each entry of the square, shape (width, width)."""
    places = np.empty((width, width), dtype=np.intp)
    triangle = np.triu_indices(width)
    places[triangle] = places.T[triangle] = np.arange(len(triangle[0]))
    return places


def longer(rows: Floats, most: int) -> Floats:
    """The same with room for more rows."""
    grown = np.empty((min(2 * len(rows) + 8, most), rows.shape[1]))
    grown[: len(rows)] = rows
    return grown
