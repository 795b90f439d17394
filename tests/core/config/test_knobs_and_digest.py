from typing import Any

import numpy as np
import pytest
from tastemaker.core import ComponentError
from tastemaker.core.config import DomainPlan

House = Any  # the fixture's class lives in conftest.py

BOOKS = """
filters: [{use: toy.where, field: rating, at_least: 3}]
sources: {similar: {boost: {rating: 1.5}}}
policies: {taste: {use: toy.ranker, weight: 0.4}}
"""


@pytest.fixture
def books(house: House) -> DomainPlan:
    plan = house.books(BOOKS).domains["books"]
    assert isinstance(plan, DomainPlan)
    return plan


def options(plan: DomainPlan, section: str, name: str) -> Any:
    return next(step.component for step in getattr(plan, section) if step.name == name)


def test_knobs_replace_options_weights_and_slate(books: DomainPlan) -> None:
    turned = books.with_knobs(
        {
            "sources.similar.limit": np.int64(4),
            "sources.similar.boost.rating": 2,
            "filters.where.field": "title",
            "scorers.recent.weight": np.float32(0.5),
            "policies.taste.weight": 2,
            "sources.popular.timeout_ms": 5,
            "slate.explore": 0.3,
            "slate.max_per": {"genres": 2},
        }
    )
    assert options(turned, "sources", "similar").limit == 4
    assert options(turned, "sources", "similar").boost == {"rating": 2.0}
    assert options(turned, "filters", "where").field == "title"
    assert options(turned, "filters", "where").at_least == 3
    assert turned.scorers[0].weight == 0.5
    assert turned.policies[0].weight == 2
    assert turned.sources[0].timeout_ms == 5
    assert (turned.slate.explore, turned.slate.max_per) == (0.3, {"genres": 2})
    assert turned.digest == books.digest
    assert options(books, "sources", "similar").limit == 50
    assert books.slate.explore == 0.1


def test_turning_nothing_gives_the_plan_itself(books: DomainPlan) -> None:
    assert books.with_knobs({}) is books


def test_the_same_knobs_give_the_same_plan(books: DomainPlan) -> None:
    first = books.with_knobs({"slate.size": 5, "slate.explore": 0.2})
    assert books.with_knobs({"slate.explore": 0.2, "slate.size": 5}) is first
    assert books.with_knobs({"slate.size": 6}) is not first


def test_a_policy_keeps_its_state(books: DomainPlan) -> None:
    turned = books.with_knobs({"policies.taste.weight": 2})
    assert turned.policies[0].component is books.policies[0].component


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("sources.similar.limit", 0, "the knob 'sources.similar.limit' must be at least 1, not 0"),
        ("sources.similar.limit", 2.5, "must be a whole number, not 2.5"),
        (
            "sources.similr.limit",
            3,
            "no knob is called 'sources.similr.limit'; did you mean 'sources.similar.limit'?",
        ),
        ("sources.similar.limt", 3, "; did you mean 'sources.similar.limit'?"),
        ("slate.diversiti", 3, "; did you mean 'slate.diversity'?"),
        ("sources.similar.boost.ratng", 3, "; did you mean 'sources.similar.boost.rating'?"),
        ("sources.similar.boost.x", 3, "no knob is called 'sources.similar.boost.x'; known: rating"),
        ("sources.similar.limit.x", 3, "no knob is called"),
        ("source.similar.limit", 3, "; did you mean 'sources.similar.limit'?"),
        ("sources", 3, "no knob is called 'sources'"),
        ("sources.similar.weight", 3, "no knob is called"),
        ("slate", 3, "no knob is called 'slate'"),
        ("slate.explore", 2, "the knob 'slate.explore' must be at most 1, not 2"),
        ("slate.explore", float("nan"), "knobs must be finite numbers"),
        ("slate.explore", object(), "knobs must be finite numbers"),
        ("slate.max_per", {"rating": 1}, "needs a field of the type category or tags"),
        ("scorers.recent.field", "title", "needs a field of the type time, and 'title' is text"),
        ("scorers.recent.weight", "x", "the knob 'scorers.recent.weight' must be a number, not 'x'"),
        ("policies.taste.prior", 2, "'policies.taste.prior' can't be turned"),
    ],
)
def test_a_bad_knob_is_named(books: DomainPlan, path: str, value: object, said: str) -> None:
    with pytest.raises(ComponentError) as caught:
        books.with_knobs({path: value})
    assert said in str(caught.value)


def digest(house: House, text: str) -> str:
    found = house.books(text).domains["books"].digest
    assert isinstance(found, str)
    return found


@pytest.mark.parametrize(
    "other",
    [
        "slate: {size: 11}",
        "learning: {history: 3}",
        "rewards: {open: 1}",
        "sources: {popular: {limit: 51}}",
        "sources: {popular: {enabled: false}}",
        "scorers: {recent: {weight: 2}}",
        "items: {fields: {more: text}}",
        "items: {from: {path: other.csv}}",
        "sources: [{use: toy.similar}, {use: toy.popular}, {use: toy.similar, limit: 3}]",
    ],
)
def test_the_digest_changes_with_the_composition(house: House, other: str) -> None:
    assert digest(house, other) != digest(house, "")


@pytest.mark.parametrize(
    "other",
    [
        "title: Other",
        "slate: {size: 10}",
        "items: {from: {token: secret}}",
        "items: {from: {path: far/away/books.csv}}",
        "items: {fields: {title: text}}",
        "sources: {popular: {limit: 50}}",
        "sources: [{limit: 50, use: toy.popular}, {use: toy.similar}, {limit: 3, use: toy.similar}]",
    ],
)
def test_the_digest_stays_where_decisions_stay(house: House, other: str) -> None:
    assert digest(house, other) == digest(house, "")


def test_the_digest_ignores_the_order_of_keys_that_have_none(house: House) -> None:
    one = digest(house, "rewards: {open: 1, close: 2}\nslate: {size: 3, explore: 0.5}")
    assert one == digest(house, "slate: {explore: 0.5, size: 3}\nrewards: {close: 2, open: 1}")
