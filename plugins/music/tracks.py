"""Spotify's tracks on their way into the catalogue: which recordings are new, and what an item gets besides."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from ...connectors.audio_features import Table
from ...connectors.spotify import Spotify
from ...core import CatalogSnapshot
from .families import family_of

Track = dict[str, Any]

_WITHOUT_TABLE = Table()


async def raw_items(
    tracks: Sequence[Track], features: Table | None, service: Spotify | None, key: str
) -> list[Track]:
    """Tracks as raw items with audio features and family; `key`: what holds an item's id.

    Features are from the table, from the service where its app is given them, or estimated.
    """
    measured = await (features or _WITHOUT_TABLE).of(tracks, service)
    whole = ({**track, **more} for track, more in zip(tracks, measured, strict=True))
    return [{**track, "family": family_of(track), key: track["id"]} for track in whole]


def distinct(tracks: Iterable[Track]) -> list[Track]:
    """The tracks without those that are the same recording, by id or ISRC, as one before.

    >>> [each["id"] for each in distinct([{"id": "a", "isrc": "X"}, {"id": "b", "isrc": "X"}, {"id": "a"}])]
    ['a']
    """
    seen: set[tuple[str, str]] = set()
    kept = []
    for track in tracks:
        names = [("id", track["id"])]
        if track.get("isrc"):
            names.append(("isrc", track["isrc"]))
        if not seen.intersection(names):
            kept.append(track)
        seen.update(names)
    return kept


def unknown(catalog: CatalogSnapshot, tracks: list[Track]) -> list[Track]:
    """Those of the tracks whose recording the catalogue doesn't have under another id."""
    if catalog.schema.fields.get("isrc") != "text" or not tracks:
        return tracks
    known = catalog.cached("music: isrcs", lambda: set(catalog.column("isrc")[catalog.live].tolist()))
    return [track for track in tracks if not track.get("isrc") or track["isrc"] not in known]


def genres_by_artist(catalog: CatalogSnapshot) -> dict[str, list[str]]:
    """By artist the three genres that most of their tracks in the catalogue have."""
    fields = catalog.schema.fields
    if fields.get("artist") != "category" or fields.get("genres") != "tags":
        return {}

    def counted() -> dict[str, list[str]]:
        codes, tags, artists = catalog.column("artist"), catalog.tags("genres"), catalog.words("artist")
        found: dict[int, Counter[str]] = {}
        for row in catalog.live.tolist():
            words = tags.words(row)
            if words and codes[row] >= 0:
                found.setdefault(int(codes[row]), Counter()).update(words)
        return {
            artists.word(code): [genre for genre, _ in counts.most_common(3)]
            for code, counts in found.items()
        }

    return catalog.cached("music: genres by artist", counted)
