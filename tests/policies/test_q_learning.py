"""Q-learning: the rule is the textbook's, the propensities are true, the knobs stay in bounds, and it learns."""

import asyncio
import itertools
import json
import os
import subprocess
import sys
import uuid
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
from tastemaker.policies.q_learning import Adjuster, Tuner

NOW = 1_700_000_000.0
MINUTE = 60.0
PLACE: Any = [{"situation": "place"}]
MOVES: Any = {"move": {"left": {"slate.diversity": 0.1}, "right": {"slate.diversity": 0.9}}}
NO_ITEMS = Catalog(ItemSchema({"title": "text"})).snapshot()


def context_of(
    catalog: CatalogSnapshot = NO_ITEMS,
    *,
    user: str = "ann",
    now: float = NOW,
    seed: int = 1,
    size: int = 4,
    profile: Mapping[str, Any] | None = None,
    situation: Mapping[str, Any] | None = None,
) -> Context:
    return Context(
        domain="shop", user=user, slate="s", now=now, size=size, draws=1, seed=seed, catalog=catalog,
        history=Candidates(catalog, np.empty(0, dtype=np.intp)), feedback=Feedback(),
        profile=profile or {}, situation=situation or {}, step="policies.tuner",
    )  # fmt: skip


def memo_of(policy: Tuner, place: str, move: str | None = None, **context: Any) -> dict[str, Any]:
    """What the policy notes when it decides in a place; with another move, as if it had chosen that."""
    asked = context_of(situation={"place": place}, **context)
    policy.tune(asked)
    if move is not None:
        asked.memo["action"] = {"move": move}
    logged: dict[str, Any] = json.loads(json.dumps(asked.memo))
    return logged


class Log:
    """Outcomes as the learner would give them, one line at a time."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def add(
        self,
        reward: float,
        memo: Mapping[str, Any],
        *,
        user: str = "ann",
        slate: str = "s",
        item: str = "i0",
        first: bool = True,
        time: float | None = None,
    ) -> "Log":
        when = memo.get("time", NOW) if time is None else time
        line = {"user": user, "slate": slate, "item": item, "reward": reward, "first": first}
        self.lines.append({**line, "time": when, "memo": memo})
        return self

    def outcomes(self, start: int = 0, stop: int | None = None) -> Outcomes:
        lines = self.lines[start:stop]
        reward = np.array([line["reward"] for line in lines], dtype=np.float64)
        return Outcomes(
            users=[line["user"] for line in lines],
            items=[line["item"] for line in lines],
            slates=[line["slate"] for line in lines],
            reward=reward,
            total=reward,
            first=np.array([line["first"] for line in lines], dtype=np.bool_),
            propensity=np.ones(len(lines)),
            position=np.zeros(len(lines), dtype=np.int32),
            time=np.array([line["time"] for line in lines], dtype=np.float64),
            situations=[{}] * len(lines),
            memos=[line["memo"] for line in lines],
        )


NOTHING_NEW: Mapping[str, Any] = {"time": NOW + 1e6}
"""The memo of an outcome that the policy has no part in, long after all others."""


def learned(policy: Tuner, log: Log) -> dict[str, dict[str, dict[str, float]]]:
    """The table once all episodes have ended."""
    policy.learn(log.outcomes())
    policy.learn(Log().add(1.0, NOTHING_NEW, user="bob", slate="").outcomes())
    return policy.table()


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


class TestTheChoice:
    def taught(self, **options: Any) -> Tuner:
        policy = Tuner(observe=PLACE, initial=0.0, anneal=100, **options)
        log = Log()
        for number in range(20):
            asked = context_of(situation={"place": "a"}, seed=number)
            policy.tune(asked)
            levels = asked.memo["action"]
            log.add(
                float(list(levels.values()).count("high")),
                dict(asked.memo),
                slate=str(number),
                user=str(number),
            )
        learned(policy, log)
        return policy

    @pytest.mark.parametrize("place", ["a", "never seen"])
    def test_the_noted_propensity_is_how_often_it_would_choose_so(self, place: str) -> None:
        policy = self.taught()
        noted: dict[str, float] = {}
        counts: dict[str, int] = {}
        draws = 6000
        for seed in range(draws):
            context = context_of(situation={"place": place}, seed=seed)
            policy.tune(context)
            action = str(context.memo["action"])
            counts[action] = counts.get(action, 0) + 1
            noted.setdefault(action, context.memo["propensity"])
            assert noted[action] == context.memo["propensity"] == policy.chance(context, context.memo)
        assert len(noted) == 9
        assert sum(noted.values()) == pytest.approx(1, abs=1e-12)
        for action, chance in noted.items():
            deviation = np.sqrt(draws * chance * (1 - chance))
            assert abs(counts[action] - draws * chance) < 4 * deviation

    def test_the_chance_is_that_of_this_context_and_of_now(self) -> None:
        policy = Tuner(observe=PLACE, knobs=MOVES, initial=0.0, epsilon=0.2, epsilon_end=0.2)
        memo = memo_of(policy, "a", "right")
        here, there = context_of(situation={"place": "a"}), context_of(situation={"place": "b"})
        assert policy.chance(here, memo) == pytest.approx(0.5)
        learned(policy, Log().add(1.0, memo))
        assert policy.chance(here, memo) == pytest.approx(0.9)
        assert policy.chance(here, memo | {"action": {"move": "left"}}) == pytest.approx(0.1)
        assert policy.chance(there, memo) == pytest.approx(0.5)
        assert policy.chance(here, {}) is None
        assert policy.chance(here, memo | {"schema": "another"}) is None
        assert policy.chance(here, memo | {"action": {"move": "up"}}) is None

    def test_exploration_falls_in_a_line_from_the_one_share_to_the_other(self) -> None:
        policy = Tuner(observe=PLACE, knobs=MOVES, anneal=10)
        shares = []
        for number in range(13):
            shares.append(policy.exploring)
            memo = memo_of(policy, "a", "left", now=NOW + number)
            learned(policy, Log().add(1.0, memo, slate=str(number), user=str(number)))
        np.testing.assert_allclose(shares, np.maximum(0.3 - 0.025 * np.arange(13), 0.05), atol=1e-12)

    @settings(max_examples=30, deadline=None)
    @given(
        seeds=st.lists(st.integers(0, 2**31), min_size=1, max_size=20),
        rewards=st.lists(st.floats(-1e6, 1e6), min_size=20, max_size=20),
    )
    def test_whatever_it_learns_it_never_leaves_the_bounds(
        self, seeds: list[int], rewards: list[float]
    ) -> None:
        policy = Tuner()
        for number, seed in enumerate(seeds):
            context = context_of(seed=seed, now=NOW + number)
            knobs = policy.tune(context)
            assert knobs in policy.settings()
            assert set(knobs) == {"slate.diversity", "slate.explore"}
            assert 0.1 <= knobs["slate.diversity"] <= 0.5
            assert 0.05 <= knobs["slate.explore"] <= 0.3
            policy.learn(Log().add(rewards[number], dict(context.memo), slate=str(number)).outcomes())

    def test_it_says_what_it_did_and_why(self) -> None:
        policy = Tuner(observe=PLACE, knobs=MOVES, initial=0.0, epsilon=0, epsilon_end=0)
        memo = memo_of(policy, "a", "right")
        learned(policy, Log().add(2.0, memo))
        memo = memo_of(policy, "a")
        assert policy.explain("", memo) == (
            "in the state place=a, move=right was chosen as the best known (probability 1.000): worth 0.20 after "
            "1 tries; the best other, move=left, 0.00"
        )
        assert "tried at random" in policy.explain("", memo | {"explored": True})
        assert policy.explain("i1", memo) == ""
        assert policy.explain("", {}) == ""


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"knobs": {}}, "at least 1 item"),
            ({"knobs": {"one": {"low": {}}}}, "'one' needs two levels at least"),
            ({"knobs": {"one": {"": {}, "b": {}}}}, "must have names"),
            (
                {"knobs": {name: {"a": {"slate.explore": 0}, "b": {}} for name in ("one", "two")}},
                "the knobs 'one' and 'two' both set 'slate.explore': only one may",
            ),
            (
                {"knobs": {"x": {"a": {"slate.max_per": 1}, "b": {}}, "y": {"a": {"slate.max_per.kind": 1}, "b": {}}}},
                "the knobs 'x' and 'y' set 'slate.max_per' and 'slate.max_per.kind'",
            ),
            (
                {"knobs": {f"k{n}": {level: {} for level in "abc"} for n in range(6)}},
                "3 x 3 x 3 x 3 x 3 x 3 = 729 settings together; 256 is the most",
            ),
            ({"knobs": {"a": {"x": {"slate.explore": float("nan")}, "y": {}}}}, "finite"),
            ({"epsilon": 0.1, "epsilon_end": 0.2}, "epsilon_end, 0.2, must not be above epsilon, 0.1"),
            ({"gamma": 1.0}, "less than 1"),
            ({"observe": []}, "at least 1 item"),
            ({"observe": [{"situation": "mood"}, {"situation": "mood"}]}, "declared twice"),
            ({"observe": [{"trait": "openness", "situation": "mood"}]}, "this has trait and situation"),
            ({"observe": [{}]}, "this has none"),
            ({"observe": [{"profile": "age", "cuts": [30, 20]}]}, "must ascend"),
            ({"observe": [{"profile": "age", "cuts": [1, 2, 3]}]}, "3 cuts make 4 `bins`, and 0 are named"),
            ({"observe": [{"profile": "age", "bins": ["a", "b"]}]}, "make 0 `bins`, and 2 are named"),
            ({"observe": [{"profile": "age", "cuts": [1], "bins": ["a", "A"]}]}, "each of them once"),
            ({"observe": [{"trait": "openness", "among": ["a"]}]}, "`among` goes with words"),
            ({"observe": [{"time_of_day": True, "cuts": [3]}]}, "`cuts` are for numbers"),
            ({"observe": [{"situation": "mood", "utc_offset": 2}]}, "`utc_offset` goes with time_of_day"),
            ({"observe": [{"time_of_day": False}]}, "Input should be True"),
        ],
    )  # fmt: skip
    def test_what_makes_no_sense_is_refused(self, options: dict[str, Any], said: str) -> None:
        with pytest.raises(ValidationError) as caught:
            Tuner(**options)
        assert said in str(caught.value)

    @pytest.mark.parametrize("domain", ["products", "projects"])
    def test_the_default_goes_with_every_domain(self, tmp_path: Path, domain: str) -> None:
        path = tmp_path / "config.yaml"
        path.write_text(
            f"version: 1\ndomains:\n  shop:\n    extends: {domain}\n"
            "    policies: {tuner: null, mine: {use: q_learning.tuner}}\n"
        )
        plan = load(path).domains["shop"]
        policy = next(step.component for step in plan.policies if step.name == "mine")
        assert isinstance(policy, Tuner)
        for setting in policy.settings():
            slate = plan.with_knobs(setting).slate
            assert (slate.diversity, slate.explore) == tuple(setting.values())


def test_the_example_of_the_page_is_a_composition_with_27_settings(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs/policies/q_learning.md"
    example = page.read_text(encoding="utf-8").partition("```yaml\n")[2].partition("```")[0]
    (tmp_path / "tracks.csv").write_text("id,title\n")
    path = tmp_path / "config.yaml"
    path.write_text("version: 1\n" + example, encoding="utf-8")
    plan = load(path).domains["music"]
    policies: dict[str, Any] = {step.name: step.component for step in plan.policies}
    turned = [plan.with_knobs(setting) for setting in policies["by_mood"].settings()]
    assert len({str((each.filters, each.scorers, each.slate)) for each in turned}) == 27
    assert {(each.slate.diversity, each.slate.max_per["genres"]) for each in turned} == {
        (0.1, 6), (0.3, 4), (0.5, 2),
    }  # fmt: skip
    assert policies["adjuster"].fields == ("energy", "valence")
    assert next(step.weight for step in plan.policies if step.name == "adjuster") == 0.05


def random_log(policy: Tuner, seed: int, count: int = 60) -> Log:
    """Outcomes of chance: several users, items and slates, corrections, late ones and strange ones."""
    rng, log, now = np.random.default_rng(seed), Log(), NOW
    shown: list[tuple[str, str, dict[str, Any]]] = []
    for number in range(count):
        now += float(rng.choice([0.5, 20, 200])) * MINUTE
        kind = rng.random()
        if kind < 0.5 or not shown:
            user = f"user-{rng.integers(3)}"
            shown.append(
                (user, f"slate-{number}", memo_of(policy, f"p{rng.integers(3)}", seed=number, now=now))
            )
        user, slate, memo = shown[-1] if kind < 0.8 else shown[int(rng.integers(len(shown)))]
        log.add(
            float(rng.normal()), memo if kind < 0.97 else {}, user=user, slate=slate, item=f"i{rng.integers(3)}",
            first=bool(rng.random() < 0.8), time=now,
        )  # fmt: skip
    return log


TIGHT: Mapping[str, Any] = {"memory": 2, "most_states": 2}


class TestTheState:
    @pytest.mark.parametrize("bounds", [{}, TIGHT])
    @settings(max_examples=25, deadline=None)
    @given(seed=st.integers(0, 1000), cuts=st.lists(st.integers(0, 60), max_size=8), saved=st.integers(0, 8))
    def test_however_the_log_is_cut_and_wherever_it_is_saved_the_bits_are_the_same(
        self, bounds: dict[str, Any], seed: int, cuts: list[int], saved: int
    ) -> None:
        options: Any = {"observe": PLACE, "knobs": MOVES, **bounds}
        whole, cut = Tuner(**options), Tuner(**options)
        log = random_log(whole, seed)
        whole.learn(log.outcomes())
        ends = [0, *sorted(cuts), len(log.lines)]
        for number, (start, stop) in enumerate(itertools.pairwise(ends)):
            cut.learn(log.outcomes(start, stop))
            if number == saved:
                state = unpack(pack(cut.state()))
                cut = Tuner(**options)
                cut.load(state)
        assert state_digest(cut.state()) == state_digest(whole.state())

    def test_every_process_comes_to_the_same_bits(self) -> None:
        cases: list[tuple[Any, dict[str, Any], Log]] = []
        for seed in range(2):
            tuner, adjuster = Tuner(observe=PLACE, knobs=MOVES), Adjuster(**KINDS)
            cases.append((tuner, {"observe": PLACE, "knobs": MOVES}, random_log(tuner, seed)))
            cases.append((adjuster, KINDS, shown_at_random(adjuster, seed)))
        for policy, _, log in cases:
            policy.learn(log.outcomes())
        given = [(type(policy).__name__, options, log.lines) for policy, options, log in cases]
        here = [state_digest(policy.state()) for policy, _, _ in cases]
        for hash_seed in ("1", "2"):
            done = subprocess.run(
                [sys.executable, "-c", ELSEWHERE],
                env={**os.environ, "PYTHONHASHSEED": hash_seed},
                input=json.dumps(given),
                capture_output=True,
                text=True,
                check=True,
            )
            assert json.loads(done.stdout) == here

    def test_a_state_of_other_knobs_or_variables_is_refused(self) -> None:
        policy = Tuner(observe=PLACE, knobs=MOVES)
        policy.learn(random_log(policy, 1).outcomes())
        for options in ({"knobs": MOVES}, {"observe": PLACE}):
            with pytest.raises(ValueError, match="of other options"):
                Tuner(**options).load(policy.state())

    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            ("decisions", -1, "must be a count"),
            ("decisions", "many", "must be numbers"),
            ("table_states", ["a", "a"], "each of them once"),
            ("table_states", ["a"], "don't go with"),
            ("table_q", np.full((3, 2), np.nan), "finite"),
            ("table_visits", np.full((3, 2), -1), "don't go with"),
            ("table_visits", np.full((3, 2), 0.5), "int64"),
            ("slates", np.array([1, 1]), "once each"),
            ("open_users", [1], "list of texts"),
            ("open_users", ["ann"], "a state each"),
            ("open_states", [], "a state each"),
            ("open_times", np.zeros(7), "need a slate, a time"),
            ("open_actions", np.full(3, 2), "from 0 to 1"),
        ],
    )
    def test_rubbish_is_refused_and_changes_nothing(self, name: str, value: Any, said: str) -> None:
        policy = Tuner(observe=PLACE, knobs=MOVES, episode_minutes=1e5)
        policy.learn(random_log(policy, 1).outcomes())
        state = dict(policy.state())
        assert len(state["open_users"]) == 3
        digest = state_digest(state)
        with pytest.raises(ValueError, match=said):
            policy.load(state | {name: value})
        assert state_digest(policy.state()) == digest

    def test_both_keep_the_contract(self) -> None:
        assert check_component(Tuner, quiet=True) > 100
        assert check_component(Tuner, quiet=True, observe=PLACE, knobs=MOVES, reward="mean", gamma=0) > 100
        every_form: list[dict[str, Any]] = [
            {},
            {"words": "tags"},
            {"fields": ("price",), "cuts": {"price": (0, 50)}, "every": 3},
        ]
        for options in every_form:
            assert check_component(Adjuster(**options), quiet=True) > 100


ELSEWHERE = """
import json, sys
import numpy as np
from tastemaker.core import Outcomes
from tastemaker.core.agent import state_digest
from tastemaker.policies import q_learning

found = []
for name, options, lines in json.load(sys.stdin):
    policy = getattr(q_learning, name)(**options)
    column = {key: [line[key] for line in lines] for key in lines[0]}
    reward = np.array(column["reward"])
    policy.learn(Outcomes(
        column["user"], column["item"], column["slate"], reward, reward, np.array(column["first"]),
        np.ones(len(lines)), np.zeros(len(lines), dtype=np.int32), np.array(column["time"]),
        [{}] * len(lines), column["memo"],
    ))
    found.append(state_digest(policy.state()))
print(json.dumps(found))
"""
"""What another process makes of the same outcomes."""


SONGS = Catalog(ItemSchema({"energy": "number", "loud": "number", "genre": "category", "moods": "tags"}))
SONGS.put(
    [
        (f"i{n}", {"energy": n / 11, "genre": "Folk" if n % 2 else "rock", "moods": ["calm", "sad"][n % 2 :]})
        for n in range(12)
    ]
)
SONGS.put([("i12", {})])
KINDS: Any = {"observe": PLACE, "fields": ["energy"], "words": "genre", "buffer": 40}


def ranked(
    policy: Adjuster, place: str = "a", rows: Sequence[int] = range(13)
) -> tuple[NDArray[np.float64], list[Any]]:
    """Scores of songs, and the memo that each would come back with."""
    snapshot = SONGS.snapshot()
    asked = context_of(snapshot, situation={"place": place})
    candidates = Candidates(snapshot, np.array(rows, dtype=np.intp))
    scores = policy.rank(asked, candidates)
    kinds = candidates.memo["kind"].tolist()
    return np.asarray(scores), [dict(asked.memo) | {"kind": kind} for kind in kinds]


def shown_at_random(policy: Adjuster, seed: int, count: int = 120) -> Log:
    rng, log = np.random.default_rng(seed), Log()
    memos = {place: ranked(policy, place)[1] for place in "abc"}
    for number in range(count):
        item, place = int(rng.integers(13)), "abc"[rng.integers(3)]
        if log.lines and rng.random() < 0.2:
            line = log.lines[int(rng.integers(len(log.lines)))]
            log.add(float(rng.normal()), line["memo"], slate=line["slate"], item=line["item"], first=False)
        else:
            log.add(float(rng.normal()), memos[place][item], slate=f"s{number % 7}", item=f"i{item}")
    return log


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


SHOP = """
version: 1
store: sqlite:///{folder}/store.db
domains:
  shop:
    extends: products
    sources:
      similar: {{limit: 400}}
      popular: {{enabled: false}}
      liked: {{enabled: false}}
    scorers: {{category: {{enabled: false}}, price: {{enabled: false}}, new: {{enabled: false}}}}
    policies:
      taste: {{enabled: false}}
      context: {{enabled: false}}
      together: {{enabled: false}}
      tuner:
        use: q_learning.tuner
        observe: [{{situation: mood, among: [curious, set]}}]
        knobs:
          price: null
          diversity: null
          variety: {{low: {{slate.diversity: 0}}, high: {{slate.diversity: 0.8}}}}
          length: {{short: {{sources.similar.limit: 150}}, long: {{sources.similar.limit: 300}}}}
        alpha: 0.2
        gamma: 0.95
        reward: null
        initial: 2
        anneal: 60
        episode_minutes: 60
      adjuster: {{use: q_learning.adjuster, weight: 0.05, fields: [price], words: category}}
    filters: {{dismissed: {{enabled: false}}}}
    rewards: {{seen: 0, click: 1, dismiss: -1}}
    slate: {{explore: 0, max_per: {{category: 50}}, deadline_ms: 20000}}
"""


def test_a_real_shop_learns_who_wants_variety_and_a_replay_of_its_log_comes_to_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = map(uuid.UUID, map("{:032x}".format, itertools.count()))
    monkeypatch.setattr(uuid, "uuid4", lambda: next(ids))
    path = tmp_path / "config.yaml"
    path.write_text(SHOP.format(folder=tmp_path))
    clock = ManualClock(NOW)
    turned: list[tuple[str, float, str]] = []

    async def visit(orchestrator: Orchestrator, number: int) -> None:
        """The curious like to see many categories; those whose mind is set take offence at every one."""
        mood = ("curious", "set")[number % 2]
        request = Request(f"user-{number % 6}", situation={"mood": mood})
        slate = await orchestrator.recommend("shop", request)
        assert not slate.degraded
        memo = slate.memo_of("tuner")
        assert slate.knobs["slate.diversity"] == {"low": 0, "high": 0.8}[memo["action"]["variety"]]
        assert slate.knobs["sources.similar.limit"] == {"short": 150, "long": 300}[memo["action"]["length"]]
        turned.append((mood, memo["propensity"], memo["action"]["variety"]))
        clock.advance(10)
        snapshot = orchestrator.agent("shop").catalog.snapshot()
        first_of = {
            str(snapshot.item(snapshot.row(pick.item))["category"]): pick.item for pick in slate.picks
        }
        kind = "click" if mood == "curious" else "dismiss"
        deeds = [
            Interaction(f"{number} {item}", "shop", request.user, item, kind, clock(), slate=slate.id)
            for item in first_of.values()
        ]
        await orchestrator.record(deeds)
        clock.advance(3 * 3600)
        orchestrator.learn()

    async def life() -> None:
        async with Orchestrator(load(path), clock=clock, follow=False) as orchestrator:
            for user in range(6):
                await orchestrator.put_profile(f"user-{user}", {"interests": ["kitchen"]})
            for number in range(120):
                await visit(orchestrator, number)
            agent, fold = orchestrator.agent("shop"), orchestrator.folds["shop"]
            slate = await orchestrator.recommend("shop", Request("ann", situation={"mood": "curious"}))
            tuner, adjuster = agent.policies["tuner"], agent.policies["adjuster"]
            assert tuner.component.explain("", slate.memo_of("tuner")).startswith(
                "in the state mood=curious, "
            )
            assert " for somebody unknown" in adjuster.component.explain(
                slate.picks[0].item, slate.memo_of("adjuster", 0)
            )
            orchestrator.learn()
            digests = [state_digest(each.state()) for each in (tuner, adjuster)]
            entries = orchestrator.store.read(0, limit=10_000)
            fold.forget()
            assert state_digest(tuner.state()) != digests[0]
            for start in range(0, len(entries), 17):
                piece = entries[start : start + 17]
                fold.take(piece, piece[-1].position)
            assert [state_digest(each.state()) for each in (tuner, adjuster)] == digests

    asyncio.run(life())
    for mood, wanted in (("curious", "high"), ("set", "low")):
        late = [choice for asked, _, choice in turned[-60:] if asked == mood]
        assert late.count(wanted) >= 25, (mood, late)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("{use: q_learning.tuner, knobs: {x: {a: {slate.explor: 1}, b: {}}}}", "no knob is called 'slate.explor'"),
        ("{use: q_learning.tuner, knobs: {x: {a: {slate.explore: 1.5}, b: {}}}}", "'slate.explore' must be at most 1"),
        ("{use: q_learning.tuner, knobs: {x: {a: {sources.simlar.limit: 5}, b: {}}}}", "mean 'sources.similar.limit'?"),
        ("{use: q_learning.tuner, knobs: {x: {a: {slate.explore: 1}}}}", "'x' needs two levels at least"),
        ("{use: q_learning.tuner, observe: [{trait: openness, situation: mood}]}", "this has trait and situation"),
        ("{use: q_learning.tuner, observe: [{trat: openness}]}", "no key is called 'trat'"),
        ("{use: q_learning.tuner, reward: total}", "must be 'sum' or 'mean'"),
        ("{use: q_learning.adjuster, fields: [prize]}", "'prize', which is no field of the items; did you mean"),
        ("{use: q_learning.adjuster, words: title}", "needs a field of the type category or tags"),
        ("{use: q_learning.adjuster, cuts: {prize: [1, 2]}}", "'prize', which is no field of the items"),
    ],
)  # fmt: skip
def test_a_config_that_makes_no_sense_is_told_what_would(tmp_path: Path, options: str, said: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        f"version: 1\ndomains:\n  shop:\n    extends: products\n    policies: {{learned: {options}}}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert said in str(caught.value)
    assert "config.yaml:5:" in str(caught.value)
