import asyncio
import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tastemaker.connectors.audio_features import Table, estimated
from tastemaker.connectors.spotify_objects import FEATURES
from tastemaker.core import ConnectorError

from ..fakes.faults import Fault, Faults
from ..fakes.serving import serve

DATA = (
    Path(os.environ.get("SHARED_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
    / "spotify-songs"
)
ROW = {"danceability": 0.5, "energy": 0.25, "valence": 0.125, "tempo": 120.0}


def written(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        pytest.importorskip("pyarrow")
        from pyarrow import Table as Arrow
        from pyarrow import parquet

        parquet.write_table(Arrow.from_pylist(list(rows)), path)
        return path
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, sorted({name for row in rows for name in row}))
        writer.writeheader()
        writer.writerows(rows)
    return path


def opened(table: Table) -> Table:
    asyncio.run(table.open())
    return table


def features(table: Table, *tracks: dict[str, Any]) -> list[dict[str, Any]]:
    return asyncio.run(table.of(tracks))


@pytest.mark.parametrize("name", ["features.csv", "features.parquet"])
def test_by_id_and_by_isrc(tmp_path: Path, name: str) -> None:
    rows = [{"id": "a", "isrc": "GB-ABC-12-34567", **ROW}, {"id": "b", "isrc": "", **ROW, "energy": 0.75}]
    table = opened(Table(path=written(tmp_path / name, rows)))
    one, other, neither = features(
        table,
        {"id": "elsewhere", "isrc": "gbabc1234567"},
        {"id": "b", "genres": ["metal"]},
        {"id": "c", "isrc": "DEXYZ0000000"},
    )
    assert one == {**ROW, "features_from": "table", "features_confidence": 1.0}
    assert other["energy"] == 0.75
    assert neither == {}


def test_columns_of_another_name(tmp_path: Path) -> None:
    path = written(tmp_path / "mine.csv", [{"track": "a", "Energy": 0.3}])
    table = opened(Table(path=path, columns={"id": "track", "energy": "Energy"}))
    assert features(table, {"id": "a"})[0]["energy"] == 0.3


def test_cells_that_cannot_be_read_are_missing(tmp_path: Path) -> None:
    rows = [{"id": "a", "energy": "loud", "valence": "0.5"}, {"id": "b", "energy": "", "valence": "x"}]
    table = opened(Table(path=written(tmp_path / "f.csv", rows)))
    one, other = features(table, {"id": "a"}, {"id": "b"})
    assert (one.get("energy"), one["valence"]) == (None, 0.5)
    assert other == {}


def test_a_table_without_keys_says_what_it_needs(tmp_path: Path) -> None:
    table = Table(path=written(tmp_path / "f.csv", [{"track": "a", "energy": 0.3}]))
    with pytest.raises(ConnectorError, match=r"f\.csv: no row has an id or an ISRC.*columns"):
        asyncio.run(table.open())


def test_a_genre_estimates_and_says_how_surely() -> None:
    metal, jazz, both = estimated(["metal"]), estimated(["Jazz"]), estimated(["metal", "jazz"])
    assert metal["energy"] > 0.8 > 0.4 > jazz["energy"]
    assert jazz["energy"] < both["energy"] < metal["energy"]
    assert 0 < metal["features_confidence"] < 1
    assert metal["features_from"] == "genre"
    assert {*FEATURES} < {*metal}


@pytest.mark.parametrize(
    ("genre", "known"),
    [
        ("Swedish Death Metal", "death metal"),
        ("hip-hop", "hip hop"),
        ("lofi beats", "lo-fi"),
        ("country rock", "rock"),
        ("melodic drum and bass", "drum and bass"),
        ("alternative R&B", "r&b"),
        ("rnb", "r&b"),
        ("K-Pop", "k-pop"),
        ("chicago_house", "house"),
    ],
)
def test_a_genre_is_known_by_the_known_one_in_its_name(genre: str, known: str) -> None:
    assert estimated([genre]) == estimated([known])


@pytest.mark.parametrize("genre", ["", "polka", "popcorn", "rocket", "   ", "🎸"])
def test_an_unknown_genre_estimates_nothing(genre: str) -> None:
    assert estimated([genre]) == {}


def test_an_estimate_can_be_switched_off() -> None:
    assert features(Table(estimate=False), {"id": "a", "genres": ["jazz"]}) == [{}]
    assert features(Table(), {"id": "a", "genres": ["jazz"]})[0]["features_from"] == "genre"


def test_a_genre_tells_more_than_the_average_of_all_music() -> None:
    """On 28,352 real tracks of six genres, none of which has been used to make the table of genres."""
    if not DATA.exists():
        pytest.skip(f"needs the real data at {DATA}, or SHARED_DATA=its folder")
    with (DATA / "tracks.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    guesses = [estimated([*row["subgenres"].split("|"), *row["genres"].split("|")]) for row in rows]
    for name in ("energy", "danceability", "speechiness", "acousticness", "instrumentalness", "valence"):
        real = np.array([float(row[name]) for row in rows])
        guess = np.array([guess[name] for guess in guesses])
        assert np.corrcoef(real, guess)[0, 1] > 0.25, name
        assert ((real - guess) ** 2).mean() < 0.95 * real.var(), name


@pytest.fixture
def reccobeats() -> Iterator[tuple[Starlette, str]]:
    async def answer(request: Request) -> Response:
        ids = request.query_params["ids"].split(",")
        if len(ids) > 40:
            return JSONResponse({"error": "too many ids"}, 400)
        rows = [
            {"id": f"own-{each}", "href": f"https://open.spotify.com/track/{each}", "energy": len(each) / 10}
            for each in ids
            if not each.startswith("unknown")
        ]
        return JSONResponse({"content": rows[::-1]})

    app = Starlette(routes=[Route("/v1/audio-features", answer)], middleware=[Middleware(Faults)])
    app.state.faults, app.state.requests = [], []
    with serve(app) as url:
        yield app, url


def test_reccobeats_is_asked_only_when_told_to(reccobeats: tuple[Starlette, str]) -> None:
    app, url = reccobeats
    assert features(Table(url=url), {"id": "a"}) == [{}]
    assert app.state.requests == []


def test_reccobeats_by_forty_and_matched_by_link(reccobeats: tuple[Starlette, str]) -> None:
    app, url = reccobeats
    tracks = [{"id": "x" * (1 + number % 8) + str(number)} for number in range(85)] + [{"id": "unknown1"}]
    found = features(Table(url=url, reccobeats=True), *tracks)
    assert [each["energy"] for each in found[:-1]] == [len(track["id"]) / 10 for track in tracks[:-1]]
    assert found[-1] == {}
    assert [len(each.query["ids"].split(",")) for each in app.state.requests] == [40, 40, 6]
    assert found[0]["features_from"] == "reccobeats"


@pytest.mark.parametrize(
    "what",
    [
        {"status": 500},
        {"status": 429, "headers": {"Retry-After": "9999"}},
        {"garbage": b"<html>"},
        {"garbage": b'{"content": [7]}'},
        {"garbage": b'{"content": [{"href": null, "energy": "x"}]}'},
        {"drop": True},
        {"status": 302, "headers": {"Location": "http://example.org/"}},
    ],
)
def test_without_reccobeats_the_genre_answers(
    reccobeats: tuple[Starlette, str], what: dict[str, Any]
) -> None:
    app, url = reccobeats
    app.state.faults.append(Fault(times=-1, **what))
    table = Table(url=url, reccobeats=True, retries=0)
    found = features(table, *({"id": f"t{number}", "genres": ["jazz"]} for number in range(50)))
    assert {each["features_from"] for each in found} == {"genre"}
    assert len(app.state.requests) == 1
