"""What tabular policies keep: values by state and action, who saw what last, outcomes to be learned from again."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class QTable:
    """Values and visits by state and action. Of more than `most` states, that which was left longest is forgotten.

    q: shape (rows, actions). visits: how often each was tried, shape (rows, actions).

    >>> table = QTable(actions=2, most=1, initial=1.0)
    >>> row, fresh = table.learned("calm")
    >>> table.q[row, 0] = 0.5
    >>> table.learned("calm"), table.states, table.values("calm").tolist(), table.values("party").tolist()
    ((0, False), ['calm'], [0.5, 1.0], [1.0, 1.0])
    """

    def __init__(self, actions: int, most: int, initial: float = 0.0) -> None:
        self.q = np.full((16, actions), initial)
        self.visits = np.zeros((16, actions), dtype=np.int64)
        self._untried = np.full(actions, initial)
        self._untried.flags.writeable = False
        self._most = most
        self._rows: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def states(self) -> list[str]:
        """All states, that which was left longest first."""
        return list(self._rows)

    def row(self, state: str) -> int:
        """The row of a state, -1 where nothing was learned of it."""
        return self._rows.get(state, -1)

    def values(self, state: str) -> Floats:
        """What the actions are worth in a state, shape (actions,); to be read only."""
        row = self._rows.get(state)
        values: Floats = self._untried if row is None else self.q[row]
        return values

    def of(self, states: Sequence[str]) -> Floats:
        """What the first action is worth in some states, NaN where nothing was learned, shape (n,)."""
        rows = np.array([self._rows.get(state, -1) for state in states], dtype=np.intp)
        return np.where(rows >= 0, self.q[rows, 0], np.nan)

    def add(self, row: int, change: float, action: int = 0) -> None:
        """Change a value; nothing happens where the row is -1."""
        if row >= 0:
            self.q[row, action] += change

    def learned(self, state: str) -> tuple[int, bool]:
        """The row of a state that is learned of, and whether it is new; the row may have been another state's."""
        row = self._rows.pop(state, None)
        if row is not None:
            self._rows[state] = row
            return row, False
        if len(self._rows) >= self._most:
            row = self._rows.pop(next(iter(self._rows)))
        else:
            row = len(self._rows)
            if row == len(self.q):
                self.q = np.concatenate((self.q, np.empty_like(self.q)))
                self.visits = np.concatenate((self.visits, np.empty_like(self.visits)))
        self.q[row], self.visits[row] = self._untried, 0
        self._rows[state] = row
        return row, True

    def places(self) -> NDArray[np.intp]:
        """By row, the state's place in `states`, and one -1 more at the end."""
        places = np.full(len(self._rows) + 1, -1, dtype=np.intp)
        places[list(self._rows.values())] = np.arange(len(self._rows))
        return places

    def tried(self, state: str, names: Sequence[str]) -> dict[str, dict[str, float]]:
        """By name of the action, value `q` and `visits` of those that were tried in a state."""
        row = self._rows[state]
        q, visits = self.q[row].tolist(), self.visits[row].tolist()
        return {
            name: {"q": q[place], "visits": visits[place]}
            for place, name in enumerate(names)
            if visits[place]
        }

    def statistics(self) -> dict[str, float]:
        """How many states there are, and of the values that were tried: how often, mean, least and most."""
        rows = list(self._rows.values())
        q, visits = self.q[rows], self.visits[rows]
        tried = q[visits > 0]
        found = {"states": float(len(rows)), "visits": float(visits.sum())}
        if len(tried):
            found |= {
                "q_mean": float(tried.mean()),
                "q_least": float(tried.min()),
                "q_most": float(tried.max()),
            }
        return found

    def state(self, name: str) -> dict[str, Any]:
        """All of it, its names beginning with `name`."""
        rows = list(self._rows.values())
        return {f"{name}_states": self.states, f"{name}_q": self.q[rows], f"{name}_visits": self.visits[rows]}

    def load(self, name: str, state: Mapping[str, Any]) -> None:
        """Become what `state` gave. Raises ValueError where it doesn't fit; then nothing has changed."""
        states = texts(state, f"{name}_states")
        q, visits = numbers(state, f"{name}_q", np.float64), numbers(state, f"{name}_visits", np.int64)
        if len(set(states)) < len(states) or len(states) > self._most:
            raise ValueError(f"{name}_states must be at most {self._most} texts, each of them once")
        shape = (len(states), self.q.shape[1])
        if q.shape != shape or visits.shape != shape or (visits < 0).any():
            raise ValueError(
                f"{name}: {len(states)} states don't go with values {q.shape}, visits {visits.shape}"
            )
        room = np.zeros((16, shape[1]))
        self.q, self.visits = np.concatenate((q, room)), np.concatenate((visits, room.astype(np.int64)))
        self._rows = {text: row for row, text in enumerate(states)}


@dataclass(slots=True)
class Decision:
    """A slate whose successor isn't known yet: its key and time, state and action, and what it earned so far."""

    slate: int
    time: float
    state: str
    action: int
    reward: float


class Episodes:
    """The users' last slates, each open until it is known what follows, and the slates that have had an outcome.

    gap: seconds after a slate in which the user's next one still follows from it; a slate's first outcome is taken
    to come within as many. most: users and slates kept in mind.
    """

    def __init__(self, gap: float, most: int) -> None:
        self._gap = gap
        self._most = most
        self._begun: dict[int, None] = {}
        self._open: dict[str, Decision] = {}

    def ended(self, now: float) -> Iterator[Decision]:
        """The slates that nothing follows any more at a time of the log; beyond `most`, the oldest as well."""
        while self._open:
            user, oldest = next(iter(self._open.items()))
            if len(self._open) <= self._most and now <= oldest.time + 2 * self._gap:
                return
            del self._open[user]
            yield oldest

    def earned(self, user: str, slate: int, reward: float) -> bool:
        """Add to the reward of the user's open slate; False where the slate is another."""
        last = self._open.get(user)
        if last is None or last.slate != slate:
            return False
        last.reward += reward
        return True

    def begins(self, slate: int) -> bool:
        """Whether this is the first that is heard of a slate."""
        if slate in self._begun:
            return False
        if len(self._begun) >= self._most:
            del self._begun[next(iter(self._begun))]
        self._begun[slate] = None
        return True

    def followed(self, user: str, decision: Decision) -> tuple[Decision, str | None] | None:
        """Open a user's new slate. The one that is thereby closed, and the state that followed it in its episode.

        That is the user's last slate, or this one itself where it is older than that.
        """
        last = self._open.get(user)
        if last is not None and decision.time < last.time:
            return decision, self._following(decision, last)
        self._open.pop(user, None)
        self._open[user] = decision
        return None if last is None else (last, self._following(last, decision))

    def _following(self, one: Decision, other: Decision) -> str | None:
        return other.state if other.time - one.time <= self._gap else None

    def state(self) -> dict[str, Any]:
        """All of it."""
        opened = list(self._open.values())
        return {
            "slates": np.array(list(self._begun), dtype=np.int64),
            "open_users": list(self._open),
            "open_slates": np.array([each.slate for each in opened], dtype=np.int64),
            "open_times": np.array([each.time for each in opened], dtype=np.float64),
            "open_states": [each.state for each in opened],
            "open_actions": np.array([each.action for each in opened], dtype=np.int64),
            "open_rewards": np.array([each.reward for each in opened], dtype=np.float64),
        }

    def load(self, state: Mapping[str, Any], actions: int) -> None:
        """Become what `state` gave; actions: how many there are. Raises ValueError where it doesn't fit."""
        slates = numbers(state, "slates", np.int64)
        users, states = texts(state, "open_users"), texts(state, "open_states")
        columns = [
            numbers(state, f"open_{name}", kind)
            for name, kind in (
                ("slates", np.int64),
                ("times", np.float64),
                ("actions", np.int64),
                ("rewards", np.float64),
            )
        ]
        if slates.ndim != 1 or len(np.unique(slates)) < len(slates) or len(slates) > self._most:
            raise ValueError(f"slates must be there once each, at most {self._most}")
        if len(set(users)) < len(users) or len(states) != len(users):
            raise ValueError("open_users must be there once each, with a state each")
        if any(column.shape != (len(users),) for column in columns):
            raise ValueError(f"{len(users)} open_users need a slate, a time, an action and a reward each")
        keys, times, chosen, rewards = (column.tolist() for column in columns)
        if any(not 0 <= action < actions for action in chosen):
            raise ValueError(f"open_actions must be from 0 to {actions - 1}")
        self._begun = dict.fromkeys(slates.tolist())
        opened = map(Decision, keys, times, states, chosen, rewards)
        self._open = dict(zip(users, opened, strict=True))


class Replay:
    """The last outcomes, a ring of them, to be learned from again.

    taken: outcomes so far.
    """

    def __init__(self, size: int) -> None:
        self.taken = 0
        self._size = size
        self._rows = np.full((size, 2), -1, dtype=np.int64)  # of the kind and of the place; -1 forgotten
        self._rewards = np.zeros(size)
        self._keys = np.zeros(size, dtype=np.int64)
        self._at: dict[int, int] = {}

    def add(self, key: int, row: int, place: int, reward: float) -> None:
        """Take an outcome in; the oldest goes when there is no room."""
        at = self.taken % self._size
        if self.taken >= self._size and self._at.get(old := int(self._keys[at])) == at:
            del self._at[old]
        self._rows[at], self._rewards[at], self._keys[at] = (row, place), reward, key
        self._at[key] = at
        self.taken += 1

    def correct(self, key: int, change: float) -> None:
        """The reward of an outcome has changed."""
        at = self._at.get(key)
        if at is not None:
            self._rewards[at] += change

    def forget(self, row: int | None, place: int | None) -> None:
        """These rows are another's from now on."""
        for column, one in enumerate((row, place)):
            if one is not None:
                used = self._rows[: self.taken]
                used[used[:, column] == one] = -1

    def sample(self, size: int, seed: int) -> Iterator[tuple[int, int, float]]:
        """Outcomes drawn with replacement: row of the kind, row of the place (-1 forgotten), reward.

        The bits are those of a generator whose stream never changes (numpy's NEP 19), modulo what is held: at most
        10⁶ of 2⁶⁴.
        """
        held = min(self.taken, self._size)
        drawn = np.random.PCG64([seed, self.taken]).random_raw(size) % np.uint64(held)
        at = drawn.astype(np.int64)
        yield from zip(*self._rows[at].T.tolist(), self._rewards[at].tolist(), strict=True)

    def state(self, kinds: NDArray[np.intp], places: NDArray[np.intp]) -> dict[str, Any]:
        """All of it; kinds, places: by row of the tables, the place that its state is written at."""
        held = min(self.taken, self._size)
        rows = self._rows[:held]
        return {
            "replay_taken": self.taken,
            "replay_rows": np.stack((kinds[rows[:, 0]], places[rows[:, 1]]), axis=1).astype(np.int64),
            "replay_rewards": self._rewards[:held],
            "replay_keys": self._keys[:held],
        }

    def load(self, state: Mapping[str, Any], kinds: int, places: int) -> None:
        """Become what `state` gave; kinds, places: rows of the tables. Raises ValueError where it doesn't fit."""
        taken = count(state, "replay_taken")
        rows, keys = numbers(state, "replay_rows", np.int64), numbers(state, "replay_keys", np.int64)
        rewards = numbers(state, "replay_rewards", np.float64)
        held = min(taken, self._size)
        if rows.shape != (held, 2) or rewards.shape != (held,) or keys.shape != (held,):
            raise ValueError(f"a replay buffer that took {taken} has {held} rows, rewards and keys")
        if (rows < -1).any() or (rows >= (kinds, places)).any() or ((rows < 0).sum(axis=1) == 1).any():
            raise ValueError("replay_rows must be rows of the tables, or -1")
        self.taken = taken
        self._rows[:held], self._rewards[:held], self._keys[:held] = rows, rewards, keys
        order = np.roll(np.arange(held), -(taken % held if held else 0))  # a key's newest place counts
        self._at = {int(keys[at]): int(at) for at in order}


def key_of(text: str) -> int:
    """A number for a text, of 64 bits: in memory and in a state it takes less room."""
    return int.from_bytes(
        hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "little", signed=True
    )


def texts(state: Mapping[str, Any], name: str) -> list[str]:
    """A list of texts out of a policy's state. Raises ValueError where it isn't there or isn't that."""
    found = state.get(name)
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise ValueError(f"{name} must be a list of texts")
    return list(found)


def numbers(state: Mapping[str, Any], name: str, dtype: type[np.generic]) -> NDArray[Any]:
    """An array of finite numbers out of a policy's state, copied. Raises ValueError where it is no such thing."""
    try:
        raw = np.array(state[name])
        found = raw.astype(dtype)
    except KeyError:
        raise ValueError(f"the state has no {name!r}") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} must be numbers: {error}") from None
    if raw.dtype.kind not in "biuf" or not np.isfinite(found).all() or not np.array_equal(raw, found):
        raise ValueError(f"{name} must be finite numbers of the type {np.dtype(dtype)}")
    return found


def count(state: Mapping[str, Any], name: str) -> int:
    """A count out of a policy's state. Raises ValueError where it isn't there or isn't that."""
    found = numbers(state, name, np.int64)
    if found.shape != () or found < 0:
        raise ValueError(f"{name} must be a count")
    return int(found)
