"""Thirty days of the live domain by the clock of a simulation: quotas, changing wishes, bad hours, terms."""

import asyncio
import random
from typing import Any

import pytest
from tastemaker.core import Request
from tastemaker.core.orchestrator import Orchestrator
from tastemaker.tests.fakes.faults import Fault as Trouble
from tastemaker.tests.fakes.youtube_catalogue import CATEGORIES

HOUR, DAY = 3600.0, 86_400.0
LIMIT, RESERVE = 12, 3
TOPICS = [topic for _, topics in CATEGORIES.values() for topic in topics]


def test_thirty_days_of_harvest_overdraw_nothing_and_leave_no_slate_empty(stand: Any) -> None:
    """Every six hours the harvest runs and people come; what they want changes every five days.

    On some days the service is down for hours, or answers rubbish; on one a colleague has used the quota up.
    """
    server, clock, draw = stand.server, stand.clock, random.Random(30)
    server.limits = {"search": LIMIT, "stats": 100, "units": 400}
    settings = stand.settings(
        f"domains.video.connectors.youtube.budgets={{search: {{limit: {LIMIT}}}, units: {{limit: 400}}}}",
        f"domains.video.collectors.harvest.reserve={RESERVE}",
        "domains.video.collectors.harvest.results=10",
        "domains.video.connectors.youtube.retries=0",
    )
    sizes: list[int] = []
    degraded: set[str] = set()
    wanted: dict[str, float] = {}
    made: dict[str, float] = {}
    oldest: list[float] = []
    failed = 0

    async def life() -> None:
        nonlocal failed
        async with Orchestrator(settings, clock=clock) as orchestrator:
            agent = orchestrator.agent("video")
            service: Any = agent.plan.connectors[0].component
            for step in range(30 * 4):
                if step % 20 == 0:
                    for number in range(2):
                        interests = draw.sample(TOPICS, 3)
                        await orchestrator.put_profile(f"user {number}", {"interests": interests})
                server.app.state.faults = troubles(step)
                if step == 66:
                    server.spent[server.day, "search"] = LIMIT
                run = await orchestrator.collect("video", "harvest", "api")
                failed += run.status == "failed"
                for number in range(2):
                    slate = await orchestrator.recommend("video", Request(f"user {number}"))
                    sizes.append(len(slate.picks))
                    degraded.update(each.component for each in slate.degraded)
                if step % 4 == 3:
                    await orchestrator.expire("video")
                    ages = orchestrator.store.ages.before("video", "youtube", clock(), limit=1)
                    oldest.append(clock() - ages[0][0])
                for term in await service.demand.counts(clock()):
                    wanted.setdefault(term, clock())
                clock.advance(6 * HOUR)
        for asked in server.calls("search"):
            made.setdefault(asked.parameters["q"], 1)

    asyncio.run(life())
    # Never overdrawn: the server never had to say so, but on the day when somebody else had spent it.
    refused = [asked for asked in server.log if asked.status in (403, 429)]
    assert len(refused) == 1
    by_day: dict[str, int] = {}
    for asked in server.calls("search"):
        by_day[asked.day] = by_day.get(asked.day, 0) + (asked.status == 200)
    assert max(by_day.values()) <= LIMIT - RESERVE
    assert sum(by_day.values()) > 0.6 * 30 * (LIMIT - RESERVE)
    # Never empty: all are full, in bad hours, too.
    assert set(sizes) == {10}
    assert degraded <= {"sources.charts", "sources.uploads"}
    # Never too old.
    assert max(oldest) < 30 * DAY
    assert len(oldest) == 30
    # What was wanted was searched for, as far as there was room.
    assert len(made.keys() & wanted.keys()) > 0.5 * min(len(wanted), 30 * (LIMIT - RESERVE))
    assert failed < 20


def troubles(step: int) -> list[Trouble]:
    """What is wrong with the service: at first all is well; then every seventh day is a bad one."""
    match step % 28:
        case 12 | 13:
            return [Trouble(status=503, times=-1)]
        case 20:
            return [Trouble(garbage=b"<html>", times=-1)]
        case 21:
            return [Trouble(drop=True, times=-1)]
        case _:
            return []


@pytest.mark.parametrize("step", [0, 12, 20])
def test_there_is_trouble_on_some_days(step: int) -> None:
    assert bool(troubles(step)) == (step > 0)
