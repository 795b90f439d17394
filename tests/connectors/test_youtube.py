"""YouTube through Google's own client, against a server that behaves as the API is documented."""

import asyncio
import json
import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httplib2
import pytest
from googleapiclient.errors import HttpError
from tastemaker.connectors.youtube import YouTube
from tastemaker.connectors.youtube_items import item_of, seconds_of
from tastemaker.core import (
    Budget,
    Exhausted,
    Garbage,
    Invalid,
    LocalMemory,
    Missing,
    Refused,
    ServiceError,
    Throttled,
    Unavailable,
    Unreachable,
)
from tastemaker.core.clock import ManualClock
from tastemaker.core.conformance import check_component
from tastemaker.tests.fakes.faults import Fault
from tastemaker.tests.fakes.serving import serve
from tastemaker.tests.fakes.youtube import YouTube as Server
from tastemaker.tests.fakes.youtube_catalogue import START, clips

ROOT = Path(__file__).parents[2]
ERRORS = (
    Path(os.environ.get("SHARED_DATA", ROOT.parent / "shared" / "data")).parent
    / "specs/examples/observed-errors.json"
)
KEY = "AIzaNotARealKey-0123456789"


class Stand:
    """A server and a connector to it, on one clock."""

    def __init__(self, **options: Any) -> None:
        self.clock = ManualClock(START)
        self.server = Server(self.clock, KEY, **options)
        self.base = ""
        self.connectors: list[YouTube] = []

    def connector(self, **options: Any) -> YouTube:
        given = {"key": KEY, "url": self.base, "region": "GB", "retries": 0, "timeout_seconds": 30, **options}
        connector = YouTube(**given)
        connector._bind(LocalMemory(self.clock), self.clock, "youtube")
        self.connectors.append(connector)
        return connector


@pytest.fixture
def stand() -> Iterator[Stand]:
    stand = Stand()
    with serve(stand.server.app) as base:
        stand.base = base
        yield stand
        for connector in stand.connectors:
            asyncio.run(connector.close())


def raised(connector: YouTube, ask: Callable[[YouTube], Any]) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        asyncio.run(ask(connector))
    return caught.value


def test_what_it_reads(stand: Stand) -> None:
    async def life() -> None:
        youtube = stand.connector()
        ids = await youtube.search("Calm  SOURDOUGH", limit=70)
        assert len(ids) == len(set(ids)) == 70
        videos = await youtube.videos([*ids, "no-such-one"])
        assert [video["id"] for video in videos] == ids
        first = videos[0]
        clip = next(clip for clip in clips() if clip.id == first["id"])
        assert "sourdough" in clip.tags
        assert "calm" in clip.tags
        assert first == {
            "id": clip.id, "title": clip.title, "description": clip.description, "channel": clip.channel.title,
            "channel_id": clip.channel.id, "category_id": "26", "category": "Howto & Style", "tags": list(clip.tags),
            "language": clip.language.partition("-")[0], "duration_seconds": clip.seconds, "views": clip.views,
            "likes": clip.views // 30, "made_for_kids": clip.for_kids, "published": first["published"],
            "thumbnail": f"https://i.ytimg.com/vi/{clip.id}/high.jpg",
            "url": f"https://www.youtube.com/watch?v={clip.id}",
        }  # fmt: skip
        uploads = await youtube.uploads(clip.channel.id, limit=5)
        own = [each.id for each in stand.server.shown() if each.channel is clip.channel]
        assert uploads == own[:5]
        (channel,) = await youtube.channels([clip.channel.id, "UCnone"])
        assert channel["uploads"] == clip.channel.uploads
        assert channel["videos"] == len(own)
        chart = await youtube.most_popular(category="10")
        assert len(chart) == 50
        assert {video["category"] for video in chart} == {"Music"}
        assert (await youtube.categories())["27"] == "Education"
        counts = await youtube.statistics(ids)
        assert counts[clip.id] == {"views": clip.views, "likes": clip.views // 30}
        assert await youtube.health() is None

    asyncio.run(life())
    assert {asked.parameters["maxResults"] for asked in stand.server.calls("search")} == {"50", "20"}
    assert [asked.parameters["q"] for asked in stand.server.calls("search")] == ["calm sourdough"] * 2
    assert stand.server.calls("search")[0].parameters["regionCode"] == "GB"
    # 71 ids are two calls.
    assert len([asked for asked in stand.server.calls("videos") if "id" in asked.parameters]) == 2


def test_each_call_is_charged_to_its_quota_and_to_no_other(stand: Stand) -> None:
    async def life() -> dict[str, int]:
        youtube = stand.connector()
        ids = await youtube.search("chess", limit=50)
        await youtube.search("chess", limit=50)
        await youtube.videos(ids)
        await youtube.statistics(ids)
        await youtube.uploads(clips()[0].channel.id, limit=60)
        return {bucket: left.limit - left.left for bucket, left in (await youtube.remaining()).items()}

    spent = asyncio.run(life())
    # One search; videos, titles of categories, one page of uploads (28 at most); one call for counts.
    assert spent == {"search": 1, "stats": 1, "units": 3}
    assert {bucket: stand.server.spent[stand.server.day, bucket] for bucket in spent} == spent


def test_a_spent_budget_is_refused_before_the_call_until_midnight_in_california(stand: Stand) -> None:
    youtube = stand.connector(budgets={"search": {"limit": 3}})
    assert youtube.budgets["search"] == Budget(limit=3, per="day", zone="America/Los_Angeles")
    assert youtube.budgets["units"].limit == 10_000

    async def life() -> None:
        for number in range(3):
            await youtube.search(f"chess {number}")
        with pytest.raises(Exhausted, match="budget 'search' of 3 a day") as caught:
            await youtube.search("chess 3")
        assert len(stand.server.calls("search")) == 3
        assert await youtube.most_popular()  # another quota
        midnight = caught.value.until
        assert midnight is not None
        stand.clock.advance(midnight + 60 - stand.clock())
        assert stand.server.day == "2026-11-19"
        await youtube.search("chess 3")

    asyncio.run(life())


OBSERVED = {
    "search.list daily bucket (100/day) used up": (Exhausted, "Search Queries per day"),
    "general 10,000-unit bucket used up": (Exhausted, "you have exceeded your quota"),
    "invalid key": (Refused, "API key not valid"),
    "invalid key, old form": (Refused, "Bad Request"),
    "key blocked for this method/service": (Unavailable, "are blocked"),
    "bad parameter": (Invalid, "Invalid value for maxResults"),
}


def test_every_error_that_was_observed_gets_its_class(stand: Stand) -> None:
    if not ERRORS.exists():
        pytest.skip(f"no observed errors at {ERRORS}")
    observed = json.loads(ERRORS.read_text(encoding="utf-8"))["youtube"]
    assert {row["when"] for row in observed} == set(OBSERVED)
    for row in observed:
        kind, said = OBSERVED[row["when"]]
        fault = Fault(status=row["status"], body=json.dumps(row["body"]).encode())
        stand.server.app.state.faults = [fault]
        error = raised(stand.connector(), lambda youtube: youtube.search("chess"))
        assert type(error) is kind, row["when"]
        assert said in str(error)
        assert "<a" not in str(error)


def test_the_server_says_what_was_observed(stand: Stand) -> None:
    """The fake's own errors are those of the list, byte for byte as JSON."""
    if not ERRORS.exists():
        pytest.skip(f"no observed errors at {ERRORS}")
    observed = {row["when"]: row for row in json.loads(ERRORS.read_text(encoding="utf-8"))["youtube"]}

    def answer(path: str, key: str = KEY) -> tuple[int, Any]:
        client = httplib2.Http()
        response, content = client.request(f"{stand.base}/youtube/v3/{path}&key={key}")
        client.close()
        return response.status, json.loads(content)

    said = {
        "bad parameter": answer("search?part=id&maxResults=51"),
        "invalid key": answer("search?part=id&q=x", "wrong"),
    }
    stand.server.old_form = True
    said["invalid key, old form"] = answer("search?part=id&q=x", "wrong")
    stand.server.blocked = {"search"}
    said["key blocked for this method/service"] = answer("search?part=id&q=x")
    stand.server.blocked = set()
    stand.server.limits = {"search": 0, "stats": 0, "units": 0}
    said["search.list daily bucket (100/day) used up"] = answer("search?part=id&q=x")
    said["general 10,000-unit bucket used up"] = answer("videos?part=id&id=x")
    assert said == {when: (row["status"], row["body"]) for when, row in observed.items()}


@pytest.mark.parametrize(
    ("fault", "kind", "requests"),
    [
        (Fault(status=429, headers={"Retry-After": "900"}), Throttled, 1),
        (Fault(status=429, body=b'{"error": {"message": "limit \'Search Queries per minute\'"}}'), Throttled, 1),
        (Fault(status=403, body=b'{"error": {"errors": [{"reason": "userRateLimitExceeded"}]}}'), Throttled, 1),
        (Fault(status=403, body=b'{"error": {"errors": [{"reason": "dailyLimitExceeded"}]}}'), Exhausted, 1),
        (Fault(status=403, body=b'{"error": "no"}'), Refused, 1),
        (Fault(status=401), Refused, 1),
        (Fault(status=404), Missing, 1),
        (Fault(status=400, body=b"[]"), Invalid, 1),
        (Fault(status=302, headers={"Location": "https://example.org/"}), Garbage, 1),
        (Fault(status=503, times=2), Unreachable, 2),
        (Fault(drop=True, times=2), Unreachable, 2),
        (Fault(delay=0.6, times=2), Unreachable, 2),
        (Fault(garbage=b"<html>hello</html>"), Garbage, 1),
        (Fault(garbage=b"\xff\xfe{"), Garbage, 1),
        (Fault(garbage=b"[]"), Garbage, 1),
        (Fault(garbage=b"{}"), Garbage, 1),
        (Fault(garbage=b'{"kind": "x", "items": {}}'), Garbage, 1),
        (Fault(garbage=b'{"kind": "x", "items": [7, null, {"id": []}]}'), Garbage, 1),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_classified_and_retried_only_where_that_may_help(
    stand: Stand, fault: Fault, kind: type[ServiceError], requests: int
) -> None:
    stand.server.app.state.faults = [Fault(**vars(fault))]
    connector = stand.connector(retries=1, timeout_seconds=0.3 if fault.delay else 20)
    error = raised(connector, lambda youtube: youtube.search("chess"))
    assert type(error) is kind, error
    assert len(stand.server.app.state.requests) == requests
    assert str(error).startswith("youtube: search: ")


def test_after_a_per_day_429_no_search_is_tried_until_the_day_is_over(stand: Stand) -> None:
    youtube = stand.connector()
    stand.server.limits["search"] = 0

    async def life() -> None:
        for _ in range(3):
            with pytest.raises(Exhausted):
                await youtube.search("chess")
        assert len(stand.server.calls("search")) == 1
        assert (await youtube.remaining())["search"].left == 0
        stand.server.limits["search"] = 100
        stand.clock.advance(86_400)
        assert await youtube.search("chess")

    asyncio.run(life())


def test_a_burst_limit_is_waited_for_only_so_long(stand: Stand) -> None:
    stand.server.per_minute = 1
    youtube = stand.connector()

    async def life() -> None:
        await youtube.search("chess")
        with pytest.raises(Throttled):
            await youtube.search("quiz")
        with pytest.raises(Throttled, match="put off until"):
            await youtube.search("magic")
        assert len(stand.server.calls("search")) == 2
        stand.clock.advance(61)
        assert await youtube.search("quiz")

    asyncio.run(life())


def test_a_blocked_operation_is_left_alone_for_a_day_and_the_others_go_on(stand: Stand) -> None:
    stand.server.blocked = {"search"}
    youtube = stand.connector()

    async def life() -> None:
        for _ in range(2):
            with pytest.raises(Unavailable):
                await youtube.search("chess")
        assert len(stand.server.calls("search")) == 1
        assert list(await youtube.denied()) == ["search"]
        assert await youtube.most_popular()
        stand.server.blocked = set()
        stand.clock.advance(86_401)
        assert await youtube.search("chess")

    asyncio.run(life())


def test_what_is_missing_is_remembered_for_a_while(stand: Stand) -> None:
    youtube = stand.connector()

    async def life() -> None:
        for _ in range(2):
            with pytest.raises(Missing):
                await youtube.most_popular(category="27")
            with pytest.raises(Missing):
                await youtube.uploads("UCnobody")
        assert len(stand.server.calls("videos")) == len(stand.server.calls("playlistItems")) == 1

    asyncio.run(life())


def test_items_are_asked_for_anew_whatever_the_cache_holds(stand: Stand) -> None:
    youtube = stand.connector()
    clip, gone = stand.server.shown()[:2]

    async def life() -> None:
        await youtube.videos([clip.id, gone.id])
        stand.server.removed.add(gone.id)
        stand.clock.advance(86_400)
        found = await youtube.refresh([gone.id, clip.id])
        assert found[0] is None
        assert found[1] is not None
        assert found[1]["views"] > clip.views

    asyncio.run(life())
    assert youtube.terms.keep_days == 30
    assert youtube.terms.trainable


def test_sixteen_threads_get_four_hundred_answers_none_of_them_another_ones(stand: Stand) -> None:
    """Each thread has an event loop of its own; the connector is one. Slow answers keep the connections busy."""
    youtube = stand.connector(timeout_seconds=30, cache={"answers": 0})
    some = [clip.id for clip in stand.server.shown()[:400]]

    def ask(identity: str) -> tuple[str, list[str]]:
        async def call() -> list[str]:
            return [video["id"] for video in await youtube.videos([identity], anew=True)]

        return identity, asyncio.run(call())

    with ThreadPoolExecutor(16) as pool:
        for identity, found in pool.map(ask, some):
            assert found == [identity]
    assert len(stand.server.calls("videos")) == 400


def test_a_connection_that_timed_out_gives_nobody_its_late_answer(stand: Stand) -> None:
    youtube = stand.connector(timeout_seconds=2, retries=0, breaker={"failures": 100})
    one, other = (clip.id for clip in stand.server.shown()[:2])

    async def life() -> None:
        await youtube.categories()
        stand.server.app.state.faults = [Fault("/youtube/v3/videos", delay=2.3)]
        with pytest.raises(Unreachable):
            await youtube.videos([one])
        for _ in range(5):
            assert [video["id"] for video in await youtube.videos([other], anew=True)] == [other]
            await asyncio.sleep(0.1)

    asyncio.run(life())


def test_the_key_is_shown_nowhere(stand: Stand, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    youtube = stand.connector()
    texts: list[str] = []
    for fault in (Fault(status=400), Fault(drop=True), Fault(garbage=KEY.encode()), Fault(status=403, body=json.dumps(
        {"error": {"message": f"the key {KEY} isn't good"}}).encode()
    )):  # fmt: skip
        stand.server.app.state.faults = [fault]
        error = raised(youtube, lambda youtube: youtube.search("chess"))
        texts += [str(error), repr(error), repr(error.__cause__), repr(error.__context__)]
    logging.getLogger("googleapiclient").setLevel(logging.DEBUG)
    try:
        asyncio.run(youtube.search("quiz"))
        request = youtube._google().api.search().list(part="id", maxResults=51)
        with pytest.raises(HttpError) as caught:
            request.execute()
        texts += [str(caught.value), caught.value.uri, request.uri]
    finally:
        logging.getLogger("googleapiclient").setLevel(logging.WARNING)
    texts += [record.getMessage() for record in caplog.records if not record.name.startswith("uvicorn")]
    texts += [repr(youtube), youtube.model_dump_json()]
    assert any("URL being requested" in text for text in texts)
    assert not [text for text in texts if KEY in text]
    # … but it does get to the server.
    assert {asked.query.get("key") for asked in stand.server.app.state.requests} == {KEY}


def test_etags_are_honoured_by_the_server(stand: Stand) -> None:
    api = stand.connector()._google().api
    first = api.videos().list(part="snippet", chart="mostPopular", regionCode="GB").execute()
    again = api.videos().list(part="snippet", chart="mostPopular", regionCode="GB")
    again.headers["If-None-Match"] = first["etag"]
    with pytest.raises(HttpError) as caught:
        again.execute()
    assert caught.value.status_code == 304


def test_without_a_key_it_is_not_configured() -> None:
    assert not YouTube().configured
    assert YouTube(key="x" * 20).configured
    assert YouTube().hosts == {"youtube.googleapis.com"}


def test_it_keeps_the_contract() -> None:
    check_component(YouTube)


def test_what_youtube_does_not_say_is_left_out() -> None:
    assert item_of({"id": "a"}) == {"id": "a", "url": "https://www.youtube.com/watch?v=a"}
    live = {"id": "a", "snippet": {"defaultAudioLanguage": "zxx"}, "contentDetails": {"duration": "P0D"}}
    assert item_of(live) == {"id": "a", "url": "https://www.youtube.com/watch?v=a"}
    assert item_of({"id": "a", "status": {"privacyStatus": "private"}}) is None
    assert item_of({"id": "a", "snippet": {"liveBroadcastContent": "upcoming"}}) is None
    assert item_of({"id": "a", "statistics": {"viewCount": "many"}}).keys() == {"id", "url"}  # type: ignore[union-attr]
    assert seconds_of("PT90S") == 90
