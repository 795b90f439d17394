"""Whatever its sources do, an agent answers: in time, and naming those that failed."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import SecretStr
from tastemaker.core import Context, Request, Slate, Source
from tastemaker.core.agent import Agent
from tastemaker.core.config import Step
from tastemaker.policies.thompson import Ranker

from .compositions import (
    ITEMS,
    NOW,
    All,
    Available,
    Broken,
    BrokenAsync,
    BrokenInPlace,
    Build,
    First,
    Gives,
    InPlace,
    Rating,
    Sluggish,
    decided,
    items_of,
    reasons,
)

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
    def test_what_one_proposes_twice_in_any_order_is_considered_once(self, build: Build) -> None:
        slate = decided(build(sources={"odd": Gives(what=np.array([7, 3, 7, 0, 3]))}, slate={"size": 3}))
        assert sorted(items_of(slate)) == ["i0", "i3", "i7"]
        assert all(pick.sources == ["odd"] for pick in slate.picks)
        assert slate.considered == 3

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
