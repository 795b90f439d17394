"""What processes share through Redis, and how they go on without it."""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from tastemaker.connectors.redis import Memory
from tastemaker.core import Budget, Call, Claim, Exhausted, LocalMemory, Service, SharedMemory
from tastemaker.core.clock import ManualClock, wall
from tastemaker.tests.fakes.faults import Faults
from tastemaker.tests.fakes.redis_server import RedisServer
from tastemaker.tests.fakes.serving import serve


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[RedisServer]:
    """A server to be killed."""
    server = RedisServer(tmp_path)
    yield server
    server.kill()


def memory_at(server: RedisServer, **options: Any) -> Memory:
    return Memory(url=server.url, prefix=f"test-{uuid4().hex[:8]}", **{"timeout_seconds": 1, **options})


def run(memory: Any, work: Callable[[], Awaitable[Any]]) -> Any:
    """What some work gives, in an event loop of its own; the memory is closed after it."""

    async def main() -> Any:
        try:
            return await work()
        finally:
            if isinstance(memory, Memory):
                await memory.close()

    return asyncio.run(main())


@pytest.fixture(params=["local", "redis"])
def memory(request: pytest.FixtureRequest) -> SharedMemory:
    if request.param == "local":
        return LocalMemory()
    return memory_at(request.getfixturevalue("server"))


class TestEveryMemory:
    def test_keeps_values_for_their_time(self, memory):
        async def work() -> None:
            assert await memory.get("a") is None
            await memory.put("a", b"\x00one", 60)
            await memory.put("b", b"two", 0.05)
            assert await memory.get("a") == b"\x00one"
            await asyncio.sleep(0.1)
            assert await memory.get("b") is None
            await memory.put("a", b"", 0)
            assert await memory.get("a") is None

        run(memory, work)

    def test_forgets_what_begins_with_something(self, memory):
        async def work() -> None:
            for key in ("user:1:a", "user:1:b", "user:10:a", "user*"):
                await memory.put(key, b"x", 60)
            await memory.drop("user:1:")
            assert [await memory.get(key) for key in ("user:1:a", "user:1:b", "user:10:a")] == [
                None,
                None,
                b"x",
            ]
            await memory.drop("user*")
            assert await memory.get("user:10:a") == b"x"
            assert await memory.get("user*") is None

        run(memory, work)

    def test_a_lock_has_one_holder(self, memory):
        async def work() -> None:
            taken = await asyncio.gather(*(memory.acquire("l", f"t{n}", 60) for n in range(20)))
            assert sum(taken) == 1
            holder = f"t{taken.index(True)}"
            await memory.release("l", "t-of-another")
            assert not await memory.acquire("l", "t-of-another", 60)
            await memory.release("l", holder)
            assert await memory.acquire("l", "t-of-another", 0.05)
            await asyncio.sleep(0.1)
            assert await memory.acquire("l", "late", 60)

        run(memory, work)

    def test_a_count_is_never_overdrawn_and_all_or_nothing_is_spent(self, memory):
        async def work() -> None:
            until = wall() + 3600
            today, tomorrow = Claim("b:1", 10, until=until), Claim("b:2", 25, until=until + 86_400)
            waits = await asyncio.gather(*(memory.reserve([today], 1) for _ in range(7)))
            assert waits == [0.0] * 7
            waits = await asyncio.gather(*(memory.reserve([today, tomorrow], 2) for _ in range(7)))
            assert sorted(wait > 0 for wait in waits) == [False] + [True] * 6
            assert max(waits) == pytest.approx(3600, abs=5)
            assert (await memory.spent(today), await memory.spent(tomorrow)) == (9, 2)

        run(memory, work)

    def test_a_window_slides(self, memory):
        async def work() -> None:
            claim = Claim("w", 10, seconds=1.5)
            waits = await asyncio.gather(*(memory.reserve([claim], 1) for _ in range(50)))
            assert waits.count(0.0) == 10
            assert 0 < max(waits) <= 1.5
            assert await memory.spent(claim) == 10
            await asyncio.sleep(max(waits) + 0.02)
            assert await memory.reserve([claim], 10) == 0
            assert await memory.reserve([claim], 1) > 0

        run(memory, work)

    @given(
        steps=st.lists(st.tuples(st.floats(0, 40), st.integers(0, 4)), max_size=60),
        limit=st.integers(0, 12),
    )
    def test_no_window_of_any_place_is_overdrawn(self, steps: list[tuple[float, int]], limit: int) -> None:
        clock = ManualClock(1_000_000.0)
        memory = LocalMemory(clock)
        granted: list[tuple[float, int]] = []

        async def work() -> None:
            for seconds, cost in steps:
                clock.advance(seconds)
                if await memory.reserve([Claim("w", limit, seconds=60)], cost) == 0:
                    granted.append((clock(), cost))

        asyncio.run(work())
        for end, _ in granted:
            assert sum(cost for at, cost in granted if end - 60 < at <= end) <= limit


ZONES = ["America/Los_Angeles", "Europe/Berlin", "UTC", "Asia/Kolkata", "Australia/Lord_Howe"]


class TestDays:
    @settings(max_examples=60)
    @given(
        zone=st.sampled_from(ZONES),
        start=st.sampled_from(
            [1_793_440_000, 1_804_900_000, 1_790_000_000, 1_774_700_000]
        ),  # around clock changes
        steps=st.lists(
            st.tuples(st.floats(0, 9000), st.integers(1, 6), st.floats(0, 5), st.floats(-20, 20)),
            min_size=5,
            max_size=80,
        ),
    )
    def test_no_day_of_the_service_is_overdrawn(
        self, zone: str, start: float, steps: list[tuple[float, int, float, float]]
    ) -> None:
        """However late a request arrives within its time limit, and whatever our clock says within 20 s."""
        budget = Budget(limit=10, zone=zone)
        now = float(start)
        clock = ManualClock(now)
        memory = LocalMemory(clock)
        counted: dict[float, int] = {}

        async def work() -> None:
            nonlocal now
            for seconds, calls, late, off in steps:
                now += seconds
                clock.advance(now + off - clock())
                for _ in range(calls):
                    if await memory.reserve(budget.claims("b", clock(), 5.0), 1) == 0:
                        begin, _ = budget.day(now + late)
                        counted[begin] = counted.get(begin, 0) + 1

        asyncio.run(work())
        assert all(spent <= 10 for spent in counted.values())

    def test_processes_whose_clocks_differ_share_a_day_through_redis(self, server: RedisServer) -> None:
        """Around the midnights before and after the clocks go back in California."""
        budget, prefix = Budget(limit=20, zone="America/Los_Angeles"), f"test-{uuid4().hex[:8]}"
        begin, _ = budget.day(1_793_520_000.0)
        off = [-20.0, -3.0, 5.0, 20.0]
        clocks = [ManualClock(begin - 100 + each) for each in off]
        memories = [Memory(url=server.url, prefix=prefix, timeout_seconds=2) for _ in off]
        for memory, clock in zip(memories, clocks, strict=True):
            memory.bind(clock)
        counted: dict[float, int] = {}

        async def work() -> None:
            now = begin - 100.0
            for seconds in [*[10.0] * 20, 12 * 3600.0, 12 * 3600.0, 3500.0, *[10.0] * 20]:
                now += seconds
                for clock in clocks:
                    clock.advance(seconds)
                claims = [budget.claims("b", clock(), 5.0) for clock in clocks]
                tried = zip(memories, claims, strict=True)
                waits = await asyncio.gather(*(memory.reserve(claim, 1) for memory, claim in tried))
                day, _ = budget.day(now)
                counted[day] = counted.get(day, 0) + waits.count(0.0)
            for memory in memories:
                await memory.close()

        asyncio.run(work())
        assert len(counted) == 3
        assert max(counted.values()) == 20

    def test_each_of_thirty_days_gives_what_it_has(self) -> None:
        budget, clock = Budget(limit=100, zone="America/Los_Angeles"), ManualClock(1_792_000_000.0)
        memory, granted = LocalMemory(clock), dict[float, int]()

        async def work() -> None:
            for _ in range(30 * 24 * 12):
                clock.advance(300)
                if await memory.reserve(budget.claims("b", clock(), 5.0), 1) == 0:
                    begin, _ = budget.day(clock())
                    granted[begin] = granted.get(begin, 0) + 1

        asyncio.run(work())
        assert len(granted) == 31
        assert set(list(granted.values())[1:-1]) == {100}


async def _answer(request: Request) -> JSONResponse:
    await asyncio.sleep(0.2)
    return JSONResponse({"answer": 42})


PROGRAM = """
import asyncio, sys
from collections.abc import Mapping
import httpx
from tastemaker.connectors.redis import Memory
from tastemaker.core import Budget, Call, Exhausted, Service
from tastemaker.core.clock import wall

class Shelf(Service):
    budgets: Mapping[str, Budget] = {"reads": Budget(limit=25)}

async def main(redis, prefix, base_url):
    memory, service = Memory(url=redis, prefix=prefix, timeout_seconds=2), Shelf()
    service._bind(memory, wall, "shelf")
    async with httpx.AsyncClient() as client:
        async def send(path="/same"):
            return (await client.get(base_url + path)).json()
        async def spend():
            return await send("/budget")
        print("ready", flush=True)
        sys.stdin.readline()
        same = [service.call(Call("read", key="same"), send) for _ in range(100)]
        budget = [service.call(Call("read", bucket="reads"), spend) for _ in range(20)]
        same, budget = await asyncio.gather(asyncio.gather(*same), asyncio.gather(*budget, return_exceptions=True))
    assert all(isinstance(answer, (dict, Exhausted)) for answer in budget), budget
    print(len(same), sum(isinstance(answer, dict) for answer in budget))
    await service.close()
    await memory.close()

asyncio.run(main(*sys.argv[1:]))
"""


def test_four_processes_make_one_call_for_one_key_and_share_a_budget(server):
    routes = [Route("/same", _answer), Route("/budget", _answer)]
    app = Starlette(routes=routes, middleware=[Middleware(Faults)])
    with serve(app) as base_url:
        command = [sys.executable, "-c", PROGRAM, server.url, f"test-{uuid4().hex[:8]}", base_url]
        processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(4)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        answers = [process.communicate(timeout=60)[0].split() for process in processes]
        asked = [request.path for request in app.state.requests]
    assert [same for same, _ in answers] == ["100"] * 4
    assert asked.count("/same") == 1
    assert asked.count("/budget") == sum(int(granted) for _, granted in answers) == 25


class TestWithoutRedis:
    def test_a_dead_one_is_noticed_once_and_found_again(self, own, caplog):
        memory = memory_at(own, look_again_seconds=0.05)

        async def work() -> None:
            await memory.put("a", b"1", 60)
            own.kill()
            await memory.put("b", b"2", 60)
            assert (await memory.get("a"), await memory.get("b")) == (b"1", b"2")
            assert "can't be used" in (await memory.health() or "")
            own.start()
            for _ in range(200):
                await asyncio.sleep(0.02)
                if memory._away is None:
                    break
            assert await memory.health() is None
            await memory.put("c", b"3", 60)
            assert await memory.get("c") == b"3"
            assert await memory.get("a") is None  # it had no disk

        run(memory, work)
        said = [message for message in caplog.messages if "Redis" in message]
        assert len(said) == 2
        assert said[1] == "Redis answers again"

    def test_one_that_hangs_costs_one_time_limit(self, own):
        memory = memory_at(own, timeout_seconds=1, look_again_seconds=0.2)

        async def work() -> float:
            await memory.put("a", b"1", 60)
            assert await memory.reserve([Claim("w", 100_000, seconds=60)], 1) == 0
            own.freeze()
            loop = asyncio.get_running_loop()
            began = loop.time()
            for _ in range(1000):
                assert await memory.get("a") == b"1"
                assert await memory.reserve([Claim("w", 100_000, seconds=60)], 1) == 0
            own.thaw()
            return loop.time() - began

        try:
            assert run(memory, work) < 5  # one limit, and not two thousand
        finally:
            own.thaw()

    def test_a_command_that_it_refuses_is_no_outage(self, server, caplog):
        memory = memory_at(server)

        async def work() -> None:
            await memory.put("a", b"1", 60)
            home = memory._here()
            await home.client.lpush(memory._at("list"), "x")
            for _ in range(2):
                assert await memory.get("list") is None
            await home.client.lpush(memory._at("w"), "x")
            assert await memory.reserve([Claim("w", 100, seconds=60)], 1) > 0
            assert await memory.health() is None
            assert await memory.get("a") == b"1"

        run(memory, work)
        assert [message for message in caplog.messages if "WRONGTYPE" in message]
        assert not [message for message in caplog.messages if "can't be used" in message]

    def test_who_never_heard_of_a_budget_spends_nothing_of_it(self):
        memory = Memory(url="redis://127.0.0.1:1/0")

        async def work() -> None:
            for claim in (Claim("c", 40, until=wall() + 3600), Claim("w", 40, seconds=3600)):
                assert await memory.reserve([claim], 1) > 0

        run(memory, work)

    def test_a_wrong_url_or_no_server_at_all_is_survived(self):
        for url in ("redis://127.0.0.1:1/0", "http://what"):
            memory = Memory(url=url)

            async def work(memory: Memory = memory) -> None:
                assert await memory.get("a") is None
                await memory.put("a", b"1", 60)
                assert await memory.get("a") == b"1"
                assert await memory.health()

            run(memory, work)

    def test_its_password_is_never_shown(self, caplog):
        memory = Memory(url="redis://ann:s3cret-pw@127.0.0.1:1/0")

        async def work() -> str:
            return await memory.health() or ""

        assert "Redis at redis://127.0.0.1:1/0 can't be used" in run(memory, work)
        assert "s3cret" not in caplog.text + repr(memory)

    @pytest.mark.parametrize(
        "claim", [Claim("c", 40, until=wall() + 3600), Claim("w", 40, seconds=3600)], ids=["day", "window"]
    )
    def test_no_budget_is_overdrawn_whatever_happens_to_redis(self, own, claim):
        """Four processes spend; Redis dies, comes back with nothing, hangs, and dies again."""
        prefix = f"test-{uuid4().hex[:8]}"
        memories = [
            Memory(url=own.url, prefix=prefix, timeout_seconds=1, look_again_seconds=0.05) for _ in range(4)
        ]
        granted = 0

        async def spend(times: int) -> None:
            nonlocal granted
            for _ in range(times):
                waits = await asyncio.gather(*(memory.reserve([claim], 1) for memory in memories))
                granted += waits.count(0.0)

        async def found() -> None:
            for _ in range(200):
                if all(memory._away is None for memory in memories):
                    return
                await asyncio.sleep(0.02)
            raise AssertionError("Redis was not found again")

        async def main() -> list[int]:
            seen = []
            await spend(3)
            seen.append(granted)
            own.kill()
            await spend(2)
            seen.append(granted)
            own.start()
            await found()
            await spend(2)
            seen.append(granted)
            own.freeze()
            await spend(1)
            own.thaw()
            await found()
            own.kill()
            own.start()  # between two calls: nobody has noticed
            await spend(30)
            seen.append(granted)
            for memory in memories:
                await memory.close()
            return seen

        seen = asyncio.run(main())
        assert seen[:3] == [12, 20, 28]
        assert seen[3] <= 40
        assert seen[3] >= 30  # what is told twice counts twice: rather less than too much

    def test_users_are_forgotten_as_soon_as_redis_is_back(self, own):
        memory = memory_at(own, look_again_seconds=0.05)

        async def work() -> None:
            await memory.put("user:ann:x", b"1", 60)
            own.freeze()
            await memory.drop("user:ann:")
            assert await memory.get("user:ann:x") is None
            own.thaw()
            for _ in range(200):
                await asyncio.sleep(0.02)
                if memory._away is None:
                    break
            assert await memory.get("user:ann:x") is None

        run(memory, work)


class Shelf(Service):
    budgets: Mapping[str, Budget] = {"reads": Budget(limit=5)}


def test_event_loops_of_other_threads_talk_through_the_first(server):
    memory = memory_at(server)
    service = Shelf()
    service._bind(memory, wall, "shelf")
    asked, answers = [], list[Any]()

    async def send() -> Any:
        asked.append(1)
        await asyncio.sleep(0.1)
        return {"ok": True}

    def elsewhere() -> None:
        answers.append(asyncio.run(service.call(Call("read", key="same"), send)))

    async def work() -> None:
        await memory.open()
        threads = [threading.Thread(target=elsewhere) for _ in range(4)]
        for thread in threads:
            thread.start()
        answers.append(await service.call(Call("read", key="same"), send))
        await asyncio.to_thread(lambda: [thread.join() for thread in threads])

    run(memory, work)
    assert (answers, len(asked)) == ([{"ok": True}] * 5, 1)


def test_a_stale_answer_and_a_spent_budget_are_everybodys(server):
    memory = memory_at(server)
    services = [Shelf(), Shelf()]
    for service in services:
        service._bind(memory, wall, "shelf")

    async def work() -> None:
        for number in range(5):
            await services[0].call(Call("read", bucket="reads", key=str(number)), lambda: {"n": 1})
        assert await services[1].call(Call("read", bucket="reads", key="3"), lambda: {"n": 2}) == {"n": 1}
        with pytest.raises(Exhausted):
            await services[1].call(Call("read", bucket="reads", key="6"), lambda: {"n": 2})
        assert (await services[1].remaining())["reads"].left == 0
        await services[0].unavailable("recommend", "403")
        assert json.dumps(await services[1].denied()) == '{"recommend": "403"}'

    run(memory, work)
