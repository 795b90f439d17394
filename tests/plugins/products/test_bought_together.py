"""products.bought_together: pairs that belong together are found, by counts anybody can check, whatever the batches."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tastemaker.core import Candidates, Catalog, Context, Outcomes
from tastemaker.core.agent import state_digest
from tastemaker.core.conformance import check_component
from tastemaker.plugins.products import BoughtTogether

from .conftest import NOW

Asks = Callable[..., Context]
IDS = [f"i{place}" for place in range(8)]
Bought = tuple[str, str, str | None, float]
"""User, item, order, minutes from the start."""


@pytest.fixture(scope="module")
def catalog(shop_of: Callable[..., Catalog]) -> Catalog:
    return shop_of({identity: {} for identity in IDS}, {"title": "text"})


def outcomes_of(bought: Sequence[Bought], kind: str = "purchase") -> Outcomes:
    count = len(bought)
    return Outcomes(
        users=[user for user, *_ in bought],
        items=[item for _, item, *_ in bought],
        slates=[""] * count,
        reward=np.full(count, 10.0),
        total=np.full(count, 10.0),
        first=np.ones(count, dtype=bool),
        propensity=np.full(count, np.nan),
        position=np.full(count, -1, dtype=np.int32),
        time=np.array([NOW + 60 * minutes for *_, minutes in bought]),
        situations=[{} if order is None else {"order": order} for _, _, order, _ in bought],
        memos=[{}] * count,
        kinds=[kind] * count,
    )


def learned(bought: Sequence[Bought], **options: Any) -> BoughtTogether:
    policy = BoughtTogether(**options)
    policy.learn(outcomes_of(bought))
    return policy


def orders(*baskets: str) -> list[Bought]:
    """Orders of items by their numbers, such as "01" for i0 and i1."""
    return [
        (f"u{place}", f"i{number}", f"o{place}", 0.0)
        for place, basket in enumerate(baskets)
        for number in basket
    ]


def scores(policy: BoughtTogether, context: Context) -> dict[str, float]:
    every = Candidates(context.catalog, context.catalog.live)
    ranked = policy.rank(context, every)
    return {str(identity): float(score) for identity, score in zip(every.ids, ranked, strict=True)}


def test_it_is_a_component() -> None:
    check_component(BoughtTogether, quiet=True)


def test_the_score_is_the_logarithm_of_the_shrunk_lift(catalog: Catalog, asks: Asks) -> None:
    policy = learned(orders(*["01"] * 6, *["02"] * 2, *["3"] * 4), prior=5)
    found = scores(policy, asks(catalog, situation={"cart": ["i0"]}))
    # 12 baskets, 8 with i0, 6 with i1: 6 together where 4 are to be expected; 2 with i2, where 4/3 are.
    one, two = math.log((6 + 5) / (8 * 6 / 12 + 5)), math.log((2 + 5) / (8 * 2 / 12 + 5))
    assert found["i1"] == 1.0
    assert found["i2"] == pytest.approx(two / one)
    assert found["i0"] == found["i3"] == found["i7"] == 0.0


def test_one_meeting_says_less_than_many(catalog: Catalog, asks: Asks) -> None:
    policy = learned(orders("02", *["01"] * 10, *["0345"] * 3, *["6"] * 50))
    found = scores(policy, asks(catalog, situation={"item": "i0"}))
    assert found["i1"] > found["i3"] > found["i2"] > 0


def test_what_everybody_buys_goes_with_nothing(catalog: Catalog, asks: Asks) -> None:
    policy = learned(orders(*["07"] * 5, *["17"] * 5, *["27"] * 20, *["01"] * 5))
    found = scores(policy, asks(catalog, situation={"cart": "i0"}))
    assert found["i1"] > 0
    assert found["i7"] == 0.0


def test_an_order_is_one_basket_however_long_it_takes(catalog: Catalog, asks: Asks) -> None:
    policy = learned([("ann", "i0", "1", 0.0), ("bob", "i5", "2", 1.0), ("ann", "i1", "1", 2.0)] * 3)
    assert policy.statistics() == {"baskets": 2.0, "items": 3.0, "pairs": 1.0}


def test_without_an_order_time_tells(catalog: Catalog) -> None:
    near = [("ann", "i0", None, 0.0), ("ann", "i1", None, 59.0), ("ann", "i2", None, 118.0)]
    assert learned(near).statistics()["pairs"] == 3
    far = [("ann", "i0", None, 0.0), ("ann", "i1", None, 61.0), ("bob", "i2", None, 61.5)]
    assert learned(far).statistics() == {"baskets": 3.0, "items": 3.0, "pairs": 0.0}


def test_only_purchases_count(catalog: Catalog) -> None:
    policy = BoughtTogether()
    policy.learn(outcomes_of(orders("01"), kind="click"))
    assert policy.statistics()["baskets"] == 0


def test_without_a_cart_late_purchases_ask(catalog: Catalog, asks: Asks) -> None:
    policy = learned(orders(*["01"] * 6, *["23"] * 6, *["4"] * 20))
    past = [("i2", "purchase", 1.0), ("i0", "purchase", 40.0), ("i0", "click", 0.0)]
    found = scores(policy, asks(catalog, past))
    assert (found["i3"], found["i1"]) == (1.0, 0.0)
    assert policy.propose(asks(catalog, past)).tolist() == [3]
    assert policy.propose(asks(catalog)).tolist() == []


def test_it_says_why(catalog: Catalog, asks: Asks) -> None:
    policy = learned(orders(*["01"] * 6, *["23"] * 6))
    context = asks(catalog, situation={"cart": "i9, i0, i2"})
    every = Candidates(context.catalog, context.catalog.live)
    policy.rank(context, every)
    because = every.memo["because"].tolist()
    assert because[:4] == ["", "i0", "", "i2"]
    assert policy.explain("i1", {"because": "i0"}) == "bought together with 'i0'"
    assert policy.explain("", {}) == policy.explain("i5", {"because": ""}) == ""


def test_when_there_are_too_many_pairs_all_count_half(catalog: Catalog) -> None:
    baskets = [f"{a}{b}" for a in range(8) for b in range(a)]
    policy = learned(orders(*baskets * 5), pairs=100)
    assert policy.statistics()["pairs"] == 28
    many = [
        (f"u{place}", f"x{place + step}", f"o{place}", 0.0) for place in range(0, 240, 2) for step in (0, 1)
    ]
    found = learned([*orders(*["01"] * 8), *many], pairs=100).state()
    assert len(found["pairs"]) <= 100
    assert (
        dict(zip(map(tuple, found["pairs"].tolist()), found["together"].tolist(), strict=True))[1, 2] == 4.0
    )


PURCHASES = st.lists(
    st.tuples(
        st.sampled_from("abc"), st.sampled_from(IDS), st.sampled_from([None, "1", "2"]), st.integers(0, 90)
    ),
    max_size=40,
)


@given(purchases=PURCHASES, cuts=st.lists(st.integers(0, 40), max_size=3))
@settings(max_examples=60)
def test_neither_batches_nor_a_restart_change_anything(purchases: list[Any], cuts: list[int]) -> None:
    time = np.cumsum([minutes for *_, minutes in purchases])
    bought = [
        (user, item, order, float(at)) for (user, item, order, _), at in zip(purchases, time, strict=True)
    ]
    whole = learned(bought, largest=3)
    policy = BoughtTogether(largest=3)
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(bought)], strict=True):
        policy.learn(outcomes_of(bought[start:end]))
        again = BoughtTogether(largest=3)
        again.load(policy.state())
        policy = again
    assert state_digest(policy.state()) == state_digest(whole.state())


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ids", ["a", "a"], "each text once"),
        ("bought", np.zeros(1), "bought must be an array"),
        ("pairs", np.array([[1, 9]], dtype=np.int32), "numbers of 2 items"),
        ("together", np.array([np.nan]), "finite"),
        ("baskets", -1, "not below 0"),
        ("held", np.zeros(5, dtype=np.int32), "held must be an array"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(name: str, value: Any, said: str) -> None:
    policy = learned(orders("01"))
    before = state_digest(policy.state())
    with pytest.raises(ValueError, match=said):
        policy.load({**policy.state(), name: value})
    assert state_digest(policy.state()) == before
