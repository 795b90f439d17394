"""A slate comes out of the log as it went in."""

from typing import Any

import numpy as np
import orjson
from hypothesis import given
from hypothesis import strategies as st
from tastemaker.core import Degradation, Pick, Slate

TEXT = st.text(st.characters(codec="utf-8"), max_size=6)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
PLAIN: Any = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | NUMBER | TEXT | st.lists(NUMBER, max_size=3)
)


@given(
    st.builds(
        Slate,
        id=TEXT,
        domain=TEXT,
        user=TEXT,
        time=st.floats(0, 1e11),
        picks=st.lists(
            st.builds(
                Pick, TEXT, st.integers(0, 99), NUMBER, st.floats(0, 1), st.dictionaries(TEXT, NUMBER, max_size=2),
                st.lists(TEXT, max_size=2), st.booleans(),
            ),
            max_size=3,
        ).map(tuple),
        size=st.integers(1, 500),
        seed=st.integers(0, 2**56),
        config=TEXT,
        log=st.integers(0, 2**53),
        situation=st.dictionaries(TEXT, PLAIN, max_size=3),
        exclude=st.lists(TEXT, max_size=3),
        knobs=st.dictionaries(TEXT, PLAIN, max_size=3),
        memo=st.dictionaries(TEXT, st.dictionaries(TEXT, PLAIN, max_size=2), max_size=2),
        versions=st.dictionaries(TEXT, st.integers(0, 2**53), max_size=2),
        degraded=st.lists(st.builds(Degradation, TEXT, TEXT), max_size=2).map(tuple),
        considered=st.integers(0, 10**6),
        removed=st.dictionaries(TEXT, st.integers(0, 10**6), max_size=2),
        fates=st.none() | st.dictionaries(TEXT, st.dictionaries(TEXT, PLAIN, max_size=2), max_size=2),
    )
)  # fmt: skip
def test_round_trip(slate: Slate) -> None:
    body = slate.to_bytes()
    again = Slate.from_bytes(slate.id, slate.domain, slate.user, body)
    assert again == slate
    assert again.to_bytes() == body
    answer = slate.answer(str.upper, parts=True, trace=True)
    assert [(told["id"], told["item"], told["parts"]) for told in answer["items"]] == [
        (pick.item, pick.item.upper(), pick.parts) for pick in slate.picks
    ]
    assert orjson.loads(orjson.dumps(answer))["trace"]["considered"] == slate.considered
    assert "trace" not in slate.answer(str.upper, parts=False, trace=False)


def test_arrays_and_numbers_of_numpy_are_written_as_lists_and_numbers() -> None:
    memo = {"taste": {"context": {"arm": np.int64(3), "weights": np.arange(3.0)}}}
    slate = Slate("s", "books", "ann", 1.0, (), 3, 4, "digest", memo=memo)
    again = Slate.from_bytes("s", "books", "ann", slate.to_bytes())
    assert again.memo == {"taste": {"context": {"arm": 3, "weights": [0.0, 1.0, 2.0]}}}
