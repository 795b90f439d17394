"""Experience replay (Lin 1992): the latest outcomes, the slates they belong to, and which slate each user got next.

An outcome is a transition of a Markov decision process: state and action are the features that were logged when the
slate was made, and the next state is that of the user's next slate. Slates are put in order by the time they were
made, however late their outcomes come, so that a transition's next state is looked up when it is needed: it may
come long after the outcome, and a slate in between later still.

A user who doesn't come back within `patience` seconds has left: that transition ends its episode.
"""

from bisect import insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import array_of

Codes = NDArray[np.int16]
Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

_FIRST_ROOM = 64


@dataclass(frozen=True, slots=True)
class Shown:
    """A slate as it was logged.

    time: when it was made, seconds since the epoch. state: its own features, shape (h,). choices: features of the
    items that were best for it, shape (at most m, w).
    """

    id: str
    user: str
    time: float
    state: Codes
    choices: Codes


class Replay:
    """The latest `capacity` transitions.

    width: w, features of an item; state: h, features of a slate; choices: m, the most items that a slate notes.
    """

    def __init__(self, capacity: int, width: int, state: int, choices: int, patience: float) -> None:
        self.capacity, self.patience = capacity, patience
        self.count = 0  # of all transitions that ever came
        self.latest = 0.0  # the log's time
        self.x: Codes = np.zeros((0, width), dtype=np.int16)
        self.reward: Floats = np.zeros(0)
        self.slate: Rows = np.zeros(0, dtype=np.intp)
        self._items: list[str] = []
        # Slates stand in slots that are used again, the lowest free one first, when their last transition is gone.
        self.states: Codes = np.zeros((0, state), dtype=np.int16)
        self.choices: Codes = np.zeros((0, choices, width), dtype=np.int16)
        self.chosen: Rows = np.zeros(0, dtype=np.intp)  # how many choices there are
        self.times: Floats = np.zeros(0)
        self.following: Rows = np.zeros(0, dtype=np.intp)  # the slot of the user's next slate, or -1
        self._uses: Rows = np.zeros(0, dtype=np.intp)
        self._ids: list[str] = []
        self._users: list[str] = []
        self._index()

    def __len__(self) -> int:
        return len(self._items)

    def add(self, shown: Shown, item: str, x: Codes, reward: float, now: float) -> None:
        """Take a transition in, in place of the oldest where there is no room.

        x: features of the item, shape (w,). now: the log's time. Of an item whose outcome is known, the reward changes.
        """
        self.latest = max(self.latest, now)
        if self.correct(shown.id, item, reward):
            return
        place = self.count % self.capacity
        if place < len(self):
            self._drop(place)
            self._items[place] = item
        else:
            self._items.append(item)
            self._grow("x", "reward", "slate", length=len(self))
        slot = self._slots.get(shown.id)
        if slot is None:
            slot = self._placed(shown)
        self.x[place], self.reward[place], self.slate[place] = x, reward, slot
        self._uses[slot] += 1
        self._known[shown.id, item] = place
        self.count += 1

    def correct(self, slate: str, item: str, reward: float) -> bool:
        """Change what an outcome was worth; False where it isn't remembered."""
        place = self._known.get((slate, item))
        if place is not None:
            self.reward[place] = reward
        return place is not None

    def ready(self) -> Rows:
        """The transitions whose next state is known, or is that the user left; their places, ascending."""
        slots = self.slate[: len(self)]
        left = self.latest - self.times > self.patience
        return np.flatnonzero((self.following >= 0)[slots] | left[slots])

    def after(self, slots: Rows) -> Rows:
        """The slots of the slates after some, -1 where the user left first."""
        following = self.following[slots]
        waited = self.times[following] - self.times[slots]
        return np.where((following >= 0) & (waited <= self.patience), following, -1)

    def state(self) -> dict[str, Any]:
        """All of it."""
        slots, places = len(self._ids), len(self)
        return {
            "replay_clock": np.array([self.count, self.latest]),
            "replay_x": self.x[:places].copy(),
            "replay_reward": self.reward[:places].copy(),
            "replay_slate": self.slate[:places].astype(np.int64),
            "replay_items": list(self._items),
            "slate_ids": list(self._ids),
            "slate_users": list(self._users),
            "slate_times": self.times[:slots].copy(),
            "slate_states": self.states[:slots].copy(),
            "slate_choices": self.choices[:slots].copy(),
            "slate_chosen": self.chosen[:slots].astype(np.int64),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Become what `state` gave. Raises ValueError where it doesn't fit; then it is of no use any more."""
        items, ids, users = (texts_of(state, name) for name in ("replay_items", "slate_ids", "slate_users"))
        clock = _shaped(state, "replay_clock", np.float64, (2,))
        self.count, self.latest = int(clock[0]), float(clock[1])
        if len(items) != min(self.count, self.capacity) or len(ids) != len(users) or len(ids) > len(items):
            raise ValueError(
                f"{len(items)} outcomes of {len(ids)} slates of {len(users)} users don't go together, of {self.count}"
            )
        many, slots = len(items), len(ids)
        self._items, self._ids, self._users = items, ids, users
        self.x = _shaped(state, "replay_x", np.int16, (many, *self.x.shape[1:]))
        self.reward = _shaped(state, "replay_reward", np.float64, (many,))
        self.slate = _shaped(state, "replay_slate", np.intp, (many,))
        self.times = _shaped(state, "slate_times", np.float64, (slots,))
        self.states = _shaped(state, "slate_states", np.int16, (slots, *self.states.shape[1:]))
        self.choices = _shaped(state, "slate_choices", np.int16, (slots, *self.choices.shape[1:]))
        self.chosen = _shaped(state, "slate_chosen", np.intp, (slots,))
        if many and not 0 <= self.slate.min() <= self.slate.max() < slots:
            raise ValueError(f"replay_slate must name slates from 0 to {slots - 1}")
        if slots and not 1 <= self.chosen.min() <= self.chosen.max() <= self.choices.shape[1]:
            raise ValueError(f"slate_chosen must lie between 1 and {self.choices.shape[1]}")
        self._index()
        if len(self._known) < many or len(self._slots) < slots - len(self._free):
            raise ValueError("an outcome or a slate is there twice")

    def _index(self) -> None:
        """All that follows from the rest."""
        slots = len(self._ids)
        self._uses = np.bincount(self.slate[: len(self)], minlength=slots).astype(np.intp)
        self.following = np.full(slots, -1, dtype=np.intp)
        self._free = [slot for slot in range(slots) if not self._uses[slot]]
        heapify(self._free)
        self._slots = {self._ids[slot]: slot for slot in range(slots) if self._uses[slot]}
        self._known = {
            (self._ids[slot], item): place
            for place, (slot, item) in enumerate(zip(self.slate.tolist(), self._items, strict=False))
        }
        self._chains: dict[str, list[tuple[float, str, int]]] = {}
        for identity, slot in self._slots.items():
            chain = self._chains.setdefault(self._users[slot], [])
            chain.append((float(self.times[slot]), identity, slot))
        for chain in self._chains.values():
            chain.sort()
            for (_, _, one), (_, _, other) in pairwise(chain):
                self.following[one] = other

    def _placed(self, shown: Shown) -> int:
        """Give a slate a slot, and its place among the user's others."""
        if self._free:
            slot = heappop(self._free)
            self._ids[slot], self._users[slot] = shown.id, shown.user
        else:
            slot = len(self._ids)
            self._ids.append(shown.id)
            self._users.append(shown.user)
            self._grow("states", "choices", "chosen", "times", "following", "_uses", length=slot + 1)
        self.states[slot] = shown.state
        self.choices[slot] = 0
        self.choices[slot, : len(shown.choices)] = shown.choices
        self.chosen[slot], self.times[slot] = len(shown.choices), shown.time
        self._slots[shown.id] = slot
        chain = self._chains.setdefault(shown.user, [])
        insort(chain, (shown.time, shown.id, slot))
        self._link(chain, chain.index((shown.time, shown.id, slot)))
        return slot

    def _drop(self, place: int) -> None:
        """Forget a transition, and its slate where that was the last one of it."""
        slot = int(self.slate[place])
        identity, user = self._ids[slot], self._users[slot]
        del self._known[identity, self._items[place]]
        self._uses[slot] -= 1
        if self._uses[slot]:
            return
        chain = self._chains[user]
        at = chain.index((float(self.times[slot]), identity, slot))
        del chain[at], self._slots[identity]
        if not chain:
            del self._chains[user]
        elif at:
            self._link(chain, at - 1)
        self._ids[slot] = self._users[slot] = ""
        self.times[slot], self.chosen[slot], self.following[slot] = 0.0, 1, -1
        self.states[slot], self.choices[slot] = 0, 0
        heappush(self._free, slot)

    def _link(self, chain: Sequence[tuple[float, str, int]], at: int) -> None:
        """Say of a slate of a user, and of the one before, which follows."""
        slots = [slot for _, _, slot in chain[max(at - 1, 0) : at + 2]]
        for one, other in pairwise(slots):
            self.following[one] = other
        if at == len(chain) - 1:
            self.following[chain[at][2]] = -1

    def _grow(self, *names: str, length: int) -> None:
        """Make room, by doubling."""
        for name in names:
            array: NDArray[Any] = getattr(self, name)
            if len(array) < length:
                room = min(max(2 * len(array), _FIRST_ROOM), self.capacity)
                more = np.zeros((max(room, length) - len(array), *array.shape[1:]), dtype=array.dtype)
                setattr(self, name, np.concatenate((array, more)))


def texts_of(state: Mapping[str, Any], name: str) -> list[str]:
    """A list of texts out of a state, copied. Raises ValueError where it isn't there or isn't that."""
    found = state.get(name)
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise ValueError(f"{name} must be a list of texts")
    return list(found)


def _shaped(state: Mapping[str, Any], name: str, dtype: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    found = array_of(state, name, dtype)
    if found.shape != shape:
        raise ValueError(f"{name} has the shape {found.shape}, and {shape} would fit")
    return found
