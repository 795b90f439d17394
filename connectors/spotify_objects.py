"""What is taken from Spotify's objects: flat mappings, the tracks as raw items of a domain.

Fields that apps in development mode don't get are None. Objects that can't be used, such as files on somebody's own
disk, episodes and what is gone, are left out. Raises TypeError, KeyError or ValueError for what Spotify never sends.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

Json = Mapping[str, Any]
Found = dict[str, Any]

FIELDS = frozenset(
    [
        "title",
        "artist",
        "artists",
        "album",
        "released",
        "duration_ms",
        "explicit",
        "isrc",
        "popularity",
        "url",
        "image",
        "genres",
    ]
)
"""The fields of a track that Spotify fills."""

FEATURES = (
    "danceability",
    "energy",
    "valence",
    "acousticness",
    "instrumentalness",
    "speechiness",
    "liveness",
    "tempo",
)
"""Audio features: from 0 to 1, the tempo in beats a minute."""


def track(raw: Json, album: Json | None = None) -> Found:
    """A track as a raw item.

    `id, title, artist, artist_id, artists, album, album_id, released, duration_ms, explicit, isrc, popularity, url`
    and `image`. In a market Spotify may give another track in a track's place: that keeps the id of the one that
    stands for it (`linked_from`). album: of a track that comes from an album's own list, where it has none.
    """
    of: Json = raw.get("album") or album or {}
    artists = [{"id": each.get("id"), "name": str(each["name"])} for each in raw["artists"]]
    return {
        "id": str((raw.get("linked_from") or raw)["id"]),
        "title": str(raw["name"]),
        "artist": artists[0]["name"],
        "artist_id": artists[0]["id"],
        "artists": [each["name"] for each in artists],
        "album": of.get("name"),
        "album_id": of.get("id"),
        "released": _date(of.get("release_date")),
        "duration_ms": int(raw["duration_ms"]),
        "explicit": bool(raw.get("explicit", False)),
        "isrc": _isrc(raw.get("external_ids")),
        "popularity": raw.get("popularity"),
        "url": _link(raw),
        "image": _image(of),
    }


def tracks(entries: Iterable[Any]) -> list[Found]:
    """The playable tracks among entries."""
    return [track(entry) for entry in entries if _usable(entry, "track")]


def artist(raw: Json) -> Found:
    """`id, name, genres, popularity`."""
    return {
        "id": str(raw["id"]),
        "name": str(raw["name"]),
        "genres": [str(genre) for genre in raw.get("genres") or ()],
        "popularity": raw.get("popularity"),
    }


def artists(entries: Iterable[Any]) -> list[Found]:
    """The artists among entries."""
    return [artist(entry) for entry in entries if _usable(entry, "artist")]


def album(raw: Json) -> Found:
    """`id, name, artist, artist_id, release_date, kind, tracks, images`: names as `track` takes them."""
    first = raw["artists"][0]
    return {
        "id": str(raw["id"]),
        "name": str(raw["name"]),
        "artist": str(first["name"]),
        "artist_id": first.get("id"),
        "release_date": raw.get("release_date"),
        "kind": raw.get("album_type"),
        "tracks": raw.get("total_tracks"),
        "images": [{"url": image["url"]} for image in (raw.get("images") or ())[:1]],
    }


def albums(entries: Iterable[Any]) -> list[Found]:
    """The albums among entries."""
    return [album(entry) for entry in entries if _usable(entry, "album")]


def playlists(entries: Iterable[Any]) -> list[Found]:
    """`id, title, owner, size` of each."""
    return [
        {
            "id": str(entry["id"]),
            "title": str(entry["name"]),
            "owner": (entry.get("owner") or {}).get("id"),
            "size": (entry.get("items") or entry.get("tracks") or {}).get("total"),
        }
        for entry in entries
        if _usable(entry, "playlist")
    ]


def dated(entries: Iterable[Json], moment: str) -> list[Found]:
    """Tracks with `at`, in seconds since the epoch: when they were played or saved, as the key `moment` says."""
    found = ((entry, entry.get("item") or entry.get("track")) for entry in entries)
    return [
        {**track(raw), "at": _seconds(entry.get(moment))}
        for entry, raw in found
        if raw is not None and _usable(raw, "track")
    ]


def features(entries: Iterable[Any]) -> dict[str, dict[str, float]]:
    """Audio features by track id; entries are null where Spotify knows none."""
    return {
        str(entry["id"]): {name: float(entry[name]) for name in FEATURES if entry.get(name) is not None}
        for entry in entries
        if entry
    }


def entries(page: Any, *path: str) -> Sequence[Any]:
    """The list in an answer, such as that at `tracks`, `items`. Raises TypeError, KeyError."""
    for name in path:
        page = page[name]
    if not isinstance(page, list):
        raise TypeError(f"{'.'.join(path)} is no list but {type(page).__name__}")
    return page


def _usable(entry: Any, kind: str) -> bool:
    if entry is None:
        return False
    if not isinstance(entry, Mapping):
        raise TypeError(f"a {kind} is no object but {type(entry).__name__}")
    return entry.get("type", kind) == kind and bool(entry.get("id"))


def _isrc(ids: Json | None) -> str | None:
    value = (ids or {}).get("isrc")
    return str(value).replace("-", "").upper() if value else None


def _date(value: Any) -> str | None:
    """A release date as it is given: a year, a month or a day; some are of the year 0000."""
    return str(value) if value and not str(value).startswith("0000") else None


def _link(raw: Json) -> str | None:
    return (raw.get("external_urls") or {}).get("spotify")


def _image(raw: Json) -> str | None:
    images = raw.get("images") or ()
    return images[0]["url"] if images else None


def _seconds(moment: Any) -> float | None:
    return datetime.fromisoformat(moment).timestamp() if isinstance(moment, str) else None
