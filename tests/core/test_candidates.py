"""Candidates: rows of a catalogue with columns, cut and put in order without a loop."""

import numpy as np
import pytest
from tastemaker.core import Candidates, Catalog, CatalogSnapshot, ComponentError, ItemSchema, UnknownColumn


@pytest.fixture
def snapshot() -> CatalogSnapshot:
    schema = ItemSchema(
        {
            "title": "text",
            "rating": "number",
            "genre": "category",
            "moods": "tags",
            "new": "flag",
            "at": "time",
        }
    )
    catalog = Catalog(schema, dimensions=2)
    catalog.put(
        [
            (
                "a",
                {"title": "A", "rating": 1.5, "genre": "jazz", "moods": ["x", "y"], "new": True, "at": 9.0},
            ),
            ("b", {"genre": "rock", "moods": ["y"], "new": False}),
            ("c", {}),
        ]
    )
    assert catalog.vectors is not None
    catalog.vectors.put(np.array([0, 1]), np.array([[3.0, 4.0], [0.0, 2.0]], dtype=np.float32))
    return catalog.snapshot()


@pytest.fixture
def three(snapshot: CatalogSnapshot) -> Candidates:
    return Candidates(snapshot, np.array([2, 0, 1]), columns={"age": np.array([1.0, np.nan, 3.0])})


def test_columns_follow_the_rows(three: Candidates) -> None:
    assert len(three) == 3
    assert three.ids.tolist() == ["c", "a", "b"]
    assert three["title"].tolist() == ["", "A", ""]
    assert three["genre"].tolist() == ["", "jazz", "rock"]
    assert three["new"].tolist() == [False, True, False]
    assert three["rating"].dtype == np.float32
    assert np.nan_to_num(three["rating"]).tolist() == [0.0, 1.5, 0.0]
    assert three["at"][1] == 9.0
    assert three["age"][0] == 1.0
    assert three.tags("moods").toarray().tolist() == [[0, 0], [1, 1], [0, 1]]
    assert np.allclose(three.embeddings, [[0, 0], [0.6, 0.8], [0, 1]])
    assert [three.words("genre").word(code) for code in three.codes("genre")[1:]] == ["jazz", "rock"]
    assert "age" in three
    assert "rating" in three
    assert "nothing" not in three


def test_missing_tells_where_nothing_is_known(three: Candidates) -> None:
    for name in ("rating", "genre", "moods", "new", "at", "title"):
        assert three.missing(name)[0]
        assert not three.missing(name)[1]
    assert three.missing("new").tolist() == [True, False, False]
    assert three.missing("age").tolist() == [False, True, False]


@pytest.mark.parametrize("chosen", [np.array([False, True, True]), np.array([1, 2])])
def test_what_is_taken_takes_everything_with_it(three: Candidates, chosen: np.ndarray) -> None:
    three = Candidates(
        three.catalog, three.rows, columns={"age": three["age"]}, origin=np.array([1, 2, 4], dtype=np.uint64)
    )
    three.scores["match"] = np.array([0.1, 0.2, 0.3])
    three.score = np.array([1.0, 2.0, 3.0])
    three.memo["arm"] = np.array([[1, 1], [2, 2], [3, 3]])
    part = three.take(chosen)
    assert part.ids.tolist() == ["a", "b"]
    assert part.scores["match"].tolist() == [0.2, 0.3]
    assert part.score.tolist() == [2.0, 3.0]
    assert part.memo["arm"].tolist() == [[2, 2], [3, 3]]
    assert part.origin.tolist() == [2, 4]
    assert part["age"][1] == 3.0
    assert three.take(np.array([2, 0])).ids.tolist() == ["b", "c"]


def test_none_at_all_are_candidates_too(snapshot: CatalogSnapshot) -> None:
    none = Candidates(snapshot, np.empty(0, dtype=np.intp))
    assert none["genre"].tolist() == []
    assert none.tags("moods").shape == (0, 2)
    assert none.embeddings.shape == (0, 2)
    assert len(none.missing("moods")) == 0


def test_an_unknown_column_is_refused_with_the_nearest(three: Candidates) -> None:
    with pytest.raises(UnknownColumn, match="did you mean 'rating'"):
        three["ratings"]
    with pytest.raises(UnknownColumn, match="did you mean 'age'"):
        three["ages"]


def test_tags_are_no_plain_column_and_it_says_what_they_are(three: Candidates) -> None:
    with pytest.raises(UnknownColumn, match=r"use tags\(\)"):
        three["moods"]


def test_without_an_embedding_it_says_how_to_get_one() -> None:
    catalog = Catalog(ItemSchema({}))
    catalog.put([("a", {})])
    with pytest.raises(ComponentError, match=r"items\.embedding"):
        _ = Candidates(catalog.snapshot(), np.array([0])).embeddings


def test_no_component_changes_what_the_next_one_reads(three: Candidates) -> None:
    three.score = np.ones(3)
    read = (three["rating"], three["age"], three["genre"], three.codes("genre"), three.embeddings)
    for array in (
        *read,
        three.rows,
        three.origin,
        three.score,
        three.take(np.array([0])).rows,
        three.catalog.live,
    ):
        with pytest.raises(ValueError, match="read-only"):
            array[:] = array[0]
    none = three.take(np.array([], dtype=np.intp))
    assert np.random.default_rng(1).permutation(none.rows).tolist() == []
