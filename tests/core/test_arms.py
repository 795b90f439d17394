"""Arms: numbers for what was learned of, found again for candidates however the catalogue changes."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tastemaker.core import Arms, Candidates, Catalog, ItemSchema

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "remove", "learn", "look"]),
        st.lists(st.integers(0, 15), min_size=1, max_size=5),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_candidates_find_their_arms_whatever_came_first(steps: list[tuple[str, list[int]]]) -> None:
    catalog, arms = Catalog(ItemSchema({})), Arms()
    learned: dict[str, int] = {}
    for step, numbers in steps:
        ids = [f"i{number}" for number in numbers]
        if step == "put":
            catalog.put([(identity, {}) for identity in ids])
        elif step == "remove":
            catalog.remove(ids)
        elif step == "learn":
            for identity, arm in zip(ids, arms.learned(ids).tolist(), strict=True):
                assert learned.setdefault(identity, arm) == arm
        snapshot = catalog.snapshot()
        everything = Candidates(snapshot, snapshot.live)
        assert arms.of(everything).tolist() == [learned.get(identity, 0) for identity in everything.ids]
    assert arms.known([f"i{number}" for number in range(16)]).tolist() == [
        learned.get(f"i{number}", 0) for number in range(16)
    ]
    assert arms.ids == sorted(learned, key=learned.__getitem__)
    assert Arms(arms.ids).known(arms.ids).tolist() == list(range(1, len(arms) + 1))


def test_two_catalogues_do_not_mix() -> None:
    one, two, arms = Catalog(ItemSchema({})), Catalog(ItemSchema({})), Arms()
    one.put([("a", {}), ("b", {})])
    two.put([("b", {}), ("a", {})])
    arms.learned(["a"])
    for _ in range(2):
        assert arms.of(Candidates(one.snapshot(), np.arange(2))).tolist() == [1, 0]
        assert arms.of(Candidates(two.snapshot(), np.arange(2))).tolist() == [0, 1]


def test_an_older_snapshot_finds_its_arms_too() -> None:
    catalog, arms = Catalog(ItemSchema({})), Arms()
    catalog.put([("a", {})])
    old = Candidates(catalog.snapshot(), np.array([0]))
    catalog.put([("b", {})])
    arms.learned(["b", "a"])
    assert arms.of(Candidates(catalog.snapshot(), np.arange(2))).tolist() == [2, 1]
    assert arms.of(old).tolist() == [2]
