"""Arms: the items that a policy has learned something about, numbered from 1; 0 is the arm nobody has tried."""

import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .candidates import Candidates
from .catalog.catalog import CatalogSnapshot


class Arms:
    """Numbers for item ids, and a fast way from candidates to them.

    A policy keeps its statistics in arrays indexed by arm; entry 0 is the prior of every untried item. One thread
    may learn while others look up.

    >>> arms = Arms()
    >>> arms.learned(["emma", "dune", "emma"]).tolist()
    [1, 2, 1]
    >>> len(arms), arms.ids, arms.known(["dune", "it"]).tolist()
    (2, ['emma', 'dune'], [2, 0])
    """

    def __init__(self, ids: Sequence[str] = ()) -> None:
        self._ids = list(ids)
        self._arms = {identity: arm for arm, identity in enumerate(self._ids, start=1)}
        self._of_row = np.empty(0, dtype=np.int32)
        self._indexed = 0
        self._identity: object = None
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def ids(self) -> list[str]:
        """The ids of the arms from 1 on."""
        return list(self._ids)

    def learned(self, ids: Sequence[str]) -> NDArray[np.intp]:
        """The arms of ids, made where they are new, shape (n,)."""
        found = np.empty(len(ids), dtype=np.intp)
        arms = self._arms
        for place, identity in enumerate(ids):
            arm = arms.get(identity)
            if arm is None:
                arm = len(self._ids) + 1
                arms[identity] = arm
                self._ids.append(identity)
            found[place] = arm
        return found

    def known(self, ids: Sequence[str]) -> NDArray[np.intp]:
        """The arms of ids, 0 where nothing was learned, shape (n,)."""
        arms = self._arms
        return np.array([arms.get(identity, 0) for identity in ids], dtype=np.intp)

    def of(self, candidates: Candidates) -> NDArray[np.int32]:
        """The arms of candidates, 0 where nothing was learned, shape (n,)."""
        catalog = candidates.catalog
        if (
            self._indexed < len(self._ids)
            or len(self._of_row) < len(catalog)
            or self._identity is not catalog.identity
        ):
            with self._lock:
                self._index(catalog)
        return self._of_row[candidates.rows]

    def _index(self, catalog: CatalogSnapshot) -> None:
        # A row never changes its item, so only new rows and new arms have to be looked up.
        if self._identity is not catalog.identity:
            self._of_row, self._indexed = np.empty(0, dtype=np.int32), 0
        arms = len(self._ids)
        start = len(self._of_row)
        if len(catalog) > start:
            fresh = self.known(catalog.ids[start:].tolist()).astype(np.int32)
            self._of_row = np.concatenate((self._of_row, fresh))
        if arms > self._indexed:
            numbers = np.arange(self._indexed + 1, arms + 1, dtype=np.int32)
            rows = catalog.numbers(self._ids[self._indexed : arms])
            held = (rows >= 0) & (rows < len(self._of_row))
            self._of_row[rows[held]] = numbers[held]
            self._indexed = arms
        self._identity = catalog.identity
