"""States as bytes: what goes in comes out, and nothing else is taken for a state."""

import math
import pickle
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tastemaker.core.agent import state_digest
from tastemaker.core.learning.packing import pack, unpack

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=8)
ARRAYS = hnp.arrays(
    st.sampled_from([np.float64, np.float32, np.int64, np.bool_, np.uint64]),
    hnp.array_shapes(min_side=0, max_dims=3),
)
PLAIN = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.lists(st.text())
)


@given(
    st.dictionaries(
        NAMES | st.sampled_from(["file", "plain", "allow_pickle", "x.npy", "a/b"]), ARRAYS | PLAIN
    )
)
def test_what_is_packed_comes_back_to_the_last_bit(state: dict[str, Any]) -> None:
    found = unpack(pack(state))
    assert set(found) == set(state)
    assert state_digest(found) == state_digest(state)


def test_numbers_of_numpy_and_odd_floats_are_numbers() -> None:
    found = unpack(
        pack({"a": np.float64(0.5), "b": np.int64(2**62), "c": math.nan, "d": math.inf, "e": 2**100})
    )
    assert (found["a"], found["b"], found["d"], found["e"]) == (0.5, 2**62, math.inf, 2**100)
    assert math.isnan(found["c"])


@pytest.mark.parametrize(
    "state",
    [{"x": object()}, {"x": b"bytes"}, {"x": np.array([object()])}, {"x": [np.zeros(2)]}, {"x": {1, 2}}],
)
def test_what_is_no_state_is_refused(state: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="can't be saved"):
        pack(state)


@pytest.mark.parametrize("packed", [b"", b"x" * 100, pickle.dumps({"a": 1}), pack({"a": np.arange(9)})[:-30]])
def test_bytes_that_are_no_state_are_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match="no saved state"):
        unpack(packed)


def test_every_flipped_byte_is_refused_or_read_as_another_state_without_running_code() -> None:
    packed = bytearray(pack({"ids": ["emma"], "count": np.arange(3.0)}))
    for place in range(len(packed)):
        packed[place] ^= 0xFF
        with suppress(ValueError):
            assert isinstance(unpack(bytes(packed)), dict)
        packed[place] ^= 0xFF
