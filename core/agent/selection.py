"""How a slate is chosen from scored candidates: top-k, diversity, caps, exploration — and how probable it was.

The randomness is laid out so that the probability of every pick can be computed:

1. Each of S draws of the policies' scores gives one *ranked* slate: the best k by score, each next one chosen by
   maximal marginal relevance (Carbonell & Goldstein 1998) and only while no cap is exceeded. Row 0 is the one
   that counts. Where no policy draws at random, S = 1.
2. M positions, chosen uniformly, are *explored*: M is ⌊εk⌋ or ⌊εk⌋ + 1 with mean εk. What stood there is replaced
   by items drawn uniformly, without replacement, from those of the pool that are not in the ranked slate and that
   keep every cap even if all M stand in the slate. Where fewer than M are left, nothing is explored.

So, for an item i at position p, with E_s the ranked slate of draw s and X_s(M) the items open to exploration,

    P(i at p) = mean over s of  [E_s(p) = i] · (1 - q_s)  +  Σ_M P(M) · M/k · [i ∈ X_s(M)] / |X_s(M)|,
    q_s = Σ_M P(M) · M/k · [|X_s(M)| ≥ M].

With S = 1 this is exact. With S > 1 the mean includes the draw that decided, on purpose: for c agreements among
S - 1 further draws, E[S / (c + 1)] = (1 - (1 - p)^S) / p, so inverse propensities are unbiased up to (1 - p)^S.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..candidates import Candidates

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_LATER = 1e6
"""What holds an item back that no policy has ranked: it only fills up."""
_BLOCKED = 1e12
"""What holds an item back whose caps are full: it comes when nothing else is left."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The chosen candidates, in order: k of them.

    chosen: positions among the candidates; propensity: see the module; explored: whether it was tried.
    odds: how probable other items of the pool were.
    over_cap: how many stand beyond a cap because nothing else was left.
    """

    chosen: Ints
    propensity: Floats
    explored: NDArray[np.bool_]
    odds: "Odds"
    over_cap: int = 0


@dataclass(frozen=True, slots=True)
class Rules:
    """How to choose: see the `slate` section of a domain's config for the meaning of each."""

    size: int
    explore: float = 0.0
    explore_pool: int = 200
    diversity: float = 0.0
    max_per: Mapping[str, int] | None = None


def shortlist(score: Floats, length: int) -> Ints:
    """The positions of the `length` best scores, best first, ties by position."""
    count = len(score)
    if length >= count:
        return np.argsort(-score, kind="stable")
    if length == 0:
        return np.empty(0, dtype=np.intp)
    # The worst of the best may be tied with some outside: the first of those count, as in a stable sort.
    edge = -np.partition(-score, length - 1)[length - 1]
    best = np.flatnonzero(score >= edge)
    return best[np.argsort(-score[best], kind="stable")[:length]]


def select(
    candidates: Candidates, order: Ints, ranked: Floats, rules: Rules, rng: np.random.Generator
) -> Selection:
    """Choose a slate.

    order: positions of the pool's candidates, best first by the composition's own score, shape (pool,).
    ranked: scores of the first m of them (the shortlist), one row for each draw, shape (S, m).
    """
    size = min(rules.size, len(order))
    if size == 0:
        nothing = np.empty(0)
        odds = Odds(np.empty((len(ranked), 0), dtype=np.intp), 0, (), {})
        return Selection(nothing.astype(np.intp), nothing, nothing.astype(bool), odds)
    caps = _Caps(candidates, order, rules.max_per) if rules.max_per else None
    slates, over_cap = _ranked_slates(candidates, order, ranked, size, rules.diversity, caps)
    places, explored, odds = _explore(slates, len(order), rules, caps, rng)
    return Selection(order[places], odds.of(places), explored, odds, over_cap)


class _Caps:
    """Which pool items carry which capped words, as a matrix, shape (pool, words)."""

    def __init__(self, candidates: Candidates, order: Ints, max_per: Mapping[str, int]) -> None:
        parts, limits = [], []
        for field, limit in max_per.items():
            if candidates.catalog.schema.fields[field] == "tags":
                tags = candidates.catalog.tags(field)
                indptr, codes = tags.runs(candidates.rows[order])
                lines = np.repeat(np.arange(len(order)), np.diff(indptr))
            else:
                codes = candidates.codes(field)[order]
                lines = np.flatnonzero(codes >= 0)
                codes = codes[lines]
            _, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
            binding = counts > limit  # words too rare to exceed their cap don't matter
            column = np.cumsum(binding) - 1
            matters = binding[inverse]
            part = np.zeros((len(order), int(binding.sum())), dtype=np.float32)
            part[lines[matters], column[inverse[matters]]] = 1
            parts.append(part)
            limits.append(np.full(part.shape[1], limit, dtype=np.float32))
        self.carries = np.concatenate(parts, axis=1)
        self.limits = np.concatenate(limits)
        self.binding = self.carries.shape[1] > 0
        self.carriers = np.ascontiguousarray(self.carries.T > 0)

    def blocked(self, counts: NDArray[np.float32], room: int, length: int) -> NDArray[np.bool_]:
        """Where one of the first `length` items carries a word with less than `room` left.

        counts: of each word, by draw, shape (S, words); the result has shape (S, length).
        """
        tight = (self.limits - counts < room).astype(np.float32)
        blocked: NDArray[np.bool_] = tight @ self.carries[:length].T > 0.5
        return blocked


def _ranked_slates(
    candidates: Candidates, order: Ints, ranked: Floats, size: int, diversity: float, caps: _Caps | None
) -> tuple[Ints, int]:
    """The ranked slate of every draw as places in the pool, shape (S, size), and items of row 0 over a cap."""
    length = ranked.shape[1]
    capped = caps is not None and caps.binding
    if size > length or capped:
        # Behind the shortlist wait the other items of the pool, in their own order.
        rest = len(order) - length
        waiting = ranked.min(axis=1, initial=0)[:, None] - _LATER - np.arange(1, rest + 1)
        everything = np.concatenate((ranked, waiting), axis=1)
    if not diversity and not capped:
        scores = everything if size > length else ranked
        return np.argsort(-scores, axis=1, kind="stable")[:, :size], 0
    if size <= length:
        slates, over = _greedy(candidates, order[:length], ranked, size, diversity, caps)
        if not over.any():
            return slates, 0
    slates, over = _greedy(candidates, order, everything, size, diversity, caps)
    return slates, int(over[0])


def _greedy(
    candidates: Candidates, items: Ints, scores: Floats, size: int, diversity: float, caps: _Caps | None
) -> tuple[Ints, Ints]:
    """Choose one after the other, all draws side by side; also how many of each draw broke a cap."""
    draws, length = scores.shape
    line = np.arange(draws)
    slates = np.empty((draws, size), dtype=np.intp)
    over = np.zeros(draws, dtype=np.intp)
    relevance = scores
    alike = None
    if diversity:
        relevance = (1 - diversity) * _unit_range(scores)
        alike = diversity * _similarities(candidates, items)
    # What each item loses by now: its likeness to what was taken; without end, once it is taken itself.
    loss = np.zeros((draws, length))
    value = relevance.copy()
    counts = None if caps is None else np.zeros((draws, len(caps.limits)), dtype=np.float32)
    blocked: NDArray[np.bool_] | None = None
    closed: NDArray[np.bool_] | None = None  # the words that have reached their cap
    for place in range(size):
        if blocked is not None:
            value[blocked] -= _BLOCKED
        best = value.argmax(axis=1)
        slates[:, place] = best
        if blocked is not None:
            over += blocked[line, best]
        if alike is not None:
            np.maximum(loss, alike[best], out=loss)
        loss[line, best] = np.inf
        np.subtract(relevance, loss, out=value)
        if counts is not None and caps is not None:
            counts += caps.carries[best]
            full = counts >= caps.limits
            fresh = full if closed is None else full & ~closed
            if fresh.any():
                closed = full
                blocked = np.zeros((draws, length), dtype=bool) if blocked is None else blocked
                for draw, word in zip(*np.nonzero(fresh), strict=True):
                    blocked[draw] |= caps.carriers[word, :length]
    return slates, over


def _unit_range(scores: Floats) -> Floats:
    """Each row stretched to 0..1 over the items that policies ranked; those behind keep their distance."""
    ranked = scores > scores.max(axis=1, keepdims=True) - _LATER / 2
    low = np.where(ranked, scores, np.inf).min(axis=1, keepdims=True)
    spread = scores.max(axis=1, keepdims=True) - low
    stretched: Floats = (scores - low) / np.where(spread > 0, spread, 1.0)
    return stretched


def _similarities(candidates: Candidates, items: Ints) -> Floats:
    """Cosine similarities of items by embedding, else by shared categories and tags, shape (n, n)."""
    vectors: NDArray[Any]
    part = candidates.take(items)
    catalog = candidates.catalog
    embedded = catalog.vectors is not None and len(catalog.vectors) > 0
    vectors = part.embeddings if embedded else _features(part)
    likeness: Floats = np.maximum(vectors @ vectors.T, 0.0).astype(np.float64)
    return likeness


def _features(part: Candidates) -> NDArray[np.float32]:
    columns = []
    schema = part.catalog.schema
    for field in schema.of_type("category"):
        codes = part.codes(field)
        columns.append((codes[:, None] == np.unique(codes[codes >= 0])[None, :]).astype(np.float32))
    for field in schema.of_type("tags"):
        tags = part.tags(field)
        columns.append(tags[:, np.unique(tags.indices)].toarray())
    if not columns:
        return np.zeros((len(part), 1), dtype=np.float32)
    features = np.concatenate(columns, axis=1).astype(np.float32)
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return (features / np.where(length > 0, length, 1)).astype(np.float32)


class Odds:
    """How probable each item of the pool is at each position of a slate: see the module.

    draws: how many ranked slates it was counted from; 1 is exact.
    """

    def __init__(
        self, slates: Ints, pool: int, levels: Sequence[tuple[int, float]], rooms: Mapping[int, "_Room"]
    ) -> None:
        self._slates, self._pool = slates, pool
        self._levels, self._rooms = levels, rooms

    @property
    def draws(self) -> int:
        """How many ranked slates it was counted from."""
        return len(self._slates)

    def of(self, places: Ints) -> Floats:
        """P(i at p) for one item at each position, shape (n,): 0 behind the slate's end.

        places: of the items in the pool, -1 for one that is not in it, shape (n,).
        """
        size = self._slates.shape[1]
        if len(places) > size:
            return np.concatenate((self.of(places[:size]), np.zeros(len(places) - size)))
        slates = self._slates[:, : len(places)]
        agrees = slates == places
        if not self._rooms:
            there: Floats = agrees.mean(axis=0)
            return there
        outside = _outside(self._slates, places, self._pool)
        stays = np.ones(len(slates))
        tried = np.zeros(slates.shape)
        for number, probability in self._levels:
            if number:
                room = self._rooms[number]
                share = np.where(room.count >= number, probability * number / size, 0.0)
                stays -= share
                open_to = outside if room.all_open else outside & room.allows(places)
                tried += open_to * (share / np.maximum(room.count, 1))[:, None]
        probable: Floats = (agrees * stays[:, None] + tried).mean(axis=0)
        return probable


def _explore(
    slates: Ints, pool: int, rules: Rules, caps: _Caps | None, rng: np.random.Generator
) -> tuple[Ints, NDArray[np.bool_], Odds]:
    """Replace some of row 0 by items to be tried; places in the pool, which were explored, and the odds of all."""
    size = slates.shape[1]
    places = slates[0].copy()
    explored = np.zeros(size, dtype=bool)
    (fewer, _), (more, chance_of_more) = levels = _levels(rules.explore * size)
    if more == 0 or pool <= size or not rules.explore:
        return places, explored, Odds(slates, pool, (), {})
    rooms = {number: _Room(slates, pool, number, caps) for number, _ in levels if number}

    wanted = more if rng.random() < chance_of_more else fewer
    if wanted:
        available = rooms[wanted].items()
        if len(available) >= wanted:
            where = rng.permutation(size)[:wanted]
            places[where] = available[rng.permutation(len(available))[:wanted]]
            explored[where] = True
    return places, explored, Odds(slates, pool, levels, rooms)


def _outside(slates: Ints, places: Ints, pool: int) -> NDArray[np.bool_]:
    """Which of the places are in the pool and in no position of each draw's slate, shape (S, n)."""
    there = np.zeros((len(slates), pool), dtype=bool)
    there[np.arange(len(slates))[:, None], slates] = True
    return ~there.take(places, axis=1) & (places >= 0)


class _Room:
    """Which pool items may be explored when `number` of them are.

    count: how many, by draw, shape (S,).
    """

    def __init__(self, slates: Ints, pool: int, number: int, caps: _Caps | None) -> None:
        self._taken = slates[0]
        self._open: NDArray[np.bool_] | None = None
        self._pool = pool
        self.count = np.full(len(slates), pool - slates.shape[1])
        if caps is not None and caps.binding:
            counts = caps.carries[slates].sum(axis=1)
            self._open = ~caps.blocked(counts, number, pool)
            self._open[np.arange(len(slates))[:, None], slates] = False
            self.count = self._open.sum(axis=1)

    @property
    def all_open(self) -> bool:
        """Whether no cap matters."""
        return self._open is None

    def items(self) -> Ints:
        """The items open to draw 0, as places in the pool."""
        if self._open is not None:
            return np.flatnonzero(self._open[0])
        free = np.ones(self._pool, dtype=bool)
        free[self._taken] = False
        return np.flatnonzero(free)

    def allows(self, places: Ints) -> NDArray[np.bool_]:
        """Whether the caps leave room for the items at places, by draw, shape (S, n), unless all are open."""
        assert self._open is not None
        return self._open[:, places]


def _levels(mean: float) -> list[tuple[int, float]]:
    """The two whole numbers around a mean, with the probabilities that give it.

    >>> [(number, round(probability, 3)) for number, probability in _levels(1.8)]
    [(1, 0.2), (2, 0.8)]
    """
    high = math.ceil(mean - 1e-9)
    low = max(high - 1, 0)
    chance = min(max(mean - low, 0.0), 1.0)
    return [(low, 1 - chance), (high, chance)]
