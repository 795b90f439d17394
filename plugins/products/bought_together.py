"""What is bought together, learned from purchases and nothing else.

Purchases of one order make a basket; where no order is told, those of one user with no more than a window of time
between them. With n_ij baskets that hold both i and j, n_i that hold i, and n in all,

    lift_ij = (n_ij + prior) / (n_i · n_j / n + prior)

is how much more often i and j are bought together than by chance, shrunk to 1 where little is known: a pair that was
bought together once says nearly nothing, one that was fifty times where once was to be expected says a lot. An item
scores Σ w_i · max(log lift_ij, 0) over the items i that are in the cart, on the page or were bought lately.
"""

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PrivateAttr

from ...core import Arms, Candidates, Context, Outcomes, Policy, State
from ..catalog.ranking import best

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_SEEDS = 20
"""Items that are asked for their neighbours in one request, at most."""


class BoughtTogether(Policy):
    """Proposes and ranks what goes with the cart, with the item on the page or, without either, with late purchases.

    Scores go from 0 to 1, the best item's. The items themselves score 0.
    """

    blocking: ClassVar[bool] = False

    limit: int = Field(default=100, ge=1, le=10_000, description="How many items to propose.")
    kinds: tuple[str, ...] = Field(
        default=("purchase",), min_length=1, description="The kinds of interaction that are purchases."
    )
    order: str = Field(
        default="order",
        description="The key of an interaction's situation that names the order, where it has one.",
    )
    window_minutes: float = Field(
        default=60, gt=0, le=10_080, description="How far apart purchases without an order are one basket."
    )
    cart: str = Field(
        default="cart", description="The key of the situation that lists the items in the cart."
    )
    item: str = Field(default="item", description="The key of the situation that names the item on the page.")
    days: float = Field(
        default=30, gt=0, le=36_500, description="How many days back purchases ask for company."
    )
    prior: float = Field(
        default=5, gt=0, le=1e6, description="How many baskets the belief is worth that items have nothing to do with "
        "each other."
    )  # fmt: skip
    largest: int = Field(
        default=30, ge=2, le=1000, description="Items of a basket that count: a wholesale order says little."
    )
    pairs: int = Field(
        default=500_000, ge=100, le=20_000_000, description="How many pairs are kept: when there are more, all "
        "counts are halved and what is left of single ones is forgotten."
    )  # fmt: skip

    _counts: "_Counts" = PrivateAttr()

    def model_post_init(self, _: Any) -> None:
        """Start with nothing learned."""
        self._counts = _Counts()

    def propose(self, context: Context) -> Ints:
        """Rows of the catalogue, best first, at most `limit`."""
        counts = self._counts
        seeds, weights = self._seeds(context)
        scores, _ = counts.company(seeds, weights, self.prior)
        wanted = best(scores, self.limit)
        wanted = wanted[scores[wanted] > 0]
        rows = context.catalog.rows(counts.names(wanted))
        return rows[rows >= 0]

    def rank(self, context: Context, candidates: Candidates) -> Floats:
        """How well each candidate goes with them, as a share of the best item's score, shape (n,)."""
        counts = self._counts
        seeds, weights = self._seeds(context)
        scores, because = counts.company(seeds, weights, self.prior)
        arms = counts.arms.of(candidates)
        found: Floats = (scores / (scores.max(initial=0.0) or 1.0))[arms]
        said = np.array(["", *counts.names(seeds)])
        candidates.memo["because"] = said[np.where(found > 0, because[arms], 0)]
        return found

    def learn(self, outcomes: Outcomes) -> None:
        """Count what was bought together."""
        for place, kind in enumerate(outcomes.kinds):
            if kind in self.kinds:
                order = outcomes.situations[place].get(self.order)
                key = f"{outcomes.users[place]}\n{'' if order is None else order}"
                time = float(outcomes.time[place])
                self._counts.bought(key, outcomes.items[place], time, self.window_minutes * 60, self.largest)
                if self._counts.size > self.pairs:
                    self._counts.halve()

    def state(self) -> State:
        """What was bought together, and the baskets that may still grow."""
        return self._counts.state()

    def load(self, state: State) -> None:
        """Become what `state` gave. Raises ValueError where it doesn't fit."""
        try:
            self._counts = _Counts.of(state)
        except KeyError as key:
            raise ValueError(f"the state has no {key}") from None

    def statistics(self) -> Mapping[str, float]:
        """How much was learned from."""
        counts = self._counts
        return {"baskets": counts.baskets, "items": float(len(counts.arms)), "pairs": float(counts.size)}

    def explain(self, item: str, memo: Mapping[str, Any]) -> str:
        """With what an item is bought."""
        because = memo.get("because") if item else None
        return f"bought together with {str(because)!r}" if because else ""

    def _seeds(self, context: Context) -> tuple[Ints, Floats]:
        """The arms of the items that ask for company, each once, and how much each counts."""
        arms = self._counts.arms
        named = [*_ids(context.situation.get(self.cart)), *_ids(context.situation.get(self.item))]
        if named:
            found = arms.known(list(dict.fromkeys(named))[:_SEEDS])
            weights = np.ones(len(found))
        else:
            history = context.history
            kinds = history["kind"]
            bought = np.logical_or.reduce([kinds == kind for kind in self.kinds]).astype(bool)
            late = np.flatnonzero(bought & (history["age_days"] <= self.days))
            all_found = arms.of(history)[late]
            found, first = np.unique(all_found, return_index=True)
            newest = np.argsort(first, kind="stable")[:_SEEDS]  # the history has the newest first
            found = found[newest].astype(np.intp)
            weights = 1.0 - history["age_days"][late][first[newest]] / (2 * self.days)
        known = found > 0
        return found[known], weights[known]


class _Counts:
    """Baskets by item and by pair of items, and the baskets that may still grow.

    arms: of the items. baskets: how many there were. size: how many pairs are kept.
    """

    def __init__(self, ids: Sequence[str] = ()) -> None:
        self.arms = Arms(ids)
        self.baskets = 0.0
        self.size = 0
        self._bought = np.zeros(max(16, len(ids) + 1))
        self._near: dict[int, dict[int, float]] = {}
        self._arrays: dict[int, tuple[Ints, Floats]] = {}
        self._open: OrderedDict[str, tuple[float, list[int]]] = OrderedDict()

    def names(self, arms: Ints) -> list[str]:
        """The ids of arms."""
        ids = self.arms.ids
        return [ids[arm - 1] for arm in arms.tolist()]

    def bought(self, key: str, item: str, time: float, window: float, largest: int) -> None:
        """An item was bought, in the basket of this key unless that has not been heard of for longer than a window."""
        while self._open and next(iter(self._open.values()))[0] < time - window:
            self._open.popitem(last=False)
        _, basket = self._open.pop(key, (time, []))
        self._open[key] = (time, basket)
        arm = int(self.arms.learned([item])[0])
        if arm in basket or len(basket) >= largest:
            return
        if arm >= len(self._bought):
            self._bought = np.concatenate((self._bought, np.zeros(len(self._bought))))
        self.baskets += not basket
        self._bought[arm] += 1
        for other in basket:
            self._count(arm, other, 1.0)
        basket.append(arm)

    def company(self, seeds: Ints, weights: Floats, prior: float) -> tuple[Floats, Ints]:
        """By arm, with 0 for what nobody bought: the score, and which seed says most of it, from 1 on."""
        scores, loudest = np.zeros(len(self.arms) + 1), np.zeros(len(self.arms) + 1)
        because = np.zeros(len(self.arms) + 1, dtype=np.intp)
        for place, (seed, weight) in enumerate(zip(seeds.tolist(), weights.tolist(), strict=True), start=1):
            others, together = self._neighbours(seed)
            expected = self._bought[seed] * self._bought[others] / max(self.baskets, 1.0)
            said = weight * np.maximum(np.log((together + prior) / (expected + prior)), 0.0)
            scores[others] += said
            louder = said > loudest[others]
            loudest[others[louder]] = said[louder]
            because[others[louder]] = place
        scores[seeds] = 0.0
        return scores, because

    def halve(self) -> None:
        """Let what was long ago count less: half of all counts, and nothing of pairs that come to less than 1."""
        self.baskets /= 2
        self._bought /= 2
        halved = {
            arm: {other: n / 2 for other, n in near.items() if n >= 2} for arm, near in self._near.items()
        }
        self._near = {arm: near for arm, near in halved.items() if near}
        self._arrays.clear()
        self.size = sum(map(len, self._near.values())) // 2

    def _count(self, arm: int, other: int, baskets: float) -> None:
        near = self._near.setdefault(arm, {})
        self.size += other not in near
        near[other] = near.get(other, 0.0) + baskets
        back = self._near.setdefault(other, {})
        back[arm] = back.get(arm, 0.0) + baskets
        self._arrays.pop(arm, None)
        self._arrays.pop(other, None)

    def _neighbours(self, arm: int) -> tuple[Ints, Floats]:
        found = self._arrays.get(arm)
        if found is None:
            near = self._near.get(arm, {})
            others = np.fromiter(near.keys(), np.intp, len(near))
            found = self._arrays[arm] = others, np.fromiter(near.values(), np.float64, len(near))
        return found

    def state(self) -> dict[str, Any]:
        """All of it."""
        pairs = sorted(
            (arm, other, n) for arm, near in self._near.items() for other, n in near.items() if arm < other
        )
        return {
            "ids": self.arms.ids,
            "bought": self._bought[: len(self.arms) + 1].copy(),
            "baskets": self.baskets,
            "pairs": np.array([pair[:2] for pair in pairs], dtype=np.int32).reshape(-1, 2),
            "together": np.array([pair[2] for pair in pairs], dtype=np.float64),
            "open": list(self._open),
            "times": np.array([time for time, _ in self._open.values()], dtype=np.float64),
            "sizes": np.array([len(basket) for _, basket in self._open.values()], dtype=np.int32),
            "held": np.array([arm for _, basket in self._open.values() for arm in basket], dtype=np.int32),
        }

    @classmethod
    def of(cls, state: State) -> "_Counts":
        """What gave a state. Raises ValueError, KeyError."""
        ids, keys, baskets = state["ids"], state["open"], state["baskets"]
        for name, texts in (("ids", ids), ("open", keys)):
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                raise ValueError(f"{name} must be a list of texts")
            if len(set(texts)) < len(texts):
                raise ValueError(f"{name} must have each text once")
        if isinstance(baskets, bool) or not isinstance(baskets, int | float) or not 0 <= baskets < math.inf:
            raise ValueError("baskets must be a finite number, not below 0")
        bought, pairs, together = state["bought"], state["pairs"], state["together"]
        times, sizes, held = state["times"], state["sizes"], state["held"]
        _is("bought", bought, "f", (len(ids) + 1,))
        _is("pairs", pairs, "i", (len(pairs), 2))
        _is("together", together, "f", (len(pairs),))
        _is("times", times, "f", (len(keys),))
        _is("sizes", sizes, "i", (len(keys),))
        _is("held", held, "i", (int(sizes.sum()),))
        arms = np.concatenate((pairs.ravel(), held))
        if len(arms) and not 1 <= arms.min() <= arms.max() <= len(ids):
            raise ValueError(f"pairs and held must be numbers of {len(ids)} items, from 1")
        if (bought < 0).any() or (together <= 0).any() or (sizes < 0).any():
            raise ValueError("counts must not be below 0")
        counts = cls(ids)
        counts.baskets = float(baskets)
        counts._bought[: len(bought)] = bought
        for (arm, other), n in zip(pairs.tolist(), together.tolist(), strict=True):
            counts._count(arm, other, n)
        ends = np.cumsum(sizes).tolist()
        for key, time, end, size in zip(keys, times.tolist(), ends, sizes.tolist(), strict=True):
            counts._open[key] = (time, held[end - size : end].tolist())
        return counts


def _is(name: str, array: Any, kind: str, shape: tuple[int, ...]) -> None:
    if not isinstance(array, np.ndarray) or array.dtype.kind != kind or array.shape != shape:
        raise ValueError(f"{name} must be an array of shape {shape}")
    if kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite numbers")


def _ids(value: Any) -> list[str]:
    """Item ids in a value of the situation: a list, or a text with commas.

    >>> _ids("p1, p2"), _ids(["p1", 7]), _ids(None)
    (['p1', 'p2'], ['p1', '7'], [])
    """
    if isinstance(value, str):
        return [part for text in value.split(",") if (part := text.strip())]
    if isinstance(value, list | tuple):
        return [str(part) for part in value]
    return [] if value is None or isinstance(value, Mapping) else [str(value)]
