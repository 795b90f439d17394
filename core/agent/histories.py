"""What each user did, newest first, held in memory for those who were here lately."""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..candidates import Candidates
from ..catalog.catalog import CatalogSnapshot

_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Event:
    """One past interaction. reward is NaN where its kind is worth nothing; time: when it happened, in seconds."""

    item: str
    kind: str
    reward: float
    time: float
    position: int


class History:
    """One user's events, newest first, at most `limit` of them."""

    __slots__ = ("_cache", "_events", "_limit")

    def __init__(self, events: Sequence[Event], limit: int) -> None:
        self._limit = limit
        self._events = list(events[:limit])
        # With the events and the catalogue that it was made of: the learner may add an event while it is made.
        self._cache: tuple[list[Event], CatalogSnapshot, NDArray[np.intp], dict[str, NDArray[Any]]] | None = (
            None
        )

    def add(self, event: Event) -> None:
        """Take in a newer event."""
        if not self._events or event.position > self._events[0].position:
            self._events = [event, *self._events][: self._limit]

    def candidates(self, catalog: CatalogSnapshot, now: float) -> Candidates:
        """The items that are in the catalogue, with the columns `reward`, `kind` and `age_days`."""
        events, cache = self._events, self._cache
        if cache is None or cache[0] is not events or cache[1] is not catalog:
            cache = self._cache = (events, catalog, *_columns(events, catalog))
        _, _, rows, columns = cache
        age = np.maximum(now - columns["time"], 0.0) / _DAY
        shown = {"reward": columns["reward"], "kind": columns["kind"], "age_days": age}
        return Candidates(catalog, rows, columns=shown)


def _columns(
    events: Sequence[Event], catalog: CatalogSnapshot
) -> tuple[NDArray[np.intp], dict[str, NDArray[Any]]]:
    """Rows and columns of the events whose items are in the catalogue."""
    rows = catalog.rows(event.item for event in events)
    known = np.flatnonzero(rows >= 0)
    kept = [events[place] for place in known.tolist()]
    kinds = np.empty(len(kept), dtype=object)
    kinds[:] = [event.kind for event in kept]
    columns = {
        "reward": np.array([event.reward for event in kept], dtype=np.float64),
        "kind": kinds,
        "time": np.array([event.time for event in kept], dtype=np.float64),
    }
    return rows[known], columns


class Histories:
    """The histories of the users who were here lately; those of others are read from the log when they come.

    The learner adds events in log order. A history that is being read while events come in gets them, too.
    """

    def __init__(self, limit: int, users: int = 100_000) -> None:
        self.limit = limit
        self._users = users
        self._known: OrderedDict[str, History] = OrderedDict()
        self._loading: dict[str, list[Event]] = {}
        self._lock = threading.Lock()

    def get(self, user: str) -> History | None:
        """A user's history, or None where it has to be read first."""
        with self._lock:
            history = self._known.get(user)
            if history is not None:
                self._known.move_to_end(user)
            return history

    def add(self, user: str, event: Event) -> None:
        """An interaction was folded."""
        with self._lock:
            history = self._known.get(user)
            if history is not None:
                history.add(event)
            elif user in self._loading:
                self._loading[user].append(event)

    def begin(self, user: str) -> None:
        """A history is about to be read: from now on its new events are kept for it."""
        with self._lock:
            self._loading.setdefault(user, [])

    def give_up(self, user: str) -> None:
        """A history could not be read."""
        with self._lock:
            self._loading.pop(user, None)

    def finish(self, user: str, events: Sequence[Event]) -> History:
        """The events that were read, newest first; those that came meanwhile are put before them."""
        with self._lock:
            history = self._known.get(user)
            if history is None:
                history = History(events, self.limit)
                if user not in self._loading:  # everything was forgotten while it was read
                    return history
                self._known[user] = history
                for event in self._loading.pop(user):
                    history.add(event)
                if len(self._known) > self._users:
                    self._known.popitem(last=False)
            return history

    def forget(self, users: Iterable[str] | None = None) -> None:
        """Drop what is held of users, or of everyone."""
        with self._lock:
            if users is None:
                self._known.clear()
                self._loading.clear()
                return
            for user in users:
                self._known.pop(user, None)
                self._loading.pop(user, None)
