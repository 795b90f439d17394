"""Spotify's search: words, and the filters that go with a kind of result."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from .spotify_catalogue import Album, Artist, Catalogue, Track

_FILTER = re.compile(
    r'(?P<name>artist|album|track|year|genre|isrc|upc|tag):(?:"(?P<quoted>[^"]*)"|(?P<plain>\S+))'
)
NEWEST = "2026-10-10"
"""What was released since then is new."""

_ALLOWED: Mapping[str, frozenset[str]] = {
    "track": frozenset({"artist", "year", "album", "genre", "isrc", "track"}),
    "artist": frozenset({"artist", "year", "genre"}),
    "album": frozenset({"artist", "year", "album", "upc", "tag"}),
    "playlist": frozenset(),
}


def found(catalogue: Catalogue, query: str, kind: str) -> list[Any]:
    """What a query finds of a kind, the most popular first; nothing by a filter that doesn't go with the kind."""
    filters = [
        (each["name"], (each["quoted"] or each["plain"] or "").lower()) for each in _FILTER.finditer(query)
    ]
    words = _FILTER.sub(" ", query).lower().split()
    if not {name for name, _ in filters} <= _ALLOWED[kind] or kind == "playlist":
        return []
    known: Mapping[str, Any] = getattr(catalogue, f"{kind}s")
    hipster = _least_popular(catalogue)
    tests: list[Callable[[Any], bool]] = [_test(name, wanted, hipster) for name, wanted in filters]
    hits = [
        entry
        for entry in known.values()
        if all(test(entry) for test in tests) and all(word in _text(entry) for word in words)
    ]
    return sorted(hits, key=lambda entry: (-entry.popularity, entry.id))


def _least_popular(catalogue: Catalogue) -> frozenset[str]:
    """The tenth of the albums that is heard least."""
    albums = sorted(catalogue.albums.values(), key=lambda album: (album.popularity, album.id))
    return frozenset(album.id for album in albums[: len(albums) // 10])


def _test(name: str, wanted: str, hipster: frozenset[str]) -> Callable[[Any], bool]:
    match name:
        case "artist":
            return lambda entry: any(wanted in artist.name.lower() for artist in _artists(entry))
        case "album":
            return lambda entry: wanted in _album(entry).name.lower()
        case "track":
            return lambda entry: wanted in entry.name.lower()
        case "genre":
            return lambda entry: any(wanted == genre for genre in _artists(entry)[0].genres)
        case "isrc":
            return lambda entry: wanted == entry.isrc.lower()
        case "upc":
            return lambda entry: wanted == entry.upc
        case "tag":
            return lambda entry: entry.id in hipster if wanted == "hipster" else entry.released >= NEWEST
    first, _, last = wanted.partition("-")
    return lambda entry: any(first <= album.released[:4] <= (last or first) for album in _albums(entry))


def _artists(entry: Any) -> list[Artist]:
    match entry:
        case Track():
            return entry.artists
        case Album():
            return [entry.artist]
    return [entry]


def _album(entry: Any) -> Album:
    return entry.album if isinstance(entry, Track) else entry


def _albums(entry: Any) -> list[Album]:
    return entry.albums if isinstance(entry, Artist) else [_album(entry)]


def _text(entry: Any) -> str:
    names = [entry.name, *(artist.name for artist in _artists(entry))]
    if isinstance(entry, Track):
        names.append(entry.album.name)
    return " ".join(names).lower()
