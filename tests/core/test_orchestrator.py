"""The whole platform over a real store: what was answered, recorded and learned survives and is the same everywhere."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tastemaker.core import (
    Candidates,
    ComponentError,
    Context,
    NotFound,
    Policy,
    Request,
    Slate,
    Source,
    StoreError,
    StoreUnavailable,
)
from tastemaker.core.clock import ManualClock
from tastemaker.core.config import Settings
from tastemaker.core.orchestrator import Orchestrator
from tastemaker.core.plugin_import import PluginProblem
from tastemaker.tests.core.bookshop import an_evening, did, digests, lived, next_slate, with_steps


class TestRestarts:
    def test_a_restart_changes_nothing(self, shop: Settings, clock: ManualClock) -> None:
        async def before(orchestrator: Orchestrator) -> Any:
            assert len(orchestrator.agent("books").catalog.snapshot()) == 50
            assert orchestrator.stocking.imports["books"].written == 50
            await an_evening(orchestrator, clock)
            return digests(orchestrator), await next_slate(orchestrator), orchestrator.learner.position

        async def after(orchestrator: Orchestrator) -> Any:
            assert orchestrator.stocking.imports == {}, "the same file is not read twice"
            return digests(orchestrator), await next_slate(orchestrator), orchestrator.learner.position

        found = lived(shop, before, clock=clock)
        assert lived(shop, after, clock=clock) == found
        assert lived(shop, after, clock=clock, follow=False) == found

    def test_so_does_a_crash(self, shop: Settings, clock: ManualClock) -> None:
        async def before(orchestrator: Orchestrator) -> Any:
            await an_evening(orchestrator, clock)
            orchestrator.learn()
            orchestrator.learner.save = lambda: None  # type: ignore[method-assign]
            return digests(orchestrator), await next_slate(orchestrator)

        async def after(orchestrator: Orchestrator) -> Any:
            return digests(orchestrator), await next_slate(orchestrator)

        assert lived(shop, before, clock=clock) == lived(shop, after, clock=clock)

    def test_settings_can_be_used_again_and_again(self, shop: Settings, clock: ManualClock) -> None:
        async def evening(orchestrator: Orchestrator) -> Any:
            await an_evening(orchestrator, clock, name=f"{clock()}")
            return digests(orchestrator)

        async def look(orchestrator: Orchestrator) -> Any:
            return digests(orchestrator)

        for _ in range(2):
            assert lived(shop, evening, clock=clock) == lived(shop, look, clock=clock)


class TestTwoProcesses:
    def test_they_come_to_the_same(self, shop: Settings, clock: ManualClock) -> None:
        async def life() -> None:
            async with Orchestrator(shop, clock=clock) as one, Orchestrator(shop, clock=clock) as two:
                for turn in range(6):
                    here, there = (one, two) if turn % 2 else (two, one)
                    slate = await here.recommend("books", Request("ann"))
                    clock.advance(100)
                    await there.record(
                        [did(slate.picks[0].item, id=f"x{turn}", slate=slate.id, time=clock())]
                    )
                await one.put_items("books", [{"isbn": "new", "title": "New", "rating": 9}])
                await two.put_profile("ann", {"likes": "poems"})
                assert await one.learner.reached(one.store.end(), 20)
                assert await two.learner.reached(one.store.end(), 20)
                assert two.agent("books").catalog.snapshot().row("new") >= 0
                assert await one.profile("ann") == await two.profile("ann") == {"likes": "poems"}
                assert digests(one) == digests(two)
                one.agent("books").log = two.agent("books").log = 0
                assert await next_slate(one) == await next_slate(two)

        asyncio.run(life())


class TestSlates:
    def test_a_slate_can_be_read_before_it_is_answered(self, shop: Settings) -> None:
        async def life(orchestrator: Orchestrator) -> None:
            request = Request("ann", situation={"mood": "calm"}, exclude=frozenset({"b1"}))
            slate = await orchestrator.recommend("books", request)
            logged = orchestrator.slate(slate.id)
            assert isinstance(logged, Slate)
            assert logged.to_bytes() == slate.to_bytes()
            assert len({pick.item for pick in slate.picks}) == 5
            assert slate.degraded == []
            with pytest.raises(NotFound, match="no slate 'other' is logged"):
                orchestrator.slate("other")

        lived(shop, life)

    def test_a_domain_without_items_answers_too(self, shop: Settings) -> None:
        async def life(orchestrator: Orchestrator) -> None:
            slate = await orchestrator.recommend("films", Request("ann"))
            assert slate.picks == []
            assert [entry.reason for entry in slate.degraded] == ["the catalogue is empty"]

        lived(shop, life)

    def test_where_the_store_refuses_it_is_answered_and_says_so(
        self, shop: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def life(orchestrator: Orchestrator) -> None:
            def refuse(*_: Any, **__: Any) -> Any:
                raise StoreUnavailable("the disk is full")

            for name in ("append_soon", "history", "profile"):
                monkeypatch.setattr(orchestrator.store, name, refuse)
            slate = await orchestrator.recommend("books", Request("ann"))
            assert len(slate.picks) == 5
            assert [entry.component for entry in slate.degraded] == ["profile", "history", "log"]
            with pytest.raises(StoreError, match="disk is full"):
                await orchestrator.record([did("b1")])

        lived(shop, life)

    def test_where_the_store_hangs_it_is_answered_all_the_same(
        self, shop: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gate = threading.Event()
        monkeypatch.setattr("tastemaker.core.users._READ_SECONDS", 0.5)

        async def life(orchestrator: Orchestrator) -> None:
            def hang(*_: Any, **__: Any) -> Any:
                gate.wait(30)
                raise StoreUnavailable("late")

            for name in ("history", "profile"):
                monkeypatch.setattr(orchestrator.store, name, hang)
            began = time.monotonic()
            slate = await orchestrator.recommend("books", Request("ann"))
            gate.set()
            assert time.monotonic() - began < 15
            assert len(slate.picks) == 5
            assert [entry.component for entry in slate.degraded] == ["profile", "history"]

        lived(shop, life)

    def test_a_policy_that_cannot_tell_its_state_is_one_clear_problem(self, shop: Settings) -> None:
        class Mute(Policy):
            def rank(self, context: Context, candidates: Candidates) -> NDArray[np.float64]:
                return np.zeros(len(candidates))

            def state(self) -> Any:
                return None

        async def life(_: Orchestrator) -> None:
            raise AssertionError("it must not start")

        with pytest.raises(
            ComponentError, match=r"the policy 'mute': state\(\) returned NoneType, not a mapping"
        ):
            lived(with_steps(shop, policies={"mute": Mute()}), life)

    def test_ids_that_nobody_knows_are_named(self, shop: Settings) -> None:
        class Elsewhere(Source):
            def propose(self, context: Context) -> Any:
                return ["nope", "neither"]

        class Known(Source):
            def propose(self, context: Context) -> Any:
                return ["b1", "nope"]

        async def life(orchestrator: Orchestrator) -> None:
            slate = await orchestrator.recommend("books", Request("ann"))
            assert [(entry.component, entry.reason) for entry in slate.degraded] == [
                ("sources.elsewhere", "returned 2 ids, none of which the catalogue has")
            ]

        lived(with_steps(shop, sources={"elsewhere": Elsewhere(), "known": Known()}), life)


class TestUsers:
    @pytest.mark.parametrize("follow", [True, False])
    def test_an_erased_user_was_never_there(self, shop: Settings, clock: ManualClock, follow: bool) -> None:
        async def life(orchestrator: Orchestrator) -> Any:
            await an_evening(orchestrator, clock)
            await orchestrator.put_profile("ann", {"likes": "poems"})
            deleted = await orchestrator.erase("ann")
            assert deleted["profiles"] == 1
            assert deleted["entries"] > 4
            assert await orchestrator.profile("ann") == {}
            assert orchestrator.interactions("ann") == []
            agent = orchestrator.agent("books")
            assert len(await orchestrator.history("books", "ann", clock())) == 0
            state = agent.policies["taste"].state()
            assert not [key for key in state["user_ids"] if key.startswith("ann\n")]
            assert [key for key in state["user_ids"] if key.startswith("eve\n")]
            return digests(orchestrator)

        async def look(orchestrator: Orchestrator) -> Any:
            return digests(orchestrator)

        assert lived(shop, life, clock=clock, follow=follow) == lived(shop, look, clock=clock)


class TestStarting:
    def test_a_start_that_fails_leaves_nothing_open(
        self, settings_of: Callable[..., Settings], sqlite: str, plan_of: Callable[..., Any]
    ) -> None:
        from tastemaker.core import Embedder

        happened: list[str] = []

        class Model(Embedder):
            name_: str = "one"

            @property
            def width(self) -> int:
                return 2

            def open(self) -> None:
                happened.append(f"open {self.name_}")
                if self.name_ == "two":
                    raise RuntimeError("no such model")

            def close(self) -> None:
                happened.append(f"close {self.name_}")

        plans = {name: plan_of(name=name, embedder=Model(name_=name)) for name in ("one", "two")}

        async def start() -> None:
            orchestrator = Orchestrator(settings_of(plans, sqlite))
            with pytest.raises(RuntimeError, match="no such model"):
                await orchestrator.start()
            assert not orchestrator.ready
            await orchestrator.stop()

        asyncio.run(start())
        assert happened == ["open one", "open two", "close one"]
        assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("tastemaker")]

    def test_nor_does_one_that_a_plugin_refuses(
        self, shop: Settings, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(registry: object, orchestrator: Orchestrator) -> None:
            raise PluginProblem("E08", "not today")

        async def start() -> None:
            with pytest.raises(PluginProblem, match="not today"):
                await Orchestrator(shop, clock=clock).start()

        with monkeypatch.context() as refusing:
            refusing.setattr(type(shop.registry), "startup", refuse)
            asyncio.run(start())
        assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("tastemaker")]
        lived(shop, next_slate, clock=clock)

    def test_it_is_ready_from_its_start_to_its_stop(self, shop: Settings) -> None:
        async def life() -> None:
            orchestrator = Orchestrator(shop)
            assert not orchestrator.ready
            async with orchestrator:
                assert orchestrator.ready
            assert not orchestrator.ready

        asyncio.run(life())

    def test_windows_close_while_nobody_is_here(
        self, shop: Settings, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from tastemaker.core.learning import learner

        monkeypatch.setattr(learner, "_TICK_SECONDS", 0.02)

        async def life(orchestrator: Orchestrator) -> None:
            await orchestrator.recommend("books", Request("ann"))
            assert await orchestrator.learner.reached(orchestrator.store.end(), 20)
            assert orchestrator.folds["books"].waiting == 1
            clock.advance(3600)
            async with asyncio.timeout(20):
                # What was due is counted a moment after it stops waiting.
                while orchestrator.agent("books").feedback.outcomes < 5:
                    await asyncio.sleep(0.01)
            assert orchestrator.folds["books"].waiting == 0

        lived(shop, life, clock=clock)


def test_what_plugins_hear_comes_in_the_background(
    shop: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "tastemaker")
    heard: list[Any] = []
    monkeypatch.setattr(type(shop.registry), "listens", lambda self, name: True)
    monkeypatch.setattr(type(shop.registry), "served", lambda self, slate: heard.append(slate.id))
    monkeypatch.setattr(type(shop.registry), "learned", lambda self, domain, outcomes: heard.append(domain))

    async def life(orchestrator: Orchestrator) -> str:
        slate = await orchestrator.recommend("books", Request("ann"))
        await orchestrator.record([did(slate.picks[0].item, slate=slate.id)])
        assert await orchestrator.learner.reached(orchestrator.store.end(), 20)
        return slate.id

    slate = lived(shop, life)
    assert sorted(heard) == sorted(["books", slate])
