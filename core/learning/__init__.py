"""From the log to what policies know: attribution of interactions to slates, the fold, the learner."""

from .attribution import Attribution
from .fold import Fold
from .learner import Learner

__all__ = ["Attribution", "Fold", "Learner"]
