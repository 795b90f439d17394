"""People link their Spotify accounts in a browser; afterwards their slates know what they hear."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from tastemaker.core import LocalMemory
from tastemaker.core.api import create_app
from tastemaker.core.clock import wall
from tastemaker.core.config import load
from tastemaker.core.errors import ConnectorError
from tastemaker.core.orchestrator import Orchestrator

pytest.importorskip("spotipy", reason="needs the extra 'spotify'")
pytest.importorskip("cryptography", reason="needs the extra 'accounts'")

from tastemaker.connectors.spotify import Listener, Spotify
from tastemaker.connectors.spotify_login import Ended

from ..fakes.faults import Fault
from ..fakes.serving import serve
from ..fakes.spotify import spotify_app
from ..fakes.spotify_accounts import REFRESH_SECONDS

YAML = """
version: 1
store: sqlite:///{path}/music.db
{keys}
domains:
  music:
    connectors:
      spotify:
        use: spotify.api
        client_id: app
        client_secret: app-secret-3f9a
        api_url: {url}/v1
        accounts_url: {url}
        redirect_uri: http://127.0.0.1:8000/v1/plugins/spotify/callback
        retries: 0
    items: {{fields: {{title: text, artist: category, genres: tags}}}}
    sources: {{seeds: {{use: music.seeds, wait_ms: 8000}}}}
    slate: {{size: 5, deadline_ms: 20000}}
"""
KEYS = 'accounts: {keys: ["c2VjcmV0IG9mIHRoaXJ0eS10d28gYnl0ZXMsIG5vdHM="]}'
OURS = "http://127.0.0.1:8000"


class Browser:
    """Somebody's browser: it keeps cookies by host, and goes where it is sent."""

    def __init__(self, app: Any) -> None:
        self._ours = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=OURS)
        self._theirs = httpx.AsyncClient()

    async def get(self, url: str) -> httpx.Response:
        client = self._ours if url.startswith((OURS, "/")) else self._theirs
        return await client.get(url)

    async def close(self) -> None:
        await self._ours.aclose()
        await self._theirs.aclose()

    async def to_the_consent_page(self, user: str = "ann") -> str:
        """Begin a login, and consent; the address that Spotify sends the browser to."""
        begun = await self.get(f"/v1/plugins/spotify/login?user={user}")
        assert begun.status_code == 307, begun.text
        consent = await self.get(begun.headers["location"])
        return str(consent.headers["location"])


class Stand:
    def __init__(self, spotify: Starlette, url: str, path: Path) -> None:
        self.spotify, self.url, self.path = spotify, url, path
        self.accounts = spotify.state.spotify.accounts

    def live(self, life: Callable[[Browser, Orchestrator], Awaitable[Any]], keys: str = KEYS) -> None:
        config = self.path / "config.yaml"
        config.write_text(YAML.format(path=self.path, url=self.url, keys=keys))

        async def lived() -> None:
            app = create_app(load(config))
            async with contextlib.AsyncExitStack() as stack:
                await stack.enter_async_context(app.router.lifespan_context(app))
                browser = Browser(app)
                stack.push_async_callback(browser.close)
                await life(browser, app.state.orchestrator)

        asyncio.run(lived())


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    app = spotify_app()
    with serve(app) as url:
        yield Stand(app, url, tmp_path)


def connector(orchestrator: Orchestrator) -> Spotify:
    return next(each for _, _, each in orchestrator.connections if isinstance(each, Spotify))


async def listening(orchestrator: Orchestrator, user: str = "ann") -> Listener:
    found = await connector(orchestrator).listener(user)
    assert found is not None
    return found


def test_an_account_is_linked_and_its_owner_gets_what_they_like(stand: Stand) -> None:
    async def life(browser: Browser, orchestrator: Orchestrator) -> None:
        nobody = await browser.get("/v1/music/recommendations/ann")
        assert nobody.json()["items"] == []
        back = await browser.to_the_consent_page()
        assert back.startswith(f"{OURS}/v1/plugins/spotify/callback?code=")
        done = await browser.get(back)
        assert done.status_code == 200, done.text
        assert done.json() == {"id": "ann", "linked": "spotify"}
        slate = (await browser.get("/v1/music/recommendations/ann")).json()
        assert len(slate["items"]) == 5
        assert (await browser.get("/v1/users/ann/accounts")).json()["accounts"][0]["service"] == "spotify"
        assert (await browser.get("/v1/music/recommendations/bob")).json()["degraded"]

    stand.live(life)
    tokens = [*stand.accounts.refresh, *stand.accounts.access]
    assert tokens
    stored = "\n".join(sqlite3.connect(stand.path / "music.db").iterdump())
    assert [token for token in tokens if token in stored] == []


def test_the_consent_page_is_asked_for_reading_alone_with_a_challenge(stand: Stand) -> None:
    async def life(browser: Browser, _: Orchestrator) -> None:
        begun = await browser.get("/v1/plugins/spotify/login?user=ann")
        asked = parse_qs(urlsplit(begun.headers["location"]).query)
        assert asked["code_challenge_method"] == ["S256"]
        assert len(asked["code_challenge"][0]) == 43
        assert len(asked["state"][0]) >= 32
        assert "modify" not in asked["scope"][0]
        assert "HttpOnly" in begun.headers["set-cookie"]
        assert "app-secret-3f9a" not in begun.headers["location"]

    stand.live(life)


def test_a_login_that_was_not_begun_here_is_refused(stand: Stand) -> None:
    async def life(browser: Browser, orchestrator: Orchestrator) -> None:
        back = await browser.to_the_consent_page()
        for wrong in (
            back.replace("state=", "state=x"),
            back.partition("&state=")[0],
            back.replace("code=", "kode="),
            f"{OURS}/v1/plugins/spotify/callback",
        ):
            refused = await browser.get(wrong)
            assert refused.status_code == 422, refused.text
        browser._ours.cookies.clear()  # somebody else's browser
        refused = await browser.get(back)
        assert (refused.status_code, "cookie" in refused.json()["detail"]) == (422, True)
        assert await orchestrator.accounts.linked("ann") == []

    stand.live(life)


def test_another_browser_cannot_finish_a_login(stand: Stand) -> None:
    """Else whoever begins one could have somebody else's account linked to their name."""

    async def life(browser: Browser, orchestrator: Orchestrator) -> None:
        attackers = await browser.to_the_consent_page("mallory")
        await browser.to_the_consent_page("ann")  # the victim's browser holds a login of its own
        refused = await browser.get(attackers)
        assert refused.status_code == 422
        assert await orchestrator.accounts.linked("mallory") == []

    stand.live(life)


def test_a_login_is_good_once(stand: Stand) -> None:
    async def life(browser: Browser, _: Orchestrator) -> None:
        back = await browser.to_the_consent_page()
        cookies = dict(browser._ours.cookies)
        assert (await browser.get(back)).status_code == 200
        browser._ours.cookies.update(cookies)
        assert (await browser.get(back)).status_code == 422

    stand.live(life)


def test_who_refuses_consent_is_told_so(stand: Stand) -> None:
    async def life(browser: Browser, orchestrator: Orchestrator) -> None:
        stand.accounts.at_the_screen = ""
        back = await browser.to_the_consent_page()
        refused = await browser.get(back)
        assert refused.status_code == 422
        assert "consent was refused" in refused.json()["detail"]
        assert await orchestrator.accounts.linked("ann") == []

    stand.live(life)


def test_without_a_key_to_encrypt_with_nobody_is_sent_away(stand: Stand) -> None:
    async def life(browser: Browser, _: Orchestrator) -> None:
        refused = await browser.get("/v1/plugins/spotify/login?user=ann")
        assert refused.status_code == 422
        assert "accounts.keys" in refused.json()["detail"]
        assert (await browser.get("/v1/music/recommendations/ann")).status_code == 200

    stand.live(life, keys="")


def test_an_access_token_that_ends_is_renewed_once_and_the_refresh_token_changes(stand: Stand) -> None:
    async def life(browser: Browser, orchestrator: Orchestrator) -> None:
        await browser.get(await browser.to_the_consent_page())
        spotify = connector(orchestrator)
        first = await listening(orchestrator)
        kept = await orchestrator.accounts.get("ann", "spotify")
        stand.accounts.advance(3601)
        found = await asyncio.gather(
            spotify.top_tracks(first), spotify.top_artists(first), spotify.saved_tracks(first)
        )
        assert all(found)
        second = await listening(orchestrator)
        assert second.token != first.token
        renewed = await orchestrator.accounts.get("ann", "spotify")
        assert kept is not None
        assert renewed is not None
        assert renewed["refresh_token"] != kept["refresh_token"]
        assert renewed["consented"] == kept["consented"]

    stand.live(life)


def test_many_at_once_renew_a_token_once(stand: Stand) -> None:
    """A refresh token is good once: the second to use it would lose the account."""

    async def life(browser: Browser, orchestrator: Orchestrator) -> None:
        await browser.get(await browser.to_the_consent_page())
        connector(orchestrator).logins.forget("ann")
        before = sum(each.path == "/api/token" for each in stand.spotify.state.requests)
        found = await asyncio.gather(*(listening(orchestrator) for _ in range(20)))
        assert len({each.token for each in found}) == 1
        assert sum(each.path == "/api/token" for each in stand.spotify.state.requests) == before + 1

    stand.live(life)


def test_a_consent_of_six_months_ago_is_over_and_the_account_is_forgotten(stand: Stand) -> None:
    async def life(browser: Browser, orchestrator: Orchestrator) -> None:
        await browser.get(await browser.to_the_consent_page())
        connector(orchestrator).logins.forget("ann")
        stand.accounts.advance(REFRESH_SECONDS + 1)
        with pytest.raises(Ended, match="linked again"):
            await connector(orchestrator).listener("ann")
        assert await orchestrator.accounts.linked("ann") == []
        assert await connector(orchestrator).listener("ann") is None
        slate = (await browser.get("/v1/music/recommendations/ann")).json()
        assert slate["items"] == []

    stand.live(life)


def test_of_two_that_renew_at_once_neither_loses_the_account(stand: Stand) -> None:
    """Without Redis a process doesn't see the other's lock."""

    async def life(browser: Browser, orchestrator: Orchestrator) -> None:
        await browser.get(await browser.to_the_consent_page())
        winner = connector(orchestrator)
        winner.logins.forget("ann")

        class Late(Spotify):
            async def refreshed(self, user: str, refresh_token: str) -> Mapping[str, Any]:
                await winner.listener(user)  # has renewed it when this one asks
                return await super().refreshed(user, refresh_token)

        loser = Late.model_validate({name: getattr(winner, name) for name in Spotify.model_fields})
        loser._bind(LocalMemory(), wall, "spotify", orchestrator.accounts)
        found = await loser.listener("ann")
        assert found is not None
        assert await loser.top_tracks(found) == await winner.top_tracks(await listening(orchestrator))
        account = await orchestrator.accounts.get("ann", "spotify")
        assert account is not None
        assert account["refresh_token"] in stand.accounts.refresh

    stand.live(life)


def test_a_renewal_that_fails_for_a_while_loses_nothing(stand: Stand) -> None:
    async def life(browser: Browser, orchestrator: Orchestrator) -> None:
        await browser.get(await browser.to_the_consent_page())
        connector(orchestrator).logins.forget("ann")
        stand.spotify.state.faults.append(Fault("/api/token", status=503))
        with pytest.raises(ConnectorError, match="503"):
            await connector(orchestrator).listener("ann")
        assert (await listening(orchestrator)).token

    stand.live(life)


def test_an_erased_user_is_not_heard_any_more(stand: Stand) -> None:
    async def life(browser: Browser, orchestrator: Orchestrator) -> None:
        await browser.get(await browser.to_the_consent_page())
        await orchestrator.accounts.remove("ann", "spotify")
        held = connector(orchestrator).logins._held["ann"]
        held.looked -= 61  # a minute later
        assert await connector(orchestrator).listener("ann") is None

    stand.live(life)
