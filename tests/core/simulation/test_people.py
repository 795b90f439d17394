"""People: the laws of their utilities, and what the platform is told of them."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tastemaker.core import Catalog, CatalogSnapshot, ItemSchema, RequestError
from tastemaker.core.config import DomainPlan, Settings
from tastemaker.core.simulation.answers import Answers, Habits, Kinds, looked_at
from tastemaker.core.simulation.people import Hidden, People
from tastemaker.core.stock.ingest import ingest
from tastemaker.core.stock.stock import Stock
from tastemaker.core.store import Store

Shop = Callable[..., Settings]


@pytest.fixture
def plan(shop: Shop) -> DomainPlan:
    return shop().domains["shop"]


@pytest.fixture
def catalog(plan: DomainPlan, tmp_path: Path) -> Iterator[CatalogSnapshot]:
    """As the orchestrator would have it, embeddings included."""
    store = Store(f"sqlite:///{tmp_path / 'people.db'}")
    step = plan.items.collector
    assert step is not None
    ingest(store, plan.name, plan.items.schema, step.component, "collector", replace=True)
    stock = Stock(store, plan)
    stock.refresh(store.end())
    yield stock.catalog.snapshot()
    store.close()


def test_taste_has_mean_0_and_deviation_1_over_the_catalogue(
    catalog: CatalogSnapshot, plan: DomainPlan
) -> None:
    people = People(catalog, plan, 50, 1, Hidden(appeal=0, number=0))
    worth = np.stack([people.utility(person, catalog, catalog.live) for person in range(50)])
    assert np.abs(worth.mean(axis=1)).max() < 0.15  # cut at 2.5 deviations
    assert ((worth.std(axis=1) > 0.8) & (worth.std(axis=1) < 1.05)).all()
    assert np.abs(worth).max() <= 2.5


def test_tastes_differ_and_appeal_is_common(catalog: CatalogSnapshot, plan: DomainPlan) -> None:
    people = People(catalog, plan, 40, 1, Hidden(taste=0, number=0))
    assert np.allclose(people.utility(0, catalog, catalog.live), people.utility(1, catalog, catalog.live))
    assert np.allclose(people.utility(0, catalog, catalog.live), people.appeal(catalog, catalog.live))
    people = People(catalog, plan, 40, 1, Hidden(appeal=0, number=0))
    worth = np.stack([people.utility(person, catalog, catalog.live) for person in range(40)])
    assert np.abs(np.corrcoef(worth)[np.triu_indices(40, 1)]).mean() < 0.3


def test_parts_add_up(catalog: CatalogSnapshot, plan: DomainPlan) -> None:
    rows = catalog.live[::3]

    def worth(**strengths: float) -> np.ndarray:
        hidden = Hidden(**{"taste": 0.0, "appeal": 0.0, "number": 0.0, **strengths})
        return People(catalog, plan, 3, 2, hidden).utility(2, catalog, rows)

    parts = 1.5 * worth(taste=1) + 0.5 * worth(appeal=1) + 0.2 * worth(number=1)
    assert np.allclose(worth(taste=1.5, appeal=0.5, number=0.2), parts)
    missing = np.isnan(catalog.column("price")[rows])
    assert missing.any()
    assert (worth(number=1)[missing] == 0).all()


def test_utilities_don_t_hang_on_who_else_is_asked(catalog: CatalogSnapshot, plan: DomainPlan) -> None:
    few, many = People(catalog, plan, 2, 1), People(catalog, plan, 9, 1)
    rows = catalog.live[[7, 3]]
    # Sums of float32 products may be rounded differently in another batch.
    there = many.utility(1, catalog, catalog.live)[[7, 3]]
    assert np.allclose(few.utility(1, catalog, rows), there, atol=1e-5)
    assert few.profiles == many.profiles[:2]
    assert People(catalog, plan, 2, 2).profiles != few.profiles


def test_an_item_is_as_appealing_in_any_other_catalogue(catalog: CatalogSnapshot, plan: DomainPlan) -> None:
    bare = ItemSchema({"title": "text"})
    turned = Catalog(bare)
    turned.put([(name, {"title": name}) for name in reversed(catalog.ids.tolist())])
    other = turned.snapshot()
    there = People(other, replace(plan, items=replace(plan.items, schema=bare)), 1, 4).appeal(
        other, other.live
    )
    assert People(catalog, plan, 1, 4).appeal(catalog, catalog.live).tolist() == there[::-1].tolist()


def test_profiles_tell_some_liked_words_under_the_domain_s_own_keys(
    catalog: CatalogSnapshot, plan: DomainPlan
) -> None:
    people = People(catalog, plan, 60, 1)
    told = known = 0
    for person, profile in enumerate(people.profiles):
        liked = people.liked_words(person)
        assert set(profile) <= {"interests", "makers"}
        assert set(profile.get("makers", [])) <= set(liked.get("maker", []))
        known += sum(len(words) for words in liked.values())
        told += sum(word in liked.get("topics", []) for word in profile.get("interests", []))
        told += len(profile.get("makers", []))
    assert 0.35 < told / known < 0.65


def test_items_without_words_are_told_of_by_their_texts(plan: DomainPlan) -> None:
    bare = ItemSchema({"title": "text"})
    items = Catalog(bare)
    items.put([(str(number), {"title": f"wooden spoon {number}"}) for number in range(20)])
    people = People(items.snapshot(), replace(plan, items=replace(plan.items, schema=bare)), 5, 1)
    assert all(set(profile["interests"]) <= {"wooden", "spoon"} for profile in people.profiles)
    assert all(profile["interests"] for profile in people.profiles)


def test_an_empty_catalogue_is_refused(plan: DomainPlan) -> None:
    with pytest.raises(RequestError, match="'shop' has no items"):
        People(Catalog(plan.items.schema).snapshot(), plan, 5, 1)


def test_answers_come_as_often_as_habits_say(catalog: CatalogSnapshot, plan: DomainPlan) -> None:
    people = People(catalog, plan, 100, 1)
    habits = Habits(patience=0, positive=0.2, negative=0.1, further=0.5)
    answers = Answers(people, catalog, Kinds("shop", plan.reward), habits)
    rows = people.reference
    counts = {"click": 0, "bookmark": 0, "skip": 0, "rating": 0, "dwell": 0}
    for turn in range(8):
        for person in range(100):
            for answer in answers(person, turn, catalog, rows):
                counts[answer.kind] += 1
    shown = 8 * 100 * len(rows)
    assert counts["click"] / shown == pytest.approx(0.2, abs=0.008)
    assert counts["bookmark"] / shown == pytest.approx(0.1, abs=0.006)
    assert counts["skip"] / shown == pytest.approx(0.1, abs=0.006)
    assert counts["rating"] / shown == pytest.approx(0.03, abs=0.005)
    assert counts["dwell"] / shown == pytest.approx(0.04, abs=0.005)


def test_worth_is_the_mean_of_the_answers(catalog: CatalogSnapshot, plan: DomainPlan) -> None:
    people = People(catalog, plan, 30, 3)
    kinds = Kinds("shop", plan.reward)
    answers = Answers(people, catalog, kinds, Habits(rates=0, stays=0))
    rows = catalog.live[:10]
    for person in range(2):
        given = [sum(answer.reward for answer in answers(person, turn, catalog, rows)) for turn in range(800)]
        error = np.std(given) / np.sqrt(len(given))
        assert answers.worth(person, catalog, rows) == pytest.approx(np.mean(given), abs=4 * error)


def test_answers_keep_to_the_reward_map(catalog: CatalogSnapshot, plan: DomainPlan) -> None:
    people = People(catalog, plan, 30, 3)
    answers = Answers(people, catalog, Kinds("shop", plan.reward))
    for person in range(30):
        given = answers(person, 1, catalog, catalog.live[:12])
        assert given == answers(person, 1, catalog, catalog.live[:12])
        kinds = {(answer.position, answer.kind) for answer in given}
        assert len(kinds) == len(given)
        for position, kind in kinds:
            assert kind != "bookmark" or (position, "click") in kinds
            assert kind != "skip" or (position, "click") not in kinds
            assert kind != "dwell" or (position, "click") in kinds


def test_the_same_item_is_felt_the_same_wherever_it_stands(
    catalog: CatalogSnapshot, plan: DomainPlan
) -> None:
    people = People(catalog, plan, 30, 3)
    answers = Answers(people, catalog, Kinds("shop", plan.reward), Habits(patience=0))
    rows = catalog.live[:12]

    def by_item(shown: np.ndarray) -> set[tuple[int, str, float | None]]:
        return {(int(shown[a.position]), a.kind, a.value) for a in answers(4, 2, catalog, shown)}

    assert by_item(rows) == by_item(rows[::-1])


def test_further_positions_are_looked_at_less() -> None:
    chances = looked_at(12, 0.5)
    assert chances[0] == 1
    assert (np.diff(chances) < 0).all()
    assert chances[3] == 0.5


def test_a_domain_in_which_nobody_can_like_anything_is_refused(shop: Shop) -> None:
    plan = shop("{taste: {use: thompson.ranker}}", "domains.shop.rewards={skip: -1, seen: 0}").domains["shop"]
    kinds = plan.reward.model_copy(update={"kinds": {"skip": -1.0}})
    with pytest.raises(RequestError, match="no kind of interaction with a fixed positive reward"):
        Kinds("shop", kinds)


def test_where_there_are_only_ratings_people_rate(plan: DomainPlan) -> None:
    kinds = Kinds(
        "shop", plan.reward.model_copy(update={"kinds": {"rating": {1.0: -1.0, 3.0: 0.0, 5.0: 2.0}}})
    )
    assert [(step.kind, step.value) for step in kinds.liking] == [("rating", 5.0)]
    assert [(step.kind, step.value) for step in kinds.disliking] == [("rating", 1.0)]
    assert not kinds.ratings
