"""Whatever its policies do, an agent answers: by its own order where they fail; what they note is kept."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tastemaker.core import Candidates, Context, Policy
from tastemaker.policies.thompson import Ranker

from .compositions import (
    All,
    Broken,
    BrokenAsync,
    BrokenInPlace,
    Build,
    First,
    Gives,
    InPlace,
    Rating,
    decided,
    items_of,
    reasons,
)


class TestPolicies:
    @pytest.mark.parametrize("broken", [Broken, BrokenInPlace, BrokenAsync])
    def test_one_that_raises_leaves_the_composition_its_own_order(
        self, build: Build, broken: type[Any]
    ) -> None:
        slate = decided(
            build(sources={"all": All()}, scorers={"rating": Rating()}, policies={"bad": broken()})
        )
        assert [pick.score for pick in slate.picks] == [6.0] * 4
        assert set(reasons(slate)) == {"policies.bad"}

    @pytest.mark.parametrize(
        "what",
        [
            None,
            [0.0] * 12,
            lambda count: np.zeros(count + 1),
            lambda count: np.zeros((0, count)),
            lambda count: np.zeros((2, 2, count)),
            lambda count: np.zeros((count, count + 1)),
        ],
    )
    def test_one_that_returns_rubbish_does_too(self, build: Build, what: Any) -> None:
        policies = {"bad": Gives(what=what), "taste": Ranker()}
        slate = decided(build(sources={"all": All()}, scorers={"rating": Rating()}, policies=policies))
        assert len(slate.picks) == 4
        assert "not numbers of shape (12,)" in reasons(slate)["policies.bad"]

    def test_numbers_of_draws_that_differ_do_no_harm(self, build: Build) -> None:
        policies = {"taste": Ranker(), "bad": Gives(what=lambda count: np.zeros((5, count)))}
        slate = decided(build(sources={"all": All()}, policies=policies))
        assert len(slate.picks) == 4
        assert list(reasons(slate)) == ["policies.bad"]

    @pytest.mark.parametrize(
        "memo", [5, "text", [1, 2], np.zeros(2), np.array(3), np.array([None] * 12)], ids=str
    )
    def test_a_memo_of_the_wrong_shape_does_no_harm(self, build: Build, memo: Any) -> None:
        class Scribbler(InPlace, Policy):
            def rank(self, context: Context, candidates: Candidates) -> NDArray[np.float64]:
                candidates.memo["x"] = memo
                return np.zeros(len(candidates))

        slate = decided(build(sources={"all": All()}, policies={"bad": Scribbler()}))
        assert len(slate.picks) == 4
        assert list(reasons(slate)) == ["policies.bad"]

    def test_its_memos_are_kept_with_the_slate_cut_to_the_picks(self, build: Build) -> None:
        class Careful(InPlace, Policy):
            def rank(self, context: Context, candidates: Candidates) -> NDArray[np.float64]:
                context.memo["arm"] = 3
                candidates.memo["number"] = candidates.rows * 10
                candidates.memo["pair"] = np.stack((candidates.rows, candidates.rows + 1), axis=1)
                return np.zeros(len(candidates))

        slate = decided(
            build(sources={"all": All()}, scorers={"rating": Rating()}, policies={"careful": Careful()})
        )
        rows = [int(item[1:]) for item in items_of(slate)]
        assert slate.memo["careful"]["context"] == {"arm": 3}
        assert slate.memo["careful"]["items"]["number"] == [10 * row for row in rows]
        assert slate.memo["careful"]["items"]["pair"] == [[row, row + 1] for row in rows]

    def test_a_pick_from_beyond_the_shortlist_is_remembered_too(self, build: Build) -> None:
        asked: list[int] = []

        class Careful(InPlace, Policy):
            def rank(self, context: Context, candidates: Candidates) -> NDArray[np.float64]:
                asked.append(len(candidates))
                candidates.memo["number"] = candidates.rows * 10
                return np.full(len(candidates), 5.0)

        class Silent(InPlace, Policy):
            def rank(self, context: Context, candidates: Candidates) -> NDArray[np.float64]:
                assert len(candidates) == 4
                return np.zeros(len(candidates))

        options = {"explore": 0.5, "explore_pool": 40, "shortlist": 1.0}
        policies = {"careful": Careful(), "silent": Silent()}
        slate = decided(
            build(sources={"all": All()}, scorers={"rating": Rating()}, policies=policies, slate=options)
        )
        rows = [int(item[1:]) for item in items_of(slate)]
        assert asked == [4, 2]
        assert [pick.explored for pick in slate.picks].count(True) == 2
        assert slate.memo["careful"]["items"]["number"] == [10 * row for row in rows]
        assert [pick.parts["careful"] for pick in slate.picks] == [
            0.0 if pick.explored else 5.0 for pick in slate.picks
        ]

    def test_it_can_propose_as_well(self, build: Build) -> None:
        class Knows(InPlace, Policy):
            def propose(self, context: Context) -> list[str]:
                return ["i2", "i0"]

        slate = decided(build(sources={"first": First(count=1)}, policies={"knows": Knows()}))
        assert {pick.item: set(pick.sources) for pick in slate.picks[:2]} == {
            "i0": {"first", "knows"},
            "i2": {"knows"},
        }
        assert slate.considered == 2

    def test_knobs_turn_the_composition_for_one_request(self, build: Build) -> None:
        class Tuner(InPlace, Policy):
            def tune(self, context: Context) -> Mapping[str, Any]:
                return {"slate.size": 2, "sources.first.count": 3, "scorers.rating.weight": -1.0}

        agent = build(sources={"first": First()}, scorers={"rating": Rating()}, policies={"tuner": Tuner()})
        slate = decided(agent)
        assert slate.knobs == {"slate.size": 2, "sources.first.count": 3, "scorers.rating.weight": -1.0}
        assert slate.picks[0].item == "i0"
        assert slate.degraded == []
        assert slate.considered == 3
        assert decided(agent).picks == slate.picks

    @pytest.mark.parametrize(
        ("knobs", "named"),
        [
            ({"scorers.ratng.weight": 1.0}, "did you mean 'scorers.rating.weight'?"),
            ({"slate.explore": 7}, "slate.explore"),
            ({"slate.explore": float("nan")}, "finite"),
            ({"slate.explore": object()}, "knobs must be"),
            ({3: 4}, ""),
            ({"nowhere": 1}, "nowhere"),
        ],
    )
    def test_knobs_that_do_not_fit_are_left_as_they_were(self, build: Build, knobs: Any, named: str) -> None:
        class Tuner(InPlace, Policy):
            def tune(self, context: Context) -> Mapping[str, Any]:
                found: Mapping[str, Any] = knobs
                return found

        slate = decided(
            build(sources={"all": All()}, scorers={"rating": Rating()}, policies={"tuner": Tuner()})
        )
        assert [pick.score for pick in slate.picks] == [6.0] * 4
        assert named in reasons(slate)["knobs"]
        assert slate.knobs == {}

    def test_knobs_that_fit_are_turned_though_others_do_not_and_leave_no_memo(self, build: Build) -> None:
        class Tuner(InPlace, Policy):
            knobs: Mapping[str, Any]

            def tune(self, context: Context) -> Mapping[str, Any]:
                context.memo["turned"] = True
                return self.knobs

        tuners = {
            "good": Tuner(knobs={"slate.size": 2}),
            "bad": Tuner(knobs={"slate.explore": 7}),
            "idle": Tuner(knobs={}),
        }
        slate = decided(build(sources={"all": All()}, policies=tuners))
        assert slate.knobs == {"slate.size": 2}
        assert "slate.explore" in reasons(slate)["knobs"]
        assert set(slate.memo) == {"good", "idle"}

    @pytest.mark.parametrize("knobs", [None, ["slate.size"], 5])
    def test_what_are_no_knobs_at_all_is_named(self, build: Build, knobs: Any) -> None:
        class Tuner(InPlace, Policy):
            def tune(self, context: Context) -> Mapping[str, Any]:
                found: Mapping[str, Any] = knobs
                return found

        slate = decided(build(sources={"all": All()}, policies={"tuner": Tuner()}))
        assert len(slate.picks) == 4
        assert "not a mapping of knobs" in reasons(slate)["policies.tuner"]
