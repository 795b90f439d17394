"""Personality match: how well items suit a person's Big Five traits."""

from typing import ClassVar

import numpy as np

from ...core import Candidates, Context, Scorer, Scores, trait_confidence, traits_of
from .leanings import Leanings

_MIDDLE = 50.0


class Match(Leanings, Scorer):
    """How well an item suits the person's Big Five traits; 0.5 where none is known.

    A trait of value v (0 to 100) and confidence c counts with the weight w = c · |v - 50| / 50, and what suits is what
    those high in it lean to, or those low where v is below 50. The score is 0.5 + Σ w (suits - 0.5) / max(1, Σ w):
    of somebody whose traits are all near the middle, or hardly known, it says little.
    """

    blocking: ClassVar[bool] = False

    def score(self, context: Context, candidates: Candidates) -> Scores:
        """Scores from 0 to 1, shape (n,)."""
        score = np.zeros(len(candidates))
        sure = 0.0
        for name, value in traits_of(context.profile).items():
            weight = trait_confidence(context.profile, name) * abs(value - _MIDDLE) / _MIDDLE
            if name in self.traits and weight > 0:
                score += weight * (self.suits(name, candidates, high=value > _MIDDLE) - 0.5)
                sure += weight
        return 0.5 + score / max(1.0, sure)
