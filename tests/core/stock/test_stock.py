"""A domain's catalogue in memory: in step with the store, and with a vector for every item."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from tastemaker.core import Embedder, StoreUnavailable
from tastemaker.core.config import DomainPlan
from tastemaker.core.stock.ingest import StoredItem
from tastemaker.core.stock.stock import Stock
from tastemaker.core.store import Store

Plan = Callable[..., DomainPlan]


class Letters(Embedder):
    """A text becomes how often each of a few letters is in it."""

    letters: str = "abcdef"
    asked: ClassVar[list[str]] = []
    failing: ClassVar[list[Any]] = []

    @property
    def width(self) -> int:
        return len(self.letters)

    def item_text(self, item: Any) -> str:
        return str(item.get("title", ""))

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked.extend(texts)
        if self.failing:
            failure = self.failing[0]
            if isinstance(failure, Exception):
                raise failure
            found: NDArray[np.float32] = failure
            return found
        counts = np.array(
            [[text.count(letter) for letter in self.letters] for text in texts], dtype=np.float32
        )
        return counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    Letters.asked.clear()
    Letters.failing.clear()
    yield
    Letters.failing.clear()


@pytest.fixture
def shop(sqlite: str) -> Iterator[Store]:
    with ExitStack() as stack:
        store = Store(sqlite)
        stack.callback(store.close)
        yield store


def put(store: Store, items: dict[str, Any]) -> int:
    """Store items by id, None for one that goes; the position."""
    changes = [
        (name, None if values is None else StoredItem(values, "test").to_bytes())
        for name, values in items.items()
    ]
    return store.put_items("books", changes).result().position


def vectors(stock: Stock, *ids: str) -> list[list[float]]:
    index = stock.catalog.vectors
    assert index is not None
    found: list[list[float]] = index.take(np.array([stock.catalog.row(name) for name in ids])).tolist()
    return found


def test_it_takes_in_what_was_committed_and_nothing_later(shop: Store, plan_of: Plan) -> None:
    stock = Stock(shop, plan_of())
    first = put(shop, {"emma": {"title": "Emma", "rating": 4.0}, "dune": {"title": "Dune"}})
    second = put(shop, {"solaris": {"title": "Solaris"}})
    stock.refresh(first)
    assert stock.catalog.snapshot().ids.tolist() == ["dune", "emma"]
    stock.refresh(second)
    assert sorted(stock.catalog.snapshot().ids.tolist()) == ["dune", "emma", "solaris"]
    third = put(shop, {"dune": None, "emma": {"title": "Emma", "rating": 5.0}})
    stock.refresh(third)
    snapshot = stock.catalog.snapshot()
    assert snapshot.row("dune") == -1
    assert snapshot.item(snapshot.row("emma")) == {"title": "Emma", "rating": 5.0}
    assert stock.position == third


def test_it_never_goes_back(shop: Store, plan_of: Plan) -> None:
    stock = Stock(shop, plan_of())
    last = put(shop, {"emma": {"title": "Emma"}})
    stock.refresh(last)
    stock.refresh(last - 1)
    assert stock.position == last


def test_many_items_come_in_pieces(shop: Store, plan_of: Plan) -> None:
    position = put(shop, {f"i{number:05}": {"rating": float(number)} for number in range(12_001)})
    stock = Stock(shop, plan_of(embedder=Letters()))
    stock.refresh(position)
    snapshot = stock.catalog.snapshot()
    assert len(snapshot.live) == 12_001
    assert snapshot.column("rating")[snapshot.row("i12000")] == 12_000


class TestVectors:
    def test_every_item_gets_that_of_its_text_and_keeps_it(self, shop: Store, plan_of: Plan) -> None:
        position = put(shop, {"one": {"title": "aab"}, "two": {"title": "c"}, "none": {}})
        stock = Stock(shop, plan_of(embedder=Letters()))
        stock.refresh(position)
        assert sorted(Letters.asked) == ["", "aab", "c"]
        assert np.allclose(vectors(stock, "two", "none"), [[0, 0, 1, 0, 0, 0], [0] * 6])
        Letters.asked.clear()
        again = Stock(shop, plan_of(embedder=Letters()))
        again.refresh(position)
        assert Letters.asked == [], "they are kept in the store"
        assert vectors(again, "one", "two") == vectors(stock, "one", "two")

    def test_only_changed_texts_are_embedded_again(self, shop: Store, plan_of: Plan) -> None:
        stock = Stock(shop, plan_of(embedder=Letters()))
        stock.refresh(put(shop, {"one": {"title": "a"}, "two": {"title": "b"}}))
        Letters.asked.clear()
        stock.refresh(put(shop, {"one": {"title": "a", "rating": 3.0}, "two": {"title": "c"}}))
        assert Letters.asked == ["c"]
        assert np.allclose(vectors(stock, "two"), [[0, 0, 1, 0, 0, 0]])

    def test_an_item_that_comes_back_has_its_vector_again(self, shop: Store, plan_of: Plan) -> None:
        stock = Stock(shop, plan_of(embedder=Letters()))
        stock.refresh(put(shop, {"one": {"title": "a"}}))
        stock.refresh(put(shop, {"one": None}))
        assert vectors(stock, "one") == [[0.0] * 6]
        stock.refresh(put(shop, {"one": {"title": "a"}}))
        assert vectors(stock, "one") == [[1.0, 0, 0, 0, 0, 0]]

    @pytest.mark.parametrize(
        "failure",
        [RuntimeError("no model"), np.zeros((1, 2), dtype=np.float32), np.zeros(6, dtype=np.float32)],
        ids=str,
    )
    def test_where_the_embedder_fails_items_are_there_without_one(
        self, shop: Store, plan_of: Plan, failure: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        stock = Stock(shop, plan_of(embedder=Letters()))
        stock.refresh(put(shop, {"one": {"title": "a"}}))
        Letters.failing.append(failure)
        stock.refresh(put(shop, {"one": {"title": "b"}, "two": {"title": "c"}}))
        assert len(stock.catalog.snapshot().live) == 2
        assert vectors(stock, "one", "two") == [[0.0] * 6] * 2
        assert "2 items have no vector" in caplog.text
        Letters.failing.clear()
        stock.refresh(put(shop, {"two": {"title": "c", "rating": 1.0}}))
        assert vectors(stock, "two") == [[0.0, 0, 1, 0, 0, 0]]
        later = Stock(shop, plan_of(embedder=Letters()))
        later.refresh(stock.position)
        assert vectors(later, "one", "two") == [[0.0, 1, 0, 0, 0, 0], [0.0, 0, 1, 0, 0, 0]]

    def test_where_the_store_fails_they_are_made_with_the_next_try(
        self, shop: Store, plan_of: Plan, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stock = Stock(shop, plan_of(embedder=Letters()))
        position = put(shop, {"one": {"title": "a"}})

        def full(*_: Any) -> None:
            raise StoreUnavailable("disk full")

        with monkeypatch.context() as patch:
            patch.setattr(shop, "put_vectors", full)
            with pytest.raises(StoreUnavailable):
                stock.refresh(position)
        stock.refresh(position)
        assert vectors(stock, "one") == [[1.0, 0, 0, 0, 0, 0]]
        Letters.asked.clear()
        Stock(shop, plan_of(embedder=Letters())).refresh(position)
        assert Letters.asked == []
