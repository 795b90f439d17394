"""Spotify's accounts service: apps, people, their consent, and tokens that expire."""

import base64
import hashlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

ACCESS_SECONDS = 3600
REFRESH_SECONDS = 182 * 86400
"""Since 2026-07-20 a refresh token ends six months after the consent; refreshing doesn't extend it."""

SCOPES = frozenset(
    [
        "user-top-read",
        "user-library-read",
        "user-read-recently-played",
        "user-follow-read",
        "playlist-read-private",
        "playlist-read-collaborative",
        "playlist-modify-private",
        "playlist-modify-public",
        "user-read-private",
        "user-read-email",
    ]
)


@dataclass
class App:
    """A registered app; `premium`: whether its owner pays, without which it gets nothing."""

    secret: str
    redirect_uris: tuple[str, ...] = ("http://127.0.0.1:8000/v1/plugins/spotify/callback",)
    premium: bool = True


@dataclass
class Grant:
    """What a token stands for; `user` is empty for the app's own."""

    client: str
    user: str = ""
    scopes: frozenset[str] = frozenset()
    until: float = 0.0
    consented: float = 0.0


@dataclass
class _Code:
    grant: Grant
    redirect_uri: str
    challenge: str


@dataclass
class Accounts:
    """Who may do what, and until when. `advance` lets time pass."""

    apps: dict[str, App] = field(default_factory=lambda: {"app": App("app-secret-3f9a")})
    at_the_screen: str = "ann"
    """Who sits before the consent screen; empty: somebody who refuses."""
    access: dict[str, Grant] = field(default_factory=dict)
    refresh: dict[str, Grant] = field(default_factory=dict)
    codes: dict[str, _Code] = field(default_factory=dict)
    _ahead: float = 0.0

    def now(self) -> float:
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        """Let time pass for the service, not for its callers."""
        self._ahead += seconds

    def user_token(self, user: str, *scopes: str, client: str = "app") -> str:
        """An access token of a person, as if consent had been given."""
        grant = Grant(client, user, frozenset(scopes) or SCOPES, consented=self.now())
        return str(self._granted(grant)["access_token"])

    def refresh_token(self, user: str, *scopes: str, client: str = "app") -> str:
        """A refresh token of a person, as if consent had been given."""
        return self._refreshing(Grant(client, user, frozenset(scopes) or SCOPES, consented=self.now()))

    def authorize(self, request: Request) -> Response:
        """`GET /authorize`: the consent screen, where consent is given or refused at once."""
        asked = request.query_params
        app = self.apps.get(asked.get("client_id", ""))
        target = asked.get("redirect_uri", "")
        if app is None or target not in app.redirect_uris or not _allowed(target):
            what = "client" if app is None else "redirect URI"
            return Response(f"INVALID_CLIENT: Invalid {what}", 400)
        state = {"state": asked["state"]} if "state" in asked else {}
        scopes = frozenset(asked.get("scope", "").split())
        if asked.get("response_type") != "code":
            return RedirectResponse(f"{target}?{urlencode({'error': 'unsupported_response_type', **state})}")
        if not scopes <= SCOPES:
            return RedirectResponse(f"{target}?{urlencode({'error': 'invalid_scope', **state})}")
        if asked.get("code_challenge") and asked.get("code_challenge_method") != "S256":
            return RedirectResponse(f"{target}?{urlencode({'error': 'invalid_request', **state})}")
        if not self.at_the_screen:
            return RedirectResponse(f"{target}?{urlencode({'error': 'access_denied', **state})}")
        code = secrets.token_urlsafe(24)
        grant = Grant(asked["client_id"], self.at_the_screen, scopes, self.now() + 600, self.now())
        self.codes[code] = _Code(grant, target, asked.get("code_challenge", ""))
        return RedirectResponse(f"{target}?{urlencode({'code': code, **state})}")

    async def token(self, request: Request) -> Response:
        """`POST /api/token`: tokens for an app's credentials, a code, or a refresh token."""
        form = dict(parse_qsl((await request.body()).decode()))
        client, secret = _basic(request) or (form.get("client_id", ""), form.get("client_secret"))
        app = self.apps.get(client)
        if app is None or (secret is not None and not secrets.compare_digest(secret, app.secret)):
            return _refused("invalid_client", "Invalid client" if app is None else "Invalid client secret")
        match form.get("grant_type"):
            case "client_credentials" if secret is not None:
                return JSONResponse(self._granted(Grant(client)))
            case "client_credentials":
                return _refused("invalid_client", "Client secret is missing")
            case "authorization_code":
                return self._for_code(client, secret, form)
            case "refresh_token":
                return self._for_refresh_token(client, form)
        return _refused(
            "unsupported_grant_type",
            "grant_type must be client_credentials, authorization_code or refresh_token",
        )

    def _for_code(self, client: str, secret: str | None, form: Mapping[str, str]) -> Response:
        code = self.codes.pop(form.get("code", ""), None)
        if code is None or code.grant.client != client or code.grant.until < self.now():
            return _refused("invalid_grant", "Invalid authorization code")
        if form.get("redirect_uri") != code.redirect_uri:
            return _refused("invalid_grant", "Invalid redirect URI")
        if code.challenge:
            digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            if base64.urlsafe_b64encode(digest).decode().rstrip("=") != code.challenge:
                return _refused("invalid_grant", "code_verifier was incorrect")
        elif secret is None:
            return _refused("invalid_client", "Client secret is missing")
        return JSONResponse({**self._granted(code.grant), "refresh_token": self._refreshing(code.grant)})

    def _for_refresh_token(self, client: str, form: Mapping[str, str]) -> Response:
        token = form.get("refresh_token", "")
        grant = self.refresh.get(token)
        if grant is None or grant.client != client or grant.consented + REFRESH_SECONDS < self.now():
            return _refused("invalid_grant", "Refresh token revoked")
        del self.refresh[
            token
        ]  # one of an app without a secret is good once: a new one comes with the answer
        return JSONResponse({**self._granted(grant), "refresh_token": self._refreshing(grant)})

    def _granted(self, grant: Grant) -> dict[str, object]:
        token = f"BQ{secrets.token_urlsafe(60)}"
        self.access[token] = Grant(
            grant.client, grant.user, grant.scopes, self.now() + ACCESS_SECONDS, grant.consented
        )
        scope = {"scope": " ".join(sorted(grant.scopes))} if grant.user else {}
        return {"access_token": token, "token_type": "Bearer", "expires_in": ACCESS_SECONDS, **scope}

    def _refreshing(self, grant: Grant) -> str:
        token = f"AQ{secrets.token_urlsafe(60)}"
        self.refresh[token] = grant
        return token


def _allowed(uri: str) -> bool:
    """Since 2025-11-27: https, or http to a loopback address that is written as one."""
    parts = urlsplit(uri)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1"))


def _basic(request: Request) -> tuple[str, str] | None:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme != "Basic":
        return None
    client, _, secret = base64.b64decode(encoded).decode().partition(":")
    return client, secret


def _refused(error: str, description: str) -> Response:
    return JSONResponse({"error": error, "error_description": description}, 400)
