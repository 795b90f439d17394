"""People with a taste: what they hear, save, follow and put on lists."""

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from .spotify_catalogue import Artist, Catalogue, Track, identity

TASTES: Mapping[str, tuple[str, ...]] = {
    "ann": ("jazz", "soul", "lo-fi"),
    "bob": ("metal", "punk"),
    "new": (),
}


@dataclass
class Playlist:
    name: str
    tracks: list[Track]


@dataclass
class Person:
    """saved, played: tracks with the seconds since then, the latest first; since: when those seconds were counted."""

    name: str
    top_tracks: dict[str, list[Track]] = field(default_factory=dict)
    top_artists: dict[str, list[Artist]] = field(default_factory=dict)
    saved: list[tuple[Track, float]] = field(default_factory=list)
    played: list[tuple[Track, float]] = field(default_factory=list)
    followed: list[Artist] = field(default_factory=list)
    playlists: dict[str, Playlist] = field(default_factory=dict)
    since: float = field(default_factory=time.time)


def people(catalogue: Catalogue) -> dict[str, Person]:
    """Ann, who likes it soft, Bob, who likes it loud, and one who is new."""
    return {name: _person(catalogue, name, genres) for name, genres in TASTES.items()}


def _person(catalogue: Catalogue, name: str, genres: tuple[str, ...]) -> Person:
    draw = random.Random(name)
    liked = [track for genre in genres for track in catalogue.of_genre(genre)]
    draw.shuffle(liked)
    artists = list(dict.fromkeys(track.artists[0] for track in liked))
    person = Person(name)
    for place, period in enumerate(("short_term", "medium_term", "long_term")):
        person.top_tracks[period] = liked[place * 10 : place * 10 + 60]
        person.top_artists[period] = artists[place : place + 25]
    person.saved = [(track, 86400.0 * (place + 1)) for place, track in enumerate(liked[40:165])]
    person.played = [(track, 900.0 * (place + 1)) for place, track in enumerate(liked[20:90])]
    person.followed = artists[5:28]
    if liked:
        for place, title in enumerate(("Sundays", "On the road")):
            tracks = liked[place * 50 : place * 50 + 70]
            person.playlists[identity("playlist", name, place)] = Playlist(title, tracks)
    return person
