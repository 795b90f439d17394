"""The spaces in which items are near to or far from each other: their embedding, and the words they share."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...core import Candidates, CatalogSnapshot, Context, VectorIndex
from .ranking import best
from .words import occurrences, wanted, weights_of

Rows = NDArray[np.intp]
Vector = NDArray[np.float32]


class Space(Protocol):
    """Items as vectors of unit length, or zero where nothing is known of one."""

    def blend(self, rows: Rows, weights: NDArray[np.floating]) -> Vector:
        """The weighted sum of the vectors of rows, shape (d,)."""

    def profile(self, context: Context) -> Vector | None:
        """The user's profile as a unit vector, shape (d,), or None where it says nothing."""

    def cosines(self, candidates: Candidates, vector: Vector) -> NDArray[np.float32]:
        """The inner products of the candidates' vectors with a vector, shape (n,)."""

    def nearest(self, catalog: CatalogSnapshot, vector: Vector, limit: int) -> Rows:
        """The live rows with the largest positive inner products, largest first."""


class EmbeddingSpace:
    """The space of the items' embedding."""

    def __init__(self, vectors: VectorIndex) -> None:
        self._vectors = vectors

    def blend(self, rows: Rows, weights: NDArray[np.floating]) -> Vector:
        """The weighted sum of the vectors of rows, shape (d,)."""
        return weights.astype(np.float32) @ self._vectors.take(rows)

    def profile(self, context: Context) -> Vector | None:
        """The profile as a unit vector, shape (d,), or None."""
        return context.profile_vector

    def cosines(self, candidates: Candidates, vector: Vector) -> NDArray[np.float32]:
        """The inner products with a vector, shape (n,)."""
        return candidates.embeddings @ vector

    def nearest(self, catalog: CatalogSnapshot, vector: Vector, limit: int) -> Rows:
        """The live rows with the largest positive inner products, largest first."""
        rows, similarities = self._vectors.search(vector, limit)
        rows = rows[similarities > 0]
        # The index is shared by all snapshots: it may know rows that this one doesn't, or still has.
        rows = rows[rows < len(catalog)]
        return rows[catalog.alive[rows]]


class WordSpace:
    """The space of the words in category and tags fields: one axis per word, tf-idf, unit length.

    A word that df of the N live items have weighs ln((1 + N) / (1 + df)) + 1: what few items share says more.
    """

    def __init__(self, catalog: CatalogSnapshot, fields: Sequence[str]) -> None:
        from scipy import sparse  # takes a while to import, and is not needed where items have embeddings

        everything = Candidates(catalog, np.arange(len(catalog)))
        self._vocabularies = [catalog.words(field) for field in fields]
        ends = np.cumsum([0, *(len(vocabulary) for vocabulary in self._vocabularies)]).tolist()
        self._spans = [slice(*span) for span in pairwise(ends)]
        found = [occurrences(everything, field) for field in fields]
        rows = np.concatenate([np.empty(0, np.intp), *(rows for rows, _ in found)])
        shifted = [codes + span.start for (_, codes), span in zip(found, self._spans, strict=True)]
        words = np.concatenate([np.empty(0, np.intp), *shifted])
        width = ends[-1]
        frequency = np.bincount(words[catalog.alive[rows]], minlength=width)
        self._idf = np.log((1 + len(catalog.live)) / (1 + frequency)) + 1
        lengths = np.sqrt(np.bincount(rows, weights=self._idf[words] ** 2, minlength=len(catalog)))
        values = (self._idf[words] / lengths[rows]).astype(np.float32)
        self._matrix = sparse.csr_array((values, (rows, words)), shape=(len(catalog), width))

    def blend(self, rows: Rows, weights: NDArray[np.floating]) -> Vector:
        """The weighted sum of the vectors of rows, shape (d,)."""
        positions, entries = self._entries(rows)
        values = self._matrix.data[entries] * weights[positions]
        words = self._matrix.indices[entries]
        return np.bincount(words, weights=values, minlength=len(self._idf)).astype(np.float32)

    def profile(self, context: Context) -> Vector | None:
        """The profile as a unit vector, shape (d,), or None."""
        words: dict[str, float] = {}
        for value in context.profile.values():
            words |= wanted(value)
        vector = np.zeros(len(self._idf), dtype=np.float32)
        for span, vocabulary in zip(self._spans, self._vocabularies, strict=True):
            # The vocabulary may have grown since; no row of this snapshot has its newer words.
            vector[span] = weights_of(vocabulary, words)[: span.stop - span.start]
        vector *= self._idf
        length = np.linalg.norm(vector)
        return vector / length if length > 0 else None

    def cosines(self, candidates: Candidates, vector: Vector) -> NDArray[np.float32]:
        """The inner products with a vector, shape (n,)."""
        positions, entries = self._entries(candidates.rows)
        values = self._matrix.data[entries] * vector[self._matrix.indices[entries]]
        return np.bincount(positions, weights=values, minlength=len(candidates)).astype(np.float32)

    def nearest(self, catalog: CatalogSnapshot, vector: Vector, limit: int) -> Rows:
        """The live rows with the largest positive inner products, largest first."""
        cosines: NDArray[np.float32] = (self._matrix @ vector)[catalog.live]
        chosen = best(cosines, limit)
        return catalog.live[chosen[cosines[chosen] > 0]]

    def _entries(self, rows: Rows) -> tuple[Rows, Rows]:
        # Picked by hand: taking rows of a scipy matrix costs several times as much at this size.
        starts = self._matrix.indptr[rows]
        counts = self._matrix.indptr[rows + 1] - starts
        positions = np.repeat(np.arange(len(rows)), counts)
        before = np.cumsum(counts) - counts
        return positions, (starts - before)[positions] + np.arange(len(positions))


def embedding_space(catalog: CatalogSnapshot) -> EmbeddingSpace | None:
    """The space of the items' embedding, or None where they have none."""
    return None if catalog.vectors is None else EmbeddingSpace(catalog.vectors)


def word_space(catalog: CatalogSnapshot, fields: Sequence[str] | None) -> WordSpace | None:
    """The space of the words in some fields, or in all category and tags fields; None where there are none.

    Built once per snapshot.
    """
    chosen = tuple(catalog.schema.of_type("category", "tags") if fields is None else fields)
    return catalog.cached(("catalog: words", chosen), lambda: WordSpace(catalog, chosen)) if chosen else None
