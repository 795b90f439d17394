"""Requests to Spotify: whose they are, what surrounds them, and what its refusals mean."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import Field, PrivateAttr, SecretStr

from ..core import (
    Budget,
    Call,
    ConnectorError,
    Exhausted,
    Garbage,
    Invalid,
    Missing,
    Refused,
    Service,
    ServiceError,
    Terms,
    Throttled,
    Unavailable,
    Unreachable,
)
from . import spotify_objects as objects
from .spotify_login import Ended, Logins

if TYPE_CHECKING:
    from .spotify_client import Answered, SpotifyClient

_WITHHELD = frozenset(
    {"recommendations", "audio_features", "new_releases", "artist_top_tracks", "several_tracks"}
)
"""Operations that only apps with extended quota get. All others are given to every app: a 403
of these is about who asks."""
_OF_ONE = frozenset(
    {"track", "artist", "album", "album_tracks", "artist_albums", "artist_top_tracks", "playlist_items"}
)
"""Operations with an id in their path, so that a 404 means that there is no such thing."""

T = TypeVar("T")

Ask = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Listener:
    """A person as Spotify knows them; `linked`: whether the token is of an account that they have linked."""

    user: str
    token: str = field(repr=False)
    linked: bool = False


class Expired(Refused):
    """The token is over."""


class SpotifyRequests(Service):
    """The options of the connector, and how it asks."""

    client_id: str = Field("", description="Of your app, from Spotify's developer dashboard.")
    client_secret: SecretStr = Field(SecretStr(""), description="Of your app; never shown or logged.")
    redirect_uri: str = Field(
        "http://127.0.0.1:8000/v1/plugins/spotify/callback",
        pattern=r"^(https://|http://(127\.0\.0\.1|\[::1\])(:\d+)?/)",
        description="Where people come back to who link their account, as it is written in the dashboard: https, or "
        "http to 127.0.0.1.",
    )
    market: str | None = Field(
        None, pattern="^[A-Z]{2}$", description="Two letters of the country whose catalogue is searched."
    )
    api_url: str = Field("https://api.spotify.com/v1", pattern="^https?://", description="Of the Web API.")
    accounts_url: str = Field(
        "https://accounts.spotify.com", pattern="^https?://", description="Of the accounts service."
    )
    budgets: Mapping[str, Budget] = Field(
        default={"api": Budget(limit=120, per=30), "refresh": Budget(limit=60, per=30)},
        description="Spotify counts requests in 30 seconds, and doesn't say how many it allows: `refresh` are those "
        "for items whose time is nearly over, `api` all others.",
    )
    keep_days: float | None = Field(
        1.0,
        gt=0,
        description="Spotify allows to keep its data for a while only: days until it is fetched anew.",
    )
    trainable: bool = Field(
        False,
        description="Spotify forbids to train models on its content; true only where you were allowed to.",
    )

    ask_features: bool = Field(
        True,
        description="Whether Spotify is asked for audio features, where it gives them to your app. With false they are "
        "only ever your own or estimated, so that policies may use them.",
    )

    _client: "SpotifyClient | None" = PrivateAttr(None)
    _logins: Logins | None = PrivateAttr(None)

    @classmethod
    def component_name(cls) -> str:
        """What it is called in YAML: `spotify.api`."""
        return "api"

    @property
    def terms(self) -> Terms:
        """Those of its options, for the fields that it fills."""
        fields = objects.FIELDS | {*objects.FEATURES} if self.ask_features else objects.FIELDS
        return replace(super().terms, fields=fields)

    @property
    def configured(self) -> bool:
        """Whether there is a client id with its secret."""
        return bool(self.client_id and self.client_secret.get_secret_value())

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts of the two services; people's browsers go to that of the redirect URI, this doesn't."""
        return frozenset(url.split("/")[2].lower() for url in (self.api_url, self.accounts_url))

    def open(self) -> None:
        """Get the client library ready. Raises ConnectorError where it isn't installed."""
        self.client()

    def client(self) -> "SpotifyClient":
        """The client, made when it is needed first. Raises ConnectorError where spotipy isn't installed."""
        if self._client is None:
            try:
                from .spotify_client import Addresses, SpotifyClient
            except ImportError as error:
                raise ConnectorError(
                    f"{error.name or error} is missing; install it: pip install 'tastemaker[spotify]'"
                ) from None
            self._client = SpotifyClient(
                Addresses(self.api_url, self.accounts_url),
                self.client_id,
                self.client_secret.get_secret_value(),
                self.timeout_seconds,
            )
        return self._client

    @property
    def logins(self) -> Logins:
        """The accounts that people have linked."""
        if self._logins is None:
            self._logins = Logins(self)
        return self._logins

    async def listener(self, user: str, token: SecretStr | None = None) -> Listener | None:
        """A person, by a token that came with the request, or else by the account that they have linked.

        None where there is neither. Raises ServiceError where Spotify doesn't renew the account's token.
        """
        if token is not None:
            return Listener(user, token.get_secret_value())
        own = "" if self._accounts is None else await self.logins.token(user)
        return Listener(user, own, linked=True) if own else None

    async def forget(self, user: str) -> None:
        """Forget every kept answer that is a person's, and the token."""
        self.logins.forget(user)
        await super().forget(user)

    async def exchanged(self, code: str, verifier: str) -> Mapping[str, Any]:
        """The tokens for a code of the consent page. Raises ServiceError."""
        call = Call("link", secrets=(code, verifier))
        return await self._granted(
            call, lambda: self.client().tokens_for_code(self.redirect_uri, code, verifier)
        )

    async def refreshed(self, user: str, refresh_token: str) -> Mapping[str, Any]:
        """New tokens of a person. Raises ServiceError; Ended where the consent is over."""
        call = Call("refresh", user=user, secrets=(refresh_token,))
        return await self._granted(call, lambda: self.client().refreshed(refresh_token))

    async def _granted(self, call: Call, ask: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        """Tokens of the accounts service, which are kept nowhere else."""

        def send() -> dict[str, Any]:
            from .spotify_client import Answered

            try:
                given = ask()
            except Answered as refusal:
                if refusal.reason == "invalid_grant":
                    raise Ended(
                        f"the consent is over ({refusal}): the account has to be linked again"
                    ) from None
                raise self._refusal(call.name, refusal) from None
            try:
                return {
                    "access_token": str(given["access_token"]),
                    "refresh_token": str(given["refresh_token"]),
                    "expires_in": float(given["expires_in"]),
                    "scope": str(given.get("scope") or ""),
                }
            except (KeyError, TypeError, ValueError) as error:
                raise Garbage(f"not what Spotify sends: {type(error).__name__}: {error}") from None

        granted: Mapping[str, Any] = await self.call(call, send)
        return granted

    async def _for_all(
        self,
        name: str,
        ask: Ask,
        shape: Callable[[Any], T],
        *parts: Any,
        keep: Literal["answers", "features", "recommendations"] = "answers",
        bucket: str = "api",
        anew: bool = False,
    ) -> T:
        """An answer that is the same for all; `parts`: what tells it from others of the operation.

        anew: don't answer from the cache.
        """
        key = None if anew else _key(self.market, *parts)
        return await self._asked(Call(name, bucket, key=key, keep=keep), ask, shape)

    async def _own(
        self, listener: Listener, name: str, ask: Ask, shape: Callable[[Any], T], *parts: Any
    ) -> T:
        """An answer about a person."""
        call = Call(
            name,
            "api",
            # Whoever asks for a user: the account may be another one now.
            key=_key(self.market, hashlib.sha256(listener.token.encode()).hexdigest(), *parts),
            keep="user",
            user=listener.user,
            secrets=(listener.token,),
        )
        try:
            return await self._asked(call, ask, shape, listener.token)
        except Expired:
            if not listener.linked:
                raise
            self.logins.forget(listener.user)
            token = await self.logins.token(listener.user)
            return await self._asked(call, ask, shape, token)

    async def _asked(self, call: Call, ask: Ask, shape: Callable[[Any], T], token: str = "") -> T:
        """What a request gives, with the app's own token where none is given. Raises ServiceError."""
        client = self.client()

        def send() -> T:
            from .spotify_client import Answered

            try:
                answer = client.request(ask, token)
            except Answered as refusal:
                raise self._refusal(call.name, refusal) from None
            try:
                return shape(answer)
            except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
                raise Garbage(f"not what Spotify sends: {type(error).__name__}: {error}") from None

        found: T = await self.call(call, send)
        return found

    def _refusal(self, name: str, answered: "Answered") -> ServiceError:
        """What a refusal means, by its status and reason alone: the messages are for people, and change."""
        status, said = answered.status, f"Spotify answered {answered.status}: {answered}".rstrip(": ")
        if answered.reason in ("invalid_client", "invalid_grant", "unauthorized_client"):
            return Refused(said)
        match status:
            case 401:
                return Expired(said)
            case 403:
                return Unavailable(said) if name in _WITHHELD else Refused(said)
            case 404:
                if name in _OF_ONE:
                    return Missing(said)
                return Unavailable(said) if name in _WITHHELD else Invalid(said)
            case 429 if answered.reason == "QUOTA_EXCEEDED":
                return Exhausted(said, Budget(limit=1).day(self._clock())[1])
            case 429:
                return Throttled(said, answered.after)
        return Unreachable(said) if status >= 500 else Invalid(said)


def _key(*parts: Any) -> str:
    return json.dumps(parts, sort_keys=True, ensure_ascii=False)
