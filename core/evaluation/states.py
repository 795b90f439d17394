"""States of a policy by the names that people give them."""

from dataclasses import dataclass
from pathlib import Path

from ..agent import Agent, LivePolicy
from ..catalog import Catalog
from ..components import State
from ..config import DomainPlan, Step
from ..errors import EvaluationError, NotFound, RequestError, did_you_mean
from ..learning import Fold
from ..learning.packing import unpack
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
    """The state behind `taste@live` (the newest checkpoint), `taste@3` (a version), `taste@untaught`, or a file.

    A file holds a state as `core.learning.packing` writes it. Raises NotFound, RequestError for a name that is none
    of these, EvaluationError for a file that holds no state.
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
    fold = Fold(Agent(plan, Catalog(plan.items.schema)))
    found = store.latest_checkpoint(plan.name, policy, fold.digest(fold.agent.policies[policy]))
    if found is None:
        raise NotFound(
            f"{policy!r} of {plan.name!r} has no checkpoint of this configuration: it has learned nothing that was "
            "saved"
        )
    return NamedState(name, policy, unpack(found.state), found.position)


def _version(store: Store, plan: DomainPlan, name: str, policy: str, number: int) -> NamedState:
    _step(plan, policy)
    version = store.versions.one(plan.name, policy, number)
    if version is None:
        raise NotFound(
            f"there is no {name} in {plan.name!r}; tastemaker versions {plan.name} lists what there is"
        )
    packed = store.versions.state(version)
    if packed is None:
        raise EvaluationError(f"{name} is damaged: its checksum is another than when it was kept")
    return NamedState(name, policy, unpack(packed), version.position)


def _step(plan: DomainPlan, policy: str) -> Step:
    for step in plan.policies:
        if step.name == policy:
            return step
    known = did_you_mean(policy, [step.name for step in plan.policies]) or "; it has none"
    raise NotFound(f"no policy of {plan.name!r} is called {policy!r}{known}")
