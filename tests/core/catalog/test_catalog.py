"""The catalogue: columns that change while snapshots of them stay as they are."""

import sys
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tastemaker.core import Catalog, CatalogSnapshot, ItemSchema, UnknownColumn

FIELDS: dict[str, Any] = {
    "title": "text",
    "rating": "number",
    "genre": "category",
    "moods": "tags",
    "available": "flag",
    "published": "time",
}
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "title": st.text(min_size=1, max_size=5),
        "rating": st.integers(-5, 5).map(float),
        "genre": st.sampled_from(["jazz", "rock", "folk"]),
        "moods": st.lists(st.sampled_from("abcd"), unique=True, min_size=1, max_size=3),
        "available": st.booleans(),
        "published": st.integers(0, 10**10).map(float),
    },
)
IDS = st.sampled_from([f"i{number}" for number in range(12)])


def contents(snapshot: CatalogSnapshot) -> dict[str, dict[str, Any]]:
    return {str(snapshot.ids[row]): snapshot.item(int(row)) for row in snapshot.live}


class Changes(RuleBasedStateMachine):
    """Against a dictionary: every snapshot ever taken goes on showing what was there then."""

    def __init__(self) -> None:
        super().__init__()
        self.catalog = Catalog(ItemSchema(FIELDS))
        self.model: dict[str, dict[str, Any]] = {}
        self.taken: list[tuple[CatalogSnapshot, dict[str, Any]]] = []
        self.rows: dict[str, int] = {}

    @rule(items=st.lists(st.tuples(IDS, VALUES), max_size=6))
    def put(self, items: list[tuple[str, dict[str, Any]]]) -> None:
        self.catalog.put(items)
        self.model.update(items)

    @rule(ids=st.lists(IDS | st.just("unknown"), max_size=4))
    def remove(self, ids: list[str]) -> None:
        self.catalog.remove(ids)
        for identity in ids:
            self.model.pop(identity, None)

    @rule()
    def take(self) -> None:
        self.taken.append((self.catalog.snapshot(), dict(self.model)))

    @invariant()
    def nothing_changes_under_a_snapshot(self) -> None:
        for snapshot, model in [*self.taken[-4:], (self.catalog.snapshot(), self.model)]:
            assert contents(snapshot) == model
            assert {name for name in self.model if snapshot.row(name) >= 0} <= set(model)
            for name in model:
                row = snapshot.row(name)
                assert self.rows.setdefault(name, row) == row, "a row is its item's for ever"


Changes.TestCase.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
TestChanges = Changes.TestCase


class TestColumns:
    @pytest.fixture
    def snapshot(self) -> CatalogSnapshot:
        catalog = Catalog(ItemSchema(FIELDS))
        catalog.put(
            [("a", {"rating": 0.1, "genre": "jazz", "moods": ["x", "y"], "available": False}), ("b", {})]
        )
        return catalog.snapshot()

    def test_they_are_kept_in_their_types_with_gaps_where_nothing_is_known(
        self, snapshot: CatalogSnapshot
    ) -> None:
        rating = snapshot.column("rating")
        assert rating.dtype == np.float32
        assert np.isnan(rating[1])
        assert snapshot.column("available").tolist() == [0, -1]
        assert snapshot.column("genre").tolist() == [0, -1]
        assert snapshot.column("title").tolist() == ["", ""]
        assert np.isnan(snapshot.column("published")).all()
        assert snapshot.item(0) == {"rating": 0.1, "genre": "jazz", "moods": ["x", "y"], "available": False}

    def test_nobody_can_write_into_them(self, snapshot: CatalogSnapshot) -> None:
        for name in ("rating", "genre", "title"):
            with pytest.raises(ValueError, match="read-only"):
                snapshot.column(name)[0] = 0

    @pytest.mark.parametrize(
        ("name", "said"),
        [("ratng", "did you mean 'rating'?"), ("moods", "holds tags: use tags()"), ("id", "known:")],
    )
    def test_an_unknown_one_is_refused_with_the_nearest(
        self, snapshot: CatalogSnapshot, name: str, said: str
    ) -> None:
        with pytest.raises(UnknownColumn) as error:
            snapshot.column(name)
        assert said in str(error.value)

    def test_rows_of_ids(self, snapshot: CatalogSnapshot) -> None:
        assert snapshot.rows(["b", "nobody", "a"]).tolist() == [1, -1, 0]

    def test_holds_tells_whether_an_item_is_there_as_it_is(self, snapshot: CatalogSnapshot) -> None:
        values: dict[str, Any] = {"rating": 0.1, "genre": "jazz", "moods": ["x", "y"], "available": False}
        assert snapshot.holds("a", values)
        assert not snapshot.holds("a", {**values, "rating": 0.2})
        assert not snapshot.holds("a", {"rating": 0.1})
        assert not snapshot.holds("nobody", {})
        assert snapshot.holds("b", {})

    @pytest.mark.parametrize("number", [123_456_789.0, 16_777_217.0, 1 / 3, 1e-30, 3e38])
    def test_holds_knows_that_numbers_are_kept_in_float32(self, number: float) -> None:
        catalog = Catalog(ItemSchema(FIELDS))
        catalog.put([("a", {"rating": number})])
        assert catalog.snapshot().holds("a", {"rating": number})

    def test_what_is_made_for_a_snapshot_is_made_once(self, snapshot: CatalogSnapshot) -> None:
        made: list[int] = []
        for _ in range(3):
            snapshot.cached("key", lambda: made.append(1))
        assert made == [1]


def test_ten_thousand_items_put_twice_are_still_ten_thousand() -> None:
    catalog = Catalog(ItemSchema(FIELDS))
    for turn in (0.0, 1.0):
        catalog.put([(f"i{number}", {"rating": turn, "moods": ["a"]}) for number in range(10_000)])
    assert len(catalog.snapshot()) == 10_000
    assert (catalog.snapshot().column("rating") == 1.0).all()


def test_snapshots_taken_while_it_changes_are_whole() -> None:
    catalog = Catalog(ItemSchema(FIELDS))
    done = threading.Event()
    faults: list[Any] = []

    def read() -> None:
        while not done.is_set():
            snapshot = catalog.snapshot()
            sizes = {
                len(snapshot.column(name)) for name in ("title", "rating", "genre", "available", "published")
            }
            rating, published = snapshot.column("rating"), snapshot.column("published")
            indptr, _ = snapshot.tags("moods").runs(np.arange(len(snapshot)))
            known = {len(snapshot.ids), len(snapshot.alive), len(indptr) - 1}
            if sizes | known != {len(snapshot)}:
                faults.append(sizes | known)
            if not np.array_equal(rating.astype(float), published):
                faults.append("an item is half of one turn and half of another")
            if "" in snapshot.ids:
                faults.append("an item without an id")

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for turn in range(100):
        catalog.put(
            [
                (f"i{number}", {"rating": float(turn), "published": float(turn), "moods": ["a"] * (turn % 2)})
                for number in range(turn, turn + 40)
            ]
        )
        if turn % 10 == 0:
            catalog.remove([f"i{turn}"])
    done.set()
    for reader in readers:
        reader.join()
    sys.setswitchinterval(interval)
    assert faults == []
