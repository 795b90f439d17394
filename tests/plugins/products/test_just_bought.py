"""products.just_bought: nobody is shown what he just bought, in another size neither; what is used up comes again."""

from collections.abc import Callable
from typing import Any

import pytest
from tastemaker.core import Candidates, Catalog, Context
from tastemaker.core.conformance import check_component
from tastemaker.plugins.products import JustBought

Asks = Callable[..., Context]
FIELDS: dict[str, Any] = {"item_group_id": "category", "category": "category", "tags": "tags"}
ITEMS: dict[str, dict[str, Any]] = {
    "shirt-s": {"item_group_id": "shirt", "category": "Clothes"},
    "shirt-m": {"item_group_id": "shirt", "category": "Clothes"},
    "coffee": {"category": "Groceries", "tags": ["fresh"]},
    "mug": {"category": "Kitchen"},
    "bare": {},
}


@pytest.fixture(scope="module")
def catalog(shop_of: Callable[..., Catalog]) -> Catalog:
    return shop_of(ITEMS, FIELDS)


def left(context: Context, **options: Any) -> set[str]:
    every = Candidates(context.catalog, context.catalog.live)
    keep = JustBought(**options).keep(context, every)
    return {str(identity) for identity in every.ids[keep]}


def test_it_is_a_component() -> None:
    check_component(JustBought(group="category"), quiet=True)
    check_component(JustBought(category="tags", replenish={"calm": 3}), quiet=True)


def test_what_was_bought_is_gone_for_a_while(catalog: Catalog, asks: Asks) -> None:
    assert left(asks(catalog, [("mug", "purchase", 179.0)])) == set(ITEMS) - {"mug"}
    assert left(asks(catalog, [("mug", "purchase", 181.0)])) == set(ITEMS)
    assert left(asks(catalog, [("mug", "click", 0.0)])) == set(ITEMS)
    assert left(asks(catalog)) == set(ITEMS)


def test_so_are_its_variants(catalog: Catalog, asks: Asks) -> None:
    past = [("shirt-s", "purchase", 1.0)]
    assert left(asks(catalog, past)) == set(ITEMS) - {"shirt-s"}
    assert left(asks(catalog, past), group="item_group_id") == set(ITEMS) - {"shirt-s", "shirt-m"}


def test_what_has_no_group_has_no_variants(catalog: Catalog, asks: Asks) -> None:
    assert left(asks(catalog, [("mug", "purchase", 1.0)]), group="item_group_id") == set(ITEMS) - {"mug"}


@pytest.mark.parametrize(("field", "word"), [("category", "groceries"), ("tags", "Fresh")])
def test_what_is_used_up_comes_again(catalog: Catalog, asks: Asks, field: str, word: str) -> None:
    options = {"category": field, "replenish": {word: 14.0}}
    for days, comes in ((13.0, False), (15.0, True)):
        context = asks(catalog, [("coffee", "purchase", days), ("mug", "purchase", days)])
        assert left(context, **options) == set(ITEMS) - {"mug"} - (set() if comes else {"coffee"})


def test_options_that_make_no_sense_are_told() -> None:
    assert dict(JustBought(replenish={"a": 1}).misfits({})) == {
        "replenish": "`replenish` needs `category`: the field whose words it names"
    }
    found = dict(JustBought(group="tags", category="tags", replenish={"a": -1}).misfits({"tags": "tags"}))
    assert found["group"] == "`group` needs a category field, and 'tags' is tags"
    assert "must lie between 0 and 36500, not -1" in found["replenish"]
