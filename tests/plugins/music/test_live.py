"""Slates of music from a local Spotify, through a configuration as a user writes it."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from tastemaker.core import Context, Request, Slate, Throttled
from tastemaker.core.clock import Clock, ManualClock
from tastemaker.core.config import load
from tastemaker.core.orchestrator import Orchestrator
from tastemaker.core.recent import Recent

pytest.importorskip("spotipy", reason="needs the extra 'spotify'")

from tastemaker.connectors.spotify import Spotify
from tastemaker.plugins.catalog.ranking import in_turn
from tastemaker.plugins.music.live import Genres

from ...fakes.faults import Fault
from ...fakes.serving import serve
from ...fakes.spotify import spotify_app

YAML = """
version: 1
store: sqlite:///{path}/music.db
domains:
  music:
    connectors:
      spotify:
        use: spotify.api
        client_id: app
        client_secret: app-secret-3f9a
        api_url: {url}/v1
        accounts_url: {url}
        market: DE
        retries: 0
        {more}
    items:
      fields:
        title: text
        artist: category
        album: text
        genres: tags
        isrc: text
        energy: number
        valence: number
        danceability: number
        acousticness: number
        tempo: number
        features_from: category
        features_confidence: number
        popularity: number
        released: time
    sources:
      seeds: {{use: music.seeds, limit: 200, wait_ms: 8000}}
      genres: {{use: music.genres, limit: 200, wait_ms: 8000}}
      service: {{use: music.service, limit: 100, wait_ms: 8000, max_energy: 0.7}}
    filters:
      heard: {{use: catalog.seen, days: 3}}
    scorers:
      calm: {{use: catalog.numeric, field: energy, ideal: 0.3, tolerance: 0.7, missing: 0.6}}
    slate: {{size: 12, deadline_ms: 20000}}
"""


class Stand:
    def __init__(self, app: Starlette, url: str, path: Path) -> None:
        self.app, self.url, self.path = app, url, path
        self.fake = app.state.spotify

    def live(
        self, life: Callable[[Orchestrator], Awaitable[Any]], more: str = "", clock: Clock = time.time
    ) -> Any:
        """What happens between the start and the stop of the platform."""
        config = self.path / "config.yaml"
        config.write_text(YAML.format(path=self.path, url=self.url, more=more))

        async def lived() -> Any:
            async with Orchestrator(load(config), clock=clock) as orchestrator:
                return await life(orchestrator)

        return asyncio.run(lived())

    def request(self, user: str = "ann", **situation: Any) -> Request:
        token = SecretStr(self.fake.accounts.user_token(user))
        return Request(user, situation=situation, credentials={"spotify": token})

    def asked(self, path: str = "/v1") -> int:
        return sum(each.path.startswith(path) for each in self.app.state.requests)


def stand(profile: Any, path: Path) -> Iterator[Stand]:
    app = spotify_app(profile)
    with serve(app) as url:
        yield Stand(app, url, path)


@pytest.fixture(params=["development", "extended"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stand]:
    yield from stand(request.param, tmp_path)


@pytest.fixture
def development(tmp_path: Path) -> Iterator[Stand]:
    yield from stand("development", tmp_path)


@pytest.fixture
def extended(tmp_path: Path) -> Iterator[Stand]:
    yield from stand("extended", tmp_path)


def columns(orchestrator: Orchestrator, slate: Slate) -> Callable[[str], Any]:
    catalog = orchestrator.agent("music").catalog.snapshot()
    rows = catalog.rows(pick.item for pick in slate.picks)
    return lambda name: catalog.column(name)[rows]


def test_a_slate_from_what_a_person_hears(either: Stand) -> None:
    async def life(orchestrator: Orchestrator) -> None:
        slate = await orchestrator.recommend("music", either.request("ann"))
        assert len(slate.picks) == 12
        assert slate.degraded == []
        catalog = orchestrator.agent("music").catalog.snapshot()
        assert 200 <= len(catalog.live) <= 500
        of = columns(orchestrator, slate)
        sources = {name for pick in slate.picks for name in pick.sources}
        assert "seeds" in sources
        confidence, energy = catalog.column("features_confidence"), catalog.column("energy")
        measured = ~np.isnan(energy)
        if either.fake.extended:
            assert measured.all()
            assert set(confidence.tolist()) == {1.0}
            assert "service" in {name for each in slate.picks for name in each.sources} | {"service"}
            real = [either.fake.catalogue.tracks[pick.item].features["energy"] for pick in slate.picks]
            assert of("energy").tolist() == pytest.approx(real, abs=1e-6)
        else:
            assert measured.mean() > 0.3  # those whose genre is known
            assert np.nanmax(confidence) < 1
        taste = {"jazz", "soul", "lo-fi"}
        artists = {
            artist.name for artist in either.fake.catalogue.artists.values() if taste & set(artist.genres)
        }
        from_seeds = [pick for pick in slate.picks if "seeds" in pick.sources]
        tracks = either.fake.catalogue.tracks
        assert all({artist.name for artist in tracks[pick.item].artists} & artists for pick in from_seeds)

    either.live(life)


def test_a_stranger_gets_what_the_situation_asks_for(either: Stand) -> None:
    async def life(orchestrator: Orchestrator) -> None:
        slate = await orchestrator.recommend("music", Request("eve", situation={"genre": "metal"}))
        assert len(slate.picks) == 12
        assert slate.degraded == []
        tracks = either.fake.catalogue.tracks
        assert all("metal" in tracks[pick.item].artists[0].genres for pick in slate.picks)
        assert either.asked("/v1/me") == 0

    either.live(life)


def test_years_that_are_none_are_named_and_not_searched_for(development: Stand) -> None:
    async def life(orchestrator: Orchestrator) -> None:
        slate = await orchestrator.recommend("music", Request("eve", situation={"years": "the nineties"}))
        said = "in part: the situation's 'years' can't be 'the nineties': it takes a year or two of them, such as"
        assert [entry.component for entry in slate.degraded if entry.reason.startswith(said)] == [
            "sources.genres"
        ]
        asked = [each.query["q"] for each in development.app.state.requests if each.path == "/v1/search"]
        assert asked
        assert not any("nineties" in each for each in asked)
        await orchestrator.recommend("music", Request("eve", situation={"years": 1994}))
        asked = [each.query["q"] for each in development.app.state.requests if each.path == "/v1/search"]
        assert any("year:1994" in each for each in asked)

    development.live(life)


def test_the_first_slate_asks_no_more_than_it_needs(either: Stand) -> None:
    async def life(orchestrator: Orchestrator) -> None:
        slate = await orchestrator.recommend("music", either.request("ann"))
        assert slate.degraded == []
        asked = Counter(
            re.sub("(?<=v1/artists|/v1/albums)/[^/]+", "", each.path).strip("/").removeprefix("v1/")
            for each in either.app.state.requests
        )
        for mine in (
            "me/top/tracks",
            "me/top/artists",
            "me/player/recently-played",
            "me/tracks",
            "me/following",
        ):
            assert asked.pop(mine) == 1
        assert asked.pop("api/token") == 1
        assert asked.pop("artists/albums") == asked.pop("albums/tracks") == 3
        assert asked.pop("recommendations") == 1
        # Four genres of four pages, one page of albums that few hear; two pages of each of ten artists where the app
        # isn't given their top tracks.
        assert asked.pop("search") == 4 * 4 + 1 + (0 if either.fake.extended else 10 * 2)
        # What an app isn't given may be asked for by all at once before the first refusal is known: by ten artists, and
        # for the features of what two sources found.
        if either.fake.extended:
            assert asked.pop("artists/top-tracks") == 10
            assert asked.pop("audio-features") == 2 + 2  # a hundred tracks each
        else:
            assert 1 <= asked.pop("artists/top-tracks") <= 10
            assert 1 <= asked.pop("audio-features") <= 2
        assert asked == {}

    either.live(life, clock=ManualClock(1_795_000_000.0))


def test_the_second_slate_asks_spotify_nothing(either: Stand) -> None:
    async def life(orchestrator: Orchestrator) -> None:
        request = either.request("ann")
        first = await orchestrator.recommend("music", request)
        asked = either.asked()
        size = len(orchestrator.agent("music").catalog.snapshot())
        second = await orchestrator.recommend("music", request)
        recommendations = either.asked("/v1/recommendations") - 1  # are never kept, unless the config says so
        assert either.asked() == asked + (recommendations if either.fake.extended else 0)
        assert len(second.picks) == len(first.picks) == 12
        assert second.degraded == []
        assert len(orchestrator.agent("music").catalog.snapshot()) == size

    either.live(life)


def test_the_same_recording_comes_once(either: Stand) -> None:
    async def life(orchestrator: Orchestrator) -> None:
        for genre in ("pop", "rock", "jazz"):
            await orchestrator.recommend("music", either.request("ann", genre=genre))
        catalog = orchestrator.agent("music").catalog.snapshot()
        isrcs = [isrc for isrc in catalog.column("isrc")[catalog.live].tolist() if isrc]
        assert len(isrcs) > 200
        assert len(isrcs) == len(set(isrcs))

    either.live(life)


def test_without_keys_nothing_of_it_takes_part(development: Stand) -> None:
    async def life(orchestrator: Orchestrator) -> None:
        slate = await orchestrator.recommend("music", development.request("ann"))
        assert slate.picks == []
        assert [entry for entry in slate.degraded if entry.component.startswith("sources.")] == []
        assert development.app.state.requests == []

    yaml = YAML.replace("client_secret: app-secret-3f9a", 'client_secret: ""')
    path = development.path / "config.yaml"
    path.write_text(yaml.format(path=development.path, url=development.url, more=""))

    async def lived() -> None:
        async with Orchestrator(load(path)) as orchestrator:
            await life(orchestrator)

    asyncio.run(lived())


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ({"status": 503}, "503"),
        ({"garbage": b"<html>"}, "JSON"),
        ({"drop": True}, "ChunkedEncodingError"),
        ({"status": 429, "headers": {"Retry-After": "3600"}}, "put off|429"),
    ],
)
def test_when_spotify_fails_the_catalogue_answers_and_the_cause_is_named(
    development: Stand, what: dict[str, Any], said: str
) -> None:
    async def life(orchestrator: Orchestrator) -> None:
        await orchestrator.recommend("music", development.request("ann"))
        development.app.state.faults.append(Fault("/v1", times=-1, **what))
        slate = await orchestrator.recommend("music", development.request("bob", genre="punk"))
        assert len(slate.picks) == 12
        named = {entry.component: entry.reason for entry in slate.degraded}
        assert {"sources.seeds", "sources.genres"} <= set(named)
        assert any(each in named["sources.genres"] for each in said.split("|")), named
        development.app.state.faults.clear()

    development.live(life)


def test_an_answer_of_several_that_fails_is_named(development: Stand) -> None:
    class Half(Genres):
        async def wish(self, context: Context) -> Any:
            async def refused() -> list[Any]:
                raise Throttled("spotify: search: too fast")

            async def find(wait: Any) -> list[Any]:
                return in_turn(await wait.all([self._of_genre("jazz", "", 0, wait), refused()]))

            return ("half",), find

    async def life(orchestrator: Orchestrator) -> None:
        agent = orchestrator.agent("music")
        service = next(
            step.component for step in agent.plan.connectors if isinstance(step.component, Spotify)
        )
        said: list[str] = []
        held, recent = agent.catalog.snapshot(), Recent()
        asked = partial(recent.question, "sources.half", now=0.0, catalog=held)
        context: Any = SimpleNamespace(catalog=held, lacks=said.append, asked=asked)
        found = await Half(service=service, wait_ms=8000).propose(context)
        assert len(found) > 5
        assert asked(("half", 200)).rows is None, "what is missing may be there the next time"
        assert said == ["1 of 2 answers are missing: spotify: search: too fast"]

    development.live(life)


def test_a_page_of_a_search_that_fails_is_named_and_asked_for_again(development: Stand) -> None:
    async def life(orchestrator: Orchestrator) -> None:
        page = {"type": "track", "offset": "10"}
        development.app.state.faults.append(Fault("/v1/search", query=page, status=503))
        slate = await orchestrator.recommend("music", Request("eve", situation={"genre": "jazz"}))
        assert len(slate.picks) == 12
        (degraded,) = slate.degraded
        assert degraded.component == "sources.genres"
        assert degraded.reason.startswith(
            "in part: pages of its answers are missing, 1 in all: spotify: search:"
        )
        assert "503" in degraded.reason
        known = len(orchestrator.agent("music").catalog.snapshot())
        slate = await orchestrator.recommend("music", Request("eve", situation={"genre": "jazz"}))
        assert slate.degraded == []
        assert len(orchestrator.agent("music").catalog.snapshot()) > known

    development.live(life)


def test_a_slow_spotify_is_not_waited_for_and_answers_next_time(development: Stand) -> None:
    async def life(orchestrator: Orchestrator) -> None:
        development.app.state.faults.append(Fault("/v1", times=-1, delay=0.6))
        begun = time.monotonic()
        first = await orchestrator.recommend("music", development.request("eve", genre="jazz"))
        assert time.monotonic() - begun < 5
        assert "no answer" in {entry.component: entry.reason for entry in first.degraded}["sources.genres"]
        for _ in range(100):
            await asyncio.sleep(0.1)
            slate = await orchestrator.recommend("music", Request("eve", situation={"genre": "jazz"}))
            if len(slate.picks) == 12:
                break
        assert len(slate.picks) == 12

    yaml = YAML.replace("wait_ms: 8000", "wait_ms: 200")
    path = development.path / "config.yaml"
    path.write_text(yaml.format(path=development.path, url=development.url, more=""))

    async def lived() -> None:
        async with Orchestrator(load(path)) as orchestrator:
            await life(orchestrator)

    asyncio.run(lived())


def test_knobs_reach_spotifys_own_recommendations(extended: Stand) -> None:
    async def life(orchestrator: Orchestrator) -> None:
        await orchestrator.recommend("music", extended.request("ann"))
        asked = [each.query for each in extended.app.state.requests if each.path == "/v1/recommendations"]
        assert [each["max_energy"] for each in asked] == ["0.7"]
        assert all("min_energy" not in each for each in asked)

    extended.live(life)


def calls(orchestrator: Orchestrator) -> int:
    """How often the connector was asked, by whatever it was answered."""
    (service,) = (each for _, name, each in orchestrator.connections if name == "spotify")
    return sum(counts["calls"] for counts in service.metrics.values())


def live_picks(slate: Slate, source: str) -> set[str]:
    return {pick.item for pick in slate.picks if source in pick.sources}


def test_the_same_wish_isnt_put_together_again(either: Stand) -> None:
    async def life(orchestrator: Orchestrator) -> None:
        request = either.request()
        for _ in range(2):
            await orchestrator.recommend("music", request)
        asked = calls(orchestrator)
        slate = await orchestrator.recommend("music", request)
        assert calls(orchestrator) == asked
        assert live_picks(slate, "seeds")
        assert slate.degraded == []

        # Another wish is found at once; what is one person's isn't another's.
        await orchestrator.recommend("music", either.request(genre="jazz"))
        assert calls(orchestrator) > asked
        asked = calls(orchestrator)
        await orchestrator.recommend("music", either.request("bob"))
        assert calls(orchestrator) > asked

    either.live(life)


def test_with_a_person_goes_what_was_found_for_them(development: Stand) -> None:
    async def life(orchestrator: Orchestrator) -> None:
        request = development.request()
        for _ in range(2):
            await orchestrator.recommend("music", request)
        asked = development.asked("/v1/me/top")
        await orchestrator.erase("ann")
        without = await orchestrator.recommend("music", Request("ann"))
        assert live_picks(without, "seeds") == set()
        assert development.asked("/v1/me/top") == asked
        await orchestrator.recommend("music", request)
        assert development.asked("/v1/me/top") > asked

    development.live(life)
