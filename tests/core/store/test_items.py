"""Items and their vectors."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tastemaker.core import StoreError
from tastemaker.core.store import Store
from tastemaker.core.store import store as module

Open = Callable[..., Store]


def test_items_are_inserted_replaced_and_deleted(store: Store) -> None:
    first = store.put_items("music", [("b", b"1"), ("a", b"2"), ("c", b"3")]).result()
    store.put_items("video", [("a", b"other domain")]).result()
    second = store.put_items("music", [("a", b"4"), ("b", None), ("never", None)]).result()
    assert (first.position, second.position) == (1, 3)
    assert list(store.items("music")) == [
        ("c", b"3", 1),
        ("a", b"4", 3),
        ("b", None, 3),
        ("never", None, 3),
    ]
    assert store.item("music", "a") == b"4"
    assert store.item("music", "b") is None
    assert store.item("music", "z") is None
    assert store.count_items("music") == 2
    assert store.count_items("books") == 0


def test_changed_items_are_announced_in_the_log(store: Store) -> None:
    store.put_items("music", [("a", b"1"), ("b", b"2"), ("a", b"3")]).result()
    (entry,) = store.read(0)
    assert (entry.kind, entry.domain, entry.user, entry.body) == ("items", "music", "", b'{"count":2}')
    assert store.item("music", "a") == b"3"


def test_what_changed_between_two_positions(store: Store) -> None:
    for number in range(1, 6):
        store.put_items("music", [(f"item {number}", b"{}")]).result()
    assert [changed for _, _, changed in store.items("music", after=1, until=4)] == [2, 3, 4]


def test_items_are_read_over_many_pages(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAGE", 7)
    for start in (0, 20, 35):
        store.put_items("music", [(f"{number:03}", b"{}") for number in range(start, start + 20)]).result()
    found = list(store.items("music"))
    places = [(changed, key) for key, _, changed in found]
    assert places == sorted(places)
    assert [key for key, _, _ in found] == [f"{number:03}" for number in range(55)]


def test_ids_have_the_same_order_on_every_database(store: Store) -> None:
    ids = ["Z", "a", "B", "ä", "z", "-", "_", "1", "é", "10", "2", "a b", "ab"]
    store.put_items("music", [(key, b"{}") for key in ids]).result()
    assert [key for key, _, _ in store.items("music")] == sorted(ids, key=str.encode)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    calls=st.lists(
        st.lists(st.tuples(st.sampled_from("abcdef"), st.none() | st.binary(max_size=4)), max_size=8),
        max_size=6,
    )
)
def test_a_replica_that_follows_the_changes_holds_the_same_items(
    store: Store, calls: list[list[tuple[str, bytes | None]]]
) -> None:
    domain = f"domain {store.end()}"
    truth: dict[str, bytes | None] = {}
    replica: dict[str, bytes | None] = {}
    seen = store.end()
    for call in calls:
        receipt = store.put_items(domain, call).result()
        truth.update(call)
        changes = store.items(domain, after=seen, until=receipt.position)
        replica.update({key: body for key, body, _ in changes})
        seen = receipt.position
    assert replica == truth
    assert {key: body for key, body, _ in store.items(domain)} == truth
    assert store.count_items(domain) == sum(body is not None for body in truth.values())


def test_an_item_needs_a_name(store: Store) -> None:
    for key in ("", "a\0b", "\udc80"):
        with pytest.raises(StoreError, match="an item"):
            store.put_items("music", [("fine", b"{}"), (key, b"{}")])
    assert store.end() == 0


def matrix(rows: int, dimensions: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((rows, dimensions)).astype(np.float32)


def test_vectors_come_back_bit_by_bit(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_VECTORS", 10)
    given = matrix(25, 8)
    ids = [f"{number:02}" for number in range(25)]
    digests = [f"digest {number}" for number in range(25)]
    order = np.random.default_rng(1).permutation(25)
    store.put_vectors(
        "music",
        "words",
        "1",
        [ids[n] for n in order],
        [digests[n] for n in order],
        np.asfortranarray(given[order]),
    )
    chunks = list(store.vectors("music", "words", "1"))
    assert [len(chunk[0]) for chunk in chunks] == [10, 10, 5]
    assert [key for chunk in chunks for key in chunk[0]] == ids
    assert [digest for chunk in chunks for digest in chunk[1]] == digests
    found = np.concatenate([chunk[2] for chunk in chunks])
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, given)


def test_a_vector_belongs_to_a_model_and_its_newest_version(store: Store) -> None:
    store.put_vectors("music", "words", "1", ["a", "b"], ["x", "y"], matrix(2, 4))
    store.put_vectors("music", "sound", "1", ["a"], ["x"], matrix(1, 3))
    store.put_vectors("music", "words", "2", ["b"], ["z"], matrix(1, 5))
    assert [chunk[:2] for chunk in store.vectors("music", "words", "1")] == [(["a"], ["x"])]
    assert [chunk[:2] for chunk in store.vectors("music", "words", "2")] == [(["b"], ["z"])]
    assert [chunk[2].shape for chunk in store.vectors("music", "sound", "1")] == [(1, 3)]
    assert list(store.vectors("video", "words", "1")) == []


def test_vectors_of_deleted_items_go(store: Store) -> None:
    store.put_vectors("music", "words", "1", ["a", "b"], ["x", "y"], matrix(2, 4))
    store.put_items("music", [("a", None), ("b", b"{}")]).result()
    assert [chunk[0] for chunk in store.vectors("music", "words", "1")] == [["b"]]


@pytest.mark.parametrize(
    ("ids", "digests", "shape"),
    [
        (["a"], ["x", "y"], (1, 2)),
        (["a"], ["x"], (2, 2)),
        (["a"], ["x"], (2,)),
        (["a", "a"], ["x", "y"], (2, 2)),
    ],
)
def test_vectors_that_dont_fit_together_are_refused(
    store: Store, ids: list[str], digests: list[str], shape: tuple[int, ...]
) -> None:
    with pytest.raises(StoreError, match="vectors need"):
        store.put_vectors("music", "words", "1", ids, digests, np.zeros(shape, np.float32))


def test_vectors_of_different_lengths_are_told(store: Store) -> None:
    store.put_vectors("music", "words", "1", ["a"], ["x"], matrix(1, 4))
    store.put_vectors("music", "words", "1", ["b"], ["x"], matrix(1, 5))
    with pytest.raises(StoreError, match="words 1 in music differ in length"):
        list(store.vectors("music", "words", "1"))
