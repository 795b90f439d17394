"""The scores of a decision: those of the scorers for all candidates, those of the policies for the shortlist."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..candidates import Candidates
from .calls import Calls, Floats, unfit
from .steps import Guard

Arrays = dict[str, NDArray[Any]]


@dataclass(slots=True)
class Ranked:
    """What the policies say of the shortlist.

    total: all scores, shape (draws, m).
    parts: by policy, its part of draw 0, shape (m,); memos: by policy, arrays whose first axis is m.
    """

    total: Floats
    parts: dict[str, Floats] = field(default_factory=dict)
    memos: dict[str, Arrays] = field(default_factory=dict)


async def score(calls: Calls, scorers: Sequence[Guard], candidates: Candidates) -> None:
    """Fill in the candidates' `scores` and `score`."""
    if len(candidates) == 0:
        return
    for guard in scorers:
        score = await calls.scores(guard, candidates)
        if score is not None:
            candidates.scores[guard.label] = score
            candidates.score = candidates.score + score


async def rank(calls: Calls, rankers: Sequence[Guard], head: Candidates) -> Ranked:
    """Ask the policies about the shortlist."""
    ranked = Ranked(head.score[None, :])
    if len(head) == 0:
        return ranked
    for guard in rankers:
        head.memo = {}
        score = await calls.scores(guard, head, draws=True)
        if score is not None:
            score = np.atleast_2d(score)
            ranked.parts[guard.label] = score[0]
            if head.memo:
                ranked.memos[guard.label] = _arrays(calls, guard, head)
            ranked.total = ranked.total + score
    return ranked


async def remember(
    calls: Calls, rankers: Sequence[Guard], beyond: Candidates, memos: dict[str, Arrays]
) -> None:
    """Complete the memos by what policies note of items that were chosen from beyond the shortlist."""
    if len(beyond) == 0:
        return
    for guard in rankers:
        if guard.label not in memos:
            continue
        beyond.memo = {}
        if await calls.scores(guard, beyond, draws=True) is None:
            continue
        arrays = _arrays(calls, guard, beyond)
        for key, array in memos[guard.label].items():
            if key in arrays and arrays[key].shape[1:] == array.shape[1:]:
                memos[guard.label][key] = np.concatenate((array, arrays[key]))


def _arrays(calls: Calls, guard: Guard, head: Candidates) -> Arrays:
    """What a policy wrote into the memo of the candidates, without what isn't an array of that length."""
    arrays = {}
    for key, value in head.memo.items():
        fits = (
            isinstance(value, np.ndarray) and value.dtype.kind in "fiubU" and value.shape[:1] == (len(head),)
        )
        if fits:
            arrays[key] = value
        else:
            wanted = f"numbers or texts in an array whose first axis is {len(head)}"
            calls.failed(guard, f"memo {key!r}: {unfit(value, wanted)}")
    return arrays
