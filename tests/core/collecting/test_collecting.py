"""Collectors at work: what they bring arrives, once, whoever runs them and however they end."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tastemaker.core import Conflict, NotFound
from tastemaker.core.clock import ManualClock
from tastemaker.core.collecting import Collecting, CollectorRun
from tastemaker.core.config import Settings, load
from tastemaker.core.context import Request
from tastemaker.core.diagnosis import domain_state
from tastemaker.core.orchestrator import Orchestrator
from tastemaker.core.stock.ingest import StoredItem
from tastemaker.core.store import Store

PLUGIN = Path(__file__).parents[1] / "feed_plugin.py"
DAY = 86_400.0
_WINDOW = "domains.books.sources.window={use: feed_plugin.window}"


class Shop:
    """A folder that collectors read, a store, and configurations of them."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.clock = ManualClock(1_000_000.0)

    def rows(self, *rows: Any) -> None:
        (self.folder / "rows").write_text("".join(json.dumps(row) + "\n" for row in rows))

    @property
    def runs(self) -> list[str]:
        """The marks that runs began with."""
        path = self.folder / "runs"
        return path.read_text().splitlines() if path.exists() else []

    def wait_for_a_run(self) -> None:
        until = time.monotonic() + 30
        while not self.runs:
            assert time.monotonic() < until
            time.sleep(0.01)

    def settings(
        self, collectors: str = "feed: {use: feed_plugin.feed, folder: .}", more: str = "", items: str = ""
    ) -> Settings:
        path = self.folder / "config.yaml"
        path.write_text(
            f"store: {json.dumps(self.url)}\n"
            f"plugins: [{PLUGIN}]\n"
            "domains:\n  books:\n"
            f"    items: {{{items}fields: {{title: text, rating: number}}}}\n"
            "    sources: {random: {use: catalog.random}}\n"
            "    rewards: {buy: 1}\n"
            f"    collectors: {{{collectors}}}\n{more}"
        )
        return load(path, environ={})

    def collecting(self, store: Store, *texts: str) -> Collecting:
        plans = self.settings(*texts).domains
        return Collecting(store, plans, self.clock, lambda domain: None)  # type: ignore[arg-type, return-value]

    def items(self, store: Store) -> dict[str, tuple[Any, str]]:
        """Title and origin by id."""
        found = {}
        for name, body, _ in store.items("books"):
            if body is not None:
                item = StoredItem.from_bytes(body)
                found[name] = (item.values.get("title"), item.origin)
        return found


@pytest.fixture
def shop(url: str, tmp_path: Path) -> Shop:
    found = Shop(tmp_path, url)
    found.rows({"id": 1, "title": "Emma"}, {"id": 2, "title": "Dune"})
    return found


@pytest.fixture
def store(shop: Shop) -> Iterator[Store]:
    opened = Store(shop.url, clock=shop.clock)
    yield opened
    opened.close()


class TestWhatIsBrought:
    def test_items_interactions_and_faults(self, shop: Shop, store: Store) -> None:
        shop.rows(
            {"id": 1, "title": "Emma"},
            {"id": 2, "rating": "many"},
            {"fault": "no UTF-8"},
            {"id": "a1", "user": "ann", "item": "1", "kind": "buy", "time": 5e9},
            {"id": "a2", "user": "", "item": "1", "kind": "buy"},
            {"id": "a3", "user": "x" * 2000, "item": "1", "kind": "buy"},
        )
        collecting = shop.collecting(store)
        run = collecting.run("books", "feed", "cli")
        counts = (run.status, run.rows, run.written, run.interactions, run.rejected)
        assert counts == ("done", 6, 1, 1, 4)
        assert [fault.where for fault in run.faults] == [
            "rows:1",
            "rows:2",
            "interaction 'a2'",
            "interaction 'a3'",
        ]
        assert shop.items(store) == {"1": ("Emma", "feed")}
        (entry,) = store.history("ann", domain="books")
        assert json.loads(entry.body) == {
            "item": "1",
            "kind": "buy",
            "time": shop.clock(),
        }  # not in the future
        again = collecting.run("books", "feed", "cli")
        assert (again.written, again.unchanged, again.interactions, again.duplicates) == (0, 1, 0, 1)

    def test_ids_of_interactions_are_a_collectors_own(self, shop: Shop, store: Store) -> None:
        """Order 17 of one shop is not order 17 of another."""
        feed = "use: feed_plugin.feed, folder: ."
        collecting = shop.collecting(store, f"north: {{{feed}}}, south: {{{feed}}}")
        shop.rows({"id": "17 3", "user": "ann", "item": "1", "kind": "buy"})
        for name in ("north", "south", "south"):
            collecting.run("books", name, "cli")
        assert [entry.id for entry in store.history("ann")] == ["books south 17 3", "books north 17 3"]

    def test_the_mark_is_kept_when_a_run_ends_well(self, shop: Shop, store: Store) -> None:
        collecting = shop.collecting(store)
        for rows in ([], [{"raise": "the shop is closed"}], []):
            shop.rows({"id": 1}, *rows)
            collecting.run("books", "feed", "cli")
        assert shop.runs == ["-", "I", "I"]
        last = collecting.last("books", "feed")
        assert last is not None
        assert (last.mark, last.status, last.failures) == ("II", "done", 0)

    def test_the_mark_of_other_options_is_not_gone_on_from(self, shop: Shop, store: Store) -> None:
        shop.collecting(store).run("books", "feed", "cli")
        shop.collecting(store, "feed: {use: feed_plugin.feed, folder: ., separator: ','}").run(
            "books", "feed", "cli"
        )
        assert shop.runs == ["-", "-"]

    def test_what_came_before_a_failure_stays(self, shop: Shop, store: Store) -> None:
        shop.rows({"id": 1, "title": "Emma"}, {"raise": "the shop is closed"}, {"id": 2})
        run = shop.collecting(store).run("books", "feed", "cli")
        assert (run.status, run.error, run.failures, run.written) == ("failed", "the shop is closed", 1, 1)
        assert shop.items(store) == {"1": ("Emma", "feed")}

    def test_what_a_run_does_not_bring_any_more_goes(self, shop: Shop, store: Store) -> None:
        collecting = shop.collecting(store, "feed: {use: feed_plugin.feed, folder: ., replace: true}")
        collecting.run("books", "feed", "cli")
        store.put_items("books", [("9", StoredItem({"title": "Mine"}, "api").to_bytes())]).result()
        shop.rows({"id": 2, "rating": "?"}, {"id": 3})
        run = collecting.run("books", "feed", "cli")
        assert (run.written, run.removed, run.rejected) == (1, 1, 1)
        assert set(shop.items(store)) == {"2", "3", "9"}  # what can't be read is there all the same
        shop.rows({"partial": True}, {"id": 3, "title": "It"})
        run = collecting.run("books", "feed", "cli")
        assert (run.written, run.removed, run.note) == (1, 0, "")  # it brought what has changed, no more
        shop.rows({"raise": "the shop is closed"})
        assert collecting.run("books", "feed", "cli").removed == 0
        shop.rows()
        assert collecting.run("books", "feed", "cli").note == "it brought no item: none was removed"
        assert set(shop.items(store)) == {"2", "3", "9"}

    def test_async_collectors_and_the_name_of_their_connector(self, shop: Shop, store: Store) -> None:
        more = "    connectors: {market: {use: feed_plugin.shop, key: k}}\n"
        collecting = shop.collecting(store, "feed: {use: feed_plugin.stream, folder: .}", more)
        run = collecting.run("books", "feed", "cli")
        assert run.error == "the connector 'market': it is not open"

        async def collected() -> CollectorRun:
            settings = shop.settings("feed: {use: feed_plugin.stream, folder: .}", more)
            async with Orchestrator(settings, clock=shop.clock, follow=False) as tastemaker:
                return await tastemaker.collect("books", "feed", "cli")

        run = asyncio.run(collected())
        assert (run.status, run.written, run.mark) == ("done", 2, "I")
        assert set(shop.items(store).values()) == {("Emma", "market"), ("Dune", "market")}


class TestWhen:
    def look(self, collecting: Collecting) -> list[tuple[str, str]]:
        begun = collecting.look()
        for thread in list(collecting._threads):
            thread.join(30)
        return begun

    def test_at_once_and_then_every_so_often_and_what_was_missed_once(self, shop: Shop, store: Store) -> None:
        collecting = shop.collecting(store, "feed: {use: feed_plugin.feed, folder: ., every: 6h}")
        begun = []
        for hours in (0, 1, 4.9, 0.2, 30, 1):
            shop.clock.advance(hours * 3600)
            begun.append(len(self.look(collecting)))
        assert begun == [1, 0, 0, 1, 1, 0]
        assert shop.runs == ["-", "I", "II"]

    def test_after_failures_it_is_tried_again_sooner_and_sooner_less(self, shop: Shop) -> None:
        waits = [
            CollectorRun("failed", "schedule", 0.0, 0.0, finished=10.0, failures=failures).due(DAY) - 10
            for failures in (1, 2, 3, 7, 100)
        ]
        assert waits == [60, 120, 240, 3600, 3600]
        assert CollectorRun("failed", "api", 0.0, 0.0, finished=10.0, failures=9).due(300) == 310

    def test_what_has_not_changed_outside_is_not_read_again_unless_asked_for(
        self, shop: Shop, store: Store
    ) -> None:
        collecting = shop.collecting(store, "feed: {use: feed_plugin.feed, folder: ., watched: true}")
        for trigger in ("schedule", "schedule", "api"):
            run = collecting.run("books", "feed", trigger)
        assert shop.runs == ["-", "I"]
        assert run.mark == "II"
        shop.rows({"id": 7, "title": "Momo"})
        assert collecting.run("books", "feed", "schedule").written == 1

    def test_other_options_are_a_reason_to_run_at_the_start(self, shop: Shop, store: Store) -> None:
        assert len(self.look(shop.collecting(store))) == 1
        other = shop.collecting(store, "feed: {use: feed_plugin.feed, folder: ., separator: ','}")
        assert (len(self.look(other)), len(self.look(other))) == (1, 0)

    def test_one_at_a_time(self, shop: Shop, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tastemaker.core.collecting.collecting._BEAT_SECONDS", 1000)
        monkeypatch.setattr("tastemaker.core.collecting.collecting._STOP_SECONDS", 0.01)
        shop.rows({"id": 1}, {"sleep": 60})
        one, other = shop.collecting(store), shop.collecting(store)
        one.begin("books", "feed", "api")
        shop.wait_for_a_run()
        with pytest.raises(Conflict, match=r"books\.feed is running since 0 s"):
            other.run("books", "feed", "cli")
        assert other.look() == []
        shop.clock.advance(61)
        last = other.last("books", "feed")
        assert last is not None
        assert (last.status, last.error) == ("lost", "its process has ended; it is made again")
        shop.rows({"id": 1})
        assert other.run("books", "feed", "cli").status == "done"
        one.stop()

    def test_one_that_has_lost_its_run_removes_nothing(
        self, shop: Shop, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tastemaker.core.collecting.collecting._BEAT_SECONDS", 1000)
        feed = "feed: {use: feed_plugin.feed, folder: ., replace: true}"
        one, other = shop.collecting(store, feed), shop.collecting(store, feed)
        shop.rows({"id": 1}, {"sleep": 1})
        one.begin("books", "feed", "api")
        (thread,) = one._threads
        shop.wait_for_a_run()
        shop.clock.advance(61)
        shop.rows({"id": 1}, {"id": 2})
        assert other.run("books", "feed", "cli").status == "done"
        thread.join(30)
        assert set(shop.items(store)) == {"1", "2"}
        last = other.last("books", "feed")
        assert last is not None
        assert (last.status, last.rows) == ("done", 2)

    def test_one_that_hangs_when_the_server_stops_is_made_again_by_the_next(
        self, shop: Shop, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tastemaker.core.collecting.collecting._STOP_SECONDS", 0.01)
        shop.rows({"id": 1}, {"sleep": 60})
        one = shop.collecting(store)
        one.begin("books", "feed", "api")
        shop.wait_for_a_run()
        one.stop()
        shop.rows({"id": 1})
        assert self.look(shop.collecting(store)) == [("books", "feed")]

    def test_unknown_names(self, shop: Shop, store: Store) -> None:
        collecting = shop.collecting(store)
        with pytest.raises(NotFound, match=r"no collector of books is called 'fed'; did you mean 'feed'\?"):
            collecting.run("books", "fed", "cli")
        with pytest.raises(NotFound, match="no domain is called 'boks'"):
            collecting.last("books", "feed") or collecting.steps("boks")


class TestProcesses:
    """Real ones, which look at the same store."""

    PROGRAM = """\
import sys, time
from pathlib import Path
from tastemaker.core.clock import wall
from tastemaker.core.collecting import Collecting
from tastemaker.core.config import load
from tastemaker.core.store import Store
settings = load(Path(sys.argv[1]))
store = Store(settings.store.get_secret_value())
collecting = Collecting(store, settings.domains, wall, lambda domain: None)
print("ready", flush=True)
sys.stdin.readline()
begun = collecting.look()
while (last := collecting.last("books", "feed")) is None or last.status == "running":
    time.sleep(0.02)
print(len(begun), last.status, flush=True)
"""

    def begun(self, shop: Shop) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", self.PROGRAM, str(shop.folder / "config.yaml")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    def test_of_many_at_once_one_runs_it(self, shop: Shop, store: Store) -> None:
        shop.settings()
        processes = [self.begun(shop) for _ in range(2)]
        answers = []
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        answers = [process.communicate(timeout=60)[0] for process in processes]
        assert sorted(answers) == ["0 done\n", "1 done\n"]
        assert shop.runs == ["-"]
        assert len(shop.items(store)) == 2

    def test_a_killed_run_is_made_again_and_nothing_is_lost(self, shop: Shop, store: Store) -> None:
        many = [{"id": n, "title": f"Book {n}"} for n in range(600)]
        buys = [{"id": f"a{n}", "user": "ann", "item": "1", "kind": "buy"} for n in range(3)]
        shop.rows(*buys, *many, {"sleep": 60}, {"id": "last"})
        shop.settings()
        process = self.begun(shop)
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        until = time.monotonic() + 30
        while store.count_items("books") == 0:
            assert time.monotonic() < until
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert store.count_items("books") == 497  # a chunk of 500 with the three interactions
        assert len(store.history("ann")) == 3
        shop.clock.advance(time.time() - shop.clock())
        collecting = shop.collecting(store)
        assert collecting.look() == []  # it may be alive
        shop.clock.advance(62)
        shop.rows(*buys, *many, {"id": "last"})
        assert collecting.look() == [("books", "feed")]
        until = time.monotonic() + 30
        while (last := collecting.last("books", "feed")) is None or last.status == "running":
            assert time.monotonic() < until
            time.sleep(0.02)
        assert (last.status, last.written, last.unchanged, last.duplicates) == ("done", 104, 497, 3)
        assert shop.runs == ["-", "-"]


class TestServing:
    def test_a_stop_ends_a_run_and_the_next_server_makes_it_again(self, shop: Shop) -> None:
        more = "    connectors: {market: {use: feed_plugin.shop, key: k}}\n"
        text = "feed: {use: feed_plugin.stream, folder: .}"
        shop.rows({"id": 1}, {"sleep": 600})

        async def stopped() -> None:
            async with Orchestrator(shop.settings(text, more), clock=shop.clock) as tastemaker:
                assert tastemaker.collecting.look() == [("books", "feed")]
                async with asyncio.timeout(30):
                    while not shop.runs:
                        await asyncio.sleep(0.01)

        async def again() -> CollectorRun | None:
            shop.rows({"id": 1}, {"id": 2})
            async with Orchestrator(shop.settings(text, more), clock=shop.clock) as tastemaker:
                assert tastemaker.collecting.look() == [("books", "feed")]
                async with asyncio.timeout(30):
                    while len(tastemaker.agent("books").catalog.snapshot().live) < 2:
                        await asyncio.sleep(0.01)
                    while (
                        last := tastemaker.collecting.last("books", "feed")
                    ) is None or last.finished is None:
                        await asyncio.sleep(0.01)
                return last

        asyncio.run(stopped())
        last = asyncio.run(again())
        assert last is not None
        assert (last.status, last.trigger) == ("done", "schedule")


class TestSample:
    """What `items.from` has stands in until there are other items, and not beside them."""

    @pytest.fixture
    def settings(self, shop: Shop) -> Callable[..., Settings]:
        (shop.folder / "sample.csv").write_text("id,title\ns1,Sample\ns2,Other\n")

        def made(key: str = "k", *, live: str = "source", terms: str = "") -> Settings:
            items = "from: {use: files.table, path: sample.csv, without: market}, "
            market = f"{{use: feed_plugin.shop, key: {key}, folder: {shop.folder}{terms}}}"
            more = f"    connectors: {{market: {market}}}\n    slate: {{deadline_ms: 20000}}\n"
            found = shop.settings("feed: {use: feed_plugin.stream, folder: .}", more, items)
            return load(found.path, overrides=[_WINDOW], environ={}) if live == "source" else found

        return made

    @pytest.mark.parametrize("live", ["collector", "source"])
    def test_it_goes_when_something_else_has_come(
        self, shop: Shop, settings: Callable[..., Settings], live: str
    ) -> None:
        async def run() -> None:
            async with Orchestrator(settings("''", live=live), clock=shop.clock) as tastemaker:
                assert set(shop.items(tastemaker.store)) == {"s1", "s2"}
                assert tastemaker.collecting.look() == []
            async with Orchestrator(settings(live=live), clock=shop.clock) as tastemaker:
                assert set(shop.items(tastemaker.store)) == {"s1", "s2"}
                if live == "collector":
                    await tastemaker.collect("books", "feed", "cli")
                else:
                    slate = await tastemaker.recommend("books", Request("ann", 4))
                    assert {pick.item for pick in slate.picks} == {"w1", "w2"}
                assert {origin for _, origin in shop.items(tastemaker.store).values()} == {"market"}
            async with Orchestrator(settings("''", live=live), clock=shop.clock) as tastemaker:
                assert {"s1", "s2"} < set(shop.items(tastemaker.store))

        asyncio.run(run())

    def test_with_a_key_from_the_first_start_it_is_there_while_the_service_is_not(
        self, shop: Shop, settings: Callable[..., Settings]
    ) -> None:
        (shop.folder / "shut").touch()

        async def run() -> None:
            for _ in range(2):  # the second start finds it
                async with Orchestrator(settings(), clock=shop.clock) as tastemaker:
                    slate = await tastemaker.recommend("books", Request("ann", 2))
                    assert {pick.item for pick in slate.picks} == {"s1", "s2"}
                    assert set(shop.items(tastemaker.store).values()) == {
                        ("Sample", "collector"),
                        ("Other", "collector"),
                    }
            (shop.folder / "shut").unlink()
            for _ in range(2):
                async with Orchestrator(settings(), clock=shop.clock) as tastemaker:
                    slate = await tastemaker.recommend("books", Request("ann", 4))
                    assert {pick.item for pick in slate.picks} == {"w1", "w2"}

        asyncio.run(run())

    def test_it_is_back_when_all_others_had_to_go(
        self, shop: Shop, settings: Callable[..., Settings]
    ) -> None:
        made = settings(terms=", keep_days: 1")

        async def run() -> None:
            async with Orchestrator(made, clock=shop.clock, follow=False) as tastemaker:
                await tastemaker.recommend("books", Request("ann", 2))
                assert set(shop.items(tastemaker.store)) == {"w1", "w2"}
                shop.clock.advance(2 * DAY)
                (shop.folder / "shut").touch()
                assert (await tastemaker.expire("books")).removed == 2
                slate = await tastemaker.recommend("books", Request("ann", 4))
                assert {pick.item for pick in slate.picks} == {"s1", "s2"}
                (shop.folder / "shut").unlink()
                await tastemaker.recommend("books", Request("ann", 4))
                assert set(shop.items(tastemaker.store)) == {"w1", "w2"}
            shop.clock.advance(2 * DAY)
            (shop.folder / "shut").touch()
            async with Orchestrator(made, clock=shop.clock, follow=False) as tastemaker:
                slate = await tastemaker.recommend("books", Request("ann", 4))
                assert {pick.item for pick in slate.picks} == {"s1", "s2"}

        asyncio.run(run())

    def test_of_two_processes_both_have_it_and_then_both_have_it_no_more(
        self, shop: Shop, settings: Callable[..., Settings]
    ) -> None:
        async def run() -> None:
            async with (
                Orchestrator(settings(), clock=shop.clock) as one,
                Orchestrator(settings(), clock=shop.clock) as other,
            ):
                assert len(other.agent("books").catalog.snapshot().live) == 2
                await one.recommend("books", Request("ann", 2))
                async with asyncio.timeout(30):
                    while other.agent("books").catalog.snapshot().row("w1") < 0:
                        await asyncio.sleep(0.01)
                assert other.agent("books").catalog.snapshot().row("s1") < 0  # in the same change
                slate = await other.recommend("books", Request("ann", 4))
                assert {pick.item for pick in slate.picks} == {"w1", "w2"}

        asyncio.run(run())

    def test_one_left_beside_others_by_a_kill_goes_at_the_next_start(
        self, shop: Shop, store: Store, settings: Callable[..., Settings]
    ) -> None:
        """A process that saw an empty catalogue, wrote the sample after another's items, and was killed at once."""
        left = {"s1": "collector", "s2": "collector", "w1": "market"}
        store.put_items(
            "books", [(name, StoredItem({"title": "x"}, of).to_bytes()) for name, of in left.items()]
        ).result()

        async def run() -> None:
            async with Orchestrator(settings(live="collector"), clock=shop.clock) as tastemaker:
                assert set(shop.items(tastemaker.store)) == {"w1"}

        asyncio.run(run())

    def test_a_live_item_with_the_id_of_one_of_the_sample_stays(
        self, shop: Shop, settings: Callable[..., Settings]
    ) -> None:
        shop.rows({"id": "s1", "title": "Live"}, {"id": "s3", "title": "Too"})

        async def run() -> None:
            async with Orchestrator(settings(live="collector"), clock=shop.clock) as tastemaker:
                await tastemaker.collect("books", "feed", "cli")
                assert shop.items(tastemaker.store) == {"s1": ("Live", "market"), "s3": ("Too", "market")}

        asyncio.run(run())

    def test_one_that_cant_be_read_keeps_no_server_from_starting(
        self, shop: Shop, settings: Callable[..., Settings]
    ) -> None:
        made = settings()
        (shop.folder / "sample.csv").unlink()

        async def run() -> None:
            async with Orchestrator(made, clock=shop.clock) as tastemaker:
                slate = await tastemaker.recommend("books", Request("ann", 2))
                assert {pick.item for pick in slate.picks} == {"w1", "w2"}

        asyncio.run(run())

    def test_the_doctor_says_what_it_does(self, shop: Shop, settings: Callable[..., Settings]) -> None:
        async def run() -> None:
            begun = "the connector 'market' is configured; "
            store = Store(shop.url, clock=shop.clock)
            try:
                made = settings()
                plan = made.domains["books"]
                said = [(await domain_state(plan, store, None)).left_out["items.from"]]
                async with Orchestrator(made, clock=shop.clock) as tastemaker:
                    said.append((await domain_state(plan, store, None)).left_out["items.from"])
                    await tastemaker.recommend("books", Request("ann", 2))
                    said.append((await domain_state(plan, store, None)).left_out["items.from"])
            finally:
                store.close()
            assert said == [
                begun + "a server that starts brings its items in, to stand in until there are others",
                begun + "its 2 items stand in until there are others",
                begun + "it is not needed: there are other items",
            ]

        asyncio.run(run())
