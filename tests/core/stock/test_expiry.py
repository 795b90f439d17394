"""Items that may not be kept for ever, over simulated weeks: asked for anew in time, and never kept too long."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from pydantic import PrivateAttr
from sqlalchemy import create_engine
from tastemaker.core import Connector, ConnectorError, Interaction, Terms
from tastemaker.core.clock import ManualClock
from tastemaker.core.config import DomainPlan
from tastemaker.core.learning.schedules import Job, Scheduler
from tastemaker.core.stock.expiry import Aged, Expiry, in_force, look_seconds, remove_overdue
from tastemaker.core.stock.ingest import StoredItem
from tastemaker.core.stock.stock import Stock
from tastemaker.core.store import Entry, Store
from tastemaker.core.terms import longest_lag

DAY = 86_400.0
HOUR = 3600.0
START = 1_800_000_000.0
TUBE = Terms(keep_days=30, fields=frozenset({"title", "rating"}))


class Tube(Connector):
    """What a service says of its videos now, so and so many times a day."""

    calls_a_day: int = 1000
    _down: bool = PrivateAttr(False)
    _videos: dict[str, dict[str, Any]] = PrivateAttr(default_factory=dict)
    _asked: list[tuple[float, int]] = PrivateAttr(default_factory=list)
    _clock: Any = PrivateAttr(None)

    async def refresh(self, ids: Sequence[str]) -> list[Mapping[str, Any] | None]:
        today = self._clock() // DAY
        if self._down:
            raise ConnectorError("no answer")
        if sum(time // DAY == today for time, _ in self._asked) >= self.calls_a_day:
            raise ConnectorError("the day's quota is spent")
        self._asked.append((self._clock(), len(ids)))
        return [self._videos.get(identity) for identity in ids]


class World:
    """A store whose domain `videos` has items of `tube` and of the user's own, and processes that look after it."""

    def __init__(self, url: str, plan: DomainPlan, *, processes: int = 1, **options: Any) -> None:
        self.clock = ManualClock(START)
        self.tube = Tube(**options)
        self.tube._clock = self.clock
        self.plan = plan
        self.stores = [Store(url, clock=self.clock) for _ in range(processes)]
        self.stocks = [Stock(store, plan) for store in self.stores]
        self.due: list[list[Job]] = [[] for _ in self.stores]
        self.schedulers = [
            Scheduler(store, {plan.name: plan}, self.clock, {"expire": due.append})
            for store, due in zip(self.stores, self.due, strict=True)
        ]
        self.looks = 0

    def put(self, origin: str, *ids: str) -> None:
        for identity in ids:
            self.tube._videos[identity] = {"title": f"first title of {identity}", "rating": 3}
        values = {name: {**self.tube._videos[name], "rating": 3.0, "genre": "own"} for name in ids}
        items = [(name, StoredItem(of, origin).to_bytes()) for name, of in values.items()]
        self.stores[0].put_items(self.plan.name, items).result()
        self.follow()

    def follow(self) -> None:
        for store, stock in zip(self.stores, self.stocks, strict=True):
            stock.refresh(store.end())

    async def write(self, domain: str, changes: Any) -> None:
        self.stores[0].put_items(domain, changes).result()

    def look(self, process: int = 0) -> Aged:
        connectors = {"tube": self.tube}
        aged = asyncio.run(Expiry(self.stores[process], self.plan, connectors, self.write, self.clock).look())
        self.follow()
        return aged

    def run(self, days: float, each: Callable[[], None] = lambda: None, *, step: float = HOUR) -> None:
        """Let time pass, step by step; every process looks at the clock."""
        end = self.clock() + days * DAY
        while self.clock() < end:
            self.clock.advance(step)
            for process, scheduler in enumerate(self.schedulers):
                scheduler.look()
                while self.due[process]:
                    assert self.due[process].pop().action == "expire"
                    self.looks += 1
                    self.look(process)
            each()

    def ids(self, process: int = 0) -> set[str]:
        snapshot = self.stocks[process].catalog.snapshot()
        return set(snapshot.ids[snapshot.live].tolist())

    def oldest(self, origin: str = "tube") -> float:
        """Days since the oldest item of an origin was refreshed; 0 where there is none."""
        counts = {count.origin: count.oldest for count in self.stores[0].ages.by_origin(self.plan.name)}
        return (self.clock() - counts[origin]) / DAY if origin in counts else 0.0

    def close(self) -> None:
        for store in self.stores:
            store.close()


@pytest.fixture
def plan(plan_of: Callable[..., DomainPlan]) -> DomainPlan:
    found = plan_of(name="videos")
    schedules = found.learning.schedules
    quiet = schedules.monitoring.model_copy(update={"enabled": False})
    learning = found.learning.model_copy(
        update={"schedules": schedules.model_copy(update={"monitoring": quiet})}
    )
    return replace(found, origins={"tube": TUBE, "files": Terms()}, learning=learning)


@pytest.fixture
def world_of(sqlite: str, plan: DomainPlan) -> Iterator[Callable[..., World]]:
    made: list[World] = []

    def make(**options: Any) -> World:
        made.append(World(options.pop("url", sqlite), options.pop("plan", plan), **options))
        return made[-1]

    yield make
    for world in made:
        world.close()


IDS = [f"v{number:03}" for number in range(120)]


def test_beyond_the_most_the_oldest_from_outside_that_nobody_used_leave(
    world_of: Callable[..., World], plan: DomainPlan
) -> None:
    plan = replace(plan, items=replace(plan.items, most=10), origins={"tube": Terms()})
    world = world_of(plan=plan)
    world.put("tube", *IDS[:6])
    world.put("api", "mine")
    done = Interaction("i1", "videos", "ann", "v001", "click", START)
    world.stores[0].append([Entry("interaction", done.id, "videos", "ann", done.to_bytes())]).result()
    world.clock.advance(HOUR)
    world.put("tube", *IDS[6:9])
    world.run(2)
    assert world.looks
    assert world.ids() == {*IDS[:9], "mine"}
    world.clock.advance(HOUR)
    world.put("tube", *IDS[9:13])
    world.run(2)
    assert world.ids() == {"v001", "v005", *IDS[6:13], "mine"}


def test_over_sixty_days_items_are_refreshed_once_a_month_and_never_kept_longer(
    world_of: Callable[..., World],
) -> None:
    world = world_of(processes=2)
    world.put("tube", *IDS)
    world.put("files", "mine")
    ages: list[float] = []

    def each() -> None:
        ages.append(world.oldest())
        assert world.ids(0) == world.ids(1) == {*IDS, "mine"} - gone

    gone: set[str] = set()
    world.run(26, each, step=4 * HOUR)
    assert not world.tube._asked  # there is time
    world.tube._videos["v007"] = {"title": "second title", "rating": 5}
    del world.tube._videos["v009"]
    gone.add("v009")
    world.run(2)
    assert world.ids() == {*IDS, "mine"} - gone
    snapshot = world.stocks[1].catalog.snapshot()
    assert snapshot.item(snapshot.row("v007")) == {"title": "second title", "rating": 5.0, "genre": "own"}
    world.run(26, each, step=4 * HOUR)
    world.run(6, each)
    assert max(ages) < 27.2
    # Two months, three batches each; one process of the two looked each time.
    assert [number for _, number in world.tube._asked] == [50, 50, 20, 50, 50, 19]
    assert world.looks == 52 * 6 + 8 * 24 - 1  # what a store sees for the first time is not due
    assert world.oldest("files") > 59


def test_what_is_gone_there_is_gone_here_with_its_body(world_of: Callable[..., World], url: str) -> None:
    world = world_of(url=url)
    world.put("tube", "v1", "v2", "v3")
    del world.tube._videos["v1"]
    world.tube._videos["v3"]["rating"] = 5
    world.clock.advance(28 * DAY)
    assert world.look() == Aged(2, 1, {})
    assert world.oldest() == 0
    engine = create_engine(url)
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT id, body IS NULL FROM items ORDER BY id").all()
    engine.dispose()
    assert [(name, bool(null)) for name, null in rows] == [("v1", True), ("v2", False), ("v3", False)]


def test_a_service_that_is_down_costs_its_items_and_no_day_more(world_of: Callable[..., World]) -> None:
    world = world_of()
    world.put("tube", *IDS[:60])
    world.put("files", "mine")
    world.tube._down = True
    ages = []

    def each() -> None:
        ages.append(world.oldest())

    world.clock.advance(27 * DAY)
    world.run(2.8, each)
    assert len(world.ids()) == 61  # it may come back
    world.run(0.3, each)
    assert world.ids() == {"mine"}
    assert max(ages) < 30


def test_a_spent_quota_refreshes_what_it_can_and_the_rest_goes_in_time(
    world_of: Callable[..., World],
) -> None:
    world = world_of(calls_a_day=1)
    world.put("tube", *[f"v{number:04}" for number in range(400)])
    ages = []
    world.clock.advance(26.5 * DAY)
    world.run(5, lambda: ages.append(world.oldest()))
    # From day 27 to 30 one batch of 50 a day: those are young again, the others could not be kept.
    assert len(world.ids()) in (150, 200)
    assert max(ages) < 30
    days = [time // DAY for time, _ in world.tube._asked]
    assert len(set(days)) == len(days)


def test_an_origin_that_nobody_can_ask_is_removed_at_nine_tenths(
    world_of: Callable[..., World], plan: DomainPlan
) -> None:
    world = world_of(plan=replace(plan, origins={"radio": Terms(keep_days=1, trainable=False)}))
    world.put("radio", "s1")
    for _ in range(21):
        world.clock.advance(HOUR)
        world.look()
        assert world.ids() == {"s1"}
    world.clock.advance(HOUR)
    assert world.look() == Aged(0, 1, {})
    assert world.ids() == set()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ([], "it gave 0 items for 2 ids"),
        ([{"rating": "many"}, {"rating": "few"}], "'rating' must be a finite number"),
        (RuntimeError("boom"), "boom"),
    ],
)
def test_an_answer_that_makes_no_sense_changes_nothing_until_the_time_is_over(
    world_of: Callable[..., World], monkeypatch: pytest.MonkeyPatch, answer: Any, why: str
) -> None:
    def refresh(self: Tube, ids: Sequence[str]) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(Tube, "refresh", refresh)
    world = world_of()
    world.put("tube", "v1", "v2")
    world.clock.advance(28 * DAY)
    aged = world.look()
    assert (aged.refreshed, aged.removed) == (0, 0)
    assert why in aged.why["tube"]
    assert world.ids() == {"v1", "v2"}
    world.clock.advance(2 * DAY)
    assert world.look().removed == 2


def test_an_item_that_somebody_made_his_own_meanwhile_stays_as_it_is(
    world_of: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_of()
    world.put("tube", "v1", "v2")
    ask = Tube.refresh

    async def refresh(self: Tube, ids: Sequence[str]) -> Any:
        found = await ask(self, ids)
        world.put("api", "v1")
        world.stores[0].put_items("videos", [("v2", None)]).result()
        return found

    monkeypatch.setattr(Tube, "refresh", refresh)
    world.clock.advance(28 * DAY)
    assert world.look() == Aged(0, 0, {})
    assert world.ids() == {"v1"}
    assert world.stores[0].ages.origins("videos", ["v1"]) == {"v1": "api"}


def test_what_a_refresh_says_nothing_of_stays_and_what_it_says_none_of_goes(
    world_of: Callable[..., World],
) -> None:
    world = world_of()
    world.put("tube", "v1")
    world.tube._videos["v1"] = {"rating": None}
    world.clock.advance(28 * DAY)
    assert world.look() == Aged(1, 0, {})
    body = world.stores[0].item("videos", "v1")
    assert body is not None
    values = StoredItem.from_bytes(body).values
    assert (values.get("title"), values.get("rating")) == ("first title of v1", None)
    assert values["genre"] == "own"


def test_one_that_could_not_be_asked_for_is_asked_for_again_and_keeps_no_other_back(
    world_of: Callable[..., World],
) -> None:
    world = world_of()
    world.put("tube", "v1", "v2", "v3")
    there, failure = world.tube._videos["v2"], ConnectorError("one shelf is closed")
    world.tube._videos |= {"v2": failure, "v3": None}  # type: ignore[dict-item]
    world.clock.advance(28 * DAY)
    assert world.look() == Aged(1, 1, {"tube": "one shelf is closed"})
    assert world.ids() == {"v1", "v2"}
    world.tube._videos["v2"] = there
    assert world.look() == Aged(1, 0, {})
    assert world.oldest() == 0.0


def test_what_grew_too_old_while_nothing_ran_is_gone_before_anything_is_served(
    world_of: Callable[..., World], plan: DomainPlan
) -> None:
    world = world_of()
    world.put("tube", *IDS)
    world.put("files", "mine")
    world.clock.advance(30 * DAY - 1)
    assert remove_overdue(world.stores[0], plan, world.clock()) == 0
    world.clock.advance(1)
    assert remove_overdue(world.stores[0], plan, world.clock()) == 120
    world.follow()
    assert world.ids() == {"mine"}


def test_time_in_a_cache_counts(world_of: Callable[..., World], plan: DomainPlan) -> None:
    world = world_of(plan=replace(plan, origins={"tube": Terms(keep_days=8, lag_days=2)}))
    world.put("tube", "v1")
    world.tube._down = True
    world.clock.advance(6 * DAY - 3 * HOUR)
    assert world.look().removed == 0
    world.clock.advance(1.5 * HOUR)
    assert world.look().removed == 1  # it may have been two days old when it came
    for lag in (-1, 4.1):
        with pytest.raises(ValueError, match="lag_days must be from 0 to 4, not"):
            Terms(keep_days=8, lag_days=lag)


@pytest.mark.parametrize("keep_days", [0.1, 0.2, 1.0, 30.0])
def test_what_is_left_of_a_lag_is_enough_to_ask_in_time(
    world_of: Callable[..., World], plan: DomainPlan, keep_days: float
) -> None:
    """However short the time and long the lag, an item is asked for before it would have to go."""
    terms = Terms(keep_days=keep_days, lag_days=longest_lag(keep_days))
    world = world_of(plan=replace(plan, origins={"tube": terms}))
    world.put("tube", "v1")
    every, seconds = look_seconds(world.plan), terms.seconds
    assert every is not None
    assert seconds is not None
    end = world.clock() + 2 * seconds
    while world.clock() < end:
        world.clock.advance(every)
        assert world.look().removed == 0


def test_terms_outlast_their_connector_while_there_are_items_of_it(
    world_of: Callable[..., World], plan: DomainPlan
) -> None:
    strict = Terms(keep_days=1, trainable=False, fields=frozenset({"title"}))
    world = world_of()
    store, declared = world.stores[0], replace(plan, origins={"radio": strict, "files": Terms()})
    assert in_force(store, declared) == declared
    world.put("radio", "s1")
    world.put("files", "f1")
    bare = replace(plan, origins={})
    assert in_force(store, bare).origins == {"radio": strict}
    assert list(in_force(store, bare).withheld) == ["title"]
    # Who says otherwise is heard.
    allowed = replace(plan, origins={"radio": replace(strict, trainable=True)})
    assert in_force(store, allowed) == allowed
    assert in_force(store, bare).origins == allowed.origins
    world.clock.advance(DAY)
    assert remove_overdue(store, in_force(store, bare), world.clock()) == 1
    assert in_force(store, bare) is bare
