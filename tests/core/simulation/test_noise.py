"""Random numbers that belong to things."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from tastemaker.core.simulation.noise import logistic, name_keys, normal, uniform

KEYS = st.integers(0, 2**64 - 1)


@given(KEYS, KEYS, KEYS)
def test_it_lies_between_0_and_1_and_hangs_on_its_keys_alone(seed: int, person: int, item: int) -> None:
    alone = float(uniform(seed, person, item))
    among = uniform(seed, person, np.array([1, item, 2], dtype=np.uint64))
    assert 0 < alone < 1
    assert among[1] == alone


def test_numbers_are_evenly_spread_and_don_t_hang_together() -> None:
    grid = uniform(3, np.arange(200)[:, None], np.arange(200)[None, :])
    assert stats.kstest(grid.ravel(), "uniform").pvalue > 0.001
    assert abs(np.corrcoef(grid[:-1].ravel(), grid[1:].ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(grid[:, :-1].ravel(), grid[:, 1:].ravel())[0, 1]) < 0.02
    assert (
        abs(np.corrcoef(grid.ravel(), uniform(4, np.arange(200)[:, None], np.arange(200)).ravel())[0, 1])
        < 0.02
    )


def test_the_order_of_keys_matters() -> None:
    assert uniform(1, 2, 3) != uniform(1, 3, 2)


def test_distributions_are_what_they_are_called() -> None:
    keys = name_keys([f"item {number}" for number in range(20_000)])
    assert len(np.unique(keys)) == len(keys)
    assert stats.kstest(logistic(1, keys), "logistic").pvalue > 0.001
    assert stats.kstest(normal(1, keys), "norm").pvalue > 0.001
