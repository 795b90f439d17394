"""A policy at work: its component, the lock that keeps deciding and learning apart, and how far it has learned."""

import copy
import hashlib
import inspect
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import numpy as np

from ..candidates import Candidates
from ..components import Policy, State
from ..config import Step
from ..context import Context
from ..errors import ComponentError
from ..outcomes import Outcomes
from .steps import reason

_log = logging.getLogger("tastemaker.learning")

_BUSY = "it was busy learning"
_PATIENCE = 0.25
"""Seconds that a decision waits for learning in progress before it goes on without the policy."""
_MOMENT = 0.02
"""Seconds that all else may wait for a word that can be done without."""


class LivePolicy:
    """One policy of a running agent.

    withheld: fields of the items that it doesn't get to see, each with the reason.
    position: the log position up to which it has learned.
    broken: why it learns no more, empty while it does: what it failed on is missing from its state, so whatever
    came later would make it no fold of the log. The next start tries again from its last checkpoint.
    """

    def __init__(self, step: Step, withheld: Mapping[str, str] | None = None) -> None:
        assert isinstance(step.component, Policy)
        self.step = step
        self.withheld = withheld or {}
        self.name = step.name
        self.component: Policy = _fresh(step.component)
        self.position = 0
        self.broken = ""
        self.perceives = type(self.component).perceive is not Policy.perceive
        self.tunes = type(self.component).tune is not Policy.tune
        self.proposes = type(self.component).propose is not Policy.propose
        self.ranks = type(self.component).rank is not Policy.rank
        self.tells = type(self.component).insight is not Policy.insight
        self._lock = threading.Lock()
        self._untaught = self.state()

    def guarded(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """The method, run while nothing else of the policy runs, on what the policy may see.

        Raises ComponentError where it has to wait too long.
        """

        async def call_async(*arguments: Any) -> Any:
            until = time.monotonic() + _PATIENCE
            while not self._lock.acquire(blocking=False):
                if time.monotonic() > until:
                    raise ComponentError(_BUSY)
                await anyio.sleep(0.001)
            try:
                seen = self._seen(arguments)
                given = await method(*seen)
                _give_memo(seen, arguments)
                return given
            finally:
                self._lock.release()

        def call(*arguments: Any) -> Any:
            if not self._lock.acquire(timeout=_PATIENCE):
                raise ComponentError(_BUSY)
            try:
                seen = self._seen(arguments)
                given = method(*seen)
                _give_memo(seen, arguments)
                return given
            finally:
                self._lock.release()

        return call_async if inspect.iscoroutinefunction(method) else call

    def _seen(self, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        """Arguments of a method as the policy may see them."""
        return tuple(
            each.for_policy(self.withheld)
            if isinstance(each, Context)
            else each.without(self.withheld)
            if self.withheld and isinstance(each, Candidates)
            else each
            for each in arguments
        )

    def learn(self, outcomes: Outcomes, position: int) -> None:
        """Take in the outcomes that were due up to a log position, unless it is broken."""
        with self._lock:
            if self.broken:
                return
            try:
                if len(outcomes):
                    self.component.learn(outcomes)
            except (Exception, SystemExit) as error:
                self.broken = f"learns no more since log position {self.position}: learn() {reason(error)}"
                _log.exception("the policy %r %s", self.name, self.broken)
                return
            self.position = position

    def state(self) -> State:
        """A copy of all that was learned. Raises ComponentError where the policy can't tell."""
        with self._lock:
            try:
                state: Any = self.component.state()
            except (Exception, SystemExit) as error:
                raise ComponentError(f"the policy {self.name!r}: state() {reason(error)}") from error
            if not isinstance(state, Mapping):
                said = f"state() returned {type(state).__name__}, not a mapping of names to values"
                raise ComponentError(f"the policy {self.name!r}: {said}")
            return copy.deepcopy(dict(state))

    def insight(self, user: str) -> str:
        """What a user's newest outcome changed, in words; empty where it is busy or can't tell."""
        if not (self.tells and self._lock.acquire(timeout=_MOMENT)):
            return ""
        try:
            return str(self.component.insight(user))
        except (Exception, SystemExit) as error:
            _log.warning("the policy %r: insight() %s", self.name, reason(error))
            return ""
        finally:
            self._lock.release()

    def snapshot(self) -> tuple[int, State]:
        """The log position up to which it has learned, and what it learned. Raises ComponentError."""
        while True:
            position = self.position
            state = self.state()
            if position == self.position:  # nothing was learned in between
                return position, state

    def check(self, state: State) -> None:
        """Try a state on a policy of the same options. Raises ValueError where it doesn't fit."""
        try:
            _fresh(self.component).load(copy.deepcopy(dict(state)))
        except (Exception, SystemExit) as error:
            raise ValueError(f"the policy {self.name!r} can't take it: load() {reason(error)}") from error

    def state_now(self) -> State | None:
        """As `state`, but None where the policy is busy learning or can't tell."""
        if not self._lock.acquire(timeout=_PATIENCE):
            return None
        self._lock.release()
        try:
            return self.state()
        except ComponentError:
            return None

    def load(self, state: State, position: int) -> None:
        """Become a saved state. Raises ValueError where it doesn't fit; then nothing has changed."""
        with self._lock:
            self.component.load(state)
            self.position = position
            self.broken = ""

    def forget(self) -> None:
        """Become as if nothing had been learned."""
        self.load(copy.deepcopy(self._untaught), 0)


def _give_memo(seen: tuple[Any, ...], arguments: tuple[Any, ...]) -> None:
    """What a policy wrote on the candidates that it saw belongs to those that they stand for."""
    for one, other in zip(seen, arguments, strict=True):
        if one is not other and isinstance(other, Candidates):
            other.memo = one.memo


def _fresh(policy: Policy) -> Policy:
    """A policy with the same options that has learned nothing: settings may serve several agents."""
    kind = type(policy)
    fields = kind.model_fields
    return kind.model_validate({field.alias or name: getattr(policy, name) for name, field in fields.items()})


def state_digest(state: State) -> str:
    """Sixteen hex digits that are equal just where two states are, to the last bit.

    >>> state_digest({"a": np.zeros(2)}) == state_digest({"a": np.zeros(3)})
    False
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name]
        digest.update(name.encode())
        if isinstance(value, np.ndarray):
            digest.update(f"{value.dtype.str}{value.shape}".encode())
            digest.update(np.ascontiguousarray(value).tobytes())
        else:
            digest.update(repr(value).encode())
    return digest.hexdigest()[:16]
