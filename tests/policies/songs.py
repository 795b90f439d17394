"""Thirteen songs, and logs of an adjuster that ranks them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tastemaker.core import Candidates, Catalog, ItemSchema
from tastemaker.policies.q_learning import Adjuster

from .logs import PLACE, Log, context_of

SONGS = Catalog(ItemSchema({"energy": "number", "loud": "number", "genre": "category", "moods": "tags"}))
SONGS.put(
    [
        (f"i{n}", {"energy": n / 11, "genre": "Folk" if n % 2 else "rock", "moods": ["calm", "sad"][n % 2 :]})
        for n in range(12)
    ]
)
SONGS.put([("i12", {})])
KINDS: Any = {"observe": PLACE, "fields": ["energy"], "words": "genre", "buffer": 40}


def ranked(
    policy: Adjuster, place: str = "a", rows: Sequence[int] = range(13)
) -> tuple[NDArray[np.float64], list[Any]]:
    """Scores of songs, and the memo that each would come back with."""
    snapshot = SONGS.snapshot()
    asked = context_of(snapshot, situation={"place": place})
    candidates = Candidates(snapshot, np.array(rows, dtype=np.intp))
    scores = policy.rank(asked, candidates)
    kinds = candidates.memo["kind"].tolist()
    return np.asarray(scores), [dict(asked.memo) | {"kind": kind} for kind in kinds]


def shown_at_random(policy: Adjuster, seed: int, count: int = 120) -> Log:
    rng, log = np.random.default_rng(seed), Log()
    memos = {place: ranked(policy, place)[1] for place in "abc"}
    for number in range(count):
        item, place = int(rng.integers(13)), "abc"[rng.integers(3)]
        if log.lines and rng.random() < 0.2:
            line = log.lines[int(rng.integers(len(log.lines)))]
            log.add(float(rng.normal()), line["memo"], slate=line["slate"], item=line["item"], first=False)
        else:
            log.add(float(rng.normal()), memos[place][item], slate=f"s{number % 7}", item=f"i{item}")
    return log
