"""Whatever its filters do, an agent answers: what can't be judged is dropped, and a wish gives way."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tastemaker.core import Catalog, Request
from tastemaker.core.agent import Agent
from tastemaker.core.config import DomainPlan, Step

from .compositions import (
    ITEMS,
    All,
    Available,
    Broken,
    BrokenAsync,
    BrokenInPlace,
    BrokenWish,
    Build,
    First,
    Gives,
    LostRated,
    Nothing,
    Rated,
    SoftNothing,
    decided,
    items_of,
    reasons,
)


class TestFilters:
    @pytest.mark.parametrize("broken", [Broken, BrokenInPlace, BrokenAsync])
    def test_one_that_raises_drops_all_it_cannot_judge(self, build: Build, broken: type[Any]) -> None:
        slate = decided(build(sources={"all": All()}, filters={"bad": broken()}))
        assert slate.picks == []
        assert reasons(slate)["filters.bad"] == "raised ZeroDivisionError: by design"
        assert "filters.bad dropped 40" in reasons(slate)["slate"]

    def test_it_is_named_once_even_where_the_slate_was_filled_up(self, build: Build) -> None:
        slate = decided(build(sources={"first": First(count=2)}, filters={"bad": Broken()}))
        assert [entry.component for entry in slate.degraded] == ["filters.bad", "slate"]

    def test_it_is_named_even_where_no_source_proposed_anything(self, build: Build) -> None:
        slate = decided(build(sources={"dead": Broken()}, filters={"bad": Broken()}))
        assert slate.picks == []
        assert "filters.bad" in reasons(slate)

    def test_one_whose_failure_is_to_be_ignored_keeps_all(self, build: Build) -> None:
        filters = {"bad": Step("bad", "x.y", Broken(), on_error="ignore")}
        slate = decided(build(sources={"all": All()}, filters=filters))
        assert len(slate.picks) == 4
        assert list(reasons(slate)) == ["filters.bad"]

    @pytest.mark.parametrize(
        "what",
        [
            None,
            True,
            [True] * 40,
            np.ones(3, dtype=bool),
            np.ones(40),
            np.ones((40, 1), dtype=bool),
            np.arange(4),
        ],
    )
    def test_one_that_returns_rubbish_drops_all(self, build: Build, what: Any) -> None:
        slate = decided(build(sources={"all": All()}, filters={"bad": Gives(what=what)}))
        assert slate.picks == []
        assert "not a bool array of shape (40,)" in reasons(slate)["filters.bad"]

    def test_a_wish_is_lifted_where_it_would_leave_nothing(self, build: Build) -> None:
        filters = {"available": Available(), "wish": SoftNothing()}
        slate = decided(build(sources={"all": All()}, filters=filters))
        assert len(slate.picks) == 4
        assert all(ITEMS[int(item[1:])]["available"] for item in items_of(slate))
        assert list(reasons(slate)) == ["filters.wish"]

        assert reasons(slate)["filters.wish"] == "lifted: none of 32 items meets it; all of them stay"

    def test_a_wish_that_nothing_meets_leaves_what_is_nearest_and_is_named(self, build: Build) -> None:
        filters = {"available": Available(), "high": Rated(low=9, high=10)}
        request = Request("ann", size=1, trace=True)
        slate = decided(build(sources={"all": All()}, filters=filters), request)
        left = items_of(slate) + [item for item, fate in (slate.fates or {}).items() if "rank" in fate]
        there = [place for place, item in enumerate(ITEMS) if item["available"]]
        assert sorted(left) == sorted(f"i{place}" for place in there if ITEMS[place]["rating"] == 6)
        assert reasons(slate) == {
            "filters.high": f"lifted: none of 32 items meets it; the nearest {len(left)} of them stay"
        }

    def test_of_wishes_that_rule_each_other_out_the_later_ones_give_way(self, build: Build) -> None:
        filters = {"low": Rated(high=1), "none": SoftNothing(), "high": Rated(low=5), "even": Rated(high=0)}
        slate = decided(build(sources={"all": All()}, filters=filters), Request("ann", size=1))
        # `none` rules everything out and gives way; of the rest `low` holds, of what that leaves what is nearest to
        # `high` stays, and that no longer meets `even`.
        assert {ITEMS[int(item[1:])]["rating"] for item in items_of(slate)} == {1.0}
        assert list(reasons(slate)) == ["filters.none", "filters.high", "filters.even"]

    def test_a_wish_that_something_in_the_catalogue_meets_is_not_lifted(self, build: Build) -> None:
        items = [{**ITEMS[0], "rating": float(place == 1999), "available": True} for place in range(2000)]
        for wish in (Rated(low=1), Rated(low=1, high=1)):
            slate = decided(build(items, sources={"first": First(count=10)}, filters={"wish": wish}))
            assert items_of(slate) == ["i1999"]
            assert slate.degraded == []

    def test_of_very_many_that_are_left_those_that_were_proposed_come_first(self, build: Build) -> None:
        items = [{**ITEMS[0], "rating": 1.0} for _ in range(2000)]
        agent = build(items, sources={"first": First(count=10)}, filters={"wish": SoftNothing()})
        slate = decided(agent, Request("ann", trace=True))
        assert reasons(slate)["filters.wish"] == "lifted: none of 2000 items meets it; all of them stay"
        left = {item for item, fate in (slate.fates or {}).items() if "rank" in fate} | {*items_of(slate)}
        assert len(left) == 500
        assert {f"i{place}" for place in range(10)} <= left

    def test_looked_for_in_all_of_the_catalogue_each_item_counts_once_and_removed_ones_never(
        self, plan_of: Callable[..., DomainPlan], catalog_of: Callable[..., Catalog]
    ) -> None:
        catalog = catalog_of([ITEMS[0]] * 700)
        catalog.remove([f"i{place}" for place in range(5, 700, 3)])
        live = {str(identity) for identity in catalog.snapshot().ids[catalog.snapshot().live]}
        plan = plan_of(sources={"first": First(count=10)}, filters={"high": Rated(low=9), "rule": Nothing()})
        slate = decided(Agent(plan, catalog), Request("ann", trace=True))
        assert slate.removed == {"filters.rule": len(live)}
        assert set(slate.fates or {}) == live

    def test_a_wish_that_cannot_tell_what_is_near_leaves_all(self, build: Build) -> None:
        slate = decided(build(sources={"all": All()}, filters={"wish": LostRated()}))
        assert len(slate.picks) == 4
        assert [entry.reason for entry in slate.degraded] == [
            "raised ZeroDivisionError: by design",
            "lifted: none of 40 items meets it; all of them stay",
        ]

    def test_a_wish_that_fails_is_not_said_to_be_met_by_nothing(self, build: Build) -> None:
        slate = decided(build(sources={"all": All()}, filters={"bad": BrokenWish(), "low": Rated(high=1)}))
        assert {ITEMS[int(item[1:])]["rating"] for item in items_of(slate)} <= {0.0, 1.0}
        assert [entry.component for entry in slate.degraded] == ["filters.bad"]
        assert "lifted" not in slate.degraded[0].reason

    def test_a_rule_never_is(self, build: Build) -> None:
        slate = decided(build(sources={"all": All()}, filters={"rule": Nothing(), "wish": SoftNothing()}))
        assert slate.picks == []
        assert "filters.rule dropped 40" in reasons(slate)["slate"]
