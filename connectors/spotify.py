"""Spotify's Web API: search, albums and tracks, and what a person hears, saves and follows.

connectors:
  spotify: {use: spotify.api, client_id: "${SPOTIFY_CLIENT_ID:-}", client_secret: "${SPOTIFY_CLIENT_SECRET:-}"}

A new app is in development mode and isn't given everything. What it isn't given is noticed by the answers, left alone
for a day, and replaced by a path that works. Tracks are raw items, as in `spotify_objects.track`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from ..core import (
    Call,
    Component,
    Missing,
    ServiceError,
    Unavailable,
    gathered,
    hookimpl,
)
from . import spotify_objects as objects
from .spotify_login import router
from .spotify_objects import Found
from .spotify_requests import Expired, Listener, SpotifyRequests

if TYPE_CHECKING:
    from fastapi import APIRouter


Kind = Literal["track", "artist", "album"]
Period = Literal["short_term", "medium_term", "long_term"]
Lost = Callable[[ServiceError], object]
"""Takes what a page couldn't be had for, where other pages were."""

__all__ = ["Expired", "Kind", "Listener", "Period", "Spotify"]

_PAGE = 10
"""Entries of a page that every app may ask for in a search, and of an artist's albums."""
_LONG_PAGE = 50
_FARTHEST = 1000
"""A search doesn't go beyond this offset."""


class Spotify(SpotifyRequests):
    """Spotify's Web API through spotipy.

    Without a client id and its secret it isn't configured, and what needs it takes no part. By its terms nothing may
    learn from Spotify's data, and what is kept of it is kept for a day.
    """

    async def health(self) -> str | None:
        """Whether Spotify knows the app, and answers it: by one search that is never answered from the cache."""
        call = Call("health", "api")
        try:
            await self._asked(call, lambda spotify: spotify.search("year:2020", limit=1), _whole)
        except ServiceError as problem:
            return str(problem)
        return None

    # The catalogue, for any app

    async def search(
        self,
        query: str,
        kind: Kind = "track",
        *,
        limit: int = 10,
        offset: int = 0,
        lost: Lost | None = None,
    ) -> list[Found]:
        """What a query finds, such as `artist:"Nina Simone"`, `genre:jazz`, `year:1959-1962`, `tag:hipster` (albums).

        At most 1,000 results; fewer than `limit` where some of its pages couldn't be had: `lost` is told of each.
        """
        query = " ".join(query.split())
        shape = {"track": objects.tracks, "artist": objects.artists, "album": objects.albums}[kind]

        async def page(start: int) -> list[Found]:
            return await self._for_all(
                "search",
                lambda spotify: spotify.search(query, _PAGE, start, kind, self.market),
                lambda raw: shape(objects.entries(raw, f"{kind}s", "items")),
                query.casefold(),
                kind,
                start,
            )

        last = min(offset + limit, _FARTHEST + 1)
        pages = [page(start) for start in range(offset, last, _PAGE)]
        return (await _of_pages(pages, lost))[: max(0, last - offset)]

    async def track(self, identity: str, *, bucket: str = "api", anew: bool = False) -> Found:
        """One track; `bucket`: the budget that it is charged to; `anew`: not from the cache. Raises Missing."""
        return await self._for_all(
            "track",
            lambda spotify: spotify.track(identity, self.market),
            lambda raw: {**objects.track(raw), "id": identity},
            identity,
            bucket=bucket,
            anew=anew,
        )

    async def artist(self, identity: str) -> Found:
        """One artist. Raises Missing."""
        return await self._for_all(
            "artist", lambda spotify: spotify.artist(identity), objects.artist, identity
        )

    async def album(self, identity: str) -> Found:
        """One album. Raises Missing."""
        return await self._for_all(
            "album", lambda spotify: spotify.album(identity, self.market), objects.album, identity
        )

    async def tracks(self, identities: Iterable[str]) -> list[Found]:
        """Several tracks, without those that aren't there: 50 a request, or one by one where the app may not."""
        wanted = list(dict.fromkeys(identities))
        try:
            return await _of_pages([self._several(some) for some in _chunks(wanted, _LONG_PAGE)])
        except Unavailable:
            singles, _ = await gathered(map(self.track, wanted))
        return singles

    async def refresh(self, ids: Sequence[str]) -> list[Found | ServiceError | None]:
        """Tracks as they are now, one for each id; None where one is gone, the error where one couldn't be had.

        With `ask_features` also their audio features, None where Spotify doesn't give them anew: what it gave before
        would grow too old. Raises ServiceError where none could be had.
        """
        try:
            pages = [await self._several(some, "refresh", anew=True) for some in _chunks(ids, _LONG_PAGE)]
        except Unavailable:
            tracks = await asyncio.gather(*(self._if_there(identity) for identity in ids))
            failures = [track for track in tracks if isinstance(track, ServiceError)]
            if failures and len(failures) == len(tracks):
                raise failures[0] from None
        else:
            found = {track["id"]: track for page in pages for track in page}
            tracks = [found.get(identity) for identity in ids]
        return await self._with_features(tracks) if self.ask_features else tracks

    async def _if_there(self, identity: str) -> Found | ServiceError | None:
        try:
            return await self.track(identity, bucket="refresh", anew=True)
        except Missing:
            return None
        except ServiceError as failure:
            return failure

    async def _with_features(
        self, tracks: Sequence[Found | ServiceError | None]
    ) -> list[Found | ServiceError | None]:
        ids = [track["id"] for track in tracks if isinstance(track, dict)]
        features: dict[str, dict[str, float]] = {}
        try:
            for some in _chunks(ids, 100):
                features |= await self._features(some, "refresh", anew=True)
        except ServiceError:
            pass  # most apps aren't given them
        gone = dict.fromkeys(("features_from", "features_confidence"))
        none = dict.fromkeys(objects.FEATURES)
        return [
            {**track, **none, **(features.get(track["id"]) or gone)} if isinstance(track, dict) else track
            for track in tracks
        ]

    async def artist_albums(
        self, identity: str, *, kinds: str = "album,single", limit: int = 10
    ) -> list[Found]:
        """An artist's albums, the newest first; `kinds` of album, single, compilation and appears_on."""

        async def page(start: int) -> list[Found]:
            return await self._for_all(
                "artist_albums",
                lambda spotify: spotify.artist_albums(
                    identity, include_groups=kinds, country=self.market, limit=_PAGE, offset=start
                ),
                lambda raw: objects.albums(objects.entries(raw, "items")),
                identity,
                kinds,
                start,
            )

        return (await _of_pages([page(start) for start in range(0, limit, _PAGE)]))[:limit]

    async def album_tracks(self, album: Mapping[str, Any]) -> list[Found]:
        """The first 50 tracks of an album as `search` gave it. They come without ISRC and popularity."""
        return await self._for_all(
            "album_tracks",
            lambda spotify: spotify.album_tracks(album["id"], _LONG_PAGE, 0, self.market),
            lambda raw: [
                objects.track(each, album) for each in objects.entries(raw, "items") if each.get("id")
            ],
            album["id"],
        )

    async def artist_top_tracks(
        self, artist: Mapping[str, Any], *, limit: int = 10, lost: Lost | None = None
    ) -> list[Found]:
        """An artist's ten best known tracks; where the app may not ask for them, what a search for the artist finds.

        artist: `name` and, where known, `id`. limit, lost: of the search.
        """
        identity = artist.get("id")
        try:
            if identity:
                return await self._for_all(
                    "artist_top_tracks",
                    lambda spotify: spotify._get(f"artists/{identity}/top-tracks", market=self.market),
                    lambda raw: objects.tracks(objects.entries(raw, "tracks")),
                    identity,
                )
        except Unavailable:
            pass
        return await self.search(f'artist:"{_plain(artist["name"])}"', limit=limit, lost=lost)

    async def new_releases(self, *, limit: int = 10) -> list[Found]:
        """Albums of the last weeks; where the app may not ask for them, what a search by `tag:new` finds."""
        try:
            found: list[Found] = await self._for_all(
                "new_releases",
                lambda spotify: spotify._get("browse/new-releases", limit=_LONG_PAGE),
                lambda raw: objects.albums(objects.entries(raw, "albums", "items")),
            )
            return found[:limit]
        except Unavailable:
            return await self.search("tag:new", "album", limit=limit)

    async def recommendations(
        self,
        *,
        artists: Sequence[str] = (),
        genres: Sequence[str] = (),
        tracks: Sequence[str] = (),
        limit: int = 100,
        ranges: Mapping[str, float] | None = None,
    ) -> list[Found]:
        """Spotify's own recommendations by one to five seeds. Raises Unavailable for apps without extended quota.

        ranges: such as `min_energy`, `max_popularity`, `target_valence`.
        """
        seeds = {"seed_artists": artists, "seed_genres": genres, "seed_tracks": tracks}
        asked = {name: ",".join(values) for name, values in seeds.items() if values}
        # Rounded, so that almost equal wishes are one.
        bounds = {name: round(value, 2) for name, value in sorted((ranges or {}).items())}
        return await self._for_all(
            "recommendations",
            lambda spotify: spotify._get(
                "recommendations", limit=min(limit, 100), market=self.market, **asked, **bounds
            ),
            lambda raw: objects.tracks(objects.entries(raw, "tracks")),
            asked,
            bounds,
            limit,
            keep="recommendations",
        )

    async def audio_features(self, identities: Iterable[str]) -> dict[str, dict[str, float]]:
        """Audio features by track id, where Spotify has them. Raises Unavailable for apps without extended quota."""
        found: dict[str, dict[str, float]] = {}
        for some in _chunks(sorted(set(identities)), 100):
            found |= await self._features(some)
        return found

    async def _features(
        self, identities: Sequence[str], bucket: str = "api", *, anew: bool = False
    ) -> dict[str, dict[str, float]]:
        return await self._for_all(
            "audio_features",
            lambda spotify: spotify._get("audio-features", ids=",".join(identities)),
            lambda raw: objects.features(objects.entries(raw, "audio_features")),
            identities,
            keep="features",
            bucket=bucket,
            anew=anew,
        )

    # A person's own

    async def top_tracks(
        self, listener: Listener, *, period: Period = "medium_term", limit: int = 50
    ) -> list[Found]:
        """What a person heard most in about 4 weeks, 6 months or a year."""
        return await self._own(
            listener,
            "top_tracks",
            lambda spotify: spotify.current_user_top_tracks(min(limit, _LONG_PAGE), 0, period),
            lambda raw: objects.tracks(objects.entries(raw, "items")),
            period,
            limit,
        )

    async def top_artists(
        self, listener: Listener, *, period: Period = "medium_term", limit: int = 50
    ) -> list[Found]:
        """Whom a person heard most in about 4 weeks, 6 months or a year."""
        return await self._own(
            listener,
            "top_artists",
            lambda spotify: spotify.current_user_top_artists(min(limit, _LONG_PAGE), 0, period),
            lambda raw: objects.artists(objects.entries(raw, "items")),
            period,
            limit,
        )

    async def saved_tracks(
        self, listener: Listener, *, limit: int = 50, lost: Lost | None = None
    ) -> list[Found]:
        """A person's liked tracks with `at`, the newest first; `lost` is told of each page that couldn't be had."""

        async def page(start: int) -> list[Found]:
            return await self._own(
                listener,
                "saved_tracks",
                lambda spotify: spotify.current_user_saved_tracks(_LONG_PAGE, start, self.market),
                lambda raw: objects.dated(objects.entries(raw, "items"), "added_at"),
                start,
            )

        return (await _of_pages([page(start) for start in range(0, limit, _LONG_PAGE)], lost))[:limit]

    async def recently_played(self, listener: Listener) -> list[Found]:
        """The last 50 tracks that a person heard, with `at`, the newest first: Spotify keeps no more."""
        return await self._own(
            listener,
            "recently_played",
            lambda spotify: spotify.current_user_recently_played(_LONG_PAGE),
            lambda raw: objects.dated(objects.entries(raw, "items"), "played_at"),
        )

    async def followed_artists(self, listener: Listener, *, limit: int = 50) -> list[Found]:
        """Artists whom a person follows."""
        found: list[Found] = []
        after: str | None = None
        while len(found) < limit:
            artists, onward = await self._followed(listener, after)
            found += artists
            # A cursor that doesn't move would be followed for ever.
            if not artists or not onward or onward == after:
                break
            after = onward
        return found[:limit]

    async def _followed(self, listener: Listener, after: str | None) -> tuple[list[Found], str | None]:
        """A page, and the cursor of the next one."""
        page: dict[str, Any] = await self._own(
            listener,
            "followed_artists",
            lambda spotify: spotify.current_user_followed_artists(_LONG_PAGE, after),
            lambda raw: {
                "artists": objects.artists(objects.entries(raw, "artists", "items")),
                "after": (raw["artists"].get("cursors") or {}).get("after"),
            },
            after,
        )
        return page["artists"], page["after"]

    async def playlists(self, listener: Listener, *, limit: int = 50) -> list[Found]:
        """A person's own and followed playlists."""

        async def page(start: int) -> list[Found]:
            return await self._own(
                listener,
                "playlists",
                lambda spotify: spotify.current_user_playlists(_LONG_PAGE, start),
                lambda raw: objects.playlists(objects.entries(raw, "items")),
                start,
            )

        return (await _of_pages([page(start) for start in range(0, limit, _LONG_PAGE)]))[:limit]

    async def playlist_items(self, listener: Listener, identity: str, *, limit: int = 100) -> list[Found]:
        """The tracks of a playlist with `at`. Raises Refused for one that isn't the person's own."""

        async def page(start: int) -> list[Found]:
            return await self._own(
                listener,
                "playlist_items",
                lambda spotify: spotify.playlist_items(
                    identity, limit=_LONG_PAGE, offset=start, market=self.market, additional_types=("track",)
                ),
                lambda raw: objects.dated(objects.entries(raw, "items"), "added_at"),
                identity,
                start,
            )

        return (await _of_pages([page(start) for start in range(0, limit, _LONG_PAGE)]))[:limit]

    async def _several(
        self, identities: Sequence[str], bucket: str = "api", *, anew: bool = False
    ) -> list[Found]:
        return await self._for_all(
            "several_tracks",
            lambda spotify: spotify.tracks(identities, self.market),
            lambda raw: objects.tracks(objects.entries(raw, "tracks")),
            identities,
            bucket=bucket,
            anew=anew,
        )


def _whole(raw: Any) -> bool:
    objects.entries(raw, "tracks", "items")
    return True


def _plain(name: str) -> str:
    """A name without what would end its quotation in a query."""
    return name.replace('"', " ").strip()


def _chunks(values: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    return (values[start : start + size] for start in range(0, len(values), size))


async def _of_pages(pages: Iterable[Awaitable[Iterable[Found]]], lost: Lost | None = None) -> list[Found]:
    """The entries of all pages, fetched at once, without pages that failed. Raises ServiceError where all failed."""
    found, failures = await gathered(pages)
    if lost is not None:
        for failure in failures:
            lost(failure)
    return [entry for page in found for entry in page]


@hookimpl
def components() -> Sequence[type[Component]]:
    """The connector."""
    return [Spotify]


@hookimpl
def routes() -> "Sequence[APIRouter]":
    """Where people link their accounts."""
    return [router()]
