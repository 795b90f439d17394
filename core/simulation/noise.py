"""Random numbers that belong to things: the same for the same seed and keys, in whatever order they are asked for.

Both arms of an experiment ask different questions of the same people; numbers keyed by person, item and round make
the answers differ only where the slates do. Each number is the splitmix64 finaliser (Steele et al. 2014, figure 16)
over the keys, which passes for independent.
"""

from hashlib import blake2b
from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

Keys = NDArray[np.uint64]
Floats = NDArray[np.float64]

_STEP, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_ALL = 2**64 - 1


def name_keys(names: ArrayLike) -> Keys:
    """A number for each of n texts, shape (n,); the same text has the same number everywhere."""
    texts = np.asarray(names, dtype=object).tolist()
    return np.array([_key(text) for text in texts], dtype=np.uint64)


def uniform(seed: int, *keys: ArrayLike | int) -> Floats:
    """A number between 0 and 1, both excluded, for each combination of keys; keys broadcast.

    >>> one, other = uniform(1, 2, np.array([3, 4]))
    >>> bool(uniform(1, 2, 3) == one), bool(one != other), bool(0 < one < 1)
    (True, True, True)
    """
    state: int | Keys = _mixed(seed % 2**64)
    for key in keys:
        mixed = _mixed(
            int(key) if isinstance(key, int | np.integer) else np.array(key, dtype=np.uint64, ndmin=1)
        )
        if isinstance(state, int) and isinstance(mixed, int):
            state = _mixed(state ^ mixed)
        else:
            state = _mixed(np.array(state, np.uint64, ndmin=1) ^ np.array(mixed, np.uint64, ndmin=1))
    if isinstance(state, int):
        return np.asarray(((state >> 12) + 0.5) / 2**52)
    return ((state >> np.uint64(12)).astype(np.float64) + 0.5) / 2**52


def logistic(seed: int, *keys: ArrayLike | int) -> Floats:
    """The same from the standard logistic distribution: below x with probability 1 / (1 + e^-x)."""
    share = uniform(seed, *keys)
    drawn: Floats = np.log(share) - np.log1p(-share)
    return drawn


def normal(seed: int, *keys: ArrayLike | int) -> Floats:
    """The same from the standard normal distribution."""
    return np.asarray(ndtri(uniform(seed, *keys)), dtype=np.float64)


def _key(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


@overload
def _mixed(state: int) -> int: ...
@overload
def _mixed(state: Keys) -> Keys: ...
def _mixed(state: int | Keys) -> int | Keys:
    """Plain numbers by plain arithmetic, arrays of at least one axis by numpy's, which wraps around in silence."""
    if isinstance(state, int):
        state = (state + _STEP) & _ALL
        state = ((state ^ (state >> 30)) * _FIRST) & _ALL
        state = ((state ^ (state >> 27)) * _SECOND) & _ALL
        return state ^ (state >> 31)
    state = state + np.uint64(_STEP)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(_FIRST)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(_SECOND)
    mixed: Keys = state ^ (state >> np.uint64(31))
    return mixed
