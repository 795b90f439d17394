"""Collectors that ask Spotify in the background: what people hear, and tracks of many genres for whoever is new."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence

from pydantic import Field

from ...connectors.audio_features import Table
from ...connectors.spotify import Listener, Spotify
from ...core import Collection, Collector, CollectorError, ConnectorError, Fault, Interaction, Record, Refused
from .tracks import Track, distinct, genres_by_artist, raw_items

_AT_ONCE = 40


class Listening(Collector):
    """What people hear and save who have linked their Spotify account: as interactions, and their tracks as items.

    Each play and each saved track comes once. Whoever can't be asked is a fault, and is asked again the next time.
    """

    service: Spotify
    features: Table | None = Field(
        None, description="Where audio features come from; none: from Spotify or the genre."
    )
    play: str = Field("play", description="The kind of interaction that a track heard is.")
    save: str = Field("save", description="The kind of interaction that a saved track is.")
    saved: int = Field(100, ge=0, le=1000, description="How many saved tracks to read, the newest first.")

    async def collect(self, collection: Collection) -> AsyncIterator[Record | Interaction | Fault]:
        """The latest of everybody, in the order of their names. Raises ConnectorError.

        So it does where nobody could be asked, and not because their accounts are over.
        """
        read: dict[str, dict[str, float]] = json.loads(collection.mark) if collection.mark else {}
        users = await self.service.accounts.users(self.service.entry)
        left = {user: read.get(user, {}) for user in users}
        failures = 0
        for user in users:
            try:
                listener = await self.service.listener(user)
                heard = [] if listener is None else await self._heard(listener, left[user])
            except ConnectorError as problem:
                yield Fault(f"account of {user!r}", str(problem))
                failures += not isinstance(problem, Refused)
                if failures == len(users):
                    raise CollectorError(str(problem)) from None
                continue
            for record in await _records(
                [track for _, track in heard], self.features, self.service, collection
            ):
                yield record
            for kind, track in sorted(heard, key=lambda each: each[1]["at"]):
                at = track["at"]
                left[user][kind] = max(at, left[user].get(kind, 0.0))
                identity = f"spotify:{kind}:{user}:{track['id']}:{at:.3f}"
                yield Interaction(identity, collection.domain, user, track["id"], kind, at)
        collection.mark = json.dumps(left)

    async def _heard(self, listener: Listener, until: Mapping[str, float]) -> list[tuple[str, Track]]:
        """Kind and track of what is newer than what was read before."""
        played = await self.service.recently_played(listener)
        lost: list[ConnectorError] = []
        saved = (
            await self.service.saved_tracks(listener, limit=self.saved, lost=lost.append)
            if self.saved
            else []
        )
        if lost:  # what is older than the newest that was read is never asked for again
            raise lost[0]
        return [
            (kind, track)
            for kind, tracks in ((self.play, played), (self.save, saved))
            for track in tracks
            if track["at"] is not None and track["at"] > until.get(kind, 0.0)
        ]


class Harvest(Collector):
    """The best known tracks of many genres: what there is before anybody has asked for anything."""

    service: Spotify
    features: Table | None = Field(
        None, description="Where audio features come from; none: from Spotify or the genre."
    )
    genres: tuple[str, ...] = Field(
        (
            "pop", "rock", "hip hop", "electronic", "soul", "r&b", "jazz", "classical", "folk", "country",
            "metal", "punk", "indie", "latin", "k-pop", "house", "techno", "ambient", "blues", "reggae",
        ),
        description="Which genres.",
    )  # fmt: skip
    per_genre: int = Field(20, ge=1, le=200, description="Tracks of each; ten are one request.")

    async def collect(self, collection: Collection) -> AsyncIterator[Record | Fault]:
        """The tracks of one genre after the other. Raises CollectorError where not one of them could be had."""
        failures = 0
        for genre in self.genres:
            lost: list[ConnectorError] = []
            try:
                tracks = await self.service.search(f'genre:"{genre}"', limit=self.per_genre, lost=lost.append)
            except ConnectorError as problem:
                failures += 1
                yield Fault(f"genre {genre!r}", str(problem))
                if failures == len(self.genres):
                    raise CollectorError(str(problem)) from None
                continue
            for failure in lost:
                yield Fault(f"genre {genre!r}", str(failure))
            named = [{**track, "genres": [genre]} for track in distinct(tracks)]
            for record in await _records(named, self.features, self.service, collection):
                yield record


async def _records(
    tracks: Sequence[Track], features: Table | None, service: Spotify, collection: Collection
) -> list[Record]:
    """Records of tracks that the catalogue doesn't have yet, or has with the genres that they are given here."""
    catalog = collection.catalog
    once = {track["id"]: track for track in tracks}.values()
    new = [track for track in once if catalog is None or "genres" in track or catalog.row(track["id"]) < 0]
    known = {} if catalog is None else genres_by_artist(catalog)
    named = [{**track, "genres": track.get("genres") or known.get(track["artist"], [])} for track in new]
    key = "id" if catalog is None else catalog.schema.id
    found: list[Record] = []
    for start in range(0, len(named), _AT_ONCE):
        items = await raw_items(named[start : start + _AT_ONCE], features, service, key)
        found += [Record(item, f"Spotify's track {item[key]}") for item in items]
    return found
