"""Whatever its scorers do, an agent answers: one that fails counts nothing."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tastemaker.core import Candidates, Catalog, Context, Embedder, Scorer, Slate
from tastemaker.core.agent import Agent
from tastemaker.core.config import DomainPlan, Step

from .compositions import (
    ITEMS,
    All,
    Broken,
    BrokenAsync,
    BrokenInPlace,
    Build,
    Gives,
    InPlace,
    Rated,
    Rating,
    decided,
    items_of,
    reasons,
)


class TestScorers:
    @pytest.mark.parametrize("broken", [Broken, BrokenInPlace, BrokenAsync])
    def test_one_that_raises_counts_nothing(self, build: Build, broken: type[Any]) -> None:
        slate = decided(build(sources={"all": All()}, scorers={"bad": broken(), "rating": Rating()}))
        assert [pick.score for pick in slate.picks] == [6.0] * 4
        assert list(reasons(slate)) == ["scorers.bad"]

    @pytest.mark.parametrize(
        "what",
        [
            None,
            1.0,
            [1.0] * 40,
            np.ones(3),
            np.ones((40, 1)),
            np.ones((1, 40)),
            np.array(["x"] * 40),
            np.array([None] * 40),
            np.ones(40, dtype=complex),
        ],
    )
    def test_one_that_returns_rubbish_counts_nothing(self, build: Build, what: Any) -> None:
        slate = decided(build(sources={"all": All()}, scorers={"bad": Gives(what=what), "rating": Rating()}))
        assert [pick.score for pick in slate.picks] == [6.0] * 4
        assert "not numbers of shape (40,)" in reasons(slate)["scorers.bad"]

    @pytest.mark.parametrize(
        "odd", [[np.nan], [np.inf], [-np.inf], [np.inf, -np.inf], [np.nan] * 40], ids=lambda odd: str(odd[:2])
    )
    def test_scores_that_are_no_numbers_count_nothing(self, build: Build, odd: list[float]) -> None:
        score = np.zeros(40)
        score[: len(odd)] = odd
        slate = decided(build(sources={"all": All()}, scorers={"odd": Gives(what=score), "rating": Rating()}))
        assert [pick.score for pick in slate.picks] == [6.0] * 4
        assert reasons(slate)["scorers.odd"] == f"{len(odd)} of its scores were not finite: taken as 0"

    def test_numbers_that_are_huge_do_no_harm(self, build: Build) -> None:
        huge = Step("huge", "x.y", Gives(what=np.full(40, 1e308)), weight=100.0)
        scorers = {
            "huge": huge,
            "more": Gives(what=np.full(40, 1e308)),
            "less": Gives(what=np.full(40, -1e308)),
        }
        slate = decided(build(sources={"all": All()}, scorers=scorers, slate={"diversity": 0.5}))
        assert len(set(items_of(slate))) == 4
        assert all(np.isfinite(pick.score) for pick in slate.picks)

    @pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64, np.uint8, np.bool_])
    def test_numbers_of_any_type_are_scores(self, build: Build, dtype: Any) -> None:
        score = np.arange(40) == 7
        slate = decided(build(sources={"all": All()}, scorers={"one": Gives(what=score.astype(dtype))}))
        assert slate.picks[0].item == "i7"
        assert slate.degraded == []

    def test_what_a_component_does_to_a_column_stays_with_it(self, build: Build) -> None:
        class Careless(InPlace, Scorer):
            def score(self, context: Context, candidates: Candidates) -> NDArray[np.float32]:
                rating: NDArray[np.float32] = candidates["rating"]
                rating *= 0
                return rating

        slate = decided(build(sources={"all": All()}, scorers={"bad": Careless(), "rating": Rating()}))
        assert [pick.parts["rating"] for pick in slate.picks] == [6.0] * 4
        assert "read-only" in reasons(slate)["scorers.bad"]

    def test_what_a_component_does_to_the_scores_of_others_stays_with_it(self, build: Build) -> None:
        class Envious(InPlace, Scorer):
            def score(self, context: Context, candidates: Candidates) -> NDArray[np.float64]:
                candidates.scores["rating"][:] = 0
                return np.zeros(len(candidates))

        slate = decided(build(sources={"all": All()}, scorers={"rating": Rating(), "bad": Envious()}))
        assert [pick.parts for pick in slate.picks] == [{"rating": 6.0}] * 4
        assert "read-only" in reasons(slate)["scorers.bad"]

    def test_what_a_component_does_to_the_profile_s_vector_stays_with_it(
        self, catalog_of: Callable[..., Catalog], plan_of: Callable[..., DomainPlan]
    ) -> None:
        class Tastes(Embedder):
            def profile_text(self, profile: Mapping[str, Any]) -> str:
                return str(profile["taste"])

            def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
                return np.ones((len(texts), 2), dtype=np.float32)

        class Halving(InPlace, Scorer):
            def score(self, context: Context, candidates: Candidates) -> NDArray[np.float64]:
                vector = context.profile_vector
                assert vector is not None
                vector /= 2
                return np.zeros(len(candidates))

        class Reading(InPlace, Scorer):
            def score(self, context: Context, candidates: Candidates) -> NDArray[np.float64]:
                assert context.profile_vector is not None
                return np.full(len(candidates), context.profile_vector.sum())

        plan = plan_of(
            sources={"all": All()}, scorers={"bad": Halving(), "fine": Reading()}, embedder=Tastes()
        )
        agent = Agent(plan, catalog_of(ITEMS))
        for _ in range(2):
            slate = decided(agent, profile={"taste": "folk"})
            assert [pick.parts for pick in slate.picks] == [{"fine": 2.0}] * 4
            assert "read-only" in reasons(slate)["scorers.bad"]

    def test_what_others_than_policies_write_into_the_memo_does_no_harm(self, build: Build) -> None:
        class Noting(Rated, Scorer):
            def keep(self, context: Context, candidates: Candidates) -> NDArray[np.bool_]:
                candidates.memo["why"] = "because"  # type: ignore[assignment]
                return super().keep(context, candidates)

            def distance(self, context: Context, candidates: Candidates) -> NDArray[np.floating[Any]]:
                candidates.memo["why"] = "because"  # type: ignore[assignment]
                return super().distance(context, candidates)

            score = distance

        noting = Noting(low=9)
        slate = decided(build(sources={"all": All()}, filters={"wish": noting}, scorers={"noting": noting}))
        assert [pick.score for pick in slate.picks] == [5.0] * 4  # of the nearest, those that are farthest

    def test_scores_of_another_precision_can_be_logged(self, build: Build) -> None:
        slate = decided(
            build(sources={"all": All()}, scorers={"long": Gives(what=np.ones(40, dtype=np.longdouble))})
        )
        assert Slate.from_bytes("s1", "books", "ann", slate.to_bytes()).picks[0].parts == {"long": 1.0}
