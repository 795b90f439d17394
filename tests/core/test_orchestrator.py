"""The whole platform over a real store: what was answered, recorded and learned survives and is the same everywhere."""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from tastemaker.core import (
    Candidates,
    ComponentError,
    Context,
    Interaction,
    ItemError,
    NotFound,
    Policy,
    Request,
    Slate,
    Source,
    StoreError,
    StoreUnavailable,
)
from tastemaker.core.agent import state_digest
from tastemaker.core.clock import ManualClock
from tastemaker.core.config import Settings
from tastemaker.core.orchestrator import Orchestrator

START = 1_700_000_000.0
BOOKS = """
books:
  items:
    id: isbn
    from: {use: files.table, path: books.csv}
    fields: {title: text, rating: number, genre: category, moods: tags}
  sources: {random: {use: catalog.random, limit: 40}}
  filters: {seen: {use: catalog.seen, days: 30, kinds: [hide]}}
  policies:
    taste: {use: thompson.ranker, scope: both, discount: 0.9}
  rewards: {click: 1, skip: -1, seen: 0}
  slate: {size: 5, explore: 0.2, deadline_ms: 20000}
  learning: {window_minutes: 10}
films:
  items: {fields: {title: text}}
  sources: [{use: catalog.random}]
  policies: {taste: {use: thompson.ranker}}
  rewards: {click: 1}
"""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def shop(settings_of: Callable[..., Settings], tmp_path: Path, url: str) -> Settings:
    """Fifty books, and films without any."""
    rows = [
        f"b{number},Book {number},{number % 5},{'novel' if number % 2 else 'poem'},a|b"
        for number in range(50)
    ]
    (tmp_path / "books.csv").write_text("\n".join(["isbn,title,rating,genre,moods", *rows]))
    return settings_of(BOOKS, url)


def lived(
    settings: Settings,
    life: Callable[[Orchestrator], Awaitable[Any]],
    *,
    follow: bool = True,
    clock: Any = None,
) -> Any:
    """What happens between the start and the stop of an orchestrator."""

    async def live() -> Any:
        async with Orchestrator(settings, clock=clock or ManualClock(START), follow=follow) as orchestrator:
            return await life(orchestrator)

    return asyncio.run(live())


def digests(orchestrator: Orchestrator) -> dict[str, str]:
    return {
        f"{domain}.{name}": state_digest(state)
        for domain, fold in orchestrator.folds.items()
        for name, (_, state) in fold.states().items()
    }


def did(item: str, kind: str = "click", **fields: Any) -> Interaction:
    fields = {"id": f"{kind} {item}", "domain": "books", "user": "ann", "time": START, **fields}
    return Interaction(item=item, kind=kind, **fields)


async def an_evening(orchestrator: Orchestrator, clock: ManualClock, name: str = "x") -> None:
    """A few users get slates and react to some of what they see."""
    for turn in range(12):
        user = ("ann", "eve", "tom")[turn % 3]
        slate = await orchestrator.recommend("books", Request(user))
        clock.advance(30)
        acts = [
            did(pick.item, ("click", "skip", "hide")[pick.position % 3], id=f"{name}{turn}.{pick.position}", user=user,
                slate=slate.id, time=clock())
            for pick in slate.picks[: turn % 4]
        ]  # fmt: skip
        await orchestrator.record(acts)
        clock.advance(200)


async def next_slate(orchestrator: Orchestrator, user: str = "ann") -> bytes:
    """The decision for a slate of a known id, as bytes; without writing it down."""
    agent = orchestrator.agent("books")
    history = await orchestrator._history(agent, user, START + 1e6)
    profile = await orchestrator.profile(user)
    slate = await agent.decide(
        Request(user), slate="the next", now=START + 1e6, profile=profile, history=history
    )
    return slate.to_bytes()


class TestRestarts:
    def test_a_restart_changes_nothing(self, shop: Settings, clock: ManualClock) -> None:
        async def before(orchestrator: Orchestrator) -> Any:
            assert len(orchestrator.agent("books").catalog.snapshot()) == 50
            assert orchestrator.imports["books"].written == 50
            await an_evening(orchestrator, clock)
            return digests(orchestrator), await next_slate(orchestrator), orchestrator.learner.position

        async def after(orchestrator: Orchestrator) -> Any:
            assert orchestrator.imports == {}, "the same file is not read twice"
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

    def test_a_changed_file_is_brought_in(self, shop: Settings, tmp_path: Path) -> None:
        async def books(orchestrator: Orchestrator) -> Any:
            snapshot = orchestrator.agent("books").catalog.snapshot()
            return sorted(snapshot.ids[snapshot.live].tolist())

        assert len(lived(shop, books)) == 50
        (tmp_path / "books.csv").write_text("isbn,title\nb1,One\nnew,New\n")
        assert lived(shop, books) == ["b1", "new"]


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


class TestRecording:
    def test_what_was_acknowledged_is_learned_from_and_in_the_history(
        self, shop: Settings, clock: ManualClock
    ) -> None:
        async def life(orchestrator: Orchestrator) -> None:
            slate = await orchestrator.recommend("books", Request("ann"))
            first = slate.picks[0].item
            (recorded,) = await orchestrator.record([did(first, "hide", slate=slate.id)])
            assert not recorded.duplicate
            assert recorded.warnings == ["the kind 'hide' is worth nothing; known: click, skip"]
            await orchestrator.learner.reached(recorded.position, 20)
            for number in range(8):
                later = await orchestrator.recommend("books", Request("ann", size=50))
                assert first not in [pick.item for pick in later.picks], number
            assert later.log >= recorded.position

        lived(shop, life, clock=clock)

    def test_the_same_id_twice_counts_once(self, shop: Settings) -> None:
        async def life(orchestrator: Orchestrator) -> None:
            one, two = await orchestrator.record([did("b1", id="x"), did("b2", id="x")])
            (three,) = await orchestrator.record([did("b3", id="x")])
            assert [found.duplicate for found in (one, two, three)] == [False, True, True]
            assert one.position == two.position == three.position
            orchestrator.learn()
            assert orchestrator.agent("books").feedback.outcomes == 1
            assert [entry.item for _, entry in orchestrator.interactions("ann")] == ["b1"]

        lived(shop, life, follow=False)

    def test_oddities_are_recorded_with_a_warning(self, shop: Settings, clock: ManualClock) -> None:
        async def life(orchestrator: Orchestrator) -> None:
            recorded = await orchestrator.record(
                [
                    did("nothing", id="1"),
                    did("b1", id="2", slate="unknown"),
                    did("b1", id="3", time=START + 3600),
                ]
            )
            assert [len(found.warnings) for found in recorded] == [1, 1, 1]
            assert "no item 'nothing' is in the catalogue of 'books'" in recorded[0].warnings[0]
            assert "no slate 'unknown' is known" in recorded[1].warnings[0]
            assert "its time lies in the future" in recorded[2].warnings[0]
            times = {entry.id: entry.time for _, entry in orchestrator.interactions("ann")}
            assert times == {"1": START, "2": START, "3": START}
            (fine,) = await orchestrator.record([did("b1", id="4", time=START + 30)])
            assert fine.warnings == []

        lived(shop, life, clock=clock)

    def test_a_slate_of_another_process_is_known(self, shop: Settings, clock: ManualClock) -> None:
        async def life() -> None:
            async with Orchestrator(shop, clock=clock) as one, Orchestrator(shop, clock=clock) as two:
                slate = await one.recommend("books", Request("ann"))
                (found,) = await two.record([did(slate.picks[0].item, slate=slate.id)])
                assert found.warnings == []

        asyncio.run(life())

    def test_an_unknown_domain_is_refused_and_nothing_is_written(self, shop: Settings) -> None:
        async def life(orchestrator: Orchestrator) -> None:
            end = orchestrator.store.end()
            with pytest.raises(NotFound, match="no domain is called 'boks'; did you mean 'books'"):
                await orchestrator.record([did("b1"), did("b1", id="x", domain="boks")])
            with pytest.raises(NotFound):
                await orchestrator.recommend("nowhere", Request("ann"))
            assert await orchestrator.record([]) == []
            assert orchestrator.store.end() == end

        lived(shop, life)

    def test_a_hundred_at_once_are_all_there(self, shop: Settings) -> None:
        async def life(orchestrator: Orchestrator) -> None:
            await asyncio.gather(*(orchestrator.record([did(f"b{n % 50}", id=f"x{n}")]) for n in range(100)))
            assert await orchestrator.learner.reached(orchestrator.store.end(), 20)
            assert orchestrator.agent("books").feedback.outcomes == 100

        lived(shop, life)


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

    def test_what_cannot_be_logged_is_left_out_and_named(self, shop: Settings) -> None:
        class Scribbler(Policy):
            def rank(self, context: Context, candidates: Candidates) -> NDArray[np.float64]:
                context.memo["thing"] = object()
                return np.zeros(len(candidates))

        class Careful(Policy):
            def rank(self, context: Context, candidates: Candidates) -> NDArray[np.float64]:
                context.memo["thing"] = 1
                return np.zeros(len(candidates))

        books = with_steps(shop, policies={"bad": Scribbler(), "good": Careful()})

        async def life(orchestrator: Orchestrator) -> None:
            slate = await orchestrator.recommend("books", Request("ann", situation={"what": {1, 2}}))
            assert [entry.component for entry in slate.degraded] == ["policies.bad", "situation"]
            assert orchestrator.slate(slate.id).memo == {"good": {"context": {"thing": 1}}}

        lived(books, life)

    def test_a_memo_that_would_flood_the_log_is_left_out_and_named(self, shop: Settings) -> None:
        class Verbose(Policy):
            def rank(self, context: Context, candidates: Candidates) -> NDArray[np.float64]:
                context.memo["everything"] = np.zeros(10**6)
                candidates.memo["place"] = np.arange(len(candidates))
                return np.zeros(len(candidates))

        class Terse(Policy):
            def rank(self, context: Context, candidates: Candidates) -> NDArray[np.float64]:
                context.memo["thing"] = 1
                return np.zeros(len(candidates))

        async def life(orchestrator: Orchestrator) -> None:
            slate = await orchestrator.recommend("books", Request("ann"))
            (failure,) = slate.degraded
            assert failure.component == "policies.verbose"
            assert "is left out: a slate has 1,000,000 at most" in failure.reason
            assert orchestrator.slate(slate.id).memo == {"terse": {"context": {"thing": 1}}}

        lived(with_steps(shop, policies={"verbose": Verbose(), "terse": Terse()}), life)

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


def with_steps(settings: Settings, **sections: Mapping[str, Any]) -> Settings:
    """The settings with steps of the books replaced by components of a test's own."""
    from tastemaker.core.config import Step

    steps = {
        section: tuple(Step(name, f"test.{name}", component) for name, component in components.items())
        for section, components in sections.items()
    }
    return replace(
        settings, domains={**settings.domains, "books": replace(settings.domains["books"], **steps)}
    )


class TestItems:
    def test_put_and_removed_items_are_seen_at_once_and_after_a_restart(self, shop: Settings) -> None:
        async def life(orchestrator: Orchestrator) -> None:
            assert (
                await orchestrator.put_items("books", [{"isbn": "new", "title": "New", "moods": ["a"]}]) == 1
            )
            assert await orchestrator.remove_items("books", ["b1", "nobody"]) == 1
            snapshot = orchestrator.agent("books").catalog.snapshot()
            assert snapshot.item(snapshot.row("new")) == {"title": "New", "moods": ["a"]}
            assert snapshot.row("b1") == -1

        async def later(orchestrator: Orchestrator) -> None:
            snapshot = orchestrator.agent("books").catalog.snapshot()
            assert (snapshot.row("new") >= 0, snapshot.row("b1")) == (True, -1)

        lived(shop, life)
        lived(shop, later)

    def test_one_bad_item_and_none_is_written(self, shop: Settings) -> None:
        async def life(orchestrator: Orchestrator) -> None:
            with pytest.raises(ItemError, match=r"items\[1\]: 'rating' must be a finite number, not 'many'"):
                await orchestrator.put_items("books", [{"isbn": "new"}, {"isbn": "bad", "rating": "many"}])
            assert orchestrator.agent("books").catalog.snapshot().row("new") == -1

        lived(shop, life)

    def test_what_a_source_brings_is_kept_and_written_once(self, shop: Settings) -> None:
        class Outside(Source):
            blocking: ClassVar[bool] = False

            def propose(self, context: Context) -> Sequence[Mapping[str, Any]]:
                return [
                    {"isbn": "far", "title": "Far", "rating": 123_456_789, "moods": [], "more": "ignored"},
                    {"isbn": "b1", "title": "Book 1", "rating": 1, "genre": "novel", "moods": "a|b"},
                ]

        async def life(orchestrator: Orchestrator) -> None:
            slate = await orchestrator.recommend("books", Request("ann", size=2))
            assert sorted(pick.item for pick in slate.picks) == ["b1", "far"]
            assert slate.degraded == []
            end = orchestrator.store.end()
            await orchestrator.recommend("books", Request("ann", size=2))
            assert orchestrator.store.end() == end + 1, "the slate, and no items again"

        lived(with_steps(shop, sources={"outside": Outside()}, filters={}), life)


class TestUsers:
    def test_a_profile_is_what_was_put_last(self, shop: Settings) -> None:
        async def life(orchestrator: Orchestrator) -> None:
            assert await orchestrator.profile("ann") == {}
            await orchestrator.put_profile("ann", {"likes": ["poems"]})
            assert await orchestrator.profile("ann") == {"likes": ["poems"]}
            await orchestrator.put_profile("ann", {})
            assert await orchestrator.profile("ann") == {}

        lived(shop, life)

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
            assert len(await orchestrator._history(agent, "ann", clock())) == 0
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

        asyncio.run(start())
        assert happened == ["open one", "open two", "close one"]
        assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("tastemaker")]

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
