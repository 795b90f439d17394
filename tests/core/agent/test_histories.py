"""What each user did: newest first, from the log and from what happens meanwhile, nothing twice and nothing missed."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tastemaker.core import Catalog
from tastemaker.core.agent import Event, Histories, History

DAY = 86_400.0


def event(position: int, item: str = "", reward: float = 1.0) -> Event:
    return Event(item or f"i{position}", "click", reward, float(position), position)


@pytest.fixture
def books(catalog_of: Callable[..., Catalog]) -> Catalog:
    return catalog_of([{} for _ in range(10)])


def ids(history: History, catalog: Catalog) -> list[str]:
    found: list[str] = history.candidates(catalog.snapshot(), 100.0).ids.tolist()
    return found


class TestOneHistory:
    def test_it_is_newest_first_and_no_longer_than_its_limit(self, books: Catalog) -> None:
        history = History([event(3), event(2), event(1)], 3)
        history.add(event(4))
        assert ids(history, books) == ["i4", "i3", "i2"]

    def test_what_it_knows_already_is_not_added_again(self, books: Catalog) -> None:
        history = History([event(3)], 10)
        history.add(event(3))
        history.add(event(2))
        assert ids(history, books) == ["i3"]

    def test_items_that_left_the_catalogue_leave_it_too(self, books: Catalog) -> None:
        history = History([event(3, reward=3.0), event(2, "gone"), event(1, reward=1.0)], 10)
        books.remove(["i3"])
        past = history.candidates(books.snapshot(), DAY)
        assert past.ids.tolist() == ["i1"]
        assert past["reward"].tolist() == [1.0]
        books.put([("i3", {}), ("gone", {})])
        assert ids(history, books) == ["i3", "gone", "i1"]

    def test_ages_are_never_negative(self, books: Catalog) -> None:
        past = History([event(50), event(10)], 5).candidates(books.snapshot(), 20.0)
        assert (past["age_days"] >= 0).all()

    def test_without_room_nothing_is_kept(self, books: Catalog) -> None:
        history = History([event(1)], 0)
        history.add(event(2))
        assert len(history.candidates(books.snapshot(), 5.0)) == 0


class TestHistories:
    def test_what_happens_while_a_history_is_read_is_in_it_once(self, books: Catalog) -> None:
        histories = Histories(10)
        histories.begin("ann")
        histories.add("ann", event(2))
        histories.add("ann", event(3))
        assert ids(histories.finish("ann", [event(2), event(1)]), books) == ["i3", "i2", "i1"]
        histories.add("ann", event(4))
        found = histories.get("ann")
        assert found is not None
        assert ids(found, books) == ["i4", "i3", "i2", "i1"]

    def test_of_two_that_read_at_once_both_get_the_same(self) -> None:
        histories = Histories(10)
        histories.begin("ann")
        histories.begin("ann")
        first = histories.finish("ann", [event(1)])
        assert histories.finish("ann", []) is first

    def test_of_strangers_nothing_is_kept(self) -> None:
        histories = Histories(10)
        histories.add("ann", event(1))
        assert histories.get("ann") is None
        histories.begin("ann")
        histories.give_up("ann")
        histories.add("ann", event(2))
        histories.begin("ann")
        assert len(histories.finish("ann", [])._events) == 0

    def test_those_who_were_here_longest_ago_are_dropped(self) -> None:
        histories = Histories(10, users=2)
        for user in ("ann", "eve"):
            histories.begin(user)
            histories.finish(user, [])
        histories.get("ann")
        histories.begin("tom")
        histories.finish("tom", [])
        assert histories.get("eve") is None
        assert histories.get("ann") is not None
        assert histories.get("tom") is not None

    def test_some_or_all_can_be_forgotten(self) -> None:
        histories = Histories(10)
        for user in ("ann", "eve"):
            histories.begin(user)
            histories.finish(user, [])
        histories.forget(["ann", "nobody"])
        assert histories.get("ann") is None
        assert histories.get("eve") is not None
        histories.forget()
        assert histories.get("eve") is None

    def test_what_was_read_before_everything_was_forgotten_is_not_kept(self) -> None:
        histories = Histories(10)
        histories.begin("ann")
        histories.forget()
        histories.finish("ann", [event(1)])
        assert histories.get("ann") is None


@given(st.lists(st.sampled_from(["add", "begin", "finish"]), max_size=30), st.integers(1, 5))
def test_it_always_is_the_newest_of_the_log(steps: list[str], limit: int) -> None:
    histories = Histories(limit)
    log: list[Event] = []
    reading: list[Event] = []
    for step in steps:
        if step == "add":
            log.append(event(len(log) + 1))
            histories.add("ann", log[-1])
        elif step == "begin":
            histories.begin("ann")
            reading = log[::-1][:limit]
        elif histories.get("ann") is None and "ann" in histories._loading:
            histories.finish("ann", reading)
        if (history := histories.get("ann")) is not None:
            assert [entry.position for entry in history._events] == [
                entry.position for entry in log[::-1][:limit]
            ]
