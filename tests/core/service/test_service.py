"""What surrounds a call: cache, one flight, budgets, breaker, retries, and what is said of failures."""

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, ClassVar
from urllib.parse import quote

import anyio
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError
from tastemaker.core import (
    Breaker,
    Budget,
    Call,
    Exhausted,
    Garbage,
    Invalid,
    Keeping,
    LocalMemory,
    Missing,
    Refused,
    Service,
    ServiceError,
    Throttled,
    Unavailable,
    Unreachable,
    gathered,
)
from tastemaker.core.clock import ManualClock

NOON = 1_795_262_400.0  # 21 November 2026, 12:00 UTC


class Shelf(Service):
    """A service as a subclass of it might be."""

    loggers: ClassVar[tuple[str, ...]] = ("shelf.client",)

    url: str = "https://api.shelf.example/v1"
    key: SecretStr = SecretStr("")
    budgets: Mapping[str, Budget] = {
        "search": Budget(limit=3, per="day", zone="America/Los_Angeles"),
        "reads": Budget(limit=5, per=60),
    }


class Upstream:
    """Counts the requests that are made, and answers what it is told to."""

    def __init__(self, *answers: Any, seconds: float = 0.0) -> None:
        self.answers = list(answers)
        self.seconds = seconds
        self.asked = 0

    async def __call__(self) -> Any:
        self.asked += 1
        await asyncio.sleep(self.seconds)
        answer = self.answers.pop(0) if self.answers else {"n": self.asked}
        if isinstance(answer, BaseException):
            raise answer
        return answer


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
def shelf(clock: ManualClock) -> Callable[..., Shelf]:
    memory = LocalMemory(clock)

    def made(**options: Any) -> Shelf:
        service = Shelf(**options)
        service._bind(memory, clock, "shelf")
        return service

    return made


BOOKS = Call("search", bucket="search", key="books")


def asking(upstream: Upstream) -> Callable[[], Any]:
    async def send() -> Any:
        return await upstream()

    return send


def test_small_answers_count_with_their_keys_and_what_python_needs(clock):
    memory = LocalMemory(clock, largest=10_000)

    async def main() -> int:
        for number in range(1000):
            await memory.put(f"{number:0100}", b"", 60)
        return sum([await memory.get(f"{number:0100}") is not None for number in range(1000)])

    assert asyncio.run(main()) == 10_000 // 400


def test_a_window_is_held_as_long_as_the_service_may_count_a_call(clock):
    """A call that arrives after 5 s is in the service's 30 s until 35 s from now."""
    (claim,) = Budget(limit=1, per=30).claims("b", NOON, 5.0)
    memory = LocalMemory(clock)

    async def main() -> list[float]:
        waits = [await memory.reserve([claim], 1)]
        for seconds in (34.5, 1):
            clock.advance(seconds)
            waits.append(await memory.reserve([claim], 1))
        return waits

    assert asyncio.run(main()) == [0.0, 0.5, 0.0]


class TestTheCache:
    def test_an_answer_is_kept_for_its_time_and_a_copy_given_to_each(self, shelf, clock):
        service, upstream = shelf(cache=Keeping(answers=100, stale=0)), Upstream()

        async def main() -> None:
            first = await service.call(BOOKS, asking(upstream))
            first["n"] = "spoilt"
            clock.advance(89)  # the time is ±10 %
            assert await service.call(BOOKS, asking(upstream)) == {"n": 1}
            clock.advance(22)
            assert await service.call(BOOKS, asking(upstream)) == {"n": 2}

        asyncio.run(main())
        assert service.metrics["search"]["hits"] == 1
        assert service.metrics["search"]["sent"] == 2

    def test_its_times_differ_so_that_not_all_run_out_at_once(self, shelf, clock):
        service = shelf(cache=Keeping(answers=1000, stale=0), budgets={"search": {"limit": 1000}})
        upstream = Upstream()

        async def main() -> int:
            async def again() -> None:
                for number in range(200):
                    await service.call(Call("search", key=str(number)), asking(upstream))

            await again()
            clock.advance(1000)
            await again()
            return upstream.asked

        assert 200 + 50 < asyncio.run(main()) < 200 + 150

    def test_a_stale_answer_is_given_while_a_new_one_is_fetched(self, shelf, clock):
        service, upstream = shelf(cache=Keeping(answers=100, stale=1000)), Upstream()

        async def main() -> None:
            await service.call(BOOKS, asking(upstream))
            clock.advance(200)
            assert await service.call(BOOKS, asking(upstream)) == {"n": 1}
            for _ in range(3):
                await asyncio.sleep(0)
            await asyncio.sleep(0.01)
            assert await service.call(BOOKS, asking(upstream)) == {"n": 2}

        asyncio.run(main())
        assert service.metrics["search"]["stale"] == 1

    def test_a_stale_answer_serves_while_the_service_is_down_but_not_for_ever(self, shelf, clock):
        service, upstream = shelf(cache=Keeping(answers=100, stale=1000), retries=0), Upstream()

        async def down() -> Any:
            raise ConnectionError("no route")

        async def main() -> None:
            await service.call(BOOKS, asking(upstream))
            for _ in range(9):
                clock.advance(110)
                assert await service.call(BOOKS, down) == {"n": 1}
                await asyncio.sleep(0.01)
            clock.advance(300)
            with pytest.raises((Unreachable, Exhausted)):
                await service.call(BOOKS, down)

        asyncio.run(main())

    def test_that_there_is_no_such_thing_is_kept_too(self, shelf, clock):
        service = shelf(cache=Keeping(missing=60))
        upstream = Upstream(Missing("no book 7"), {"found": True})

        async def main() -> None:
            for _ in range(3):
                with pytest.raises(Missing, match="shelf: search: no book 7"):
                    await service.call(BOOKS, asking(upstream))
            clock.advance(67)
            assert await service.call(BOOKS, asking(upstream)) == {"found": True}

        asyncio.run(main())
        assert upstream.asked == 2

    def test_recommendations_are_not_kept_unless_asked_for(self, shelf):
        upstream = Upstream()
        call = Call("recommend", key="rock", keep="recommendations")

        async def twice(service: Shelf) -> None:
            for _ in range(2):
                await service.call(call, asking(upstream))

        asyncio.run(twice(shelf()))
        assert upstream.asked == 2
        asyncio.run(twice(shelf(cache={"recommendations": "24h"})))
        assert upstream.asked == 3

    @pytest.mark.parametrize(
        ("keep_days", "cache", "days"),
        [
            (1, {"features": "7d", "stale": "7d"}, 0.5),
            (0.1, {}, 0.025),  # an item needs the rest to be asked for in time
            (30, {}, 8),  # what `cache` says of features, and then a day
            (30, {"features": "20d"}, 15),
        ],
    )
    def test_it_is_kept_no_longer_than_the_terms_allow(self, shelf, clock, keep_days, cache, days):
        service, upstream = shelf(cache=Keeping(**cache), keep_days=keep_days), Upstream()
        call = Call("features", key="x", keep="features")

        async def main() -> None:
            await service.call(call, asking(upstream))
            clock.advance(min(6.2, 0.99 * days) * 86_400)
            assert await service.call(call, asking(upstream)) == {"n": 1}
            clock.advance(days * 86_400)
            assert await service.call(call, asking(upstream)) == {"n": 2}
            assert service.terms.seconds == pytest.approx((keep_days - days) * 86_400)  # an item of it

        asyncio.run(main())

    def test_a_users_answers_are_its_own_and_can_be_forgotten(self, shelf):
        service, upstream = shelf(), Upstream()

        async def ask(user: str) -> Any:
            return await service.call(Call("top", key="top", keep="user", user=user), asking(upstream))

        async def main() -> None:
            assert [await ask("ann"), await ask("bob"), await ask("ann")] == [{"n": 1}, {"n": 2}, {"n": 1}]
            await service.forget("ann")
            assert [await ask("ann"), await ask("bob")] == [{"n": 3}, {"n": 2}]

        asyncio.run(main())

    def test_another_key_for_the_service_has_a_cache_of_its_own(self, shelf):
        upstream = Upstream()

        async def main() -> None:
            for key in ("key-of-ann", "key-of-bob", "key-of-ann"):
                await shelf(key=key).call(BOOKS, asking(upstream))

        asyncio.run(main())
        assert upstream.asked == 2


class TestOneFlight:
    def test_a_hundred_misses_of_one_key_are_one_call(self, shelf):
        service, upstream = shelf(), Upstream(seconds=0.05)

        async def main() -> list[Any]:
            return await asyncio.gather(*(service.call(BOOKS, asking(upstream)) for _ in range(100)))

        answers = asyncio.run(main())
        assert answers == [{"n": 1}] * 100
        assert upstream.asked == 1
        assert len({id(answer) for answer in answers}) == 100
        assert service.metrics["search"]["joined"] == 99

    def test_event_loops_of_several_threads_make_one_call(self, shelf):
        service, upstream = shelf(), Upstream(seconds=0.1)
        answers = []

        def run() -> None:
            async def main() -> list[Any]:
                return await asyncio.gather(*(service.call(BOOKS, asking(upstream)) for _ in range(10)))

            answers.extend(asyncio.run(main()))

        threads = [threading.Thread(target=run) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [{"n": 1}] * 80
        assert upstream.asked == 1

    def test_who_gives_up_waiting_leaves_it_under_way(self, shelf):
        service, upstream = shelf(), Upstream(seconds=0.05)

        async def main() -> None:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await service.call(BOOKS, asking(upstream))
            await asyncio.sleep(0.1)
            assert await service.call(BOOKS, asking(upstream)) == {"n": 1}

        asyncio.run(main())
        assert upstream.asked == 1

    def test_all_hear_of_its_failure(self, shelf):
        service, upstream = shelf(retries=0), Upstream(Invalid("a bad query"), seconds=0.02)

        async def main() -> list[Any]:
            calls = [service.call(BOOKS, asking(upstream)) for _ in range(5)]
            return await asyncio.gather(*calls, return_exceptions=True)

        assert [type(answer) for answer in asyncio.run(main())] == [Invalid] * 5
        assert upstream.asked == 1

    def test_closing_ends_what_is_under_way(self, shelf):
        service, upstream = shelf(), Upstream(seconds=30)

        async def main() -> None:
            waiting = asyncio.create_task(service.call(BOOKS, asking(upstream)))
            await asyncio.sleep(0.01)
            await service.close()
            with pytest.raises(Unreachable, match="closed"):
                await waiting

        asyncio.run(main())

    def test_without_a_key_each_call_is_one_request(self, shelf):
        service, upstream = shelf(), Upstream()

        async def main() -> None:
            await asyncio.gather(*(service.call(Call("save"), asking(upstream)) for _ in range(4)))

        asyncio.run(main())
        assert upstream.asked == 4


class TestBudgets:
    def test_a_spent_budget_refuses_before_the_request(self, shelf):
        service, upstream = shelf(), Upstream()

        async def main() -> list[Any]:
            calls = [
                service.call(Call("search", bucket="search", key=str(n)), asking(upstream)) for n in range(50)
            ]
            answers = await asyncio.gather(*calls, return_exceptions=True)
            assert (await service.remaining())["search"].left == 0
            return answers

        answers = asyncio.run(main())
        refused = [answer for answer in answers if isinstance(answer, Exhausted)]
        assert (upstream.asked, len(refused)) == (3, 47)
        assert refused[0].until == pytest.approx(1_795_334_430, abs=1)  # midnight in California, and a little
        assert "the budget 'search' of 3 a day is spent until 2026-11-22T08:00:30Z" in str(refused[0])
        assert service.metrics["search"]["refused"] == 47

    def test_it_is_renewed_at_midnight_where_the_service_is(self, shelf, clock):
        service, upstream = shelf(), Upstream()

        async def burst() -> int:
            before = upstream.asked
            calls = [service.call(Call("search", bucket="search"), asking(upstream)) for _ in range(5)]
            await asyncio.gather(*calls, return_exceptions=True)
            return upstream.asked - before

        async def main() -> list[int]:
            got = [await burst()]
            for seconds in (
                19 * 3600,
                3600 + 31,
                86_400 - 120,
            ):  # 07:00 UTC, 08:00:31 UTC, shortly before the next
                clock.advance(seconds)
                got.append(await burst())
            return got

        assert asyncio.run(main()) == [3, 0, 3, 0]

    def test_retries_cost_too(self, shelf):
        service, upstream = shelf(retries=5), Upstream(*[ConnectionError("gone")] * 6)

        async def main() -> None:
            with pytest.raises(Unreachable, match="gone"):
                await service.call(BOOKS, asking(upstream))

        asyncio.run(main())
        assert upstream.asked == 3

    def test_a_window_slides(self, shelf, clock):
        service, upstream = shelf(), Upstream()

        async def burst() -> int:
            before = upstream.asked
            for _ in range(4):
                try:
                    await service.call(Call("read", bucket="reads"), asking(upstream))
                except Exhausted:
                    break
            return upstream.asked - before

        async def main() -> list[int]:
            got = [await burst()]
            for seconds in (30, 30, 6, 30):
                clock.advance(seconds)
                got.append(await burst())
            return got

        assert asyncio.run(main()) == [4, 1, 0, 4, 1]

    def test_domains_with_one_key_share_it(self, shelf):
        upstream = Upstream()

        async def main() -> None:
            for _ in range(2):
                service = shelf(key="one and the same")
                for _ in range(3):
                    await service.call(Call("search", bucket="search"), asking(upstream))

        with pytest.raises(Exhausted):
            asyncio.run(main())
        assert upstream.asked == 3

    def test_yaml_changes_what_is_known_option_by_option(self):
        budget = Shelf(budgets={"search": {"limit": 1000}}).budgets
        assert budget["search"] == Budget(limit=1000, per="day", zone="America/Los_Angeles")
        assert budget["reads"].limit == 5
        with pytest.raises(ValidationError, match="no time zone is called 'Mars/Olympus'"):
            Shelf(budgets={"search": {"zone": "Mars/Olympus"}})
        with pytest.raises(ValidationError, match="no span of time"):
            Shelf(cache={"answers": "soon"})


class TestRetries:
    @pytest.mark.parametrize("problem", [ConnectionError("reset"), TimeoutError(), Unreachable("502")])
    def test_what_may_pass_is_tried_again(self, shelf, problem):
        service, upstream = shelf(), Upstream(problem, problem, {"ok": True})
        assert asyncio.run(service.call(BOOKS, asking(upstream))) == {"ok": True}
        assert service.metrics["search"]["retries"] == 2

    @pytest.mark.parametrize(
        "problem",
        [
            Exhausted("spent"),
            Refused("bad key"),
            Unavailable("403"),
            Missing("404"),
            Invalid("400"),
            Garbage("?"),
        ],
        ids=lambda problem: type(problem).__name__,
    )
    def test_what_will_not_is_not(self, shelf, problem):
        service, upstream = shelf(), Upstream(problem)
        with pytest.raises(type(problem)):
            asyncio.run(service.call(BOOKS, asking(upstream)))
        assert upstream.asked == 1
        assert service.metrics["search"]["failures"] == {type(problem).__name__: 1}

    def test_the_services_own_time_is_waited_for_where_it_is_short(self, shelf):
        service = shelf(patience_seconds=0.2)
        upstream = Upstream(Throttled("slower", after=0.1), {"ok": True})

        async def main() -> float:
            began = asyncio.get_running_loop().time()
            assert await service.call(BOOKS, asking(upstream)) == {"ok": True}
            return asyncio.get_running_loop().time() - began

        assert asyncio.run(main()) >= 0.1

    def test_a_longer_one_closes_the_bucket_until_then(self, shelf, clock):
        service = shelf(patience_seconds=2)
        upstream = Upstream(Throttled("slower", after=600))
        other = Call("list", bucket="search", key="all")

        async def main() -> None:
            with pytest.raises(Throttled) as first:
                await service.call(BOOKS, asking(upstream))
            assert first.value.after == 600
            clock.advance(590)
            with pytest.raises(
                Throttled, match="put off until 2026-11-21T12:10:00Z: shelf: search: slower"
            ) as second:
                await service.call(other, asking(upstream))
            assert second.value.after == pytest.approx(10)
            assert (await service.remaining())["search"].until == NOON + 600
            await service.call(Call("read", bucket="reads"), asking(upstream))  # another bucket is open
            clock.advance(11)
            await service.call(other, asking(upstream))

        asyncio.run(main())
        assert upstream.asked == 3

    @pytest.mark.parametrize("moment", [1e12, 1e300, float("inf")])
    def test_no_bucket_is_closed_for_longer_than_a_week(self, shelf, clock, moment):
        service = shelf()
        far = Upstream(Throttled("slower", after=moment), Exhausted("spent", moment), {"ok": True})

        async def main() -> None:
            for kind in (Throttled, Exhausted):
                for _ in range(2):
                    with pytest.raises(kind):
                        await service.call(Call("search", bucket="search"), asking(far))
                assert (await service.remaining())["search"].until == clock() + 7 * 86_400
                clock.advance(7 * 86_400 + 1)
            assert await service.call(Call("search", bucket="search"), asking(far)) == {"ok": True}

        asyncio.run(main())

    def test_a_quota_that_the_service_says_is_spent_stays_so(self, shelf, clock):
        service, upstream = shelf(), Upstream(Exhausted("quotaExceeded"))

        async def main() -> None:
            for _ in range(3):
                with pytest.raises(Exhausted) as error:
                    await service.call(Call("search", bucket="search"), asking(upstream))
                assert error.value.until == 1_795_334_430  # midnight in California, and a little
            clock.advance(20 * 3600 + 31)
            await service.call(Call("search", bucket="search"), asking(upstream))

        asyncio.run(main())
        assert upstream.asked == 2

    def test_a_service_whose_clock_is_behind_at_midnight_doesnt_cost_a_day(self, shelf, clock):
        """By ours it is a new day; the service, ten seconds behind, says that the old one's quota is spent."""
        clock.advance(1_795_334_410 - NOON)
        service, upstream = shelf(), Upstream(Exhausted("quotaExceeded"))

        async def main() -> None:
            with pytest.raises(Exhausted) as error:
                await service.call(Call("search", bucket="search"), asking(upstream))
            assert error.value.until == 1_795_334_430
            clock.advance(21)
            await service.call(Call("search", bucket="search"), asking(upstream))

        asyncio.run(main())

    def test_an_operation_that_is_not_given_is_asked_for_once_a_day(self, shelf, clock):
        service, upstream = shelf(), Upstream(Unavailable("403 Forbidden"))

        async def main() -> None:
            for _ in range(3):
                with pytest.raises(Unavailable, match="403 Forbidden"):
                    await service.call(Call("features"), asking(upstream))
            assert list(await service.denied()) == ["features"]
            await service.call(Call("search"), asking(upstream))  # others are asked for
            clock.advance(86_401)
            await service.call(Call("features"), asking(upstream))
            assert await service.denied() == {}

        asyncio.run(main())
        assert upstream.asked == 3

    def test_a_request_has_a_time_limit_also_in_a_thread(self, shelf):
        gate = threading.Event()
        service = shelf(timeout_seconds=0.05, retries=0)

        async def main() -> None:
            with pytest.raises(Unreachable, match=r"no answer within 0\.05 s"):
                await service.call(Call("search"), lambda: gate.wait(30))
            gate.set()

        asyncio.run(main())

    def test_requests_that_hang_keep_no_other_waiting(self, shelf, monkeypatch):
        monkeypatch.setattr("tastemaker.core.service.attempts._THREADS", 3)
        gate, asked = threading.Event(), []
        service = shelf(timeout_seconds=0.2, retries=0, breaker=Breaker(failures=100))

        async def ask(send: Callable[[], Any]) -> Any:
            return await service.call(Call("read", bucket="reads"), send)

        async def main() -> None:
            hung = [ask(lambda: gate.wait(60)) for _ in range(3)]
            told = await asyncio.gather(*hung, return_exceptions=True)
            assert all("no answer within" in str(each) for each in told)
            with pytest.raises(
                Unreachable, match=r"read: 3 requests that were given up still hang in its client"
            ):
                await ask(lambda: asked.append(1))
            assert (await service.remaining())["reads"].left == 2  # it costs nothing
            gate.set()
            with anyio.fail_after(30):
                while not asked:
                    with suppress(Unreachable):
                        await ask(lambda: asked.append(1))
                    await asyncio.sleep(0.01)

        try:
            asyncio.run(main())
        finally:
            gate.set()

    def test_a_request_that_hangs_gives_its_place_to_the_next(self, shelf, monkeypatch):
        monkeypatch.setattr("tastemaker.core.service.attempts._THREADS", 2)
        gate = threading.Event()
        service = shelf(timeout_seconds=2, retries=0)

        async def main() -> list[Any]:
            with pytest.raises(Unreachable):
                await service.call(Call("search"), lambda: gate.wait(60))
            meet = threading.Barrier(2)  # both are under way at the same time
            return await asyncio.gather(
                *(service.call(Call("search"), lambda: meet.wait(30) >= 0) for _ in range(2))
            )

        try:
            assert asyncio.run(main()) == [True, True]
        finally:
            gate.set()

    def test_a_def_runs_in_a_thread(self, shelf):
        def send() -> Any:
            return threading.current_thread() is threading.main_thread()

        assert asyncio.run(shelf().call(Call("search"), send)) is False

    def test_an_answer_must_be_plain(self, shelf):
        service = shelf(retries=0)
        with pytest.raises(Garbage, match="not JSON serializable"):
            asyncio.run(service.call(BOOKS, lambda: {"thing": object()}))


class TestTheBreaker:
    def test_a_failing_service_is_left_alone_for_a_while(self, shelf, clock):
        service = shelf(retries=0, breaker=Breaker(failures=3, seconds=30))
        upstream = Upstream(*[ConnectionError("gone")] * 4)

        async def asked() -> int:
            before = upstream.asked
            for _ in range(5):
                with pytest.raises(Unreachable):
                    await service.call(Call("read"), asking(upstream))
            return upstream.asked - before

        async def main() -> None:
            assert await asked() == 3
            assert await asked() == 0
            clock.advance(31)
            assert await asked() == 1  # one tries, and fails
            clock.advance(31)
            for _ in range(3):
                await service.call(Call("read"), asking(upstream))

        asyncio.run(main())

    def test_a_window_is_a_day_or_seconds(self):
        assert Budget(limit=1, per="60").per == Budget(limit=1, per=60).per == 60.0
        with pytest.raises(ValueError, match="a number of seconds such as 60"):
            Budget(limit=1, per="fortnight")

    def test_errors_of_the_caller_are_none_of_the_service(self, shelf):
        service = shelf(breaker=Breaker(failures=1), retries=0)
        refused = [Refused("this user's token")] * 3
        upstream = Upstream(Invalid("bad"), Missing("none"), *refused, {"ok": True})

        async def main() -> None:
            for user in ("", "", "ann", "ann", "ann"):
                with pytest.raises((Invalid, Missing, Refused)):
                    await service.call(Call("read", user=user), asking(upstream))
            assert await service.call(Call("read"), asking(upstream)) == {"ok": True}

        asyncio.run(main())

    @pytest.mark.parametrize("between", [ConnectionError("gone"), Throttled("slower", after=0.0)])
    def test_a_trial_of_credentials_that_nobody_looked_at_is_made_again(self, shelf, clock, between):
        service = shelf(breaker=Breaker(failures=2, seconds=30), retries=0)
        upstream = Upstream(Refused("401"), Refused("401"), between, Refused("401"), {"ok": True})

        async def asked() -> int:
            before = upstream.asked
            for _ in range(3):
                with pytest.raises(ServiceError):
                    await service.call(Call("read"), asking(upstream))
            return upstream.asked - before

        async def main() -> None:
            assert await asked() == 2
            clock.advance(31)
            assert await asked() == 2  # nobody answered the first of them
            clock.advance(31)
            assert await service.call(Call("read"), asking(upstream)) == {"ok": True}

        asyncio.run(main())

    def test_a_budget_that_is_spent_doesnt_use_up_the_trial(self, shelf, clock):
        service = shelf(breaker=Breaker(failures=1, seconds=30), retries=0, budgets={"search": {"limit": 0}})
        upstream = Upstream(ConnectionError("gone"), {"ok": True})

        async def main() -> None:
            with pytest.raises(Unreachable):
                await service.call(Call("read"), asking(upstream))
            clock.advance(31)
            with pytest.raises(Exhausted):
                await service.call(BOOKS, asking(upstream))
            assert await service.call(Call("read"), asking(upstream)) == {"ok": True}

        asyncio.run(main())


class TestSeveral:
    """What is made of several calls, some of which fail."""

    @staticmethod
    def gathered(service: Shelf, *answers: Any) -> Any:
        async def main() -> Any:
            calls = [service.call(Call("read"), asking(Upstream(answer))) for answer in answers]
            return await gathered(calls)

        return asyncio.run(main())

    def test_what_came_is_given_with_what_failed(self, shelf):
        found, failures = self.gathered(
            shelf(retries=0), {"n": 1}, Throttled("slower"), Missing("none"), {"n": 4}
        )
        assert found == [{"n": 1}, {"n": 4}]
        assert [str(failure) for failure in failures] == ["shelf: read: slower"]

    def test_where_all_failed_the_first_failure_is_raised_and_nothing_missing_is_one(self, shelf):
        service = shelf(retries=0)
        with pytest.raises(Invalid, match="odd"):
            self.gathered(service, Missing("none"), Invalid("odd"), Refused("401"))
        assert self.gathered(service, Missing("none"), Missing("none")) == ([], [])

    def test_an_error_of_ours_is_not_swallowed(self):
        async def main() -> None:
            async def broken() -> None:
                raise ZeroDivisionError

            await gathered([asyncio.sleep(0), broken()])

        with pytest.raises(ZeroDivisionError):
            asyncio.run(main())


class TestSecrets:
    @given(
        secret=st.text(st.characters(min_codepoint=33, max_codepoint=0x2FFF), min_size=8, max_size=40),
        shape=st.sampled_from(
            [
                "401 for https://api.shelf.example/v1?key={quoted}&q=jazz",
                "Authorization: Bearer {plain}",
                "body: {json}",
                "{plain} is no key",
                "{repr}",
                "https://{quoted}@api.shelf.example/",
            ]
        ),
        error=st.sampled_from([ConnectionError, ValueError, Refused, KeyError, Throttled]),
    )
    def test_none_is_in_an_error_or_in_the_log(self, secret: str, shape: str, error: type[Exception]) -> None:
        forms = {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1]}
        text = shape.format(
            plain=secret, quoted=quote(secret, safe=""), json=json.dumps({"what": secret}), repr=repr(secret)
        )
        service = Shelf(key=secret, retries=0)

        async def send() -> Any:
            try:
                raise RuntimeError(text)  # what the client library raised first
            except RuntimeError as first:
                raise error(text) from first

        with pytest.raises(ServiceError) as raised:
            asyncio.run(service.call(BOOKS, send))
        assert raised.value.__cause__ is None
        assert raised.value.__context__ is None
        for form in forms:
            assume(form not in f"{shape} *** {error.__name__} shelf: search: {Shelf()!r}")
            assert form not in str(raised.value)
            assert form not in repr(raised.value)
            assert form not in repr(service)

    def test_a_users_token_is_hidden_where_the_call_names_it(self, shelf):
        call = Call("top", secrets=("tok-of-ann-123",), user="ann")
        assert "tok-of-ann" not in repr(call)
        with pytest.raises(Unreachable) as raised:
            asyncio.run(
                shelf(retries=0).call(call, asking(Upstream(ConnectionError("tok-of-ann-123 reset"))))
            )
        assert str(raised.value) == "shelf: top: ConnectionError: *** reset"

    def test_the_clients_chatter_is_left_out(self, shelf, caplog):
        logging.getLogger("shelf.client").setLevel(logging.NOTSET)
        shelf()
        with caplog.at_level(logging.DEBUG):
            logging.getLogger("shelf.client").debug("Bearer abc")
            logging.getLogger("shelf.client").warning("it is late")
        assert caplog.messages == ["it is late"]


def test_it_connects_to_hosts_of_its_urls_only():
    service = Shelf(url="http://127.0.0.1:8080/v1")
    assert service.hosts == {"127.0.0.1:8080"}
    service.check_host("http://127.0.0.1:8080/v1/next?page=2")
    for url in (
        "https://evil.example/next",
        "http://127.0.0.1:8081/",
        "http://127.0.0.1:8080@evil.example/",
        "/x",
    ):
        with pytest.raises(Garbage, match="doesn't name"):
            service.check_host(url)
