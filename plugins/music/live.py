"""Sources of tracks that ask Spotify: by what a person hears, by genre, and Spotify's own recommendations.

What they find is adopted into the catalogue, with audio features. A source waits for as long as it may and proposes
what has come by then; what is late is there when it is asked the next time.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from pydantic import Field

from ...connectors.audio_features import Table
from ...connectors.spotify import Listener, Spotify
from ...core import ConnectorError, Context, Proposal, Source, Unavailable
from ..catalog.joint_wait import JointWait
from ..catalog.ranking import in_turn
from ..catalog.words import wanted
from .families import families
from .taste import taste_of
from .tracks import Track, distinct, genres_by_artist, raw_items, unknown

_YEARS = re.compile(r"^[0-9]{4}(-[0-9]{4})?$")
_LEAST_SECONDS = 0.05
"""How long audio features are waited for where nothing is left of the time."""

_Wish = tuple[tuple[Hashable, ...], Callable[[JointWait], Awaitable[list[Track]]]]
"""All that the tracks depend on, and what finds them, best first. It raises ConnectorError."""


class Live(Source):
    """What the sources that ask Spotify have in common."""

    service: Spotify
    features: Table | None = Field(
        None, description="Where audio features come from; none: from Spotify or the genre."
    )
    limit: int = Field(200, ge=1, le=1000, description="How many tracks to propose.")
    wait_ms: float = Field(
        550,
        gt=0,
        description="After so long it proposes what has come so far; keep it below the time for sources.",
    )
    again: bool = Field(
        False, description="Whether to propose tracks that the listener knows: saved, or heard of late."
    )
    again_minutes: float = Field(
        10,
        ge=0,
        description="How long what was found is proposed for the same wish without asking the cache or Spotify again.",
    )

    async def propose(self, context: Context) -> Proposal:
        """Ids of tracks that are in the catalogue already, and raw items of the others. Raises ConnectorError."""
        clock = asyncio.get_running_loop().time
        end = clock() + self.wait_ms / 1000
        wish = await self.wish(context)
        if wish is None:
            return []
        question = context.asked((*wish[0], self.limit))
        if question.rows is not None:
            return question.rows
        wait = JointWait(end)
        tracks = distinct(await wish[1](wait))[: self.limit]
        wait.tell(context)
        rows = context.catalog.rows(track["id"] for track in tracks)
        known = [track["id"] for track, row in zip(tracks, rows, strict=True) if row >= 0]
        new = unknown(context.catalog, [track for track, row in zip(tracks, rows, strict=True) if row < 0])
        if wait.complete:
            question.remember([*known, *(track["id"] for track in new)], 60 * self.again_minutes)
        if not new:
            return known
        key = context.catalog.schema.id
        try:
            later = JointWait(max(end, clock() + _LEAST_SECONDS))
            (items,) = await later.all([raw_items(new, self.features, self.service, key)])
        except ConnectorError:
            items = await raw_items(new, None, None, key)
        return [*known, *items]

    async def wish(self, context: Context) -> _Wish | None:
        """What to find, None for nothing. Raises ConnectorError."""
        return None

    async def _listener(self, context: Context) -> Listener | None:
        return await self.service.listener(context.user, context.credentials.get(self.service.entry))


class Seeds(Live):
    """Tracks of the artists whom a person hears most, of late, saves and follows: the best known ones and albums.

    For people who linked their Spotify account, or whose requests bring a token. Nothing for others.
    """

    artists: int = Field(10, ge=1, le=50, description="How many artists to start from.")
    per_artist: int = Field(20, ge=1, le=100, description="Tracks of each artist; ten are one request.")
    albums: int = Field(3, ge=0, le=50, description="Of how many of them to open an album.")

    async def wish(self, context: Context) -> _Wish | None:
        """Tracks of the artists in turn."""
        listener = await self._listener(context)
        if listener is None:
            return None
        options = (self.artists, self.per_artist, self.albums, self.again)
        return (context.user, _day(context), *options), partial(self._find, context, listener)

    async def _find(self, context: Context, listener: Listener, wait: JointWait) -> list[Track]:
        taste = await taste_of(self.service, listener, wait)
        seeds = taste.artists[: self.artists]
        known = frozenset() if self.again else taste.known
        searches: list[Awaitable[list[Track]]] = [
            self.service.artist_top_tracks(seed, limit=self.per_artist, lost=wait.lost.append)
            for seed in seeds
        ]
        opened: list[Awaitable[list[Track]]] = [
            self._album(seed, context) for seed in seeds[: self.albums] if seed.get("id")
        ]
        found = await wait.all([*searches, *opened])
        genres = {seed["name"]: seed["genres"] or _genres_of(context, seed["name"]) for seed in seeds}
        return [
            {**track, "genres": genres.get(track["artist"]) or _genres_of(context, track["artist"])}
            for track in in_turn(found)
            if track["id"] not in known
        ]

    async def _album(self, artist: Mapping[str, Any], context: Context) -> list[Track]:
        """The tracks of one of an artist's albums: today's, so that they are asked for once a day."""
        albums = await self.service.artist_albums(str(artist["id"]), kinds="album")
        if not albums:
            return []
        return await self.service.album_tracks(albums[_day(context) % len(albums)])


class Genres(Live):
    """Tracks by the genres that a person wants: of the situation, the profile, what they liked, or else `default`."""

    profile: str = Field("genres", description="The key of the profile that has wanted genres.")
    situation: str = Field("genre", description="The key of the situation that says which genre is wanted.")
    family: str = Field(
        "family", description="The key of either that has wanted families, such as Lo-fi Chill."
    )
    field: str = Field("genres", description="The tags of the items that hold genres.")
    default: tuple[str, ...] = Field(
        ("pop", "rock", "hip hop", "electronic", "soul"),
        description="Genres where nothing is known of the person.",
    )
    genre_count: int = Field(4, ge=1, le=20, description="How many genres to search for.")
    per_genre: int = Field(40, ge=1, le=200, description="Tracks of each genre; ten are one request.")
    years: str | None = Field(
        None,
        pattern=_YEARS.pattern,
        description="Years of release, such as 1990-1999; the situation's `years` win.",
    )
    min_popularity: float = Field(0, ge=0, le=100, description="The least popularity, 0 to 100.")
    max_popularity: float = Field(
        100,
        ge=0,
        le=100,
        description="The largest. Apps in development mode aren't told how popular a track is: they look further down "
        "the results instead and, for a least popularity below 30, into albums that few hear.",
    )

    async def wish(self, context: Context) -> _Wish | None:
        """Tracks of the genres in turn."""
        genres = self._wanted(context)[: self.genre_count]
        years = self._years(context)
        options = (self.per_genre, self.min_popularity, self.max_popularity)
        return (*genres, years, _day(context), *options), partial(self._find, context, genres, years)

    async def _find(
        self, context: Context, genres: Sequence[str], years: str, wait: JointWait
    ) -> list[Track]:
        within = f" year:{years}" if years else ""
        low, high = self.min_popularity, self.max_popularity
        begin = int((100 - high) * 4) // 10 * 10
        searches: list[Awaitable[list[Track]]] = [
            self._of_genre(genre, within, begin, wait) for genre in genres
        ]
        if low < 30:
            searches.append(self._hipster(context, years, wait))
        tracks = in_turn(await wait.all(searches))
        return [
            track for track in tracks if track["popularity"] is None or low <= track["popularity"] <= high
        ]

    async def _of_genre(self, genre: str, within: str, begin: int, wait: JointWait) -> list[Track]:
        query, lost = f'genre:"{genre}"{within}', wait.lost.append
        tracks = await self.service.search(query, limit=self.per_genre, offset=begin, lost=lost)
        if not tracks and begin:
            tracks = await self.service.search(query, limit=self.per_genre, lost=lost)
        return [{**track, "genres": [genre]} for track in tracks]

    async def _hipster(self, context: Context, years: str, wait: JointWait) -> list[Track]:
        """The tracks of two albums that few hear, today's."""
        within = years or str(datetime.fromtimestamp(context.now, UTC).year)
        albums = await self.service.search(f"tag:hipster year:{within}", "album")
        day = _day(context)
        chosen = [albums[(day + place) % len(albums)] for place in range(min(2, len(albums)))]
        found = await wait.all([self.service.album_tracks(album) for album in chosen])
        return [{**track, "genres": _genres_of(context, track["artist"])} for track in in_turn(found)]

    def _years(self, context: Context) -> str:
        said = str(context.situation.get("years") or "")
        if _YEARS.fullmatch(said):
            return said
        context.unheeded("years", "a year or two of them, such as 1990-1999")
        return self.years or ""

    def _wanted(self, context: Context) -> list[str]:
        """Genres without quotation marks, the most wanted first."""
        said = wanted(context.situation.get(self.situation))
        for known in (context.situation, context.profile):
            for family in wanted(known.get(self.family)):
                said.update(dict.fromkeys(_words_of(family), 0.75))
        for genre, weight in wanted(context.profile.get(self.profile)).items():
            said.setdefault(genre, min(weight, 1.0) / 2)
        genres = sorted(said, key=lambda genre: -said[genre])
        if len(genres) < self.genre_count:
            genres += [genre for genre in self._liked(context) if genre not in said]
        plain = (genre.replace('"', " ").strip() for genre in genres or self.default)
        return list(dict.fromkeys(genre for genre in plain if genre))

    def _liked(self, context: Context) -> list[str]:
        """Genres of what the person liked, the most frequent first."""
        history = context.history
        if self.field not in context.catalog.schema.fields or not len(history):
            return []
        liked = history.rows[history["reward"] > 0].tolist()
        tags = context.catalog.tags(self.field)
        return [
            genre
            for genre, _ in Counter(
                word.casefold() for row in liked for word in tags.words(row)
            ).most_common()
        ]


class Service(Live):
    """Spotify's own recommendations, for apps that get them; nothing for others.

    Their seeds are what the person hears most, or liked here, or wants by genre.
    """

    profile: str = Field("genres", description="The key of the profile that has wanted genres.")
    min_energy: float = Field(0, ge=0, le=1, description="The least energy.")
    max_energy: float = Field(1, ge=0, le=1, description="The largest energy.")
    min_popularity: float = Field(0, ge=0, le=100, description="The least popularity.")
    max_popularity: float = Field(100, ge=0, le=100, description="The largest popularity.")
    min_valence: float = Field(0, ge=0, le=1, description="The least valence.")
    max_valence: float = Field(1, ge=0, le=1, description="The largest valence.")
    target_energy: float | None = Field(None, ge=0, le=1, description="The energy to come near to.")
    target_valence: float | None = Field(None, ge=0, le=1, description="The valence to come near to.")
    target_danceability: float | None = Field(
        None, ge=0, le=1, description="The danceability to come near to."
    )
    target_tempo: float | None = Field(
        None, gt=0, le=300, description="The tempo to come near to, in beats a minute."
    )

    async def wish(self, context: Context) -> _Wish | None:
        """As Spotify orders them."""
        listener = await self._listener(context)
        genres = list(wanted(context.profile.get(self.profile)))[:5]
        if listener is None and not genres:
            return None
        whose = context.user if listener is not None else ""
        return (whose, *genres, *self.ranges.items()), partial(self._find, context, listener, genres)

    async def _find(
        self, context: Context, listener: Listener | None, genres: list[str], wait: JointWait
    ) -> list[Track]:
        if "recommendations" in await self.service.denied():
            return []
        seeds = await self._seeds(listener, genres, wait)
        if not seeds:
            return []
        wished = self.service.recommendations(**seeds, limit=min(self.limit, 100), ranges=self.ranges)
        try:
            found = await wait.all([wished])
        except Unavailable:
            return []
        return [
            {**track, "genres": _genres_of(context, track["artist"]) or list(seeds.get("genres", ()))}
            for track in in_turn(found)
        ]

    @property
    def ranges(self) -> dict[str, float]:
        """Its wishes in Spotify's words: the options that aren't as they are by default."""
        fields = type(self).model_fields
        wishes = {
            name: getattr(self, name) for name in fields if name.startswith(("min_", "max_", "target_"))
        }
        return {name: wish for name, wish in wishes.items() if wish not in (None, fields[name].default)}

    async def _seeds(
        self, listener: Listener | None, genres: list[str], wait: JointWait
    ) -> dict[str, list[str]]:
        """At most five: tracks and artists of the person's, or genres."""
        if listener is not None:
            taste = await taste_of(self.service, listener, wait)
            artists = [str(artist["id"]) for artist in taste.artists[:2] if artist.get("id")]
            if taste.tracks or artists:
                return {"tracks": taste.tracks[: 5 - len(artists)], "artists": artists}
        return {"genres": genres} if genres else {}


def _day(context: Context) -> int:
    return int(context.now // 86_400)


def _words_of(family: str) -> list[str]:
    """The first genres of a family, whatever its case."""
    return [
        genre for each in families() if each.name.casefold() == family for genre in sorted(each.words)[:2]
    ]


def _genres_of(context: Context, artist: str) -> list[str]:
    return genres_by_artist(context.catalog).get(artist, [])
