"""Versions of a domain's policies: kept states with numbers, and which of them is live."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..agent import Agent, LivePolicy
from ..catalog.catalog import Catalog
from ..components import State
from ..config import DomainPlan
from ..errors import Conflict, NotFound, RequestError, did_you_mean
from ..store import NewVersion, Store, Switch, Version
from .fold import Fold
from .learner import Learner
from .packing import pack, unpack


@dataclass(frozen=True, slots=True)
class Promotion:
    """A policy that became a version.

    before: the number under which the state is kept that was live; None where it could not be kept.
    position: the log position from which every process has it. doubt: what speaks against it; empty where nothing.
    """

    domain: str
    policy: str
    version: int
    before: int | None
    position: int
    doubt: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def untaught(store: Store, plan: DomainPlan) -> Fold:
    """A domain's fold before the log, which is enough to look at versions; its catalogue stays empty."""
    return Fold(Agent(plan, Catalog(plan.items.schema)), versions=store.versions.state)


def restored(store: Store, plan: DomainPlan) -> Fold:
    """A domain's fold at the end of the log, for a process that doesn't serve; its catalogue stays empty."""
    fold = untaught(store, plan)
    Learner(store, {plan.name: fold}, items=lambda _: None, profile=lambda _: None).restore()
    return fold


class PolicyVersions:
    """The versions of one domain. What is live comes from its fold."""

    def __init__(self, store: Store, fold: Fold) -> None:
        self._store, self._fold = store, fold
        self._domain = fold.agent.name
        self._keep = fold.agent.plan.learning.keep_versions

    def all(self, policy: str | None = None) -> list[dict[str, Any]]:
        """What there is to say of each version, newest first. Raises NotFound for an unknown policy."""
        if policy is not None:
            self._live(policy)
        active = self._store.versions.switches(self._domain)
        return [self._facts(version, active) for version in self._store.versions.all(self._domain, policy)]

    def one(self, policy: str, number: int) -> dict[str, Any]:
        """What there is to say of one version, and what it was trained on. Raises NotFound."""
        version = self._version(policy, number)
        facts = self._facts(version, self._store.versions.switches(self._domain))
        run = self._store.runs.one(version.run) if version.run else None
        return facts | {"entries": entries(self._state(version)), "training": run and run.as_dict()}

    def diff(self, policy: str, before: int, after: int) -> dict[str, Any]:
        """What changed from one version to another, entry by entry. Raises NotFound, Conflict."""
        first, second = self._version(policy, before), self._version(policy, after)
        return {
            "domain": self._domain,
            "policy": policy,
            "before": before,
            "after": after,
            "entries": difference(self._state(first), self._state(second)),
        }

    def readable(self, policy: str, number: int) -> dict[str, Any]:
        """A version with its state in plain values: arrays as lists, and the policy's own table where it has one.

        Raises NotFound, Conflict.
        """
        version = self._version(policy, number)
        state = self._state(version)
        facts = self._facts(version, self._store.versions.switches(self._domain))
        plain = {name: _plain(value) for name, value in state.items()}
        trial = LivePolicy(self._live(policy).step)
        table = getattr(trial.component, "table", None)
        if not callable(table) or version.digest != self._fold.digest(trial):
            return facts | {"state": plain}
        try:
            trial.load(state, version.position)
        except ValueError as error:
            raise Conflict(f"{version.name} doesn't fit {self._domain}.{policy}: {error}") from None
        return facts | {"state": plain, "table": _plain(table())}

    def save(self, policy: str, note: str = "") -> Version:
        """Keep what is live under the next number. Raises NotFound, Conflict, ComponentError."""
        if broken := self._live(policy).broken:
            raise Conflict(f"{self._domain}.{policy} {broken}: there is no whole state to keep")
        number = self._store.versions.add(self._now_live(policy, "saved", note), keep=self._keep)
        return self._version(policy, number)

    def promote(self, policy: str, number: int, note: str = "") -> Promotion:
        """Have every process take up a version at the same place of the log, and learn on from there.

        What is live is kept before, so that `rollback` can return to it. Raises NotFound, and Conflict where the
        version is of another configuration, damaged, or doesn't fit, or another promotion came in between: then what
        is live stays.
        """
        return self._promoted(policy, number, note, self._store.versions.newest_switch(self._domain, policy))

    def _promoted(self, policy: str, number: int, note: str, after: Switch | None) -> Promotion:
        """after: the policy's last switch, as it was known when this was decided."""
        version, _ = self.fitting(policy, number)
        doubt = self._doubt(version, self._live(policy))
        before = self.live_before(policy, note or f"live before {version.name}")
        switch = self._store.versions.switch(version, before, keep=self._keep, after=after)
        return Promotion(self._domain, policy, number, switch.before, switch.position, doubt)

    def fitting(self, policy: str, number: int) -> tuple[Version, State]:
        """A version and its state, which the policy can take up as it is configured now.

        Raises NotFound, and Conflict where the version is of another configuration, damaged, or doesn't fit.
        """
        version = self._version(policy, number)
        live = self._live(policy)
        if version.digest != self._fold.digest(live):
            raise Conflict(
                f"{version.name} was made with other options or rewards than {self._domain}.{policy} has now: "
                "train a new version, or put the configuration back"
            )
        state = self._state(version)
        try:
            live.check(state)
        except ValueError as error:
            raise Conflict(f"{version.name} can't be used, and what is live stays: {error}") from None
        return version, state

    def rollback(self, policy: str) -> Promotion:
        """Return to what was live before the last promotion; once more, and that is undone. Raises as `promote`."""
        digest = self._fold.digest(self._live(policy))
        after = self._store.versions.newest_switch(self._domain, policy)
        last = self._store.versions.switches(self._domain).get((policy, digest))
        if last is None and self._store.versions.newest_switch(self._domain, policy, digest):
            raise Conflict(
                f"the versions that {self._domain}.{policy} was promoted to are gone: a user was erased, "
                "and they may have learned from him"
            )
        if last is None:
            raise Conflict(f"{self._domain}.{policy} was never promoted: there is nothing to return to")
        if last.before is None:
            raise Conflict(f"what was live before {policy}@{last.number} could not be kept")
        if self._store.versions.one(self._domain, policy, last.before) is None:
            raise Conflict(f"what was live before {policy}@{last.number} is no longer kept")
        note = f"live before the return to {policy}@{last.before}"
        return self._promoted(policy, last.before, note, after)

    def live_before(self, policy: str, note: str) -> NewVersion | None:
        """What is live, to be kept for a return; None where the policy has stopped learning half-way."""
        return None if self._live(policy).broken else self._now_live(policy, "promotion", note)

    def _now_live(self, policy: str, origin: str, note: str) -> NewVersion:
        live = self._live(policy)
        position, state = live.snapshot()
        digest = self._fold.digest(live)
        return NewVersion(self._domain, policy, digest, position, position, pack(state), origin, "", note)

    def _live(self, policy: str) -> LivePolicy:
        live = self._fold.agent.policies.get(policy)
        if live is None:
            known = did_you_mean(policy, self._fold.agent.policies) or "; it has none"
            raise NotFound(f"no policy of {self._domain} is called {policy!r}{known}")
        return live

    def _version(self, policy: str, number: int) -> Version:
        self._live(policy)
        version = self._store.versions.one(self._domain, policy, number)
        if version is None:
            numbers = [each.number for each in self._store.versions.all(self._domain, policy)]
            there = ", ".join(f"{policy}@{each}" for each in numbers[:12]) or "none is kept"
            raise NotFound(f"there is no {policy}@{number} in {self._domain}; there is: {there}")
        return version

    def _state(self, version: Version) -> dict[str, Any]:
        packed = self._store.versions.state(version)
        if packed is None:
            raise Conflict(f"{version.name} is damaged: its checksum is another than when it was kept")
        try:
            return unpack(packed)
        except ValueError as error:
            raise Conflict(f"{version.name} can't be read: {error}") from None

    def _facts(self, version: Version, active: Mapping[tuple[str, str], Switch]) -> dict[str, Any]:
        switch = active.get((version.policy, version.digest))
        policy = self._fold.agent.policies.get(version.policy)
        fits = policy is not None and version.digest == self._fold.digest(policy)
        return {
            "name": version.name,
            "domain": version.domain,
            "policy": version.policy,
            "version": version.number,
            "active": fits and switch is not None and switch.number == version.number,
            "fits": fits,
            "origin": version.origin,
            "created": version.created,
            "position": version.position,
            "bytes": version.size,
            "config": version.digest,
            "run": version.run or None,
            "note": version.note,
        }

    def _doubt(self, version: Version, live: LivePolicy) -> str:
        """What an operator should know who promotes this version by hand."""
        if live.broken:
            return f"what was live could not be kept: it {live.broken}"
        run = self._store.runs.one(version.run) if version.run else None
        if version.origin != "training" or run is None:
            return ""
        if not run.estimates:
            return f"{version.name} was never compared with what is live"
        return "" if run.outcome.startswith("promoted") else f"{version.name} was {run.outcome}"


def numbered(name: str) -> tuple[str, int]:
    """Policy and number of a name such as `taste@3`. Raises RequestError.

    >>> numbered("taste@3")
    ('taste', 3)
    """
    policy, at, number = name.rpartition("@")
    if not (at and policy and number.isascii() and number.isdigit() and len(number) < 10):
        raise RequestError(f"{name[:80]!r} names no version; write it as taste@3")
    return policy, int(number)


def entries(state: State) -> list[dict[str, Any]]:
    """What a state holds: name, type and shape of each entry."""
    return [{"name": name, **_kind(value)} for name, value in state.items()]


def difference(before: State, after: State) -> list[dict[str, Any]]:
    """By entry, how two states of a policy differ.

    Arrays of one shape: mean and largest absolute change. Lists of texts: how many came and went. Arrays that only
    grew are compared as far as both go.
    """
    return [
        {"name": name, **_difference(before.get(name), after.get(name))}
        for name in dict.fromkeys((*before, *after))
    ]


def _difference(before: Any, after: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {"before": _said(before), "after": _said(after)}
    if before is None or after is None:
        return facts | {"changed": True}
    if isinstance(before, list) and isinstance(after, list):
        added, removed = (
            set(map(str, after)) - set(map(str, before)),
            set(map(str, before)) - set(map(str, after)),
        )
        return facts | {"changed": before != after, "added": len(added), "removed": len(removed)}
    if isinstance(before, str) or isinstance(after, str):
        return facts | {"changed": before != after}
    first, second = _numbers(before), _numbers(after)
    if first is None or second is None or first.ndim != second.ndim:
        return facts | {"changed": facts["before"] != facts["after"] or repr(before) != repr(after)}
    both = tuple(slice(min(pair)) for pair in zip(first.shape, second.shape, strict=True))
    same = (first[both] == second[both]) | (np.isnan(first[both]) & np.isnan(second[both]))
    with np.errstate(invalid="ignore"):  # infinity less infinity
        change = np.where(same, 0.0, np.abs(np.nan_to_num(second[both] - first[both], nan=np.inf)))
    return facts | {
        "changed": first.shape != second.shape or not bool(same.all()),
        "mean_change": float(change.mean()) if change.size else 0.0,
        "max_change": float(change.max()) if change.size else 0.0,
    }


def _numbers(value: Any) -> NDArray[np.float64] | None:
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return None


def _kind(value: Any) -> dict[str, Any]:
    if isinstance(value, np.ndarray):
        return {"type": str(value.dtype), "shape": list(value.shape)}
    if isinstance(value, list):
        return {"type": "list", "shape": [len(value)]}
    return {"type": type(value).__name__, "shape": []}


def _said(value: Any) -> str:
    if value is None:
        return "missing"
    kind = _kind(value)
    if kind["shape"] or isinstance(value, np.ndarray):
        return f"{kind['type']}[{', '.join(map(str, kind['shape']))}]"
    return repr(value)[:60]


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
