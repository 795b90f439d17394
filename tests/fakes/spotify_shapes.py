"""Spotify's objects as JSON, in the shape that an app gets: all fields, or those left to apps in development mode."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from .spotify_catalogue import Album, Artist, Track

Json = dict[str, Any]


@dataclass(frozen=True)
class Shapes:
    """Objects with links to the host that was asked. `extended`: with the fields that went in February 2026."""

    root: str
    extended: bool

    def href(self, path: str) -> str:
        return f"{self.root}/v1/{path}"

    def simple_artist(self, artist: Artist) -> Json:
        return self._named("artist", artist.id, artist.name)

    def artist(self, artist: Artist) -> Json:
        gone = {
            "followers": {"href": None, "total": 1000 * artist.popularity},
            "popularity": artist.popularity,
        }
        return {
            **self.simple_artist(artist),
            "genres": artist.genres if self.extended else [],
            "images": self._images(artist.id),
            **(gone if self.extended else {}),
        }

    def simple_album(self, album: Album) -> Json:
        precision = {4: "year", 7: "month", 10: "day"}[len(album.released)]
        return {
            **self._named("album", album.id, album.name),
            "album_type": album.kind,
            "artists": [self.simple_artist(album.artist)],
            "images": self._images(album.id),
            "release_date": album.released,
            "release_date_precision": precision,
            "total_tracks": len(album.tracks),
            **({"available_markets": ["DE", "GB", "US"]} if self.extended else {}),
        }

    def discography_album(self, album: Album) -> Json:
        return {**self.simple_album(album), **({"album_group": album.kind} if self.extended else {})}

    def album(self, album: Album, tracks: Json) -> Json:
        gone = {"label": "Invented Records", "popularity": album.popularity}
        return {
            **self.simple_album(album),
            "tracks": tracks,
            "copyrights": [{"text": f"{album.released[:4]} Invented Records", "type": "C"}],
            "external_ids": {"upc": album.upc},
            "genres": [],
            **(gone if self.extended else {}),
        }

    def simple_track(self, track: Track) -> Json:
        gone = {"available_markets": ["DE", "GB", "US"], "preview_url": None}
        return {
            **self._named("track", track.id, track.name),
            "artists": [self.simple_artist(artist) for artist in track.artists],
            "disc_number": 1,
            "duration_ms": track.duration_ms,
            "explicit": track.explicit,
            "is_local": False,
            "track_number": track.number,
            **(gone if self.extended else {}),
        }

    def track(self, track: Track, asked: Track | None = None) -> Json:
        """A track; `asked`: the one in whose place it is given."""
        linked = {} if asked is None else {"linked_from": self._named("track", asked.id, asked.name)}
        linked.get("linked_from", {}).pop("name", None)
        return {
            **(linked if self.extended else {}),
            **self.simple_track(track),
            "album": self.simple_album(track.album),
            "external_ids": {"isrc": track.isrc},
            **({"popularity": track.popularity} if self.extended else {}),
        }

    def features(self, track: Track) -> Json:
        return {
            **track.features,
            "analysis_url": self.href(f"audio-analysis/{track.id}"),
            "duration_ms": track.duration_ms,
            "id": track.id,
            "key": track.number % 12,
            "liveness": 0.15,
            "loudness": -8.5,
            "mode": track.number % 2,
            "time_signature": 4,
            "track_href": self.href(f"tracks/{track.id}"),
            "type": "audio_features",
            "uri": f"spotify:track:{track.id}",
        }

    def owner(self, user: str) -> Json:
        return {
            "display_name": user.title(),
            "external_urls": {"spotify": f"https://open.spotify.com/user/{user}"},
            "href": self.href(f"users/{user}"),
            "id": user,
            "type": "user",
            "uri": f"spotify:user:{user}",
        }

    def me(self, user: str) -> Json:
        gone = {"country": "DE", "email": f"{user}@example.org", "product": "premium"}
        return {
            **self.owner(user),
            "account_id": f"account-{user}",
            "images": [],
            **(gone if self.extended else {}),
        }

    def playlist(self, user: str, identity: str, name: str, size: int) -> Json:
        return {
            **self._named("playlist", identity, name),
            "collaborative": False,
            "description": "",
            "images": [],
            "owner": self.owner(user),
            "public": False,
            "snapshot_id": f"snapshot-{identity[:8]}",
            "items": {"href": self.href(f"playlists/{identity}/items"), "total": size},
            **(
                {"tracks": {"href": self.href(f"playlists/{identity}/tracks"), "total": size}}
                if self.extended
                else {}
            ),
        }

    def page(self, request: Request, items: list[Any], limit: int, offset: int, total: int) -> Json:
        """A page of a list, with links to its neighbours on the host that was asked."""

        def link(start: int) -> str:
            return str(request.url.include_query_params(limit=limit, offset=start))

        return {
            "href": link(offset),
            "items": items,
            "limit": limit,
            "next": link(offset + limit) if offset + limit < total else None,
            "offset": offset,
            "previous": link(max(0, offset - limit)) if offset > 0 else None,
            "total": total,
        }

    def cursors(
        self, request: Request, items: list[Any], limit: int, total: int, after: Mapping[str, str | None]
    ) -> Json:
        """A page of a list that is read by cursors; the last one has no `next`."""
        onward = {name: value for name, value in after.items() if value}
        following = str(request.url.include_query_params(limit=limit, **onward)) if onward else None
        return {
            "href": str(request.url),
            "items": items,
            "limit": limit,
            "next": following,
            "cursors": dict(after),
            "total": total,
        }

    def _named(self, kind: str, identity: str, name: str) -> Json:
        return {
            "external_urls": {"spotify": f"https://open.spotify.com/{kind}/{identity}"},
            "href": self.href(f"{kind}s/{identity}"),
            "id": identity,
            "name": name,
            "type": kind,
            "uri": f"spotify:{kind}:{identity}",
        }

    def _images(self, identity: str) -> list[Json]:
        return [{"url": f"https://i.scdn.example/image/{identity}", "height": 640, "width": 640}]
