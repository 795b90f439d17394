"""The vector index: exact for small catalogues, cells of faiss for large ones."""

import logging
import subprocess
import sys
import threading
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tastemaker.core.catalog import retrieval
from tastemaker.core.catalog.retrieval import VectorIndex

DIMENSIONS = 4
ROWS = 40

entries = st.one_of(
    st.integers(-3, 3).map(float),
    st.floats(-1, 1, width=32),
    st.sampled_from([0.0, 1e-30, 1e30, np.nan, np.inf, -np.inf]),
)
vectors = st.lists(entries, min_size=DIMENSIONS, max_size=DIMENSIONS)
puts = st.lists(st.tuples(st.integers(0, ROWS - 1), vectors), max_size=12)
removals = st.lists(st.integers(0, ROWS + 5), max_size=6)
changes = st.lists(st.one_of(puts.map(lambda pairs: ("put", pairs)), removals.map(lambda r: ("remove", r))))


@dataclass
class Plain:
    """What an index should hold, one row at a time in float64."""

    held: dict[int, NDArray[np.float64]] = field(default_factory=dict)

    def put(self, row: int, vector: list[float]) -> None:
        self.held.pop(row, None)
        given = np.array(vector, np.float64)
        if np.isfinite(given).all() and given.any():
            self.held[row] = given / np.linalg.norm(given)

    def cosines(self, query: NDArray[np.float64], allowed: NDArray[np.bool_] | None) -> dict[int, float]:
        unit = query / np.linalg.norm(query)
        rows = [row for row in self.held if allowed is None or (row < len(allowed) and allowed[row])]
        return {row: float(self.held[row] @ unit) for row in rows}


def apply(changes: list[tuple[str, list]], index: VectorIndex, *, settled: bool = False) -> Plain:
    plain = Plain()
    for kind, what in changes:
        if kind == "put":
            rows = np.array([row for row, _ in what], np.intp)
            index.put(rows, np.array([vector for _, vector in what], np.float32).reshape(-1, DIMENSIONS))
            for row, vector in what:
                plain.put(row, vector)
        else:
            index.remove(np.array(what, np.intp))
            for row in what:
                plain.held.pop(row, None)
        if settled:
            index.settle()
    return plain


def agrees(index: VectorIndex, plain: Plain, tolerance: float) -> None:
    every = np.arange(ROWS + 10)
    expected = np.zeros((len(every), DIMENSIONS))
    for row, vector in plain.held.items():
        expected[row] = vector
    assert len(index) == len(plain.held)
    assert index.has(every).tolist() == [row in plain.held for row in every]
    np.testing.assert_allclose(index.take(every), expected, atol=tolerance)


def answers(
    index: VectorIndex, plain: Plain, query: list[float], k: int, allowed: list[bool] | None, tolerance: float
) -> None:
    mask = None if allowed is None else np.array(allowed, np.bool_)
    rows, cosines = index.search(np.array(query, np.float32), k, allowed=mask)
    expected = plain.cosines(np.array(query), mask)
    best = sorted(expected.values(), reverse=True)[:k]
    assert len(set(rows.tolist())) == len(rows) == len(best)
    np.testing.assert_allclose(cosines, best, atol=tolerance)
    np.testing.assert_allclose(cosines, [expected[row] for row in rows.tolist()], atol=tolerance)
    assert list(zip(-cosines, rows, strict=True)) == sorted(zip(-cosines, rows, strict=True))


directions = st.lists(st.integers(-4, 4).map(float), min_size=DIMENSIONS, max_size=DIMENSIONS).filter(any)
masks = st.none() | st.lists(st.booleans(), max_size=ROWS + 5)


@given(changes, directions, st.integers(0, ROWS + 5), masks)
def test_exact_answers_are_those_of_a_plain_scan(changes, query, k, allowed):
    index = VectorIndex(DIMENSIONS)
    plain = apply(changes, index)
    assert index.exact
    agrees(index, plain, 1e-6)
    answers(index, plain, query, k, allowed, 1e-6)


@given(changes, directions, st.integers(1, ROWS))
def test_exact_answers_depend_on_the_content_alone(changes, query, k):
    index, fresh = VectorIndex(DIMENSIONS), VectorIndex(DIMENSIONS)
    apply(changes, index)
    latest: dict[int, list[float]] = {}
    for kind, what in changes:
        for one in what:
            if kind == "put":
                latest[one[0]] = one[1]
            else:
                latest.pop(one, None)
    for row, vector in sorted(latest.items(), reverse=True):
        fresh.put(np.array([row]), np.array([vector], np.float32))
    for one, other in zip(index.search(query, k), fresh.search(query, k), strict=True):
        np.testing.assert_array_equal(one, other)


@settings(max_examples=60, deadline=None)
@given(changes, directions, masks, st.booleans())
def test_a_large_catalogue_loses_and_repeats_nothing(changes, query, allowed, settled):
    """With every row asked for, cells give each row once, whatever was put, replaced or removed meanwhile."""
    index = VectorIndex(DIMENSIONS, exact_limit=3)
    plain = apply(changes, index, settled=settled)
    index.settle()
    tolerance = 1e-6 if index.exact else 0.02
    agrees(index, plain, tolerance)
    answers(index, plain, query, ROWS, allowed, tolerance)
    index.rebuild()
    answers(index, plain, query, ROWS, allowed, tolerance)


def test_many_replacements_neither_grow_the_index_nor_lose_a_row():
    rng = np.random.default_rng(1)
    for limit in (1_000, 100):
        index = VectorIndex(8, exact_limit=limit)
        latest = np.zeros((500, 8), np.float32)
        for _ in range(200):
            rows = rng.choice(500, 50, replace=False)
            latest[rows] = rng.standard_normal((50, 8))
            index.put(rows, latest[rows])
        index.settle()
        expected = latest / np.maximum(np.linalg.norm(latest, axis=1, keepdims=True), 1e-9)
        np.testing.assert_allclose(index.take(np.arange(500)), expected, atol=0.01)
        assert len(index) == 500
        assert index.nbytes < 250_000
        rows, _ = index.search(expected[3], 500)
        assert sorted(rows.tolist()) == list(range(500))


def clustered(count: int, dimensions: int, seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((count // 500, 16))
    within = centres[rng.integers(0, len(centres), count)] + 0.7 * rng.standard_normal((count, 16))
    return np.asarray(within @ rng.standard_normal((16, dimensions)), np.float32)


@pytest.fixture
def held_up(monkeypatch) -> threading.Event:
    """Cells are not used before this is set."""
    made, go_on = retrieval._cells, threading.Event()

    def slowly(*given):
        found = made(*given)
        go_on.wait()
        return found

    monkeypatch.setattr(retrieval, "_cells", slowly)
    return go_on


def test_what_changes_while_cells_are_made_is_in_them(held_up):
    latest, first = clustered(9_000, 16, 9), clustered(6_000, 16, 10)
    index = VectorIndex(16, exact_limit=5_000)
    index.put(np.arange(6_000), first)
    for rows in np.array_split(np.arange(6_000), 8):
        index.put(rows, latest[rows])
        index.remove(rows[:100])
        index.put(rows[:90], latest[rows[:90]])
        index.remove(rows[90:100])
    index.put(np.arange(6_000, 9_000), latest[6_000:])
    assert index.exact
    held_up.set()
    index.settle()
    assert not index.exact
    unit = latest / np.linalg.norm(latest, axis=1, keepdims=True)
    held = index.has(np.arange(9_000))
    assert np.count_nonzero(held) == len(index) == 8_920
    np.testing.assert_allclose(index.take(np.arange(9_000)), unit * held[:, None], atol=0.01)
    rows, cosines = index.search(unit[3], 9_000)
    assert sorted(rows.tolist()) == np.flatnonzero(held).tolist()
    np.testing.assert_allclose(cosines, unit[rows] @ unit[3], atol=0.02)
    asked = np.arange(0, 6_000, 30)
    asked = asked[held[asked]]
    found = [row in index.search(unit[row], 5)[0] for row in asked]
    assert np.mean(found) >= 0.97


def test_a_put_waits_before_floats_pile_up_beside_the_first_cells(held_up):
    index = VectorIndex(8, exact_limit=100)
    matrix = clustered(1_000, 8, 11)
    index.put(np.arange(500), matrix[:500])
    late = threading.Thread(target=index.put, args=(np.arange(500, 1_000), matrix[500:]))
    late.start()
    late.join(0.2)
    assert late.is_alive()
    assert len(index) == 500
    assert index.search(matrix[3], 500)[0][0] == 3
    held_up.set()
    late.join()
    assert len(index) == 1_000
    assert not index.exact


def test_a_catalogue_emptied_while_cells_are_made_can_be_filled_again(held_up):
    index = VectorIndex(8, exact_limit=100)
    matrix = clustered(500, 8, 12)
    index.put(np.arange(200), matrix[:200])
    index.remove(np.arange(200))
    held_up.set()
    index.settle()
    assert len(index) == 0
    assert index.search(matrix[0], 5)[0].tolist() == []
    index.put(np.arange(500), matrix)
    index.settle()
    assert len(index) == 500
    assert index.search(matrix[3], 1)[0].tolist() == [3]


def test_cells_follow_content_that_is_replaced():
    """As many puts as there were vectors make the cells anew, though the catalogue has not grown."""
    index = VectorIndex(16, exact_limit=1_000)
    index.put(np.arange(3_000), clustered(3_000, 16, 13))
    index.settle()
    first, latest = index._form, clustered(3_000, 16, 14)
    for rows in np.array_split(np.arange(3_000), 6):
        assert index._form is first
        index.put(rows, latest[rows])
    index.settle()
    assert index._form is not first
    unit = latest / np.linalg.norm(latest, axis=1, keepdims=True)
    np.testing.assert_allclose(index.take(np.arange(3_000)), unit, atol=0.02)


def test_memory_follows_a_catalogue_that_shrinks():
    index = VectorIndex(8)
    index.put(np.arange(20_000), np.ones((20_000, 8), np.float32))
    before = index.nbytes
    index.remove(np.arange(100, 20_000))
    index.put(np.array([5]), np.ones((1, 8), np.float32))
    assert len(index) == 100
    assert index.nbytes < before / 5


@pytest.fixture(scope="module")
def large() -> tuple[VectorIndex, NDArray[np.float32]]:
    matrix = clustered(60_000, 64, 2)
    index = VectorIndex(64)
    for rows in np.array_split(np.arange(len(matrix)), 7):
        index.put(rows, matrix[rows])
    index.settle()
    return index, matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def recall(
    index: VectorIndex, unit: NDArray[np.float32], k: int, allowed: NDArray[np.bool_] | None = None
) -> float:
    rng = np.random.default_rng(3)
    items = unit[rng.integers(0, len(unit), 20)] + 0.05 * rng.standard_normal((20, 64))
    means = unit[rng.integers(0, len(unit), (20, 3))].mean(axis=1)
    found = []
    for query in np.concatenate((items, means)).astype(np.float32):
        cosines = unit @ query
        if allowed is not None:
            cosines[~allowed] = -np.inf
        best = np.argsort(-cosines, kind="stable")[:k]
        rows, _ = index.search(query, k, allowed=allowed)
        assert len(rows) == k
        assert allowed is None or allowed[rows].all()
        found.append(np.isin(best, rows).mean())
    return float(np.mean(found))


def test_a_large_catalogue_recalls_the_neighbours(large):
    index, unit = large
    assert not index.exact
    assert len(index) == 60_000
    assert recall(index, unit, 500) >= 0.95
    assert recall(index, unit, 50) >= 0.95


def test_a_search_of_a_large_catalogue_reads_a_part_of_it(large):
    index, _ = large
    assert index._form.reads < 0.5


def test_a_large_catalogue_keeps_one_coded_copy(large):
    index, unit = large
    assert index.nbytes < 0.5 * unit.nbytes
    found = index.take(np.arange(1_000))
    np.testing.assert_allclose(np.einsum("ij,ij->i", found, unit[:1_000]), 1, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("share", [0.5, 0.02, 0.009])
def test_a_large_catalogue_searches_within_what_is_allowed(large, share):
    index, unit = large
    assert recall(index, unit, 500, np.random.default_rng(4).random(len(unit)) < share) >= 0.95


def test_a_search_widens_to_far_cells_until_enough_are_found(large):
    index, unit = large
    query = unit[0]
    far = np.zeros(len(unit), np.bool_)
    far[np.argsort(unit @ query)[:40_000]] = True
    rows, cosines = index.search(query, 500, allowed=far)
    assert len(rows) == 500
    assert far[rows].all()
    assert (np.diff(cosines) <= 0).all()


def test_the_same_puts_and_a_rebuild_give_the_same_answers():
    matrix = clustered(3_000, 16, 5)
    one, other = VectorIndex(16, exact_limit=1_000), VectorIndex(16, exact_limit=1_000)
    for index in (one, other):
        index.put(np.arange(3_000), matrix)
        index.rebuild()
    for query in matrix[:50]:
        for left, right in zip(one.search(query, 100), other.search(query, 100), strict=True):
            np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("limit", [10_000, 50])
def test_readers_see_all_of_a_change_or_none_of_it(limit):
    """One put turns 200 rows at once, so a reader that sees two directions at a time has seen half of it."""
    turned, fixed = np.arange(200), np.arange(200, 600)
    up, down = np.array([1, 0, 0, 0], np.float32), np.array([0.6, 0.8, 0, 0], np.float32)
    index = VectorIndex(4, exact_limit=limit)
    rng = np.random.default_rng(7)
    away = np.concatenate((np.zeros((400, 2)), rng.standard_normal((400, 2))), axis=1).astype(np.float32)
    index.put(fixed, away)
    index.put(turned, np.tile(up, (200, 1)))
    seen: set[tuple[float, ...]] = set()
    finished: list[bool] = []
    ready, done = threading.Barrier(4), threading.Event()

    def read() -> None:
        ready.wait()
        while not done.is_set():
            rows, cosines = index.search(up, 200)
            assert sorted(rows.tolist()) == turned.tolist()
            seen.add(tuple(set(np.round(cosines, 2).tolist())))
            held = index.take(turned)
            assert (held == held[0]).all()
        finished.append(True)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    ready.wait()
    turn = 0
    while turn < 300 or (len(seen) < 2 and all(reader.is_alive() for reader in readers)):
        index.put(turned, np.tile(down if turn % 2 == 0 else up, (200, 1)))
        index.remove(fixed[turn : turn + 1])
        turn += 1
    done.set()
    for reader in readers:
        reader.join()
    index.settle()
    assert len(finished) == len(readers)
    assert len(seen) == 2
    assert all(len(directions) == 1 for directions in seen), seen
    assert len(index) == 200 + max(0, 400 - turn)


def test_a_closed_index_has_no_thread_left_and_still_answers():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(4_000, 64)).astype(np.float32)
    index = VectorIndex(64, exact_limit=100)
    index.put(np.arange(len(vectors)), vectors)
    assert any(thread.name == "tastemaker-vector-cells" for thread in threading.enumerate())
    index.close()
    assert not any(thread.name == "tastemaker-vector-cells" for thread in threading.enumerate())
    index.put(np.arange(len(vectors), 2 * len(vectors)), vectors)
    assert index.search(vectors[7], 2)[0].tolist() == [7, 4_007]
    assert not any(thread.name == "tastemaker-vector-cells" for thread in threading.enumerate())


def test_an_empty_index_answers_with_nothing():
    index = VectorIndex(3)
    rows, cosines = index.search(np.ones(3, np.float32), 5)
    assert (rows.shape, rows.dtype, cosines.shape, cosines.dtype) == ((0,), np.intp, (0,), np.float32)
    assert len(index) == 0
    assert not index.has(np.arange(3)).any()
    assert index.take(np.array([0, 7])).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert index.take(np.empty(0, np.intp)).shape == (0, 3)
    index.put(np.empty(0, np.intp), np.empty((0, 3), np.float32))
    index.remove(np.empty(0, np.intp))
    index.rebuild()


def test_k_beyond_what_is_there_gives_all_and_k_of_zero_none():
    index = VectorIndex(2)
    index.put(np.array([4, 9]), np.array([[1, 0], [0, 3]], np.float32))
    assert index.search(np.array([1, 0.1]), 100)[0].tolist() == [4, 9]
    assert index.search(np.array([1, 0.1]), 0)[0].tolist() == []


def test_equal_vectors_stand_in_the_order_of_their_rows():
    index = VectorIndex(2)
    index.put(np.array([8, 3, 5, 1]), np.array([[1, 2], [2, 4], [1, 2], [-1, 0]], np.float32))
    assert index.search(np.array([1, 2]), 3)[0].tolist() == [3, 5, 8]
    assert index.search(np.array([1, 2]), 2)[0].tolist() == [3, 5]


@pytest.mark.parametrize("query", [[0, 0], [np.nan, 1], [np.inf, 1]])
def test_a_query_without_a_direction_is_near_to_nothing(query):
    index = VectorIndex(2)
    index.put(np.array([0]), np.array([[1, 0]], np.float32))
    assert index.search(np.array(query, np.float32), 1)[0].tolist() == []


def test_a_vector_without_a_direction_takes_the_old_one_away():
    index = VectorIndex(2)
    index.put(np.arange(3), np.eye(3, 2, dtype=np.float32))
    assert index.has(np.arange(3)).tolist() == [True, True, False]
    index.put(np.array([0]), np.array([[np.nan, 1]], np.float32))
    assert index.has(np.arange(3)).tolist() == [False, True, False]


def test_very_long_and_very_short_vectors_have_their_direction():
    index = VectorIndex(2)
    index.put(np.arange(2), np.array([[3e38, 3e38], [1e-45, 0]], np.float32))
    np.testing.assert_allclose(index.take(np.arange(2)), [[0.5**0.5, 0.5**0.5], [1, 0]], rtol=1e-6)


def test_wrong_shapes_are_named():
    index = VectorIndex(3)
    with pytest.raises(ValueError, match=r"vectors for 2 rows must have shape \(2, 3\), not \(2, 4\)"):
        index.put(np.arange(2), np.ones((2, 4), np.float32))
    with pytest.raises(ValueError, match=r"a query must have shape \(3,\), not \(4,\)"):
        index.search(np.ones(4, np.float32), 1)
    with pytest.raises(ValueError, match="rows must be a flat array of numbers from 0 upwards"):
        index.put(np.array([-1]), np.ones((1, 3), np.float32))
    with pytest.raises(ValueError, match="dimensions must be at least 1, not 0"):
        VectorIndex(0)


def test_without_memory_for_cells_every_vector_is_compared(monkeypatch, caplog):
    def starved(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(retrieval, "_cells", starved)
    with caplog.at_level(logging.WARNING):
        stays_exact()
    assert "not enough memory to index 2000 vectors" in caplog.text


def test_without_faiss_every_vector_is_compared_and_one_warning_says_how_to_get_it(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "faiss", None)
    monkeypatch.delitem(sys.modules, "tastemaker.core.catalog.vector_faiss", raising=False)
    with caplog.at_level(logging.WARNING):
        index = stays_exact()
        index.put(np.arange(2_000, 8_000), clustered(6_000, 16, 15))
        index.settle()
        index.rebuild()
    assert len(index) == 8_000
    assert index.exact
    assert len(caplog.records) == 1
    assert "every search compares all of the 2000 vectors: pip install 'tastemaker[ann]'" in caplog.text


def stays_exact() -> VectorIndex:
    matrix = clustered(2_000, 16, 8)
    index = VectorIndex(16, exact_limit=1_000)
    index.put(np.arange(2_000), matrix)
    index.settle()
    assert index.exact
    unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    rows, _ = index.search(matrix[7], 100)
    assert sorted(rows.tolist()) == sorted(np.argsort(-(unit @ unit[7]))[:100].tolist())
    return index


def test_a_small_catalogue_does_not_import_faiss():
    code = """
import sys, numpy
from tastemaker.core import VectorIndex
index = VectorIndex(4)
index.put(numpy.arange(4), numpy.eye(4))
index.search(numpy.ones(4), 2)
sys.exit("faiss" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_a_process_may_end_while_cells_are_made():
    code = """
import numpy, time
from tastemaker.core import VectorIndex
index = VectorIndex(64, exact_limit=1_000)
index.put(numpy.arange(60_000), numpy.random.default_rng(0).standard_normal((60_000, 64)))
time.sleep(0.3)
assert index.exact
"""
    ended = subprocess.run([sys.executable, "-c", code], timeout=60, capture_output=True)
    assert (ended.returncode, ended.stderr) == (0, b"")
