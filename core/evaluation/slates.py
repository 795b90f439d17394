"""Estimators of what a policy's slates would earn: the sum of the rewards of their positions.

The weight of a whole slate is a product of k ratios and useless for all but the shortest. Each estimator here
supposes how people read a slate, and is unbiased only if they do:

- *independently*: a position's reward depends on its own item alone (`independent_ips`);
- as a *cascade*, from the top: it depends on the items at and above it (`reward_interaction_ips`,
  `cascade_doubly_robust`).

With w_il = π / p of position l of slate i, and W_il = w_i1 · … · w_il:

| function | estimate |
|---|---|
| `independent_ips` | Σ_i Σ_l w_il r_il / n |
| `reward_interaction_ips` | Σ_i Σ_l W_il r_il / n |
| `cascade_doubly_robust` | Σ_i Σ_l (W_il (r_il - q_il) + W_i,l-1 v_il) / n |

where q_il is a model of the reward from position l on, given the items down to l, and v_il its mean over what the
target would put at l, given the items above it.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from .estimate import Estimate
from .log import LoggedSlates, Target, model, weights

Floats = NDArray[np.float64]


def independent_ips(log: LoggedSlates, target: Target) -> Estimate:
    """IPS position by position (Li et al. 2018), by the probability of each item at its position."""
    weight = weights(log, target)
    return _estimate("independent_ips", log, weight, weight * log.reward)


def reward_interaction_ips(log: LoggedSlates, target: Target) -> Estimate:
    """IPS by the probability of all items down to each position (RIPS; McInerney et al. 2020)."""
    weight = np.cumprod(weights(log, target), axis=1, dtype=np.float64)
    return _estimate("reward_interaction_ips", log, weight, weight * log.reward)


def cascade_doubly_robust(log: LoggedSlates, target: Target) -> Estimate:
    """A model of the reward from each position on, corrected from the top down (Kiyohara et al. 2022).

    Right under the cascade where either the propensities or the model is; with less error than RIPS either way.
    """
    predicted, expected = model(log, target)
    weight = np.cumprod(weights(log, target), axis=1, dtype=np.float64)
    above = np.concatenate((np.ones((len(log), 1)), weight[:, :-1]), axis=1)
    terms = weight * (log.reward - predicted) + above * expected
    return _estimate("cascade_doubly_robust", log, weight, terms)


SLATE_ESTIMATORS: Mapping[str, Callable[[LoggedSlates, Target], Estimate]] = {
    function.__name__: function
    for function in (independent_ips, reward_interaction_ips, cascade_doubly_robust)
}
"""By name."""


def _estimate(name: str, log: LoggedSlates, weight: Floats, terms: Floats) -> Estimate:
    numerator = terms.sum(axis=1, keepdims=True)
    return Estimate(name, log, numerator, np.ones_like(numerator), weight, weight)
