"""The state of Q-learning: the bits are the same however it came about, and rubbish is refused."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tastemaker.core.agent import state_digest
from tastemaker.core.conformance import check_component
from tastemaker.core.learning.packing import pack, unpack
from tastemaker.policies.q_learning import Adjuster, Tuner

from .logs import MINUTE, MOVES, NOW, PLACE, Log, memo_of
from .songs import KINDS, shown_at_random


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
