"""What people with the same taste bought: `catalog.collaborative` beside popularity and ALS, on real purchases.

UCI Online Retail. The last 30 days are held out; a customer counts who bought something before and in them. What was
never sold before can't be recommended by anything here, and isn't asked for. Two questions, on the same fit:

- new: which items will a customer buy that he never bought before? What he bought before isn't recommended.
- all: which items will he buy? Most of them are repeats, and may be recommended (`repeats: true`).

ALS is that of the library `implicit` (Hu, Koren & Volinsky 2008), on the number of purchases. Its options are the
best of a grid, for each question its own, by nDCG@10 on the 30 days before the last; ours are the defaults. ALS
knows nothing of time. So that the difference isn't taken for the model's, it stands there once more with its scores
multiplied by how current an item is, as ours are.
"""

import csv
import gzip
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from tastemaker.core import Candidates, Catalog, Context, ItemSchema, Outcomes
from tastemaker.core.feedback import Feedback
from tastemaker.plugins.catalog.collaborative import Collaborative, current

from .rows import Floats, Row, medians, row

_DATA = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
_FILE = _DATA / "online-retail-uci" / "transactions.csv.gz"
_DAY = 86_400.0
_HELD_OUT = 30 * _DAY
_HISTORY = 200
"""Events of a customer's history, as a domain keeps them by default."""
_TOP = 10
_DISCOUNT = 1 / np.log2(np.arange(2, _TOP + 2))
_GRID = {"factors": (64, 128, 256), "regularization": (10.0, 30.0), "alpha": (1.0, 2.0)}
_ITERATIONS = (15, 30)
_QUESTIONS = ("new", "all")
_RESAMPLED = 2_000

Scores = Mapping[str, Floats]
"""By question, a score of every item for every customer asked about, shape (customers, items)."""


def run(quick: bool) -> list[Row]:
    rows = _speed(500 if quick else 4_000, 5 if quick else 300)
    if not _FILE.exists():
        rows[-1]["note"] += f"; quality was not measured: there is no {_FILE.name}"
        return rows
    return rows + _quality(quick)


@dataclass(frozen=True)
class _Purchases:
    """Purchases in the order of time, as numbers of customers and of items. times: seconds."""

    customers: NDArray[np.intp]
    items: NDArray[np.intp]
    times: Floats
    customer_ids: list[str]
    item_ids: list[str]


@dataclass(frozen=True)
class _Split:
    """before: purchases until `time`, as counts (customers, items). after: bought within 30 days of it, as bools.

    asked: customers who bought in both. known: items that were sold before, as bools.
    """

    time: float
    before: "sparse.csr_array[np.float64]"
    after: NDArray[np.bool_]
    asked: NDArray[np.intp]
    known: NDArray[np.bool_]


def _purchases(quick: bool) -> _Purchases:
    with gzip.open(_FILE, "rt") as file:
        lines = sorted(
            (datetime.fromisoformat(line["ts"]).timestamp(), line["customer_id"], line["stock_code"])
            for line in csv.DictReader(file)
            if not quick or line["customer_id"].endswith("7")
        )
    customer_ids, customers = np.unique([line[1] for line in lines], return_inverse=True)
    item_ids, items = np.unique([line[2] for line in lines], return_inverse=True)
    times = np.array([line[0] for line in lines])
    return _Purchases(customers, items, times, customer_ids.tolist(), item_ids.tolist())


def _split(purchases: _Purchases, time: float) -> _Split:
    shape = (len(purchases.customer_ids), len(purchases.item_ids))

    def counts(chosen: NDArray[np.bool_]) -> "sparse.csr_array[np.float64]":
        where = (purchases.customers[chosen], purchases.items[chosen])
        return sparse.csr_array((np.ones(int(chosen.sum())), where), shape=shape)

    before = counts(purchases.times <= time)
    after = counts((purchases.times > time) & (purchases.times <= time + _HELD_OUT)).toarray() > 0
    known = before.sum(axis=0) > 0
    asked = np.flatnonzero((before.sum(axis=1) > 0) & (after & known).any(axis=1))
    return _Split(time, before, after[asked] & known, asked, known)


def _quality(quick: bool) -> list[Row]:
    purchases = _purchases(quick)
    end = float(purchases.times[-1])
    test = _split(purchases, end - _HELD_OUT)
    popularity = np.tile((test.before > 0).sum(axis=0).astype(np.float64), (len(test.asked), 1))
    # Whoever buys again buys what he bought most often; ties go to the popular.
    habit = test.before[test.asked].toarray() + popularity / (2 * popularity.max())
    timed = "ALS, times how current an item is"
    rivals: dict[str, Scores] = {
        "popularity": dict.fromkeys(_QUESTIONS, popularity),
        "the customer's own purchases, most often first": {"all": habit},
    }
    if find_spec("implicit"):
        options = _tuned(_split(purchases, end - 2 * _HELD_OUT), quick)
        for question, chosen in options.items():
            named = ", ".join(f"{name} {value:g}" for name, value in chosen.items())
            scores = _als(test, chosen)
            rivals[f"ALS ({named})"] = {question: scores}
            rivals[timed] = {
                **rivals.get(timed, {}),
                question: np.maximum(scores, 0) * _current(purchases, test),
            }
    ours = _ours(purchases, test)
    rows: list[Row] = []
    for question in _QUESTIONS:
        mine = _measures(ours[question], test, question)
        theirs = {
            name: _measures(scores[question], test, question)
            for name, scores in rivals.items()
            if question in scores
        }
        rows += _compared(question, mine, theirs)
    if not find_spec("implicit"):
        rows[-1]["note"] += "; `pip install tastemaker[rivals]` sets it beside ALS, too"
    return rows


def _current(purchases: _Purchases, split: _Split) -> Floats:
    """How much of each item's purchases is of late, shape (items,)."""
    until = int(np.searchsorted(purchases.times, split.time, side="right"))
    found = np.zeros(len(purchases.item_ids))
    shares = current(
        purchases.items[:until].astype(np.int32), purchases.times[:until], Collaborative().current_days
    )
    found[: len(shares)] = shares
    return found


def _compared(
    question: str, mine: Mapping[str, Floats], theirs: Mapping[str, Mapping[str, Floats]]
) -> Iterator[Row]:
    """One row for each measure and rival; 95 % intervals by resampling the customers, differences in pairs."""
    for measure, values in mine.items():
        for name, beside in theirs.items():
            gain = values - beside[measure]
            note = (
                f"{_interval(values)} beside {_interval(beside[measure])}, difference {_interval(gain)}; "
                f"{len(gain)} customers"
            )
            title = f"{question} items: {measure}, beside {name}"
            yield row(title, 100 * float(values.mean()), 100 * float(beside[measure].mean()), "%", note)


def _interval(values: Floats) -> str:
    rng = np.random.default_rng(1)
    means = [values[rng.integers(0, len(values), len(values))].mean() for _ in range(_RESAMPLED)]
    low, high = np.percentile(means, (2.5, 97.5)) * 100
    return f"{low:.2f} to {high:.2f}"


def _measures(scores: Floats, split: _Split, question: str) -> dict[str, Floats]:
    """nDCG@10 and recall@10 (of at most 10) of every customer who bought something that was asked for."""
    wanted, allowed = split.after, np.broadcast_to(split.known, scores.shape)
    if question == "new":
        allowed = allowed & (split.before[split.asked].toarray() == 0)
        wanted = wanted & allowed
    asked = wanted.any(axis=1)
    scores, wanted = np.where(allowed, scores, -np.inf)[asked], wanted[asked]
    best = np.argsort(-scores, axis=1, kind="stable")[:, :_TOP]
    hits = np.take_along_axis(wanted, best, axis=1)
    most = np.minimum(wanted.sum(axis=1), _TOP)
    ideal = np.cumsum(_DISCOUNT)[most - 1]
    return {"nDCG@10": (hits * _DISCOUNT).sum(axis=1) / ideal, "recall@10": hits.sum(axis=1) / most}


def _tuned(split: _Split, quick: bool) -> dict[str, dict[str, Any]]:
    """By question, the options of ALS that are best for it."""
    found: dict[str, tuple[float, dict[str, Any]]] = {}

    def tried(options: dict[str, Any], questions: tuple[str, ...]) -> None:
        scores = _als(split, options)
        for question in questions:
            value = float(_measures(scores, split, question)["nDCG@10"].mean())
            if question not in found or value > found[question][0]:
                found[question] = (value, options)

    grid = [dict(zip(_GRID, values, strict=True)) for values in product(*_GRID.values())]
    for options in grid[:2] if quick else grid:
        tried({**options, "iterations": _ITERATIONS[0]}, _QUESTIONS)
    for question in _QUESTIONS:
        for iterations in _ITERATIONS[1:]:
            tried({**found[question][1], "iterations": iterations}, (question,))
    return {question: options for question, (_, options) in found.items()}


def _als(split: _Split, options: Mapping[str, Any]) -> Floats:
    als: Any = import_module("implicit.als")
    model = als.AlternatingLeastSquares(**options, random_state=1, num_threads=1)
    model.fit(sparse.csr_matrix(split.before).astype(np.float32), show_progress=False)
    scores: Floats = (model.user_factors[split.asked] @ model.item_factors.T).astype(np.float64)
    return scores


def _ours(purchases: _Purchases, split: _Split) -> Scores:
    """The scores of the policy itself, which has learned from the purchases and been fitted once."""
    catalog = _catalog(purchases.item_ids)
    until = int(np.searchsorted(purchases.times, split.time, side="right"))
    new = Collaborative()
    customers = [purchases.customer_ids[number] for number in purchases.customers[:until].tolist()]
    items = [purchases.item_ids[number] for number in purchases.items[:until].tolist()]
    new.learn(_outcomes(customers, items, purchases.times[:until]))
    new.fit()
    again = Collaborative(repeats=True)
    again.load(new.state())
    scores = {question: np.zeros((len(split.asked), len(_all_of(catalog)))) for question in _QUESTIONS}
    for place, customer in enumerate(split.asked.tolist()):
        events = np.flatnonzero(purchases.customers[:until] == customer)[::-1][:_HISTORY]
        ages = (split.time - purchases.times[events]) / _DAY
        context = _context(catalog, purchases.items[events], ages)
        for question, policy in (("new", new), ("all", again)):
            scores[question][place] = policy.rank(context, _all_of(catalog))
    return scores


def _all_of(catalog: Catalog) -> Candidates:
    snapshot = catalog.snapshot()
    return Candidates(snapshot, np.arange(len(snapshot)))


def _catalog(ids: list[str]) -> Catalog:
    catalog = Catalog(ItemSchema({"title": "text"}))
    catalog.put([(identity, {}) for identity in ids])
    return catalog


def _outcomes(users: list[str], items: list[str], times: Floats) -> Outcomes:
    count = len(users)
    return Outcomes(
        users=users,
        items=items,
        slates=[""] * count,
        reward=np.ones(count),
        total=np.ones(count),
        first=np.ones(count, dtype=bool),
        propensity=np.full(count, np.nan),
        position=np.full(count, -1, dtype=np.int32),
        time=times,
        situations=[{}] * count,
        memos=[{}] * count,
    )


def _context(catalog: Catalog, rows: NDArray[np.intp], ages: Floats) -> Context:
    snapshot = catalog.snapshot()
    columns = {"reward": np.ones(len(rows)), "kind": np.full(len(rows), "purchase", object), "age_days": ages}
    return Context(
        domain="bench",
        user="ann",
        slate="bench",
        now=0.0,
        size=_TOP,
        draws=1,
        seed=1,
        catalog=snapshot,
        history=Candidates(snapshot, rows, columns=columns),
        feedback=Feedback(),
        profile={},
        situation={},
    )


def _speed(items: int, rounds: int) -> list[Row]:
    """Requests, and fits, on drawn likes: 120,000 of 4,000 items by 3,000 users, of 40 tastes."""
    rng = np.random.default_rng(6)
    users, each = 3_000, 40
    taste = rng.integers(0, 40, (users, 1)) * items // 40
    liked = (taste + (items * rng.random((users, each)) ** 3).astype(np.intp)) % items
    ids = [f"item-{number:05}" for number in range(items)]
    policy = Collaborative()
    names = [f"user-{number}" for number in range(users) for _ in range(each)]
    policy.learn(_outcomes(names, [ids[number] for number in liked.ravel().tolist()], np.zeros(users * each)))
    while_learning = Collaborative(items=policy.online, likes=100_000)
    while_learning.load(policy.state())
    online = perf_counter()
    while_learning.fit()
    online = perf_counter() - online
    full = perf_counter()
    policy.fit()
    full = perf_counter() - full
    plain = rng.normal(size=(items, items)) + items * np.eye(items)
    inverse = perf_counter()
    np.linalg.inv(plain)
    inverse = perf_counter() - inverse
    catalog = _catalog(ids)
    rows: list[Row] = []
    for count in (12, 200):
        context = _context(
            catalog, rng.choice(items, count, replace=False), np.arange(count, dtype=np.float64)
        )
        head = Candidates(context.catalog, rng.choice(items, 48, replace=False))
        history = context.history.rows

        def dense(_: int, history: NDArray[np.intp] = history) -> object:
            scores = plain[history].sum(axis=0)
            top = np.argpartition(scores, -100)[-100:]
            return top[np.argsort(-scores[top])]

        def propose(_: int, context: Context = context) -> object:
            return policy.propose(context)

        def rank(_: int, context: Context = context, head: Candidates = head) -> object:
            return policy.rank(context, head)

        proposed, ranked, summed = medians([propose, rank, dense], rounds)
        name = f"of {items:,} items, {count} in the history"
        rows.append(
            row(f"propose 100 {name}", proposed * 1e3, summed * 1e3, "ms", "beside sums of dense rows")
        )
        rows.append(row(f"rank 48 {name}", ranked * 1e3, None, "ms", "with its reasons"))
    rows.append(row(f"fit of {items:,} items", full, inverse, "s", "beside the inverse alone"))
    note = f"100,000 likes; the {policy.online} most liked items: how long `learn` holds decisions up"
    rows.append(row("fit while learning", online * 1e3, None, "ms", note))
    return rows
