"""Training runs: what they learn, what they leave behind, and what the gate lets through."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from tastemaker.core import (
    Catalog,
    ComponentError,
    Conflict,
    Embedder,
    Interaction,
    NotFound,
    Outcomes,
    Pick,
    Policy,
    RequestError,
    Slate,
    State,
)
from tastemaker.core.agent import Agent, state_digest
from tastemaker.core.clock import ManualClock
from tastemaker.core.config import DomainPlan, Settings
from tastemaker.core.learning import Fold, PolicyVersions
from tastemaker.core.learning import training as module
from tastemaker.core.learning.gate import Compare
from tastemaker.core.learning.packing import pack, unpack
from tastemaker.core.learning.span import iso, moment, past, time_at, window_start
from tastemaker.core.learning.training import open_runs, train
from tastemaker.core.learning.versions import restored
from tastemaker.core.store import Entry, Store, TrainingRun

Plan = Callable[..., DomainPlan]
Entries = Callable[..., list[Entry]]
SettingsOf = Callable[..., Settings]
START = 1_700_000_000.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def shop(sqlite: str, clock: ManualClock) -> Iterator[Store]:
    with ExitStack() as stack:
        store = Store(sqlite, clock=clock)
        stack.callback(store.close)
        yield store


def write(store: Store, clock: ManualClock, entries: list[Entry]) -> None:
    for entry in entries:
        clock.advance(max(entry.time - clock(), 0.0))
        store.append(
            [Entry(entry.kind, entry.id, entry.domain, entry.user, entry.body)], durable=False
        ).result()


@dataclass
class Weighed:
    """A comparison by how well states foretell what held-out clicks earned: the mean fall of the squared error."""

    falls: list[float]

    def passes(self, margin: float) -> bool:
        mean, error = np.mean(self.falls), np.std(self.falls) / np.sqrt(len(self.falls))
        return bool(mean - 1.96 * error > margin)

    def as_dict(self) -> dict[str, Any]:
        return {"difference": {"value": float(np.mean(self.falls))}, "refusals": []}


class Foretelling:
    """A small comparison for Thompson states, which remembers what it was given."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def __call__(
        self,
        settings: Settings,
        store: Store,
        domain: str,
        policy: str,
        *,
        candidate: State,
        active: State,
        since: int,
        until: int,
        progress: Callable[[int, int], None],
    ) -> Weighed:
        self.asked.append(
            {"policy": policy, "candidate": candidate, "active": active, "since": since, "until": until}
        )
        falls = []
        for entry in store.read(since, limit=100_000, until=until):
            if entry.kind == "interaction":
                item = Interaction.from_bytes(entry.id, entry.domain, entry.user, entry.body).item
                errors = [(self.share(state, item) - 1.0) ** 2 for state in (active, candidate)]
                falls.append(errors[0] - errors[1])
            progress(entry.position - since, until - since)
        return Weighed(falls)

    def share(self, state: State, item: str) -> float:
        if item not in state["item_ids"]:
            return 0.5
        arm = list(state["item_ids"]).index(item)
        won, lost = (max(float(each[arm]), 0.0) for each in (state["item_won"], state["item_lost"]))
        return (1 + won) / (2 + won + lost)


@pytest.fixture
def trained(
    shop: Store, clock: ManualClock, settings_of: SettingsOf
) -> Callable[..., tuple[list[TrainingRun], Settings]]:
    """Trains the policies of a plan on what the store holds."""

    def run(
        plan: DomainPlan, *policies: str, compare: Compare | None = None, **options: Any
    ) -> tuple[list[TrainingRun], Settings]:
        settings = settings_of({plan.name: plan})
        runs = open_runs(shop, plan, policies, **{"trigger": "cli", "now": clock(), **options})
        return train(settings, shop, runs, compare=compare), settings

    return run


def state_of(store: Store, run: TrainingRun) -> dict[str, Any]:
    assert run.version is not None
    version = store.versions.one(run.domain, run.policy, run.version)
    assert version is not None
    packed = store.versions.state(version)
    assert packed is not None
    return unpack(packed)


class TestWhatIsLearned:
    def test_the_whole_log_gives_what_is_live_to_the_last_bit(
        self, shop: Store, clock: ManualClock, learning_plan: Plan, random_entries: Entries, trained: Any
    ) -> None:
        plan = learning_plan()
        write(shop, clock, random_entries(1, 200))
        runs, _ = trained(plan)
        live = restored(shop, plan).states()
        assert [run.policy for run in runs] == ["taste", "fading", "own", "diary"]
        for run in runs:
            assert (run.status, run.version, run.progress) == ("done", 1, 1.0)
            assert state_digest(state_of(shop, run)) == state_digest(live[run.policy][1])
        assert shop.end() == 200, "nothing was written into the log"

    def test_a_span_gives_what_is_taught_within_it(
        self, shop: Store, clock: ManualClock, learning_plan: Plan, random_entries: Entries, trained: Any
    ) -> None:
        plan = learning_plan()
        write(shop, clock, random_entries(2, 200))
        everything = restored(shop, plan).states()["diary"][1]["lines"]
        for since in (1, 60, 120, 180):
            time = shop.read(since - 1, limit=1)[0].time
            (run,), _ = trained(plan, "diary", since=iso_exact(time))
            assert run.since <= since
            before = restored_up_to(shop, plan, run.since)
            assert state_of(shop, run)["lines"] == everything[len(before) :]

    def test_a_span_that_ends_before_the_log_does(
        self, shop: Store, clock: ManualClock, learning_plan: Plan, random_entries: Entries, trained: Any
    ) -> None:
        plan = learning_plan()
        write(shop, clock, random_entries(3, 200))
        time = shop.read(100, limit=1)[0].time
        (run,), _ = trained(plan, "diary", until=iso_exact(time))
        assert 0 < run.until <= 100
        assert state_of(shop, run)["lines"] == restored_up_to(shop, plan, run.until)

    def test_the_figures_of_a_run_are_those_of_its_outcomes(
        self, shop: Store, clock: ManualClock, learning_plan: Plan, random_entries: Entries, trained: Any
    ) -> None:
        write(shop, clock, random_entries(4, 300))
        (run,), _ = trained(learning_plan(), "diary")
        lines = state_of(shop, run)["lines"]
        assert run.rows == len(lines)
        assert run.users == len({line.split()[0] for line in lines})
        totals: dict[Any, float] = {}
        for number, line in enumerate(lines):
            user, item, slate, rest = line.split(" ", 3)
            numbers = eval(rest[: rest.index(")") + 1], {"nan": np.nan})
            key = (user, item, slate) if slate else number
            totals[key if numbers[2] or slate else number] = numbers[1]
        assert run.reward == pytest.approx(np.mean(list(totals.values())))
        assert run.like_rate == pytest.approx(np.mean([total > 0 for total in totals.values()]))
        assert run.options == {"pages": 1}

    def test_it_is_fitted_at_the_end_and_its_statistics_are_kept(
        self, shop: Store, clock: ManualClock, learning_plan: Plan, random_entries: Entries, trained: Any
    ) -> None:
        class Studious(Policy):
            """Makes a mean of what it wrote down, when it is told to."""

            shy: bool = False
            _rewards: list[float]
            _mean: float = 0.0
            _fits: int = 0

            def model_post_init(self, _: Any) -> None:
                self._rewards = []

            def learn(self, outcomes: Outcomes) -> None:
                self._rewards += outcomes.reward.tolist()

            def fit(self) -> None:
                self._mean, self._fits = float(np.mean(self._rewards)), self._fits + 1

            def statistics(self) -> dict[str, float]:
                if self.shy:
                    raise RuntimeError("none of your business")
                return {"mean": self._mean}

            def state(self) -> State:
                return {"rewards": np.array(self._rewards), "mean": self._mean, "fits": self._fits}

            def load(self, state: State) -> None:
                self._rewards = state["rewards"].tolist()
                self._mean, self._fits = float(state["mean"]), int(state["fits"])

        seen: list[State] = []

        def compare(*_: Any, candidate: State, active: State, **more: Any) -> Weighed:
            seen.extend((candidate, active))
            return Weighed([0.0, 0.0])

        plan = learning_plan(policies={"studious": Studious()})
        write(shop, clock, random_entries(5, 200))
        (run,), _ = trained(plan, compare=compare)
        state = state_of(shop, run)
        assert state["mean"] == np.mean(state["rewards"]) != 0
        assert state["fits"] == 1, "that of the comparison was on a copy"
        assert run.statistics == {"mean": state["mean"]}
        (shy,), _ = trained(learning_plan(policies={"studious": Studious(shy=True)}))
        assert (shy.status, shy.statistics) == ("done", {}), "a run isn't lost for that"
        candidate, active = seen
        assert candidate["mean"] == np.mean(candidate["rewards"])
        assert len(candidate["rewards"]) < len(active["rewards"]) == len(state["rewards"])


def iso_exact(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat()


def restored_up_to(store: Store, plan: DomainPlan, position: int) -> list[str]:
    """The diary at a position of the log."""
    fold = Fold(Agent(plan, Catalog(plan.items.schema)))
    entries = store.read(0, limit=100_000, until=position)
    if entries:
        fold.take(entries, position)
    lines = fold.states()["diary"][1]["lines"]
    assert isinstance(lines, list)
    return list(lines)


class TestTheGate:
    @pytest.fixture
    def clicked(self, shop: Store, clock: ManualClock, learning_plan: Plan) -> DomainPlan:
        """A domain in which everybody clicks on i1."""
        for number in range(400):
            clock.advance(10.0)
            who = f"u{number % 40}"
            picks = [Pick("i1", 0, 1.0, 0.5, {}, [])]
            slate = Slate(f"s{number}", "books", who, clock(), picks, 1, number, "digest")
            click = Interaction(f"x{number}", "books", who, "i1", "click", clock(), slate=f"s{number}")
            shop.append(
                [
                    Entry("slate", slate.id, "books", who, slate.to_bytes()),
                    Entry("interaction", click.id, "books", who, click.to_bytes()),
                ],
                durable=False,
            ).result()
        return learning_plan(seen=0.0, learning={"promote": "gate"})

    @pytest.fixture
    def changed(self, shop: Store, clicked: DomainPlan) -> DomainPlan:
        """The same, but what is live was taught that nobody does."""
        plan = clicked
        versions = PolicyVersions(shop, restored(shop, plan))
        wrong = versions._now_live("taste", "saved", "")
        state = unpack(wrong.state)
        swapped = {**state, "item_won": state["item_lost"] * 0, "item_lost": state["item_won"] + 400}
        number = shop.versions.add(replace(wrong, state=pack(swapped)), keep=9)
        versions.promote("taste", number)
        return plan

    def test_what_is_better_on_slates_it_has_not_seen_goes_live(
        self, shop: Store, changed: DomainPlan, trained: Any
    ) -> None:
        compare = Foretelling()
        before = restored(shop, changed).states()["taste"][1]
        (run,), _ = trained(changed, "taste", compare=compare)
        assert run.outcome == "promoted: better than what was live by more than 0"
        assert run.estimates["difference"]["value"] > 0.1
        (asked,) = compare.asked
        slates = shop.count("slate", "books", after=run.since, until=run.until)
        held_out = shop.count("slate", "books", after=asked["since"], until=run.until)
        assert held_out == slates // 4
        assert float(asked["candidate"]["item_won"].sum()) < float(state_of(shop, run)["item_won"].sum())
        assert state_digest(asked["active"]) == state_digest(before)
        live = restored(shop, changed)
        assert state_digest(live.states()["taste"][1]) == state_digest(state_of(shop, run))
        versions = PolicyVersions(shop, live)
        active, *_ = [each for each in versions.all("taste") if each["active"]]
        assert active["version"] == run.version
        versions.rollback("taste")
        assert state_digest(restored(shop, changed).states()["taste"][1]) == state_digest(before)

    def test_what_is_not_better_is_kept_and_can_be_promoted_by_hand(
        self, shop: Store, clicked: DomainPlan, trained: Any
    ) -> None:
        plan = clicked
        end = shop.end()
        (run,), _ = trained(plan, "taste", compare=Foretelling())
        assert run.outcome == "kept: not better than what is live by more than 0"
        assert shop.end() == end, "no promotion stands in the log"
        promotion = PolicyVersions(shop, restored(shop, plan)).promote("taste", 1)
        assert promotion.doubt == "taste@1 was kept: not better than what is live by more than 0"

    def test_a_margin_asks_for_more(self, shop: Store, changed: DomainPlan, trained: Any) -> None:
        plan = replace(changed, learning=changed.learning.model_copy(update={"margin": 5.0}))
        (run,), _ = trained(plan, "taste", compare=Foretelling())
        assert run.outcome == "kept: not better than what is live by more than 5"

    def test_who_does_not_ask_gets_no_comparison(
        self, shop: Store, changed: DomainPlan, trained: Any
    ) -> None:
        compare = Foretelling()
        (run,), _ = trained(changed, "taste", compare=compare, promote="never")
        assert (run.outcome, compare.asked) == ("kept: nobody asked for its promotion", [])
        promotion = PolicyVersions(shop, restored(shop, changed)).promote("taste", run.version)
        assert "never compared" in promotion.doubt

    def test_what_cannot_be_compared_is_kept_with_the_reason(
        self, shop: Store, clicked: DomainPlan, trained: Any
    ) -> None:
        def compare(*_: Any, **__: Any) -> Weighed:
            raise ComponentError("it turns knobs and can't tell how probable that was")

        (run,), _ = trained(clicked, "taste", compare=compare)
        assert run.outcome == (
            "kept: it can't be compared with what is live: it turns knobs and can't tell how probable that was"
        )
        assert (run.status, run.version) == ("done", 1)

    def test_what_embeds_is_open_while_it_is_compared(
        self, shop: Store, clicked: DomainPlan, trained: Any
    ) -> None:
        said: list[str] = []

        class Model(Embedder):
            async def open(self) -> None:
                said.append("open")

            def close(self) -> None:
                said.append("close")

        def compare(*_: Any, **__: Any) -> Weighed:
            said.append("compare")
            return Weighed([0.0, 0.0])

        plan = replace(clicked, items=replace(clicked.items, embedder=Model()))
        (run,), _ = trained(plan, "taste", compare=compare)
        assert (run.status, said) == ("done", ["open", "compare", "close"])

    def test_without_slates_nothing_can_be_compared(
        self, shop: Store, clock: ManualClock, learning_plan: Plan, random_entries: Entries, trained: Any
    ) -> None:
        entries = [entry for entry in random_entries(7, 100) if entry.kind != "slate"]
        write(shop, clock, entries)
        (run,), _ = trained(learning_plan(), "taste", compare=Foretelling())
        assert run.outcome == "kept: the span has too few slates to compare it with what is live"
        assert run.version == 1


class TestWhatGoesWrong:
    def test_an_empty_log_is_refused_and_leaves_no_version(
        self, shop: Store, learning_plan: Plan, trained: Any
    ) -> None:
        (run,), _ = trained(learning_plan(), "taste")
        assert (run.status, run.version) == ("refused", None)
        assert "nothing to learn from" in run.error
        assert shop.versions.all("books") == []
        assert shop.runs.one(run.id) == run

    def test_names_and_spans_that_cannot_be(
        self, shop: Store, clock: ManualClock, learning_plan: Plan, plan_of: Plan, trained: Any
    ) -> None:
        plan = learning_plan()
        with pytest.raises(NotFound, match="did you mean 'taste'"):
            trained(plan, "tast")
        with pytest.raises(RequestError, match="has not come yet"):
            trained(plan, since="2030-01-01")
        with pytest.raises(RequestError, match="write 7d, 36h"):
            trained(plan, since="yesterday")
        with pytest.raises(RequestError, match="ends before"):
            trained(plan, since="1d", until="2d")
        with pytest.raises(RequestError, match="nothing to train"):
            trained(plan_of())
        assert shop.runs.all() == []

    def test_two_at_once_are_one(
        self, shop: Store, clock: ManualClock, learning_plan: Plan, trained: Any
    ) -> None:
        plan = learning_plan()
        (first,) = open_runs(shop, plan, ["taste"], trigger="cli", now=clock())
        with pytest.raises(Conflict, match=rf"books\.taste is being trained by run {first.id}"):
            open_runs(shop, plan, trigger="cli", now=clock())
        assert len(shop.runs.all()) == 1, "of the others none was begun, either"
        open_runs(shop, plan, ["own"], trigger="cli", now=clock())
        clock.advance(61.0)
        lost = shop.runs.one(first.id)
        assert lost is not None
        assert lost.status == "lost"
        (again,), _ = trained(plan, "taste")
        assert again.status == "refused"

    def test_a_policy_that_raises_fails_its_own_run_only(
        self,
        shop: Store,
        clock: ManualClock,
        learning_plan: Plan,
        diary: Any,
        random_entries: Entries,
        trained: Any,
    ) -> None:
        class Dunce(Policy):
            blocking: ClassVar[bool] = False

            def learn(self, outcomes: Outcomes) -> None:
                raise RuntimeError("too hard")

        class Lazy(Dunce):
            def learn(self, outcomes: Outcomes) -> None:
                pass

            def fit(self) -> None:
                raise SystemExit("no")

        class Vague(Lazy):
            def fit(self) -> None:
                pass

            def state(self) -> State:
                return {"thing": object}

        write(shop, clock, random_entries(8, 60))
        plan = learning_plan(policies={"dunce": Dunce(), "lazy": Lazy(), "vague": Vague(), "diary": diary()})
        runs, _ = trained(plan)
        assert [run.status for run in runs] == ["failed", "failed", "failed", "done"]
        assert "too hard" in runs[0].error
        assert "fit() failed" in runs[1].error
        assert "can't be saved" in runs[2].error
        assert [version.name for version in shop.versions.all("books")] == ["diary@1"]

    def test_a_user_who_is_erased_meanwhile_is_not_in_the_version(
        self, shop: Store, clock: ManualClock, learning_plan: Plan, random_entries: Entries, trained: Any
    ) -> None:
        write(shop, clock, random_entries(9, 100))

        def compare(*_: Any, **__: Any) -> Weighed:
            shop.erase("ann").result()
            return Weighed([0.0, 0.0])

        (run,), _ = trained(learning_plan(), "diary", compare=compare)
        assert (run.status, run.version) == ("failed", None)
        assert "a user was erased" in run.error
        assert shop.versions.all("books") == []
        (again,), _ = trained(learning_plan(), "diary")
        assert again.status == "done"
        assert not [line for line in state_of(shop, again)["lines"] if line.startswith("ann ")]

    def test_a_run_that_was_given_up_saves_nothing(
        self, shop: Store, clock: ManualClock, learning_plan: Plan, random_entries: Entries, trained: Any
    ) -> None:
        write(shop, clock, random_entries(10, 60))

        def compare(*_: Any, **__: Any) -> Weighed:
            shop.runs.give_up(shop.runs.all()[0].id, "given up")
            return Weighed([1.0, 1.0])

        (run,), _ = trained(learning_plan(), "diary", compare=compare)
        stored = shop.runs.one(run.id)
        assert stored is not None
        assert (stored.status, stored.error) == ("failed", "given up")
        assert shop.versions.all("books") == []

    def test_what_the_configuration_does_not_have_fails_its_own_run_only(
        self,
        shop: Store,
        clock: ManualClock,
        learning_plan: Plan,
        random_entries: Entries,
        settings_of: SettingsOf,
    ) -> None:
        write(shop, clock, random_entries(11, 60))
        plan = learning_plan()
        runs = open_runs(shop, plan, ["taste", "diary"], promote="never", trigger="cli", now=clock())
        less = replace(plan, policies=tuple(step for step in plan.policies if step.name != "taste"))
        ended = train(settings_of({"books": less}), shop, runs)
        assert [(run.status, run.error) for run in ended] == [
            ("failed", "books has no policy 'taste'"),
            ("done", ""),
        ]

    def test_ctrl_c_is_written_down(
        self, shop: Store, clock: ManualClock, learning_plan: Plan, random_entries: Entries, trained: Any
    ) -> None:
        write(shop, clock, random_entries(11, 60))

        def compare(*_: Any, **__: Any) -> Weighed:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            trained(learning_plan(), "taste", "diary", compare=compare)
        assert {(run.policy, run.status, run.error) for run in shop.runs.all()} == {
            ("taste", "failed", "it was stopped"),
            ("diary", "failed", "it was stopped"),
        }

    def test_it_shows_that_it_lives(
        self,
        shop: Store,
        clock: ManualClock,
        learning_plan: Plan,
        random_entries: Entries,
        trained: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(module, "_BEAT_SECONDS", 0.01)
        write(shop, clock, random_entries(12, 200))
        seen: list[TrainingRun] = []

        def compare(*_: Any, progress: Callable[[int, int], None], **__: Any) -> Weighed:
            progress(1, 2)
            clock.advance(100.0)  # longer than a run may be silent
            until = time.monotonic() + 20
            while (run := shop.runs.all()[0]).status != "running" or run.progress <= 0.2 + 0.6 * 0.5:
                assert time.monotonic() < until
                time.sleep(0.01)
            seen.append(run)
            return Weighed([0.0, 0.0])

        (run,), _ = trained(learning_plan(), "taste", compare=compare)
        assert run.status == "done"
        assert seen[0].progress < 0.2 + 0.6


PROGRAM = """
import os, signal, sys
from tastemaker.core.config import load
from tastemaker.core.learning.training import open_runs, train
from tastemaker.core.store import Store
from pathlib import Path
import time
settings = load(Path(sys.argv[1]))
store = Store(settings.store.get_secret_value())
def compare(*_, **__):
    print("half-way", flush=True)
    time.sleep(60)
runs = open_runs(store, settings.domains["books"], trigger="cli", now=time.time())
train(settings, store, runs, compare=compare)
"""


def test_killed_half_way_it_leaves_nothing_and_can_be_repeated(
    settings_of: SettingsOf, random_entries: Entries, tmp_path: Path
) -> None:
    """kill -9 in the midst of a real training process."""
    settings = settings_of(
        """
        books:
          items: {fields: {title: text}}
          sources: [{use: catalog.random}]
          policies: {taste: {use: thompson.ranker}}
          rewards: {click: 1, buy: 5, skip: -2}
        """
    )
    manual = ManualClock(time.time() - 1e6)
    store = Store(settings.store.get_secret_value(), clock=manual)
    entries = random_entries(13, 100, start=manual())
    write(store, manual, [entry for entry in entries if entry.time < time.time()])
    store.close()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(settings.path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "half-way\n"
    process.kill()
    process.wait()
    process.stdout.close()
    store = Store(settings.store.get_secret_value())
    try:
        (run,) = store.runs.all("books")
        assert (run.status, run.version) == ("running", None)
        assert store.versions.all("books") == []
        live = state_digest(restored(store, settings.domains["books"]).states()["taste"][1])
        with pytest.raises(Conflict, match="is being trained"):
            open_runs(store, settings.domains["books"], trigger="cli", now=time.time())
    finally:
        store.close()
    later = Store(settings.store.get_secret_value(), clock=lambda: time.time() + 61)
    try:
        (run,) = later.runs.all("books")
        assert (run.status, run.error) == (
            "lost",
            "no sign of life for a minute: its process has ended; start it again",
        )
        runs = open_runs(later, settings.domains["books"], trigger="cli", now=time.time() + 61)
        (done,) = train(settings, later, runs)
        assert done.status == "done"
        assert state_digest(state_of(later, done)) == live
        assert sorted(each.status for each in later.runs.all("books")) == ["done", "lost"]
    finally:
        later.close()


class TestSpans:
    def test_texts_and_what_they_mean(self) -> None:
        now = 1_700_000_000.0
        assert moment("7d", now) == now - 7 * 86_400
        assert moment("90m", now) == now - 5400
        assert moment("2w", now) == now - 14 * 86_400
        assert moment("2023-11-14T22:13:20Z", 0) == now
        assert past(None, now) is past("", now) is None
        assert iso(now) == "2023-11-14T22:13:20Z"
        for text in ("", "7", "7 d", "d", "-7d", "7y", "1e3", "nan", "9999999d", "2023-13-01", "x" * 1000):
            with pytest.raises(RequestError, match="write 7d, 36h"):
                moment(text, now)

    def test_positions_by_time(self, shop: Store, clock: ManualClock) -> None:
        for number in range(10):
            clock.advance(10.0 if number % 3 == 0 else 0.0)
            shop.append([Entry("tick", f"t{number}", "", "", b"{}")]).result()
        times = [entry.time for entry in shop.read(0)]
        for time_ in sorted({START, *times, *(each + 0.5 for each in times)}):
            expected = sum(each < time_ for each in times)
            assert shop.position_at(time_) == expected
        assert shop.position_at(1e12) == 10
        assert window_start(shop, 10, 10.0) == 5
        assert window_start(shop, 1, 1e9) == 0

    def test_what_was_erased_leaves_its_time(self, shop: Store, clock: ManualClock) -> None:
        for number in range(40):
            clock.advance(1.0)
            user = "ann" if 5 <= number < 35 else "eve"
            shop.append([Entry("slate", f"s{number}", "books", user, b"{}")]).result()
        shop.erase("ann").result()
        for position in (5, 6, 20, 35):
            assert time_at(shop, position) == START + 5
        assert time_at(shop, 36) == START + 36
        assert time_at(shop, 0) is None
        assert window_start(shop, 20, 3.5) == 0, "the slate of second 2 had its window open"
