"""Linear bandits: scoring and learning beside packed float32 in plain numpy, and beside the libraries installed.

The models of single arms (`policies/models.py`, under `linucb.ranker` with `mode: disjoint`) are measured where the
libraries are: with vectors in hand, alpha = λ = 1. Features, memo and tie-breaking come on top in `Ranker.rank`, which
has a line of its own. Seconds are of the processor, so that what else the machine does matters less. Beside a library,
both have learned the same log, and calls of microseconds take turns by the dozen, so that each finds its own caches.
"""

import gc
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas
from tastemaker.core import Candidates, Catalog, ItemSchema
from tastemaker.core.context import Context
from tastemaker.core.feedback import Feedback
from tastemaker.policies.hybrid import Hybrid
from tastemaker.policies.linucb import Ranker
from tastemaker.policies.models import Disjoint, Shared
from tastemaker.policies.thompson import Ranker as Thompson

from .rivals import RIVALS, TOP, WITHOUT_COVARIANCE, Rival, installed, obp_policies, of
from .rows import Row, in_turns, medians, row

Singles = NDArray[np.float32]
_MOST = 4e9  # bytes of a model
_CONTEXTS = 64
_UPDATES = 1_000


def run(quick: bool) -> list[Row]:
    names, missing = installed()
    sizes = ((16, 100),) if quick else tuple((d, k) for d in (16, 64, 384) for k in (100, 1_000, 10_000))
    rows: list[Row] = []
    for width, arms in sizes:
        rows += _Disjoint(width, arms, quick).rows(names)
        gc.collect()
    rows += _ranker(16, 100 if quick else 1_000, 3 if quick else 101)
    for width, items in ((16, 100),) if quick else ((16, 1_000), (32, 1_000), (64, 10_000), (384, 10_000)):
        rows += _shared(width, items, quick)
    for width, arms in ((16, 100),) if quick else ((16, 1_000), (64, 1_000), (64, 10_000)):
        rows += _hybrid(width, arms, 3 if quick else 51)
    for arms in (1_000,) if quick else (1_000, 100_000, 1_000_000):
        rows += _thompson(arms, 3 if quick else 11)
    rows[0]["note"] += "; times are of the processor"
    if missing:
        rows[0]["note"] += f"; not measured here: {missing}"
    return rows


class Packed:
    """LinUCB with a model for each arm, all in float32, inverses as packed triangles: the layout in plain numpy."""

    def __init__(self, arms: int, width: int) -> None:
        self.upper = np.triu_indices(width)
        self.twice = np.where(self.upper[0] == self.upper[1], 1, 2).astype(np.float32)
        self.inverse = np.tile((self.twice == 1).astype(np.float32), (arms, 1))
        self.theta = np.zeros((arms, width), dtype=np.float32)

    def best(self, x: Singles) -> object:
        """The best arms of one context (d,)."""
        square = x[self.upper[0]] * x[self.upper[1]] * self.twice
        return _best(self.theta @ x + np.sqrt(self.inverse @ square))

    def best_of_many(self, x: Singles) -> object:
        """The best arms of contexts (n, d)."""
        squares = x[:, self.upper[0]] * x[:, self.upper[1]] * self.twice
        return _best_of_each(x @ self.theta.T + np.sqrt(squares @ self.inverse.T))

    def update(self, arm: int, x: Singles, reward: float) -> None:
        """Sherman and Morrison; BLAS's options by position, as ours are: that is half a microsecond quicker."""
        inverse, theta = self.inverse[arm], self.theta[arm]
        u = blas.sspmv(len(x), 1.0, inverse, x, 1, 0, 0.0, None, 1, 0, 1)
        share = 1 / (1 + x @ u)
        theta += u * ((reward - theta @ x) * share)
        blas.sspr(len(x), -share, u, inverse, 1, 0, 1, 1)


def _best(scores: NDArray[Any]) -> object:
    """The places of the best of scores (n,), in order."""
    top = scores.argpartition(-TOP)[-TOP:]
    return top.take((-scores.take(top)).argsort())


def _best_of_each(scores: NDArray[Any]) -> object:
    """The same of every line of scores (m, n)."""
    top = np.argpartition(scores, -TOP, axis=-1)[:, -TOP:]
    return np.take_along_axis(top, np.argsort(-np.take_along_axis(scores, top, -1), -1), -1)


class _Disjoint:
    """One size of LinUCB with a model for each arm: ours, plain numpy, and each library in its turn."""

    def __init__(self, width: int, arms: int, quick: bool) -> None:
        self.width, self.arms, self.quick = width, arms, quick
        rng = np.random.default_rng(5)
        count = max(_UPDATES, 2 * arms)
        self.x = rng.normal(size=(count, width)) / np.sqrt(width)
        self.arm = rng.permutation(np.arange(count) % arms)
        self.reward = (rng.random(count) < 0.3).astype(float)
        self.single = self.x.astype(np.float32)
        self.asked, self.numbers = np.arange(1, arms + 1), self.arm + 1
        self.numpy = Packed(arms, width)
        self._learn_packed(count)
        self._begin()

    def rows(self, names: list[str]) -> list[Row]:
        """The lines of this size."""
        x, single = self.x, self.single
        yes = np.ones(1, dtype=bool)

        def update(place: int) -> object:
            part = slice(place, place + 1)
            self.ours.learn(self.numbers[part], x[part], self.reward[part], yes)
            return self.ours.settle()

        def update_packed(place: int) -> object:
            return self.numpy.update(int(self.arm[place]), single[place], float(self.reward[place]))

        tasks: dict[str, tuple[Callable[[int], object], Callable[[int], object]]] = {
            f"best {TOP}": (self._ranked, lambda n: self.numpy.best(single[n])),
            f"best {TOP} for each of {_CONTEXTS} contexts": (
                lambda n: self._ranked_many(),
                lambda n: self.numpy.best_of_many(single[:_CONTEXTS]),
            ),
            "one update": (update, update_packed),
            f"{_UPDATES:,} updates": (
                lambda n: self._learn(_UPDATES),
                lambda n: self._learn_packed(_UPDATES),
            ),
        }
        name = f"LinUCB d = {self.width}, {self.arms:,} arms"
        rows = []
        for task, (ours, plain) in tasks.items():
            mine, theirs = medians([ours, plain], self._rounds(task), process_time)
            rows.append(
                row(f"{name}: {task}", mine * 1e3, theirs * 1e3, "ms", "beside packed float32 in numpy")
            )
        found = self._rivals(
            of(names, self.arms, self.width, _MOST), {task: each[0] for task, each in tasks.items()}
        )
        return rows + [self._beside(f"{name}: {task}", seconds) for task, seconds in found.items() if seconds]

    def _rivals(
        self, names: list[str], ours: dict[str, Callable[[int], object]]
    ) -> dict[str, dict[str, tuple[float, float]]]:
        """By task and library, the seconds of ours and of the library, taking turns."""
        found: dict[str, dict[str, tuple[float, float]]] = {task: {} for task in ours}
        for name in names:
            rival = RIVALS[name](self.arms, self.width)
            if name != WITHOUT_COVARIANCE:
                rival.learn(self.arm, self.x, self.reward)
            self._begin()
            for (task, mine), call in zip(ours.items(), self._calls(rival), strict=True):
                many = task.endswith("updates")
                if call is None or (many and name == WITHOUT_COVARIANCE):
                    continue
                found[task][name] = _both(mine, call, 1 if self.quick else 3, many or self.quick)
            del rival
            gc.collect()
        return found

    def _calls(self, rival: Rival) -> list[Callable[[int], object] | None]:
        many = rival.best_of_many
        return [
            lambda n: rival.best(self.x[n]),
            None if many is None else lambda n: many(self.x[:_CONTEXTS]),
            lambda n: rival.update(int(self.arm[n]), self.x[n], float(self.reward[n])),
            lambda n: rival.learn(self.arm[:_UPDATES], self.x[:_UPDATES], self.reward[:_UPDATES]),
        ]

    def _beside(self, name: str, seconds: dict[str, tuple[float, float]]) -> Row:
        """Ours beside the fastest library that keeps a covariance; all of them in the note."""
        keeping = {each: pair for each, pair in seconds.items() if each != WITHOUT_COVARIANCE}
        fastest = min(keeping, key=lambda each: keeping[each][1])
        mine, theirs = keeping[fastest]
        said = ", ".join(f"{each} {other / one:,.1f}" for each, (one, other) in seconds.items())
        return row(
            f"{name}: {fastest}", mine * 1e3, theirs * 1e3, "ms", f"the fastest library; times ours: {said}"
        )

    def _begin(self) -> None:
        self.ours = Disjoint(self.width, 1.0, self.arms)
        self._learn(len(self.x))

    def _rounds(self, task: str) -> int:
        if self.quick:
            return 3
        work = self.width**2 * self.arms * (_CONTEXTS if "contexts" in task else 1)
        if "update" in task:
            return 15 if task.endswith("updates") else 301
        return int(np.clip(3e9 / work, 5, 301))

    def _ranked(self, place: int) -> object:
        means, variances = self.ours.grid(self.asked, self.single[place : place + 1])
        return _best(means[0] + np.sqrt(variances[0]))

    def _ranked_many(self) -> object:
        means, variances = self.ours.grid(self.asked, self.single[:_CONTEXTS])
        return _best_of_each(means + np.sqrt(variances))

    def _learn(self, count: int) -> object:
        self.ours.learn(self.numbers[:count], self.x[:count], self.reward[:count], np.ones(count, dtype=bool))
        return self.ours.settle()

    def _learn_packed(self, count: int) -> object:
        updates = zip(
            self.arm[:count].tolist(), self.single[:count], self.reward[:count].tolist(), strict=True
        )
        for arm, x, reward in updates:
            self.numpy.update(arm, x, reward)
        return None


def _both(
    ours: Callable[[int], object], theirs: Callable[[int], object], rounds: int, one: bool
) -> tuple[float, float]:
    """The median seconds of ours and of a library's, taking turns of one call, or of some 20 ms (1 to 30 calls)."""
    calls = [ours, theirs]
    firsts = [min(seconds) for seconds in in_turns(calls, 1, 1 if one else 2, process_time)]
    each = [1 if one else int(np.clip(0.02 / max(first, 1e-6), 1, 30)) for first in firsts]
    mine, other = (float(np.median(seconds)) for seconds in in_turns(calls, rounds, each, process_time))
    return mine, other


def _ranker(width: int, items: int, rounds: int) -> list[Row]:
    """A whole `rank`, from the profile of a request to scores, beside the scores alone."""
    catalog = Catalog(ItemSchema({"title": "text"}))
    catalog.put([(f"item-{place}", {}) for place in range(items)])
    candidates = Candidates(catalog.snapshot(), np.arange(items))
    names = [f"u{place}" for place in range(width - 1)]
    policy = Ranker.model_validate({
        "mode": "disjoint",
        "features": [{"profile": name, "low": -1, "high": 1} for name in names],
    })  # fmt: skip
    size = _Disjoint(width, items, quick=True)
    state = size.ours.state()
    ids = candidates.ids.tolist()
    policy.load({**policy.state(), **state, "arms": ids, "sums": np.array([1e4, 3e3, -1.0])})
    rng = np.random.default_rng(6)
    profiles = rng.uniform(-1, 1, (512, width - 1))

    def ours(number: int) -> object:
        profile = dict(zip(names, profiles[number].tolist(), strict=True))
        return _best(np.atleast_2d(policy.rank(request(candidates, profile), candidates))[0])

    mine, plain = medians([ours, lambda n: size.numpy.best(size.single[n])], rounds, process_time)
    note = "features measured, memo, ties; beside packed float32 in numpy with the vector in hand"
    return [
        row(f"linucb.ranker, disjoint d = {width}, rank {items:,} items", mine * 1e3, plain * 1e3, "ms", note)
    ]


def _shared(width: int, items: int, quick: bool) -> list[Row]:
    """One model, and vectors of all candidates that come with the request."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(items, width)) / np.sqrt(width)
    reward = (rng.random(items) < 0.3).astype(float)
    single = x.astype(np.float32)
    ours = Shared(width, 1.0)
    yes = np.ones(items, dtype=bool)
    ours.learn(x, reward, yes)
    ours.settle()
    inverse = ours.ridge.inverse.whole().astype(np.float32)
    theta = ours.coefficients.copy()
    packed = Packed(1, width)

    def rank(_: int) -> object:
        spread = single @ ours.factor
        return _best(single @ ours.coefficients + np.sqrt(np.einsum("nd,nd->n", spread, spread)))

    def plain(_: int) -> object:
        return _best(single @ theta + np.sqrt(np.einsum("nd,nd->n", single @ inverse, single)))

    def update(n: int) -> object:
        ours.learn(x[n : n + 1], reward[n : n + 1], yes[:1])
        return ours.settle()

    rounds = 3 if quick else 301 if items * width < 1e5 else 31
    name = f"LinUCB shared, d = {width}"
    mine, theirs = medians([rank, plain], rounds, process_time)
    rows = [
        row(
            f"{name}, items scored",
            items / mine,
            items / theirs,
            "/s",
            f"beside float32 in numpy; {items:,} at once",
        )
    ]
    places = min(items - 1, 3 if quick else 999)
    mine, theirs = medians(
        [update, lambda n: packed.update(0, single[n], float(reward[n]))], places - 1, process_time
    )
    rows.append(row(f"{name}, one update", mine * 1e6, theirs * 1e6, "µs", "beside packed float32 in numpy"))
    return rows


def _hybrid(width: int, arms: int, rounds: int) -> list[Row]:
    """A shared model on vectors of the candidates, and one for each arm on the vector of the request."""
    rng = np.random.default_rng(8)
    z, x = (rng.normal(size=(arms, width)) / np.sqrt(width) for _ in range(2))
    reward = (rng.random(arms) < 0.3).astype(float)
    ours = Hybrid(width, width, 1.0)
    ours.reserve(arms)
    numbers, yes = np.arange(1, arms + 1), np.ones(arms, dtype=bool)
    ours.learn(numbers, z, x, reward, yes)
    ours.settle()
    singles = z.astype(np.float32), x.astype(np.float32)
    inverse = np.array([ours.arms.ridge(arm).inverse.whole() for arm in numbers.tolist()], dtype=np.float32)
    mixed = (x[:, :, None] * z[:, None, :]).astype(np.float32)
    b = (reward[:, None] * x).astype(np.float32)
    joint = ours.shared.ridge.inverse.whole().astype(np.float32)
    beta = ours.shared.coefficients.copy()

    def rank(n: int) -> object:
        means, variances = ours.estimates(numbers, singles[0], singles[1][n : n + 1])
        return _best(means + np.sqrt(variances))

    def plain(n: int) -> object:
        own = singles[1][n]
        u = (inverse.reshape(-1, width) @ own).reshape(arms, width)
        q = singles[0] - np.einsum("kij,ki->kj", mixed, u)
        means = q @ beta + np.einsum("kd,kd->k", u, b)
        return _best(means + np.sqrt(np.einsum("kd,kd->k", q @ joint, q) + u @ own))

    def update(n: int) -> object:
        part = slice(n, n + 1)
        ours.learn(numbers[part], z[part], x[part], reward[part], yes[part])
        return ours.settle()

    def update_plain(n: int) -> None:
        shared, own, r = singles[0][n], singles[1][n], np.float32(reward[n])
        u = inverse[n] @ own
        q, c, left = shared - u @ mixed[n], 1 + own @ u, r - u @ b[n]
        s = joint @ q
        share = 1 / (c + q @ s)
        beta[:] += s * ((left - q @ beta) * share)
        joint[:] -= np.outer(s, s * share)
        inverse[n] -= np.outer(u, u / c)
        mixed[n] += np.outer(own, shared)
        b[n] += r * own

    name = f"LinUCB hybrid, d = k = {width}, {arms:,} arms"
    note = "beside the rank-1 form in float32 numpy"
    mine, theirs = medians([rank, plain], rounds, process_time)
    rows = [row(f"{name}: best {TOP}", mine * 1e3, theirs * 1e3, "ms", note)]
    mine, theirs = medians([update, update_plain], min(6 * rounds, arms - 2), process_time)
    return [*rows, row(f"{name}: one update", mine * 1e6, theirs * 1e6, "µs", note)]


def _thompson(arms: int, rounds: int) -> list[Row]:
    """Draw for every arm from Beta posteriors and find the best; views ~ Poisson(100), click rates ~ Beta(1, 30)."""
    rng = np.random.default_rng(3)
    views = rng.poisson(100, arms)
    won = rng.binomial(views, rng.beta(1, 30, arms)).astype(float)
    lost = views - won
    ids = [f"item-{place:07}" for place in range(arms)]
    catalog = Catalog(ItemSchema({"title": "text"}))
    catalog.put([(identity, {}) for identity in ids])
    candidates = Candidates(catalog.snapshot(), np.arange(arms))
    policy = Thompson()
    counts = {"item_won": won, "item_lost": lost}
    state = {name: np.concatenate(([0.0], count)) for name, count in counts.items()}
    policy.load({**policy.state(), "item_ids": ids, **state})
    context = request(candidates, {})

    def ours(_: int) -> object:
        return _best(policy.rank(context, candidates)[0])

    name = f"Thompson, {arms:,} arms: best {TOP}"
    mine, plain = medians([ours, lambda n: _best(rng.beta(1 + won, 1 + lost))], rounds, process_time)
    rows = [row(name, mine * 1e3, plain * 1e3, "ms", "beside Generator.beta")]
    for label, (module, made, most) in _BETA.items():
        if find_spec(module) and arms <= most:
            mine, theirs = _both(ours, made(arms), 3, arms > 1_000)
            rows.append(row(f"{name}: {label}", mine * 1e3, theirs * 1e3, "ms", f"beside {label}"))
    return rows


def _mabwiser(arms: int) -> Callable[[int], object]:
    mab: Any = import_module("mabwiser.mab")
    bandit = mab.MAB(list(range(arms)), mab.LearningPolicy.ThompsonSampling(), seed=1)
    bandit.fit(list(range(arms)), [1] * arms)

    def best(_: int) -> object:
        draws = bandit.predict_expectations()
        return sorted(draws, key=draws.__getitem__, reverse=True)[:TOP]

    return best


def _river(arms: int) -> Callable[[int], object]:
    """Gives the best arm alone; no ranking."""
    policy: Any = import_module("river.bandit").ThompsonSampling(
        reward_obj=import_module("river.proba").Beta(), seed=1
    )
    for arm in range(arms):
        policy.update(arm, 1)
    numbers = list(range(arms))
    return lambda _: policy.pull(numbers)


def _obp(arms: int) -> Callable[[int], object]:
    policy = obp_policies("contextfree").BernoulliTS(n_actions=arms, len_list=TOP, random_state=1)
    return lambda _: policy.select_action()


_BETA: dict[str, tuple[str, Callable[[int], Callable[[int], object]], int]] = {
    "MABWiser": ("mabwiser", _mabwiser, 100_000),
    "river": ("river", _river, 100_000),
    "OBP": ("obp", _obp, 1_000_000),
}
"""Beta posteriors: module, how it is made, and how many arms at most: with more, two of them take gigabytes."""


def request(candidates: Candidates, profile: dict[str, Any], seed: int = 1) -> Context:
    """A request about candidates, with one draw."""
    return Context(
        domain="bench",
        user="ann",
        slate="bench",
        now=1_700_000_000.0,
        size=TOP,
        draws=1,
        seed=seed,
        catalog=candidates.catalog,
        history=Candidates(candidates.catalog, np.empty(0, dtype=np.intp)),
        feedback=Feedback(),
        profile=profile,
        situation={},
    )
