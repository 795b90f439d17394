"""The state of ridge models as arrays."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .arrays import array_of
from .ridge import Ridge


def state_of(name: str, ridges: Mapping[int, Ridge], arms: int, width: int) -> dict[str, Any]:
    """What the models of arms from 1 on know, its names beginning with `name`."""
    known = [ridges[arm] for arm in sorted(ridges)]
    summed = [(arm, ridge) for arm, ridge in sorted(ridges.items()) if ridge.sum_x is not None]
    counts = np.zeros(arms + 1, dtype=np.int64)
    counts[sorted(ridges)] = [len(ridge.rewards) for ridge in known]
    return {
        f"{name}_summed": np.array([arm for arm, _ in summed], dtype=np.int64),
        f"{name}_sums": np.array([ridge.sum_x for _, ridge in summed]).reshape(len(summed), _size(width)),
        f"{name}_b": np.array([ridge.sum_r for _, ridge in summed]).reshape(len(summed), width),
        f"{name}_waiting": counts,
        f"{name}_rows": np.concatenate([np.empty((0, width)), *(ridge.waiting for ridge in known)]),
        f"{name}_rewards": np.array(
            [reward for ridge in known for reward in ridge.rewards], dtype=np.float64
        ),
        f"{name}_fresh": np.array([fresh for ridge in known for fresh in ridge.fresh], dtype=np.int64),
    }


def ridges_of(name: str, state: Mapping[str, Any], arms: int, width: int, prior: float) -> dict[int, Ridge]:
    """The models that `state_of` gave, which must be of so many arms. Raises ValueError where they don't fit."""
    parts = ("sums", "b", "rows", "rewards")
    sums, b, rows, rewards = (array_of(state, f"{name}_{part}", np.float64) for part in parts)
    summed, waiting, fresh = (
        array_of(state, f"{name}_{part}", np.int64) for part in ("summed", "waiting", "fresh")
    )
    count = int(waiting.sum())
    shapes = {
        "waiting": (waiting.shape, (arms + 1,)),
        "rows": (rows.shape, (count, width)),
        "rewards": (rewards.shape, (count,)),
        "fresh": (fresh.shape, (count,)),
        "summed": (summed.shape, (len(sums),)),
        "sums": (sums.shape, (len(sums), _size(width))),
        "b": (b.shape, (len(sums), width)),
    }
    for part, (found, wanted) in shapes.items():
        if found != wanted:
            raise ValueError(f"{name}_{part} has the shape {found}, and {wanted} would fit these features")
    if (np.diff(summed) <= 0).any() or not ((summed >= 1) & (summed <= arms)).all():
        raise ValueError(f"{name}_summed must be arms in ascending order")
    if not np.isin(fresh, (0, 1)).all():
        raise ValueError(f"{name}_fresh must be 0 or 1")
    of = {arm: place for place, arm in enumerate(summed.tolist())}
    ridges: dict[int, Ridge] = {}
    stop = 0
    for arm, more in enumerate(waiting.tolist()):
        start, stop = stop, stop + more
        if arm not in of and not more:
            continue
        ridge = ridges[arm] = Ridge(width, prior)
        if arm == 0 or not 0 <= more < ridge.block:
            raise ValueError(
                f"{name}_waiting must be counts from 0 to {ridge.block - 1}, and nothing for arm 0"
            )
        ridge.become(
            (sums[of[arm]].copy(), b[of[arm]].copy()) if arm in of else None,
            rows[start:stop],
            rewards[start:stop].tolist(),
            [new == 1 for new in fresh[start:stop].tolist()],
        )
    return ridges


def _size(width: int) -> int:
    return width * (width + 1) // 2
