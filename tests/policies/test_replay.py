"""Experience replay: what follows what, in whatever order it is heard of, and what is kept."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tastemaker.core.learning.packing import pack, unpack
from tastemaker.policies.replay import Replay, Shown

HOUR = 3_600.0


def shown(user: str, number: int, choices: int = 2) -> Shown:
    """A user's slate at an hour."""
    features = np.arange(3 * choices, dtype=np.int16).reshape(choices, 3) + number
    state = np.array([number, ord(user)], dtype=np.int16)
    return Shown(f"{user}{number}", user, number * HOUR, state, features)


def replay_of(capacity: int = 100, patience: float = 10 * HOUR) -> Replay:
    return Replay(capacity, width=3, state=2, choices=4, patience=patience)


def add(replay: Replay, user: str, number: int, item: str = "i", reward: float = 0.5, now: float = 0) -> None:
    replay.add(shown(user, number), item, np.full(3, number, dtype=np.int16), reward, now or number * HOUR)


def links(replay: Replay) -> dict[tuple[str, str], str]:
    """Of every transition that can be learned from, the slate that followed: '' where the user left."""
    found = {}
    for place in replay.ready().tolist():
        slot = replay.slate[place]
        after = int(replay.after(np.array([slot]))[0])
        found[replay._ids[slot], replay._items[place]] = replay._ids[after] if after >= 0 else ""
    return found


def test_slates_follow_each_other_however_late_they_are_heard_of() -> None:
    replay = replay_of()
    add(replay, "a", 1)
    add(replay, "a", 5, now=5 * HOUR)
    add(replay, "b", 2, now=5 * HOUR)
    assert links(replay) == {("a1", "i"): "a5"}
    add(replay, "a", 3, now=6 * HOUR)
    assert links(replay) == {("a1", "i"): "a3", ("a3", "i"): "a5"}
    slot = replay._slots["a5"]
    assert replay.states[slot].tolist() == [5, ord("a")]
    assert replay.choices[slot].tolist() == [[5, 6, 7], [8, 9, 10], [0, 0, 0], [0, 0, 0]]
    assert replay.chosen[slot] == 2


def test_who_does_not_come_back_in_time_has_left() -> None:
    replay = replay_of(patience=10 * HOUR)
    add(replay, "a", 1)
    add(replay, "b", 11)
    assert links(replay) == {}
    add(replay, "b", 12)
    assert links(replay) == {("a1", "i"): "", ("b11", "i"): "b12"}
    add(replay, "a", 40)
    assert links(replay) == {("a1", "i"): "", ("b11", "i"): "b12", ("b12", "i"): ""}


def test_an_outcome_can_be_corrected_as_long_as_it_is_known() -> None:
    replay = replay_of(capacity=2)
    add(replay, "a", 1, "i")
    add(replay, "a", 1, "j")
    assert replay.correct("a1", "i", 1.0)
    assert replay.reward[:2].tolist() == [1.0, 0.5]
    add(replay, "a", 2)
    assert not replay.correct("a1", "i", 0.0)
    assert not replay.correct("a9", "i", 0.0)
    add(replay, "a", 2, reward=0.0)  # the same once more is no second one
    assert (len(replay), replay.count) == (2, 3)


events = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 12), st.sampled_from("ijk")), max_size=40, unique=True
)


@given(events, st.integers(1, 12))
def test_it_is_what_a_plain_list_says(heard: list[tuple[str, int, str]], capacity: int) -> None:
    replay = replay_of(capacity, patience=4 * HOUR)
    for place, (user, number, item) in enumerate(heard):
        add(replay, user, number, item, reward=place / 100)
    kept = heard[-capacity:]
    latest = max((number for _, number, _ in heard), default=0)
    expected = {}
    for user, number, item in kept:
        later = [other for who, other, _ in kept if who == user and other > number]
        if later:
            expected[f"{user}{number}", item] = f"{user}{min(later)}" if min(later) - number <= 4 else ""
        elif latest - number > 4:
            expected[f"{user}{number}", item] = ""
    assert links(replay) == expected
    assert sorted(replay.reward[: len(replay)].tolist()) == [
        place / 100 for place in range(len(heard))[-capacity:]
    ]
    assert len(replay._ids) <= capacity
    loaded = replay_of(capacity, patience=4 * HOUR)
    loaded.load(unpack(pack(replay.state())))
    assert links(loaded) == expected
    for one in (replay, loaded):  # both go on alike
        add(one, "a", 13)
        add(one, "c", 2)
    assert links(loaded) == links(replay)
    assert pack(loaded.state()) == pack(replay.state())


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("replay_items", ["i"], "don't go together"),
        ("replay_items", "ij", "must be a list of texts"),
        ("slate_users", ["a"], "don't go together"),
        ("replay_clock", np.array([np.nan, 0]), "must be finite"),
        ("replay_x", np.zeros((3, 2)), r"has the shape \(3, 2\), and \(3, 3\) would fit"),
        ("replay_slate", np.array([0, 1, 2]), "must name slates from 0 to 1"),
        ("replay_slate", np.array([0, 0, -1]), "must name slates from 0 to 1"),
        ("slate_chosen", np.array([1, 5]), "between 1 and 4"),
        ("slate_ids", ["a1", "a1"], "there twice"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(name: str, value: Any, said: str) -> None:
    replay = replay_of()
    add(replay, "a", 1, "i")
    add(replay, "a", 1, "j")
    add(replay, "a", 2, "i")
    state = {**replay.state(), name: value}
    with pytest.raises(ValueError, match=said):
        replay_of().load(state)
