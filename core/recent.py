"""What sources proposed a short time ago: the same question needn't be asked, and its answer put together, again."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .catalog.catalog import CatalogSnapshot

_MOST = 2000

_Key = tuple[str, Hashable]


class Recent:
    """The recent proposals of one domain in this process, the least used forgotten first. Safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._proposals: OrderedDict[_Key, _Proposal] = OrderedDict()
        self._forgotten = 0

    def question(self, step: str, key: Hashable, now: float, catalog: CatalogSnapshot) -> "Question":
        """What a component is asked at a time, in seconds since the epoch."""
        with self._lock:
            found, forgotten = self._proposals.get((step, key)), self._forgotten
            if found is not None:
                self._proposals.move_to_end((step, key))
        rows = found.rows(catalog) if found is not None and now < found.until else None

        def remember(ids: Iterable[str], seconds: float) -> None:
            with self._lock:
                if forgotten == self._forgotten:
                    self._proposals[step, key] = _Proposal(tuple(ids), now + seconds)
                    self._proposals.move_to_end((step, key))
                    while len(self._proposals) > _MOST:
                        self._proposals.popitem(last=False)

        return Question(rows, remember)

    def forget(self) -> None:
        """Forget everything, also what is still being found."""
        with self._lock:
            self._proposals.clear()
            self._forgotten += 1


@dataclass(frozen=True, slots=True)
class Question:
    """What a component is asked.

    rows: what it proposed a short time ago, best first; None where that was nothing, was too long ago, or isn't in the
    catalogue as a whole.
    remember: takes the ids of what it proposes now, and for how many seconds that is the answer to the same question.
    """

    rows: NDArray[np.intp] | None
    remember: Callable[[Iterable[str], float], None]


class _Proposal:
    """Ids, and their rows once the catalogue has all of them."""

    __slots__ = ("_ids", "_of", "_rows", "until")

    def __init__(self, ids: tuple[str, ...], until: float) -> None:
        self._ids, self.until = ids, until
        self._of: object = None
        self._rows = np.empty(0, dtype=np.intp)

    def rows(self, catalog: CatalogSnapshot) -> NDArray[np.intp] | None:
        if self._of is not catalog.identity:
            rows = catalog.rows(self._ids)
            if (rows < 0).any():
                return None
            self._of, self._rows = catalog.identity, rows
        # What a later snapshot has learned is not in an earlier one.
        known = self._rows < len(catalog)
        return self._rows if known.all() and catalog.alive[self._rows].all() else None
