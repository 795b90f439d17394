"""Estimators of what a policy would earn, from rows that another policy logged.

For row i, w_i = π(a_i|x_i) / p_i is the target's probability of the logged action over its propensity, r_i the
reward, q_i the model's prediction for the logged action, and v_i = Σ_a π(a|x_i) q(x_i, a) what the model expects of
the target. Sums are over the n rows.

| function | estimate |
|---|---|
| `ips` | Σ w r / n |
| `snips` | Σ w r / Σ w |
| `clipped_ips` | Σ min(w, M) r / n |
| `direct_method` | Σ v / n |
| `doubly_robust` | Σ (v + w (r - q)) / n |
| `self_normalised_doubly_robust` | Σ v / n + Σ w (r - q) / Σ w |
| `switch_doubly_robust` | Σ (v + [w ≤ τ] w (r - q)) / n |
| `optimistic_shrinkage` | Σ (v + λ w / (w² + λ) (r - q)) / n |
| `replay` | Σ m r / Σ m, m = 1 where the target's choice is the logged one |

Limits that aren't given grow with the log so that both bias and error vanish: M = τ = √n (Ionides 2008), λ = n.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from ..errors import EvaluationError
from .estimate import Estimate
from .log import LoggedBandit, Target, model, weights

Floats = NDArray[np.float64]


def ips(log: LoggedBandit, target: Target) -> Estimate:
    """Inverse propensity scoring (Horvitz & Thompson 1952): unbiased where the propensities are right."""
    weight = weights(log, target)
    return _estimate("ips", log, weight, weight * log.reward)


def snips(log: LoggedBandit, target: Target) -> Estimate:
    """Self-normalised IPS (Swaminathan & Joachims 2015): never outside the range of rewards, bias of order 1/n."""
    weight = weights(log, target)
    return _estimate("snips", log, weight, weight * log.reward, over=weight)


def clipped_ips(log: LoggedBandit, target: Target, *, limit: float | None = None) -> Estimate:
    """IPS with weights of at most `limit` (Ionides 2008): too low, for rewards from 0, by what is cut off."""
    weight = weights(log, target)
    applied = np.minimum(weight, _limit("limit", limit, math.sqrt(len(log))))
    return _estimate("clipped_ips", log, weight, applied * log.reward, applied=applied)


def direct_method(log: LoggedBandit, target: Target) -> Estimate:
    """What the model expects (Beygelzimer & Langford 2009): as wrong as the model is, so never with an interval."""
    _, expected = model(log, target)
    weight = weights(log, target)
    return _estimate("direct_method", log, weight, expected, applied=np.zeros(len(log)))


def doubly_robust(log: LoggedBandit, target: Target) -> Estimate:
    """The model, corrected by IPS of its errors (Dudík et al. 2011): right where either of the two is."""
    predicted, expected = model(log, target)
    weight = weights(log, target)
    return _estimate("doubly_robust", log, weight, expected + weight * (log.reward - predicted))


def self_normalised_doubly_robust(log: LoggedBandit, target: Target) -> Estimate:
    """The model, corrected by SNIPS of its errors (Robins et al. 2007; Thomas & Brunskill 2016)."""
    predicted, expected = model(log, target)
    weight = weights(log, target)
    rows = np.ones(len(log))
    return Estimate(
        "self_normalised_doubly_robust",
        log,
        np.stack((expected, weight * (log.reward - predicted)), axis=1),
        np.stack((rows, weight), axis=1),
        weight[:, None],
        weight[:, None],
    )


def switch_doubly_robust(log: LoggedBandit, target: Target, *, threshold: float | None = None) -> Estimate:
    """DR where the weight is at most `threshold`, the model alone beyond (Wang, Agarwal & Dudík 2017)."""
    predicted, expected = model(log, target)
    weight = weights(log, target)
    applied = np.where(weight <= _limit("threshold", threshold, math.sqrt(len(log))), weight, 0.0)
    corrected = expected + applied * (log.reward - predicted)
    return _estimate("switch_doubly_robust", log, weight, corrected, applied=applied)


def optimistic_shrinkage(log: LoggedBandit, target: Target, *, shrinkage: float | None = None) -> Estimate:
    """DR with weights λw / (w² + λ), never above √λ / 2 (DRos; Su et al. 2020): λ = 0 is the model alone."""
    predicted, expected = model(log, target)
    weight = weights(log, target)
    limit = _limit("shrinkage", shrinkage, float(len(log)))
    applied = limit * weight / (np.square(weight) + limit) if limit else np.zeros(len(log))
    corrected = expected + applied * (log.reward - predicted)
    return _estimate("optimistic_shrinkage", log, weight, corrected, applied=applied)


def replay(log: LoggedBandit, target: Target) -> Estimate:
    """The mean reward where the target chose what was logged (Li et al. 2011, Algorithm 2).

    For logs that were chosen uniformly at random and targets that choose one action for sure: probabilities of 1
    where the target's choice is the logged action and 0 elsewhere. Raises EvaluationError for others.
    """
    matches = target.probability
    weight = weights(log, target)
    if not np.isin(matches, (0.0, 1.0)).all():
        raise EvaluationError("replay needs choices: probabilities of 0 and 1; for others use snips")
    if not np.allclose(log.propensity, log.propensity[0], rtol=1e-6, atol=0):
        raise EvaluationError("replay needs a log that was chosen uniformly; for others use snips")
    return _estimate("replay", log, weight, matches * log.reward, over=matches)


ESTIMATORS: Mapping[str, Callable[[LoggedBandit, Target], Estimate]] = {
    function.__name__: function
    for function in (
        ips,
        snips,
        clipped_ips,
        direct_method,
        doubly_robust,
        self_normalised_doubly_robust,
        switch_doubly_robust,
        optimistic_shrinkage,
        replay,
    )
}
"""By name, with their default limits."""


def _estimate(
    name: str,
    log: LoggedBandit,
    weight: Floats,
    numerator: Floats,
    *,
    over: Floats | None = None,
    applied: Floats | None = None,
) -> Estimate:
    denominator = np.ones(len(log)) if over is None else over
    used = weight if applied is None else applied
    return Estimate(name, log, numerator[:, None], denominator[:, None], weight[:, None], used[:, None])


def _limit(name: str, limit: float | None, otherwise: float) -> float:
    if limit is None:
        return otherwise
    if not limit >= 0:
        raise EvaluationError(f"{name} is {limit:g}: it must be 0 or more")
    return limit
