"""Families: every track gets the one that people would name, and the best of one's own come first."""

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tastemaker.core import (
    Candidates,
    Catalog,
    CatalogSnapshot,
    Collection,
    Context,
    Feedback,
    ItemSchema,
    Record,
)
from tastemaker.plugins.music import Families, Tracks
from tastemaker.plugins.music.families import families, family_of
from tastemaker.plugins.music.sound import FEATURES

MUSIC = Path(__file__).parents[3] / "plugins" / "music"


def test_the_table_is_sound() -> None:
    names = [family.name for family in families()]
    assert len(names) == len(set(names)) >= 12
    assert {"Lo-fi Chill", "Pop Anthems", "Hype Beats", "Indie Vibes", "R&B Feels", "Sad Boy Hours"} <= set(
        names
    )
    for family in families():
        assert family.words
        assert all(word == word.casefold().strip() for word in family.words)
        assert set(family.ranges) <= set(FEATURES)
        assert all(low < high for low, high in family.ranges.values())


@pytest.mark.parametrize(
    ("track", "family"),
    [
        ({"genres": ["lo-fi"], "energy": 0.3, "tempo": 80}, "Lo-fi Chill"),
        ({"genres": "dance pop|pop", "energy": 0.8, "valence": 0.7, "danceability": 0.7}, "Pop Anthems"),
        ({"genres": ["pop"], "energy": 0.3}, "Mellow Pop"),
        ({"genres": ["Southern Hip Hop"], "energy": 0.8, "danceability": 0.8}, "Hype Beats"),
        ({"genres": ["indie folk"], "energy": 0.3, "acousticness": 0.8}, "Campfire Folk"),
        ({"genres": ["rap"], "energy": 0.3, "valence": 0.1}, "Sad Boy Hours"),
        ({"genres": ["technical death metal"], "energy": 0.95}, "Heavy Hours"),
        ({"genres": ["r&b"]}, "R&B Feels"),
        ({"energy": 0.1, "acousticness": 0.95, "danceability": 0.3, "speechiness": 0.04}, "Classical Calm"),
        ({"genres": ["popcorn"], "energy": 0.8}, None),
        ({"genres": 7, "energy": "loud"}, None),
        ({}, None),
    ],
)
def test_tracks_get_the_family_that_people_would_name(track: dict[str, Any], family: str | None) -> None:
    assert family_of(track) == family


class TestSample:
    ROWS = tuple(csv.DictReader((MUSIC / "sample.csv").read_text(encoding="utf-8").splitlines()))

    def test_it_is_complete_and_every_track_is_there_once(self) -> None:
        assert len(self.ROWS) == 360
        assert len({row["id"] for row in self.ROWS}) == len({row["title"] for row in self.ROWS}) == 360
        for row in self.ROWS:
            assert row["artist"]
            assert 0 <= int(row["popularity"]) <= 100
            assert 60_000 < int(row["duration_ms"]) < 600_000
            assert 50 < float(row["tempo"]) < 220
            assert all(0 <= float(row[name]) <= 1 for name in FEATURES if name != "tempo")

    def test_its_families_are_those_of_the_table(self) -> None:
        assert all(family_of(row) == row["family"] for row in self.ROWS)
        assert set(Counter(row["family"] for row in self.ROWS)) == {family.name for family in families()}


def test_a_table_of_tracks_fills_families_in_and_keeps_those_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(
        "nr,what,family,genres,energy\n1,A,,trap,0.9\n2,B,My Own,trap,0.9\n3,C,,noise,\n", encoding="utf-8"
    )
    table = Tracks(path=tmp_path / "mine.csv", columns={"id": "nr", "title": "what"})
    found = [record for record in table.collect(Collection("music", 0.0)) if isinstance(record, Record)]
    assert [record.values["family"] for record in found] == ["Hype Beats", "My Own", None]
    assert [record.values["title"] for record in found] == ["A", "B", "C"]
    assert found[1].where == "mine.csv:3"


@pytest.fixture(scope="module")
def catalog() -> CatalogSnapshot:
    catalog = Catalog(ItemSchema({"family": "category", "popularity": "number"}))
    catalog.put(
        [
            (f"{family}{number}", {"family": family, "popularity": float(number)})
            for family in ("calm", "loud", "odd")
            for number in range(6)
        ]
    )
    catalog.put([("none", {"popularity": 99.0})])
    return catalog.snapshot()


class TestSource:
    def proposed(self, catalog: CatalogSnapshot, heard: Any = (), seed: int = 1, **options: Any) -> list[str]:
        given = {name: options.pop(name, {}) for name in ("profile", "situation")}
        columns = {
            "reward": np.array([reward for _, reward in heard], dtype=np.float64),
            "kind": np.array(["play"] * len(heard), dtype=object),
            "age_days": np.arange(len(heard), dtype=np.float64),
        }
        context = Context(
            domain="music", user="ann", slate="s", now=0.0, size=5, draws=1, seed=seed, catalog=catalog,
            history=Candidates(catalog, catalog.rows([item for item, _ in heard]), columns=columns),
            feedback=Feedback(), **given,
        )  # fmt: skip
        rows = Families.model_validate({"popularity": "popularity", **options}).propose(context)
        return [str(catalog.ids[row]) for row in rows]

    def test_the_best_of_the_own_families_in_turn(self, catalog: CatalogSnapshot) -> None:
        heard = [("calm0", 1.0), ("loud0", 0.5), ("odd0", -1.0), ("none", 1.0)]
        assert self.proposed(catalog, heard, count=2, limit=5) == [
            "calm5",
            "loud5",
            "calm4",
            "loud4",
            "calm3",
        ]
        assert self.proposed(catalog, heard, count=1) == [f"calm{number}" for number in (5, 4, 3, 2, 1, 0)]

    def test_who_asks_for_one_gets_it_first(self, catalog: CatalogSnapshot) -> None:
        heard = [("calm0", 1.0)] * 9
        assert self.proposed(catalog, heard, count=1, situation={"family": "Odd"})[0] == "odd5"
        assert (
            self.proposed(catalog, heard, count=1, profile={"family": ["loud", "unheard of"]})[0] == "loud5"
        )

    def test_of_nobody_in_particular_some_at_random(self, catalog: CatalogSnapshot) -> None:
        found = {self.proposed(catalog, count=1, limit=1, seed=seed)[0] for seed in range(20)}
        assert found == {"calm5", "loud5", "odd5"}
        chance = {tuple(self.proposed(catalog, count=1, popularity=None, seed=seed)) for seed in range(9)}
        assert len(chance) > 5

    def test_nothing_where_no_track_has_one(self) -> None:
        catalog = Catalog(ItemSchema({"family": "category", "popularity": "number"}))
        assert self.proposed(catalog.snapshot()) == []
        catalog.put([("none", {"popularity": 1.0})])
        assert self.proposed(catalog.snapshot()) == []

    def test_tracks_of_several_families_come_once(self) -> None:
        catalog = Catalog(ItemSchema({"family": "tags", "popularity": "number"}))
        catalog.put(
            [("a", {"family": ["x", "y"], "popularity": 2.0}), ("b", {"family": ["y"], "popularity": 1.0})]
        )
        found = self.proposed(catalog.snapshot())
        assert (sorted(found), found[0]) == (["a", "b"], "a")
