"""Several answers of services under one deadline."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from tastemaker.core import ConnectorError, Missing, Throttled
from tastemaker.plugins.catalog.joint_wait import JointWait


async def gives(answer: Any) -> Any:
    await asyncio.sleep(0)
    return answer


async def fails(error: Exception) -> Any:
    await asyncio.sleep(0)
    raise error


async def never() -> Any:
    await asyncio.Event().wait()


def waited(*awaited: Callable[[], Awaitable[Any]], seconds: float | None = None, each: bool = False) -> Any:
    """What came of several answers, and what the slate is told."""

    async def wait() -> Any:
        end = {} if seconds is None else {"end": asyncio.get_running_loop().time() + seconds}
        joint, said = JointWait(**end), list[str]()
        ask = joint.each if each else joint.all
        found = await ask([one() for one in awaited])
        context: Any = SimpleNamespace(lacks=said.append)
        joint.tell(context)
        return found, said

    return asyncio.run(wait())


def test_all_answers_come_in_the_order_of_the_questions() -> None:
    assert waited(lambda: gives([1]), lambda: gives([2, 3])) == ([[1], [2, 3]], [])
    assert waited() == ([], [])


def test_one_of_several_that_fails_is_told_and_the_others_count() -> None:
    refused = Throttled("too fast")
    for each, found in ((False, [[1]]), (True, [[1], ()])):
        assert waited(lambda: gives([1]), lambda: fails(refused), each=each) == (
            found,
            ["1 of 2 answers are missing: too fast"],
        )


def test_what_does_not_exist_is_no_failure() -> None:
    assert waited(lambda: gives([1]), lambda: fails(Missing("gone"))) == ([[1]], [])
    assert waited(lambda: fails(Missing("gone")), lambda: fails(Missing("gone"))) == ([], [])


def test_where_there_is_no_answer_the_failure_is_raised() -> None:
    with pytest.raises(Throttled, match="too fast"):
        waited(lambda: fails(Missing("gone")), lambda: fails(Throttled("too fast")))
    assert waited(lambda: gives([]), lambda: fails(Throttled("too fast"))) == (
        [[]],
        ["1 of 2 answers are missing: too fast"],
    )


def test_a_fault_of_ours_is_always_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        waited(lambda: gives([1]), lambda: fails(ZeroDivisionError()))


def test_where_nothing_comes_in_time_that_is_raised() -> None:
    with pytest.raises(ConnectorError, match="no answer in time"):
        waited(never, never, seconds=0.01)


def test_answers_that_lack_pages_are_told_besides() -> None:
    async def wait() -> Any:
        joint, said = JointWait(), list[str]()
        context: Any = SimpleNamespace(lacks=said.append)
        await joint.all([gives([1])])
        assert joint.complete
        joint.lost.append(Throttled("too fast"))
        joint.tell(context)
        return joint.complete, said

    assert asyncio.run(wait()) == (False, ["pages of its answers are missing, 1 in all: too fast"])


def test_an_answer_that_is_late_is_told_and_the_others_count() -> None:
    async def wait() -> Any:
        joint, said = JointWait(end=0), list[str]()
        here: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
        here.set_result([1])
        context: Any = SimpleNamespace(lacks=said.append)
        found = await joint.all([never(), here])
        joint.tell(context)
        return found, said, joint.complete

    found, said, complete = asyncio.run(wait())
    assert found == [[1]]
    assert said == [
        "1 of 2 answers are missing: no answer in time; it will be there when it is asked for again"
    ]
    assert not complete
