"""Spotify's accounts service and Web API as they are documented for late 2026.

A server with an invented catalogue, people, tokens, limits and moods of its own. An app in `development` mode gets what
a new app gets; one with `extended` quota what apps got before November 2024. Whatever is refused is refused in the
words that were seen (observed-errors.json). `app.state.spotify` is the one behind it all.
"""

import math
import re
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .faults import Faults
from .spotify_accounts import Accounts, Grant
from .spotify_catalogue import Album, Artist, Catalogue, Track
from .spotify_people import Person, people
from .spotify_search import found
from .spotify_shapes import Json, Shapes

Profile = Literal["development", "extended"]
WINDOW_SECONDS = 30.0

PREMIUM_NEEDED = (
    "Active premium subscription required for the owner of the app. When the subscription status changes, it can "
    "take a few hours before requests are allowed again."
)
REMOVED = ("tracks", "artists", "albums", "browse/new-releases", "browse/categories", "markets")


class Refusal(Exception):
    """An answer that is none: a status, with Spotify's body unless `message` is None, or none at all."""

    def __init__(
        self,
        status: int,
        message: str | None,
        *,
        reason: str = "",
        after: int | None = None,
        empty: bool = False,
    ) -> None:
        self.status, self.message, self.reason, self.after, self.empty = status, message, reason, after, empty


class FakeSpotify:
    """The state behind the server.

    rate: requests in 30 seconds that an app may make; None sets no limit. retry_after: the seconds that are then
    asked for, where not what is left of the window. quota: requests left to the developer's account; None: endless.
    """

    def __init__(self, profile: Profile = "development") -> None:
        self.profile = profile
        self.catalogue = _catalogue()
        self.accounts = Accounts()
        self.relinked: dict[str, str] = {}
        """Tracks that a market has under another id: with a market, the second is answered for the first."""
        self.people: dict[str, Person] = people(self.catalogue)
        self.rate: int | None = None
        self.retry_after: int | None = None
        self.quota: int | None = None
        self._recent: dict[str, deque[float]] = {}

    @property
    def extended(self) -> bool:
        return self.profile == "extended"

    def admitted(self, request: Request) -> Grant:
        """Who asks. Raises Refusal: without a good token, without Premium, and beyond a limit."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            raise Refusal(401, "No token provided")
        grant = self.accounts.access.get(token)
        if grant is None:
            raise Refusal(401, "Invalid access token")
        now = self.accounts.now()
        if grant.until <= now:
            raise Refusal(401, "The access token expired")
        if not self.accounts.apps[grant.client].premium:
            raise Refusal(403, PREMIUM_NEEDED)
        recent = self._recent.setdefault(grant.client, deque())
        while recent and recent[0] <= now - WINDOW_SECONDS:
            recent.popleft()
        if self.rate is not None and len(recent) >= self.rate:
            left = math.ceil(recent[0] + WINDOW_SECONDS - now) if recent else int(WINDOW_SECONDS)
            raise Refusal(429, "API rate limit exceeded", after=self.retry_after or max(1, left))
        recent.append(now)
        if self.quota is not None:
            if self.quota <= 0:
                raise Refusal(429, "Too many requests", reason="QUOTA_EXCEEDED")
            self.quota -= 1
        return grant


@cache
def _catalogue() -> Catalogue:
    return Catalogue()


def spotify_app(profile: Profile = "development") -> Starlette:
    """The server; `app.state.spotify` holds its state."""
    spotify = FakeSpotify(profile)
    api = _Api(spotify)
    routes = [
        Route("/authorize", spotify.accounts.authorize),
        Route("/api/token", spotify.accounts.token, methods=["POST"]),
        *[Route(f"/v1/{path}", api.answering(answer)) for path, answer in api.paths().items()],
        Route("/v1/{path:path}", api.answering(api.nothing)),
    ]
    app = Starlette(
        routes=routes,
        exception_handlers={Refusal: _refusal, HTTPException: _http_exception},
        middleware=[Middleware(Faults)],
    )
    app.state.requests, app.state.faults, app.state.answers = [], [], []
    app.router.redirect_slashes = False
    app.state.spotify = spotify
    return app


class _Api:
    def __init__(self, spotify: FakeSpotify) -> None:
        self.spotify = spotify

    def paths(self) -> dict[str, Callable[..., Json]]:
        paths: dict[str, Callable[..., Json]] = {
            "search": self.search,
            "tracks/{id}": self.track,
            "artists/{id}": self.artist,
            "albums/{id}": self.album,
            "albums/{id}/tracks": self.album_tracks,
            "artists/{id}/albums": self.artist_albums,
            "me": self.me,
            "me/top/{kind}": self.top,
            "me/tracks": self.saved,
            "me/player/recently-played": self.recent,
            "me/following": self.following,
            "me/playlists": self.playlists,
            "playlists/{id}": self.playlist,
            "playlists/{id}/items": self.playlist_items,
            # What apps in development mode don't get:
            "tracks": self.several,
            "artists": self.several,
            "albums": self.several,
            "artists/{id}/top-tracks": self.top_tracks_of,
            "browse/new-releases": self.new_releases,
            "audio-features": self.features,
            "audio-features/{id}": self.features,
            "recommendations": self.recommendations,
            "recommendations/available-genre-seeds": self.genre_seeds,
            "artists/{id}/related-artists": self.related,
            "playlists/{id}/tracks": self.old_playlist_items,
        }
        # Clients send `tracks/?ids=` as well.
        return {**paths, **{f"{path}/": answer for path, answer in paths.items()}}

    def answering(self, answer: Callable[..., Json]) -> Callable[[Request], Any]:
        async def handle(request: Request) -> Response:
            grant = self.spotify.admitted(request)
            root = f"{request.url.scheme}://{request.url.netloc}"
            return JSONResponse(answer(request, grant, Shapes(root, self.spotify.extended)))

        return handle

    def nothing(self, request: Request, grant: Grant, shapes: Shapes) -> Json:
        raise Refusal(404, "Service not found")

    # The catalogue

    def search(self, request: Request, grant: Grant, shapes: Shapes) -> Json:
        asked = request.query_params
        if not asked.get("q"):
            raise Refusal(400, "No search query")
        kinds = asked.get("type", "").split(",")
        if not set(kinds) <= {"track", "artist", "album", "playlist"}:
            raise Refusal(400, "Bad search type field")
        limit, offset = (
            _limit(request, 5 if not shapes.extended else 20, 50 if shapes.extended else 10),
            _offset(request),
        )
        if offset > 1000:
            raise Refusal(400, "Invalid offset")
        made: dict[str, Callable[[Any], Json]] = {
            "track": shapes.track,
            "artist": shapes.artist,
            "album": shapes.simple_album,
            "playlist": lambda entry: entry,
        }
        answer = {}
        for kind in kinds:
            hits = found(self.spotify.catalogue, asked["q"], kind)
            shown = [made[kind](hit) for hit in hits[offset : offset + limit]]
            answer[f"{kind}s"] = shapes.page(request, shown, limit, offset, min(len(hits), 1000))
        return answer

    def track(self, request: Request, grant: Grant, shapes: Shapes) -> Json:
        return self._track(_of(self.spotify.catalogue.tracks, request), request, shapes)

    def _track(self, track: Track, request: Request, shapes: Shapes) -> Json:
        other = self.spotify.relinked.get(track.id) if request.query_params.get("market") else None
        return shapes.track(self.spotify.catalogue.tracks[other], track) if other else shapes.track(track)

    def artist(self, request: Request, grant: Grant, shapes: Shapes) -> Json:
        return shapes.artist(_of(self.spotify.catalogue.artists, request))

    def album(self, request: Request, grant: Grant, shapes: Shapes) -> Json:
        album: Album = _of(self.spotify.catalogue.albums, request)
        tracks = [shapes.simple_track(track) for track in album.tracks]
        return shapes.album(album, shapes.page(request, tracks, 50, 0, len(tracks)))

    def album_tracks(self, request: Request, grant: Grant, shapes: Shapes) -> Json:
        album: Album = _of(self.spotify.catalogue.albums, request)
        return self._listed(request, shapes, album.tracks, shapes.simple_track)

    def artist_albums(self, request: Request, grant: Grant, shapes: Shapes) -> Json:
        artist: Artist = _of(self.spotify.catalogue.artists, request)
        groups = request.query_params.get("include_groups", "album,single,compilation,appears_on").split(",")
        albums = [album for album in artist.albums if album.kind in groups]
        most = 50 if shapes.extended else 10
        limit, offset = _limit(request, 20 if shapes.extended else 5, most), _offset(request)
        shown = [shapes.discography_album(album) for album in albums[offset : offset + limit]]
        return shapes.page(request, shown, limit, offset, len(albums))

    # People

    def me(self, request: Request, grant: Grant, shapes: Shapes) -> Json:
        return shapes.me(self._person(grant).name)

    def top(self, request: Request, grant: Grant, shapes: Shapes) -> Json:
        person = self._person(grant, "user-top-read")
        period = request.query_params.get("time_range", "medium_term")
        if period not in ("short_term", "medium_term", "long_term"):
            raise Refusal(400, "Invalid time range")
        if request.path_params["kind"] == "tracks":
            return self._listed(request, shapes, person.top_tracks[period], shapes.track)
        if request.path_params["kind"] == "artists":
            return self._listed(request, shapes, person.top_artists[period], shapes.artist)
        raise Refusal(404, "Service not found")

    def saved(self, request: Request, grant: Grant, shapes: Shapes) -> Json:
        person = self._person(grant, "user-library-read")
        return self._listed(
            request,
            shapes,
            person.saved,
            lambda entry: {
                "added_at": _moment(person.since - entry[1]),
                "track": shapes.track(entry[0]),
            },
        )

    def recent(self, request: Request, grant: Grant, shapes: Shapes) -> Json:
        person = self._person(grant, "user-read-recently-played")
        limit, asked = _limit(request, 20, 50), request.query_params
        if "after" in asked and "before" in asked:
            raise Refusal(400, "Only one of the parameters 'after' and 'before' can be specified")
        plays = [(track, round((person.since - ago) * 1000)) for track, ago in person.played]
        if "after" in asked:
            plays = [play for play in plays if play[1] > int(asked["after"])]
        if "before" in asked:
            plays = [play for play in plays if play[1] < int(asked["before"])]
        shown, more = plays[:limit], len(plays) > limit
        items = [
            {"track": shapes.track(track), "played_at": _moment(at / 1000), "context": {"type": "album"}}
            for track, at in shown
        ]
        page = shapes.cursors(
            request,
            items,
            limit,
            len(plays),
            {"after": str(shown[0][1]), "before": str(shown[-1][1])} if shown else {},
        )
        onward = request.url.include_query_params(limit=limit, before=shown[-1][1]) if more else None
        return {**page, "next": str(onward.remove_query_params("after")) if onward else None}

    def following(self, request: Request, grant: Grant, shapes: Shapes) -> Json:
        person = self._person(grant, "user-follow-read")
        if request.query_params.get("type") != "artist":
            raise Refusal(400, "Unsupported follow type")
        limit, after = _limit(request, 20, 50), request.query_params.get("after")
        ids = [artist.id for artist in person.followed]
        start = ids.index(after) + 1 if after in ids else 0
        shown = person.followed[start : start + limit]
        more = start + limit < len(ids)
        items = [shapes.artist(artist) for artist in shown]
        page = shapes.cursors(request, items, limit, len(ids), {"after": shown[-1].id if more else None})
        return {"artists": page}

    def playlists(self, request: Request, grant: Grant, shapes: Shapes) -> Json:
        person = self._person(grant, "playlist-read-private")
        return self._listed(
            request,
            shapes,
            list(person.playlists.items()),
            lambda entry: shapes.playlist(person.name, entry[0], entry[1].name, len(entry[1].tracks)),
        )

    def playlist(self, request: Request, grant: Grant, shapes: Shapes) -> Json:
        owner, identity = self._playlist(request)
        entry = owner.playlists[identity]
        shown = shapes.playlist(owner.name, identity, entry.name, len(entry.tracks))
        shown.pop("tracks", None)
        if grant.user != owner.name:
            shown.pop("items")
            return shown
        items = [self._entry(owner, shapes, track) for track in entry.tracks[:100]]
        return {**shown, "items": shapes.page(request, items, 100, 0, len(entry.tracks))}

    def playlist_items(self, request: Request, grant: Grant, shapes: Shapes) -> Json:
        owner, identity = self._playlist(request)
        if grant.user != owner.name:
            raise Refusal(403, "Forbidden")
        tracks = owner.playlists[identity].tracks
        return self._listed(request, shapes, tracks, lambda track: self._entry(owner, shapes, track))

    # What only apps with extended quota get

    def several(self, request: Request, grant: Grant, shapes: Shapes) -> Json:
        self._withheld(shapes, Refusal(403, "Forbidden"))
        kind = request.url.path.strip("/").rpartition("/")[2]
        ids = request.query_params.get("ids", "").split(",")
        if not 1 <= len(ids) <= (20 if kind == "albums" else 50):
            raise Refusal(400, "Too many ids requested")
        known: dict[str, Any] = getattr(self.spotify.catalogue, kind)
        if kind == "albums":
            made: Callable[[Any], Json] = lambda album: shapes.album(  # noqa: E731
                album,
                shapes.page(
                    request, [shapes.simple_track(t) for t in album.tracks], 50, 0, len(album.tracks)
                ),
            )
        else:
            made = {"tracks": lambda track: self._track(track, request, shapes), "artists": shapes.artist}[
                kind
            ]
        return {kind: [made(known[each]) if each in known else None for each in ids]}

    def top_tracks_of(self, request: Request, grant: Grant, shapes: Shapes) -> Json:
        self._withheld(shapes, Refusal(403, "Forbidden"))
        artist: Artist = _of(self.spotify.catalogue.artists, request)
        tracks = [track for album in artist.albums for track in album.tracks]
        tracks.sort(key=lambda track: (-track.popularity, track.id))
        return {"tracks": [shapes.track(track) for track in tracks[:10]]}

    def new_releases(self, request: Request, grant: Grant, shapes: Shapes) -> Json:
        self._withheld(shapes, Refusal(403, "Forbidden"))
        albums = sorted(
            self.spotify.catalogue.albums.values(), key=lambda album: album.released, reverse=True
        )
        return {"albums": self._listed(request, shapes, albums[:100], shapes.simple_album)}

    def features(self, request: Request, grant: Grant, shapes: Shapes) -> Json:
        self._withheld(shapes, Refusal(403, None))
        if "id" in request.path_params:
            return shapes.features(_of(self.spotify.catalogue.tracks, request))
        ids = request.query_params.get("ids", "").split(",")
        if len(ids) > 100:
            raise Refusal(400, "Too many ids requested")
        tracks = self.spotify.catalogue.tracks
        return {"audio_features": [shapes.features(tracks[each]) if each in tracks else None for each in ids]}

    def recommendations(self, request: Request, grant: Grant, shapes: Shapes) -> Json:
        self._withheld(shapes, Refusal(404, None, empty=True))
        asked, catalogue = request.query_params, self.spotify.catalogue
        seeds = {
            kind: [seed for seed in asked.get(f"seed_{kind}s", "").split(",") if seed]
            for kind in ("artist", "genre", "track")
        }
        if not 1 <= sum(map(len, seeds.values())) <= 5:
            raise Refusal(400, "invalid request")
        genres = [
            *seeds["genre"],
            *(genre for each in seeds["artist"] for genre in catalogue.artists[each].genres),
            *(genre for each in seeds["track"] for genre in catalogue.tracks[each].artists[0].genres),
        ]
        pool = list(dict.fromkeys(track for genre in genres for track in catalogue.of_genre(genre)))
        left = [track for track in pool if track.id not in seeds["track"] and _within(track, request)]
        targets = {name[7:]: float(value) for name, value in asked.items() if name.startswith("target_")}
        left.sort(
            key=lambda track: (sum(abs(_number(track, name) - at) for name, at in targets.items()), track.id)
        )
        limit = _limit(request, 20, 100)
        named = [(kind.upper(), seed) for kind, listed in seeds.items() for seed in listed]
        return {
            "seeds": [
                {
                    "afterFilteringSize": len(left),
                    "afterRelinkingSize": len(left),
                    "href": None if kind == "GENRE" else shapes.href(f"{kind.lower()}s/{seed}"),
                    "id": seed,
                    "initialPoolSize": len(pool),
                    "type": kind,
                }
                for kind, seed in named
            ],
            "tracks": [shapes.track(track) for track in left[:limit]],
        }

    def genre_seeds(self, request: Request, grant: Grant, shapes: Shapes) -> Json:
        self._withheld(shapes, Refusal(404, None, empty=True))
        genres = {genre for artist in self.spotify.catalogue.artists.values() for genre in artist.genres}
        return {"genres": sorted(genres)}

    def related(self, request: Request, grant: Grant, shapes: Shapes) -> Json:
        self._withheld(shapes, Refusal(404, None, empty=True))
        artist: Artist = _of(self.spotify.catalogue.artists, request)
        others = [
            each for each in self.spotify.catalogue.artists.values() if {*each.genres} & {*artist.genres}
        ]
        return {"artists": [shapes.artist(other) for other in others[:20] if other is not artist]}

    def old_playlist_items(self, request: Request, grant: Grant, shapes: Shapes) -> Json:
        self._withheld(shapes, Refusal(403, "Forbidden"))
        return self.playlist_items(request, grant, shapes)

    def _withheld(self, shapes: Shapes, refusal: Refusal) -> None:
        if not shapes.extended:
            raise refusal

    def _listed(
        self, request: Request, shapes: Shapes, entries: Sequence[Any], made: Callable[[Any], Json]
    ) -> Json:
        limit, offset = _limit(request, 20, 50), _offset(request)
        return shapes.page(
            request, [made(entry) for entry in entries[offset : offset + limit]], limit, offset, len(entries)
        )

    def _person(self, grant: Grant, scope: str = "") -> Person:
        if not grant.user:
            raise Refusal(401, "Valid user authentication required")
        if scope and scope not in grant.scopes:
            raise Refusal(403, "Insufficient client scope")
        return self.spotify.people[grant.user]

    def _playlist(self, request: Request) -> tuple[Person, str]:
        identity = request.path_params["id"]
        for person in self.spotify.people.values():
            if identity in person.playlists:
                return person, identity
        raise Refusal(404, "Resource not found")

    def _entry(self, owner: Person, shapes: Shapes, track: Track) -> Json:
        added_by = {key: value for key, value in shapes.owner(owner.name).items() if key != "display_name"}
        shown = shapes.track(track)
        return {
            "added_at": _moment(owner.since - 86400),
            "added_by": added_by,
            "is_local": False,
            "item": shown,
            **({"track": shown} if shapes.extended else {}),
        }


def _of(known: dict[str, Any], request: Request) -> Any:
    identity = request.path_params["id"]
    if not re.fullmatch(r"[0-9A-Za-z]{22}", identity):
        raise Refusal(400, "Invalid base62 id")
    if identity not in known:
        raise Refusal(404, "Resource not found")
    return known[identity]


def _limit(request: Request, default: int, most: int) -> int:
    value = request.query_params.get("limit", str(default))
    if not value.isdigit() or not 1 <= int(value) <= most:
        raise Refusal(400, "Invalid limit")
    return int(value)


def _offset(request: Request) -> int:
    value = request.query_params.get("offset", "0")
    if not value.isdigit():
        raise Refusal(400, "Invalid offset")
    return int(value)


def _number(track: Track, name: str) -> float:
    return float(track.popularity) if name == "popularity" else track.features.get(name, 0.0)


def _within(track: Track, request: Request) -> bool:
    for name, value in request.query_params.items():
        if name.startswith("min_") and _number(track, name[4:]) < float(value):
            return False
        if name.startswith("max_") and _number(track, name[4:]) > float(value):
            return False
    return True


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def _refusal(_: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refusal)
    headers = {} if refusal.after is None else {"Retry-After": str(refusal.after)}
    if refusal.empty:
        return Response(b"", refusal.status, headers)
    error: Json = {"status": refusal.status}
    if refusal.message is not None:
        error["message"] = refusal.message
    if refusal.reason:
        error["reason"] = refusal.reason
    return JSONResponse({"error": error}, refusal.status, headers)


async def _http_exception(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 500)
    return await _refusal(request, Refusal(status, "Service not found" if status == 404 else "Error"))
