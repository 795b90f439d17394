"""Linking a person's Spotify account: Authorization Code with PKCE (RFC 7636), and the tokens that come of it.

`GET /v1/plugins/spotify/login?user=ann` sends the browser to Spotify's consent page, which sends it back to
`GET /v1/plugins/spotify/callback`. What is kept is the refresh token, encrypted, with the user's accounts; access
tokens stay in this process, for an hour at most.
"""

import asyncio
import json
import secrets
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

from ..core import ConnectorError, NotFound, Refused, RequestError, ServiceError

if TYPE_CHECKING:
    from fastapi import APIRouter

    from .spotify_requests import SpotifyRequests

SCOPES = "user-top-read user-library-read user-read-recently-played user-follow-read playlist-read-private"
"""What a person is asked to allow: reading alone."""

COOKIE = "tastemaker_spotify"
_LOGIN_SECONDS = 600.0
_LOOK_AGAIN_SECONDS = 60.0
"""How long it is believed that an account is still linked, or still isn't."""
_EARLY_SECONDS = 60.0
_MOST = 10_000
_LOCK_SECONDS = 30.0
"""How long reading and keeping an account may take, beside the call."""


class Ended(Refused):
    """The consent is over: it was withdrawn, or is six months old."""


@dataclass(slots=True)
class _Held:
    """A person's access token, empty where no account is linked. Moments in seconds of the monotonic clock."""

    token: str
    until: float
    looked: float


class Logins:
    """The linked accounts of one connector."""

    def __init__(self, spotify: "SpotifyRequests") -> None:
        self._spotify = spotify
        self._held: OrderedDict[str, _Held] = OrderedDict()

    async def begin(self, user: str) -> tuple[str, str]:
        """The consent page for a person, and a secret that their browser has to bring back. Raises ConnectorError."""
        spotify = self._spotify
        spotify.accounts.check()
        state, secret = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        url, verifier = spotify.client().login(spotify.redirect_uri, SCOPES, state)
        note = json.dumps({"user": user, "verifier": verifier, "secret": secret})
        await spotify.memory.put(spotify.place("login", state), note.encode(), _LOGIN_SECONDS)
        return url, secret

    async def finish(self, state: str, code: str, secret: str) -> str:
        """Keep what a consent gave; the user whose it is. Raises RequestError, ServiceError or ConnectorError."""
        spotify = self._spotify
        key = spotify.place("login", state)
        kept = await spotify.memory.get(key)
        note = json.loads(kept) if kept else None
        if note is None or not secrets.compare_digest(note["secret"].encode(), secret.encode()):
            raise RequestError("this login wasn't begun here, or is over; begin it anew", "state")
        if not await spotify.memory.acquire(f"{key}:used", secret, _LOGIN_SECONDS):
            raise RequestError("this login has been finished already; begin it anew", "state")
        await spotify.memory.drop(key)
        tokens = await spotify.exchanged(code, note["verifier"])
        await self._keep(note["user"], tokens, {"consented": time.time(), "scope": tokens.get("scope")})
        return str(note["user"])

    async def token(self, user: str) -> str:
        """An access token of a person; empty where no account is linked. Raises ServiceError or ConnectorError."""
        held, now = self._held.get(user), time.monotonic()
        if held is not None and held.until - _EARLY_SECONDS > now and held.looked + _LOOK_AGAIN_SECONDS > now:
            self._held.move_to_end(user)
            return held.token
        account = await self._account(user)
        if account is None:
            self._hold(user, _Held("", now + 1e9, now))
            return ""
        if held is not None and held.token and held.until - _EARLY_SECONDS > now:
            held.looked = now
            return held.token
        return await self._refreshed(user)

    def forget(self, user: str) -> None:
        """Fetch a new token, or look for the account anew, before the next request."""
        self._held.pop(user, None)

    async def _refreshed(self, user: str) -> str:
        """A new access token. One at a time for a person: a refresh token is good once."""
        spotify, mine = self._spotify, secrets.token_hex(8)
        lock = spotify.place("refreshing", user)
        while not await spotify.memory.acquire(lock, mine, spotify.longest_seconds + _LOCK_SECONDS):
            await asyncio.sleep(0.02)
        try:
            held = self._held.get(user)
            if held is not None and held.token and held.until - _EARLY_SECONDS > time.monotonic():
                return held.token
            refused = False
            while True:
                account = await self._account(user)
                if account is None:
                    return ""
                try:
                    tokens = await spotify.refreshed(user, account["refresh_token"])
                except Ended:
                    # A process that doesn't see this one's lock may have renewed it meanwhile.
                    if await spotify.accounts.remove_only(user, spotify.entry, account) or refused:
                        await spotify.forget(user)
                        raise
                    refused = True
                    continue
                await self._keep(user, tokens, account)
                return str(tokens["access_token"])
        finally:
            await spotify.memory.release(lock, mine)

    async def _keep(self, user: str, tokens: Mapping[str, Any], account: Mapping[str, Any]) -> None:
        refresh = tokens.get("refresh_token") or account.get("refresh_token")
        if account.get("refresh_token") != refresh:
            whole = {**account, "refresh_token": refresh}
            await self._spotify.accounts.put(user, self._spotify.entry, whole)
        now = time.monotonic()
        self._hold(user, _Held(str(tokens["access_token"]), now + float(tokens["expires_in"]), now))

    async def _account(self, user: str) -> dict[str, Any] | None:
        return await self._spotify.accounts.get(user, self._spotify.entry)

    def _hold(self, user: str, held: _Held) -> None:
        self._held[user] = held
        self._held.move_to_end(user)
        while len(self._held) > _MOST:
            self._held.popitem(last=False)


def router() -> "APIRouter":
    """The routes under `/v1/plugins/spotify`."""
    from fastapi import APIRouter, Cookie, Query, Request
    from fastapi.responses import JSONResponse, RedirectResponse

    routes = APIRouter()

    @routes.get("/login", status_code=307, response_class=RedirectResponse)
    async def login(
        request: Request,
        user: Annotated[str, Query(min_length=1, max_length=256)],
        connector: Annotated[str | None, Query(max_length=256)] = None,
    ) -> RedirectResponse:
        """Send a person's browser to the page where they allow Spotify to tell what they hear."""
        spotify = _connector(request, connector)
        try:
            url, secret = await spotify.logins.begin(user)
        except ServiceError:
            raise
        except ConnectorError as problem:
            raise RequestError(str(problem)) from None
        answer = RedirectResponse(url)
        answer.set_cookie(
            COOKIE,
            f"{spotify.entry}.{secret}",
            max_age=int(_LOGIN_SECONDS),
            path="/v1/plugins/spotify",
            httponly=True,
            samesite="lax",
            secure=urlsplit(spotify.redirect_uri).scheme == "https",
        )
        return answer

    @routes.get("/callback")
    async def callback(
        request: Request,
        state: Annotated[str, Query(max_length=256)] = "",
        code: Annotated[str, Query(max_length=2048)] = "",
        error: Annotated[str, Query(max_length=256)] = "",
        kept: Annotated[str, Cookie(alias=COOKIE, max_length=512)] = "",
    ) -> JSONResponse:
        """Where Spotify sends the browser back to: link the account."""
        if error:
            raise RequestError(
                "Spotify linked nothing: consent was refused"
                if error == "access_denied"
                else f"Spotify linked nothing: {error!r}",
                "error",
            )
        if not (state and code and kept):
            missing = "state" if not state else "code" if not code else "the cookie of the login"
            raise RequestError(f"{missing} is missing: begin at /v1/plugins/spotify/login", "state")
        name, _, secret = kept.rpartition(".")
        user = await _connector(request, name).logins.finish(state, code, secret)
        answer = JSONResponse({"id": user, "linked": name})
        answer.delete_cookie(COOKIE, path="/v1/plugins/spotify")
        return answer

    return routes


def _connector(request: Any, name: str | None) -> "SpotifyRequests":
    """The running connector of a name, or the only one. Raises NotFound, RequestError."""
    from .spotify_requests import SpotifyRequests

    found: dict[str, SpotifyRequests] = {
        entry: connector
        for _, entry, connector in request.app.state.orchestrator.connections
        if isinstance(connector, SpotifyRequests)
    }
    if not found:
        raise NotFound("no connector to Spotify is configured: it needs a client id and its secret")
    if name is None and len(found) == 1:
        return next(iter(found.values()))
    if name not in found:
        raise RequestError(f"say which connector is meant: {' or '.join(found)}", "connector")
    return found[name]
