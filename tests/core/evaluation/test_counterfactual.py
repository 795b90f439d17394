"""Two states of a policy, compared on a log: weights are what they must be, and the truth lies in the interval."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from tastemaker.core import (
    Candidates,
    Context,
    Filter,
    Interaction,
    NotFound,
    Outcomes,
    Policy,
    Request,
    Source,
    State,
)
from tastemaker.core.evaluation import EvaluationError, Reason, compare
from tastemaker.core.orchestrator import Orchestrator
from tastemaker.core.rewards import RewardTable
from tastemaker.policies.q_learning import Tuner
from tastemaker.policies.thompson import Ranker

Make = Callable[..., Any]
Taught = Callable[[Sequence[float]], State]


def compared(shelf: Any, policy: str = "taste", **options: Any) -> Any:
    store = shelf.store()
    try:
        return compare(shelf.settings, store, "books", policy, **options)
    finally:
        store.close()


class Greedy(Policy):
    """Ranks by the mean reward so far."""

    blocking: ClassVar[bool] = False
    _sums: NDArray[np.float64]

    def model_post_init(self, _: Any) -> None:
        self._sums = np.zeros((12, 2))

    def rank(self, context: Context, candidates: Candidates) -> NDArray[np.float64]:
        means: NDArray[np.float64] = self._sums[:, 0] / (1 + self._sums[:, 1])
        return means[[int(name[1:]) for name in candidates.ids]]

    def learn(self, outcomes: Outcomes) -> None:
        rows = [int(name[1:]) for name in outcomes.items]
        np.add.at(self._sums, (rows, 0), outcomes.reward)
        np.add.at(self._sums, (rows, 1), outcomes.first)

    def state(self) -> State:
        return {"sums": self._sums}

    def load(self, state: State) -> None:
        self._sums = np.array(state["sums"])


class NotAgain(Filter):
    """Drops what the user has liked before."""

    blocking: ClassVar[bool] = False

    def keep(self, context: Context, candidates: Candidates) -> NDArray[np.bool_]:
        return ~np.isin(candidates.rows, context.history.rows[:5])


class Some(Source):
    """Proposes nine books at random."""

    blocking: ClassVar[bool] = False

    def propose(self, context: Context) -> NDArray[np.intp]:
        return context.rng.permutation(context.catalog.live)[:9]


class Dial(Policy):
    """Turns the share of exploration to one of two values, at random; it has learned how often to take the first."""

    blocking: ClassVar[bool] = False
    _first: float

    def model_post_init(self, _: Any) -> None:
        self._first = 0.5

    def tune(self, context: Context) -> Mapping[str, Any]:
        first = bool(context.rng.random() < self._first)
        context.memo.update(first=first, propensity=self._first if first else 1 - self._first)
        return {"slate.explore": 0.0 if first else 1.0}

    def chance(self, context: Context, memo: Mapping[str, Any]) -> float:
        return self._first if memo["first"] else 1 - self._first

    def state(self) -> State:
        return {"first": self._first}

    def load(self, state: State) -> None:
        self._first = float(state["first"])


class TestWeights:
    def test_the_state_that_decided_has_the_weight_one_in_every_row(
        self, shelf: Make, taught: Taught
    ) -> None:
        there = shelf(slate={"explore": 0.2})
        slates, states = there.read(0, rounds=2, learning=False)
        found = compared(there, candidate=taught(there.liked), active=states[0])
        assert found.replayed == 1
        assert found.active.weights.tolist() == [[1.0]] * (3 * len(slates))
        assert found.active.value == pytest.approx(found.logged, abs=1e-12)
        assert found.slates == len(slates) == 80
        assert found.rows == 240
        assert not np.allclose(found.candidate.weights, 1)

    def test_without_draws_it_does_so_along_a_log_that_was_learned_from(self, shelf: Make) -> None:
        there = shelf({"taste": Greedy()}, slate={"explore": 0.5})
        slates, states = there.read(1, rounds=4)
        found = compared(there, candidate=states[2], active=states[2])
        assert found.replayed == 1
        by_slate = found.active.weights.reshape(len(slates), 3)
        third = [
            place for place, slate in enumerate(sorted(slates, key=_by_log)) if slate.log == slates[80].log
        ]
        assert len(third) == 40
        assert (by_slate[third] == 1).all()
        assert not (by_slate == 1).all()
        # By hand: an item of the ranked slate stands at its place with 1 / 2 and at no other; the nine others share
        # the rest. What was logged as one of these may have been the other for the target.
        assert set(np.unique(by_slate.round(12))) == {
            0.0,
            1.0,
            round((1 / 18) / 0.5, 12),
            round(0.5 * 18, 12),
        }

    def test_random_ones_are_one_on_average(self, shelf: Make, taught: Taught) -> None:
        there = shelf()
        there.read(2, readers=60, learning=False)
        found = compared(there, candidate=taught(there.liked / 2), active=taught(1 - there.liked / 2))
        for estimate in (found.candidate, found.active):
            overlap = estimate.overlap
            assert abs(overlap.mean_weight - 1) < 4 * overlap.mean_weight_error < 0.4

    def test_history_random_sources_and_other_policies_are_as_they_were(self, shelf: Make) -> None:
        there = shelf(
            {"taste": Ranker(), "other": Greedy(), "own": Ranker(scope="user")},
            sources={"some": Some()},
            filters={"seen": NotAgain()},
            slate={"explore": 0.3},
        )
        there.read(3, readers=10, rounds=4)
        found = compared(there, candidate=Ranker().state(), active=Ranker().state())
        assert found.replayed == 1

    def test_where_the_catalogue_has_changed_it_says_so(self, shelf: Make, taught: Taught) -> None:
        there = shelf()
        there.read(4, rounds=3, learning=False)

        async def remove() -> None:
            async with Orchestrator(there.settings, clock=there.clock, follow=False) as tastemaker:
                await tastemaker.remove_items("books", ["b1", "b2"])

        asyncio.run(remove())
        found = compared(there, candidate=taught(there.liked), active=Ranker().state())
        assert found.replayed == 0
        assert "can't be decided again" in found.lines()[1]
        assert "somebody's data was erased, a promotion cut in" in found.lines()[1]
        gone = np.isin(found.active.log.action, np.flatnonzero(np.isin(_names(there), ["b1", "b2"])))
        assert gone.any()
        assert (found.active.weights[gone] == 0).all()


class TestEstimates:
    def test_the_truth_lies_in_the_interval(self, shelf: Make, taught: Taught) -> None:
        errors = []
        for seed in range(100, 104):
            there = shelf()
            there.read(seed, readers=60, rounds=3, learning=False)
            new, old = taught(there.liked), Ranker().state()
            if seed == 100:
                true = there.worth("taste", new) - there.worth("taste", old)
            found = compared(there, candidate=new, active=old, draws=160)
            errors.append((found.difference.value - true) / found.difference.standard_error)
            assert abs(found.ips.value - found.difference.value) < 3 * found.ips.standard_error
        assert sum(abs(error) < 1.96 for error in errors) >= 3
        assert abs(np.mean(errors)) < 1.96 / np.sqrt(4)
        assert true > 0.3

    def test_a_worse_state_does_not_pass(self, shelf: Make, taught: Taught) -> None:
        there = shelf()
        there.read(0, learning=False)
        worse = taught(there.liked[::-1])
        found = compared(there, candidate=worse, active=Ranker().state())
        assert found.difference.interval().high < 0
        assert not found.passes()
        assert "worse" in found.lines()[-1]
        other = compared(there, candidate=Ranker().state(), active=worse)
        assert other.passes()
        low = other.difference.interval().low
        assert not other.passes(low)
        assert other.passes(low - 1e-9)
        assert "The candidate is better" in other.lines()[-1]

    def test_the_same_state_twice_can_t_be_told_apart(self, shelf: Make, taught: Taught) -> None:
        there = shelf()
        there.read(0, learning=False)
        found = compared(there, candidate=taught(there.liked / 2), active=taught(there.liked / 2))
        assert found.difference.value == 0
        assert [refusal.reason for refusal in found.refusals] == [Reason.NO_VARIATION]
        assert not found.passes(-1.0)
        assert found.as_dict()["difference"]["interval"] is None
        assert "can't be told" in found.lines()[-2]

    def test_too_few_people_are_refused(self, shelf: Make, taught: Taught) -> None:
        there = shelf()
        there.read(0, readers=10, rounds=20, learning=False)
        found = compared(there, candidate=taught(there.liked), active=Ranker().state())
        assert Reason.FEW_GROUPS in [refusal.reason for refusal in found.refusals]

    def test_the_same_call_gives_the_same_bits(self, shelf: Make, taught: Taught) -> None:
        there = shelf()
        there.read(0, rounds=2)
        first, second = (
            compared(there, candidate=taught(there.liked), active=Ranker().state()).as_dict()
            for _ in range(2)
        )
        assert first == second


class TestRewards:
    def test_corrections_count_and_silence_is_worth_what_was_seen(self, shelf: Make, taught: Taught) -> None:
        there = shelf(reward=RewardTable(kinds={"click": 1.0}, seen=-0.25))
        slates, _ = there.read(0, rounds=2, learning=False)

        async def correct() -> None:
            async with Orchestrator(there.settings, clock=there.clock, follow=False) as tastemaker:
                slate = await tastemaker.recommend("books", Request("late"))
                item = slate.picks[1].item
                await tastemaker.record(
                    [
                        Interaction(
                            str(number), "books", "late", item, "click", there.clock(), slate=slate.id
                        )
                        for number in range(3)
                    ]
                )

        asyncio.run(correct())
        found = compared(there, candidate=taught(there.liked), active=Ranker().state())
        store = there.store()
        clicks = sum(entry.kind == "interaction" for entry in store.read(0, limit=5000))
        store.close()
        shown = 3 * (len(slates) + 1)
        rewards = found.difference.log.reward / 3
        # Three clicks on one book of the last slate; its window is still open, and its other books earned nothing yet.
        assert sorted(set(rewards.round(9))) == [-0.25, 1.0, 3.0]
        assert (rewards == -0.25).sum() == shown - (clicks - 2)
        assert found.logged == pytest.approx(3 * rewards.mean())


class TestKnobs:
    def test_a_policy_that_tunes_is_judged_by_its_knobs(self, shelf: Make) -> None:
        class Known(Policy):
            blocking: ClassVar[bool] = False

            def rank(self, context: Context, candidates: Candidates) -> NDArray[np.float64]:
                return there.liked[[int(name[1:]) for name in candidates.ids]]

        there = shelf({"dial": Dial(), "known": Known()})
        slates, _ = there.read(0, readers=80, rounds=3)
        found = compared(there, "dial", candidate={"first": 0.9}, active={"first": 0.5})
        assert found.rows == found.slates == len(slates)
        assert found.replayed is None
        assert set(found.candidate.weights[:, 0].round(9)) == {0.9 / 0.5, round(0.1 / 0.5, 9)}
        assert (found.active.weights == 1).all()
        best = np.sort(there.liked)
        true = 0.4 * (best[-3:].sum() - 3 * best[:-3].mean())
        interval = found.difference.interval()
        assert interval.low < true < interval.high
        assert interval.low > 0

    def test_the_q_learning_tuner_can_be_judged(self, shelf: Make) -> None:
        knobs = {"trying": {"none": {"slate.explore": 0.0}, "all": {"slate.explore": 1.0}}}
        tuner = Tuner(knobs=knobs, observe=[{"situation": "mood"}], epsilon=0.5, epsilon_end=0.5)
        there = shelf({"dial": tuner, "taste": Greedy()})
        slates, states = there.read(0, readers=40, rounds=4)
        noted = [slate.memo_of("dial") for slate in slates]
        found = compared(there, "dial", candidate=states[-1], active=states[0])
        assert found.slates == len(slates)
        # It has learned one of the two: that is turned with 3 / 4, the other with 1 / 4; untaught, both with 1 / 2.
        assert set(np.unique(found.active.log.propensity)) <= {0.25, 0.5, 0.75}
        assert sorted(found.active.log.propensity) == sorted(memo["propensity"] for memo in noted)
        target = found.candidate.weights[:, 0] * found.candidate.log.propensity
        assert set(target.round(12)) == {0.25, 0.75}
        assert set((found.active.weights[:, 0] * found.active.log.propensity).round(12)) == {0.5}

    def test_one_that_perceives_is_judged_by_all_that_others_make_of_it(self, shelf: Make) -> None:
        class Eyes(Policy):
            """Sees the same in everybody; its state says what."""

            blocking: ClassVar[bool] = False
            _sees: str = "green"

            def perceive(self, context: Context) -> Mapping[str, Any]:
                return {"eyes": self._sees}

            def learn(self, outcomes: Outcomes) -> None:
                self._sees = "green"

            def state(self) -> State:
                return {"sees": self._sees}

            def load(self, state: State) -> None:
                self._sees = str(state["sees"])

        class Keen(Dial):
            """Turns the knob by what is seen."""

            def chance(self, context: Context, memo: Mapping[str, Any]) -> float:
                first = 0.9 if context.profile["eyes"] == "blue" else 0.5
                return first if memo["first"] else 1 - first

        class Shown(Policy):
            """Draws in another order where it sees blue."""

            blocking: ClassVar[bool] = False

            def rank(self, context: Context, candidates: Candidates) -> NDArray[np.float64]:
                blue = context.profile["eyes"] == "blue"
                drawn = context.rng.normal(size=(context.draws, len(candidates)))
                return drawn + (
                    10.0 * there.liked[[int(name[1:]) for name in candidates.ids]] if blue else 0.0
                )

        there = shelf({"eyes": Eyes(), "dial": Keen()})
        there.read(0, readers=30, rounds=2)
        found = compared(there, "eyes", candidate={"sees": "blue"}, active={"sees": "green"})
        assert found.replayed == 1
        # Without a policy that ranks, only the knobs tell: 0.9 or 0.1 where both were turned with 0.5.
        assert set(found.candidate.weights[:, 0].round(9)) <= {0.0, 1.8, 0.2}
        assert (found.active.weights == 1).all()

        there = shelf({"eyes": Eyes(), "shown": Shown()})
        there.read(0, readers=60, rounds=3)
        found = compared(there, "eyes", candidate={"sees": "blue"}, active={"sees": "green"})
        assert found.replayed == 1
        assert (found.active.weights == 1).all()
        assert found.candidate.weights.min() == 0
        assert found.candidate.weights.max() > 5
        assert found.difference.interval().high > 0.2

    def test_one_that_can_t_tell_is_refused(self, shelf: Make) -> None:
        class Mute(Dial):
            def chance(self, context: Context, memo: Mapping[str, Any]) -> None:  # type: ignore[override]
                return None

        there = shelf({"dial": Mute()})
        there.read(0, readers=3, rounds=1)
        with pytest.raises(EvaluationError, match="tells how probable the knobs were that 'dial' turned"):
            compared(there, "dial", candidate={"first": 0.9}, active={"first": 0.5})


class TestSpan:
    def test_only_slates_within_it_are_looked_at(self, shelf: Make) -> None:
        there = shelf()
        there.read(0, readers=5, rounds=4)
        store = there.store()
        places = [entry.position for entry in store.read(0, limit=5000) if entry.kind == "slate"]
        store.close()
        some = compared(
            there, candidate=Ranker().state(), active=Ranker().state(), since=places[4], until=places[11]
        )
        assert some.slates == 7
        assert some.span == (places[4], places[11])

    def test_without_an_active_state_it_is_what_was_live_when_the_span_began(self, shelf: Make) -> None:
        there = shelf({"taste": Greedy()}, slate={"explore": 0.5})
        slates, states = there.read(1, rounds=4)
        store = there.store()
        first = store.entry("slate", slates[80].id)
        store.close()
        assert first is not None
        options = {"candidate": states[4], "since": first.position - 1}
        found, same = compared(there, **options), compared(there, active=states[2], **options)
        assert found.as_dict() == same.as_dict()
        assert found.as_dict() != compared(there, active=states[3], **options).as_dict()

    def test_a_sample_is_spread_over_people_and_rounds(self, shelf: Make) -> None:
        there = shelf()
        _, states = there.read(0, readers=20, rounds=8)
        told: list[tuple[int, int]] = []
        found = compared(
            there,
            candidate=states[0],
            active=states[0],
            most=40,
            progress=lambda *counts: told.append(counts),
        )
        assert found.slates == 40
        assert len(set(found.active.log.groups.tolist())) > 12
        assert told == [(done, 40) for done in range(41)]

    def test_what_can_t_be_compared_is_refused(self, shelf: Make) -> None:
        there = shelf()
        there.read(0, readers=2, rounds=1)
        state = Ranker().state()
        with pytest.raises(EvaluationError, match="no slate of 'books' between 1000 and"):
            compared(there, candidate=state, active=state, since=1000)
        with pytest.raises(
            EvaluationError, match="the candidate doesn't fit the policy 'taste': the state has no"
        ):
            compared(there, candidate={}, active=state)
        with pytest.raises(NotFound, match="no policy of 'books' is called 'tast'; did you mean 'taste'"):
            compared(there, "tast", candidate=state, active=state)
        with pytest.raises(EvaluationError, match="at least one slate"):
            compared(there, candidate=state, active=state, most=0)


def _by_log(slate: Any) -> int:
    return int(slate.log)


def _names(shelf: Any) -> list[str]:
    """The books by their number as actions: in the order of their names."""
    return sorted(f"b{number}" for number in range(len(shelf.liked)))
