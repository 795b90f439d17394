"""The inverse of a matrix that grows by squares of vectors: in place or as P - VᵀV, it is the explicit one."""

import numpy as np
import pytest
from tastemaker.policies.inverse import Narrow, Wide, inverse_of, inverted, upper


@pytest.mark.parametrize(("width", "kind"), [(1, Narrow), (32, Narrow), (33, Wide), (150, Wide)])
@pytest.mark.parametrize("summed", [False, True])
def test_every_square_is_taken_from_it(width: int, kind: type, summed: bool) -> None:
    rng = np.random.default_rng(0)
    before, x = rng.normal(size=(2 * width, width)), rng.normal(size=(170, width))
    a = 0.5 * np.eye(width) + (before.T @ before if summed else 0.0)
    p, factor = inverted((before.T @ before).take(upper(width)), 0.5, width) if summed else (None, None)
    found = inverse_of(width, 0.5, p)
    assert isinstance(found, kind)
    triangle = np.linalg.inv(a).take(upper(width)).astype(np.float32)
    if factor is not None:
        np.testing.assert_allclose(factor @ factor.T, np.linalg.inv(a), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.times(before.T), np.linalg.solve(a, before.T), rtol=1e-9, atol=1e-11)
    for step, row in enumerate(x):
        u = found.solve(row)
        found.take(u, 1.0 / (1.0 + float(row @ u)), triangle)
        found.serve(triangle)
        a += np.outer(row, row)
        if step in (0, 30, 64, 128, 169):
            inverse = np.linalg.inv(a)
            np.testing.assert_allclose(found.whole(), inverse, rtol=1e-10, atol=1e-12)
            np.testing.assert_array_equal(found.whole(), found.whole().T)
            np.testing.assert_allclose(found.solve(x[0]), inverse @ x[0], rtol=1e-9, atol=1e-11)
            np.testing.assert_allclose(found.times(before.T), inverse @ before.T, rtol=1e-9, atol=1e-11)
            np.testing.assert_allclose(triangle, inverse.take(upper(width)), rtol=1e-4, atol=1e-6)
