"""Thompson sampling: the posterior is the closed form, and the draws are draws from it."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy import stats
from tastemaker.core import Candidates, Catalog, CatalogSnapshot, Context, Feedback, ItemSchema, Outcomes
from tastemaker.core.conformance import check_component
from tastemaker.core.learning.packing import pack, unpack
from tastemaker.policies.thompson import Ranker, _Belief

DAY = 86_400.0
NOW = 1_700_000_000.0


def catalog_of(count: int) -> CatalogSnapshot:
    catalog = Catalog(ItemSchema({}))
    catalog.put([(f"i{place}", {}) for place in range(count)])
    return catalog.snapshot()


def context_of(
    catalog: CatalogSnapshot, draws: int = 1, seed: int = 1, user: str = "ann", now: float = NOW
) -> Context:
    nothing = Candidates(catalog, np.empty(0, dtype=np.intp))
    return Context(
        domain="books", user=user, slate="s", now=now, size=5, draws=draws, seed=seed, catalog=catalog,
        history=nothing, feedback=Feedback(), profile={}, situation={}, step="policies.taste",
    )  # fmt: skip


def outcomes_of(
    items: Sequence[int],
    reward: Sequence[float],
    *,
    users: Sequence[str] | None = None,
    time: Sequence[float] | None = None,
    first: Sequence[bool] | None = None,
    total: Sequence[float] | None = None,
) -> Outcomes:
    count = len(items)
    return Outcomes(
        users=["ann"] * count if users is None else list(users),
        items=[f"i{item}" for item in items],
        slates=["s"] * count,
        reward=np.array(reward, dtype=np.float64),
        total=np.array(reward if total is None else total, dtype=np.float64),
        first=np.array([True] * count if first is None else first, dtype=np.bool_),
        propensity=np.ones(count),
        position=np.zeros(count, dtype=np.int32),
        time=np.array([NOW] * count if time is None else time, dtype=np.float64),
        situations=[{}] * count,
        memos=[{}] * count,
    )


def draws_of(ranker: Ranker, catalog: CatalogSnapshot, draws: int, **context: Any) -> NDArray[np.float64]:
    everything = Candidates(catalog, np.arange(len(catalog)))
    return np.asarray(ranker.rank(context_of(catalog, draws, **context), everything))


def assert_beta(drawn: NDArray[np.float64], alpha: float, beta: float) -> None:
    """Mean and variance within 4.5 standard errors; Kolmogorov–Smirnov at one in a hundred thousand."""
    law = stats.beta(alpha, beta)
    count = len(drawn)
    assert abs(drawn.mean() - law.mean()) <= 4.5 * law.std() / np.sqrt(count)
    fourth = (
        law.moment(4)
        - 4 * law.mean() * law.moment(3)
        + 6 * law.mean() ** 2 * law.moment(2)
        - 3 * law.mean() ** 4
    )
    assert abs(drawn.var() - law.var()) <= 4.5 * np.sqrt((fourth - law.var() ** 2) / count) + 1e-9
    assert stats.kstest(drawn, law.cdf).pvalue > 1e-5


class TestThePosterior:
    def test_it_is_the_beta_of_successes_and_failures(self) -> None:
        rng = np.random.default_rng(0)
        items = rng.integers(0, 4, 200)
        won = rng.random(200) < np.array([0.1, 0.5, 0.9, 0.3])[items]
        ranker = Ranker(successes=2.0, failures=3.0)
        ranker.learn(outcomes_of(items.tolist(), won.astype(float).tolist()))
        drawn = draws_of(ranker, catalog_of(5), 20_000)
        assert drawn.shape == (20_000, 5)
        for item in range(5):
            mine = won[items == item]
            assert_beta(drawn[:, item], 2 + mine.sum(), 3 + (~mine).sum())

    def test_items_that_nobody_tried_are_drawn_from_the_prior(self) -> None:
        ranker = Ranker(successes=0.5, failures=4.0)
        drawn = draws_of(ranker, catalog_of(2), 20_000)
        assert_beta(drawn[:, 0], 0.5, 4.0)
        ranker.learn(outcomes_of([0] * 50, [1.0] * 50))
        assert_beta(draws_of(ranker, catalog_of(2), 20_000)[:, 1], 0.5, 4.0)

    @settings(max_examples=50, deadline=None)
    @given(
        st.lists(st.floats(-10, 10), min_size=1, max_size=20),
        st.floats(-5, 0),
        st.floats(0.5, 5),
    )
    def test_a_reward_counts_as_a_fraction_of_a_success(
        self, rewards: list[float], low: float, high: float
    ) -> None:
        ranker = Ranker(low=low, high=high)
        ranker.learn(outcomes_of([0] * len(rewards), rewards))
        share = np.clip((np.array(rewards) - low) / (high - low), 0, 1)
        state = ranker.state()
        assert state["item_won"][1] == pytest.approx(share.sum(), abs=1e-9)
        assert state["item_won"][1] + state["item_lost"][1] == pytest.approx(len(rewards))
        catalog = catalog_of(1)
        mean = ranker.means(Candidates(catalog, np.arange(1)), NOW)[0]
        assert mean == pytest.approx((1 + share.sum()) / (2 + len(rewards)))

    def test_no_two_items_share_their_draws(self) -> None:
        # MABWiser's LinTS gives arms copies of one generator: correlations of 0.75 to 1.
        ranker = Ranker()
        ranker.learn(outcomes_of([0, 1, 2] * 20, [1.0] * 30 + [0.0] * 30))
        drawn = draws_of(ranker, catalog_of(8), 4000)
        correlation = np.corrcoef(drawn.T)
        assert np.abs(correlation[~np.eye(8, dtype=bool)]).max() < 4.5 / np.sqrt(4000)
        assert np.abs(np.corrcoef(drawn[:-1, 0], drawn[1:, 0])[0, 1]) < 4.5 / np.sqrt(4000)

    def test_the_draws_follow_from_the_seed_of_the_slate(self) -> None:
        ranker, catalog = Ranker(), catalog_of(6)
        first = draws_of(ranker, catalog, 3, seed=5)
        assert draws_of(ranker, catalog, 3, seed=5).tobytes() == first.tobytes()
        assert draws_of(ranker, catalog, 3, seed=6).tobytes() != first.tobytes()


ENTRIES = st.lists(st.tuples(st.integers(0, 3), st.floats(-3, 3), st.booleans()), min_size=1, max_size=25)


class TestCorrections:
    @settings(max_examples=60, deadline=None)
    @given(ENTRIES)
    def test_a_corrected_outcome_counts_as_if_its_total_had_been_known_at_once(
        self, steps: list[tuple[int, float, bool]]
    ) -> None:
        totals: dict[tuple[int, int], float] = {}
        entry_of: dict[int, int] = {}
        items, rewards, firsts, running = [], [], [], []
        for number, (item, reward, again) in enumerate(steps):
            first = not (again and item in entry_of)
            if first:
                entry_of[item] = number
            key = (item, entry_of[item])
            totals[key] = totals.get(key, 0.0) + reward
            items.append(item)
            rewards.append(reward)
            firsts.append(first)
            running.append(totals[key])
        corrected, at_once = Ranker(low=-1, high=1), Ranker(low=-1, high=1)
        corrected.learn(outcomes_of(items, rewards, first=firsts, total=running))
        at_once.learn(outcomes_of([item for item, _ in totals], list(totals.values())))
        for ranker in (corrected, at_once):
            assert sum(ranker.state()["item_won"]) + sum(ranker.state()["item_lost"]) == pytest.approx(
                len(totals)
            )
        assert corrected.state()["item_ids"] == at_once.state()["item_ids"]
        np.testing.assert_allclose(corrected.state()["item_won"], at_once.state()["item_won"], atol=1e-9)
        np.testing.assert_allclose(corrected.state()["item_lost"], at_once.state()["item_lost"], atol=1e-9)

    def test_counts_never_fall_below_nothing(self) -> None:
        ranker = Ranker(discount=0.5)
        ranker.learn(outcomes_of([0], [1.0], time=[NOW]))
        ranker.learn(outcomes_of([0], [-1.0], first=[False], total=[0.0], time=[NOW + 3 * DAY]))
        drawn = draws_of(ranker, catalog_of(1), 100, now=NOW + 3 * DAY)
        assert np.isfinite(drawn).all()
        assert ((drawn >= 0) & (drawn <= 1)).all()


class TestDiscount:
    @pytest.mark.parametrize("discount", [0.999, 0.9, 0.5, 0.01])
    def test_evidence_that_is_t_days_old_counts_d_to_the_t(self, discount: float) -> None:
        rng = np.random.default_rng(1)
        days = np.sort(rng.uniform(0, 8, 60))
        items, rewards = rng.integers(0, 3, 60), rng.random(60)
        ranker = Ranker(discount=discount)
        ranker.learn(outcomes_of(items.tolist(), rewards.tolist(), time=(NOW + days * DAY).tolist()))
        now = NOW + 10 * DAY
        weight = discount ** (10 - days)
        catalog = catalog_of(3)
        means = ranker.means(Candidates(catalog, np.arange(3)), now)
        for item in range(3):
            mine = items == item
            won, lost = (weight * rewards)[mine].sum(), (weight * (1 - rewards))[mine].sum()
            assert means[item] == pytest.approx((1 + won) / (2 + won + lost), rel=1e-9)
        drawn = draws_of(ranker, catalog, 10_000, now=now)
        mine = items == 0
        assert_beta(drawn[:, 0], 1 + (weight * rewards)[mine].sum(), 1 + (weight * (1 - rewards))[mine].sum())

    def test_years_of_it_change_nothing(self) -> None:
        # The origin of the weights moves many times on the way.
        rng = np.random.default_rng(2)
        days = np.sort(rng.uniform(0, 5000, 300))
        rewards = rng.random(300)
        ranker = Ranker(discount=0.5)
        ranker.learn(outcomes_of([0] * 300, rewards.tolist(), time=(NOW + days * DAY).tolist()))
        weight = 0.5 ** (days[-1] - days)
        won, lost = (weight * rewards).sum(), (weight * (1 - rewards)).sum()
        mean = ranker.means(Candidates(catalog_of(1), np.arange(1)), NOW + days[-1] * DAY)[0]
        assert mean == pytest.approx((1 + won) / (2 + won + lost), rel=1e-9)

    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(
            st.tuples(st.integers(0, 2), st.floats(0, 1), st.sampled_from([0.0, 0.1, 40.0, 400.0])),
            max_size=30,
        ),
        st.sets(st.integers(1, 29)),
        st.sampled_from([1.0, 0.97, 0.3]),
        st.sampled_from(["global", "user", "both"]),
    )
    def test_however_the_log_is_cut_the_same_bits_come_out(
        self, steps: list[tuple[int, float, float]], cuts: set[int], discount: float, scope: Any
    ) -> None:
        items, rewards = [step[0] for step in steps], [step[1] for step in steps]
        times = (NOW + np.cumsum([step[2] for step in steps]) * DAY).tolist()
        users = [f"u{place % 2}" for place in range(len(steps))]

        def taught(cuts: Sequence[int]) -> bytes:
            ranker = Ranker(discount=discount, scope=scope)
            for start, stop in zip([0, *cuts], [*cuts, len(steps)], strict=True):
                piece = slice(start, stop)
                ranker.learn(outcomes_of(items[piece], rewards[piece], users=users[piece], time=times[piece]))
            return pack(ranker.state())

        assert taught(sorted(cut for cut in cuts if cut < len(steps))) == taught([])


class TestScopes:
    def learned(self, **options: Any) -> Ranker:
        ranker = Ranker(**options)
        users = ["ann"] * 10 + ["eve"] * 30
        ranker.learn(outcomes_of([0] * 40, [1.0] * 10 + [0.0] * 30, users=users))
        return ranker

    def test_user_knows_only_ones_own(self) -> None:
        ranker, catalog = self.learned(scope="user"), catalog_of(1)
        assert_beta(draws_of(ranker, catalog, 20_000)[:, 0], 11, 1)
        assert_beta(draws_of(ranker, catalog, 20_000, user="eve")[:, 0], 1, 31)
        assert_beta(draws_of(ranker, catalog, 20_000, user="tom")[:, 0], 1, 1)

    def test_both_starts_from_the_community(self) -> None:
        ranker, catalog = self.learned(scope="both", strength=5.0), catalog_of(2)
        drawn = draws_of(ranker, catalog, 20_000)[:, 0]
        rng = np.random.default_rng(9)
        community = rng.beta(11, 31, 200_000)
        wanted = rng.beta(5 * community + 10, 5 * (1 - community))
        assert stats.ks_2samp(drawn, wanted).pvalue > 1e-5
        # Whoever did nothing yet has the community's view.
        assert_beta(draws_of(ranker, catalog, 20_000, user="tom")[:, 0], 11, 31)
        assert_beta(draws_of(ranker, catalog, 20_000, user="tom")[:, 1], 1, 1)

    def test_users_and_items_with_odd_names_stay_apart(self) -> None:
        ranker = Ranker(scope="user")
        ranker.learn(outcomes_of([0], [1.0], users=["a\nb"]))
        assert len(ranker.state()["user_ids"]) == 1
        assert_beta(draws_of(ranker, catalog_of(1), 5000, user="a")[:, 0], 1, 1)


def gaussian_reference(
    share: NDArray[np.float64], kappa: float, mean: float, variance: float
) -> tuple[float, float, float, float]:
    """Weight, mean, shape and rate after the outcomes one after the other (Murphy 2007, equations 85 to 89)."""
    m, k, a, b = mean, kappa, kappa / 2, kappa * variance / 2
    for x in share:
        b += k * (x - m) ** 2 / (2 * (k + 1))
        m = (k * m + x) / (k + 1)
        k += 1
        a += 0.5
    return k, m, a, b


class TestGaussian:
    def test_the_draws_are_those_of_the_normal_inverse_gamma(self) -> None:
        rng = np.random.default_rng(3)
        rewards = rng.normal(4.0, 2.0, 30)
        ranker = Ranker(rewards="gaussian", low=-5, high=10, successes=1, failures=3)
        ranker.learn(outcomes_of([0] * 30, rewards.tolist()))
        drawn = draws_of(ranker, catalog_of(2), 20_000)
        k, m, a, b = gaussian_reference((rewards + 5) / 15, 4.0, 0.25, 0.25 * 0.75)
        law = stats.t(2 * a, loc=m, scale=np.sqrt(b / (a * k)))
        assert stats.kstest(drawn[:, 0], law.cdf).pvalue > 1e-4
        untried = stats.t(4.0, loc=0.25, scale=np.sqrt(0.25 * 0.75 / 4))
        assert stats.kstest(drawn[:, 1], untried.cdf).pvalue > 1e-4

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.floats(-50, 50), min_size=1, max_size=20),
        st.floats(0.1, 20),
        st.floats(0.1, 20),
    )
    def test_its_sums_give_what_one_by_one_gives(
        self, rewards: list[float], successes: float, failures: float
    ) -> None:
        ranker = Ranker(rewards="gaussian", low=-10, high=10, successes=successes, failures=failures)
        ranker.learn(outcomes_of([0] * len(rewards), rewards))
        sums = np.array([ranker.state()[f"item_{name}"][1] for name in ("won", "lost", "squares")])
        found = _Belief(successes, failures).given(sums)
        kappa, mean = successes + failures, successes / (successes + failures)
        expected = gaussian_reference((np.array(rewards) + 10) / 20, kappa, mean, mean * (1 - mean))
        assert [float(each) for each in found] == pytest.approx(expected, rel=1e-6, abs=1e-9)

    def test_rewards_beyond_the_range_count_in_full(self) -> None:
        ranker, catalog = Ranker(rewards="gaussian"), catalog_of(2)
        ranker.learn(outcomes_of([0, 1] * 20, [3.0, 1.0] * 20))
        mean = ranker.means(Candidates(catalog, np.arange(2)), NOW)
        assert mean == pytest.approx([(1 + 60) / 22, 21 / 22])
        assert (draws_of(ranker, catalog, 500)[:, 0] > 1.5).all()

    def test_one_who_differs_is_believed_by_and_by(self) -> None:
        ranker, catalog = Ranker(rewards="gaussian", scope="both", strength=10), catalog_of(1)
        crowd = [f"u{number}" for number in range(200)]
        ranker.learn(outcomes_of([0] * 200, [0.2] * 100 + [0.4] * 100, users=crowd))
        means = []
        for _ in range(4):
            means.append(float(draws_of(ranker, catalog, 8000).mean()))
            ranker.learn(outcomes_of([0] * 10, [2.0] * 10))
        community = (1 + 60) / 202
        assert means[0] == pytest.approx(community, abs=0.02)
        # After n outcomes of 2.0 of one's own: (10 · community + 2 n) / (10 + n), which the crowd sees a little, too.
        expected = [(10 * community + 20 * n) / (10 + 10 * n) for n in range(4)]
        assert means[1:] == pytest.approx(expected[1:], abs=0.1)

    @pytest.mark.parametrize("scope", ["global", "user", "both"])
    def test_it_keeps_the_contract(self, scope: Any) -> None:
        assert check_component(Ranker(rewards="gaussian", scope=scope, discount=0.9)) > 20


class TestDelay:
    """Feedback that comes late: Chapelle & Li 2011, section 4.3, found draws to suffer little."""

    def regret(self, delay: int, seed: int) -> float:
        worth = np.array([0.5, 0.45, 0.4, 0.35, 0.3, 0.3, 0.25, 0.2, 0.2, 0.1])
        rng, catalog = np.random.default_rng(seed), catalog_of(len(worth))
        everything = Candidates(catalog, np.arange(len(worth)))
        ranker, lost = Ranker(), 0.0
        waiting: list[tuple[int, float]] = []
        for step in range(3000):
            drawn = np.asarray(ranker.rank(context_of(catalog, seed=1000 * seed + step), everything))
            choice = int(drawn[0].argmax())
            lost += worth.max() - worth[choice]
            waiting.append((choice, float(rng.random() < worth[choice])))
            if len(waiting) > delay:
                item, reward = waiting.pop(0)
                ranker.learn(outcomes_of([item], [reward]))
        return lost

    def test_it_costs_little_more_than_the_wait(self) -> None:
        prompt, late = (np.mean([self.regret(delay, seed) for seed in range(3)]) for delay in (0, 300))
        random = 3000 * (0.5 - 0.305)
        assert prompt < 0.25 * random
        # While it waits it chooses at random, as who begins: that is the price, and about all of it.
        assert late < prompt + 1.5 * 300 * (0.5 - 0.305)

    @given(st.permutations(list(range(8))))
    def test_the_order_in_which_it_comes_changes_nothing(self, order: list[int]) -> None:
        items, rewards = [0, 1, 0, 2, 1, 0, 2, 2], [1.0, 0.5, 0.0, 0.25, 1.0, 0.75, 0.0, 1.0]
        plain, mixed = Ranker(), Ranker()
        plain.learn(outcomes_of(items, rewards))
        mixed.learn(outcomes_of([items[n] for n in order], [rewards[n] for n in order]))
        ids = [mixed.state()["item_ids"].index(name) for name in plain.state()["item_ids"]]
        for column in ("item_won", "item_lost"):
            assert mixed.state()[column][1:][ids] == pytest.approx(plain.state()[column][1:])


class TestStates:
    @pytest.mark.parametrize("scope", ["global", "user", "both"])
    def test_a_state_makes_another_the_same(self, scope: Any) -> None:
        ranker = Ranker(scope=scope, discount=0.9)
        times = (NOW + np.arange(30) * DAY).tolist()
        ranker.learn(outcomes_of(list(range(10)) * 3, np.linspace(0, 1, 30).tolist(), time=times))
        other = Ranker(scope=scope, discount=0.9)
        other.load(unpack(pack(ranker.state())))
        assert pack(other.state()) == pack(ranker.state())
        catalog = catalog_of(12)
        assert draws_of(other, catalog, 4).tobytes() == draws_of(ranker, catalog, 4).tobytes()
        for each in (ranker, other):
            each.learn(outcomes_of([3, 11], [1.0, 0.0], time=[NOW + 40 * DAY] * 2))
        assert pack(other.state()) == pack(ranker.state())

    @pytest.mark.parametrize(
        "change",
        [
            lambda state: state.pop("item_won"),
            lambda state: state.pop("user_times"),
            lambda state: state.update(item_won=np.zeros(7)),
            lambda state: state.update(item_lost=np.full(3, np.nan)),
            lambda state: state.update(item_ids=["only one"]),
            lambda state: state.update(item_times=np.zeros(3)),
            lambda state: state.update(user_won=np.array([np.inf])),
            lambda state: state.update(item_won=["a", "b", "c"]),
        ],
    )
    def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(
        self, change: Callable[[Any], Any]
    ) -> None:
        ranker = Ranker()
        ranker.learn(outcomes_of([0, 1], [1.0, 0.0]))
        before = pack(ranker.state())
        state = {
            name: value if isinstance(value, list) else value.copy() for name, value in ranker.state().items()
        }
        change(state)
        with pytest.raises(ValueError, match=r"^the state has|^item: |^user: |could not convert"):
            ranker.load(state)
        assert pack(ranker.state()) == before

    def test_it_says_in_words_what_it_knows(self) -> None:
        ranker = Ranker()
        assert "prior" in ranker.explain("i0", {})
        ranker.learn(outcomes_of([0] * 4, [1.0, 1.0, 1.0, 0.0]))
        assert ranker.explain("i0", {}) == "3.0 successes and 1.0 failures so far: worth about 0.67"


class TestOptions:
    @pytest.mark.parametrize(
        "options",
        [
            {"low": 1, "high": 1},
            {"low": 2, "high": 1},
            {"discount": 0},
            {"discount": 1.1},
            {"successes": 0},
            {"scope": "all"},
            {"priors": 1},
            {"high": float("inf")},
        ],
    )
    def test_what_makes_no_sense_is_refused(self, options: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            Ranker(**options)


def test_a_million_items_are_ranked_in_one_call() -> None:
    count = 1_000_000
    catalog = catalog_of(count)
    ranker = Ranker()
    ranker.learn(outcomes_of([5, 999_999] * 500, [1.0, 0.0] * 500))
    drawn = draws_of(ranker, catalog, 1)[0]
    assert drawn.shape == (count,)
    assert ((drawn >= 0) & (drawn <= 1)).all()
    assert drawn[5] > 0.9
    assert drawn[999_999] < 0.1
    assert abs(drawn.mean() - 0.5) < 4.5 * np.sqrt(1 / 12 / count)


def test_regret_grows_ever_more_slowly_and_stays_below_that_of_others() -> None:
    worth = np.array([0.6, 0.6, 0.9, 0.6, 0.6, 0.6, 0.6, 0.6])
    catalog, rounds = catalog_of(8), 2000
    everything = Candidates(catalog, np.arange(8))

    def regret(
        choose: Callable[[np.random.Generator, list[NDArray[np.float64]], int], int], seed: int
    ) -> Any:
        rng = np.random.default_rng(seed)
        counts = [np.zeros(8), np.zeros(8)]
        lost = np.empty(rounds)
        for step in range(rounds):
            item = choose(rng, counts, step)
            won = rng.random() < worth[item]
            counts[0][item] += won
            counts[1][item] += 1
            lost[step] = worth.max() - worth[item]
            teach(item, float(won))
        return lost.cumsum()

    def teach(item: int, reward: float) -> None:
        ranker.learn(outcomes_of([item], [reward]))

    def thompson(rng: np.random.Generator, counts: list[NDArray[np.float64]], step: int) -> int:
        seed = int(rng.integers(2**40))
        return int(np.argmax(ranker.rank(context_of(catalog, 1, seed=seed), everything)[0]))

    def greedy(rng: np.random.Generator, counts: list[NDArray[np.float64]], step: int) -> int:
        if rng.random() < 0.1:
            return int(rng.integers(8))
        return int(np.argmax((counts[0] + 1e-9 * rng.random(8)) / np.maximum(counts[1], 1e-9)))

    curves: dict[str, list[Any]] = {"thompson": [], "greedy": []}
    for seed in range(4):
        for name, choose in (("thompson", thompson), ("greedy", greedy)):
            ranker = Ranker()
            curves[name].append(regret(choose, seed))
    mine = np.mean(curves["thompson"], axis=0)
    assert mine[-1] < np.mean(curves["greedy"], axis=0)[-1]
    assert mine[-1] < 0.2 * rounds * (worth.max() - worth.mean())
    assert mine[-1] - mine[rounds // 2] < 0.5 * mine[rounds // 2]
