"""Schedules: when they are due, who of many processes does it, and what was missed."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from tastemaker.core import ConfigError, Conflict, Context, Policy, StoreUnavailable
from tastemaker.core.clock import ManualClock
from tastemaker.core.config import DomainPlan, Settings
from tastemaker.core.learning.schedules import Job, Scheduler, jobs
from tastemaker.core.store import Store
from tastemaker.policies.thompson import Ranker

Plan = Callable[..., DomainPlan]


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


class Tuner(Policy):
    def tune(self, context: Context) -> dict[str, Any]:
        return {}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(at("2026-11-18 12:00"))  # a Wednesday


@pytest.fixture
def open_shop(url: str, clock: ManualClock) -> Iterator[Callable[[], Store]]:
    with ExitStack() as stack:

        def opened() -> Store:
            store = Store(url, clock=clock)
            stack.callback(store.close)
            return store

        yield opened


class Server:
    """A process that looks at the clock, and writes down what it does."""

    def __init__(self, store: Store, clock: ManualClock, *plans: DomainPlan) -> None:
        self.done: list[tuple[str, str]] = []
        self.clock = clock
        actions = {"train": self.do, "monitor": self.do}
        self.scheduler = Scheduler(store, {plan.name: plan for plan in plans}, clock, actions)
        self.scheduler.look()

    def do(self, job: Job) -> None:
        self.done.append((datetime.fromtimestamp(self.clock(), UTC).strftime("%a %H:%M"), job.name))

    def until(self, end: str, *, minutes: float = 10) -> list[tuple[str, str]]:
        while self.clock() < at(end):
            self.clock.advance(60 * minutes)
            self.scheduler.look()
        done, self.done = self.done, []
        return done


@pytest.fixture
def plan(plan_of: Plan) -> DomainPlan:
    found = plan_of(policies={"mood": Tuner(), "taste": Ranker()})
    quiet = found.learning.schedules.monitoring.model_copy(update={"enabled": False})
    return with_schedules(found, monitoring=quiet)


def with_schedules(plan: DomainPlan, **schedules: Any) -> DomainPlan:
    changed = plan.learning.schedules.model_copy(update=schedules)
    return replace(plan, learning=plan.learning.model_copy(update={"schedules": changed}))


class TestWhen:
    def test_tuners_on_mondays_over_a_week_and_rankers_every_night_over_everything(
        self, plan: DomainPlan
    ) -> None:
        assert [(job.name, job.cron, job.action, list(job.policies), job.since) for job in jobs(plan)] == [
            ("tuners", "0 1 * * 1", "train", ["mood"], "7d"),
            ("rankers", "0 2 * * *", "train", ["taste"], None),
        ]

    def test_what_has_nothing_to_do_is_left_out(self, plan_of: Plan) -> None:
        assert [job.name for job in jobs(plan_of(policies={"mood": Tuner()}))] == ["tuners", "monitoring"]
        assert [job.name for job in jobs(plan_of())] == ["monitoring"]

    def test_last_and_next_in_utc(self) -> None:
        job = Job("books", "rankers", "0 2 * * *", "train")
        for now, last, following in (
            ("2026-11-18 12:00", "2026-11-18 02:00", "2026-11-19 02:00"),
            ("2026-11-18 02:00", "2026-11-18 02:00", "2026-11-19 02:00"),
            ("2026-11-18 01:59:59", "2026-11-17 02:00", "2026-11-18 02:00"),
            ("2026-03-01 00:00", "2026-02-28 02:00", "2026-03-01 02:00"),
        ):
            assert (job.last(at(now)), job.next(at(now))) == (at(last), at(following))

    def test_a_week(self, open_shop: Any, clock: ManualClock, plan: DomainPlan) -> None:
        server = Server(open_shop(), clock, plan)
        assert server.until("2026-11-25 12:00") == [
            ("Thu 02:00", "rankers"),
            ("Fri 02:00", "rankers"),
            ("Sat 02:00", "rankers"),
            ("Sun 02:00", "rankers"),
            ("Mon 01:00", "tuners"),
            ("Mon 02:00", "rankers"),
            ("Tue 02:00", "rankers"),
            ("Wed 02:00", "rankers"),
        ]

    def test_an_action_that_is_not_there_is_left_out(
        self, open_shop: Any, clock: ManualClock, plan_of: Plan
    ) -> None:
        scheduler = Scheduler(open_shop(), {"books": plan_of()}, clock, {"train": lambda job: None})
        assert scheduler.jobs == []

    def test_monitoring_is_hourly(self, open_shop: Any, clock: ManualClock, plan_of: Plan) -> None:
        done = Server(open_shop(), clock, plan_of()).until("2026-11-18 15:30")
        assert done == [("Wed 13:00", "monitoring"), ("Wed 14:00", "monitoring"), ("Wed 15:00", "monitoring")]


class TestWho:
    def test_one_of_many_processes_does_it(
        self, open_shop: Any, clock: ManualClock, plan: DomainPlan
    ) -> None:
        servers = [Server(open_shop(), clock, plan) for _ in range(4)]
        for night in range(1, 4):
            clock.advance(86_400.0)
            with ThreadPoolExecutor(4) as threads:
                list(threads.map(lambda server: server.scheduler.look(), servers))
            assert sum(len(server.done) for server in servers) == night

    def test_domains_are_apart(self, open_shop: Any, clock: ManualClock, plan_of: Plan) -> None:
        plans = [plan_of(name=name, policies={"taste": Ranker()}) for name in ("books", "films")]
        server = Server(open_shop(), clock, *plans)
        clock.advance(86_400.0)
        assert sorted((job.domain, job.name) for job in server.scheduler.look()) == [
            ("books", "monitoring"),
            ("books", "rankers"),
            ("films", "monitoring"),
            ("films", "rankers"),
        ]


class TestWhatWasMissed:
    def test_a_new_store_is_not_behind(self, open_shop: Any, clock: ManualClock, plan: DomainPlan) -> None:
        server = Server(open_shop(), clock, plan)
        assert server.until("2026-11-18 23:00") == []

    def test_it_is_done_once_however_often_it_was_due(
        self, open_shop: Any, clock: ManualClock, plan: DomainPlan
    ) -> None:
        Server(open_shop(), clock, plan)
        clock.advance(10 * 86_400.0)  # to Saturday noon, with nobody there
        later = Server(open_shop(), clock, plan)
        assert sorted(name for _, name in later.done) == ["rankers", "tuners"]
        assert Server(open_shop(), clock, plan).done == []
        assert later.until("2026-11-29 12:00")[-1] == ("Sun 02:00", "rankers")

    def test_a_clock_that_goes_back_does_nothing_twice(
        self, open_shop: Any, clock: ManualClock, plan: DomainPlan
    ) -> None:
        server = Server(open_shop(), clock, plan)
        server.until("2026-11-19 03:00")
        clock.advance(-5_400.0)
        assert server.until("2026-11-19 12:00") == []


class TestWhatFails:
    def test_an_action_that_fails_keeps_no_other_from_its_turn(
        self, open_shop: Any, clock: ManualClock, plan: DomainPlan, caplog: pytest.LogCaptureFixture
    ) -> None:
        done: list[str] = []

        def train(job: Job) -> None:
            done.append(job.name)
            raise Conflict("it is being trained") if job.name == "tuners" else RuntimeError("broken")

        scheduler = Scheduler(open_shop(), {"books": plan}, clock, {"train": train})
        scheduler.look()
        clock.advance(7 * 86_400.0)
        scheduler.look()
        assert sorted(done) == ["rankers", "tuners"]
        assert "tuners is left out this time: it is being trained" in caplog.text
        assert "broken" in caplog.text

    def test_it_looks_again_when_the_store_comes_back(
        self, open_shop: Any, clock: ManualClock, plan: DomainPlan, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = open_shop()
        server = Server(store, clock, plan)
        clock.advance(86_400.0)
        with monkeypatch.context() as patched:

            def claim(key: str, due: float) -> bool:
                raise StoreUnavailable("not now")

            patched.setattr(store, "claim", claim)
            with pytest.raises(StoreUnavailable):
                server.scheduler.look()
        assert [job.name for job in server.scheduler.look()] == ["rankers"]

    def test_its_thread_does_what_is_due_and_ends(
        self, open_shop: Any, clock: ManualClock, plan: DomainPlan
    ) -> None:
        Server(open_shop(), clock, plan)
        clock.advance(86_400.0)
        done = threading.Event()
        scheduler = Scheduler(open_shop(), {"books": plan}, clock, {"train": lambda job: done.set()})
        scheduler.start()
        assert done.wait(20)
        scheduler.stop()
        assert not [each for each in threading.enumerate() if each.name == "tastemaker-schedules"]


BOOKS = """
books:
  items: {{fields: {{title: text}}}}
  sources: [{{use: catalog.random}}]
  policies: {{taste: {{use: thompson.ranker}}}}
  learning: {{schedules: {schedules}}}
"""


class TestConfiguration:
    def test_one_can_be_switched_off_or_changed(self, settings_of: Callable[..., Settings]) -> None:
        settings = settings_of(
            BOOKS.format(schedules="{rankers: {enabled: false}, monitoring: {enabled: false}}")
        )
        assert jobs(settings.domains["books"]) == []
        changed = settings_of(BOOKS.format(schedules="{rankers: {cron: '30 4 * * 6', since: 30d}}"))
        (rankers, _) = jobs(changed.domains["books"])
        assert (rankers.cron, rankers.since) == ("30 4 * * 6", "30d")

    def test_no_decision_depends_on_them(self, settings_of: Callable[..., Settings]) -> None:
        one = settings_of(BOOKS.format(schedules="{}")).domains["books"].digest
        other = settings_of(BOOKS.format(schedules="{rankers: {enabled: false}}")).domains["books"].digest
        assert one == other

    @pytest.mark.parametrize(
        ("schedules", "said"),
        [
            (
                "{rankers: {cron: nightly}}",
                r"config\.yaml:\d+:\d+: error\[E05\] 'cron' must be a cron expression",
            ),
            ("{rankers: {cron: '61 * * * *'}}", r"error\[E05\] 'cron' must be a cron expression"),
            ("{rankers: {cron: '0 0 31 2 *'}}", r"error\[E05\] 'cron' must be a cron expression"),
            ("{rankers: {cron: '* * * * * *'}}", r"error\[E05\] 'cron' must be a cron expression"),
            ("{rankers: {since: soon}}", r"error\[E05\] 'since' must be a time such as 7d"),
            ("{ranker: {enabled: false}}", r"error\[E03\] no key is called 'ranker'"),
            ("{rankers: {enabled: 'no'}}", r"error\[E05\] 'enabled' must be true or false"),
            ("{monitoring: {since: 7d}}", r"error\[E03\] no key is called 'since'"),
        ],
    )
    def test_what_is_wrong_is_told_at_its_place(
        self, settings_of: Callable[..., Settings], schedules: str, said: str
    ) -> None:
        with pytest.raises(ConfigError, match=said):
            settings_of(BOOKS.format(schedules=schedules))
