"""The calls of one decision: every component with its own part of the context, in time, and what it gives checked."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..candidates import Candidates
from ..context import Context
from ..slate import Degradation
from .steps import Deadline, Failed, Guard

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_LARGEST = 1e100
"""Scores beyond it are no numbers to reckon with: sums of them would be infinite."""


class Calls:
    """Calls components for one request.

    services: whether they may ask any; those that would are left out otherwise.

    degraded: what failed.
    """

    def __init__(self, context: Context, deadline: Deadline, *, services: bool) -> None:
        self.context = context
        self.degraded: list[Degradation] = []
        self._deadline = deadline
        self._services = services

    async def __call__(self, guard: Guard, *arguments: Any, due: Deadline | None = None) -> Any:
        """What a component gives for this request. Raises Failed."""
        if not self._services and guard.asks:
            why = "left out: services are asked for the requests of users alone"
            self.note(guard.name, why)
            raise Failed(why)
        if guard.in_place:  # nothing else runs meanwhile: it can have the request's own context
            context = self.context
            context.step = guard.name
        else:
            context = self.context.bind(guard.name)
        return await guard.run(due or self._deadline, self.degraded, context, *arguments)

    async def mask(self, guard: Guard, candidates: Candidates) -> Mask | None:
        """Which candidates a filter keeps, shape (n,); None where it can't tell."""
        try:
            keep = await self(guard, candidates)
        except Failed:
            return None
        finally:
            candidates.memo = {}  # it is for policies
        if isinstance(keep, np.ndarray) and keep.dtype == np.bool_ and keep.shape == (len(candidates),):
            return keep
        self.failed(guard, unfit(keep, f"a bool array of shape ({len(candidates)},)"))
        return None

    async def scores(self, guard: Guard, candidates: Candidates, *, draws: bool = False) -> Floats | None:
        """A component's weighted scores, read-only: 0 where they aren't finite, None where they can't be used.

        Shape (n,); with `draws` also (1, n) or (draws, n).
        """
        try:
            raw = await self(guard, candidates)
        except Failed:
            return None
        finally:
            if not draws:  # it is no policy
                candidates.memo = {}
        shape = (len(candidates),)
        fits = isinstance(raw, np.ndarray) and raw.dtype.kind in "fiub" and raw.shape[-1:] == shape
        if not fits or not (
            raw.ndim == 1 or (draws and raw.ndim == 2 and len(raw) in (1, self.context.draws))
        ):
            self.failed(guard, unfit(raw, f"numbers of shape {shape}"))
            return None
        with np.errstate(over="ignore", invalid="ignore"):
            score: Floats = np.multiply(np.asarray(raw), guard.weight, dtype=np.float64)
            sound = np.abs(score).max() <= _LARGEST
        if not sound:
            finite = np.abs(score) <= _LARGEST
            self.failed(guard, f"{int((~finite).sum())} of its scores were not finite: taken as 0")
            score = np.where(finite, score, 0.0)
        score.setflags(write=False)
        return score

    def note(self, component: str, why: str) -> None:
        """Name something in `degraded`."""
        self.degraded.append(Degradation(component, why))

    def failed(self, guard: Guard, why: str, error: BaseException | None = None) -> Failed:
        """Note a component's failure; the exception to raise."""
        return guard.failed(self.degraded, why, error)

    @contextmanager
    def again(self) -> Iterator[None]:
        """Around calls of components that were called before: those that failed then aren't noted twice."""
        noted, known = len(self.degraded), {entry.component for entry in self.degraded}
        yield
        self.degraded[noted:] = [entry for entry in self.degraded[noted:] if entry.component not in known]


def unfit(value: Any, wanted: str) -> str:
    """What is wrong with a value that a component returned."""
    shown = f"{value.dtype} of shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
    return f"returned {shown}, not {wanted}"
