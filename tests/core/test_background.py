"""Tasks that nobody waits for."""

import asyncio
import threading

from tastemaker.core.background import Background


def test_what_was_begun_is_finished() -> None:
    done: list[str] = []

    async def work() -> str:
        await asyncio.sleep(0.01)
        done.append("task")
        return "found"

    async def life() -> None:
        background = Background()
        await background.finish(0)
        task = background.begin(work())
        background.call(lambda: done.append(threading.current_thread().name))
        await background.finish(60)
        assert task.result() == "found"

    asyncio.run(life())
    assert len(done) == 2
    assert threading.current_thread().name not in done


def test_what_takes_too_long_is_left() -> None:
    async def life() -> None:
        background, gate = Background(), asyncio.Event()
        task = background.begin(gate.wait())
        await background.finish(0.01)
        assert not task.done()
        gate.set()
        await background.finish(60)
        assert task.done()

    asyncio.run(life())
