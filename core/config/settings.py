"""What a configuration comes to: validated, resolved and frozen."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from ..catalog.items import ItemSchema
from ..components import Component, Connector, Embedder, Reward, only_tunes
from ..errors import ComponentError
from ..registry import Registry
from ..terms import Terms, withheld
from .document import MapNode
from .knobs import as_key, no_knob, turned
from .options import AccountsOptions, ApiOptions, LearningOptions, SlateOptions, StepKeys, WeightedKeys


@dataclass(frozen=True)
class Step:
    """One component in a composition.

    name: unique in its section, such as `similar`; use: such as `catalog.similar`.
    connectors: the names of those it holds, by attribute. timeout_ms: None where only the slate's deadline limits it.
    """

    name: str
    use: str
    component: Component
    connectors: Mapping[str, str] = field(default_factory=dict)
    weight: float = 1.0
    timeout_ms: float | None = None
    on_error: str = "skip"

    @property
    def origin(self) -> str | None:
        """Where items that it brings come from: its connector, of several the first whose terms ask for something."""
        held = {name: getattr(self.component, option, None) for option, name in self.connectors.items()}
        strict = (
            name for name, each in held.items() if isinstance(each, Connector) and each.terms != Terms()
        )
        return next(strict, next(iter(held), None))


@dataclass(frozen=True)
class CollectorStep(Step):
    """A collector that runs by itself, every 5m, 6h or 1d.

    replace: whether items of its origin that a run doesn't bring any more are removed.
    """

    every: str = "1d"
    replace: bool = False

    @property
    def origin(self) -> str:
        """Where items that it brings come from: its connector, or itself."""
        return super().origin or self.name


@dataclass(frozen=True)
class LeftOut:
    """An entry that takes no part, and why.

    step: None where it was not looked at. connector: on whose account. superseded: it is configured, and the entry
    stands in for it.
    """

    why: str
    step: Step | None = None
    connector: str = ""
    superseded: bool = False


@dataclass(frozen=True)
class ItemsPlan:
    """A domain's items: their fields, where they come from, and what makes vectors of them.

    most: beyond so many, items from outside that nobody has done anything with leave; None: they stay.
    """

    schema: ItemSchema
    collector: Step | None = None
    embedder: Embedder | None = None
    most: int | None = None


@dataclass(frozen=True)
class DomainPlan:
    """One domain's composition.

    origins: the terms of the configured connectors, by name: items that a component brings have the name of its
    connector as their origin.
    connectors: all of them, those that aren't configured, too. left_out: by section and name, such as `sources.seeds`,
    the entries that take no part because a connector is not configured, or because one is.
    digest: 16 hexadecimal digits that change with anything that may change a decision; secrets and the
    folders of paths are left out of it.
    """

    name: str
    title: str
    items: ItemsPlan
    sources: tuple[Step, ...]
    filters: tuple[Step, ...]
    scorers: tuple[Step, ...]
    policies: tuple[Step, ...]
    reward: Reward
    slate: SlateOptions
    learning: LearningOptions
    digest: str
    description: str = ""
    origins: Mapping[str, Terms] = field(default_factory=dict)
    connectors: tuple[Step, ...] = ()
    collectors: tuple[CollectorStep, ...] = ()
    left_out: Mapping[str, LeftOut] = field(default_factory=dict)
    _turned: "Callable[[str], DomainPlan]" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_turned", lru_cache(maxsize=256)(self._turn))

    @property
    def withheld(self) -> dict[str, str]:
        """The fields of items that nothing may learn from, each with the reason."""
        return withheld(self.origins, self.items.schema.fields)

    def with_knobs(self, knobs: Mapping[str, Any]) -> "DomainPlan":
        """The same plan with some parameters replaced, by path, such as `{"scorers.match.weight": 0.7}`.

        What can be turned: options of sources, filters, scorers and the slate, and every step's `weight` and
        `timeout_ms`. Raises ComponentError, naming the knob, where there is no such or the value doesn't fit. Those of
        steps that are left out change nothing.
        """
        return self._turned(as_key(knobs)) if knobs else self

    def _turn(self, key: str) -> "DomainPlan":
        plan = self
        for path, value in json.loads(key).items():
            section, _, rest = path.partition(".")
            if section == "slate":
                slate = turned(plan.slate, rest, value, path, self.items.schema)
                plan = replace(plan, slate=slate)
            elif section in _SECTIONS:
                changed: dict[str, Any] = {section: _steps(plan, section, rest, value, path)}
                plan = replace(plan, **changed)
            else:
                raise no_knob(path, 0, ("slate", *_SECTIONS))
        return plan


_SECTIONS = ("sources", "filters", "scorers", "policies")


def _steps(plan: DomainPlan, section: str, rest: str, value: Any, path: str) -> tuple[Step, ...]:
    """The steps of a section with one parameter of one of them replaced."""
    steps: tuple[Step, ...] = getattr(plan, section)
    name, _, option = rest.partition(".")
    for position, step in enumerate(steps):
        if step.name == name:
            new = _step(plan, section, step, option, value, path)
            return (*steps[:position], new, *steps[position + 1 :])
    if (left := plan.left_out.get(f"{section}.{name}")) is not None:
        if left.step is not None:
            _step(plan, section, left.step, option, value, path)  # it must fit all the same
        return steps
    raise no_knob(path, 1, [step.name for step in steps])


def _step(plan: DomainPlan, section: str, step: Step, option: str, value: Any, path: str) -> Step:
    if option == "weight" and section in ("scorers", "policies") and not only_tunes(type(step.component)):
        return replace(step, weight=turned(WeightedKeys(), "weight", value, path).weight)
    if option == "timeout_ms":
        return replace(step, timeout_ms=turned(StepKeys(), "timeout_ms", value, path).timeout_ms)
    if section == "policies":
        # A policy is its state: one with other options would be another policy, which has learned nothing.
        raise ComponentError(f"{path!r} can't be turned; of a policy, only 'weight' and 'timeout_ms' can")
    return replace(step, component=turned(step.component, option, value, path, plan.items.schema))


@dataclass(frozen=True)
class Settings:
    """A whole configuration.

    path: the file it came from. store, cache: URLs, which may hold a password. tree: the resolved nodes, with the
    origin of every value. overrides: what it was loaded with, beside the file. memory: what `cache` names; None for the
    memory of each process.
    """

    path: Path
    store: SecretStr
    api: ApiOptions
    domains: Mapping[str, DomainPlan]
    registry: Registry
    tree: MapNode
    overrides: tuple[str, ...] = ()
    cache: SecretStr = field(default=SecretStr("memory://"))
    memory: Connector | None = None
    accounts: AccountsOptions = field(default=AccountsOptions())
