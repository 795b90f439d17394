"""Audio features of tracks, from wherever they can be had: a table of your own, Spotify, ReccoBeats, or the genre.

connectors:
  features: {use: audio_features.table, path: features.csv, columns: {id: track_id}}

Measured ones are danceability, energy, valence, acousticness, instrumentalness, speechiness and liveness from 0 to 1,
and the tempo in beats a minute.
"""

import csv
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import anyio.to_thread
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PrivateAttr

from ..core import (
    Call,
    Collection,
    Component,
    ConfigPath,
    ConnectorError,
    Garbage,
    Record,
    ServiceError,
    hookimpl,
)
from . import files
from .spotify import Spotify
from .spotify_objects import FEATURES
from .web import HttpService

Features = dict[str, Any]
"""Features by name, with `features_from` (table, spotify, reccobeats or genre) and `features_confidence`, 0 to 1."""

GENRES = Path(__file__).with_name("genre_features.csv")
_AT_ONCE = 40
"""Ids that ReccoBeats takes in one request."""


class Table(HttpService):
    """Audio features by Spotify id or ISRC from a table, and from elsewhere for tracks that it doesn't have.

    The table's columns are `id`, `isrc`, or both, and the features by their names; `columns` says what yours are
    called. A track that nobody measured gets the usual features of its genres, with a confidence below 1.
    """

    path: ConfigPath | None = Field(
        None, description="The table: CSV, TSV, JSON Lines or Parquet; none: features come from elsewhere."
    )
    columns: Mapping[str, str] = Field({}, description="Where the table calls them otherwise: name: column.")
    estimate: bool = Field(
        True, description="Whether to estimate the features of other tracks from their genres."
    )
    reccobeats: bool = Field(
        False, description="Whether to ask ReccoBeats, a free service without guarantees, for other tracks."
    )
    url: str = Field("https://api.reccobeats.com", pattern="^https?://", description="Of ReccoBeats.")

    _loading: threading.Lock = PrivateAttr(default_factory=threading.Lock)
    _measured: "_Measured | None" = PrivateAttr(None)

    async def open(self) -> None:
        """Read the table. Raises ConnectorError where it can't be read, or has neither ids nor ISRCs."""
        await super().open()
        await anyio.to_thread.run_sync(self._read, abandon_on_cancel=True)

    def _read(self) -> None:
        with self._loading:
            if self._measured is None and self.path is not None:
                self._measured = _Measured.read(self.path, self.columns)

    async def of(self, tracks: Sequence[Mapping[str, Any]], spotify: Spotify | None = None) -> list[Features]:
        """The features of tracks with `id`, and `isrc` and `genres` where known; empty where nothing is known.

        spotify: asked for tracks that the table doesn't have, where its app may.
        """
        found: dict[str, Features] = {}
        if self._measured is not None:
            for track in tracks:
                values = self._measured.of(str(track["id"]), track.get("isrc"))
                if values:
                    found[str(track["id"])] = _noted(values, "table")
        found |= await self._elsewhere(
            [str(track["id"]) for track in tracks if str(track["id"]) not in found], spotify
        )
        return [
            found.get(str(track["id"])) or (estimated(track.get("genres") or ()) if self.estimate else {})
            for track in tracks
        ]

    async def _elsewhere(self, ids: Sequence[str], spotify: Spotify | None) -> dict[str, Features]:
        """What services know of tracks. What they don't answer is missing; the tracks are there all the same."""
        found: dict[str, Features] = {}
        if ids and spotify is not None and spotify.ask_features:
            try:
                measured = await spotify.audio_features(ids)
                found |= {each: _noted(values, "spotify") for each, values in measured.items() if values}
            except ServiceError:
                pass  # most apps aren't given them
        left = [each for each in ids if each not in found]
        if left and self.reccobeats:
            for start in range(0, len(left), _AT_ONCE):
                try:
                    measured = await self._asked(left[start : start + _AT_ONCE])
                except ServiceError:
                    break
                found |= {each: _noted(values, "reccobeats") for each, values in measured.items() if values}
        return found

    async def _asked(self, ids: Sequence[str]) -> dict[str, dict[str, float]]:
        """What ReccoBeats knows of tracks, by Spotify id. Its rows come in any order and with ids of their own."""
        call = Call("audio_features", "reccobeats", key=",".join(sorted(ids)), keep="features")
        answer = await self.fetch(call, f"{self.url.rstrip('/')}/v1/audio-features", {"ids": ",".join(ids)})
        try:
            found = _by_spotify_id(answer.value)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Garbage(f"not what ReccoBeats sends: {type(error).__name__}: {error}") from None
        return {each: values for each, values in found.items() if each in ids}


def _by_spotify_id(body: Any) -> dict[str, dict[str, float]]:
    return {
        str(row["href"]).rstrip("/").rpartition("/")[2]: {
            name: float(row[name]) for name in FEATURES if row.get(name) is not None
        }
        for row in body["content"]
    }


class _Measured:
    """A table in memory: rows by id and by ISRC, features as float32, NaN where missing."""

    def __init__(self, rows: Mapping[str, int], values: NDArray[np.float32]) -> None:
        self._rows = rows
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def of(self, identity: str, isrc: str | None) -> dict[str, float]:
        row = self._rows.get(identity)
        if row is None and isrc:
            row = self._rows.get(_isrc(isrc))
        if row is None:
            return {}
        return {
            name: float(str(value))
            for name, value in zip(FEATURES, self._values[row], strict=True)
            if not np.isnan(value)
        }

    @classmethod
    def read(cls, path: Path, columns: Mapping[str, str]) -> "_Measured":
        """Raises ConnectorError."""
        rows: dict[str, int] = {}
        values: list[NDArray[np.float32]] = []
        table = files.Table(path=path, columns=columns)
        for record in table.collect(Collection("", 0.0)):
            if not isinstance(record, Record):
                continue
            raw = record.values
            keys = [str(raw["id"])] if raw.get("id") else []
            if raw.get("isrc"):
                keys.append(_isrc(str(raw["isrc"])))
            measured = np.array([_number(raw.get(name)) for name in FEATURES], dtype=np.float32)
            if keys and not np.isnan(measured).all():
                rows.update(dict.fromkeys(keys, len(values)))
                values.append(measured)
        if not rows:
            raise ConnectorError(
                f"{path}: no row has an id or an ISRC, and a feature; name the columns by `columns`, such as "
                "{id: track_id, energy: Energy}"
            )
        return cls(rows, np.stack(values))


def estimated(genres: Iterable[str]) -> Features:
    """What tracks of some genres are like, on average; a genre that isn't known counts as the known one in its name.

    >>> estimated(["swedish death metal"])["energy"], estimated(["polka from mars"])
    (0.93, {})
    """
    known = [found for genre in genres if (found := _genre(genre)) is not None]
    if not known:
        return {}
    weights = np.array([confidence for confidence, _ in known])
    means = np.average(np.stack([values for _, values in known]), axis=0, weights=weights)
    values = {name: round(float(mean), 4) for name, mean in zip(FEATURES, means, strict=True)}
    return {**values, "features_from": "genre", "features_confidence": round(float(weights.mean()), 4)}


@cache
def _table() -> dict[str, tuple[float, NDArray[np.float64]]]:
    with GENRES.open(encoding="utf-8", newline="") as file:
        return {
            row["genre"]: (float(row["confidence"]), np.array([float(row[name]) for name in FEATURES]))
            for row in csv.DictReader(file)
        }


_ALSO = {
    "rnb": "r&b",
    "hiphop": "hip hop",
    "lofi": "lo-fi",
    "dnb": "drum and bass",
    "kpop": "k-pop",
    "jpop": "j-pop",
}


@cache
def _genre(name: str) -> tuple[float, NDArray[np.float64]] | None:
    words = " ".join(_ALSO.get(word, word) for word in re.split(r"[\s_/]+", name.strip().lower()))
    table = _table()
    for spelling in (words, words.replace("-", " "), words.replace(" ", "-")):
        if spelling in table:
            return table[spelling]
    parts = words.replace("-", " ").split()
    # The longest name first, and of equally long ones the last: in "country rock" it is rock that is meant.
    for length in range(len(parts) - 1, 0, -1):
        for start in range(len(parts) - length, -1, -1):
            part = parts[start : start + length]
            for spelling in (" ".join(part), "-".join(part)):
                if spelling in table:
                    return table[spelling]
    return None


def _noted(values: Mapping[str, float], source: str) -> Features:
    return {**values, "features_from": source, "features_confidence": 1.0}


def _isrc(value: str) -> str:
    return value.replace("-", "").strip().upper()


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


@hookimpl
def components() -> Sequence[type[Component]]:
    """The connector."""
    return [Table]
