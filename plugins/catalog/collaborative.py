"""What people with the same taste liked, learned from who liked what and nothing else.

The model is EASE (Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data"): with X the users' likes, 0 or 1,
every item is predicted from all others by ridge regression, in closed form,

    P = (XᵀX + ridge · I)⁻¹,    B_ij = -P_ij / P_jj,    B_ii = 0                         (equations 7 and 8)

and what a user likes next is c_j Σ w_i B_ij over the items i that he liked. Likes fade by half every so many days:

    w_i = Σ 2^(-age / half_life_days) over the times he liked i
    c_j = mean of 2^(-age / current_days) over all likes of j

so that what was liked lately says more, and what everybody likes of late comes first. B needs to be computed anew only
when likes have grown; what a user liked counts at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PrivateAttr

from ...core import Arms, Candidates, Context, Outcomes, Policy, State
from .ranking import best
from .taste import fading

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]

_FIRST_FIT = 10
"""The first fit comes with as many likes."""
_ONLINE_LIKES = 100_000
"""A fit while learning reads the newest likes: however long the log is, decisions don't wait for it."""
_STEPS = 2.0**16
"""Weights are whole numbers of 1 / _STEPS: the last bits of an inverse differ between processors."""
_SLACK = 1e-9
"""Rewards are sums: those this near to the threshold are at it."""
_DAY = 86_400.0
_REASONS = 2
"""How many of a user's items are named as the reason for a candidate."""


class Collaborative(Policy):
    """Learns what is liked by the same people (EASE): proposes it to who liked the one but not the other, and ranks it.

    An item counts as liked by a user while the reward of one of its outcomes is above `liked`. Scores go from 0 to 1,
    the user's best. Users who liked nothing that is known get no proposals and scores of 0.
    """

    blocking: ClassVar[bool] = False

    limit: int = Field(default=100, ge=1, le=10_000, description="How many items to propose.")
    liked: float = Field(
        default=0.0, allow_inf_nan=False, description="Rewards above it say that an item was liked."
    )
    repeats: bool = Field(
        default=False,
        description="Whether items that the user liked before may come again: for what is bought anew.",
    )
    half_life_days: float = Field(
        default=60.0,
        ge=0.001,
        le=36_500,
        description="Days after which a user's like says half as much of his taste.",
    )
    current_days: float = Field(
        default=14.0,
        ge=0.001,
        le=36_500,
        description="Days after which a like says half as much of an item's being liked of late.",
    )
    ridge: float = Field(
        default=200.0,
        ge=1e-3,
        le=1e6,
        description="How many likes the belief is worth that no item has to do with another.",
    )
    neighbours: int = Field(
        default=100,
        ge=1,
        le=1000,
        description="For how many others an item may speak: those it says most of.",
    )
    items: int = Field(
        default=4000, ge=1, le=10_000, description="The most liked items that a training run learns about."
    )
    online: int = Field(
        default=500,
        ge=1,
        le=2000,
        description="… and how many of them are learned about between training runs.",
    )
    growth: float = Field(
        default=0.25,
        ge=0.01,
        le=10,
        description="By which share likes must have changed to be learned from anew.",
    )
    likes: int = Field(
        default=500_000, ge=100, le=10_000_000, description="How many likes are kept: the newest ones."
    )

    _likes: "_Likes" = PrivateAttr()
    _model: "_Model" = PrivateAttr()
    _late: "_Model" = PrivateAttr()  # of items that got their likes since a training run fitted the other one
    _changes: int = PrivateAttr()

    def model_post_init(self, _: Any) -> None:
        """Start with nothing learned."""
        self._likes, self._model, self._late, self._changes = _Likes(), _Model(), _Model(), 0

    def propose(self, context: Context) -> NDArray[np.intp]:
        """Rows of the catalogue, best first, at most `limit`."""
        said = self._said(context)
        if not said:
            return np.empty(0, dtype=np.intp)
        scores = np.concatenate([each.scores for each in said])
        names = np.concatenate([each.model.names[1:] for each in said])
        wanted = best(scores, self.limit)
        wanted = wanted[scores[wanted] > 0]
        rows = context.catalog.rows(names[wanted].tolist())
        return rows[rows >= 0]

    def rank(self, context: Context, candidates: Candidates) -> Floats:
        """How well each candidate goes with what the user liked, as a share of the best item's score, shape (n,)."""
        said = self._said(context)
        worth = np.zeros(len(candidates))
        if not said:
            return worth
        because = np.full((len(candidates), _REASONS), "")
        most = max(each.scores.max() for each in said) or 1.0
        for each in said:
            arms = each.model.arms.of(candidates)
            found = np.concatenate(([0.0], each.scores / most))[arms]
            reasons = each.model.reasons(each.sources, each.pull, arms, own=self.repeats)
            because = np.where((found > 0)[:, None], reasons, because)
            worth = np.where(found > 0, found, worth)
        candidates.memo["because"] = because
        return worth

    def learn(self, outcomes: Outcomes) -> None:
        """Count who likes what. A correction that takes the reward to `liked` or below takes the like back."""
        above = self.liked + _SLACK
        now = outcomes.total > above
        before = ~outcomes.first & (outcomes.total - outcomes.reward > above)
        likes, changes, due = self._likes, self._changes, self._due
        for place in np.flatnonzero(now != before).tolist():
            change, time = 1 if now[place] else -1, float(outcomes.time[place])
            changes += likes.add(outcomes.users[place], outcomes.items[place], change, time)
            likes = likes.newest(self.likes)
            if changes >= due:
                self._likes = likes
                fitted = self._fitted(self.online, _ONLINE_LIKES)
                # What a training run has learned about more items is not given up for less: the rest comes beside it.
                if len(self._model) <= self.online:
                    self._model = fitted
                else:
                    self._late = fitted
                changes, due = 0, self._due
        self._likes, self._changes = likes, changes

    def fit(self) -> None:
        """Learn about up to `items` items from all likes that are kept: seconds, and 40 · items² bytes."""
        self._model, self._late = self._fitted(self.items, len(self._likes)), _Model()
        self._changes = 0

    @property
    def _due(self) -> float:
        """How many changes of likes make it worth while to compute the weights anew."""
        return max(_FIRST_FIT, self.growth * (self._late if len(self._late) else self._model).likes)

    def _fitted(self, items: int, likes: int) -> "_Model":
        users, liked, times = self._likes.arrays(likes)
        chosen = most_liked(liked, items)
        lively = current(liked, times, self.current_days)[chosen]
        says = ease(together(users, liked, chosen), self.ridge) * lively
        targets, weights = strongest(says, self.neighbours)
        names = [self._likes.items[item] for item in chosen.tolist()]
        return _Model(names, targets, weights, len(self._likes))

    def _said(self, context: Context) -> "list[_Said]":
        """What the models say to somebody of whom they know something; of an item, one of them at most says something.

        What a training run fitted knows all about its items; the late model is asked about others.
        """
        said = []
        for model in (self._model, self._late):
            sources, pull = self._taste(context, model)
            if len(sources):
                scores = self._scores(model, sources, pull)
                if model is self._late:
                    scores[self._model.arms.known(model.arms.ids) > 0] = 0
                said.append(_Said(model, sources, pull, scores))
        return said

    def _taste(self, context: Context, model: "_Model") -> tuple[NDArray[np.intp], Floats]:
        """What the user likes of what a model knows, as places in it (m,), and how much each of them counts (m,)."""
        history = context.history
        if len(history) == 0 or len(model) == 0:
            return np.empty(0, dtype=np.intp), np.empty(0)
        above, size = self.liked + _SLACK, len(model) + 1
        arms, reward = model.arms.of(history), np.nan_to_num(history["reward"])
        events = np.flatnonzero((reward > above) & (arms > 0))
        counted = fading(history["age_days"][events], self.half_life_days)
        pull: Floats = np.bincount(arms[events], counted, size).astype(np.float64)
        total = np.bincount(arms, weights=reward, minlength=size)  # what was taken back is not liked
        sources = np.flatnonzero((pull > 0) & (total > above))
        return sources - 1, pull[sources]

    def _scores(self, model: "_Model", sources: NDArray[np.intp], pull: Floats) -> Floats:
        """Every item's score for somebody who likes `sources`, not below 0, shape (items of the model,)."""
        scores = model.scores(sources, pull)
        if self.repeats:
            scores[sources] += pull
        else:
            scores[sources] = 0
        return np.maximum(scores, 0.0)

    def state(self) -> State:
        """Who likes what, and the weights."""
        late = {f"late_{name}": value for name, value in self._late.state().items()}
        return {**self._likes.state(), **self._model.state(), **late, "changes": self._changes}

    def load(self, state: State) -> None:
        """Become what `state` gave. Raises ValueError where it doesn't fit."""
        try:
            likes, model = _Likes.of(state), _Model.of(state, self.neighbours)
            late = {name.removeprefix("late_"): state[name] for name in state if name.startswith("late_")}
            beside = _Model.of(late, self.neighbours) if late else _Model()
            changes = _count("changes", state)
        except KeyError as key:
            raise ValueError(f"the state has no {key}") from None
        self._likes, self._model, self._late, self._changes = likes, model, beside, changes

    def explain(self, item: str, memo: Mapping[str, Any]) -> str:
        """Which of the user's items spoke most for an item when it was ranked."""
        because = memo.get("because") if item else None
        if not isinstance(because, Sequence | np.ndarray) or isinstance(because, str):
            return ""
        others = [repr(str(other)) for other in because if other and other != item]
        said = ["liked before"] if item in because else []
        said += [f"liked by people who liked {' and '.join(others)}"] if others else []
        return "; ".join(said)


class _Likes:
    """Who likes what, the newest like last.

    A user may like an item through several outcomes; the like lasts until all of them are taken back.
    """

    def __init__(self) -> None:
        self.users: list[str] = []
        self.items: list[str] = []
        self._users: dict[str, int] = {}
        self._items: dict[str, int] = {}
        # By number of the user << 32 | number of the item: how many outcomes say so, and when one did last.
        self._held: dict[int, tuple[int, float]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def add(self, user: str, item: str, change: int, time: float) -> bool:
        """So many outcomes more or fewer say that a user likes an item; whether that makes a like or ends one."""
        if change < 0 and (user not in self._users or item not in self._items):
            return False  # it was forgotten
        numbers = _number(self._users, self.users, user) << 32 | _number(self._items, self.items, item)
        before, last = self._held.pop(numbers, (0, time))
        count = max(before + change, 0)
        if count:
            self._held[numbers] = (count, time if change > 0 else last)
        return (before > 0) != (count > 0)

    def newest(self, most: int) -> "_Likes":
        """Itself or, where there are an eighth more likes than `most`, its newest ones."""
        if len(self) <= most + most // 8:
            return self
        kept = _Likes()
        for numbers, (count, time) in islice(self._held.items(), len(self) - most, None):
            kept.add(self.users[numbers >> 32], self.items[numbers & 0xFFFFFFFF], count, time)
        return kept

    def arrays(self, most: int) -> tuple[Ints, Ints, Floats]:
        """Users and items by number, and times of the newest likes, each of shape (n,)."""
        start = max(len(self) - most, 0)
        count = len(self) - start
        numbers = np.fromiter(islice(self._held, start, None), np.int64, count)
        times = np.fromiter((time for _, time in islice(self._held.values(), start, None)), np.float64, count)
        return (numbers >> 32).astype(np.int32), (numbers & 0xFFFFFFFF).astype(np.int32), times

    def state(self) -> dict[str, Any]:
        """All of it."""
        users, liked, times = self.arrays(len(self))
        counts = np.fromiter((count for count, _ in self._held.values()), np.int32, len(self))
        return {
            "users": self.users.copy(),
            "liked": self.items.copy(),
            "likes": np.stack((users, liked, counts), axis=1),
            "times": times,
        }

    @classmethod
    def of(cls, state: State) -> "_Likes":
        """What gave a state. Raises ValueError, KeyError."""
        users, items, rows = _texts("users", state), _texts("liked", state), state["likes"]
        if not isinstance(rows, np.ndarray) or rows.dtype.kind != "i" or rows.shape != (len(rows), 3):
            raise ValueError("likes must be whole numbers of shape (n, 3)")
        if len(rows) and (rows.min() < 0 or (rows.max(axis=0)[:2] >= (len(users), len(items))).any()):
            raise ValueError("likes must hold numbers of users and of items")
        if len(rows) and rows[:, 2].min() < 1:
            raise ValueError("every like must be counted at least once")
        times = state["times"]
        if not isinstance(times, np.ndarray) or times.shape != rows.shape[:1] or not _finite(times):
            raise ValueError("times must be finite numbers, one for each like")
        likes = cls()
        likes.users, likes.items = users, items
        likes._users = {user: number for number, user in enumerate(users)}
        likes._items = {item: number for number, item in enumerate(items)}
        numbers = rows[:, 0].astype(np.int64) << 32 | rows[:, 1].astype(np.int64)
        held = zip(rows[:, 2].tolist(), times.tolist(), strict=True)
        likes._held = dict(zip(numbers.tolist(), held, strict=True))
        if len(likes) < len(rows):
            raise ValueError("a like is there twice")
        return likes


class _Model:
    """What was fitted: for each of n items the k others that it speaks for, and how strongly.

    targets, weights: shape (n, k). likes: how many there were when it was fitted.
    """

    def __init__(
        self,
        ids: Sequence[str] = (),
        targets: Ints | None = None,
        weights: NDArray[np.float32] | None = None,
        likes: int = 0,
    ) -> None:
        self.arms = Arms(ids)
        self.names = np.array(["", *ids])
        self.targets = np.empty((0, 0), dtype=np.int32) if targets is None else targets
        self.weights = np.empty((0, 0), dtype=np.float32) if weights is None else weights
        self.likes = likes

    def __len__(self) -> int:
        return len(self.targets)

    def scores(self, sources: NDArray[np.intp], pull: Floats) -> Floats:
        """Σ pull_i B_ij over the sources i, shape (n,)."""
        said = self.weights[sources] * pull[:, None]
        total: Floats = np.bincount(self.targets[sources].ravel(), said.ravel(), len(self)).astype(np.float64)
        return total

    def reasons(self, sources: NDArray[np.intp], pull: Floats, arms: Ints, *, own: bool) -> NDArray[np.str_]:
        """The sources that say most for each of some items, best first, "" where fewer do; shape (len(arms), 2).

        own: whether a source speaks for itself, too.
        """
        asked, which = np.unique(arms, return_inverse=True)
        place = np.full(len(self) + 1, len(asked))
        place[asked] = np.arange(len(asked))
        said = np.zeros((len(sources), len(asked) + 1))
        rows = np.arange(len(sources))[:, None]
        said[rows, place[self.targets[sources] + 1]] = self.weights[sources] * pull[:, None]
        if own:
            said[rows[:, 0], place[sources + 1]] = pull
        loudest = np.zeros((_REASONS, len(asked) + 1), dtype=np.intp)
        for rank in range(_REASONS):
            most, value = said.argmax(axis=0), said.max(axis=0)
            loudest[rank] = np.where(value > 0, sources[most] + 1, 0)
            np.put_along_axis(said, most[None], 0.0, axis=0)
        return self.names[loudest[:, which].T]

    def state(self) -> dict[str, Any]:
        """All of it."""
        return {"ids": self.arms.ids, "targets": self.targets, "weights": self.weights, "fitted": self.likes}

    @classmethod
    def of(cls, state: State, neighbours: int) -> "_Model":
        """What gave a state. Raises ValueError, KeyError."""
        ids, targets, weights = _texts("ids", state), state["targets"], state["weights"]
        shape = (len(ids), min(neighbours, len(ids)))
        for name, array in (("targets", targets), ("weights", weights)):
            if not isinstance(array, np.ndarray) or array.shape != shape:
                raise ValueError(f"{name} must be an array of shape {shape} for {len(ids)} items")
        if targets.dtype.kind != "i" or (targets.size and not 0 <= targets.min() <= targets.max() < len(ids)):
            raise ValueError(f"targets must be places among {len(ids)} items")
        if not _finite(weights):
            raise ValueError("weights must be finite numbers")
        likes = _count("fitted", state)
        return cls(ids, targets.astype(np.int32), weights.astype(np.float32), likes)


@dataclass(frozen=True, slots=True)
class _Said:
    """What a model says to a user: what he likes of it (m,), how much that counts (m,), and its items' scores (n,)."""

    model: _Model
    sources: NDArray[np.intp]
    pull: Floats
    scores: Floats


def most_liked(liked: Ints, most: int) -> NDArray[np.intp]:
    """The items with the most likes, the earlier number where they are equal, ascending, at most `most` of them."""
    counts = np.bincount(liked).astype(np.float64)
    return np.sort(best(counts, min(most, int(np.count_nonzero(counts)))))


def current(liked: Ints, times: Floats, half_life_days: float) -> Floats:
    """How much of each item's likes is of late: the mean of 2^(-age / half-life) as a share of the largest one.

    The age is measured from the newest like of all. Shape (largest number of an item + 1,), 0 for items without likes.
    """
    if len(liked) == 0:
        return np.empty(0)
    faded = np.bincount(liked, weights=fading((times.max() - times) / _DAY, half_life_days))
    mean = faded / np.maximum(np.bincount(liked), 1)
    shares: Floats = mean / mean.max()
    return shares


def together(users: Ints, liked: Ints, items: NDArray[np.integer]) -> Floats:
    """By how many users both of two items are liked: XᵀX, shape (n, n) for the numbers of n items, ascending."""
    from scipy import sparse  # which takes long to import, and is needed only here

    column = np.minimum(np.searchsorted(items, liked), max(len(items) - 1, 0))
    held = np.flatnonzero(items[column] == liked) if len(items) else np.empty(0, dtype=np.intp)
    _, row = np.unique(users[held], return_inverse=True)
    ones = np.ones(len(held), dtype=np.float32)  # whole numbers are exact up to 2^24, in any order
    shape = (int(row.max(initial=-1)) + 1, len(items))
    likes = sparse.csr_array((ones, (row, column[held])), shape=shape)
    counted: Floats = (likes.T @ likes).toarray().astype(np.float64)
    return counted


def ease(gram: Floats, ridge: float) -> Floats:
    """The weights B of EASE from XᵀX, shape (n, n): what a like of item i says for item j (Steck 2019, eq. 8)."""
    inverse = np.linalg.inv(gram + ridge * np.eye(len(gram)))
    weights: Floats = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return weights


def strongest(weights: Floats, most: int) -> tuple[Ints, NDArray[np.float32]]:
    """In each row the `most` weights that are furthest from 0: columns, ascending, and weights, shape (n, k)."""
    count = len(weights)
    rounded = np.rint(weights * _STEPS).astype(np.int64)
    # Size and place in one number, so that which of equal weights are taken is not up to the way of sorting.
    keys = np.abs(rounded) << 32 | np.arange(count)[::-1]
    rest = max(count - most, 0)
    order = np.argpartition(keys, rest, axis=1) if rest else np.tile(np.arange(count), (count, 1))
    targets = np.sort(order[:, rest:], axis=1)
    chosen = np.take_along_axis(rounded, targets, axis=1)
    return targets.astype(np.int32), (chosen / _STEPS).astype(np.float32)


def _number(numbers: dict[str, int], names: list[str], name: str) -> int:
    """The number of a name, given when it first comes."""
    number = numbers.setdefault(name, len(names))
    if number == len(names):
        names.append(name)
    return number


def _texts(name: str, state: State) -> list[str]:
    texts = state[name]
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{name} must be a list of texts")
    if len(set(texts)) < len(texts):
        raise ValueError(f"{name} must have each text once")
    return list(texts)


def _finite(array: NDArray[Any]) -> bool:
    return array.dtype.kind == "f" and bool(np.isfinite(array).all())


def _count(name: str, state: State) -> int:
    count = state[name]
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise ValueError(f"{name} must be a whole number, not below 0")
    return count
