"""Regret of the linear bandits with their defaults, beside the libraries' formulas with the best constant in hindsight.

A world has K arms whose mean rewards are linear in x = [1, u]: m_k(x) = b_k (1 + w_k·u), u and w_k uniform on the
sphere. Every step a policy sees x, chooses an arm, gets its reward and learns at once. Regret is the sum of
max_k m_k(x) - m_chosen(x), in rewards as shares from 0 to 1. All policies of a seed see the same contexts and luck.

Beside ours: LinUCB and linear Thompson sampling as papers and libraries have them (MABWiser, OBP, contextualbandits,
coba: bonus α √(xᵀA⁻¹x), draws of deviation v √(xᵀA⁻¹x), λ = 1), in numpy, for each constant of a grid; the best of them
is the one of least mean regret on these very seeds. The seeds are none of those that our defaults were chosen on.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats
from tastemaker.core import Candidates, Catalog, ItemSchema, Outcomes
from tastemaker.policies.linucb import Ranker, Thompson

from .policies import request
from .rivals import RIVALS, installed
from .rows import Floats, Row, row

_FIRST = 2_000
_ALPHAS = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
_VS = (0.01, 0.03, 0.05, 0.1, 0.15, 0.25, 0.4)
_LIBRARIES = {"river": 1.0, "contextualbandits": 0.35}
"""With their constants: river's is fixed, the other's was tuned on this world, on other seeds."""


@dataclass(frozen=True)
class World:
    """noise: the deviation of Gaussian rewards as shares, clipped to 0..1; 0 for rewards of 0 or 1.

    scale: what a share of 0 and of 1 is as a reward. libraries: whether those installed are measured, too.
    """

    name: str
    arms: int
    width: int
    steps: int
    rates: tuple[float, float] = (0.2, 0.5)
    noise: float = 0.0
    scale: tuple[float, float] = (0.0, 1.0)
    libraries: bool = False

    def drawn(self, seed: int) -> tuple[Floats, Floats, Floats]:
        """Contexts (steps, d), mean rewards (steps, K), and the luck of every step and arm as thresholds."""
        rng = np.random.default_rng(seed)
        w = rng.normal(size=(self.arms, self.width - 1))
        u = rng.normal(size=(self.steps, self.width - 1))
        w /= np.linalg.norm(w, axis=1, keepdims=True)
        u /= np.linalg.norm(u, axis=1, keepdims=True)
        means = rng.uniform(*self.rates, self.arms) * (1 + u @ w.T)
        luck = rng.standard_normal(self.steps) if self.noise else rng.random(self.steps)
        return np.concatenate((np.ones((self.steps, 1)), u), axis=1), means, luck

    def reward(self, mean: Any, luck: Any) -> Any:
        """The reward as a share."""
        return np.clip(mean + self.noise * luck, 0, 1) if self.noise else (luck < mean).astype(float)


WORLDS = (
    World("50 arms, d = 16, rewards 0 or 1", 50, 16, 20_000, libraries=True),
    World("10 arms, d = 6, rewards 0 or 1", 10, 6, 5_000),
    World("50 arms, d = 16, Gaussian rewards, sd 2 in -5..10", 50, 16, 5_000, noise=2 / 15, scale=(-5, 10)),
    World("20 arms, d = 8, 1 % rewarded", 20, 8, 20_000, rates=(0.005, 0.015)),
)


def run(quick: bool) -> list[Row]:
    if quick:
        return _rows(World("5 arms, d = 4", 5, 4, 150), 2, [])
    names = installed()[0]
    return [each for world in WORLDS for each in _rows(world, 10, names if world.libraries else [])]


def _rows(world: World, seeds: int, names: list[str]) -> list[Row]:
    bound = float(np.sqrt(3 / (world.width - 1)))  # so that the features are spread to deviation 1
    features = [{"profile": f"u{n}", "low": -bound, "high": bound} for n in range(world.width - 1)]
    low, high = world.scale
    options = {"mode": "disjoint", "features": features, "low": low, "high": high}
    numbers = range(_FIRST, _FIRST + seeds)
    plain = _plain(world, numbers)
    best = min(plain, key=lambda each: float(plain[each].mean()))
    found: dict[str, Floats] = {
        f"linucb.{label}": np.array([_regret(world, kind.model_validate(options), seed) for seed in numbers])
        for label, kind in (("ranker", Ranker), ("thompson", Thompson))
    }
    for name, alpha in _LIBRARIES.items():
        if name in names:
            found[name] = np.array([_library(world, name, alpha, seed) for seed in numbers])
    chance = np.array(
        [float((m.max(axis=1) - m.mean(axis=1)).sum()) for _, m, _ in map(world.drawn, numbers)]
    )
    rows = []
    for name, regret in found.items():
        apart = _interval(regret - plain[best])
        note = f"{_said(regret)}; beside the best in hindsight, {best}: {_said(plain[best])}; apart {apart}"
        rows.append(
            row(f"regret, {world.name}: {name}", float(regret.mean()), float(plain[best].mean()), "", note)
        )
    rows[0]["note"] += f"; random {chance.mean():,.0f}; {seeds} seeds, {world.steps:,} steps"
    return rows


def _interval(values: Floats) -> str:
    half = float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return f"{values.mean():+,.0f} ± {half:,.0f}"


def _said(values: Floats) -> str:
    return _interval(values).lstrip("+")


def _regret(world: World, policy: Ranker | Thompson, seed: int) -> float:
    """One run of the real policy: `rank`, a reward, `learn`."""
    contexts, means, luck = world.drawn(seed)
    catalog = Catalog(ItemSchema({"title": "text"}))
    catalog.put([(f"i{arm}", {}) for arm in range(world.arms)])
    snapshot = catalog.snapshot()
    names = [f"u{place}" for place in range(world.width - 1)]
    lost, (low, high) = 0.0, world.scale
    yes, one = np.ones(1, dtype=bool), np.ones(1)
    for step, (x, mean) in enumerate(zip(contexts, means, strict=True)):
        candidates = Candidates(snapshot, np.arange(world.arms))
        context = request(candidates, dict(zip(names, x[1:].tolist(), strict=True)), seed=step)
        arm = int(np.atleast_2d(policy.rank(context, candidates))[0].argmax())
        lost += float(mean.max() - mean[arm])
        reward = np.array([low + (high - low) * float(world.reward(mean[arm], luck[step]))])
        memo = {**context.memo, **{name: column[arm] for name, column in candidates.memo.items()}}
        policy.learn(
            Outcomes(
                users=["ann"],
                items=[f"i{arm}"],
                slates=["s"],
                reward=reward,
                total=reward,
                first=yes,
                propensity=one,
                position=np.zeros(1, dtype=np.int32),
                time=one,
                situations=[{}],
                memos=[memo],
            )
        )
    return lost


def _library(world: World, name: str, alpha: float, seed: int) -> float:
    contexts, means, luck = world.drawn(seed)
    rival = RIVALS[name](world.arms, world.width, alpha)
    lost = 0.0
    for x, mean, chance in zip(contexts, means, luck.tolist(), strict=True):
        arm = int(np.ravel(np.asarray(rival.best(x)))[0])
        lost += float(mean.max() - mean[arm])
        rival.update(arm, x, float(world.reward(mean[arm], chance)))
    return lost


def _plain(world: World, seeds: range) -> dict[str, Floats]:
    """Regrets (seeds,) of LinUCB and linear Thompson sampling by constant, all seeds and constants at once."""
    drawn = [world.drawn(seed) for seed in seeds]
    contexts, means, luck = (np.stack(parts, axis=1) for parts in zip(*drawn, strict=True))
    policies = [f"LinUCB α = {alpha:g}" for alpha in _ALPHAS] + [f"LinTS v = {v:g}" for v in _VS]
    constants = np.array([*_ALPHAS, *_VS])[None, :, None]
    sampling = np.arange(len(policies)) >= len(_ALPHAS)
    shape = (len(seeds), len(policies), world.arms)
    inverse = np.tile(np.eye(world.width), (*shape, 1, 1))
    theta = np.zeros((*shape, world.width))
    regret = np.zeros(shape[:2])
    place = np.ogrid[: shape[0], : shape[1]]

    def flat(models: Floats) -> Floats:
        """The models of a seed below each other, so that one product gives all, shape (seeds, rows, width)."""
        return models.reshape(len(seeds), -1, world.width)

    rng = np.random.default_rng(_FIRST)
    for step in range(world.steps):
        x = contexts[step][:, :, None]
        solved = np.matmul(flat(inverse), x).reshape(*shape, world.width)
        mean, variance = (np.matmul(flat(each), x).reshape(shape) for each in (theta, solved))
        width = constants * np.sqrt(np.maximum(variance, 0))
        width[:, sampling] *= rng.standard_normal((shape[0], int(sampling.sum()), shape[2]))
        # Ties are broken at random.
        arm = (mean + width + 1e-9 * rng.random(shape)).argmax(axis=2)
        here = (*place, arm)
        worth = means[step][place[0], arm]
        regret += means[step].max(axis=1)[:, None] - worth
        reward = world.reward(worth, luck[step][:, None])
        u, share = solved[here], 1 / (1 + variance[here])[..., None]
        theta[here] += u * (reward - mean[here])[..., None] * share
        inverse[here] -= u[..., :, None] * u[..., None, :] * share[..., None]
    return dict(zip(policies, regret.T, strict=True))
