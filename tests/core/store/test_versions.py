"""Checkpoints of policies."""

import pytest
from sqlalchemy import create_engine, func, select, update
from tastemaker.core.store import Checkpoint, Store
from tastemaker.core.store.tables import policy_versions

PLACE = ("music", "thompson", "digest")


def kept(url: str) -> list[int]:
    engine = create_engine(url)
    with engine.connect() as connection:
        positions = (
            connection.execute(select(policy_versions.c.position).order_by("position")).scalars().all()
        )
    engine.dispose()
    return list(positions)


def test_the_newest_state_comes_back(store: Store) -> None:
    assert store.latest_checkpoint(*PLACE) is None
    store.checkpoint(*PLACE, 10, b"\0ten")
    store.checkpoint(*PLACE, 20, b"\xfftwenty")
    assert store.latest_checkpoint(*PLACE) == Checkpoint(20, b"\xfftwenty")
    for other in (("video", *PLACE[1:]), ("music", "linucb", "digest"), ("music", "thompson", "other")):
        assert store.latest_checkpoint(*other) is None


def test_the_newest_three_are_kept(url: str, store: Store) -> None:
    for position in (5, 1, 4, 2, 3):
        store.checkpoint(*PLACE, position, b"state")
    store.checkpoint("music", "thompson", "other", 1, b"state")
    assert kept(url) == [1, 3, 4, 5]
    store.checkpoint(*PLACE, 6, b"state", keep=1)
    assert kept(url) == [1, 6]


def test_the_same_checkpoint_twice_is_one(url: str, store: Store) -> None:
    store.checkpoint(*PLACE, 5, b"state")
    store.checkpoint(*PLACE, 5, b"state")
    assert kept(url) == [5]
    assert store.latest_checkpoint(*PLACE) == Checkpoint(5, b"state")


@pytest.mark.parametrize(
    "damage",
    [
        {"state": b"stat3"},
        {"state": b""},
        {"checksum": "0" * 64},
        {"position": 31},
    ],
)
def test_a_damaged_state_is_passed_over_and_mended_by_the_next_checkpoint(
    url: str, store: Store, damage: dict[str, object]
) -> None:
    for position in (10, 20, 30):
        store.checkpoint(*PLACE, position, b"state")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(update(policy_versions).where(policy_versions.c.position == 30).values(damage))
        assert connection.execute(select(func.count()).select_from(policy_versions)).scalar_one() == 3
    engine.dispose()
    assert store.latest_checkpoint(*PLACE) == Checkpoint(20, b"state")
    store.checkpoint(*PLACE, 30, b"state")
    assert store.latest_checkpoint(*PLACE) == Checkpoint(30, b"state")
