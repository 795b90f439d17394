"""Whatever its components do, an agent answers: in time, with a slate, and naming what failed."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from tastemaker.core import Candidates, Context, Policy, Request, Scorer, Slate, Source
from tastemaker.core.agent import Agent
from tastemaker.core.config import Step
from tastemaker.core.outcomes import Outcomes
from tastemaker.policies.thompson import Ranker

from .compositions import (
    ITEMS,
    NOW,
    All,
    Available,
    Broken,
    BrokenAsync,
    Build,
    First,
    Gives,
    Rating,
    again,
    decided,
    items_of,
    reasons,
)


class TestAWholeComposition:
    def test_the_best_rated_of_those_that_pass_come_first(self, build: Build) -> None:
        agent = build(
            sources={"all": All()}, filters={"available": Available()}, scorers={"rating": Rating()}
        )
        slate = decided(agent)
        assert len(slate.picks) == 4
        assert [pick.score for pick in slate.picks] == [6.0, 6.0, 6.0, 6.0]
        assert all(ITEMS[int(item[1:])]["available"] for item in items_of(slate))
        assert slate.degraded == []
        assert slate.removed == {"filters.available": 8}
        assert slate.considered == 40
        assert all(pick.sources == ["all"] for pick in slate.picks)
        assert [pick.position for pick in slate.picks] == [0, 1, 2, 3]

    def test_the_parts_of_a_score_add_up_to_it(self, build: Build) -> None:
        steps = {"taste": Step("taste", "thompson.ranker", Ranker(), weight=0.5)}
        scorers = {"rating": Step("rating", "test.rating", Rating(), weight=2.0)}
        slate = decided(
            build(sources={"all": All()}, scorers=scorers, policies=steps, slate={"explore": 0.5})
        )
        for pick in slate.picks:
            assert set(pick.parts) == {"rating", "taste"}
            assert sum(pick.parts.values()) == pytest.approx(pick.score)
        assert any(pick.explored for pick in slate.picks)

    def test_every_source_that_had_an_item_is_named(self, build: Build) -> None:
        slate = decided(
            build(sources={"all": All(), "first": First(count=2)}, slate={"size": 40, "explore_pool": 40})
        )
        named = {pick.item: pick.sources for pick in slate.picks}
        assert named["i0"] == named["i1"] == ["all", "first"]
        assert named["i2"] == ["all"]
        assert slate.considered == 40

    def test_excluded_items_are_not_in_it_even_where_it_fills_up(self, build: Build) -> None:
        agent = build(sources={"first": First(count=6)}, scorers={"rating": Rating()})
        slate = decided(agent, Request("ann", exclude=frozenset({"i3", "i4", "i5", "i6", "unknown"})))
        assert not {"i3", "i4", "i5", "i6"} & set(items_of(slate))
        assert len(slate.picks) == 4
        assert slate.exclude == ["i3", "i4", "i5", "i6", "unknown"]

    def test_a_request_may_ask_for_another_size(self, build: Build) -> None:
        assert len(decided(build(sources={"all": All()}), Request("ann", size=9)).picks) == 9
        assert len(decided(build(sources={"all": All()}), Request("ann", size=100)).picks) == 40

    def test_a_trace_tells_the_fate_of_every_candidate(self, build: Build) -> None:
        agent = build(
            sources={"all": All()}, filters={"available": Available()}, scorers={"rating": Rating()}
        )
        slate = decided(agent, Request("ann", trace=True, exclude=frozenset({"i1"})))
        assert slate.fates is not None
        assert set(slate.fates) | set(items_of(slate)) == {f"i{place}" for place in range(40)}
        assert slate.fates["i0"] == {"dropped_by": "filters.available"}
        assert slate.fates["i1"] == {"dropped_by": "exclude"}
        ranks = sorted(fate["rank"] for fate in slate.fates.values() if "rank" in fate)
        assert len(ranks) == 40 - 8 - 1 - 4
        assert decided(agent).fates is None

    def test_too_few_proposals_are_filled_up_from_the_catalogue(self, build: Build) -> None:
        slate = decided(build(sources={"first": First(count=2)}, filters={"available": Available()}))
        assert len(slate.picks) == 4
        assert {source for pick in slate.picks for source in pick.sources} <= {"first", "catalogue"}
        assert all(ITEMS[int(item[1:])]["available"] for item in items_of(slate))

    def test_a_slate_can_be_written_down_and_read_again(self, build: Build) -> None:
        slate = decided(
            build(sources={"all": All()}, filters={"broken": Broken()}, policies={"taste": Ranker()})
        )
        again = Slate.from_bytes(slate.id, slate.domain, slate.user, slate.to_bytes())
        assert again.to_bytes() == slate.to_bytes()


class TestReplay:
    def agent(self, build: Build, seed: int = 0) -> Agent:
        agent = build(
            sources={"all": All()},
            scorers={"rating": Rating()},
            policies={"taste": Step("taste", "thompson.ranker", Ranker(scope="both"), weight=3.0)},
            slate={"explore": 0.4, "diversity": 0.3, "max_per": {"genre": 2}},
        )
        rng = np.random.default_rng(seed)
        count = 200
        items = rng.integers(0, 40, count)
        agent.policies["taste"].learn(
            Outcomes(
                users=["ann", "eve"] * (count // 2),
                items=[f"i{item}" for item in items],
                slates=[""] * count,
                reward=rng.random(count),
                total=rng.random(count),
                first=np.ones(count, dtype=bool),
                propensity=np.full(count, np.nan),
                position=np.full(count, -1, dtype=np.int32),
                time=np.full(count, NOW),
                situations=[{}] * count,
                memos=[{}] * count,
            ),
            count,
        )
        return agent

    def test_the_same_slate_id_gives_the_identical_slate(self, build: Build) -> None:
        slates = [decided(self.agent(build), slate="the one").to_bytes() for _ in range(3)]
        assert slates[0] == slates[1] == slates[2]

    def test_and_another_id_another_one(self, build: Build) -> None:
        agent = self.agent(build)
        assert len({tuple(items_of(decided(agent, slate=f"s{number}"))) for number in range(20)}) > 10

    def test_a_logged_seed_gives_it_again_under_any_id(self, build: Build) -> None:
        agent = self.agent(build)
        slate = decided(agent, slate="first")
        assert decided(agent, slate="other", seed=slate.seed).picks == slate.picks

    def test_a_logged_slate_is_decided_again_with_the_very_propensities(self, build: Build) -> None:
        agent = self.agent(build)
        slate = decided(agent, slate="first")
        decision = again(agent, slate)
        assert decision.picks == slate.picks
        assert decision.draws == agent.plan.slate.draws
        shown = items_of(slate)
        assert decision.propensities(shown).tolist() == [pick.propensity for pick in slate.picks]
        assert decision.propensities(["nothing", *shown[1:]])[0] == 0
        assert again(self.agent(build, seed=1), slate).picks != slate.picks

    def test_other_draws_agree_with_the_logged_ones_on_average(self, build: Build) -> None:
        agent = self.agent(build)
        slate = decided(agent, slate="first")
        shown = items_of(slate)
        many = [again(agent, slate, draws=200, afresh=seed) for seed in range(20)]
        found = np.array([decision.propensities(shown) for decision in many])
        assert many[0].draws == 200
        assert found.std(axis=0).min() > 0
        one = again(agent, slate, draws=1000, afresh=99).propensities(shown)
        assert found.mean(axis=0) == pytest.approx(one, abs=0.06)

    def test_policies_that_tune_are_not_asked_again(self, build: Build) -> None:
        class Tuner(Policy):
            blocking: ClassVar[bool] = False

            def tune(self, context: Context) -> Mapping[str, Any]:
                return {"slate.explore": float(context.rng.choice([0.0, 0.5]))}

            def chance(self, context: Context, memo: Mapping[str, Any]) -> float:
                assert not context.knobs
                return 0.25 if memo.get("arm") == 3 else 0.5

        agent = build(sources={"all": All()}, policies={"tuner": Tuner()})
        slate = decided(agent)
        other = replace(slate, knobs={"slate.explore": 1.0}, memo={"tuner": {"context": {"arm": 3}}})
        assert again(agent, other).picks != slate.picks
        assert all(pick.explored for pick in again(agent, other).picks)
        nobody = agent.histories.finish("ann", []).candidates(agent.catalog.snapshot(), NOW)
        for one, chance in ((other, 0.25), (slate, 0.5)):
            assert asyncio.run(agent.chance("tuner", one, profile={}, history=nobody)) == chance

    def test_what_is_perceived_lies_over_the_profile_for_all_that_follow(self, build: Build) -> None:
        class Knowing(Policy):
            blocking: ClassVar[bool] = False
            key: str = "mood"

            def perceive(self, context: Context) -> Mapping[str, Any]:
                return {self.key: f"calm, {context.profile.get('mood', 'who knows')}"}

        class Dial(Policy):
            blocking: ClassVar[bool] = False

            def tune(self, context: Context) -> Mapping[str, Any]:
                return {"slate.explore": 1.0 if self.chance(context, {}) == 0.75 else 0.0}

            def chance(self, context: Context, memo: Mapping[str, Any]) -> float:
                return 0.75 if context.profile.get("mood") == "calm, glad" else 0.25

        class Asked(Scorer):
            blocking: ClassVar[bool] = False

            def score(self, context: Context, candidates: Candidates) -> NDArray[np.float64]:
                assert context.profile["name"] == "Ann"
                return np.full(len(candidates), float(len(str(context.profile["mood"]))))

        agent = build(
            sources={"all": All()},
            scorers={"asked": Asked()},
            policies={"dial": Dial(), "knowing": Knowing(), "other": Knowing(key="more")},
        )
        profile = {"name": "Ann", "mood": "glad"}
        slate = decided(agent, profile=profile)
        assert profile == {"name": "Ann", "mood": "glad"}
        assert not slate.degraded
        assert slate.knobs == {"slate.explore": 1.0}
        assert {pick.parts["asked"] for pick in slate.picks} == {len("calm, glad")}
        nobody = agent.histories.finish("ann", []).candidates(agent.catalog.snapshot(), NOW)
        assert again(agent, slate, profile=profile).picks == slate.picks
        for known, chance in ((profile, 0.75), ({}, 0.25)):
            assert asyncio.run(agent.chance("dial", slate, profile=known, history=nobody)) == chance

    def test_one_that_can_t_perceive_is_done_without(self, build: Build) -> None:
        class Blind(Policy):
            blocking: ClassVar[bool] = False
            answer: Any = None

            def perceive(self, context: Context) -> Mapping[str, Any]:
                if self.answer is None:
                    raise ValueError("too dark")
                return self.answer  # type: ignore[no-any-return]

        agent = build(sources={"all": All()}, policies={"blind": Blind(), "odd": Blind(answer=7)})
        slate = decided(agent)
        assert len(slate.picks) == 4
        assert [(entry.component, entry.reason) for entry in slate.degraded] == [
            ("policies.blind", "raised ValueError: too dark"),
            ("policies.odd", "returned int, not a mapping of what it knows"),
        ]

    def test_an_agent_that_holds_a_state_shares_all_else(self, build: Build) -> None:
        agent = self.agent(build)
        before = decided(agent)
        holding = agent.holding("taste", agent.policies["taste"].state())
        agent.policies["taste"].forget()
        assert decided(holding).picks == before.picks
        assert decided(agent).picks != before.picks
        assert holding.feedback is agent.feedback
        assert holding.catalog is agent.catalog
        with pytest.raises(ValueError, match="no 'item_ids'"):
            agent.holding("taste", {})

    def test_a_slate_that_is_stable_for_a_day_changes_at_midnight(self, build: Build) -> None:
        agent = self.agent(build)
        agent.plan = replace(agent.plan, slate=agent.plan.slate.model_copy(update={"stable": "day"}))

        def at(time: float, user: str = "ann") -> list[str]:
            async def decide() -> Slate:
                return await agent.decide(Request(user), slate=f"{time}", now=time, profile={})

            return items_of(asyncio.run(decide()))

        midnight = NOW - NOW % 86_400
        assert at(midnight) == at(midnight + 86_399)
        others = {tuple(at(midnight + day * 86_400)) for day in range(8)}
        assert len(others) > 3
        assert len({tuple(at(midnight, user)) for user in ("a", "b", "c", "d")}) > 1

    def test_the_order_in_which_slow_sources_answer_does_not_matter(self, build: Build) -> None:
        class Late(Source):
            wait: float = 0.0

            async def propose(self, context: Context) -> NDArray[np.intp]:
                await asyncio.sleep(self.wait)
                return context.rng.permutation(context.catalog.live)[:8]

        def slate(one: float, two: float) -> Slate:
            return decided(
                build(sources={"one": Late(wait=one), "two": Late(wait=two)}, scorers={"rating": Rating()})
            )

        assert slate(0.0, 0.03).picks == slate(0.03, 0.0).picks


def test_a_slate_made_while_all_is_learned_again_says_so(build: Build) -> None:
    agent = build(sources={"all": All()})
    agent.log = agent.reached = 7
    assert decided(agent).degraded == []
    agent.log = 3
    assert "learned is being made again" in reasons(decided(agent))["learning"]


class TestCaps:
    def test_holes_are_filled_from_further_down(self, build: Build) -> None:
        slate = decided(
            build(sources={"all": All()}, scorers={"rating": Rating()}, slate={"max_per": {"genre": 1}})
        )
        assert len({ITEMS[int(item[1:])]["genre"] for item in items_of(slate)}) == 4
        assert slate.degraded == []

    def test_where_the_pool_is_too_small_for_them_everything_is_looked_at(self, build: Build) -> None:
        items = [{"genre": "novel", "rating": 100.0 - place} for place in range(60)]
        items += [{"genre": name, "rating": 0.0} for name in ("poem", "play", "essay")]
        options = {"explore_pool": 5, "max_per": {"genre": 1}}
        agent = build(items=items, sources={"all": All()}, scorers={"rating": Rating()}, slate=options)
        slate = decided(agent)
        assert items_of(slate) == ["i0", "i60", "i61", "i62"]
        assert slate.degraded == []

    def test_where_nothing_else_is_left_it_says_so(self, build: Build) -> None:
        items = [{"genre": "novel"} for _ in range(10)]
        slate = decided(build(items=items, sources={"all": All()}, slate={"max_per": {"genre": 2}}))
        assert len(slate.picks) == 4
        assert "2 items stand beyond a cap" in reasons(slate)["slate.max_per"]


def test_an_agent_with_everything_broken_still_answers(build: Build) -> None:
    class Wrong(Broken):
        pass

    slate = decided(
        build(
            sources={"one": Broken(), "two": Gives(what=7), "three": BrokenAsync()},
            filters={"ignored": Step("ignored", "x.y", Wrong(), on_error="ignore")},
            scorers={"bad": Broken(), "odd": Gives(what=None)},
            policies={"worse": Broken(), "worst": BrokenAsync()},
        )
    )
    assert len(slate.picks) == 4
    assert {"sources.one", "sources.two", "sources.three", "scorers.bad", "policies.worst"} <= set(
        reasons(slate)
    )
