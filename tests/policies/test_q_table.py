"""The table of Q-learning: the rule is the textbook's, over slates in time order, and within bounds."""

import itertools

import numpy as np
import pytest
from tastemaker.policies.q_learning import Tuner

from .logs import MINUTE, MOVES, NOW, PLACE, Log, learned, memo_of


class TestTheRule:
    def test_a_like_and_a_full_play_and_a_better_mood_take_q_from_082_to_097(self) -> None:
        policy = Tuner(observe=PLACE, knobs=MOVES, initial=0.82)
        memo = memo_of(policy, "home", "right")
        log = Log().add(1.0, memo).add(1.0, memo, first=False).add(0.3, memo, first=False)
        found = learned(policy, log)["place=home"]["move=right"]
        assert found == {"q": pytest.approx(0.968, abs=1e-12), "visits": 1}

    def test_it_is_the_textbook_rule_over_the_users_slates_in_time_order(self) -> None:
        rng = np.random.default_rng(4)
        policy, log, now = Tuner(observe=PLACE, knobs=MOVES), Log(), NOW
        wanted: dict[tuple[str, str], float] = {}
        last: dict[str, tuple[float, str, str, float]] = {}

        def update(state: str, action: str, reward: float, following: str | None) -> None:
            ahead = 0.0
            if following is not None:
                ahead = 0.95 * max(wanted.get((following, move), 1.0) for move in ("left", "right"))
            old = wanted.get((state, action), 1.0)
            wanted[state, action] = old + 0.1 * (reward + ahead - old)

        for number in range(600):
            now += float(rng.choice([1, 5, 70])) * MINUTE
            user, place = f"user-{rng.integers(4)}", f"p{rng.integers(3)}"
            memo = memo_of(policy, place, seed=number, user=user, now=now)
            rewards = rng.normal(size=rng.integers(1, 4)).tolist()
            for item, reward in enumerate(rewards):
                log.add(reward, memo, user=user, slate=str(number), item=f"i{item}")
            # What nobody followed within twice an hour has ended.
            for other, (time, *pair) in list(last.items()):
                if time + 120 * MINUTE < now:
                    update(*pair, None)
                    del last[other]
            if user in last:
                time, *pair = last.pop(user)
                update(*pair, place if now - time <= 60 * MINUTE else None)
            last[user] = now, place, memo["action"]["move"], sum(rewards)
        policy.learn(log.outcomes())
        found = {
            (state.removeprefix("place="), action.removeprefix("move=")): entry["q"]
            for state, actions in policy.table().items()
            for action, entry in actions.items()
        }
        assert found == pytest.approx(wanted, abs=1e-12)
        assert len(found) == 6

    def test_on_a_chain_it_comes_to_the_known_optimum(self) -> None:
        # Places 0 to 4; right from 4 earns 1 and ends. Left from 0 stays. Q*(s, right) = 0.9 ^ (4 - s).
        policy = Tuner(observe=PLACE, knobs=MOVES, gamma=0.9, initial=0.0, epsilon=1.0, epsilon_end=1.0)
        now, place, slate = NOW, 0, itertools.count()
        for step in range(6000):
            memo = memo_of(policy, str(place), seed=step, now=now)
            right = memo["action"]["move"] == "right"
            done = place == 4 and right
            policy.learn(Log().add(float(done), memo, slate=str(next(slate))).outcomes())
            place = 0 if done else place + 1 if right else max(place - 1, 0)
            now += 1e5 if done else MINUTE
        best = 0.9 ** np.arange(4, -1, -1)
        for state in range(5):
            found = policy.table()[f"place={state}"]
            assert found["move=right"]["q"] == pytest.approx(best[state], abs=1e-3)
            assert found["move=left"]["q"] == pytest.approx(0.9 * best[max(state - 1, 0)], abs=1e-3)

    def test_staying_in_one_state_is_worth_the_whole_series(self) -> None:
        # r / (1 - γ), and the choice isn't turned away while the next state is being waited for.
        policy = Tuner(observe=PLACE, knobs=MOVES, gamma=0.9, epsilon=0, epsilon_end=0, initial=0, alpha=0.5)
        now = NOW
        for step in range(400):
            now += MINUTE
            reward = 1.0 if step else 1.5
            memo = memo_of(policy, "home", "right" if step == 0 else None, seed=step, now=now)
            assert memo["action"]["move"] == "right" or step < 2
            policy.learn(Log().add(reward, memo, slate=str(step)).outcomes())
        assert policy.table()["place=home"]["move=right"]["q"] == pytest.approx(10, abs=1e-6)
        statistics = policy.statistics()
        assert statistics["q_most"] == max(
            each["q"] for actions in policy.table().values() for each in actions.values() if each["visits"]
        )
        assert statistics["states"] == len(policy.table())

    def test_what_comes_late_is_added_to_what_was_learned(self) -> None:
        policy = Tuner(observe=PLACE, knobs=MOVES, initial=0.0)
        one, two = memo_of(policy, "a", "left"), memo_of(policy, "b", "left", now=NOW + MINUTE)
        log = Log().add(1.0, one, slate="1").add(1.0, two, slate="2")
        log.add(2.0, one, slate="1", first=False, time=NOW + 2 * MINUTE)
        log.add(4.0, one, slate="1", item="i1", time=NOW + 2 * MINUTE)
        found = learned(policy, log)
        assert found["place=a"]["move=left"] == {"q": pytest.approx(0.1 * 7), "visits": 1}
        assert found["place=b"]["move=left"] == {"q": pytest.approx(0.1), "visits": 1}

    @pytest.mark.parametrize(("minutes", "follows"), [(60, True), (61, False)])
    def test_an_episode_ends_with_the_gap(self, minutes: float, follows: bool) -> None:
        policy = Tuner(observe=PLACE, knobs=MOVES, initial=0.5)
        one, two = memo_of(policy, "a", "left"), memo_of(policy, "b", "left", now=NOW + minutes * MINUTE)
        found = learned(policy, Log().add(1.0, one, slate="1").add(1.0, two, slate="2"))
        assert found["place=a"]["move=left"]["q"] == pytest.approx(
            0.5 + 0.1 * (1 + 0.95 * 0.5 * follows - 0.5)
        )

    def test_an_older_slate_that_is_heard_of_later_was_followed_by_the_newer(self) -> None:
        policy = Tuner(observe=PLACE, knobs=MOVES, initial=0.5)
        old, new = memo_of(policy, "a", "left"), memo_of(policy, "b", "left", now=NOW + MINUTE)
        log = Log().add(1.0, new, slate="2").add(1.0, old, slate="1", time=NOW + 2 * MINUTE)
        found = learned(policy, log)
        assert found["place=a"]["move=left"]["q"] == pytest.approx(0.5 + 0.1 * (1 + 0.95 * 0.5 - 0.5))
        assert found["place=b"]["move=left"]["q"] == pytest.approx(0.5 + 0.1 * (1 - 0.5))

    def test_two_users_in_one_state_do_not_follow_each_other(self) -> None:
        policy = Tuner(observe=PLACE, knobs=MOVES, initial=0.0)
        one, two = memo_of(policy, "a", "left"), memo_of(policy, "a", "right", now=NOW + MINUTE)
        found = learned(policy, Log().add(1.0, one, slate="1").add(1.0, two, slate="2", user="bob"))
        assert {action: entry["q"] for action, entry in found["place=a"].items()} == {
            "move=left": pytest.approx(0.1),
            "move=right": pytest.approx(0.1),
        }

    def test_a_slate_earns_the_sum_over_its_items_or_the_mean(self) -> None:
        for reward, worth in (("sum", 4.0), ("mean", 0.5)):
            policy = Tuner(observe=PLACE, knobs=MOVES, initial=0.0, reward=reward, alpha=1.0)
            log, memo = Log(), memo_of(policy, "a", "left", size=8)
            for item, each in enumerate((5.0, -1.0)):
                log.add(each, memo, item=f"i{item}")
            assert learned(policy, log)["place=a"]["move=left"]["q"] == pytest.approx(worth)

    def test_what_it_did_not_decide_is_not_learned(self) -> None:
        policy, other = Tuner(observe=PLACE, knobs=MOVES), Tuner(observe=PLACE)
        memo = memo_of(policy, "a")
        log = Log().add(1.0, {}).add(1.0, memo_of(other, "a")).add(1.0, memo | {"action": {"move": "up"}})
        log.add(1.0, memo | {"action": None}).add(1.0, memo | {"schema": "another"})
        assert learned(policy, log) == {}
        assert policy.state()["decisions"] == 0

    def test_what_is_kept_in_mind_is_bounded_and_nothing_earned_is_lost(self) -> None:
        policy = Tuner(observe=PLACE, knobs=MOVES, initial=0.0, memory=3, most_states=5)
        log = Log()
        for number in range(20):
            memo = memo_of(policy, f"p{number}", "left", now=NOW + number)
            log.add(1.0, memo, slate=str(number), user=f"user-{number}")
        policy.learn(log.outcomes())
        state = policy.state()
        assert state["open_users"] == ["user-16", "user-17", "user-18", "user-19"]
        assert len(state["slates"]) == 3
        assert state["table_states"] == [f"place=p{number}" for number in range(11, 16)]
        assert state["decisions"] == 16
        assert policy.table()["place=p15"]["move=left"]["q"] == pytest.approx(0.1)

    def test_the_state_that_was_left_longest_is_forgotten(self) -> None:
        policy, log = Tuner(observe=PLACE, knobs=MOVES, most_states=2), Log()
        for number, place in enumerate("abacd"):
            log.add(1.0, memo_of(policy, place, now=NOW + number), slate=str(number), user=str(number))
        for upto, kept in ((4, ["place=a", "place=c"]), (5, ["place=c", "place=d"])):
            fresh = Tuner(observe=PLACE, knobs=MOVES, most_states=2)
            fresh.learn(log.outcomes(0, upto))
            assert list(learned(fresh, Log())) == kept
        assert list(learned(policy, log)) == ["place=c", "place=d"]
