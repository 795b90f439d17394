"""Sound: tracks that sound like what somebody has heard and liked."""

from collections.abc import Hashable, Iterator, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...core import Candidates, CatalogSnapshot, Context, NumberField, Scorer, Scores, Source
from ..catalog.ranking import best
from ..catalog.sources import Nearest
from ..catalog.spaces import Rows, Space, Vector
from ..catalog.taste import Tasting

FEATURES = (
    "danceability",
    "energy",
    "valence",
    "tempo",
    "acousticness",
    "instrumentalness",
    "speechiness",
)

_CUT = 2.5
"""Deviations from the mean beyond which a feature says no more."""


class SoundSpace:
    """The space of audio features, each brought to mean 0 and deviation 1 over the catalogue; unit length.

    So the tempo counts as much as the rest, and tracks point in all directions: of features as they are, which all lie
    above 0, any two tracks are alike. What is missing is taken for the mean.
    """

    def __init__(self, catalog: CatalogSnapshot, features: Sequence[str]) -> None:
        columns = np.stack([catalog.column(field) for field in features], axis=1).astype(np.float64)
        live = columns[catalog.live]
        known = ~np.isnan(live)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, live, 0).sum(axis=0) / count
        deviation = np.sqrt((np.where(known, live - mean, 0) ** 2).sum(axis=0) / count)
        scaled = np.clip((columns - mean) / np.where(deviation > 0, deviation, 1.0), -_CUT, _CUT)
        scaled = np.nan_to_num(scaled, nan=0.0)
        length = np.linalg.norm(scaled, axis=1, keepdims=True)
        self._matrix = (scaled / np.where(length > 0, length, 1.0)).astype(np.float32)

    def blend(self, rows: Rows, weights: NDArray[np.floating]) -> Vector:
        """The weighted sum of the vectors of rows, shape (d,)."""
        blended: Vector = weights.astype(np.float32) @ self._matrix[rows]
        return blended

    def profile(self, context: Context) -> Vector | None:
        """A profile doesn't tell how its owner's music sounds."""
        return None

    def cosines(self, candidates: Candidates, vector: Vector) -> NDArray[np.float32]:
        """The inner products of the candidates' vectors with a vector, shape (n,)."""
        cosines: NDArray[np.float32] = self._matrix[candidates.rows] @ vector
        return cosines

    def nearest(self, catalog: CatalogSnapshot, vector: Vector, limit: int) -> Rows:
        """The live rows with the largest positive inner products, largest first."""
        cosines: NDArray[np.float32] = (self._matrix @ vector)[catalog.live]
        chosen = best(cosines, limit)
        return catalog.live[chosen[cosines[chosen] > 0]]


class Sounding(Tasting):
    """The options of components that compare how tracks sound."""

    features: tuple[NumberField, ...] = Field(
        FEATURES, min_length=1, description="The numbers that say how a track sounds."
    )
    half_life_days: float = Field(
        14.0, ge=0.001, le=36_500, description="Days after which a play counts half as much."
    )
    recent: int = Field(50, ge=1, le=1000, description="How many of the newest rewarded plays count.")

    def spaces(self, catalog: CatalogSnapshot) -> Iterator[Space]:
        """The space of how tracks sound; built once per snapshot."""
        yield catalog.cached(("music: sound", self.features), lambda: SoundSpace(catalog, self.features))

    def _where(self) -> Hashable:
        return "music: sound", self.features


class Similarity(Sounding, Scorer):
    """How much a track sounds like what was heard and liked, recent plays counting more: the cosine.

    0 where nothing was heard; below 0 is what sounds like things that were disliked.
    """

    blocking: ClassVar[bool] = False

    def score(self, context: Context, candidates: Candidates) -> Scores:
        """Scores from -1 to 1, shape (n,)."""
        return self.nearness(context, candidates)


class Similar(Sounding, Nearest, Source):
    """The tracks that sound most like what was heard and liked; nothing for somebody who liked nothing yet."""

    blocking: ClassVar[bool] = False
