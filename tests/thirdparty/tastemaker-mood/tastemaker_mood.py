"""Mood: how well an item's energy fits the listener's mood."""

from collections.abc import Mapping

import numpy as np
from tastemaker.core import Candidates, Context, Scorer, Source, hookimpl


class Mood(Scorer):
    """1 where the energy is what the mood asks for, falling linearly to 0."""

    moods: Mapping[str, float] = {"calm": 0.2, "focus": 0.5, "party": 0.9}

    def score(self, context: Context, candidates: Candidates) -> np.ndarray:
        wanted = self.moods.get(context.situation.get("mood", "focus"), 0.5)
        return np.nan_to_num(1 - np.abs(candidates["energy"] - wanted))


class Shuffle(Source):
    """All items in random order."""

    limit: int = 100

    def propose(self, context: Context) -> np.ndarray:
        return context.rng.permutation(context.catalog.live)[: self.limit]


@hookimpl
def components():
    return [Mood, Shuffle]
