"""The adjuster: what kinds of items are, and what they come to be worth."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tastemaker.core.agent import state_digest
from tastemaker.core.learning.packing import pack, unpack
from tastemaker.policies.q_learning import Adjuster

from .logs import PLACE, Log
from .songs import KINDS, ranked, shown_at_random


class TestKinds:
    def kinds(self, **options: Any) -> list[str]:
        return [memo["kind"] for memo in ranked(Adjuster(observe=PLACE, **options))[1]]

    def test_numbers_are_low_medium_or_high_by_thirds_of_the_catalogue(self) -> None:
        found = self.kinds(fields=["energy"])
        assert found == [f"energy={name}" for name in ["low"] * 4 + ["medium"] * 4 + ["high"] * 4 + ["?"]]

    def test_or_by_cuts(self) -> None:
        found = self.kinds(fields=["energy"], cuts={"energy": (0.1, 0.95)})
        assert found == [f"energy={name}" for name in ["low"] * 2 + ["medium"] * 9 + ["high", "?"]]

    def test_words_are_a_category_or_the_first_tag(self) -> None:
        assert self.kinds(words="genre")[:2] == ["genre=rock", "genre=folk"]
        assert self.kinds(words="moods")[:2] == ["moods=calm", "moods=sad"]
        assert self.kinds(words="moods")[12] == "moods=?"

    def test_by_default_three_numbers_and_the_first_category_count(self) -> None:
        assert self.kinds()[1] == "energy=low|loud=?|genre=folk"


class TestAdjuster:
    def test_a_kind_is_worth_what_its_items_earn_and_a_place_what_all_earn(self) -> None:
        policy = Adjuster(**KINDS, batch=0)
        memos = ranked(policy)[1]
        rng, log = np.random.default_rng(3), Log()
        q: dict[str, float] = {}
        average = 0.0
        for number in range(80):
            item, reward = int(rng.integers(12)), float(rng.normal())
            kind = memos[item]["kind"]
            log.add(reward, memos[item], slate=str(number), item=f"i{item}")
            old = q.get(kind, average)
            q[kind] = old + 0.1 * (reward - old)
            average += 0.1 * (reward - average)
        policy.learn(log.outcomes())
        table = policy.table()
        assert table["place=a"]["not"] == {"q": pytest.approx(average, abs=1e-12), "visits": 80}
        for kind, worth in q.items():
            assert table[f"place=a|{kind}"]["recommend"]["q"] == pytest.approx(worth, abs=1e-12)
        scores, memos = ranked(policy)
        wanted = [np.tanh(q[memo["kind"]] - average) if memo["kind"] in q else 0.0 for memo in memos]
        np.testing.assert_allclose(scores, wanted, atol=1e-12)
        assert scores[12] == 0.0

    def test_old_outcomes_are_learned_from_again(self) -> None:
        # Bits of a generator whose stream is fixed: an independent replay comes to the same.
        policy = Adjuster(**KINDS, batch=7, every=5, seed=3)
        memos = ranked(policy)[1]
        rng, log = np.random.default_rng(3), Log()
        q: dict[str, float] = {}
        average, past = 0.0, []
        for number in range(100):
            item, reward = int(rng.integers(12)), float(rng.normal())
            log.add(reward, memos[item], slate=str(number), item=f"i{item}")
            kind = memos[item]["kind"]
            past.append((kind, reward))
            q.setdefault(kind, average)
            again = [past[-1]]
            if len(past) % 5 == 0:
                drawn = np.random.PCG64([3, len(past)]).random_raw(7) % np.uint64(min(len(past), 40))
                # A ring of 40: what was taken in as the n-th stands at n modulo 40.
                newest = len(past) - 1
                again += [past[newest - (newest - int(at)) % 40] for at in drawn]
            for one, earned in again:
                q[one] += 0.1 * (earned - q[one])
                average += 0.1 * (earned - average)
        policy.learn(log.outcomes())
        table = policy.table()
        assert table["place=a"]["not"]["q"] == pytest.approx(average, abs=1e-12)
        for kind, worth in q.items():
            assert table[f"place=a|{kind}"]["recommend"]["q"] == pytest.approx(worth, abs=1e-12)

    def test_a_correction_changes_what_was_learned_and_what_will_be_learned_again(self) -> None:
        policy = Adjuster(**KINDS, batch=3, every=2)
        memos = ranked(policy)[1]
        policy.learn(
            Log().add(1.0, memos[0], slate="1").add(2.0, memos[0], slate="1", first=False).outcomes()
        )
        state = policy.state()
        assert state["replay_rewards"].tolist() == [3.0]
        assert state["kind_q"].item() == pytest.approx(0.3)
        assert state["place_q"].item() == pytest.approx(0.3)

    def test_what_a_forgotten_kind_earned_is_not_learned_by_the_next(self) -> None:
        policy = Adjuster(**KINDS, most_states=1, every=3, batch=50)
        memos = ranked(policy)[1]
        log = Log().add(9.0, memos[0], slate="1").add(9.0, memos[0], slate="2").add(0.0, memos[1], slate="3")
        policy.learn(log.outcomes())
        kind = policy.table()["place=a|energy=low|genre=folk"]["recommend"]
        # It starts from what a place earned, 1.71, and earned nothing itself, as often as it is learned from.
        drawn = np.random.PCG64([0, 3]).random_raw(50) % np.uint64(3)
        again = int(np.count_nonzero(drawn == 2))
        assert kind == {"q": pytest.approx(1.71 * 0.9 ** (1 + again)), "visits": 1}
        assert policy.state()["replay_rows"].tolist() == [[-1, -1], [-1, -1], [0, 0]]

    def test_scores_stay_within_one_whatever_is_earned(self) -> None:
        policy = Adjuster(**KINDS)
        memos = ranked(policy)[1]
        log = Log()
        for number in range(30):
            log.add(1e6 if number % 2 else -1e6, memos[number % 2], slate=str(number))
        policy.learn(log.outcomes())
        scores, _ = ranked(policy)
        assert np.abs(scores).max() <= 1
        assert scores[1] > 0.9
        assert scores[0] < -0.9

    def test_what_is_liked_in_one_state_is_not_what_is_liked_in_another(self) -> None:
        policy = Adjuster(**KINDS)
        rng, log = np.random.default_rng(3), Log()
        memos = {place: ranked(policy, place)[1] for place in "ab"}
        for number in range(600):
            place, item = "ab"[number % 2], int(rng.integers(12))
            liked = (item >= 8) == (place == "a")
            log.add(float(rng.random() < (0.8 if liked else 0.2)), memos[place][item], slate=str(number))
        policy.learn(log.outcomes())
        for place, sign in (("a", 1), ("b", -1)):
            scores, _ = ranked(policy, place)
            assert sign * (scores[8:12].mean() - scores[:8].mean()) > 0.2
        assert not ranked(policy, "c")[0].any()

    @pytest.mark.parametrize("bounds", [{}, {"most_states": 4}, {"every": 1, "batch": 5}])
    @settings(max_examples=20, deadline=None)
    @given(seed=st.integers(0, 1000), cuts=st.lists(st.integers(0, 120), max_size=6), saved=st.integers(0, 6))
    def test_however_the_log_is_cut_and_wherever_it_is_saved_the_bits_are_the_same(
        self, bounds: dict[str, Any], seed: int, cuts: list[int], saved: int
    ) -> None:
        options: Any = {**KINDS, **bounds}
        whole, cut = Adjuster(**options), Adjuster(**options)
        log = shown_at_random(whole, seed)
        whole.learn(log.outcomes())
        for number, (start, stop) in enumerate(itertools.pairwise([0, *sorted(cuts), len(log.lines)])):
            cut.learn(log.outcomes(start, stop))
            if number == saved:
                state = unpack(pack(cut.state()))
                cut = Adjuster(**options)
                cut.load(state)
        assert state_digest(cut.state()) == state_digest(whole.state())

    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            ("schema", "adjuster", "of other options"),
            ("replay_taken", 3, "has 3 rows"),
            ("replay_rows", np.full((40, 2), 10_000), "rows of the tables"),
            ("replay_rows", np.tile([[-1, 0]], (40, 1)), "rows of the tables"),
            ("replay_rewards", np.full(40, np.inf), "finite"),
            ("place_states", [], "don't go with"),
        ],
    )
    def test_rubbish_is_refused_and_changes_nothing(self, name: str, value: Any, said: str) -> None:
        policy = Adjuster(**KINDS)
        policy.learn(shown_at_random(policy, 1).outcomes())
        state = dict(policy.state())
        digest = state_digest(state)
        with pytest.raises(ValueError, match=said):
            policy.load(state | {name: value})
        assert state_digest(policy.state()) == digest

    def test_it_says_what_a_kind_is_worth(self) -> None:
        policy = Adjuster(**KINDS)
        memo = ranked(policy)[1][0]
        assert policy.explain("i0", memo) == "nothing is known yet of energy=low|genre=rock for place=a"
        policy.learn(Log().add(1.0, memo).outcomes())
        said = "energy=low|genre=rock is worth 0.10 for place=a after 1 outcomes; a place on average 0.10"
        assert policy.explain("i0", memo) == said
        assert policy.explain("", memo) == policy.explain("i0", {}) == ""

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"fields": []}, "needs `fields` or `words`"),
            ({"fields": ["energy", "energy"]}, "names a field twice"),
            ({"fields": ["energy"], "cuts": {"loud": (0, 1)}}, "which is none of `fields`"),
            ({"cuts": {"energy": (1, 0)}}, "must ascend"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, options: dict[str, Any], said: str) -> None:
        with pytest.raises(ValidationError, match=said):
            Adjuster(**options)
