"""The fold: what a domain's agent makes of the log, whatever the pieces in which the log arrives."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import PrivateAttr
from tastemaker.core import Catalog, Interaction, ItemSchema, Outcomes, Policy, Slate
from tastemaker.core.agent import Agent, state_digest
from tastemaker.core.config import DomainPlan
from tastemaker.core.learning import Fold
from tastemaker.core.learning.fold import FEEDBACK
from tastemaker.core.rewards import RewardTable
from tastemaker.core.store import Entry

Plan = Callable[..., DomainPlan]
Entries = Callable[..., list[Entry]]


def fold_of(plan: DomainPlan, learned: Callable[[str, Outcomes], None] | None = None) -> Fold:
    return Fold(Agent(plan, Catalog(ItemSchema(plan.items.schema.fields))), learned)


def take(fold: Fold, entries: Sequence[Entry], cuts: Sequence[int] = ()) -> Fold:
    """Fold entries in pieces that end at the cuts."""
    places = sorted({0, len(entries), *(cut for cut in cuts if cut < len(entries))})
    for start, stop in pairwise(places):
        piece = entries[start:stop]
        fold.take(iter(piece), piece[-1].position)
    return fold


def digests(fold: Fold) -> dict[str, str]:
    return {name: state_digest(state) for name, (_, state) in fold.states().items()}


class TestBatches:
    @settings(max_examples=40, deadline=None)
    @given(st.integers(0, 10_000), st.integers(1, 120), st.sets(st.integers(1, 119)))
    def test_however_the_log_is_cut_the_same_bits_come_out(
        self, learning_plan: Plan, random_entries: Entries, seed: int, count: int, cuts: set[int]
    ) -> None:
        entries = random_entries(seed, count)
        plan = learning_plan()
        whole = digests(take(fold_of(plan), entries))
        assert digests(take(fold_of(plan), entries, list(cuts))) == whole
        assert digests(take(fold_of(plan), entries, range(count))) == whole

    def test_the_outcomes_are_the_same_too(self, learning_plan: Plan, random_entries: Entries) -> None:
        entries = random_entries(1, 300)
        told: list[list[Any]] = [[], []]
        for lines, cuts in zip(told, ((), range(0, 300, 7)), strict=True):

            def learned(domain: str, outcomes: Outcomes, lines: list[Any] = lines) -> None:
                assert domain == "books"
                lines.extend(
                    zip(
                        outcomes.items,
                        outcomes.slates,
                        outcomes.reward.tolist(),
                        outcomes.total.tolist(),
                        outcomes.time.tolist(),
                        strict=True,
                    )
                )

            take(fold_of(learning_plan(), learned), entries, list(cuts))
        assert told[0] == told[1]
        assert len(told[0]) > 100

    def test_another_domain_changes_nothing_but_the_time(
        self, learning_plan: Plan, random_entries: Entries
    ) -> None:
        entries = random_entries(2, 300)
        as_ticks = [
            entry if entry.domain == "books" else replace(entry, kind="tick", domain="", user="", body=b"{}")
            for entry in entries
        ]
        assert digests(take(fold_of(learning_plan()), entries)) == digests(
            take(fold_of(learning_plan()), as_ticks)
        )


class TestTime:
    def test_a_tick_closes_windows(self, learning_plan: Plan) -> None:
        fold = fold_of(learning_plan())
        entries = [
            entry_of_slate("s1", ["i1", "i2"], 1, 1000.0),
            Entry("tick", "t", "", "", b"{}", 1121.0, 2),
        ]
        fold.take(entries[:1], 1)
        assert (fold.waiting, fold.agent.feedback.outcomes) == (1, 0)
        fold.take(entries[1:], 2)
        assert (fold.waiting, fold.agent.feedback.outcomes, fold.position) == (0, 2, 2)

    def test_reaching_a_position_without_entries_closes_nothing(self, learning_plan: Plan) -> None:
        fold = fold_of(learning_plan())
        fold.take([entry_of_slate("s1", ["i1"], 1, 1000.0)], 1)
        fold.take((), 50)
        assert (fold.waiting, fold.position) == (1, 50)
        assert all(policy.position == 50 for policy in fold.agent.policies.values())


def entry_of_slate(
    identity: str, items: Sequence[str], position: int, time: float, user: str = "ann"
) -> Entry:
    from tastemaker.core import Pick

    picks = [Pick(item, place, 0.0, 1.0, {}, []) for place, item in enumerate(items)]
    body = Slate(identity, "books", user, time, picks, len(items), 0, "digest").to_bytes()
    return Entry("slate", identity, "books", user, body, time, position)


def entry_of(kind: str, item: str, position: int, time: float, user: str = "ann") -> Entry:
    body = Interaction(f"x{position}", "books", user, item, kind, time).to_bytes()
    return Entry("interaction", f"x{position}", "books", user, body, time, position)


class TestForgetting:
    def test_forgotten_and_taught_again_is_taught_once(
        self, learning_plan: Plan, random_entries: Entries
    ) -> None:
        entries = random_entries(3, 200)
        fold = take(fold_of(learning_plan()), entries)
        before = digests(fold)
        fold.forget()
        assert fold.position == 0
        assert digests(fold) == digests(fold_of(learning_plan()))
        assert digests(take(fold, entries, [50])) == before

    def test_two_agents_of_one_plan_learn_apart(self, learning_plan: Plan, random_entries: Entries) -> None:
        plan, entries = learning_plan(), random_entries(4, 100)
        untaught = digests(fold_of(plan))
        first = digests(take(fold_of(plan), entries))
        assert first != untaught
        assert digests(fold_of(plan)) == untaught
        assert digests(take(fold_of(plan), entries)) == first


class TestRestoring:
    @pytest.mark.parametrize("at", [1, 37, 150, 299])
    def test_a_restored_fold_that_rewinds_learns_nothing_twice(
        self, learning_plan: Plan, random_entries: Entries, at: int
    ) -> None:
        entries = random_entries(5, 300)
        whole = digests(take(fold_of(learning_plan()), entries))
        saved = take(fold_of(learning_plan()), entries[:at]).states()
        restored = fold_of(learning_plan())
        for name, (_, state) in saved.items():
            restored.load(name, state, at)
        restored.rewind(0)
        restored.take(entries[:at], at)
        assert digests(restored) == {name: state_digest(state) for name, (_, state) in saved.items()}
        assert digests(take(restored, entries[at:])) == whole

    def test_the_digest_of_a_policy_follows_its_options_and_the_rewards(
        self, learning_plan: Plan, diary: Any
    ) -> None:
        def digest(**options: Any) -> str:
            fold = fold_of(learning_plan(**options))
            return fold.digest(fold.agent.policies["diary"])

        same = {"policies": {"diary": diary()}}
        assert digest(**same) == digest(policies={"diary": diary(), "more": diary(pages=2)})
        others = {
            digest(policies={"diary": diary(pages=2)}),
            digest(**same, seen=0.0),
            digest(**same, learning={"window_minutes": 3}),
        }
        assert len(others | {digest(**same)}) == 4

    def test_outcomes_that_were_known_are_not_told_again(
        self, learning_plan: Plan, random_entries: Entries
    ) -> None:
        entries, told = random_entries(6, 100), []
        saved = take(fold_of(learning_plan()), entries).states()
        fold = fold_of(learning_plan(), lambda _, outcomes: told.append(len(outcomes)))
        for name, (_, state) in saved.items():
            fold.load(name, state, 100)
        fold.rewind(0)
        fold.take(entries, 100)
        assert told == []


class TestHistories:
    def test_known_users_get_their_events_newest_first(self, learning_plan: Plan) -> None:
        fold = fold_of(learning_plan())
        histories = fold.agent.histories
        histories.begin("ann")
        histories.finish("ann", [])
        fold.take([entry_of("click", "i1", 1, 10.0), entry_of("wave", "i2", 2, 20.0)], 2)
        fold.agent.catalog.put([("i1", {}), ("i2", {})])
        history = histories.get("ann")
        assert history is not None
        past = history.candidates(fold.agent.catalog.snapshot(), 20.0 + 86_400.0)
        assert past.ids.tolist() == ["i2", "i1"]
        assert past["kind"].tolist() == ["wave", "click"]
        assert np.isnan(past["reward"][0])
        assert past["reward"][1] == 1.0
        assert past["age_days"].tolist() == [1.0, 1.0 + 10 / 86_400]

    def test_a_history_whose_reading_began_while_a_batch_was_taken_in_misses_nothing(
        self, learning_plan: Plan
    ) -> None:
        entries = [entry_of("click", "i1", 1, 10.0)]

        class Meddler(Policy):
            """Reads ann's history while the fold teaches."""

            def learn(self, outcomes: Outcomes) -> None:
                histories.begin("ann")
                read = [entry for entry in entries if entry.position <= fold.position]
                histories.finish("ann", fold.events(read))

        fold = fold_of(learning_plan(policies={"meddler": Meddler()}))
        histories = fold.agent.histories
        fold.agent.catalog.put([("i1", {})])
        fold.take(entries, 1)
        history = histories.get("ann")
        assert history is not None
        assert history.candidates(fold.agent.catalog.snapshot(), 10.0).ids.tolist() == ["i1"]


class TestWhatBreaks:
    def test_entries_that_cannot_be_read_are_passed_over(
        self, learning_plan: Plan, caplog: pytest.LogCaptureFixture
    ) -> None:
        fold = fold_of(learning_plan())
        broken = [
            Entry("interaction", "a", "books", "ann", b"not json", 10.0, 1),
            Entry("interaction", "b", "books", "ann", b"{}", 10.0, 2),
            Entry("slate", "c", "books", "ann", b"[]", 10.0, 3),
            entry_of("click", "i1", 4, 10.0),
            Entry("tick", "d", "", "", b"{}", 1000.0, 5),
        ]
        fold.take(broken, 5)
        assert (fold.position, fold.agent.feedback.outcomes) == (5, 1)
        assert fold.events(broken[:2]) == []
        assert "log entry 1" in caplog.text
        assert "log entry 2" in caplog.text

    @pytest.mark.parametrize("worth", ["much", object(), [1.0]])
    def test_a_reward_that_fails_or_gives_rubbish_is_worth_nothing(
        self, plan_of: Plan, caplog: pytest.LogCaptureFixture, worth: Any
    ) -> None:
        class Odd(RewardTable):
            def reward(self, interaction: Interaction) -> float | None:
                if interaction.kind == "raise":
                    raise RuntimeError("no")
                return worth if interaction.kind == "odd" else 1.0  # type: ignore[no-any-return]

        fold = fold_of(plan_of(reward=Odd()))
        entries = [
            entry_of(kind, "i1", place, 10.0) for place, kind in enumerate(("raise", "odd", "click"), start=1)
        ]
        fold.take(entries, 3)
        assert fold.agent.feedback.outcomes == 1
        assert [str(event.reward) for event in fold.events(entries)] == ["nan", "nan", "1.0"]
        assert "'raise'" in caplog.text

    def test_a_policy_that_cannot_learn_stops_nobody_else(
        self, learning_plan: Plan, diary: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Dunce(Policy):
            def learn(self, outcomes: Outcomes) -> None:
                raise RuntimeError("too hard")

        fold = fold_of(learning_plan(policies={"dunce": Dunce(), "diary": diary()}))
        fold.take([entry_of("click", "i1", 1, 10.0)], 1)
        assert len(fold.states()["diary"][1]["lines"]) == 1
        assert fold.states()[FEEDBACK][1]["count"].tolist() == [0.0, 1.0]
        assert "dunce" in caplog.text


class Fragile(Policy):
    """Counts what it learned; its memo can't be had when `trouble` is set."""

    _outcomes: int = PrivateAttr(default=0)
    _reward: float = PrivateAttr(default=0.0)

    def learn(self, outcomes: Outcomes) -> None:
        self._outcomes += len(outcomes)
        self._reward += float(outcomes.total.sum())

    def state(self) -> dict[str, Any]:
        return {"outcomes": self._outcomes, "reward": self._reward}

    def load(self, state: Any) -> None:
        self._outcomes, self._reward = int(state["outcomes"]), float(state["reward"])


class TestFailures:
    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, 10_000), st.integers(1, 60), st.integers(0, 40), st.integers(0, 60))
    def test_after_a_failure_in_the_middle_the_same_is_learned_as_without_one(
        self,
        learning_plan: Plan,
        plan_of: Plan,
        random_entries: Entries,
        seed: int,
        first: int,
        at: int,
        more: int,
    ) -> None:
        """Whatever call fails on the way, however much comes when it is tried again."""
        entries = random_entries(seed, 120)
        plan = replace(
            learning_plan(), policies=plan_of(policies={"one": Fragile(), "two": Fragile()}).policies
        )
        whole = digests(take(fold_of(plan), entries))
        fold, calls = fold_of(plan), iter(range(1_000_000))
        attribution, policies = fold._attribution, fold.agent.policies

        def failing(method: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any) -> Any:
                if next(calls) == at:
                    raise MemoryError
                return method(*arguments)

            return call

        with pytest.MonkeyPatch.context() as patch:
            for thing, name in (
                (attribution, "slate"),
                (attribution, "interaction"),
                (fold.agent.feedback, "learn"),
                (policies["one"], "learn"),
                (policies["two"], "learn"),
            ):
                patch.setattr(thing, name, failing(getattr(thing, name)))
            for end in (first, min(first + more, 120)):
                piece = entries[:end]
                piece = [entry for entry in piece if entry.position > fold.position]
                with suppress(MemoryError):
                    fold.take(piece, entries[end - 1].position)
        rest = [entry for entry in entries if entry.position > fold.position]
        fold.take(rest, entries[-1].position)
        assert digests(fold) == whole
