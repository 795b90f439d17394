"""The user's taste: one vector of what somebody likes, from their history and their profile."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...core import Candidates, CatalogSnapshot, Component, ComponentError, Context, WordField
from .spaces import Space, Vector, embedding_space, word_space


@dataclass(frozen=True, slots=True)
class Taste:
    """A vector (d,) in a space of items, at most of unit length.

    attracts: whether it points to something liked, not merely away from something disliked.
    """

    space: Space
    vector: Vector
    attracts: bool

    def cosines(self, candidates: Candidates) -> NDArray[np.float64]:
        """How near each candidate is to the taste, -1 to 1, 0 where nothing is known of it, shape (n,)."""
        return np.clip(self.space.cosines(candidates, self.vector).astype(np.float64), -1, 1)


class Spatial(Component):
    """The options of components that compare items: by their embedding or by their words."""

    by: Literal["auto", "embedding", "fields"] = Field(
        "auto",
        description="What makes items similar: their embedding, or the words in their category and tags "
        "fields; auto takes the embedding, and the words where that knows nothing.",
    )
    fields: tuple[WordField, ...] | None = Field(
        None,
        description="The category and tags fields whose words count; by default all.",
        min_length=1,
    )

    def spaces(self, catalog: CatalogSnapshot) -> Iterator[Space]:
        """The spaces to try, in order. Raises ComponentError where the wanted one doesn't exist."""
        if self.by != "fields":
            embedding = embedding_space(catalog)
            if embedding is not None:
                yield embedding
            elif self.by == "embedding":
                raise ComponentError(
                    "these items have no embedding: declare `items.embedding`, or say `by: fields`"
                )
        if self.by != "embedding":
            words = word_space(catalog, self.fields)
            if words is not None:
                yield words

    def _where(self) -> Hashable:
        return self.by, self.fields


class Tasting(Component):
    """The options that say how a taste is made; equal options share one taste per request.

    With rewards r and ages a (days) of the newest `recent` items of the history that have a reward, and their
    vectors v:

        h = Σ r · 2^(-a / half_life_days) · v,  disliked ones (r < 0) times `dislike`
        taste = (1 - profile_weight) · h / |h| + profile_weight · profile, scaled to unit length

    Without a profile the taste is h / |h|, without a history the profile. Where nothing is liked and there is
    no profile it is h / |h| · `dislike`: it only pushes away, mildly.
    """

    recent: int = Field(20, ge=1, le=1000, description="How many of the newest rewarded history items count.")
    half_life_days: float = Field(
        30.0, ge=0.001, le=36_500, description="Days after which a history item counts half as much."
    )
    dislike: float = Field(
        0.3,
        ge=0,
        le=1,
        description="How strongly a disliked item pushes away beside a liked one's pull.",
    )
    profile_weight: float = Field(
        0.5, ge=0, le=1, description="The profile's share of the taste where there is a history too."
    )

    def spaces(self, catalog: CatalogSnapshot) -> Iterator[Space]:
        """The spaces to try, in order: the first in which something is known of the taste is taken."""
        raise NotImplementedError

    def taste(self, context: Context) -> Taste | None:
        """The user's taste, or None where neither history nor profile tells."""
        options = (self.recent, self.half_life_days, self.dislike, self.profile_weight)

        def made() -> Taste | None:
            for space in self.spaces(context.catalog):
                taste = self._taste_in(space, context)
                if taste is not None:
                    return taste
            return None

        return context.cached(("catalog: taste", self._where(), options), made)

    def _where(self) -> Hashable:
        """What tells its spaces from those of others."""
        raise NotImplementedError

    def _taste_in(self, space: Space, context: Context) -> Taste | None:
        rows, weights = self._weights(context.history)
        liked = bool((weights > 0).any())
        history = unit(space.blend(rows, weights)) if len(rows) else None
        profile = space.profile(context) if self.profile_weight > 0 or history is None else None
        if history is None:
            return None if profile is None else Taste(space, profile, attracts=True)
        if profile is None:
            return Taste(space, history if liked else history * np.float32(self.dislike), attracts=liked)
        mixed = unit((1 - self.profile_weight) * history + self.profile_weight * profile)
        return None if mixed is None else Taste(space, mixed.astype(np.float32), attracts=True)

    def nearness(self, context: Context, candidates: Candidates) -> NDArray[np.float64]:
        """How near each candidate is to the taste, -1 to 1, 0 where either is unknown, shape (n,)."""
        taste = self.taste(context)
        return np.zeros(len(candidates)) if taste is None else taste.cosines(candidates)

    def _weights(self, history: Candidates) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        reward = np.nan_to_num(np.asarray(history["reward"], dtype=np.float64))
        used = np.flatnonzero(reward)[: self.recent]
        pull = np.where(reward > 0, reward, reward * self.dislike)[used]
        # Rewards may be of any size; only their proportions matter.
        pull /= np.abs(pull).max(initial=0) or 1.0
        return history.rows[used], pull * fading(history["age_days"][used], self.half_life_days)


def fading(age_days: NDArray[np.floating], half_life_days: float) -> NDArray[np.float64]:
    """2^(-age / half-life) relative to the newest: only proportions matter, and not all can underflow."""
    if len(age_days) == 0:
        return np.empty(0)
    ages = age_days.astype(np.float64)
    kept: NDArray[np.float64] = np.exp2((ages.min() - ages) / half_life_days)
    return kept


def unit(vector: NDArray[np.floating]) -> NDArray[np.float32] | None:
    """A vector at unit length, or None where it has no direction."""
    length = float(np.linalg.norm(vector))
    return (vector / length).astype(np.float32) if length > 1e-6 else None
