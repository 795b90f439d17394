"""The domain live on a server that behaves as YouTube: what it shows, what it spends, and what happens in trouble."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from tastemaker.connectors.youtube import YouTube
from tastemaker.core import Interaction, Request, Slate
from tastemaker.core.collecting import CollectorRun
from tastemaker.core.config import DomainPlan
from tastemaker.core.conformance import check_component
from tastemaker.core.orchestrator import Orchestrator
from tastemaker.plugins.video.sources import Popular, Uploads
from tastemaker.tests.fakes.faults import Fault as Trouble
from tastemaker.tests.fakes.youtube_catalogue import clips

DAY = 86_400.0


def service_of(plan: DomainPlan) -> YouTube:
    (step,) = plan.connectors
    assert isinstance(step.component, YouTube)
    return step.component


async def harvested(orchestrator: Orchestrator) -> CollectorRun:
    """One run of the preset's harvest, and what it brought is in the catalogue."""
    run = await orchestrator.collect("video", "harvest", "api")
    await orchestrator.learner.reached(orchestrator.store.end(), 20)
    return run


async def asked(orchestrator: Orchestrator, user: str, **situation: Any) -> Slate:
    return await orchestrator.recommend("video", Request(user, situation=situation))


def items_of(orchestrator: Orchestrator, slate: Slate) -> list[dict[str, Any]]:
    catalog = orchestrator.agent("video").catalog.snapshot()
    return [dict(catalog.item(catalog.row(pick.item))) for pick in slate.picks]


def test_the_first_slate_is_made_of_charts_and_costs_no_search(stand: Any) -> None:
    async def life() -> None:
        async with Orchestrator(stand.settings(), clock=stand.clock) as orchestrator:
            agent = orchestrator.agent("video")
            assert agent.plan.items.collector is None, "the sample is for those without a key"
            await orchestrator.put_profile("ann", {"categories": ["Gaming"]})
            slate = await asked(orchestrator, "ann")
            assert slate.degraded == []
            assert len(slate.picks) == 10
            ids = {clip.id for clip in clips()}
            assert {pick.item for pick in slate.picks} <= ids
            again = await asked(orchestrator, "ann")
            assert len(again.picks) == 10

    asyncio.run(life())
    charts = [asked.parameters.get("videoCategoryId", "") for asked in stand.server.calls("videos")]
    assert sorted(charts) == ["", "20"]
    assert not stand.server.calls("search")


def test_what_a_request_says_and_does_not_fit_is_named(stand: Any) -> None:
    nonsense = {
        "max_age_days": 0,
        "min_seconds": "long",
        "made_for_kids": "perhaps",
        "languages": "Klingon",
        "region": "Nowhere",
        "category": "Gamming",
    }
    sense = {"max_age_days": 9000, "min_seconds": 1, "made_for_kids": False, "languages": "English, German",
             "region": "gb", "category": "Gaming"}  # fmt: skip

    both = {"languages": "English, Klingon", "category": ["Gaming", "Gamming"]}

    async def life() -> list[Slate]:
        async with Orchestrator(stand.settings(), clock=stand.clock) as orchestrator:
            await orchestrator.put_profile("ann", {"languages": ["Python", "Go"], "region": "Mars"})
            await asked(orchestrator, "ann")
            return [await asked(orchestrator, "ann", **said) for said in (nonsense, sense, both)]

    slate, fine, half = asyncio.run(life())
    assert len(slate.picks) == 10
    assert not [entry for entry in fine.degraded if "situation" in entry.reason]
    assert {entry.component: entry.reason.partition(": it takes ")[0] for entry in slate.degraded} == {
        "sources.charts": "in part: the situation's 'region' can't be 'Nowhere'",
        "filters.kids": "in part: the situation's 'made_for_kids' can't be 'perhaps'",
        "filters.languages": "in part: the situation's 'languages' can't be 'Klingon'",
        "filters.duration": "in part: the situation's 'min_seconds' can't be 'long'",
        "filters.fresh": "in part: the situation's 'max_age_days' can't be 0",
        "scorers.category": "in part: the situation's 'category' can't be 'Gamming'",
    }
    assert slate.degraded[-1].reason.endswith(": it takes words that items have under 'category'")
    said = {entry.component: entry.reason.partition(": it takes ")[0] for entry in half.degraded}
    assert {name: reason for name, reason in said.items() if "situation" in reason} == {
        "filters.languages": "in part: the situation's 'languages' can't hold 'Klingon'",
        "scorers.category": "in part: the situation's 'category' can't hold 'Gamming'",
    }


def test_what_was_asked_for_is_harvested_and_then_shown(stand: Any) -> None:
    async def life() -> None:
        async with Orchestrator(stand.settings(), clock=stand.clock) as orchestrator:
            service = service_of(orchestrator.agent("video").plan)
            await orchestrator.put_profile("ann", {"interests": ["otters"]})
            for _ in range(3):
                slate = await asked(orchestrator, "ann", query="roman history")
            assert not [item for item in items_of(orchestrator, slate) if item.get("searches")]
            wanted = dict(await service.demand.counts(stand.clock()))
            assert sum(count for term, count in wanted.items() if term.endswith("roman history")) == 3
            run = await harvested(orchestrator)
            assert (run.status, run.faults) == ("done", [])
            made = {asked.parameters["q"] for asked in stand.server.calls("search")}
            # As many as the day so far allows, those that are wanted first, then the seeds.
            assert set(wanted) <= made
            assert made == set(json.loads(run.mark))
            # Of ten the draws of the policies might leave none.
            wish = Request("ann", size=40, situation={"query": "roman history"})
            items = items_of(orchestrator, await orchestrator.recommend("video", wish))
            by_search = [
                item for item in items if any("roman history" in word for word in item.get("searches", []))
            ]
            assert by_search
            assert len(stand.server.calls("search")) == len(made), "a request makes no search"
            # Within a day nothing is searched for again.
            await harvested(orchestrator)
            assert {asked.parameters["q"] for asked in stand.server.calls("search")[len(made) :]}.isdisjoint(
                made
            )

    asyncio.run(life())


def test_one_video_keeps_all_the_searches_that_found_it_and_forgets_old_ones(stand: Any) -> None:
    async def life() -> None:
        settings = stand.settings("domains.video.collectors.harvest={use: video.harvest, at_once: 2}")
        async with Orchestrator(settings, clock=stand.clock) as orchestrator:
            demand = service_of(orchestrator.agent("video").plan).demand
            catalog = orchestrator.agent("video").catalog

            def searches(of: Sequence[str]) -> list[set[str]]:
                snapshot = catalog.snapshot()
                return [set(snapshot.item(snapshot.row(each)).get("searches", ())) for each in of]

            demand.note(["otters", "calm otters"], stand.clock())
            await harvested(orchestrator)
            ids = list(catalog.snapshot().ids)
            both = [each for each, words in zip(ids, searches(ids), strict=True) if len(words) == 2]
            assert both
            # Sources bring the same videos, and leave that alone.
            await asked(orchestrator, "ann")
            assert searches(both) == [{"otters", "calm otters"}] * len(both)
            # After more than 30 days, what wasn't searched for since doesn't count.
            stand.clock.advance(31 * DAY)
            demand.note(["exciting otters"] * 9, stand.clock())
            await harvested(orchestrator)
            assert {"calm otters"} not in searches(both)
            assert any("exciting otters" in words and "calm otters" not in words for words in searches(both))

    asyncio.run(life())


def test_a_search_that_is_made_again_finds_what_is_new(stand: Any) -> None:
    async def life() -> None:
        settings = stand.settings("domains.video.collectors.harvest.seeds=[]")
        async with Orchestrator(settings, clock=stand.clock) as orchestrator:
            demand = service_of(orchestrator.agent("video").plan).demand
            demand.note(["otters"] * 9, stand.clock())
            await harvested(orchestrator)
            before = {clip.id for clip in stand.server.shown() if "otters" in clip.tags}
            stand.clock.advance(13 * DAY)
            fresh = {clip.id for clip in stand.server.shown() if "otters" in clip.tags} - before
            assert fresh
            await harvested(orchestrator)
            catalog = orchestrator.agent("video").catalog.snapshot()
            assert (catalog.rows(fresh) >= 0).all()

    asyncio.run(life())
    assert len(stand.server.calls("search")) == 2


def test_channels_that_were_liked_bring_their_newest_videos(stand: Any) -> None:
    async def life() -> None:
        async with Orchestrator(stand.settings(), clock=stand.clock) as orchestrator:
            first = await asked(orchestrator, "ann")
            liked = first.picks[0].item
            channel = next(clip.channel for clip in clips() if clip.id == liked)
            likes = [Interaction("1", "video", "ann", liked, "like", stand.clock(), slate=first.id)]
            await orchestrator.record(likes)
            await orchestrator.learner.reached(orchestrator.store.end(), 20)
            slate = await asked(orchestrator, "ann")
            assert slate.degraded == []
            newest = [clip.id for clip in stand.server.shown() if clip.channel.id == channel.id][:15]
            catalog = orchestrator.agent("video").catalog.snapshot()
            assert (catalog.rows(newest) >= 0).all()
            calls = len(stand.server.log)
            await asked(orchestrator, "ann")
            assert len(stand.server.log) == calls, "what is known is not asked for again"

    asyncio.run(life())
    assert [asked.parameters["playlistId"][:2] for asked in stand.server.calls("playlistItems")] == ["UU"]
    assert not stand.server.calls("search")


def calls(orchestrator: Orchestrator) -> int:
    """How often the connector was asked, by whatever it was answered."""
    return sum(counts["calls"] for counts in service_of(orchestrator.agent("video").plan).metrics.values())


def test_what_was_found_a_short_time_ago_is_not_put_together_again(stand: Any) -> None:
    async def life() -> None:
        async with Orchestrator(stand.settings(), clock=stand.clock) as orchestrator:
            await orchestrator.put_profile("ann", {"categories": ["Gaming"]})
            first = await asked(orchestrator, "ann")
            likes = [
                Interaction("1", "video", "ann", first.picks[0].item, "like", stand.clock(), slate=first.id)
            ]
            await orchestrator.record(likes)
            await orchestrator.learner.reached(orchestrator.store.end(), 20)
            slate = await asked(orchestrator, "ann")
            sources = {"sources.charts", "sources.uploads"}
            assert sources <= set(slate.proposed)
            before = calls(orchestrator)
            again = await asked(orchestrator, "ann")
            assert calls(orchestrator) == before
            assert {name: again.proposed[name] for name in sources} == {
                name: slate.proposed[name] for name in sources
            }

            # Another wish is found at once, and the same one after a while.
            await asked(orchestrator, "ann", region="FR")
            assert calls(orchestrator) > before
            before = calls(orchestrator)
            stand.clock.advance(11 * 60)
            await asked(orchestrator, "ann")
            assert calls(orchestrator) > before

    asyncio.run(life())


def test_the_harvest_is_spread_over_the_day_and_leaves_a_reserve(stand: Any) -> None:
    """A day of runs every two hours; wanted is more than there is."""

    async def life() -> list[int]:
        spent: list[int] = []
        settings = stand.settings(
            "domains.video.connectors.youtube.budgets.search.limit=34",
            "domains.video.collectors.harvest.at_once=30",
            "domains.video.collectors.harvest.results=1",
        )
        async with Orchestrator(settings, clock=stand.clock) as orchestrator:
            service = service_of(orchestrator.agent("video").plan)
            _, end = service.budgets["search"].day(stand.clock())
            stand.clock.advance(end + 60 - stand.clock())
            for _ in range(12):
                service.demand.note([f"chess {number}" for number in range(200)], stand.clock())
                await harvested(orchestrator)
                spent.append(stand.server.spent[stand.server.day, "search"])
                stand.clock.advance(7200)
        return spent

    spent = asyncio.run(life())
    # An hour ahead of an even pace of 24 a day: 1 at once, then 2 every two hours.
    assert spent == list(range(1, 25, 2))


def test_what_is_wanted_most_and_latest_comes_first(stand: Any) -> None:
    async def life() -> None:
        settings = stand.settings("domains.video.collectors.harvest.seeds=[]")
        async with Orchestrator(settings, clock=stand.clock) as orchestrator:
            demand = service_of(orchestrator.agent("video").plan).demand
            demand.note(["piano"] * 8, stand.clock())
            await harvested(orchestrator)
            stand.clock.advance(2 * DAY)
            demand.note(["otters"] * 3 + ["chess"], stand.clock())
            wanted = await demand.counts(stand.clock())
            # Two days halve a count twice.
            assert wanted == pytest.approx({"otters": 3, "piano": 2, "chess": 1})
            # Made two days ago, piano is worth 2 · 2/7.
            await harvested(orchestrator)
            made = [asked.parameters["q"] for asked in stand.server.calls("search")]
            assert made == ["piano", "otters", "chess", "piano"]

    asyncio.run(life())


@pytest.mark.parametrize(
    ("trouble", "named"),
    [
        ({"drop": True}, "the connection broke"),
        ({"garbage": b"<html>"}, "its answer is no list of items"),
        ({"garbage": b'{"kind": "x", "items": [1, 2]}'}, "none of the 2 items of its answer can be read"),
        ({"delay": 2.0}, "no answer within"),
        ({"status": 503}, "503"),
        ({"status": 403, "body": b'{"error": {"errors": [{"reason": "quotaExceeded"}]}}'}, "403"),
    ],
)
def test_in_trouble_slates_are_full_and_in_time_and_say_why(
    stand: Any, trouble: dict[str, Any], named: str
) -> None:
    """The first requests are before anything is known; then there is a catalogue, and all is well again."""

    async def life() -> None:
        settings = stand.settings(
            "domains.video.slate.deadline_ms=1500",
            "domains.video.connectors.youtube.timeout_seconds=1",
            "domains.video.connectors.youtube.retries=0",
            "domains.video.connectors.youtube.cache={answers: 1h, stale: 0}",
        )
        async with Orchestrator(settings, clock=stand.clock) as orchestrator:
            await harvested(orchestrator)
            stand.clock.advance(2 * 3600)
            stand.server.app.state.faults = [Trouble(times=-1, **trouble)]
            for number in range(3):
                slate = await asked(orchestrator, f"user {number}")
                assert len(slate.picks) == 10
                (degraded,) = slate.degraded
                assert degraded.component == "sources.charts"
                assert named in degraded.reason
            stand.server.app.state.faults = []
            stand.clock.advance(DAY)  # the breaker has closed, and the quota is new
            for _ in range(5):  # at first a question may still be under way
                slate = await asked(orchestrator, "bob")
                assert len(slate.picks) == 10
                if not slate.degraded:
                    return
            pytest.fail(str(slate.degraded))

    asyncio.run(life())


def test_a_chart_of_several_that_fails_is_named(stand: Any) -> None:
    async def life() -> None:
        settings = stand.settings("domains.video.connectors.youtube.retries=0")
        async with Orchestrator(settings, clock=stand.clock) as orchestrator:
            await orchestrator.put_profile("ann", {"categories": ["Gaming"]})
            stand.server.app.state.faults = [Trouble(query={"videoCategoryId": "20"}, status=503)]
            slate = await asked(orchestrator, "ann")
            assert len(slate.picks) == 10
            assert any("charts" in pick.sources for pick in slate.picks)
            (degraded,) = slate.degraded
            assert degraded.component == "sources.charts"
            assert "in part: 1 of 2 answers are missing: youtube" in degraded.reason
            slate = await asked(orchestrator, "ann")
            assert slate.degraded == []

    asyncio.run(life())


def test_a_harvest_that_gets_nothing_fails_and_one_that_gets_something_says_what_is_missing(
    stand: Any,
) -> None:
    async def life() -> None:
        async with Orchestrator(stand.settings(), clock=stand.clock) as orchestrator:
            stand.server.app.state.faults = [Trouble(status=400, times=-1)]
            run = await harvested(orchestrator)
            assert (run.status, run.rows) == ("failed", 0)
            assert "400" in run.error
            stand.server.app.state.faults = [Trouble("/youtube/v3/search", status=400, times=-1)]
            run = await harvested(orchestrator)
            assert (run.status, run.written, run.mark) == ("done", 50, "{}")
            assert [fault.where for fault in run.faults] == ["youtube: search 'science explained'"]

    asyncio.run(life())


def test_sources_and_collector_keep_the_contract(stand: Any) -> None:
    service = YouTube(key=stand.server.key, url=stand.base)
    fields: Any = {"searches": "tags", "channel_id": "category"}
    check_component(Uploads(service=service), fields=fields)
    check_component(Popular(service=service), fields=fields)
    asyncio.run(service.close())
