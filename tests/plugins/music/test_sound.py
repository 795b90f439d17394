"""Tracks that sound alike, whatever their features are counted in."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from tastemaker.core import Candidates, Catalog, CatalogSnapshot, Context, Feedback, ItemSchema
from tastemaker.plugins.music import Similar, Similarity
from tastemaker.plugins.music.sound import FEATURES

CALM = {"energy": 0.2, "tempo": 80, "acousticness": 0.9, "valence": 0.3}
LOUD = {"energy": 0.9, "tempo": 160, "acousticness": 0.1, "valence": 0.6}


def near(sound: dict[str, float], number: int) -> dict[str, float]:
    rng = np.random.default_rng(number)
    return {name: value * float(rng.uniform(0.93, 1.07)) for name, value in sound.items()}


@pytest.fixture(scope="module")
def catalog() -> CatalogSnapshot:
    whole = Catalog(ItemSchema(dict.fromkeys(FEATURES, "number")))
    whole.put([(f"calm{number}", near(CALM, number)) for number in range(10)])
    whole.put([(f"loud{number}", near(LOUD, 20 + number)) for number in range(10)])
    whole.put([("silent", {})])
    return whole.snapshot()


def context(catalog: CatalogSnapshot, history: Sequence[tuple[str, float, float]]) -> Context:
    """A request; history holds (item, reward, age in days)."""
    columns = {
        "reward": np.array([reward for _, reward, _ in history]),
        "kind": np.array(["play"] * len(history), dtype=object),
        "age_days": np.array([age for *_, age in history]),
    }
    rows = catalog.rows([item for item, *_ in history])
    return Context(
        domain="music", user="ann", slate="s", now=0.0, size=5, draws=1, seed=1, catalog=catalog,
        history=Candidates(catalog, rows, columns=columns), feedback=Feedback(), profile={"genres": ["calm0"]},
        situation={},
    )  # fmt: skip


def scores(
    catalog: CatalogSnapshot, history: Sequence[tuple[str, float, float]], **options: Any
) -> dict[str, float]:
    candidates = Candidates(catalog, np.arange(len(catalog)))
    found = Similarity.model_validate(options).score(context(catalog, history), candidates)
    return dict(zip(candidates.ids.tolist(), found.tolist(), strict=True))


def test_what_sounds_alike_is_near_and_what_does_not_is_far(catalog: CatalogSnapshot) -> None:
    found = scores(catalog, [("calm0", 1.0, 0.0)])
    assert min(found[f"calm{number}"] for number in range(10)) > 0.8
    assert max(found[f"loud{number}"] for number in range(10)) < -0.8
    assert found["silent"] == 0


def test_recent_plays_weigh_more(catalog: CatalogSnapshot) -> None:
    found = scores(catalog, [("calm0", 1.0, 0.0), ("loud0", 1.0, 60.0)])
    assert found["calm5"] > 0.7 > -0.7 > found["loud5"]
    balanced = scores(catalog, [("calm0", 1.0, 0.0), ("loud0", 1.0, 60.0)], half_life_days=36_500)
    assert abs(balanced["calm5"]) < abs(found["calm5"])


def test_what_was_disliked_pushes_away(catalog: CatalogSnapshot) -> None:
    found = scores(catalog, [("loud0", -1.0, 0.0)])
    assert found["loud1"] < 0 < found["calm1"]


def test_nothing_heard_nothing_known(catalog: CatalogSnapshot) -> None:
    assert set(scores(catalog, []).values()) == {0.0}
    assert len(Similar().propose(context(catalog, []))) == 0


def test_the_source_proposes_the_nearest_that_were_not_heard(catalog: CatalogSnapshot) -> None:
    rows = Similar(limit=9).propose(context(catalog, [("calm0", 1.0, 0.0), ("calm1", 0.5, 1.0)]))
    ids = [str(catalog.ids[row]) for row in rows]
    assert sorted(ids) == [f"calm{number}" for number in range(2, 10)]  # all that point the same way


def test_the_unit_of_a_feature_means_nothing(catalog: CatalogSnapshot) -> None:
    doubled = Catalog(ItemSchema(dict.fromkeys(FEATURES, "number")))
    doubled.put(
        [
            (str(catalog.ids[row]), {**values, "tempo": 2 * values["tempo"]} if "tempo" in values else values)
            for row in range(len(catalog))
            if (values := dict(catalog.item(row))) is not None
        ]
    )
    heard = [("calm0", 1.0, 0.0)]
    assert scores(doubled.snapshot(), heard) == pytest.approx(scores(catalog, heard), abs=1e-5)


def test_an_empty_catalogue_is_no_trouble() -> None:
    empty = Catalog(ItemSchema(dict.fromkeys(FEATURES, "number"))).snapshot()
    assert scores(empty, []) == {}
