"""Off-policy evaluation: what a policy would earn, from a log that another policy wrote."""

from ..errors import EvaluationError, EvaluationRefused
from .comparison import Comparison
from .counterfactual import compare
from .estimate import Estimate, Interval, difference
from .estimators import (
    ESTIMATORS,
    clipped_ips,
    direct_method,
    doubly_robust,
    ips,
    optimistic_shrinkage,
    replay,
    self_normalised_doubly_robust,
    snips,
    switch_doubly_robust,
)
from .log import LoggedBandit, LoggedSlates, Target
from .open_bandit import item_shares, read_open_bandit
from .overlap import Overlap, Reason, Refusal
from .slates import SLATE_ESTIMATORS, cascade_doubly_robust, independent_ips, reward_interaction_ips

__all__ = [
    "ESTIMATORS",
    "SLATE_ESTIMATORS",
    "Comparison",
    "Estimate",
    "EvaluationError",
    "EvaluationRefused",
    "Interval",
    "LoggedBandit",
    "LoggedSlates",
    "Overlap",
    "Reason",
    "Refusal",
    "Target",
    "cascade_doubly_robust",
    "clipped_ips",
    "compare",
    "difference",
    "direct_method",
    "doubly_robust",
    "independent_ips",
    "ips",
    "item_shares",
    "optimistic_shrinkage",
    "read_open_bandit",
    "replay",
    "reward_interaction_ips",
    "self_normalised_doubly_robust",
    "snips",
    "switch_doubly_robust",
]
