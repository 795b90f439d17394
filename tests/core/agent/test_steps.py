"""Around a call: its time limit, where it runs, and what is said of it when it fails."""

import asyncio
import functools
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, ClassVar

import pytest
from tastemaker.core import Component, ComponentError, Degradation
from tastemaker.core.agent.steps import Deadline, Failed, Guard, reason


class Here(Component):
    blocking: ClassVar[bool] = False
    call: Any = None

    def work(self) -> Any:
        return self.call()


class Elsewhere(Here):
    blocking: ClassVar[bool] = True


class Later(Component):
    call: Any = None

    async def work(self) -> Any:
        return await self.call()


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL + 1, "tastemaker.agent")


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    gate = threading.Event()
    yield gate
    gate.set()


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    """As asyncio.run, without waiting for threads that hang."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work())
    finally:
        loop.close()


def tried(guard: Guard, seconds: float = 20.0) -> tuple[Any, list[Degradation]]:
    """What a call gives, or Failed; and what was noted."""
    noted: list[Degradation] = []

    async def call() -> Any:
        try:
            return await guard.run(Deadline(seconds), noted)
        except Failed:
            return Failed

    return run(call), noted


class TestWhere:
    def test_what_only_computes_runs_in_place(self) -> None:
        guard = Guard("x", Here(call=threading.current_thread), "work", None)
        assert guard.in_place
        assert tried(guard)[0] is threading.current_thread()

    def test_what_may_block_runs_in_a_thread(self) -> None:
        guard = Guard("x", Elsewhere(call=threading.current_thread), "work", None)
        assert not guard.in_place
        assert tried(guard)[0] is not threading.current_thread()

    def test_what_awaits_runs_on_the_loop(self) -> None:
        async def here() -> Any:
            await asyncio.sleep(0)
            return threading.current_thread()

        guard = Guard("x", Later(call=here), "work", None)
        assert not guard.in_place
        assert tried(guard)[0] is threading.current_thread()

    def test_what_wraps_a_call_is_asked_to(self) -> None:
        def twice(method: Callable[..., Any]) -> Callable[..., Any]:
            return functools.wraps(method)(lambda *arguments: 2 * method(*arguments))

        assert tried(Guard("x", Here(call=lambda: 3), "work", None, twice)) == (6, [])


class TestLimits:
    def test_its_own_limit_holds_where_it_is_the_shorter(self, gate: threading.Event) -> None:
        guard = Guard("sources.slow", Elsewhere(call=lambda: gate.wait(30)), "work", 30)
        assert tried(guard) == (Failed, [Degradation("sources.slow", "gave no answer within 30 ms")])

    def test_else_the_deadline_does(self, gate: threading.Event) -> None:
        found, noted = tried(
            Guard("sources.slow", Elsewhere(call=lambda: gate.wait(30)), "work", 10_000), 0.05
        )
        assert found is Failed
        assert "gave no answer within" in noted[0].reason

    def test_after_the_deadline_nothing_that_waits_is_called(self) -> None:
        called: list[int] = []
        guard = Guard("sources.slow", Elsewhere(call=lambda: called.append(1)), "work", None)
        found, noted = tried(guard, 0.0)
        assert (found, called) == (Failed, [])
        assert "deadline" in noted[0].reason

    def test_waiting_for_a_free_thread_is_not_held_against_a_component(
        self, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import anyio
        from tastemaker.core.agent import steps

        only: list[Any] = []

        def one_thread() -> Any:
            if not only:
                only.append(anyio.CapacityLimiter(1))
            return only[0]

        monkeypatch.setattr(steps, "_threads", one_thread)
        hog = Guard("hog", Elsewhere(call=lambda: gate.wait(30)), "work", None)
        guard = Guard("x", Elsewhere(call=lambda: 7), "work", 30)
        noted: list[Degradation] = []

        async def scene() -> Any:
            holding = asyncio.ensure_future(hog.run(Deadline(20), noted))
            await asyncio.sleep(0.05)
            for _ in range(4):
                with pytest.raises(Failed):
                    await guard.run(Deadline(20), noted)
            gate.set()
            await holding
            return await guard.run(Deadline(20), noted)

        assert run(scene) == 7
        assert not [entry for entry in noted if "still hang" in entry.reason]

    def test_all_calls_share_the_threads_of_their_loop(self) -> None:
        from tastemaker.core.agent import steps

        async def twice() -> bool:
            return steps._threads() is steps._threads()

        assert run(twice)

    def test_many_calls_at_once_do_not_take_endless_threads(self, gate: threading.Event) -> None:
        before = threading.active_count()
        guards = [
            Guard(f"x{number}", Elsewhere(call=lambda: gate.wait(30)), "work", 400) for number in range(200)
        ]

        async def all_at_once() -> int:
            calls = [asyncio.ensure_future(guard.run(Deadline(20), [])) for guard in guards]
            await asyncio.sleep(0.3)
            most = threading.active_count()
            await asyncio.gather(*calls, return_exceptions=True)
            return most

        assert run(all_at_once) - before <= 130


class TestFailing:
    @pytest.mark.parametrize("kind", [Here, Elsewhere])
    def test_an_error_is_told_in_one_line(self, kind: type[Here]) -> None:
        def fails() -> None:
            raise ValueError("too\n  many")

        assert tried(Guard("x", kind(call=fails), "work", None)) == (
            Failed,
            [Degradation("x", "raised ValueError: too many")],
        )

    def test_errors_of_ours_speak_for_themselves(self) -> None:
        assert reason(ComponentError("no column is called 'x'")) == "no column is called 'x'"
        assert reason(KeyError()) == "raised KeyError"
        assert len(reason(ValueError("x" * 5000))) < 400

    def test_the_log_hears_of_it_once_in_a_while(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.WARNING, "tastemaker.agent")

        def fails() -> None:
            raise ValueError("no")

        guard = Guard("x", Here(call=fails), "work", None)
        for _ in range(5):
            tried(guard)
        assert len(caplog.records) == 1

    def test_a_call_that_was_left_behind_and_fails_later_counts_no_more(self) -> None:
        gate = threading.Event()

        def fails() -> None:
            gate.wait(30)
            raise ValueError("late")

        guard = Guard("x", Elsewhere(call=fails), "work", 20)
        for _ in range(3):
            tried(guard)
        assert "earlier calls of it still hang" in tried(guard)[1][0].reason
        gate.set()
        patience = time.monotonic() + 20
        while "still hang" in (said := tried(guard)[1][0].reason) and time.monotonic() < patience:
            time.sleep(0.01)
        assert said == "raised ValueError: late"
