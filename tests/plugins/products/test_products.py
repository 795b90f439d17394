"""Products: how well a price fits, and the preset on its sample as it is."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tastemaker.core import Candidates, Catalog, Context, Feedback, ItemSchema, Request
from tastemaker.core.clock import ManualClock
from tastemaker.core.config import load
from tastemaker.core.orchestrator import Orchestrator
from tastemaker.plugins.products import PriceFit

NOW = 1_795_000_000.0
PRICES: list[float | None] = [10.0, 20.0, 40.0, 5.0, None, 0.0, -3.0]


def scored(
    profile: dict[str, Any] | None = None,
    situation: dict[str, Any] | None = None,
    history: list[tuple[int, float]] | None = None,
    **options: Any,
) -> NDArray[np.float64]:
    """The scores of items at PRICES; history holds items and their rewards."""
    catalog = Catalog(ItemSchema({"price": "number"}))
    catalog.put(
        [(f"p{place}", {} if price is None else {"price": price}) for place, price in enumerate(PRICES)]
    )
    snapshot = catalog.snapshot()
    past = history or []
    context = Context(
        domain="products", user="ann", slate="s", now=NOW, size=5, draws=1, seed=1, catalog=snapshot,
        history=Candidates(
            snapshot,
            np.array([row for row, _ in past], dtype=np.intp),
            columns={"reward": np.array([reward for _, reward in past], dtype=np.float64)},
        ),
        feedback=Feedback(), profile=profile or {}, situation=situation or {},
    )  # fmt: skip
    score = PriceFit(**options).score(context, Candidates(snapshot, snapshot.live))
    assert np.isfinite(score).all()
    return score


def test_it_is_one_at_the_usual_price_and_half_at_its_spread() -> None:
    assert scored({"usual_price": 20})[:4] == pytest.approx([0.5, 1.0, 0.5, 2.0**-4])
    assert scored({"usual_price": "20"}, spread=4.0)[:3] == pytest.approx([2**-0.25, 1.0, 2**-0.25])


def test_without_a_price_it_says_nothing() -> None:
    assert scored({"usual_price": 20})[4:].tolist() == [0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    "profile",
    [{}, {"usual_price": None}, {"usual_price": "cheap"}, {"usual_price": -1}, {"usual_price": float("nan")}],
)
def test_without_a_usual_price_it_says_nothing(profile: dict[str, Any]) -> None:
    assert scored(profile).tolist() == [0.5] * 7


def test_the_situation_comes_before_the_profile_and_that_before_the_past() -> None:
    past = [(2, 1.0)]
    assert scored({"usual_price": 20}, {"usual_price": 5}, past).argmax() == 3
    assert scored({"usual_price": 20}, {}, past).argmax() == 1
    assert scored({}, {}, past).argmax() == 2


@pytest.mark.parametrize("wrong", [0, -1, "cheap", [1]])
def test_a_usual_price_that_is_none_is_named(asks: Any, wrong: Any) -> None:
    catalog = Catalog(ItemSchema({"price": "number"}))
    catalog.put([("a", {"price": 5}), ("b", {"price": 20})])
    context = asks(catalog, situation={"usual_price": wrong})
    PriceFit().score(context, Candidates(context.catalog, context.catalog.live))
    assert context.missing == [
        ("", f"the situation's 'usual_price' can't be {wrong!r}: it takes an amount above 0")
    ]


def test_the_past_counts_by_the_median_of_what_was_liked() -> None:
    past = [(0, 1.0), (1, 2.0), (2, 1.0), (3, -5.0), (3, np.nan), (3, 0.0), (4, 1.0), (5, 1.0)]
    assert scored(history=past).argmax() == 1
    assert scored(history=[(3, -1.0), (4, 3.0)]).tolist() == [0.5] * 7


def test_the_preset_works_on_its_sample(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        f"version: 1\nstore: sqlite:///{tmp_path / 'x.db'}\n"
        f"domains:\n  products: {{extends: products, slate: {{deadline_ms: 20000}}}}\n"
    )

    async def life() -> None:
        async with Orchestrator(load(path), clock=ManualClock(NOW)) as orchestrator:
            catalog = orchestrator.agent("products").catalog.snapshot()
            assert len(catalog.live) > 300
            assert orchestrator.stocking.imports["products"].rejected == 0
            slate = await orchestrator.recommend("products", Request("ann", situation={"max_price": 30}))
            assert slate.degraded == []
            assert len(slate.picks) == 12
            items = [catalog.item(catalog.row(pick.item)) for pick in slate.picks]
            assert max(Counter(item.get("category") for item in items).values()) <= 4
            assert all(item["available"] for item in items)
            assert all(float(item.get("price", 0)) <= 30 for item in items)  # type: ignore[arg-type]

            # Nothing is that cheap: what comes nearest to it, of what can be had, and the slate says so.
            slate = await orchestrator.recommend("products", Request("ann", situation={"max_price": 0.5}))
            assert [entry.component for entry in slate.degraded] == ["filters.affordable"]
            assert "the nearest" in slate.degraded[0].reason
            there = [item for row in catalog.live.tolist() if (item := catalog.item(row))["available"]]
            prices = sorted(float(item["price"]) for item in there if "price" in item)  # type: ignore[arg-type]
            shown = [catalog.item(catalog.row(pick.item)) for pick in slate.picks]
            assert len(shown) == 12
            assert max(float(item["price"]) for item in shown) <= prices[4 * 12]  # type: ignore[arg-type]
            assert all(item["available"] for item in shown)

    asyncio.run(life())
