"""The preset of music with a Spotify app: collected in the background, served, and given back in time."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from tastemaker.core import Request
from tastemaker.core.config import load
from tastemaker.core.orchestrator import Orchestrator

pytest.importorskip("spotipy", reason="needs the extra 'spotify'")
pytest.importorskip("cryptography", reason="needs the extra 'accounts'")

from tastemaker.connectors.spotify import Spotify

from ...fakes.faults import Fault
from ...fakes.serving import serve
from ...fakes.spotify import spotify_app
from ...fakes.spotify_judge import SPEC, complaints

YAML = """
version: 1
store: sqlite:///{path}/music.db
accounts: {{keys: ["c2VjcmV0IG9mIHRoaXJ0eS10d28gYnl0ZXMsIG5vdHM="]}}
domains:
  music:
    extends: music
    connectors:
      spotify: {{api_url: "{url}/v1", accounts_url: "{url}", retries: 0, budgets: {{api: {{limit: 1000}}}}}}
    sources:
      seeds: {{wait_ms: 8000}}
      genres: {{wait_ms: 8000}}
      service: {{wait_ms: 8000}}
    slate: {{deadline_ms: 20000}}
"""


class Stand:
    def __init__(self, app: Starlette, url: str, path: Path) -> None:
        self.app, self.url, self.path = app, url, path
        self.fake = app.state.spotify

    def live(self, life: Callable[[Orchestrator], Awaitable[Any]]) -> None:
        config = self.path / "config.yaml"
        config.write_text(YAML.format(path=self.path, url=self.url))

        async def lived() -> None:
            async with Orchestrator(load(config), follow=False) as orchestrator:
                await life(orchestrator)

        asyncio.run(lived())

    def request(self, user: str = "ann", **situation: Any) -> Request:
        token = SecretStr(self.fake.accounts.user_token(user))
        return Request(user, situation=situation, credentials={"spotify": token})


@pytest.fixture(params=["development", "extended"])
def stand(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    monkeypatch.setenv("SPOTIFY_CLIENT_ID", "app")
    monkeypatch.setenv("SPOTIFY_CLIENT_SECRET", "app-secret-3f9a")
    app = spotify_app(request.param)
    with serve(app) as url:
        yield Stand(app, url, tmp_path)
    if SPEC.exists():
        assert complaints(app.state.answers, extended=request.param == "extended") == []


async def collected(orchestrator: Orchestrator, name: str) -> Any:
    """A run of a collector, when it has ended."""
    orchestrator.collecting.begin("music", name, "api")
    while (run := orchestrator.collecting.last("music", name)) is None or run.status == "running":
        await asyncio.sleep(0.02)
    await asyncio.to_thread(orchestrator.learn)
    return run


async def linked(orchestrator: Orchestrator, stand: Stand, user: str) -> None:
    token = stand.fake.accounts.refresh_token(user)
    await orchestrator.accounts.put(user, "spotify", {"refresh_token": token})


def catalog(orchestrator: Orchestrator) -> Any:
    return orchestrator.agent("music").catalog.snapshot()


def test_the_preset_serves_what_spotify_has_with_features(stand: Stand) -> None:
    async def life(orchestrator: Orchestrator) -> None:
        await collected(orchestrator, "harvest")
        slate = await orchestrator.recommend("music", stand.request("ann"))
        assert slate.picks
        assert slate.degraded == []
        items = catalog(orchestrator)
        assert {pick.item for pick in slate.picks} <= {*stand.fake.catalogue.tracks}
        assert len(items.live) > 300
        # By now the genres of most artists are known, and with them how their tracks sound, about.
        assert (~np.isnan(items.column("energy")[items.live])).mean() > 0.7

    stand.live(life)


def test_a_harvest_is_there_before_anybody_asks(stand: Stand) -> None:
    async def life(orchestrator: Orchestrator) -> None:
        run = await collected(orchestrator, "harvest")
        assert (run.status, run.faults) == ("done", [])
        items = catalog(orchestrator)
        assert len(items.live) > 200
        assert not np.isnan(items.column("energy")[items.live]).any()
        assert (items.column("family")[items.live] >= 0).mean() > 0.9
        stand.app.state.faults.append(Fault("/", times=-1, status=503))
        slate = await orchestrator.recommend("music", Request("eve"))
        assert slate.picks
        again = await collected(orchestrator, "harvest")
        assert (again.rejected, again.removed) == (0, 0)

    stand.live(life)


def test_a_harvest_without_a_single_answer_has_failed(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPOTIFY_CLIENT_SECRET", "wrong")

    async def life(orchestrator: Orchestrator) -> None:
        run = await collected(orchestrator, "harvest")
        assert (run.status, run.rows, run.failures) == ("failed", run.rejected, 1)
        assert "invalid_client" in run.error or "SPOTIFY_CLIENT" in run.error, run.error
        assert run.due(12 * 3600) - run.finished == 60

    stand.live(life)


def test_nobody_who_can_be_asked_is_a_failure(stand: Stand) -> None:
    async def life(orchestrator: Orchestrator) -> None:
        await linked(orchestrator, stand, "ann")
        stand.app.state.faults.append(Fault("/v1", times=-1, status=503))
        run = await collected(orchestrator, "listening")
        assert (run.status, [fault.where for fault in run.faults]) == ("failed", ["account of 'ann'"])
        assert "503" in run.error

    stand.live(life)


def test_what_people_hear_becomes_their_history_once(stand: Stand) -> None:
    async def life(orchestrator: Orchestrator) -> None:
        await linked(orchestrator, stand, "ann")
        await linked(orchestrator, stand, "bob")
        run = await collected(orchestrator, "listening")
        assert (run.status, run.error, run.faults) == ("done", "", [])
        assert run.interactions == 2 * (50 + 100)
        ann = stand.fake.people["ann"]
        history = await orchestrator.history("music", "ann", orchestrator.clock())
        assert {*history.ids.tolist()} <= {track.id for track, _ in [*ann.played, *ann.saved]}
        assert history.ids[0] == ann.played[0][0].id
        again = await collected(orchestrator, "listening")
        assert (again.status, again.interactions, again.rows) == ("done", 0, 0)
        ann.played.insert(0, (ann.top_tracks["long_term"][-1], 1.0))
        await next(each for _, _, each in orchestrator.connections if isinstance(each, Spotify)).forget(
            "ann"
        )  # half an hour later
        more = await collected(orchestrator, "listening")
        assert more.interactions == 1

    stand.live(life)


def test_a_page_that_fails_is_a_fault_and_what_it_holds_comes_the_next_time(stand: Stand) -> None:
    async def life(orchestrator: Orchestrator) -> None:
        await linked(orchestrator, stand, "ann")
        await linked(orchestrator, stand, "bob")
        stand.app.state.faults += [
            Fault("/v1/me/tracks", query={"offset": "50"}, status=503),
            Fault("/v1/search", query={"offset": "10"}, status=503),
        ]
        run = await collected(orchestrator, "listening")
        assert (run.status, run.interactions) == ("done", 150)
        (fault,) = run.faults
        assert "503" in fault.message
        again = await collected(orchestrator, "listening")
        assert (again.interactions, again.faults) == (150, [])
        harvest = await collected(orchestrator, "harvest")
        assert [fault.where for fault in harvest.faults] == ["genre 'pop'"]
        assert "503" in harvest.faults[0].message

    stand.live(life)


def test_one_account_that_is_over_keeps_nobody_back(stand: Stand) -> None:
    async def life(orchestrator: Orchestrator) -> None:
        await linked(orchestrator, stand, "ann")
        await orchestrator.accounts.put("bob", "spotify", {"refresh_token": "revoked"})
        run = await collected(orchestrator, "listening")
        assert run.interactions == 150
        assert [fault.where for fault in run.faults] == ["account of 'bob'"]
        assert "linked again" in run.faults[0].message
        assert [each.service for each in await orchestrator.accounts.linked("bob")] == []

    stand.live(life)


def test_items_are_asked_for_anew_and_keep_what_is_not_spotifys(stand: Stand) -> None:
    async def life(orchestrator: Orchestrator) -> None:
        await collected(orchestrator, "harvest")
        items = catalog(orchestrator)
        spotify = next(each for _, _, each in orchestrator.connections if isinstance(each, Spotify))
        ids = items.ids[items.live][:30].tolist()
        gone = stand.fake.catalogue.tracks[ids[3]]
        with_one_gone = {**stand.fake.catalogue.tracks}
        del with_one_gone[ids[3]]
        with contextlib.ExitStack() as stack:
            known = stand.fake.catalogue.tracks
            stand.fake.catalogue.tracks = with_one_gone
            stack.callback(lambda: setattr(stand.fake.catalogue, "tracks", known))
            found = await spotify.refresh(ids)
            assert [track and track["id"] for track in found] == [
                None if each == gone.id else each for each in ids
            ]
            assert "genres" not in (found[0] or {})  # which therefore stay as they are
        await spotify.memory.drop("")
        stand.app.state.faults.append(Fault("/v1", times=-1, status=503))
        with pytest.raises(Exception, match="503"):
            await spotify.refresh(ids)

    stand.live(life)
