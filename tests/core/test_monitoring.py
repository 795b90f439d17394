"""How a domain does, counted from its log: small logs with figures reckoned by hand, and many beside a plain count."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tastemaker.core import Interaction, Pick, Slate
from tastemaker.core.clock import ManualClock
from tastemaker.core.monitoring import DAY, Monitor, performance
from tastemaker.core.rewards import RewardTable
from tastemaker.core.store import Entry, NewVersion, Store, Switch

NOON = 1_763_640_000.0  # 2025-11-20 12:00 UTC
TABLE = RewardTable(kinds={"like": 1.0, "skip": -0.5, "watched": {"per_unit": 1, "at_most": 1}}, seen=-0.1)
HOUR = 3600.0


class Log:
    """Writes a log by hand."""

    def __init__(self, store: Store, clock: ManualClock) -> None:
        self.store, self.clock = store, clock
        self.count = 0

    def shows(self, items: list[str], user: str = "ann", explored: int = 0, **more: Any) -> str:
        self.count += 1
        picks = [
            Pick(item, place, 1.0, 1.0, {}, ["popular"], place < explored) for place, item in enumerate(items)
        ]
        options = {"versions": {"taste": 0}, **more}
        slate = Slate(
            f"s{self.count}", "books", user, self.clock(), picks, len(items), 1, "digest", **options
        )
        self.write("slate", slate.id, user, slate.to_bytes())
        return slate.id

    def does(self, slate: str, item: str, kind: str, value: float | None = None, user: str = "ann") -> None:
        self.count += 1
        deed = Interaction(f"i{self.count}", "books", user, item, kind, self.clock(), value, slate)
        self.write("interaction", deed.id, user, deed.to_bytes())

    def promotes(self, number: int = 3, digest: str = "d") -> None:
        self.count += 1
        body = Switch("books", "taste", number, digest, "checksum", None).to_bytes()
        self.write("version", f"v{self.count}", "", body)

    def write(self, kind: str, identity: str, user: str, body: bytes) -> None:
        self.store.append([Entry(kind, identity, "books", user, body)]).result()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path / 'log.db'}", clock=clock)
    yield store
    store.close()


@pytest.fixture
def log(store: Store, clock: ManualClock) -> Log:
    return Log(store, clock)


@pytest.fixture
def monitor(store: Store, clock: ManualClock) -> Monitor:
    return monitor_of(store, clock)


def monitor_of(store: Store, clock: ManualClock) -> Monitor:
    return Monitor(store, "books", TABLE, HOUR, clock() - 89 * DAY, {"taste": "d"}, "digest")


def figures(monitor: Monitor, clock: ManualClock, days: int = 7, catalogue: int = 10) -> dict[str, Any]:
    return performance(monitor, now=clock(), days=days, catalogue=catalogue)


def test_the_figures_of_a_slate(log: Log, monitor: Monitor, clock: ManualClock) -> None:
    slate = log.shows(["emma", "dune", "it", "momo"], explored=1)
    log.does(slate, "emma", "like")
    log.does(slate, "emma", "like")
    log.does(slate, "dune", "watched", 0.6)
    log.does(slate, "it", "skip")
    total = figures(monitor, clock)["total"]
    assert total == {
        "slates": 1, "people": 1, "shown": 4, "reward_per_slate": pytest.approx(2.1),
        "reward_per_item": pytest.approx(2.1 / 4), "click_through_rate": 0.75,
        "positive_rate": pytest.approx(2 / 3), "like_rate": 0.25, "skip_rate": 0.25, "completion_rate": 0.6,
        "exploration_share": 0.25, "coverage": 0.4, "entropy_bits": 2.0, "degraded_share": 0.0,
    }  # fmt: skip
    clock.advance(2 * HOUR)
    log.store.tick(0.0).result()
    assert figures(monitor, clock)["total"]["reward_per_slate"] == pytest.approx(2.0)  # momo was passed over


def test_a_like_that_is_outweighed_is_no_longer_positive(
    log: Log, monitor: Monitor, clock: ManualClock
) -> None:
    slate = log.shows(["emma"])
    log.does(slate, "emma", "like")
    assert figures(monitor, clock)["total"]["positive_rate"] == 1
    for _ in range(3):
        log.does(slate, "emma", "skip")
    assert figures(monitor, clock)["total"]["positive_rate"] == 0


def test_what_is_done_later_counts_on_the_day_of_the_slate(
    log: Log, monitor: Monitor, clock: ManualClock
) -> None:
    clock.advance(11.9 * HOUR)
    slate = log.shows(["emma", "dune"])
    clock.advance(0.5 * HOUR)
    log.does(slate, "emma", "like")
    log.shows(["it"], user="bob")
    days = figures(monitor, clock, days=3)["days"]
    assert [(day["day"], day["slates"], day["reward_per_slate"]) for day in days] == [
        ("2025-11-19", 0, None),
        ("2025-11-20", 1, 1.0),
        ("2025-11-21", 1, 0.0),
    ]


def test_feedback_that_names_no_slate_of_the_user_or_comes_too_late_is_left_out(
    log: Log, monitor: Monitor, clock: ManualClock
) -> None:
    slate = log.shows(["emma"])
    log.does(slate, "emma", "like", user="bob")
    log.does(slate, "dune", "like")
    log.does("nowhere", "emma", "like")
    clock.advance(HOUR + 1)
    log.does(slate, "emma", "like")
    total = figures(monitor, clock)["total"]
    assert (total["click_through_rate"], total["reward_per_slate"]) == (0, pytest.approx(-0.1))


def versions(monitor: Monitor, clock: ManualClock, days: int = 7) -> list[tuple[str, int]]:
    return [(line["version"], line["shown"]) for line in figures(monitor, clock, days)["versions"]]


def test_versions_are_told_apart_by_what_the_policy_had_learned(
    store: Store, log: Log, monitor: Monitor, clock: ManualClock
) -> None:
    log.shows(["emma"])
    log.promotes()
    log.shows(["emma", "dune"], versions={"taste": store.end()})
    log.shows(["emma", "dune", "it"], versions={"taste": 1})  # decided before, logged after
    assert versions(monitor, clock) == [("taste@3", 2), ("taste@online", 4)]


def test_a_promotion_of_another_configuration_was_passed_over(
    store: Store, log: Log, monitor: Monitor, clock: ManualClock
) -> None:
    log.promotes(digest="other")
    log.shows(["emma"], versions={"taste": store.end()})
    assert versions(monitor, clock) == [("taste@online", 1)]


def test_a_promotion_before_the_first_day_is_known(store: Store, log: Log, clock: ManualClock) -> None:
    log.promotes()
    log.shows(["dune"], versions={"taste": store.end()})
    clock.advance(100 * DAY)
    log.shows(["emma"], versions={"taste": store.end()})
    assert versions(monitor_of(store, clock), clock, days=90) == [("taste@3", 1)]


def test_a_version_ends_where_an_erasure_takes_it(
    store: Store, log: Log, monitor: Monitor, clock: ManualClock
) -> None:
    log.shows(["emma"])
    log.promotes(number=store.versions.add(NewVersion("books", "taste", "d", 1, 1, b"x", "saved"), keep=9))
    log.shows(["dune"], user="bob", versions={"taste": store.end()})
    assert versions(monitor, clock) == [("taste@1", 1), ("taste@online", 1)]
    store.erase("ann").result()
    log.shows(["it", "momo"], user="bob", versions={"taste": store.end()})
    assert versions(monitor, clock) == [("taste@1", 1), ("taste@online", 2)]


def test_the_top_items_are_those_shown_most(log: Log, monitor: Monitor, clock: ManualClock) -> None:
    slate = log.shows(["emma", "dune"])
    log.shows(["emma"])
    log.does(slate, "emma", "like")
    assert figures(monitor, clock)["top_items"] == [
        {"item": "emma", "shown": 2, "share": pytest.approx(2 / 3), "reward": 1.0},
        {"item": "dune", "shown": 1, "share": pytest.approx(1 / 3), "reward": 0},
    ]


def test_reading_on_gives_what_reading_all_at_once_gives(
    store: Store, log: Log, monitor: Monitor, clock: ManualClock
) -> None:
    for number in range(40):
        slate = log.shows([f"b{number % 7}", f"b{number % 5 + 7}"], user=f"u{number % 6}")
        if number % 3 == 0:
            log.does(slate, f"b{number % 7}", "like", user=f"u{number % 6}")
        if number % 4 == 0:
            monitor.read()
        clock.advance(0.3 * HOUR)
    fresh = monitor_of(store, clock)
    assert figures(monitor, clock) == figures(fresh, clock)


def test_nothing_remains_of_who_was_erased(
    store: Store, log: Log, monitor: Monitor, clock: ManualClock
) -> None:
    log.does(log.shows(["emma"]), "emma", "like")
    log.shows(["dune"], user="bob")
    assert figures(monitor, clock)["total"]["people"] == 2
    store.erase("ann").result()
    found = figures(monitor, clock)
    assert (found["total"]["people"], found["total"]["slates"], found["total"]["like_rate"]) == (1, 1, 0)
    assert figures(monitor, clock)["total"] == found["total"]


def test_an_empty_log_has_no_figures(monitor: Monitor, clock: ManualClock) -> None:
    found = figures(monitor, clock, days=2, catalogue=0)
    assert found["total"]["slates"] == 0
    assert found["total"]["coverage"] is None
    assert (found["versions"], found["top_items"], len(found["days"])) == ([], [], 2)
