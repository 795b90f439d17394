"""Taste: what a person hears, by their Spotify account."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from ...connectors.spotify import Listener, Spotify
from ..catalog.joint_wait import JointWait


class Taste:
    """What a person hears: artists by weight, the tracks heard most, and all that they know."""

    def __init__(self, artists: list[Mapping[str, Any]], tracks: list[str], known: frozenset[str]) -> None:
        self.artists, self.tracks, self.known = artists, tracks, known


async def taste_of(service: Spotify, listener: Listener, wait: JointWait) -> Taste:
    """Raises ConnectorError where nothing could be had."""
    top, artists, recent, saved, followed = await wait.each(
        [
            service.top_tracks(listener, period="short_term"),
            service.top_artists(listener),
            service.recently_played(listener),
            service.saved_tracks(listener),
            service.followed_artists(listener),
        ]
    )
    weights: defaultdict[str, float] = defaultdict(float)
    by_name: dict[str, Mapping[str, Any]] = {}
    for place, artist in enumerate(artists):
        by_name[artist["name"]] = artist
        weights[artist["name"]] += 2 * 0.95**place
    for share, heard in ((1.0, recent), (1.0, top), (0.3, saved)):
        for place, track in enumerate(heard):
            by_name.setdefault(
                track["artist"], {"id": track["artist_id"], "name": track["artist"], "genres": []}
            )
            weights[track["artist"]] += share * 0.95**place
    for artist in followed:
        by_name.setdefault(artist["name"], artist)
        weights[artist["name"]] += 0.5
    names = sorted(weights, key=lambda name: -weights[name])
    known = frozenset(track["id"] for heard in (top, recent, saved) for track in heard)
    return Taste([by_name[name] for name in names], [track["id"] for track in top[:5]], known)
