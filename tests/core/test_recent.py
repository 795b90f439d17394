"""What was proposed a short time ago: for whom, for how long, and when it is forgotten."""

import pytest
from tastemaker.core import Catalog, ItemSchema, Question
from tastemaker.core.recent import Recent


class Stand:
    def __init__(self) -> None:
        self.recent = Recent()
        self.catalog = Catalog(ItemSchema({"size": "number"}))
        self.catalog.put([(name, {}) for name in "abc"])

    def asked(self, key: object = "jazz", *, now: float = 0.0, step: str = "sources.one") -> Question:
        return self.recent.question(step, key, now, self.catalog.snapshot())

    def proposed(
        self, key: object = "jazz", *, now: float = 0.0, step: str = "sources.one"
    ) -> list[str] | None:
        rows = self.asked(key, now=now, step=step).rows
        return None if rows is None else self.catalog.snapshot().ids[rows].tolist()


@pytest.fixture
def stand() -> Stand:
    return Stand()


def test_the_same_question_has_the_same_answer_for_a_while(stand: Stand) -> None:
    assert stand.proposed() is None
    stand.asked().remember(["c", "a"], 60)
    assert stand.proposed(now=59) == ["c", "a"]
    assert stand.proposed(now=60) is None


def test_no_other_question_has_it(stand: Stand) -> None:
    stand.asked(("ann", "jazz")).remember(["a"], 60)
    assert stand.proposed(("bob", "jazz")) is None
    assert stand.proposed(("ann", "jazz"), step="sources.other") is None
    assert stand.proposed(("ann", "jazz")) == ["a"]


def test_that_nothing_was_found_is_an_answer(stand: Stand) -> None:
    stand.asked().remember([], 60)
    assert stand.proposed() == []


def test_it_is_asked_anew_where_the_catalogue_lacks_something(stand: Stand) -> None:
    stand.asked().remember(["a", "new"], 60)
    assert stand.proposed() is None
    before = stand.catalog.snapshot()
    stand.catalog.put([("new", {})])
    assert stand.proposed() == ["a", "new"]
    assert stand.recent.question("sources.one", "jazz", 0, before).rows is None
    stand.catalog.remove(["a"])
    assert stand.proposed() is None


def test_rows_of_one_catalogue_are_none_of_another(stand: Stand) -> None:
    stand.asked().remember(["c"], 60)
    assert stand.proposed() == ["c"]
    stand.catalog = Catalog(stand.catalog.schema)
    stand.catalog.put([("c", {})])
    assert stand.proposed() == ["c"]


def test_what_is_found_while_all_is_forgotten_is_forgotten_with_it(stand: Stand) -> None:
    stand.asked("old").remember(["a"], 60)
    under_way = stand.asked()
    stand.recent.forget()
    under_way.remember(["b"], 60)
    assert stand.proposed("old") is stand.proposed() is None
    stand.asked().remember(["b"], 60)
    assert stand.proposed() == ["b"]


def test_the_least_used_goes_first(stand: Stand) -> None:
    stand.asked("kept").remember(["a"], 60)
    for number in range(2500):
        stand.asked(number).remember(["b"], 60)
        assert stand.proposed("kept") == ["a"]
    assert stand.proposed(0) is None
    assert stand.proposed(2499) == ["b"]
