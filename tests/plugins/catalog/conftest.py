"""A small shop of books, and requests by hand."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tastemaker.core import Candidates, Catalog, CatalogSnapshot, Context, Feedback, ItemSchema

NOW = 1_700_000_000.0
DAY = 86_400.0
FIELDS: dict[str, Any] = {
    "title": "text",
    "rating": "number",
    "published": "time",
    "available": "flag",
    "genre": "category",
    "moods": "tags",
}
BOOKS: list[tuple[str, dict[str, Any]]] = [
    (
        "emma",
        {
            "title": "Emma",
            "rating": 4.0,
            "published": NOW - 10 * DAY,
            "available": True,
            "genre": "Novel",
            "moods": ["calm", "witty"],
        },
    ),
    (
        "dune",
        {
            "title": "Dune",
            "rating": 4.5,
            "published": NOW - 100 * DAY,
            "available": True,
            "genre": "scifi",
            "moods": ["epic"],
        },
    ),
    (
        "solaris",
        {
            "title": "Solaris",
            "rating": 3.0,
            "published": NOW - 1 * DAY,
            "available": False,
            "genre": "scifi",
            "moods": ["Calm", "epic"],
        },
    ),
    ("blank", {}),
    ("soon", {"title": "Straße nach Dune", "published": NOW + 5 * DAY, "genre": "novel", "moods": ["witty"]}),
]
VECTORS = np.array([[1, 0, 0], [0, 1, 0], [0, 0.8, 0.6], [0, 0, 0], [0.8, 0, 0.6]], dtype=np.float32)


def catalog_of(
    items: Sequence[tuple[str, Mapping[str, Any]]] = BOOKS, vectors: NDArray[np.float32] | None = None
) -> Catalog:
    """A catalogue of books, with vectors where they are given."""
    catalog = Catalog(ItemSchema(FIELDS), dimensions=0 if vectors is None else vectors.shape[1])
    catalog.put(items)
    if vectors is not None and catalog.vectors is not None:
        catalog.vectors.put(np.arange(len(vectors)), vectors)
    return catalog


def feedback_of(rewards: Sequence[tuple[str, float]]) -> Feedback:
    """What outcomes of these items and rewards leave behind."""
    ids = list(dict.fromkeys(item for item, _ in rewards))
    gains = [[reward for item, reward in rewards if item == identity] for identity in ids]
    feedback = Feedback()
    feedback.load(
        {
            "ids": ids,
            "count": np.array([0.0, *(len(gain) for gain in gains)]),
            "reward": np.array([0.0, *(sum(gain) for gain in gains)]),
        }
    )
    return feedback


def context_of(
    catalog: CatalogSnapshot,
    history: Sequence[tuple[str, float, str, float]] = (),
    *,
    feedback: Feedback | None = None,
    profile: Mapping[str, Any] | None = None,
    situation: Mapping[str, Any] | None = None,
    profile_vector: Sequence[float] | None = None,
    seed: int = 7,
    now: float = NOW,
) -> Context:
    """A request; history holds (item, reward, kind, age in days), newest first."""
    vector = None if profile_vector is None else np.array(profile_vector, dtype=np.float32)
    return Context(
        domain="books",
        user="ada",
        slate="slate",
        now=now,
        size=5,
        draws=1,
        seed=seed,
        catalog=catalog,
        history=Candidates(
            catalog,
            catalog.rows([item for item, *_ in history]),
            columns={
                "reward": np.array([reward for _, reward, _, _ in history], dtype=np.float64),
                "kind": np.array([kind for _, _, kind, _ in history], dtype=object),
                "age_days": np.array([age for *_, age in history], dtype=np.float64),
            },
        ),
        feedback=feedback or Feedback(),
        profile=profile or {},
        situation=situation or {},
        embed_profile=None if vector is None else lambda _: vector,
        step="test",
    )


@pytest.fixture(scope="session")
def make_catalog() -> Callable[..., Catalog]:
    return catalog_of


@pytest.fixture(scope="session")
def make_feedback() -> Callable[..., Feedback]:
    return feedback_of


@pytest.fixture(scope="session")
def make_context() -> Callable[..., Context]:
    return context_of


@pytest.fixture(scope="session")
def books() -> CatalogSnapshot:
    """Five books without an embedding."""
    return catalog_of().snapshot()


@pytest.fixture(scope="session")
def embedded() -> CatalogSnapshot:
    """The same books with an embedding; the blank one has no vector."""
    return catalog_of(vectors=VECTORS).snapshot()


@pytest.fixture(scope="session")
def empty() -> CatalogSnapshot:
    """No books at all, with an embedding that could be."""
    return Catalog(ItemSchema(FIELDS), dimensions=3).snapshot()


@pytest.fixture(scope="session")
def every() -> Callable[[CatalogSnapshot], Candidates]:
    """All rows of a catalogue as candidates."""
    return lambda catalog: Candidates(catalog, np.arange(len(catalog)))
