"""Linear bandits: the scores are those of the papers, the draws are draws from the posterior, and it learns."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError
from tastemaker.core import (
    Candidates,
    Catalog,
    CatalogSnapshot,
    ConfigError,
    Context,
    Feedback,
    Interaction,
    ItemSchema,
    Outcomes,
    Request,
)
from tastemaker.core.agent import state_digest
from tastemaker.core.clock import ManualClock
from tastemaker.core.config import load
from tastemaker.core.conformance import check_component
from tastemaker.core.learning.packing import pack, unpack
from tastemaker.core.orchestrator import Orchestrator
from tastemaker.policies.linucb import Ranker, Thompson

DAY = 86_400.0
NOW = 1_700_000_000.0
FIELDS: Any = {"size": "number", "price": "number", "kind": "category"}
ITEM_FEATURES = [{"number": "size"}, {"number": "price"}, {"words": "kind", "among": ["a", "b"]}]
USER_FEATURES = [{"profile": f"u{place}", "low": -1, "high": 1} for place in range(3)]
SINGLE = 1e-5  # estimates are served in float32
EVERY_FORM = [
    ("shared", {"features": [*ITEM_FEATURES, *USER_FEATURES]}),
    ("disjoint", {"features": USER_FEATURES}),
    ("disjoint", {"features": [*ITEM_FEATURES, *USER_FEATURES], "arms": "kind"}),
    ("hybrid", {"features": [*ITEM_FEATURES, *USER_FEATURES]}),
]
THOMPSONS = [options | {"mode": mode} for mode, options in EVERY_FORM if mode != "hybrid"]


def catalog_of(count: int, seed: int = 0) -> CatalogSnapshot:
    rng = np.random.default_rng(seed)
    catalog = Catalog(ItemSchema(FIELDS))
    catalog.put([
        (f"i{place}", {"size": float(rng.normal()), "price": float(rng.random()), "kind": "abc"[place % 3]})
        for place in range(count)
    ])  # fmt: skip
    return catalog.snapshot()


def context_of(
    catalog: CatalogSnapshot, *, draws: int = 1, seed: int = 1, profile: Mapping[str, Any] | None = None
) -> Context:
    return Context(
        domain="shop", user="ann", slate="s", now=NOW, size=5, draws=draws, seed=seed, catalog=catalog,
        history=Candidates(catalog, np.empty(0, dtype=np.intp)), feedback=Feedback(),
        profile=profile or {}, situation={}, step="policies.taste",
    )  # fmt: skip


def ranked(
    policy: Any, catalog: CatalogSnapshot, rows: Sequence[int] | None = None, **context: Any
) -> tuple[NDArray[np.float64], list[dict[str, Any]]]:
    """Scores of items, and the memo that each would come back with."""
    asked = context_of(catalog, **context)
    candidates = Candidates(catalog, np.arange(len(catalog)) if rows is None else np.array(rows))
    scores = policy.rank(asked, candidates)
    columns = {name: column.tolist() for name, column in candidates.memo.items()}
    memos = [
        asked.memo | {name: column[place] for name, column in columns.items()}
        for place in range(len(candidates))
    ]
    return scores, memos


def outcomes_of(
    items: Sequence[int],
    memos: Sequence[Mapping[str, Any]],
    reward: Sequence[float],
    *,
    first: Sequence[bool] | None = None,
    total: Sequence[float] | None = None,
    time: Sequence[float] | None = None,
) -> Outcomes:
    count = len(items)
    return Outcomes(
        users=["ann"] * count,
        items=[f"i{item}" for item in items],
        slates=["s"] * count,
        reward=np.array(reward, dtype=np.float64),
        total=np.array(reward if total is None else total, dtype=np.float64),
        first=np.array([True] * count if first is None else first, dtype=np.bool_),
        propensity=np.ones(count),
        position=np.zeros(count, dtype=np.int32),
        time=np.array([NOW] * count if time is None else time, dtype=np.float64),
        situations=[{}] * count,
        memos=list(memos),
    )


def part(outcomes: Outcomes, start: int, stop: int) -> Outcomes:
    cut = {name: getattr(outcomes, name)[start:stop] for name in Outcomes.__dataclass_fields__}
    return Outcomes(**cut)


def history_of(policy: Any, count: int, seed: int = 0, items: int = 12, days: float = 0.0) -> Outcomes:
    """Outcomes of chance, of requests by users of chance; a fifth are corrections of the one before."""
    catalog, rng = catalog_of(items), np.random.default_rng(seed)
    shown, memos, rewards, firsts, totals = [], [], [], [], []
    for step in range(count):
        if step % 5 == 4:
            reward = float(rng.random()) - 0.5
            shown.append(shown[-1])
            memos.append(memos[-1])
            totals.append(totals[-1] + reward)
        else:
            item = int(rng.integers(items - 2))  # two remain that nobody tried
            profile = {f"u{place}": float(rng.uniform(-1, 1)) for place in range(3)}
            reward = float(rng.random())
            shown.append(item)
            memos.append(ranked(policy, catalog, [item], profile=profile)[1][0])
            totals.append(reward)
        rewards.append(reward)
        firsts.append(step % 5 != 4)
    time = (NOW + np.sort(rng.uniform(0, days, count)) * DAY).tolist()
    return outcomes_of(shown, memos, rewards, first=firsts, total=totals, time=time)


def vectors(memos: Sequence[Mapping[str, Any]], features: int) -> NDArray[np.float64]:
    """The vectors that the docs promise: a constant, and the logged features divided by √m."""
    logged = np.array([memo["x"] for memo in memos], dtype=np.float64) / 1024 / np.sqrt(features)
    return np.concatenate((np.ones((len(memos), 1)), logged), axis=1)


def scales(noise: float, size: float, prior: float, x: Any, width: Any) -> Any:
    """√((1 - ρ²) σ² + ρ² τ²), ρ = λ xᵀA⁻¹x / |x|², as the docs promise."""
    unknown = prior * np.asarray(width) ** 2 / np.sum(np.asarray(x) ** 2, axis=-1)
    return np.sqrt((1 - unknown**2) * noise**2 + unknown**2 * size**2)


def size_of(reward: NDArray[np.float64]) -> float:
    return float(np.sqrt((reward @ reward + 0.25) / (len(reward) + 1)))


class Reference:
    """Ridge regression by the book, of all final totals at once."""

    def __init__(self, x: NDArray[np.float64], reward: NDArray[np.float64], prior: float) -> None:
        self.inverse = np.linalg.inv(prior * np.eye(x.shape[1]) + x.T @ x)
        self.theta = self.inverse @ x.T @ reward
        self.left = reward @ reward - reward @ x @ self.theta

    def mean(self, x: NDArray[np.float64]) -> Any:
        return x @ self.theta

    def width(self, x: NDArray[np.float64]) -> Any:
        return np.sqrt(np.einsum("nd,de,ne->n", x, self.inverse, x))


def final(outcomes: Outcomes) -> tuple[list[int], NDArray[np.float64]]:
    """Places of first outcomes, and the total of each once all corrections were in."""
    places = np.flatnonzero(outcomes.first).tolist()
    ends = [*places[1:], len(outcomes)]
    return places, np.clip([outcomes.total[end - 1] for end in ends], 0, 1)


@pytest.mark.parametrize("prior", [0.2, 1.0, 8.0])
class TestScores:
    def test_shared_is_mean_and_bonus_of_one_ridge(self, prior: float) -> None:
        options = {"features": [*ITEM_FEATURES, *USER_FEATURES], "prior": prior, "alpha": 1.5}
        policy = Ranker(**options)
        outcomes = history_of(policy, 120)
        policy.learn(outcomes)
        places, reward = final(outcomes)
        reference = Reference(vectors([outcomes.memos[place] for place in places], 6), reward, prior)
        noise = np.sqrt((reference.left + 0.25) / (len(places) + 1))
        assert policy.noise == pytest.approx(noise, rel=1e-9)
        scores, memos = ranked(policy, catalog_of(12), profile={"u0": 0.3, "u2": -0.9})
        x = vectors(memos, 6)
        width = reference.width(x)
        bonus = 1.5 * width * scales(noise, size_of(reward), prior, x, width)
        np.testing.assert_allclose(scores, reference.mean(x) + bonus, rtol=SINGLE)

    @pytest.mark.parametrize("by", [None, "kind"])
    def test_disjoint_is_one_ridge_for_each_arm(self, prior: float, by: str | None) -> None:
        features = USER_FEATURES if by is None else [*ITEM_FEATURES, *USER_FEATURES]
        policy = Ranker(mode="disjoint", features=features, arms=by, prior=prior, alpha=1.5)
        outcomes = history_of(policy, 150)
        policy.learn(outcomes)
        catalog = catalog_of(12)
        places, reward = final(outcomes)
        x = vectors([outcomes.memos[place] for place in places], len(features))

        def arm(item: str) -> str:
            return item if by is None else str(catalog.item(catalog.row(item))[by])

        arms = np.array([arm(outcomes.items[place]) for place in places])
        left = sum(Reference(x[arms == one], reward[arms == one], prior).left for one in set(arms))
        noise = np.sqrt((left + 0.25) / (len(places) + 1))
        scores, memos = ranked(policy, catalog, profile={"u1": 0.8})
        asked = vectors(memos, len(features))
        for row, score in enumerate(np.atleast_2d(scores)[0]):
            mine = arms == arm(f"i{row}")
            reference = Reference(x[mine], reward[mine], prior)
            probe = asked[row : row + 1]
            width = reference.width(probe)
            bonus = 1.5 * width * scales(noise, size_of(reward), prior, probe, width)
            wanted = reference.mean(probe) + bonus
            # Up to what breaks the tie between the two items that nobody tried.
            assert score == pytest.approx(wanted[0], rel=SINGLE, abs=2e-6)

    def test_what_nobody_tried_gets_the_bonus_of_the_prior(self, prior: float) -> None:
        # MABWiser: λI where I/λ belongs.
        policy = Ranker(mode="disjoint", features=USER_FEATURES, prior=prior, alpha=1.0)
        policy.learn(history_of(policy, 100))
        scores, memos = ranked(policy, catalog_of(12), [11], profile={"u0": 0.5})
        length = np.linalg.norm(vectors(memos, 3))
        assert np.ravel(scores)[0] == pytest.approx(policy.size * length / np.sqrt(prior), rel=SINGLE)

    def test_hybrid_is_one_joint_ridge_of_shared_and_own_columns(self, prior: float) -> None:
        policy = Ranker(mode="hybrid", features=[*ITEM_FEATURES, *USER_FEATURES], prior=prior, alpha=1.5)
        outcomes = history_of(policy, 150)
        policy.learn(outcomes)
        places, reward = final(outcomes)

        def joint(memos: Sequence[Mapping[str, Any]], items: Sequence[str]) -> NDArray[np.float64]:
            z = vectors(memos, 6)
            own = z[:, [0, 5, 6, 7]]  # the constant and what the profile says
            blocks = np.zeros((len(items), 12, 4))
            blocks[np.arange(len(items)), [int(item[1:]) for item in items]] = own
            return np.concatenate((z, blocks.reshape(len(items), 48)), axis=1)

        x = joint([outcomes.memos[place] for place in places], [outcomes.items[place] for place in places])
        reference = Reference(x, reward, prior)
        noise = np.sqrt((reference.left + 0.25) / (len(places) + 1))
        assert policy.noise == pytest.approx(noise, rel=1e-8)
        scores, memos = ranked(policy, catalog_of(12), profile={"u1": 0.8})
        probe = joint(memos, [f"i{row}" for row in range(12)])
        width = reference.width(probe)
        bonus = 1.5 * width * scales(noise, size_of(reward), prior, probe, width)
        np.testing.assert_allclose(scores, reference.mean(probe) + bonus, rtol=SINGLE)


class TestTies:
    def test_they_are_broken_at_random_and_every_draw_knows_it(self) -> None:
        policy = Ranker(mode="disjoint", features=USER_FEATURES)
        scores, _ = ranked(policy, catalog_of(6), draws=600)
        assert scores.shape == (600, 6)
        assert np.ptp(scores) < 3e-6
        counts = np.bincount(scores.argmax(axis=1), minlength=6)
        assert abs(counts - 100).max() < 4.5 * np.sqrt(600 * 5 / 36)

    def test_without_ties_there_is_one_line_of_scores(self) -> None:
        policy = Ranker(features=[{"number": "size"}])
        memos = ranked(policy, catalog_of(6))[1]
        policy.learn(outcomes_of([0], memos[:1], [1.0]))
        assert ranked(policy, catalog_of(6), draws=8)[0].shape == (6,)


class TestDraws:
    """MABWiser's draws are the same in all arms; those of contextualbandits grow with the data."""

    def learned(self, **options: Any) -> Thompson:
        policy = Thompson(**options)
        policy.learn(history_of(policy, 200))
        return policy

    def test_shared_draws_have_the_deviation_and_correlation_of_the_posterior(self) -> None:
        policy = self.learned(features=[*ITEM_FEATURES, *USER_FEATURES], v=2.0)
        outcomes = history_of(policy, 200)
        places, reward = final(outcomes)
        reference = Reference(vectors([outcomes.memos[place] for place in places], 6), reward, 1.0)
        scores, memos = ranked(policy, catalog_of(12), draws=40_000, profile={"u0": 0.9})
        x = vectors(memos, 6)
        scale = 2.0 * scales(policy.noise, policy.size, 1.0, x, reference.width(x))
        covariance = np.outer(scale, scale) * (x @ reference.inverse @ x.T)
        deviation = np.sqrt(np.diag(covariance))
        error = deviation / np.sqrt(40_000)
        assert (abs(scores.mean(axis=0) - reference.mean(x)) < 4.5 * error).all()
        np.testing.assert_allclose(scores.std(axis=0), deviation, rtol=4.5 / np.sqrt(2 * 40_000))
        wanted = covariance / np.outer(deviation, deviation)
        found = np.corrcoef(scores.T)
        assert abs(found - wanted).max() < 4.5 / np.sqrt(40_000)
        assert wanted[~np.eye(12, dtype=bool)].max() > 0.5

    def test_items_with_models_of_their_own_are_drawn_independently(self) -> None:
        policy = self.learned(mode="disjoint", features=USER_FEATURES, v=2.0)
        scores, memos = ranked(policy, catalog_of(12), draws=20_000, profile={"u0": 0.9})
        outcomes = history_of(policy, 200)
        places, reward = final(outcomes)
        x = vectors([outcomes.memos[place] for place in places], 3)
        items = np.array([outcomes.items[place] for place in places])
        for row in range(12):
            mine = items == f"i{row}"
            reference = Reference(x[mine], reward[mine], 1.0)
            probe = vectors(memos, 3)[:1]
            width = reference.width(probe)
            deviation = 2.0 * float((width * scales(policy.noise, policy.size, 1.0, probe, width))[0])
            assert abs(scores[:, row].mean() - reference.mean(probe)[0]) < 4.5 * deviation / np.sqrt(20_000)
            assert scores[:, row].std() == pytest.approx(deviation, rel=4.5 / np.sqrt(2 * 20_000))
        found = np.corrcoef(scores.T)
        assert abs(found[~np.eye(12, dtype=bool)]).max() < 4.5 / np.sqrt(20_000)

    def test_items_of_one_arm_share_its_draw(self) -> None:
        policy = self.learned(mode="disjoint", features=[*ITEM_FEATURES, *USER_FEATURES], arms="kind")
        scores, memos = ranked(policy, catalog_of(12), draws=20_000)
        outcomes = history_of(policy, 200)
        places, reward = final(outcomes)
        x, asked = vectors([outcomes.memos[place] for place in places], 6), vectors(memos, 6)
        kinds = np.array([int(outcomes.items[place][1:]) % 3 for place in places])
        for kind in range(3):
            reference = Reference(x[kinds == kind], reward[kinds == kind], 1.0)
            mine = asked[kind::3]
            scale = policy.v * scales(policy.noise, policy.size, 1.0, mine, reference.width(mine))
            covariance = np.outer(scale, scale) * (mine @ reference.inverse @ mine.T)
            deviation = np.sqrt(np.diag(covariance))
            found = np.cov(scores[:, kind::3].T)
            assert (abs(found - covariance) < 6 * np.outer(deviation, deviation) / np.sqrt(20_000)).all()
        found = np.corrcoef(scores.T)
        apart = np.arange(12)[:, None] % 3 != np.arange(12)[None, :] % 3
        assert abs(found[apart]).max() < 4.5 / np.sqrt(20_000)

    @pytest.mark.parametrize("mode", ["shared", "disjoint"])
    def test_an_item_comes_first_as_often_as_draws_from_the_dense_posterior_say(self, mode: Any) -> None:
        # Propensities are counted from these draws.
        features = [*ITEM_FEATURES, *USER_FEATURES] if mode == "shared" else USER_FEATURES
        policy = self.learned(mode=mode, features=features, v=1.0)
        count, profile = 30_000, {"u0": 0.9}
        scores, memos = ranked(policy, catalog_of(12), draws=count, profile=profile)
        outcomes = history_of(policy, 200)
        places, reward = final(outcomes)
        x = vectors([outcomes.memos[place] for place in places], len(features))
        asked, rng = vectors(memos, len(features)), np.random.default_rng(8)
        if mode == "shared":
            reference = Reference(x, reward, 1.0)
            theta = rng.multivariate_normal(np.zeros(x.shape[1]), reference.inverse, count)
            drawn = theta @ asked.T * scales(policy.noise, policy.size, 1.0, asked, reference.width(asked))
            drawn += reference.mean(asked)
        else:
            items, columns = np.array([outcomes.items[place] for place in places]), []
            for row in range(12):
                mine, probe = items == f"i{row}", asked[row : row + 1]
                reference = Reference(x[mine], reward[mine], 1.0)
                theta = rng.multivariate_normal(np.zeros(x.shape[1]), reference.inverse, count)
                width = scales(policy.noise, policy.size, 1.0, probe, reference.width(probe))
                columns.append(reference.mean(probe) + theta @ probe[0] * width)
            drawn = np.stack(columns, axis=1)
        found, wanted = (np.bincount(each.argmax(axis=1), minlength=12) / count for each in (scores, drawn))
        error = np.sqrt((found * (1 - found) + wanted * (1 - wanted)) / count + 1e-9)
        assert (np.abs(found - wanted) < 4.5 * error).all()
        assert (wanted > 0.02).sum() >= 3

    def test_values_that_nobody_tried_have_a_draw_each(self) -> None:
        policy = Thompson(mode="disjoint", features=ITEM_FEATURES, arms="kind")
        found = np.corrcoef(ranked(policy, catalog_of(12), draws=5_000)[0].T)
        assert abs(found[0, [1, 2, 4, 5]]).max() < 4.5 / np.sqrt(5_000)
        assert found[0, 3] > 0.3

    def test_the_draws_follow_from_the_seed_of_the_slate(self) -> None:
        for options in THOMPSONS:
            policy = self.learned(**options)
            first = ranked(policy, catalog_of(9), draws=3, seed=5)[0]
            assert ranked(policy, catalog_of(9), draws=3, seed=5)[0].tobytes() == first.tobytes()
            assert ranked(policy, catalog_of(9), draws=3, seed=6)[0].tobytes() != first.tobytes()


class TestLearning:
    @pytest.mark.parametrize(("mode", "options"), EVERY_FORM)
    @settings(max_examples=10, deadline=None)
    @given(cuts=st.sets(st.integers(1, 119)), discount=st.sampled_from([1.0, 0.9, 0.2]))
    def test_however_the_log_is_cut_the_same_bits_come_out(
        self, mode: Any, options: dict[str, Any], cuts: set[int], discount: float
    ) -> None:
        outcomes = history_of(Ranker(mode=mode, **options, discount=discount), 120, days=9)

        def taught(ends: Sequence[int]) -> tuple[bytes, bytes]:
            policy = Ranker(mode=mode, **options, discount=discount)
            for start, end in zip([0, *ends], [*ends, 120], strict=True):
                policy.learn(part(outcomes, start, end))
            return pack(policy.state()), np.ascontiguousarray(ranked(policy, catalog_of(12))[0]).tobytes()

        assert taught(sorted(cuts)) == taught([])

    def test_a_count_that_has_faded_grows_by_the_same_bits_however_the_log_is_cut(self) -> None:
        options: dict[str, Any] = {"features": ITEM_FEATURES, "discount": 0.9}
        step = -DAY / np.log2(0.9) / 20
        memo = history_of(Ranker(**options), 1, days=1).memos[0]
        for fading in range(1, 60):
            time = [0.0] + [(fading + 0.5) * step] * 6
            outcomes = outcomes_of([1] * 7, [memo] * 7, [1.0] * 7, time=time)
            whole, single = Ranker(**options), Ranker(**options)
            whole.learn(outcomes)
            for place in range(7):
                single.learn(part(outcomes, place, place + 1))
            assert pack(whole.state()) == pack(single.state()), fading

    @pytest.mark.parametrize("discount", [0.9, 0.3])
    def test_evidence_that_is_t_days_old_counts_d_to_the_t(self, discount: float) -> None:
        policy = Ranker(features=ITEM_FEATURES, discount=discount)
        outcomes = history_of(policy, 100, days=8)
        policy.learn(outcomes)
        # In steps of a twentieth of the half-life, so that at most half a step of error is seen either way.
        step = -1 / np.log2(discount) / 20
        number = np.floor(outcomes.time / DAY / step)
        weight = 2.0 ** ((number - number[-1]) / 20)
        exact = discount ** ((outcomes.time[-1] - outcomes.time) / DAY)
        assert abs(np.log2(weight / exact)).max() <= 1 / 20
        x = vectors(outcomes.memos, 3)
        share = np.clip(outcomes.total, 0, 1)
        before = np.where(outcomes.first, 0, np.clip(outcomes.total - outcomes.reward, 0, 1))
        counted = weight * outcomes.first
        a = np.eye(x.shape[1]) + (x * counted[:, None]).T @ x
        b = x.T @ (weight * (share - before))
        scores, memos = ranked(policy, catalog_of(12))
        probe = vectors(memos, 3)
        left = weight @ (share**2 - before**2) - b @ np.linalg.solve(a, b)
        noise = np.sqrt((left + 0.25) / (counted.sum() + 1))
        width = np.sqrt(np.einsum("nd,de,ne->n", probe, np.linalg.inv(a), probe))
        size = np.sqrt((weight @ (share**2 - before**2) + 0.25) / (counted.sum() + 1))
        bonus = policy.alpha * width * scales(noise, size, 1.0, probe, width)
        wanted = probe @ np.linalg.solve(a, b) + bonus
        np.testing.assert_allclose(np.atleast_2d(scores)[0], wanted, rtol=SINGLE)

    def test_rewards_count_by_their_share_between_low_and_high(self) -> None:
        plain, scaled = Ranker(features=ITEM_FEATURES), Ranker(features=ITEM_FEATURES, low=-5, high=10)
        memos = ranked(plain, catalog_of(4))[1]
        plain.learn(outcomes_of([0, 1, 2], memos[:3], [0.0, 1.0, 0.2]))
        scaled.learn(outcomes_of([0, 1, 2], memos[:3], [-7.0, 12.0, -2.0]))
        assert pack(plain.state()) == pack(scaled.state())

    def test_what_came_without_its_features_or_with_others_is_passed_over(self) -> None:
        for mode, options in EVERY_FORM:
            policy = Ranker(mode=mode, **options)
            memos = ranked(policy, catalog_of(3))[1]
            before = pack(policy.state())
            strange = [{}, {**memos[0], "x": None}, {**memos[1], "features": "others"}]
            policy.learn(outcomes_of([0, 1, 2], strange, [1.0, 1.0, 1.0]))
            assert pack(policy.state()) == before

    def test_the_noise_is_that_of_the_rewards_whatever_their_size(self) -> None:
        rng = np.random.default_rng(0)
        for size in (0.1, 0.4):
            policy = Ranker(features=ITEM_FEATURES)
            memos = ranked(policy, catalog_of(12))[1]
            items = rng.integers(0, 12, 4000).tolist()
            rewards = 0.5 + size * rng.uniform(-1, 1, 4000)
            policy.learn(outcomes_of(items, [memos[item] for item in items], rewards.tolist()))
            assert policy.noise == pytest.approx(size / np.sqrt(3), rel=0.06)
            assert policy.size == pytest.approx(np.sqrt(0.25 + size**2 / 3), rel=0.02)


class TestStates:
    @pytest.mark.parametrize("kind", [Ranker, Thompson])
    @pytest.mark.parametrize(("mode", "options"), EVERY_FORM)
    def test_a_state_makes_another_the_same(self, kind: Any, mode: Any, options: dict[str, Any]) -> None:
        if kind is Thompson and mode == "hybrid":
            return
        policy = kind(mode=mode, **options)
        outcomes = history_of(policy, 300)
        policy.learn(part(outcomes, 0, 250))
        other = kind(mode=mode, **options)
        other.load(unpack(pack(policy.state())))
        catalog = catalog_of(12)
        for _ in range(2):
            assert pack(other.state()) == pack(policy.state())
            one, two = (ranked(each, catalog, draws=4)[0] for each in (policy, other))
            assert one.tobytes() == two.tobytes()
            for each in (policy, other):
                each.learn(part(outcomes, 250, 300))

    @pytest.mark.parametrize(("mode", "options"), EVERY_FORM)
    def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(
        self, mode: Any, options: dict[str, Any]
    ) -> None:
        policy = Ranker(mode=mode, **options)
        policy.learn(history_of(policy, 200))
        before = pack(policy.state())
        fine = unpack(before)
        wrong: list[dict[str, Any]] = [{k: v for k, v in fine.items() if k != name} for name in fine]
        for name, value in fine.items():
            if isinstance(value, np.ndarray):
                wrong += [{**fine, name: value[:-1]}, {**fine, name: value[None]}, {**fine, name: "rubbish"}]
                if value.dtype.kind == "f" and value.size:
                    wrong.append({**fine, name: np.full_like(value, np.nan)})
        name = "shared" if mode == "shared" else "arm"
        wrong += [
            {**fine, "schema": "shared, 3 columns"},
            {**fine, "arms": [*fine["arms"], "more"]} if mode != "shared" else {**fine, "arms": [7]},
            {**fine, "arms": ["one", "one"]},
            {**fine, f"{name}_summed": fine[f"{name}_summed"] + 1000},
            {**fine, f"{name}_sums": -1e6 * np.ones_like(fine[f"{name}_sums"])},
            {**fine, f"{name}_fresh": 2 * np.ones_like(fine[f"{name}_fresh"])},
            {**fine, f"{name}_waiting": np.roll(fine[f"{name}_waiting"], 1)},
            {**fine, "sums": np.array([-1.0, 0.0, 0.0])},
        ]
        for state in wrong:
            if pack(state) == before:
                continue  # where there was nothing to change
            with pytest.raises(ValueError, match=r"\w"):
                policy.load(state)
            assert pack(policy.state()) == before

    def test_a_state_of_other_features_says_so(self) -> None:
        policy = Ranker(features=ITEM_FEATURES)
        other = Ranker(features=USER_FEATURES)
        with pytest.raises(ValueError, match="another mode or other features"):
            other.load(policy.state())

    def test_it_says_in_words_what_it_knows(self) -> None:
        policy = Ranker(mode="hybrid", features=[*ITEM_FEATURES, *USER_FEATURES])
        assert policy.explain("i0", {}) == ""
        memo = ranked(policy, catalog_of(12))[1][0]
        assert policy.explain("i0", memo).endswith(": little is known of this kind")
        policy.learn(outcomes_of([0] * 200, [memo] * 200, [0.5] * 200))
        said = policy.explain("i0", memo)
        assert said.startswith("θ·x = 0.50, bonus 0.0")
        assert said.endswith(": much is known of this kind")
        assert policy.explain("i0", {**memo, "x": None}) == ""
        assert policy.explain("", memo) == ""
        thompson = Thompson(features=ITEM_FEATURES)
        memo = ranked(thompson, catalog_of(12))[1][0]
        assert thompson.explain("i0", memo).startswith("θ·x = 0.00 ± 0.")


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"low": 1, "high": 1}, "low must be below high"),
            ({"mode": "shared", "arms": "kind"}, "a shared model has no arms"),
            ({"features": [{"embedding": 256}, {"words": "kind", "width": 256}]}, "513 columns.*at most 512"),
            (
                {"mode": "disjoint", "arms": "kind", "features": [{"embedding": 200}]},
                "own with 201 columns, and may have at most 128",
            ),
            ({"features": [{"number": "size"}, {"number": "size"}]}, "declared twice"),
            ({"features": [{"cross": ["size", "kind"]}]}, "the features to be crossed are"),
            ({"mode": "joint"}, "Input should be"),
            ({"prior": 0}, "greater than"),
            ({"alpha": -1}, "greater than"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, options: dict[str, Any], said: str) -> None:
        with pytest.raises(ValidationError, match=said):
            Ranker(**options)

    def test_thompson_has_no_hybrid(self) -> None:
        with pytest.raises(ValidationError, match="Input should be 'shared' or 'disjoint'"):
            Thompson(mode="hybrid")

    @pytest.mark.parametrize(("mode", "options"), EVERY_FORM)
    def test_every_form_keeps_the_contract(self, mode: Any, options: dict[str, Any]) -> None:
        fields: Any = {"size": "number", "kind": "category"}
        for discount in (1.0, 0.5):
            chosen = {**options, "mode": mode, "discount": discount}
            assert check_component(Ranker, fields=fields, quiet=True, **chosen) > 100
            if mode != "hybrid":
                assert check_component(Thompson, fields=fields, quiet=True, **chosen) > 100


class TestRegret:
    """K arms, p_k(x) = b_k (1 + w_k·u), u on the sphere: exactly linear, rewards 0 or 1."""

    arms, size, rounds = 10, 5, 1500

    def world(self, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        rng = np.random.default_rng(seed)
        w = rng.normal(size=(self.arms, self.size))
        w /= np.linalg.norm(w, axis=1, keepdims=True)
        u = rng.normal(size=(self.rounds, self.size))
        u /= np.linalg.norm(u, axis=1, keepdims=True)
        return (
            u,
            rng.uniform(0.2, 0.5, self.arms) * (1 + u @ w.T),
            rng.random(self.rounds),
        )

    def regret(self, policy: Any, seed: int) -> float:
        u, p, luck = self.world(seed)
        catalog, lost = catalog_of(self.arms), 0.0
        for step in range(self.rounds):
            profile = {f"u{place}": value for place, value in enumerate(u[step].tolist())}
            scores, memos = ranked(policy, catalog, profile=profile, seed=step)
            item = int(np.atleast_2d(scores)[0].argmax())
            lost += p[step].max() - p[step, item]
            policy.learn(outcomes_of([item], [memos[item]], [float(luck[step] < p[step, item])]))
        return lost

    def plain(self, alpha: float, seed: int) -> float:
        """LinUCB as the paper has it, with an alpha that somebody has to tune."""
        u, p, luck = self.world(seed)
        x = np.concatenate((np.ones((self.rounds, 1)), u), axis=1)
        inverse = np.tile(np.eye(self.size + 1), (self.arms, 1, 1))
        b = np.zeros((self.arms, self.size + 1))
        lost = 0.0
        for step in range(self.rounds):
            solved = inverse @ x[step]
            item = int((np.einsum("kd,kd->k", solved, b) + alpha * np.sqrt(solved @ x[step])).argmax())
            lost += p[step].max() - p[step, item]
            b[item] += float(luck[step] < p[step, item]) * x[step]
            inverse[item] -= np.outer(solved[item], solved[item]) / (1 + solved[item] @ x[step])
        return lost

    @pytest.mark.parametrize(("kind", "slack"), [(Ranker, 1.05), (Thompson, 1.5)])
    def test_untuned_it_stands_beside_plain_linucb_tuned_to_this_very_world(
        self, kind: Any, slack: float
    ) -> None:
        bound = float(np.sqrt(3 / self.size))  # so that the features are spread to deviation 1
        features = [{"profile": f"u{place}", "low": -bound, "high": bound} for place in range(self.size)]
        seeds = range(4)
        mine = [self.regret(kind(mode="disjoint", features=features), seed) for seed in seeds]
        tuned = min(
            ([self.plain(alpha, seed) for seed in seeds] for alpha in (0.1, 0.2, 0.35, 0.5, 1.0)),
            key=lambda each: float(np.mean(each)),
        )
        chance = [float((p.max(axis=1) - p.mean(axis=1)).sum()) for _, p, _ in map(self.world, seeds)]
        noise = np.sqrt(np.var(mine, ddof=1) / 4 + np.var(tuned, ddof=1) / 4)
        assert np.mean(mine) < slack * np.mean(tuned) + 2 * noise
        assert np.mean(mine) < 0.4 * np.mean(chance)

    @pytest.mark.parametrize("kind", [Ranker, Thompson])
    def test_rewards_of_little_noise_leave_no_good_arm_untried(self, kind: Any) -> None:
        # A bonus of the size of the noise alone would stay with the first arm that is worth more than the bonus.
        bound = float(np.sqrt(3 / self.size))
        features = [{"profile": f"u{place}", "low": -bound, "high": bound} for place in range(self.size)]
        lost, chance = 0.0, 0.0
        for seed in range(3):
            u, p, luck = self.world(seed)
            policy = kind(mode="disjoint", features=features, low=-5, high=10)
            catalog = catalog_of(self.arms)
            for step in range(500):
                profile = {f"u{place}": value for place, value in enumerate(u[step].tolist())}
                scores, memos = ranked(policy, catalog, profile=profile, seed=step)
                item = int(np.atleast_2d(scores)[0].argmax())
                lost += p[step].max() - p[step, item]
                chance += p[step].max() - p[step].mean()
                share = p[step, item] + 0.02 * (luck[step] - 0.5)
                policy.learn(outcomes_of([item], [memos[item]], [15 * share - 5]))
        assert lost < 0.22 * chance


SHOP = """
version: 1
store: sqlite:///{folder}/store.db
domains:
  shop:
    extends: products
    policies:
      taste: {{enabled: false}}
      linear:
        use: linucb.{component}
        weight: 1
        high: 3
        mode: {mode}
        features:
          - {{embedding: 8}}
          - {{number: price}}
          - {{flag: available}}
          - {{words: category, width: 16}}
          - {{profile: interests}}
          - {{situation: mood, among: [calm, party]}}
          - {{cross: [price, situation.mood]}}
    slate: {{explore: 0, diversity: 0, max_per: {{}}, deadline_ms: 20000}}
"""


def shop(folder: Path, component: str, mode: str) -> Any:
    path = folder / "config.yaml"
    path.write_text(SHOP.format(folder=folder, component=component, mode=mode))
    return load(path)


@pytest.mark.parametrize(
    ("component", "mode"),
    [("ranker", "shared"), ("ranker", "disjoint"), ("ranker", "hybrid"), ("thompson", "shared")],
)
def test_a_real_shop_learns_and_a_replay_of_its_log_comes_to_the_same(
    tmp_path: Path, component: str, mode: str
) -> None:
    clock = ManualClock(NOW)
    wanted = {"early": 0, "late": 0}

    def dear(snapshot: CatalogSnapshot, item: str) -> bool:
        prices = snapshot.column("price")
        return bool(prices[snapshot.row(item)] >= np.nanquantile(prices[snapshot.live], 0.6))

    async def turn(orchestrator: Orchestrator, number: int) -> None:
        """Somebody puts whatever is dear into the cart, and an hour later the window closes."""
        request = Request(f"user-{number % 6}", situation={"mood": "calm" if number % 2 else "party"})
        slate = await orchestrator.recommend("shop", request)
        assert not slate.degraded
        clock.advance(10)
        snapshot = orchestrator.agent("shop").catalog.snapshot()
        taken = [pick.item for pick in slate.picks if dear(snapshot, pick.item)]
        wanted["early"] += len(taken) * (number == 0)
        wanted["late"] += len(taken) * (number >= 25)
        deeds = [
            Interaction(f"{number} {item}", "shop", request.user, item, "cart", clock(), slate=slate.id)
            for item in taken
        ]
        await orchestrator.record(deeds)
        clock.advance(2 * 3600)
        orchestrator.learn()

    async def life() -> None:
        async with Orchestrator(shop(tmp_path, component, mode), clock=clock, follow=False) as orchestrator:
            for number in range(30):
                await turn(orchestrator, number)
            policy, fold = orchestrator.agent("shop").policies["linear"], orchestrator.folds["shop"]
            slate = await orchestrator.recommend("shop", Request("ann"))
            assert policy.component.explain(slate.picks[0].item, slate.memo_of("linear", 0)).startswith(
                "θ·x = "
            )
            orchestrator.learn()
            digest = state_digest(policy.state())
            entries = orchestrator.store.read(0, limit=10_000)
            fold.forget()
            assert state_digest(policy.state()) != digest
            for start in range(0, len(entries), 17):
                piece = entries[start : start + 17]
                fold.take(piece, piece[-1].position)
            assert state_digest(policy.state()) == digest

    asyncio.run(life())
    # Of 12 in the first slate, and of 60 in the last five; two in five items are dear.
    assert wanted["early"] <= 9
    assert wanted["late"] >= 50


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("{use: linucb.ranker, features: [{number: prize}]}", "'prize', which is no field of the items; did you mean"),
        ("{use: linucb.ranker, features: [{number: title}]}", "needs a field of the type number"),
        ("{use: linucb.ranker, features: [{wods: tags}]}", "no key is called 'wods'"),
        ("{use: linucb.ranker, features: [{number: price, flag: available}]}", "this has number and flag"),
        ("{use: linucb.ranker, mode: disjoint, arms: tags}", "'tags' is tags, and must be a category"),
        ("{use: linucb.ranker, mode: both}", "must be 'shared', 'disjoint' or 'hybrid'"),
        ("{use: linucb.ranker, low: 2}", "low must be below high, not 2 and 1"),
        ("{use: linucb.thompson, alpha: 1}", "has no option 'alpha'"),
    ],
)  # fmt: skip
def test_a_config_that_makes_no_sense_is_told_what_would(tmp_path: Path, options: str, said: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        f"version: 1\ndomains:\n  shop:\n    extends: products\n    policies: {{linear: {options}}}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert said in str(caught.value)
    assert "config.yaml:5:" in str(caught.value)
