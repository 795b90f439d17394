"""What an agent from outside sees of a request: the user and the shortlist as arrays, all within -1..1.

It is made for algorithms that know nothing of Tastemaker, and needs no declaration: every field of the items is in
it. Policies declare what they see instead.

An item's columns: its place in the shortlist (1 for the first, falling to 0) and each scorer's score before its
weight, then its content. Of content, numbers and times are their rank among the catalogue's, from -1 to 1; flags
are 1 and -1; the words of each category or tags field are hashed into `width` columns, of length 1 together; an
embedding is projected to at most `width` · 2 columns by a fixed random orthonormal matrix. What is missing is 0.

The user's columns: the request's place in the episode (from 0 to 1), n / (n + 10) for the n things done so far,
their mean reward, the sum of the items' content weighted by their rewards over 1 + the sum of absolute weights, and
the words of the profile, hashed into `width` · 2 columns of length 1 together. Rewards are divided by the greatest
in the history, at least 1.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..candidates import Candidates
from ..catalog.catalog import CatalogSnapshot
from ..config import Step
from ..context import Context
from .noise import name_keys
from .people import WordFields

Singles = NDArray[np.float32]
Rows = NDArray[np.intp]

_SAMPLE = 4096
"""Rows of the catalogue that ranks are taken from."""
_MANY = 10.0


class Observer:
    """Measures users and shortlists of one catalogue.

    item_columns, user_columns: a name for each column.
    """

    def __init__(self, catalog: CatalogSnapshot, scorers: Sequence[Step], width: int) -> None:
        self._scorers = scorers
        self._width = width
        self._words = WordFields(catalog)
        self._numbers = catalog.schema.of_type("number", "time")
        self._flags = catalog.schema.of_type("flag")
        self._ranked = {field: _sorted(catalog, field) for field in self._numbers}
        self._places = {field: name_keys(_all(catalog, field)) % width for field in self._words.fields}
        self._projection: Singles | None = None
        if catalog.vectors is not None and len(catalog.vectors):
            size = catalog.vectors.take(catalog.live[:1]).shape[1]
            random = np.random.default_rng(size).normal(size=(size, min(size, 2 * width)))
            self._projection = np.linalg.qr(random)[0].astype(np.float32)
        content = [
            *self._numbers,
            *self._flags,
            *(f"{field} {place}" for field in self._words.fields for place in range(width)),
            *(f"embedding {place}" for place in range(self._projected)),
        ]
        self.item_columns = ["place", *(f"scorer {step.name}" for step in scorers), *content]
        self.user_columns = [
            *("progress", "evidence", "mean reward"),
            *(f"history {name}" for name in content),
            *(f"profile {place}" for place in range(2 * width)),
        ]

    @property
    def _projected(self) -> int:
        return 0 if self._projection is None else int(self._projection.shape[1])

    def items(self, shortlist: Candidates) -> Singles:
        """A shortlist, shape (n, item columns)."""
        count = len(shortlist)
        place = 1 - np.arange(count) / max(count, 1)
        scores = [
            np.clip(shortlist.scores[step.name] / step.weight, -1, 1)
            if step.weight and step.name in shortlist.scores
            else np.zeros(count)
            for step in self._scorers
        ]
        ahead = np.stack([place, *scores], axis=1).astype(np.float32)
        return np.concatenate((ahead, self._content(shortlist.catalog, shortlist.rows)), axis=1)

    def user(self, context: Context, progress: float) -> Singles:
        """Who asks, shape (user columns,)."""
        history = context.history
        rewards = np.nan_to_num(history["reward"])
        weights = (rewards / np.abs(rewards).max(initial=1.0)).astype(np.float32)
        count = len(history)
        liked = weights @ self._content(history.catalog, history.rows) / (1 + np.abs(weights).sum())
        facts = [progress, count / (count + _MANY), weights.mean() if count else 0.0]
        told = _hashed(context.profile, 2 * self._width)
        return np.concatenate((np.array(facts, dtype=np.float32), liked, told)).astype(np.float32)

    def _content(self, catalog: CatalogSnapshot, rows: Rows) -> Singles:
        """What items are, shape (n, content columns)."""
        parts: list[NDArray[Any]] = [np.zeros((len(rows), 0))]
        for field in self._numbers:
            values, known = catalog.column(field)[rows], self._ranked[field]
            ranks = np.searchsorted(known, values) + np.searchsorted(known, values, "right")
            shares = np.zeros(len(rows)) if not len(known) else ranks / len(known) - 1
            parts.append(np.where(np.isnan(values), 0.0, shares)[:, None])
        for field in self._flags:
            stored = catalog.column(field)[rows]
            parts.append(np.where(stored < 0, 0.0, 2.0 * stored - 1.0)[:, None])
        for field in self._words.fields:
            lines, codes = self._words.codes(catalog, field, rows)
            cells = lines * self._width + self._places[field][codes].astype(np.intp)
            counts = np.bincount(cells, minlength=len(rows) * self._width)
            parts.append(_unit(counts.reshape(len(rows), self._width)))
        if self._projection is not None and catalog.vectors is not None:
            parts.append(catalog.vectors.take(rows) @ self._projection)
        content: Singles = np.clip(np.concatenate(parts, axis=1), -1, 1).astype(np.float32)
        return content


def _sorted(catalog: CatalogSnapshot, field: str) -> NDArray[Any]:
    live = catalog.live
    values = catalog.column(field)[live[:: max(1, len(live) // _SAMPLE)]]
    return np.sort(values[~np.isnan(values)])


def _all(catalog: CatalogSnapshot, field: str) -> list[str]:
    """The words of a field, in the order of their codes."""
    words = catalog.words(field)
    return [words.word(code) for code in range(len(words))]


def _hashed(profile: Mapping[str, Any], width: int) -> Singles:
    """The words of a profile, each under its key."""
    words = [
        f"{key} {word}"
        for key, value in profile.items()
        for word in (value if isinstance(value, list) else [value])
    ]
    places = (name_keys(words) % width).astype(np.intp)
    hashed: Singles = _unit(np.bincount(places, minlength=width)[None, :])[0]
    return hashed


def _unit(counts: NDArray[Any]) -> Singles:
    """Rows brought to length 1; those of nothing stay 0."""
    length = np.linalg.norm(counts, axis=1, keepdims=True)
    unit: Singles = (counts / np.where(length > 0, length, 1)).astype(np.float32)
    return unit
