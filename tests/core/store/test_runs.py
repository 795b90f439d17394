"""Training runs in the store: one of a policy at a time, and all of a result or nothing."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from tastemaker.core import Conflict
from tastemaker.core.clock import ManualClock
from tastemaker.core.store import Entry, NewVersion, Result, Store, TrainingRun, runs

Open = Callable[..., Store]


def run_of(
    identity: str, policy: str = "taste", domain: str = "books", started: float = 1000.0
) -> TrainingRun:
    return TrainingRun(
        identity, domain, policy, "running", "cli", "gate", started, None, started, 0.0, 0, 10, None, None,
        options={"discount": 0.9},
    )  # fmt: skip


def version_of(run: TrainingRun, clean: int = 0) -> NewVersion:
    return NewVersion(run.domain, run.policy, "digest", run.until, clean, b"state", "training", run.id)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1000.0)


@pytest.fixture
def shop(open_store: Open, clock: ManualClock) -> Store:
    return open_store(clock=clock)


def test_a_run_from_its_beginning_to_its_end(shop: Store, clock: ManualClock) -> None:
    run = run_of("one")
    shop.runs.open([run])
    assert shop.runs.one("one") == run
    clock.advance(50.0)
    assert shop.runs.beat({"one": 0.5})
    beaten = shop.runs.one("one")
    assert beaten == replace(run, heartbeat=1050.0, progress=0.5)
    done = replace(run, status="done", rows=7, users=2, reward=0.5, statistics={"mean": 0.25}, outcome="kept")
    finished = shop.runs.finish(done, Result(version_of(run), keep=20))
    assert finished.version == 1
    assert finished.finished == 1050.0
    assert shop.runs.one("one") == finished
    version = shop.versions.one("books", "taste", 1)
    assert version is not None
    assert (version.name, version.run, version.origin) == ("taste@1", "one", "training")
    assert not shop.runs.beat({"one": 0.6}), "it has ended"


def test_runs_come_newest_first(shop: Store) -> None:
    for number in range(5):
        domain = "films" if number == 2 else "books"
        shop.runs.open([run_of(f"r{number}", f"p{number}", domain, started=1000.0 + number)])
    assert [run.id for run in shop.runs.all()] == ["r4", "r3", "r2", "r1", "r0"]
    assert [run.id for run in shop.runs.all("books", limit=2)] == ["r4", "r3"]
    assert shop.runs.one("none") is None


def test_of_one_policy_one_at_a_time_and_all_of_a_request_or_none(shop: Store) -> None:
    shop.runs.open([run_of("one")])
    with pytest.raises(Conflict, match=r"books\.taste is being trained by run one"):
        shop.runs.open([run_of("other", "mood"), run_of("two")])
    assert [run.id for run in shop.runs.all()] == ["one"]
    shop.runs.open([run_of("films", domain="films"), run_of("mood", "mood")])
    shop.runs.give_up("one", "stopped")
    shop.runs.open([run_of("two")])


def test_of_many_that_ask_at_once_one_gets_it(open_store: Open) -> None:
    stores = [open_store(clock=lambda: 1000.0) for _ in range(4)]

    def asks(number: int) -> bool:
        try:
            stores[number].runs.open([run_of(f"r{number}")])
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(asks, range(4))) == [False, False, False, True]


def test_without_a_sign_of_life_it_is_lost_and_can_save_nothing_any_more(
    shop: Store, clock: ManualClock
) -> None:
    shop.runs.open([run_of("one")])
    clock.advance(60.5)
    lost = shop.runs.one("one")
    assert lost is not None
    assert lost.status == "lost"
    shop.runs.open([run_of("two", started=clock())])
    with pytest.raises(Conflict, match="given up for lost"):
        shop.runs.finish(replace(run_of("one"), status="done"), Result(version_of(run_of("one")), keep=20))
    assert shop.versions.all("books") == []
    assert {run.id: run.status for run in shop.runs.all()} == {"one": "lost", "two": "running"}


def test_what_is_kept_and_promoted_comes_with_the_end_of_the_run_or_not_at_all(shop: Store) -> None:
    run, live = run_of("one"), replace(version_of(run_of("one")), state=b"live", origin="promotion", run="")
    shop.runs.open([run])
    shop.append([Entry("interaction", "x", "books", "ann", b"{}")]).result()
    result = Result(version_of(run, clean=1), 20, promote=True, live=replace(live, clean=1))
    shop.erase("ann").result()
    end = shop.end()
    with pytest.raises(Conflict, match="a user was erased"):
        shop.runs.finish(replace(run, status="done"), result)
    assert (shop.versions.all("books"), shop.end()) == ([], end)
    unfinished = shop.runs.one("one")
    assert unfinished is not None
    assert unfinished.status == "running"
    clean = Result(version_of(run, clean=end), 20, promote=True, live=replace(live, clean=end))
    finished = shop.runs.finish(replace(run, status="done"), clean)
    assert finished.version == 1
    switch = shop.versions.switches("books")["taste", "digest"]
    assert (switch.number, switch.before, switch.position) == (1, 2, end + 1)
    assert [entry.kind for entry in shop.read(end)] == ["version"]
    before = shop.versions.one("books", "taste", 2)
    assert before is not None
    assert shop.versions.state(before) == b"live"


def test_what_was_compared_with_something_else_is_kept_but_not_promoted(shop: Store) -> None:
    run, live = run_of("one"), replace(version_of(run_of("one")), state=b"live", origin="promotion", run="")
    shop.runs.open([run])
    by_hand = shop.versions.one("books", "taste", shop.versions.add(live, keep=20))
    assert by_hand is not None
    switch = shop.versions.switch(by_hand, None, keep=20)
    result = Result(version_of(run), 20, promote=True, live=live, after=None)
    finished = shop.runs.finish(replace(run, status="done", outcome="promoted: better"), result)
    assert (finished.version, finished.outcome) == (2, "kept: another version was promoted meanwhile")
    assert shop.versions.newest_switch("books", "taste") == switch
    assert [version.number for version in shop.versions.all("books")] == [2, 1]


def test_figures_without_a_value_come_back_as_nothing(shop: Store) -> None:
    shop.runs.open([run_of("one")])
    estimates = {"difference": {"value": float("nan"), "row": np.float64(2.0)}, "falls": np.ones(2)}
    shop.runs.finish(replace(run_of("one"), status="done", estimates=estimates))
    found = shop.runs.one("one")
    assert found is not None
    assert found.estimates == {"difference": {"value": None, "row": 2.0}, "falls": [1.0, 1.0]}


def test_only_so_many_are_remembered(shop: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "_KEPT", 3)
    for number in range(6):
        shop.runs.open([run_of(f"r{number}", started=1000.0 + number)])
        shop.runs.give_up(f"r{number}", "stopped")
    assert [run.id for run in shop.runs.all()] == ["r5", "r4", "r3", "r2"]
