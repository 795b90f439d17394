"""An invented catalogue in the shapes of Spotify's: artists, albums and tracks, the same ones every time."""

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SYLLABLES = [
    "ka",
    "lo",
    "mi",
    "ra",
    "ven",
    "tor",
    "sil",
    "dor",
    "bel",
    "nu",
    "fa",
    "sho",
    "rin",
    "el",
    "gar",
    "pim",
    "os",
    "tre",
    "mun",
    "ly",
    "ba",
    "cor",
]
_NOUNS = [
    "River",
    "Moon",
    "Window",
    "Summer",
    "Ghost",
    "Garden",
    "Engine",
    "Paper",
    "Mirror",
    "Harbour",
    "Winter",
    "Signal",
    "Velvet",
    "Stone",
    "Echo",
]
_VERBS = [
    "Running",
    "Falling",
    "Waiting",
    "Burning",
    "Leaving",
    "Dreaming",
    "Calling",
    "Breaking",
    "Turning",
    "Sleeping",
]

GENRES: Mapping[str, tuple[float, float, float, float, float, float, float]] = {
    "pop": (0.68, 0.58, 0.68, 0.2, 0.02, 0.07, 118),
    "dance pop": (0.76, 0.62, 0.73, 0.1, 0.02, 0.08, 122),
    "rock": (0.76, 0.5, 0.5, 0.12, 0.06, 0.05, 126),
    "indie rock": (0.66, 0.48, 0.53, 0.22, 0.14, 0.05, 122),
    "hip hop": (0.66, 0.5, 0.78, 0.15, 0.01, 0.24, 112),
    "r&b": (0.52, 0.47, 0.67, 0.3, 0.01, 0.1, 108),
    "soul": (0.48, 0.6, 0.6, 0.42, 0.02, 0.06, 106),
    "jazz": (0.32, 0.46, 0.52, 0.76, 0.44, 0.05, 110),
    "classical": (0.12, 0.2, 0.27, 0.95, 0.86, 0.04, 102),
    "ambient": (0.16, 0.14, 0.3, 0.84, 0.88, 0.04, 92),
    "folk": (0.34, 0.42, 0.5, 0.74, 0.06, 0.04, 114),
    "country": (0.62, 0.6, 0.58, 0.28, 0.01, 0.04, 124),
    "metal": (0.92, 0.3, 0.42, 0.01, 0.22, 0.09, 128),
    "punk": (0.91, 0.56, 0.46, 0.03, 0.06, 0.08, 148),
    "techno": (0.8, 0.34, 0.74, 0.04, 0.76, 0.06, 130),
    "house": (0.79, 0.55, 0.77, 0.06, 0.42, 0.06, 125),
    "latin": (0.73, 0.72, 0.74, 0.22, 0.01, 0.1, 108),
    "k-pop": (0.77, 0.62, 0.68, 0.14, 0.0, 0.09, 120),
    "lo-fi": (0.28, 0.4, 0.66, 0.68, 0.72, 0.08, 84),
    "world": (0.52, 0.56, 0.58, 0.52, 0.18, 0.06, 112),
}
"""Energy, valence, danceability, acousticness, instrumentalness, speechiness and tempo of a genre's tracks, about."""

_FEATURES = ("energy", "valence", "danceability", "acousticness", "instrumentalness", "speechiness", "tempo")


@dataclass(eq=False, slots=True)
class Artist:
    id: str
    name: str
    genres: list[str]
    popularity: int
    albums: list["Album"] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class Album:
    id: str
    name: str
    artist: Artist
    kind: str
    released: str
    popularity: int
    upc: str
    tracks: list["Track"] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class Track:
    id: str
    name: str
    artists: list[Artist]
    album: Album
    number: int
    duration_ms: int
    explicit: bool
    isrc: str
    popularity: int
    features: dict[str, float]

    @property
    def year(self) -> int:
        return int(self.album.released[:4])


def identity(*parts: object) -> str:
    """22 characters of base 62, as Spotify's ids are; the same for the same parts."""
    number = int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=17).digest())
    return "".join(_BASE62[number // 62**place % 62] for place in range(22))


class Catalogue:
    """Some thousand tracks. A fifth of the singles is on an album as well, under another id with the same ISRC."""

    def __init__(self, seed: int = 7, artists: int = 12) -> None:
        self.chance = random.Random(seed)
        self.artists: dict[str, Artist] = {}
        self.albums: dict[str, Album] = {}
        self.tracks: dict[str, Track] = {}
        for genre in GENRES:
            for number in range(artists):
                self._add_artist(genre, number)

    def of_genre(self, genre: str) -> list[Track]:
        """A genre's tracks, the most popular first."""
        return sorted(
            (track for track in self.tracks.values() if genre in track.artists[0].genres),
            key=lambda track: (-track.popularity, track.id),
        )

    def _add_artist(self, genre: str, number: int) -> None:
        draw = self.chance
        name = " ".join(
            "".join(draw.choices(_SYLLABLES, k=draw.randint(2, 3))).title() for _ in range(draw.randint(1, 2))
        )
        genres = [genre, *draw.sample([other for other in GENRES if other != genre], k=draw.random() < 0.25)]
        artist = Artist(identity("artist", genre, number), name, genres, draw.randint(5, 90))
        self.artists[artist.id] = artist
        for place in range(draw.randint(2, 5)):
            self._add_album(artist, place)

    def _add_album(self, artist: Artist, place: int) -> None:
        draw = self.chance
        kind = draw.choice(["album", "album", "single"])
        year, month, day = draw.randint(1968, 2026), draw.randint(1, 10), draw.randint(1, 28)
        released = draw.choice([f"{year}", f"{year}-{month:02}", *[f"{year}-{month:02}-{day:02}"] * 4])
        album = Album(
            identity("album", artist.id, place),
            self._title(),
            artist,
            kind,
            released,
            max(0, min(100, artist.popularity + draw.randint(-25, 10))),
            f"{draw.randrange(10**12):012}",
        )
        artist.albums.append(album)
        self.albums[album.id] = album
        for number in range(1, 2 if kind == "single" else draw.randint(5, 9)):
            self._add_track(album, number)

    def _add_track(self, album: Album, number: int) -> None:
        draw, artist = self.chance, album.artist
        centre = dict(zip(_FEATURES, GENRES[artist.genres[0]], strict=True))
        tempo = centre.pop("tempo") + draw.gauss(0, 12)
        features = {
            name: round(min(1, max(0, value + draw.gauss(0, 0.08))), 3) for name, value in centre.items()
        }
        known = [track for other in artist.albums[:-1] if other.kind == "single" for track in other.tracks]
        again = known[0] if known and number == 1 and album.kind == "album" and draw.random() < 0.6 else None
        others = list(self.artists.values())
        guests = [draw.choice(others)] if draw.random() < 0.1 else []
        track = Track(
            identity("track", album.id, number),
            again.name if again else self._title(),
            again.artists if again else [artist, *(guest for guest in guests if guest is not artist)],
            album,
            number,
            again.duration_ms if again else draw.randint(110_000, 380_000),
            draw.random() < 0.15,
            again.isrc
            if again
            else f"ZZ{draw.choice(['ABC', 'DEF', 'XYZ'])}{album.released[2:4]}{len(self.tracks):05}",
            max(0, min(100, album.popularity + draw.randint(-15, 15))),
            again.features if again else {**features, "tempo": round(tempo, 3)},
        )
        album.tracks.append(track)
        self.tracks[track.id] = track

    def _title(self) -> str:
        draw = self.chance
        return draw.choice(
            [
                f"{draw.choice(_VERBS)} {draw.choice(_NOUNS)}",
                f"{draw.choice(_NOUNS)} of {draw.choice(_NOUNS)}s",
                f"The {draw.choice(_NOUNS)} {draw.randint(2, 99)}",
            ]
        )
