"""Versions: kept, compared, promoted at a place of the log, and returned from."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, delete, update
from tastemaker.core import (
    Catalog,
    Conflict,
    ItemSchema,
    NotFound,
    Outcomes,
    Policy,
    RequestError,
    State,
    StoreUnavailable,
)
from tastemaker.core.agent import Agent, state_digest
from tastemaker.core.clock import ManualClock
from tastemaker.core.config import DomainPlan
from tastemaker.core.learning import Fold, Learner, PolicyVersions
from tastemaker.core.learning.packing import pack
from tastemaker.core.learning.versions import difference, numbered, restored
from tastemaker.core.store import Entry, Store, Switch
from tastemaker.core.store.tables import policy_versions

Plan = Callable[..., DomainPlan]
Entries = Callable[..., list[Entry]]
START = 1_700_000_000.0


class Process:
    """One process of the platform, over a store."""

    def __init__(self, store: Store, plan: DomainPlan) -> None:
        self.fold = Fold(
            Agent(plan, Catalog(ItemSchema(plan.items.schema.fields))), None, store.versions.state
        )
        self.learner = Learner(store, {plan.name: self.fold}, items=lambda _: None, profile=lambda _: None)
        self.learner.restore()
        self.versions = PolicyVersions(store, self.fold)

    def lines(self) -> list[str]:
        return list(self.fold.states()["diary"][1]["lines"])

    def digests(self) -> dict[str, str]:
        return {name: state_digest(state) for name, (_, state) in self.fold.states().items()}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def shop(url: str, clock: ManualClock) -> Iterator[Store]:
    with ExitStack() as stack:
        store = Store(url, clock=clock)
        stack.callback(store.close)
        yield store


def write(store: Store, clock: ManualClock, entries: list[Entry], tag: str = "") -> None:
    for entry in entries:
        clock.advance(max(entry.time - clock(), 0.0))
        store.append(
            [Entry(entry.kind, tag + entry.id, entry.domain, entry.user, entry.body)], durable=False
        ).result()


@pytest.fixture
def three(
    shop: Store, clock: ManualClock, learning_plan: Plan, random_entries: Entries
) -> tuple[Process, DomainPlan]:
    """A process that kept diary@1 after the first of three stretches of a log, and is at the end of the second."""
    plan = learning_plan()
    process = Process(shop, plan)
    write(shop, clock, random_entries(1, 60), "a")
    process.learner.fold()
    assert process.versions.save("diary", "after the first").name == "diary@1"
    write(shop, clock, random_entries(2, 60, start=clock()), "b")
    process.learner.fold()
    return process, plan


class TestPromotion:
    def test_a_policy_becomes_the_version_and_learns_on_from_there(
        self, three: Any, shop: Store, clock: ManualClock, random_entries: Entries
    ) -> None:
        process, plan = three
        first = process.versions._state(shop.versions.one("books", "diary", 1))["lines"]
        live = process.lines()
        assert live[: len(first)] == first
        promotion = process.versions.promote("diary", 1)
        assert (promotion.version, promotion.before, promotion.doubt) == (1, 2, "")
        assert process.lines() == live, "nothing happens before the log is folded"
        process.learner.fold()
        assert process.lines()[: len(first)] == first
        taught_with_the_switch = process.lines()[len(first) :]
        assert taught_with_the_switch == [], "what was due before belongs to what was live before"
        write(shop, clock, random_entries(3, 60, start=clock()), "c")
        process.learner.fold()
        after = process.lines()
        assert after[: len(first)] == first
        assert len(after) > len(first)
        assert all(line not in after for line in live[len(first) :]), "what lay between isn't in it"
        assert Process(shop, plan).digests() == process.digests(), "the log from its start comes to the same"
        process.learner.save()
        assert Process(shop, plan).digests() == process.digests(), "and so does a checkpoint"

    def test_a_rollback_returns_and_a_second_one_undoes_it(self, three: Any, shop: Store) -> None:
        process, plan = three
        live = process.lines()
        process.versions.promote("diary", 1)
        process.learner.fold()
        changed = process.lines()
        assert changed != live
        back = process.versions.rollback("diary")
        assert (back.version, back.before) == (2, 3)
        process.learner.fold()
        assert process.lines() == live
        process.versions.rollback("diary")
        process.learner.fold()
        assert process.lines() == changed
        assert Process(shop, plan).digests() == process.digests()
        assert [
            (each["version"], each["active"], each["origin"]) for each in process.versions.all("diary")
        ] == [
            (4, False, "promotion"),
            (3, True, "promotion"),
            (2, False, "promotion"),
            (1, False, "saved"),
        ]

    def test_two_at_once_are_one(self, three: Any, shop: Store) -> None:
        process, plan = three
        other = Process(shop, plan)
        process.versions.promote("diary", 1)
        process.learner.fold()
        live = process.lines()
        with pytest.raises(Conflict, match="has not arrived here yet"):
            other.versions.rollback("diary")  # what it would keep is not what is live
        other.learner.fold()
        last = shop.versions.newest_switch("books", "diary")
        process.versions.rollback("diary")
        with pytest.raises(Conflict, match="promoted meanwhile"):
            other.versions._promoted("diary", 2, "", last)
        process.learner.fold()
        other.learner.fold()
        assert process.lines() == other.lines() != live

    def test_however_many_versions_come_the_way_back_stays(
        self, shop: Store, url: str, clock: ManualClock, learning_plan: Plan, random_entries: Entries
    ) -> None:
        plan = learning_plan(learning={"keep_versions": 2})
        process = Process(shop, plan)
        write(shop, clock, random_entries(1, 60))
        process.learner.fold()
        saved = process.versions.save("diary").number
        live = process.lines()
        process.versions.promote("diary", saved)
        process.learner.fold()
        for _ in range(5):
            shop.versions.add(process.versions._now_live("diary", "training", ""), keep=2)
        process.versions.rollback("diary")
        process.learner.fold()
        assert process.lines() == live
        before = shop.versions.newest_switch("books", "diary").before
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(delete(policy_versions).where(policy_versions.c.number == before))
        engine.dispose()
        with pytest.raises(Conflict, match=r"what was live before diary@2 is no longer kept"):
            process.versions.rollback("diary")

    def test_replayed_from_a_checkpoint_before_it_the_same_comes_out(
        self, three: Any, shop: Store, clock: ManualClock, random_entries: Entries
    ) -> None:
        process, plan = three
        process.learner.save()
        process.versions.promote("diary", 1)
        write(shop, clock, random_entries(4, 40, start=clock()), "d")
        process.learner.fold()
        assert Process(shop, plan).digests() == process.digests()

    def test_another_process_sees_it_at_the_same_place(
        self, three: Any, shop: Store, clock: ManualClock, random_entries: Entries
    ) -> None:
        process, plan = three
        other = Process(shop, plan)
        write(shop, clock, random_entries(5, 20, start=clock()), "e")
        other.versions.promote("diary", 1)  # it knows nothing of the last stretch yet
        write(shop, clock, random_entries(6, 20, start=clock()), "f")
        for each in (process, other):
            each.learner.fold()
        assert process.digests() == other.digests() == Process(shop, plan).digests()

    def test_a_policy_that_broke_is_mended_by_a_version(
        self, shop: Store, clock: ManualClock, learning_plan: Plan, random_entries: Entries
    ) -> None:
        class Choosy(Policy):
            """Can't stand tom."""

            _seen: int = 0

            def learn(self, outcomes: Outcomes) -> None:
                for user in outcomes.users:
                    if user == "tom":
                        raise RuntimeError("not him")
                    self._seen += 1

            def state(self) -> State:
                return {"seen": self._seen}

            def load(self, state: State) -> None:
                self._seen = int(state["seen"])

        plan = learning_plan(policies={"choosy": Choosy()})
        process = Process(shop, plan)
        assert process.versions.save("choosy").number == 1
        write(shop, clock, random_entries(1, 60))
        process.learner.fold()
        assert process.fold.agent.policies["choosy"].broken
        with pytest.raises(Conflict, match="learns no more"):
            process.versions.save("choosy")
        promotion = process.versions.promote("choosy", 1)
        assert promotion.before is None
        assert "could not be kept" in promotion.doubt
        process.learner.fold()
        assert process.fold.agent.policies["choosy"].broken == ""
        assert process.fold.states()["choosy"][1] == {"seen": 0}
        with pytest.raises(Conflict, match="could not be kept"):
            process.versions.rollback("choosy")


class TestCuts:
    @settings(max_examples=30, deadline=None)
    @given(
        st.integers(0, 10_000),
        st.integers(1, 99),
        st.integers(1, 99),
        st.sets(st.integers(1, 99)),
    )
    def test_however_the_log_is_cut_the_same_bits_come_out(
        self, learning_plan: Plan, random_entries: Entries, seed: int, first: int, second: int, cuts: set[int]
    ) -> None:
        plan = learning_plan()
        entries = random_entries(seed, 100)
        states = {}
        for name in ("diary", "fading"):
            fold = self.fold_of(plan, {})
            fold.take(entries[:30], 30)
            states[name] = pack(fold.states()[name][1])
        digests = fold.digests()
        for place, name in ((first, "diary"), (second, "fading")):
            switch = Switch("books", name, 1, digests[name], "sum", None)
            entry = entries[place]
            entries[place] = Entry(
                "version", f"v{place}", "books", "", switch.to_bytes(), entry.time, entry.position
            )

        def folded(cuts: list[int]) -> dict[str, str]:
            fold = self.fold_of(plan, states)
            places = sorted({0, len(entries), *cuts})
            for start, stop in pairwise(places):
                fold.take(iter(entries[start:stop]), entries[stop - 1].position)
            return {name: state_digest(state) for name, (_, state) in fold.states().items()}

        whole = folded([])
        assert folded(sorted(cuts)) == whole
        assert folded(list(range(100))) == whole

    def fold_of(self, plan: DomainPlan, states: dict[str, bytes]) -> Fold:
        agent = Agent(plan, Catalog(ItemSchema(plan.items.schema.fields)))
        return Fold(agent, None, lambda switch: states.get(switch.policy))

    def test_what_was_due_is_taught_before_and_what_comes_after_is_taught_after(
        self, learning_plan: Plan, random_entries: Entries
    ) -> None:
        plan = learning_plan()
        slates = [
            entry for entry in random_entries(3, 100) if entry.kind == "slate" and entry.domain == "books"
        ]
        fold = self.fold_of(plan, {})
        untaught = pack(fold.states()["diary"][1])
        switch = Switch("books", "diary", 1, fold.digests()["diary"], "sum", None)
        shown = [
            Entry("slate", slates[0].id, "books", slates[0].user, slates[0].body, 1000.0, 1),
            Entry("slate", slates[1].id, "books", slates[1].user, slates[1].body, 1100.0, 2),
            # The window of the first slate, of two minutes, has closed; that of the second has not.
            Entry("version", "v", "books", "", switch.to_bytes(), 1130.0, 3),
            Entry("tick", "t", "", "", b"{}", 5000.0, 4),
        ]
        fold = self.fold_of(plan, {"diary": untaught})
        fold.take(shown, 4)
        lines = fold.states()["diary"][1]["lines"]
        assert len(lines) == 3
        assert all(f" {slates[1].id} " in line for line in lines)
        assert fold.agent.feedback.outcomes == 6, "the feedback counts are nobody's version"


class TestPassedOver:
    def passed_over(
        self, process: Process, shop: Store, plan: DomainPlan, caplog: pytest.LogCaptureFixture, said: str
    ) -> None:
        """That the last promotion changes nothing, in this process and in a new one, and is told."""
        live = process.lines()
        caplog.clear()
        process.learner.fold()
        assert process.lines() == live
        assert said in caplog.text
        assert Process(shop, plan).digests() == process.digests()

    @pytest.mark.parametrize("damage", [{"state": b"rubbish"}, {"position": 3}])
    def test_a_state_that_was_damaged_after_its_promotion(
        self, three: Any, shop: Store, url: str, damage: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        process, plan = three
        process.versions.promote("diary", 1)
        self.damage(url, 1, damage)
        self.passed_over(
            process, shop, plan, caplog, "diary@1 is passed over: that version is gone, or damaged"
        )

    def damage(self, url: str, number: int, values: Any) -> None:
        engine = create_engine(url)
        with engine.begin() as connection:
            here = policy_versions.c.number == number
            assert connection.execute(update(policy_versions).where(here).values(values)).rowcount == 1
        engine.dispose()

    def test_a_version_that_an_erasure_took_away(
        self, three: Any, shop: Store, caplog: pytest.LogCaptureFixture
    ) -> None:
        process, plan = three
        process.versions.promote("diary", 1)
        process.learner.fold()
        shop.erase("ann").result()
        process.learner.fold()
        assert "that version is gone" in caplog.text
        assert Process(shop, plan).digests() == process.digests()
        assert not [line for line in process.lines() if line.startswith("ann ")]
        assert process.versions.all() == []
        with pytest.raises(Conflict, match="are gone: a user was erased"):
            process.versions.rollback("diary")
        with pytest.raises(Conflict, match="was never promoted"):
            process.versions.rollback("taste")
        # The number is not given again: the entry in the log must never mean another state.
        assert process.versions.save("diary").number == 3

    def test_a_version_of_another_configuration(
        self, three: Any, shop: Store, learning_plan: Plan, diary: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        process, _ = three
        other = Process(shop, learning_plan(policies={"diary": diary(pages=2)}))
        with pytest.raises(Conflict, match="other options or rewards"):
            other.versions.promote("diary", 1)
        process.versions.promote("diary", 1)
        live = other.lines()
        other.learner.fold()
        assert other.lines() == live
        assert "the configuration of the policy was another" in caplog.text
        (first,) = [each for each in other.versions.all("diary") if each["version"] == 1]
        assert (first["fits"], first["active"]) == (False, False)
        with pytest.raises(Conflict, match="never promoted"):
            other.versions.rollback("diary")
        # Each configuration has its own way back.
        other.versions.save("diary")
        other.versions.promote("diary", 3)
        process.learner.fold()
        assert process.versions.rollback("diary").version == 2

    def test_a_policy_that_is_not_there_and_an_entry_that_cannot_be_read(
        self, three: Any, shop: Store, caplog: pytest.LogCaptureFixture
    ) -> None:
        process, plan = three
        shop.append(
            [Entry("version", "x", "books", "", b"{}"), Entry("version", "y", "books", "", b"no")]
        ).result()
        gone = Switch("books", "gone", 1, "", "", None)
        shop.append([Entry("version", "z", "books", "", gone.to_bytes())]).result()
        self.passed_over(process, shop, plan, caplog, "names no version")
        assert process.versions.all("diary")[0]["active"] is False


class TestRefusals:
    @pytest.mark.parametrize(
        ("state", "said"),
        [
            (b"rubbish", "no saved state"),
            (pack({"lines": "one"}), "lines must be a list"),
            (pack({"pages": ["a"]}), "KeyError"),
        ],
        ids=["bytes", "type", "names"],
    )
    def test_a_state_that_does_not_fit_is_refused_and_what_is_live_stays(
        self, three: Any, shop: Store, state: bytes, said: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        process, _ = three
        bad = replace(process.versions._now_live("diary", "saved", ""), state=state)
        number = shop.versions.add(bad, keep=9)
        live, end = process.lines(), shop.end()
        with pytest.raises(Conflict, match=said):
            process.versions.promote("diary", number)
        assert (process.lines(), shop.end()) == (live, end)
        # Where somebody writes it into the log all the same, every process passes it over.
        shop.versions.switch(shop.versions.one("books", "diary", number), None, keep=9)
        process.learner.fold()
        assert process.lines() == live
        assert "is passed over" in caplog.text

    def test_arrays_of_another_shape(self, three: Any, shop: Store) -> None:
        process, _ = three
        right = process.fold.states()["taste"][1]
        bad = pack({**right, "item_won": np.zeros((2, 2))})
        number = shop.versions.add(
            replace(process.versions._now_live("taste", "saved", ""), state=bad), keep=9
        )
        with pytest.raises(
            Conflict, match=r"taste@1 can.t be used, and what is live stays: .*ids don.t go with"
        ):
            process.versions.promote("taste", number)

    def test_a_row_that_was_damaged(self, three: Any, url: str) -> None:
        process, _ = three
        TestPassedOver().damage(url, 1, {"state": b"rubbish"})
        for ask in (process.versions.promote, process.versions.one, process.versions.readable):
            with pytest.raises(Conflict, match="diary@1 is damaged"):
                ask("diary", 1)

    def test_a_state_that_knows_an_erased_user_is_not_kept(self, three: Any, shop: Store) -> None:
        process, _ = three
        shop.erase("ann").result()
        with pytest.raises(Conflict, match="a user was erased"):
            process.versions.save("diary")
        process.learner.fold()
        assert process.versions.save("diary").number == 2

    def test_names_that_mean_nothing(self, three: Any) -> None:
        process, _ = three
        with pytest.raises(NotFound, match="did you mean 'diary'"):
            process.versions.promote("dairy", 1)
        with pytest.raises(NotFound, match=r"no diary@7 in books; there is: diary@1"):
            process.versions.promote("diary", 7)
        with pytest.raises(NotFound, match="none is kept"):
            process.versions.one("taste", 1)
        with pytest.raises(Conflict, match="never promoted"):
            process.versions.rollback("diary")
        for text in ("taste", "taste@", "@3", "taste@-1", "taste@x", "taste@99999999999"):
            with pytest.raises(RequestError, match="write it as taste@3"):
                numbered(text)

    def test_a_load_that_fails_half_way_leaves_what_was_live(
        self, shop: Store, clock: ManualClock, learning_plan: Plan, random_entries: Entries
    ) -> None:
        class Sloppy(Policy):
            """Changes before it has looked."""

            _seen: int = 0

            def learn(self, outcomes: Outcomes) -> None:
                self._seen += len(outcomes)

            def state(self) -> State:
                return {"seen": self._seen}

            def load(self, state: State) -> None:
                self._seen = int(state["seen"])
                if self._seen < 0:
                    raise ValueError("below zero")

        process = Process(shop, learning_plan(policies={"sloppy": Sloppy()}))
        write(shop, clock, random_entries(1, 60))
        process.learner.fold()
        bad = replace(process.versions._now_live("sloppy", "saved", ""), state=pack({"seen": -1}))
        version = shop.versions.one("books", "sloppy", shop.versions.add(bad, keep=9))
        before = process.fold.states()["sloppy"][1]["seen"]
        assert before > 0
        shop.versions.switch(version, None, keep=9)
        process.learner.fold()
        assert process.fold.states()["sloppy"][1]["seen"] == before


class TestLooking:
    def test_details_and_export(self, three: Any) -> None:
        process, _ = three
        facts = process.versions.one("diary", 1)
        assert (facts["name"], facts["origin"], facts["note"]) == ("diary@1", "saved", "after the first")
        lines = facts["entries"][0]
        assert (lines["name"], lines["type"], lines["shape"]) == (
            "lines",
            "list",
            [len(self.lines(process))],
        )
        assert facts["training"] is None
        readable = process.versions.readable("diary", 1)
        assert readable["state"] == {"lines": self.lines(process)}

    def lines(self, process: Process) -> list[str]:
        state = process.versions.readable("diary", 1)["state"]["lines"]
        assert isinstance(state, list)
        return state

    def test_a_policy_with_a_table_is_exported_with_it(
        self, shop: Store, clock: ManualClock, learning_plan: Plan
    ) -> None:
        class Tabled(Policy):
            def state(self) -> State:
                return {"values": np.arange(4.0)}

            def load(self, state: State) -> None:
                np.asarray(state["values"], dtype=float)

            def table(self) -> dict[str, Any]:
                return {"calm": np.array([0.0, 1.0]), "party": (2.0, 3.0)}

        process = Process(shop, learning_plan(policies={"tabled": Tabled()}))
        process.versions.save("tabled")
        readable = process.versions.readable("tabled", 1)
        assert readable["state"] == {"values": [0.0, 1.0, 2.0, 3.0]}
        assert readable["table"] == {"calm": [0.0, 1.0], "party": [2.0, 3.0]}

    def test_the_difference_of_two_versions(self, three: Any) -> None:
        process, _ = three
        process.versions.save("diary")
        found = process.versions.diff("diary", 1, 2)
        (lines,) = found["entries"]
        first = process.versions.readable("diary", 1)["state"]["lines"]
        second = process.versions.readable("diary", 2)["state"]["lines"]
        assert lines["added"] == len(set(second) - set(first)) > 0
        assert lines["removed"] == 0
        assert lines["changed"] is True
        assert process.versions.diff("diary", 2, 2)["entries"][0]["changed"] is False

    def test_each_kind_of_entry(self) -> None:
        found = difference(
            {
                "same": np.ones(3),
                "grown": np.array([1.0, 2.0]),
                "gone": 1,
                "ids": ["a", "b"],
                "step": 3,
                "word": "x",
                "flat": np.zeros(2),
                "odd": np.array([np.nan, np.inf]),
            },
            {
                "same": np.ones(3),
                "grown": np.array([1.0, 5.0, 9.0]),
                "ids": ["b", "c", "d"],
                "step": 5,
                "word": "y",
                "flat": np.zeros((2, 1)),
                "odd": np.array([np.nan, np.inf]),
                "new": [],
            },
        )
        by_name = {entry.pop("name"): entry for entry in found}
        assert by_name["same"]["changed"] is False
        assert by_name["odd"]["changed"] is False
        grown = by_name["grown"]
        assert (grown["mean_change"], grown["max_change"], grown["changed"]) == (1.5, 3.0, True)
        assert (grown["before"], grown["after"]) == ("float64[2]", "float64[3]")
        assert (by_name["ids"]["added"], by_name["ids"]["removed"]) == (2, 1)
        assert (by_name["step"]["mean_change"], by_name["step"]["before"]) == (2.0, "3")
        assert by_name["word"] == {"before": "'x'", "after": "'y'", "changed": True}
        assert by_name["flat"]["changed"] is True
        assert by_name["gone"]["after"] == by_name["new"]["before"] == "missing"

    def test_a_process_without_a_catalogue_restores_the_same(self, three: Any, shop: Store) -> None:
        process, plan = three
        fold = restored(shop, plan)
        assert {name: state_digest(state) for name, (_, state) in fold.states().items()} == process.digests()


def test_a_store_that_fails_while_a_version_is_read_loses_nothing(
    three: Any, shop: Store, clock: ManualClock, random_entries: Entries, caplog: pytest.LogCaptureFixture
) -> None:
    process, plan = three
    process.versions.promote("diary", 1)
    write(shop, clock, random_entries(9, 20, start=clock()), "z")
    asked: list[Switch] = []

    def failing(switch: Switch) -> bytes | None:
        asked.append(switch)
        if len(asked) == 1:
            raise StoreUnavailable("not now")
        return shop.versions.state(switch)

    process.fold._versions = failing
    with caplog.at_level(logging.CRITICAL), pytest.raises(StoreUnavailable):
        process.learner.fold()
    process.learner.fold()
    assert process.digests() == Process(shop, plan).digests()
    assert len(asked) == 2
