"""Whatever its components do, an agent answers: in time, with a slate, and naming what failed."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import SecretStr
from tastemaker.core import (
    Candidates,
    Catalog,
    Component,
    Context,
    Filter,
    Policy,
    Request,
    Scorer,
    Slate,
    Source,
)
from tastemaker.core.agent import Agent
from tastemaker.core.agent.decision import Decision
from tastemaker.core.config import DomainPlan, Step
from tastemaker.core.outcomes import Outcomes
from tastemaker.policies.thompson import Ranker

NOW = 1_700_000_000.0
ITEMS: list[dict[str, Any]] = [
    {
        "title": f"Book {place}",
        "rating": float(place % 7),
        "genre": ("novel", "poem", "essay", "play")[place % 4],
        "moods": [("calm", "witty")[place % 2]],
        "available": place % 5 != 0,
    }
    for place in range(40)
]

Build = Callable[..., Agent]


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL + 1, "tastemaker.agent")


@pytest.fixture
def build(catalog_of: Callable[..., Catalog], plan_of: Callable[..., DomainPlan]) -> Build:
    """An agent over forty books, or the items given."""

    def built(items: Sequence[Mapping[str, Any]] = ITEMS, **plan: Any) -> Agent:
        return Agent(plan_of(**plan), catalog_of(items))

    return built


def decided(agent: Agent, request: Request | None = None, slate: str = "s1", **options: Any) -> Slate:
    async def decide() -> Slate:
        given = {"profile": {}, **options}
        return await agent.decide(request or Request("ann"), slate=slate, now=NOW, **given)

    return asyncio.run(decide())


def again(agent: Agent, slate: Slate, **options: Any) -> Decision:
    history = agent.histories.finish(slate.user, []).candidates(agent.catalog.snapshot(), slate.time)
    return asyncio.run(agent.again(slate, history=history, **{"profile": {"age": 30}, **options}))


def reasons(slate: Slate) -> dict[str, str]:
    return {entry.component: entry.reason for entry in slate.degraded}


def items_of(slate: Slate) -> list[str]:
    return [pick.item for pick in slate.picks]


class InPlace(Component):
    blocking: ClassVar[bool] = False


class All(InPlace, Source):
    """Proposes everything."""

    def propose(self, context: Context) -> NDArray[np.intp]:
        return context.catalog.live


class First(InPlace, Source):
    """Proposes the first few."""

    count: int = 10

    def propose(self, context: Context) -> NDArray[np.intp]:
        return context.catalog.live[: self.count]


class Rating(InPlace, Scorer):
    def score(self, context: Context, candidates: Candidates) -> NDArray[np.float32]:
        rating: NDArray[np.float32] = candidates["rating"]
        return rating


class Available(InPlace, Filter):
    def keep(self, context: Context, candidates: Candidates) -> NDArray[np.bool_]:
        available: NDArray[np.bool_] = candidates["available"]
        return available


class Sluggish(InPlace, Filter):
    """Keeps all, after a while."""

    seconds: float

    def keep(self, context: Context, candidates: Candidates) -> NDArray[np.bool_]:
        time.sleep(self.seconds)
        return np.ones(len(candidates), dtype=bool)


class Nothing(InPlace, Filter):
    def keep(self, context: Context, candidates: Candidates) -> NDArray[np.bool_]:
        return np.zeros(len(candidates), dtype=bool)


class SoftNothing(Nothing):
    soft: ClassVar[bool] = True


class Rated(InPlace, Filter):
    """A wish for a rating between two numbers."""

    soft: ClassVar[bool] = True
    low: float = 0
    high: float = 6

    def keep(self, context: Context, candidates: Candidates) -> NDArray[np.bool_]:
        return self.distance(context, candidates) == 0

    def distance(self, context: Context, candidates: Candidates) -> NDArray[np.floating[Any]]:
        rating = candidates["rating"]
        return np.maximum(np.maximum(self.low - rating, rating - self.high), 0)


class LostRated(Rated):
    def distance(self, context: Context, candidates: Candidates) -> NDArray[np.floating[Any]]:
        raise ZeroDivisionError("by design")

    def keep(self, context: Context, candidates: Candidates) -> NDArray[np.bool_]:
        return np.zeros(len(candidates), dtype=bool)


class BrokenWish(LostRated):
    def keep(self, context: Context, candidates: Candidates) -> NDArray[np.bool_]:
        raise ZeroDivisionError("by design")


class Broken(Source, Filter, Scorer, Policy):
    """Raises in whatever it is asked."""

    def _fail(self, *_: Any) -> Any:
        raise ZeroDivisionError("by design")

    propose = keep = score = tune = rank = _fail


class BrokenInPlace(Broken):
    blocking: ClassVar[bool] = False


class BrokenAsync(Source, Filter, Scorer, Policy):
    async def _fail(self, *_: Any) -> Any:
        raise ZeroDivisionError("by design")

    propose = keep = score = rank = _fail


class Gives(Source, Filter, Scorer, Policy):
    """Returns one thing, whatever it is asked."""

    blocking: ClassVar[bool] = False
    what: Any = None

    def _give(self, context: Context, candidates: Candidates | None = None) -> Any:
        return self.what(len(candidates or ())) if callable(self.what) else self.what

    propose = keep = score = rank = _give


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


RUBBISH: dict[str, Any] = {
    "nothing": None,
    "a number": 7,
    "a text": "i1",
    "bytes": b"i1",
    "a mapping": {"id": "i1"},
    "a generator": (item for item in ("i1",)),
    "floats": np.array([1.0, 2.0]),
    "two dimensions": np.zeros((2, 2), dtype=int),
    "an array of ids": np.array(["i1", "i2"]),
    "numbers in a list": [1, 2],
    "lists in a list": [["i1"]],
    "a mixture": ["i1", 2],
    "items and numbers": [{"id": "i1"}, "i2", 3],
    "items nobody keeps": [{"id": "new", "title": "New"}],
}


class TestSources:
    @pytest.mark.parametrize("broken", [Broken, BrokenInPlace, BrokenAsync])
    def test_one_that_raises_is_left_out_and_named(self, build: Build, broken: type[Any]) -> None:
        slate = decided(build(sources={"good": First(), "bad": broken()}))
        assert len(slate.picks) == 4
        assert reasons(slate) == {"sources.bad": "raised ZeroDivisionError: by design"}
        assert all(pick.sources == ["good"] for pick in slate.picks)

    @pytest.mark.parametrize("kind", list(RUBBISH))
    def test_one_that_returns_rubbish_is_left_out_and_named(self, build: Build, kind: str) -> None:
        slate = decided(build(sources={"bad": Gives(what=RUBBISH[kind]), "good": First()}))
        assert len(slate.picks) == 4
        assert list(reasons(slate)) == ["sources.bad"]
        assert reasons(slate)["sources.bad"].startswith("returned ")
        assert all(pick.sources == ["good"] for pick in slate.picks)

    @pytest.mark.parametrize(
        "what",
        [
            np.array([1, 1, 2, -5, 99, 2**62]),
            np.array([1, 2, 2**63], dtype=np.uint64),
            ["i1", "i2", "i1", "gone", ""],
        ],
    )
    def test_what_is_not_in_the_catalogue_is_passed_over(self, build: Build, what: Any) -> None:
        slate = decided(build(sources={"odd": Gives(what=what)}, slate={"size": 2}))
        assert sorted(items_of(slate)) == ["i1", "i2"]
        assert slate.considered == 2
        assert slate.degraded == []

    def test_removed_items_are_not_proposed(self, build: Build) -> None:
        agent = build(sources={"odd": Gives(what=np.arange(6))}, slate={"size": 40, "explore_pool": 40})
        agent.catalog.remove(["i1", "i3"])
        assert not {"i1", "i3"} & set(items_of(decided(agent)))

    def test_with_all_of_them_dead_the_catalogue_fills_the_slate(self, build: Build) -> None:
        slate = decided(build(sources={"one": Broken(), "two": BrokenAsync()}, scorers={"rating": Rating()}))
        assert len(slate.picks) == 4
        assert set(reasons(slate)) == {"sources.one", "sources.two", "sources"}
        assert all(pick.sources == ["catalogue"] for pick in slate.picks)

    def test_without_any_the_catalogue_fills_the_slate(self, build: Build) -> None:
        assert len(decided(build()).picks) == 4

    def test_an_empty_catalogue_gives_an_empty_slate_that_says_so(self, build: Build) -> None:
        slate = decided(build(items=[], sources={"all": All()}, policies={"taste": Ranker()}))
        assert slate.picks == []
        assert reasons(slate)["slate"] == "the catalogue is empty"

    def test_raw_items_are_adopted_and_proposed(self, build: Build) -> None:
        agent = build(
            sources={"new": Gives(what=["i2", {"id": "new", "title": "New"}, {"id": "i1"}])},
            slate={"size": 3},
        )

        async def adopt(domain: str, items: Sequence[Mapping[str, Any]], origin: str) -> list[str]:
            assert domain == "books"
            agent.catalog.put([(item["id"], {"title": "New"}) for item in items])
            return [item["id"] for item in items]

        agent.adopt = adopt
        slate = decided(agent)
        assert sorted(items_of(slate)) == ["i1", "i2", "new"]
        assert slate.degraded == []

    def test_where_adopting_fails_the_source_is_named(self, build: Build) -> None:
        agent = build(sources={"new": Gives(what=[{"id": "new"}, "i3"]), "good": First()})

        async def adopt(domain: str, items: Sequence[Mapping[str, Any]], origin: str) -> list[str]:
            raise RuntimeError("full")

        agent.adopt = adopt
        slate = decided(agent)
        assert (len(slate.picks), reasons(slate)) == (4, {"sources.new": "raised RuntimeError: full"})
        assert [pick.item for pick in slate.picks if "new" in pick.sources] == ["i3"]

    def test_one_that_got_a_part_of_what_it_asked_for_proposes_it_and_is_named(self, build: Build) -> None:
        class Partly(InPlace, Source):
            def propose(self, context: Context) -> NDArray[np.intp]:
                for _ in range(2):
                    context.lacks("one of 2 answers is missing: refused\nfor a-user's-own-token")
                return context.catalog.live[:3]

        credentials = {"station": SecretStr("a-user's-own-token")}
        slate = decided(
            build(sources={"partly": Partly(), "all": All()}), Request("ann", credentials=credentials)
        )
        assert len(slate.picks) == 4
        (degraded,) = slate.degraded
        assert degraded.component == "sources.partly"
        assert degraded.reason.startswith("in part: one of 2 answers is missing: refused for ")
        assert "token" not in degraded.reason
        assert any("partly" in pick.sources for pick in slate.picks)


class TestHangingSources:
    @pytest.fixture
    def gate(self) -> Iterator[threading.Event]:
        """Opens when the test is over, so that nothing hangs for good."""
        gate = threading.Event()
        yield gate
        gate.set()

    def blocking(self, gate: threading.Event) -> Source:
        class Hanging(Source):
            def propose(self, context: Context) -> NDArray[np.intp]:
                gate.wait(30)
                return context.catalog.live

        return Hanging()

    def awaiting(self) -> Source:
        class HangingAsync(Source):
            async def propose(self, context: Context) -> NDArray[np.intp]:
                await asyncio.sleep(30)
                return context.catalog.live

        return HangingAsync()

    @pytest.mark.parametrize("kind", ["blocking", "awaiting"])
    def test_one_is_left_behind_at_its_limit(self, build: Build, gate: threading.Event, kind: str) -> None:
        source = self.blocking(gate) if kind == "blocking" else self.awaiting()
        agent = build(sources={"slow": Step("slow", "x.y", source, timeout_ms=50), "good": First()})
        began = time.monotonic()
        slate = decided_while_others_hang(agent)
        assert time.monotonic() - began < 10
        assert reasons(slate) == {"sources.slow": "gave no answer within 50 ms"}
        assert len(slate.picks) == 4

    @pytest.mark.parametrize("kind", ["blocking", "awaiting"])
    def test_without_a_limit_of_its_own_the_deadline_of_the_request_holds(
        self, build: Build, gate: threading.Event, kind: str
    ) -> None:
        source = self.blocking(gate) if kind == "blocking" else self.awaiting()
        agent = build(
            sources={"slow": source, "good": First()},
            filters={"available": Available()},
            scorers={"rating": Rating()},
            slate={"deadline_ms": 200},
        )
        began = time.monotonic()
        slate = decided_while_others_hang(agent)
        assert time.monotonic() - began < 10
        assert "sources.slow" in reasons(slate)
        assert len(slate.picks) == 4, "late is no reason for an empty slate"
        assert all(ITEMS[int(item[1:])]["available"] for item in items_of(slate))

    def test_a_slate_that_is_decided_again_has_the_time_that_it_takes(self, build: Build) -> None:
        agent = build(
            sources={"all": All()},
            filters={"slow": Sluggish(seconds=0.15), "available": Available()},
            slate={"deadline_ms": 100},
        )
        assert "deadline" in reasons(decided(agent))["filters.available"]
        slate = decided(agent, recalled={})
        assert slate.degraded == []
        assert len(slate.picks) == 4

    def test_hanging_calls_do_not_pile_up(self, build: Build, gate: threading.Event) -> None:
        agent = build(
            sources={"slow": Step("slow", "x.y", self.blocking(gate), timeout_ms=20), "good": First()}
        )
        before = threading.active_count()

        async def many() -> list[Slate]:
            return [
                await agent.decide(Request("ann"), slate=f"s{number}", now=NOW, profile={})
                for number in range(12)
            ]

        slates = run_and_leave(many)
        assert all(len(slate.picks) == 4 for slate in slates)
        assert threading.active_count() - before <= 4
        assert "earlier calls of it still hang" in reasons(slates[-1])["sources.slow"]

    def test_it_is_asked_again_when_its_calls_have_come_back(self, build: Build) -> None:
        gate = threading.Event()
        agent = build(sources={"slow": Step("slow", "x.y", self.blocking(gate), timeout_ms=20)})
        for number in range(5):
            decided_while_others_hang(agent, f"s{number}")
        gate.set()
        patience = time.monotonic() + 20
        while (slate := decided_while_others_hang(agent, "again")).degraded and time.monotonic() < patience:
            time.sleep(0.02)
        assert slate.degraded == []
        assert all(pick.sources == ["slow"] for pick in slate.picks)


def run_and_leave(work: Callable[[], Any]) -> Any:
    """As asyncio.run, without waiting for threads that hang."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work())
    finally:
        loop.close()


def decided_while_others_hang(agent: Agent, slate: str = "s1") -> Slate:
    found: Slate = run_and_leave(lambda: agent.decide(Request("ann"), slate=slate, now=NOW, profile={}))
    return found


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
