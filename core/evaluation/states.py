"""States of a policy by the names that people give them."""

from dataclasses import dataclass
from pathlib import Path

from ..agent import LivePolicy
from ..components import State
from ..config import DomainPlan, Step
from ..errors import Conflict, EvaluationError, NotFound, RequestError, did_you_mean
from ..learning.packing import unpack
from ..learning.versions import PolicyVersions, restored, untaught
from ..store import Store

LIVE, UNTAUGHT = "live", "untaught"


@dataclass(frozen=True, slots=True)
class NamedState:
    """A state, and what is known of it.

    policy: None where the name doesn't tell. learned: the log position up to which it has learned; None: unknown.
    """

    name: str
    policy: str | None
    state: State
    learned: int | None


def state_named(store: Store, plan: DomainPlan, name: str) -> NamedState:
    """The state behind `taste@live` (at the end of the log), `taste@3` (a version), `taste@untaught`, or a file.

    A file holds a state as `core.learning.packing` writes it. Raises NotFound, RequestError for a name that is none
    of these, Conflict for a version that doesn't fit the configuration or is damaged and for a policy that has stopped
    learning half-way, EvaluationError for a file that holds no state.
    """
    policy, at, which = name.rpartition("@")
    if at and which == UNTAUGHT:
        return NamedState(name, policy, LivePolicy(_step(plan, policy)).state(), 0)
    if at and which == LIVE:
        return _live(store, plan, name, policy)
    if at and which.isascii() and which.isdigit():
        return _version(store, plan, name, policy, int(which))
    path = Path(name)
    if path.is_file():
        try:
            return NamedState(path.name, None, unpack(path.read_bytes()), None)
        except ValueError as error:
            raise EvaluationError(f"{path}: {error}") from None
    raise RequestError(
        f"{name!r} names no state: write it as POLICY@{LIVE}, POLICY@3, POLICY@{UNTAUGHT}, or as the path of a "
        "saved state"
    )


def _live(store: Store, plan: DomainPlan, name: str, policy: str) -> NamedState:
    _step(plan, policy)
    live = restored(store, plan).agent.policies[policy]
    if live.broken:
        raise Conflict(f"{plan.name}.{policy} {live.broken}: there is no whole state to evaluate")
    position, state = live.snapshot()
    return NamedState(name, policy, state, position)


def _version(store: Store, plan: DomainPlan, name: str, policy: str, number: int) -> NamedState:
    _step(plan, policy)
    version, state = PolicyVersions(store, untaught(store, plan)).fitting(policy, number)
    return NamedState(name, policy, state, version.position)


def _step(plan: DomainPlan, policy: str) -> Step:
    for step in plan.policies:
        if step.name == policy:
            return step
    known = did_you_mean(policy, [step.name for step in plan.policies]) or "; it has none"
    raise NotFound(f"no policy of {plan.name!r} is called {policy!r}{known}")
