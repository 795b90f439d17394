"""From a selection to what is logged and answered: picks with their parts, memos cut to them, fates of the rest."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..candidates import Candidates
from ..slate import Pick
from .selection import Selection, shortlist

Floats = NDArray[np.float64]


def picks(
    candidates: Candidates,
    order: NDArray[np.intp],
    selection: Selection,
    policy_parts: Mapping[str, Floats],
    names: Sequence[str],
) -> list[Pick]:
    """The picks in order; names: of the sources, by their bit of `origin`."""
    chosen = selection.chosen
    ids = candidates.catalog.ids[candidates.rows[chosen]].tolist()
    origins = candidates.origin[chosen].tolist()
    columns = {label: score[chosen].tolist() for label, score in candidates.scores.items()}
    totals = candidates.score[chosen]
    if policy_parts:
        # Where each pick stands in the shortlist; the policies said nothing of the others.
        length = len(next(iter(policy_parts.values())))
        place = np.full(len(candidates), -1, dtype=np.intp)
        place[order[:length]] = np.arange(length)
        places = place[chosen]
        for label, part in policy_parts.items():
            added = np.where(places >= 0, part[places], 0.0)
            totals = totals + added
            columns[label] = added.tolist()
    totals_list = totals.tolist()
    propensities = selection.propensity.tolist()
    explored = selection.explored.tolist()
    labels = list(columns)
    lines = list(zip(*columns.values(), strict=True)) if columns else [()] * len(ids)
    sources = {
        origin: [name for bit, name in enumerate(names) if origin >> bit & 1] for origin in set(origins)
    }
    return [
        Pick(
            ids[position],
            position,
            totals_list[position],
            propensities[position],
            dict(zip(labels, lines[position], strict=True)),
            sources[origins[position]],
            explored[position],
        )
        for position in range(len(ids))
    ]


def memos_of_picks(
    memos: Mapping[str, Mapping[str, Any]],
    arrays: Mapping[str, Mapping[str, NDArray[Any]]],
    listed: NDArray[np.intp],
    selection: Selection,
) -> dict[str, dict[str, Any]]:
    """What policies want back: their own memo, and their arrays cut to the picks. Others have no use for one.

    listed: the positions of the candidates that the arrays tell of, in order; where one is shorter, of the first.
    A pick that isn't among them has None.
    """
    kept = {
        name.removeprefix("policies."): {"context": dict(memo)}
        for name, memo in memos.items()
        if memo and name.startswith("policies.")
    }
    for name, columns in arrays.items():
        items = {}
        for key, column in columns.items():
            place = {candidate: row for row, candidate in enumerate(listed[: len(column)].tolist())}
            rows = [place.get(candidate, -1) for candidate in selection.chosen.tolist()]
            items[key] = [column[row].tolist() if row >= 0 else None for row in rows]
        kept.setdefault(name, {})["items"] = items
    return kept


def fates_of_others(
    candidates: Candidates, order: NDArray[np.intp], selection: Selection
) -> dict[str, dict[str, Any]]:
    """The fate of the candidates that passed every filter and are not in the slate."""
    ranks = np.empty(len(candidates), dtype=np.intp)
    ranks[shortlist(candidates.score, len(candidates))] = np.arange(len(candidates))
    picked = set(selection.chosen.tolist())
    ids, scores = candidates.ids.tolist(), candidates.score.tolist()
    parts = {label: score.tolist() for label, score in candidates.scores.items()}
    return {
        ids[place]: {
            "rank": int(ranks[place]) + 1,
            "score": scores[place],
            "parts": {label: column[place] for label, column in parts.items()},
        }
        for place in range(len(candidates))
        if place not in picked
    }
