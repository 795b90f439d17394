"""The learner: every process folds the same log, from checkpoints or from its start, to the same states."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
from sqlalchemy import create_engine, delete
from tastemaker.core import Catalog, ItemSchema, Outcomes, Policy, State
from tastemaker.core.agent import Agent, state_digest
from tastemaker.core.clock import ManualClock
from tastemaker.core.config import DomainPlan
from tastemaker.core.learning import Fold, Learner
from tastemaker.core.learning import learner as module
from tastemaker.core.learning.packing import pack
from tastemaker.core.store import Entry, Store
from tastemaker.core.store.tables import policy_versions

Plan = Callable[..., DomainPlan]
Entries = Callable[..., list[Entry]]
START = 1_700_000_000.0


class Process:
    """One process of the platform: a learner and its folds over a store."""

    def __init__(self, store: Store, *plans: DomainPlan) -> None:
        self.told = {"items": [], "profile": []}  # type: dict[str, list[Any]]
        self.learned: list[int] = []
        self.folds = {
            plan.name: Fold(
                Agent(plan, Catalog(ItemSchema(plan.items.schema.fields))),
                lambda _, outcomes: self.learned.append(len(outcomes)),
            )
            for plan in plans
        }
        self.learner = Learner(
            store, self.folds, items=self.told["items"].append, profile=self.told["profile"].append
        )

    def restored(self) -> "Process":
        self.learner.restore()
        return self

    def digests(self) -> dict[str, str]:
        return {
            f"{domain}.{name}": state_digest(state)
            for domain, fold in self.folds.items()
            for name, (_, state) in fold.states().items()
        }


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def open_shop(url: str, clock: ManualClock) -> Iterator[Callable[[], Store]]:
    """Opens the store again and again, as several processes do."""
    with ExitStack() as stack:

        def opened() -> Store:
            store = Store(url, clock=clock)
            stack.callback(store.close)
            return store

        yield opened


@pytest.fixture
def shop(open_shop: Callable[[], Store]) -> Store:
    return open_shop()


def write(store: Store, clock: ManualClock, entries: list[Entry]) -> None:
    """Append entries at the times they bear."""
    for entry in entries:
        clock.advance(max(entry.time - clock(), 0.0))
        store.append([entry]).result()


@pytest.fixture
def plans(learning_plan: Plan) -> tuple[DomainPlan, DomainPlan]:
    return learning_plan("books"), learning_plan("films")


class TestRestoring:
    def test_checkpoints_and_the_tail_come_to_what_the_whole_log_comes_to(
        self, shop: Store, clock: ManualClock, plans: Any, random_entries: Entries
    ) -> None:
        entries = random_entries(1, 240)
        saving = Process(shop, *plans)
        for start in range(0, 240, 60):
            write(shop, clock, entries[start : start + 60])
            saving.learner.fold()
            if start < 180:  # the last part of the log comes after the last checkpoint
                saving.learner.save()
        restored = Process(shop, *plans).restored()
        assert restored.learner.position == shop.end() == 240
        assert restored.digests() == saving.digests()
        from_zero = Process(shop, *plans)
        assert from_zero.learner.fold() == 240
        assert from_zero.digests() == saving.digests()
        assert sum(restored.learned) < sum(from_zero.learned), "the checkpoint saved work"
        # The windows that are open are the same as well.
        more = random_entries(2, 60, start=clock())
        write(shop, clock, [Entry(e.kind, f"more{e.id}", e.domain, e.user, e.body, e.time) for e in more])
        for process in (saving, restored, from_zero):
            process.learner.fold()
        assert restored.digests() == saving.digests() == from_zero.digests()

    def test_a_log_that_ends_at_the_checkpoint_needs_nothing_learned(
        self, shop: Store, clock: ManualClock, plans: Any, random_entries: Entries
    ) -> None:
        write(shop, clock, random_entries(3, 80))
        first = Process(shop, *plans).restored()
        first.learner.save()
        second = Process(shop, *plans).restored()
        assert second.digests() == first.digests()
        assert second.learned == []
        assert second.folds["books"].waiting == first.folds["books"].waiting

    def test_an_empty_log_is_fine(self, shop: Store, plans: Any) -> None:
        process = Process(shop, *plans).restored()
        assert process.learner.position == 0
        process.learner.save()
        assert Process(shop, *plans).restored().digests() == process.digests()

    def test_changed_options_make_only_that_policy_learn_again(
        self, shop: Store, clock: ManualClock, learning_plan: Plan, diary: Any, random_entries: Entries
    ) -> None:
        taught: list[str] = []

        class Pupil(Policy):
            grade: int = 1
            _count: int = 0

            def learn(self, outcomes: Outcomes) -> None:
                taught.append(f"pupil {self.grade}")
                self._count += len(outcomes)

            def state(self) -> State:
                return {"count": self._count}

            def load(self, state: State) -> None:
                self._count = state["count"]

        write(shop, clock, random_entries(4, 100))
        Process(shop, learning_plan(policies={"pupil": Pupil(), "diary": diary()})).restored().learner.save()
        taught.clear()
        unchanged = Process(shop, learning_plan(policies={"pupil": Pupil(), "diary": diary()})).restored()
        assert taught == []
        changed = Process(
            shop, learning_plan(policies={"pupil": Pupil(), "diary": diary(pages=2)})
        ).restored()
        assert taught == []
        assert changed.digests() == unchanged.digests()
        Process(shop, learning_plan(policies={"pupil": Pupil(grade=2), "diary": diary()})).restored()
        assert set(taught) == {"pupil 2"}

    @pytest.mark.parametrize("broken", ["bytes", "state", "load", "future"])
    def test_a_checkpoint_that_is_no_good_is_passed_over(
        self,
        shop: Store,
        clock: ManualClock,
        learning_plan: Plan,
        random_entries: Entries,
        broken: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        failing: list[bool] = []

        class Touchy(Policy):
            _lines: list[str]

            def model_post_init(self, _: Any) -> None:
                self._lines = []

            def learn(self, outcomes: Outcomes) -> None:
                self._lines.extend(outcomes.items)

            def state(self) -> State:
                return {"lines": self._lines}

            def load(self, state: State) -> None:
                self._lines = state["lines"]
                if failing:
                    failing.clear()
                    raise IndexError("half way through")

        plan = learning_plan(policies={"touchy": Touchy()})
        write(shop, clock, random_entries(5, 60))
        process = Process(shop, plan).restored()
        whole = process.digests()
        fold = process.folds["books"]
        place = ("books", "touchy", fold.digest(fold.agent.policies["touchy"]))
        if broken == "bytes":
            shop.checkpoint(*place, 60, b"rubbish")
        elif broken == "state":
            shop.checkpoint(*place, 60, pack({"other": 1}))
        elif broken == "load":
            process.learner.save()
            failing.append(True)
        else:
            shop.checkpoint(*place, 1000, pack({"lines": ["from a log that was lost"]}))
        assert Process(shop, plan).restored().digests() == whole
        assert ("touchy passed over" in caplog.text) == (broken != "future")

    def test_a_state_that_cannot_be_saved_keeps_nobody_else_from_it(
        self,
        shop: Store,
        clock: ManualClock,
        learning_plan: Plan,
        diary: Any,
        random_entries: Entries,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        class Hoarder(Policy):
            def state(self) -> State:
                return {"thing": threading.Lock}

        plan = learning_plan(policies={"hoarder": Hoarder(), "diary": diary()})
        write(shop, clock, random_entries(6, 40))
        process = Process(shop, plan).restored()
        process.learner.save()
        fold = process.folds["books"]
        assert shop.latest_checkpoint("books", "diary", fold.digest(fold.agent.policies["diary"])) is not None
        assert "books.hoarder" in caplog.text


class TestErasure:
    def erase(self, store: Store, user: str) -> None:
        store.erase(user).result()

    def test_a_running_process_becomes_what_a_log_without_the_user_gives(
        self, shop: Store, clock: ManualClock, plans: Any, random_entries: Entries
    ) -> None:
        entries = random_entries(7, 150)
        write(shop, clock, entries)
        process = Process(shop, *plans).restored()
        process.learner.save()
        with_ann = process.digests()
        self.erase(shop, "ann")
        process.learner.fold()
        assert process.digests() != with_ann
        assert process.learner.position == shop.end()

        others = [entry for entry in entries if entry.user != "ann"]
        apart = Process(shop, *plans)
        for domain, fold in apart.folds.items():
            fold.take(iter(others), others[-1].position)
            fold.take([Entry("erasure", "e", "", "", b"{}", clock(), 151)], 151)
            assert domain in ("books", "films")
        assert process.folds["books"].states()["diary"][1] == apart.folds["books"].states()["diary"][1]
        assert process.digests() == apart.digests()
        assert Process(shop, *plans).restored().digests() == process.digests()
        lines = process.folds["books"].states()["diary"][1]["lines"]
        assert lines
        assert not [line for line in lines if line.startswith("ann ")]
        assert None in process.told["profile"]

    def test_a_checkpoint_of_a_process_that_had_not_heard_of_it_is_not_believed(
        self,
        shop: Store,
        open_shop: Callable[[], Store],
        clock: ManualClock,
        plans: Any,
        random_entries: Entries,
    ) -> None:
        write(shop, clock, random_entries(8, 100))
        late = Process(open_shop(), *plans).restored()
        self.erase(shop, "ann")
        late.learner.save()  # it still knows ann, and writes that down after everything of hers was deleted
        restored = Process(shop, *plans).restored()
        late.learner.fold()
        assert restored.digests() == late.digests()
        assert not [
            line for line in restored.folds["books"].states()["diary"][1]["lines"] if line.startswith("ann ")
        ]

    def test_a_checkpoint_from_after_an_erasure_is_good(
        self, shop: Store, clock: ManualClock, plans: Any, random_entries: Entries
    ) -> None:
        write(shop, clock, random_entries(9, 100))
        self.erase(shop, "eve")
        first = Process(shop, *plans).restored()
        first.learner.save()
        second = Process(shop, *plans).restored()
        assert second.learned == []
        assert second.digests() == first.digests()


class TestErasureInSomeDomains:
    """ann is in books alone, eve in films alone, tom in both."""

    def entries(self, random_entries: Entries, seed: int) -> list[Entry]:
        away = {("ann", "films"), ("eve", "books")}
        return [entry for entry in random_entries(seed, 240) if (entry.user, entry.domain) not in away]

    def watched(self, process: Process) -> list[str]:
        forgotten: list[str] = []

        def watch(domain: str, fold: Fold) -> None:
            forget = fold.forget

            def noted() -> None:
                forgotten.append(domain)
                forget()

            fold.forget = noted  # type: ignore[method-assign]

        for domain, fold in process.folds.items():
            watch(domain, fold)
        return forgotten

    def from_nothing(self, shop: Store, url: str, plans: Any) -> dict[str, str]:
        """What the log gives by itself."""
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(delete(policy_versions))
        engine.dispose()
        return Process(shop, *plans).restored().digests()

    @pytest.mark.parametrize(
        ("users", "rebuilt"),
        [
            (["ann"], {"books"}),
            (["eve"], {"films"}),
            (["tom"], {"books", "films"}),
            (["ann", "eve"], {"books", "films"}),
        ],
    )
    # With seed 2 the last entry before the checkpoint goes, and with it the time that closed a window of films.
    @pytest.mark.parametrize(("seed", "batch"), [(1, 3), (2, 2000)])
    def test_the_others_stay_and_all_come_to_what_the_log_gives(
        self,
        shop: Store,
        url: str,
        clock: ManualClock,
        plans: Any,
        random_entries: Entries,
        monkeypatch: pytest.MonkeyPatch,
        seed: int,
        users: list[str],
        rebuilt: set[str],
        batch: int,
    ) -> None:
        monkeypatch.setattr(module, "_BATCH", batch)
        entries = self.entries(random_entries, seed)
        write(shop, clock, entries[:100])
        process = Process(shop, *plans).restored()
        process.learner.save()
        write(shop, clock, entries[100:140])
        process.learner.fold()
        forgotten = self.watched(process)
        for user in users:
            write(shop, clock, entries[140:150])
            del entries[140:150]
            shop.erase(user).result()
        write(shop, clock, entries[140:])
        process.learner.fold()
        assert set(forgotten) == rebuilt
        restarted = Process(shop, *plans)
        loaded = self.watched(restarted)
        restarted.restored()
        assert loaded == [], "what is left of the checkpoints is good"
        assert process.digests() == restarted.digests() == self.from_nothing(shop, url, plans)
        assert process.learner.position == restarted.learner.position == shop.end()
        assert {fold.position for fold in process.folds.values()} == {shop.end()}

    def test_a_profile_alone_changes_nothing_but_what_is_known_of_users(
        self, shop: Store, clock: ManualClock, plans: Any, random_entries: Entries
    ) -> None:
        write(shop, clock, self.entries(random_entries, 1))
        process = Process(shop, *plans).restored()
        forgotten, known = self.watched(process), process.digests()
        shop.put_profile("zoe", b"{}").result()
        shop.erase("zoe").result()
        process.learner.fold()
        assert (forgotten, process.digests()) == ([], known)
        assert process.told["profile"][-1] is None


class TestFollowing:
    def test_two_processes_that_write_and_follow_come_to_the_same(
        self, open_shop: Callable[[], Store], clock: ManualClock, plans: Any, random_entries: Entries
    ) -> None:
        stores = [open_shop(), open_shop()]
        processes = [Process(store, *plans).restored() for store in stores]
        for process in processes:
            process.learner.start()
        entries = random_entries(10, 120)
        for place in range(0, 120, 10):
            write(stores[place // 10 % 2], clock, entries[place : place + 10])

        async def both() -> list[bool]:
            return await asyncio.gather(*(process.learner.reached(120, 20) for process in processes))

        assert asyncio.run(both()) == [True, True]
        for process in processes:
            process.learner.stop()
        assert processes[0].digests() == processes[1].digests()
        assert processes[0].digests() == Process(stores[0], *plans).restored().digests()

    def test_folding_by_hand_beside_the_thread_learns_nothing_twice(
        self, shop: Store, clock: ManualClock, plans: Any, random_entries: Entries
    ) -> None:
        process = Process(shop, *plans).restored()
        process.learner.start()
        for place, entry in enumerate(random_entries(11, 100)):
            write(shop, clock, [entry])
            if place % 3 == 0:
                process.learner.fold()
        process.learner.fold()
        process.learner.stop()
        assert process.digests() == Process(shop, *plans).restored().digests()

    def test_on_a_quiet_log_time_goes_on_and_closes_windows(
        self,
        shop: Store,
        clock: ManualClock,
        plans: Any,
        random_entries: Entries,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(module, "_TICK_SECONDS", 0.01)
        slates = [entry for entry in random_entries(12, 40) if entry.kind == "slate"]
        write(shop, clock, slates)
        process = Process(shop, *plans).restored()
        assert sum(fold.waiting for fold in process.folds.values()) > 0
        clock.advance(1000.0)
        process.learner.start()
        asyncio.run(_until(lambda: not any(fold.waiting for fold in process.folds.values())))
        process.learner.stop()
        end = shop.end()
        assert end > len(slates)
        asyncio.run(asyncio.sleep(0.1))
        assert shop.end() == end, "with no window open no more ticks come"

    def test_it_waits_for_a_position_or_says_that_it_took_too_long(
        self, shop: Store, clock: ManualClock, plans: Any, random_entries: Entries
    ) -> None:
        write(shop, clock, random_entries(13, 5))
        process = Process(shop, *plans)

        async def waits() -> tuple[bool, bool, bool]:
            early = await process.learner.reached(5, 0.05)
            waiting = asyncio.ensure_future(process.learner.reached(5, 20))
            await asyncio.sleep(0)
            await asyncio.to_thread(process.learner.fold)
            return early, await waiting, await process.learner.reached(5, 0)

        assert asyncio.run(waits()) == (False, True, True)

    def test_it_tells_of_items_and_profiles(self, shop: Store, clock: ManualClock, plans: Any) -> None:
        shop.put_items("books", [("emma", b"{}")]).result()
        shop.put_profile("ann", b"{}").result()
        process = Process(shop, *plans).restored()
        assert process.told == {"items": [2], "profile": ["ann"]}

    def test_saved_when_it_stops(
        self, shop: Store, clock: ManualClock, plans: Any, random_entries: Entries
    ) -> None:
        write(shop, clock, random_entries(14, 50))
        process = Process(shop, *plans).restored()
        process.learner.start()
        process.learner.stop()
        assert Process(shop, *plans).restored().learned == []


async def _until(happened: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not happened():
            await asyncio.sleep(0.01)


def test_a_policy_that_gives_its_own_arrays_away_forgets_all_the_same(
    shop: Store, clock: ManualClock, learning_plan: Plan, random_entries: Entries
) -> None:
    class Careless(Policy):
        """Its state is its very array, and what it loads becomes its array."""

        _sums: Any = None

        def model_post_init(self, _: Any) -> None:
            self._sums = np.zeros(3)

        def learn(self, outcomes: Outcomes) -> None:
            self._sums[0] += len(outcomes)

        def state(self) -> Mapping[str, Any]:
            return {"sums": self._sums}

        def load(self, state: State) -> None:
            self._sums = state["sums"]

    write(shop, clock, random_entries(15, 60))
    process = Process(shop, learning_plan(policies={"careless": Careless()})).restored()
    for _ in range(2):
        shop.erase("nobody").result()
        process.learner.fold()
        fold = process.folds["books"]
        assert fold.states()["careless"][1]["sums"][0] == fold.outcomes > 0
