"""From the log to what policies know: attribution of interactions to slates, the fold, the learner, training."""

from .attribution import Attribution
from .fold import Fold
from .learner import Learner
from .versions import PolicyVersions

__all__ = ["Attribution", "Fold", "Learner", "PolicyVersions"]
