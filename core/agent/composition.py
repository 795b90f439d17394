"""A domain's composition, ready to be called: every component behind its guard, in the order of the config."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from ..components import Filter
from ..config import DomainPlan, Step
from .live_policy import LivePolicy
from .selection import Rules
from .steps import Conduct, Guard

_MOST_TURNED = 256


class Composition:
    """The guards of a plan. A knob that a policy turns makes another composition of the same live policies."""

    def __init__(
        self,
        plan: DomainPlan,
        policies: Mapping[str, LivePolicy],
        conduct: defaultdict[str, Conduct] | None = None,
    ) -> None:
        self.plan = plan
        self._conduct = defaultdict(Conduct) if conduct is None else conduct
        learners = [(step, policies[step.name]) for step in plan.policies]
        proposers = [(step, live) for step, live in learners if live.proposes]
        self.sources = [
            *(self._guard("sources", step, "propose") for step in plan.sources),
            *(self._guard("policies", step, "propose", live) for step, live in proposers),
        ]
        self.filters = [self._guard("filters", step, "keep") for step in plan.filters]
        self.scorers = [self._guard("scorers", step, "score") for step in plan.scorers]
        self.perceivers = [
            self._guard("policies", step, "perceive", live) for step, live in learners if live.perceives
        ]
        self.tuners = [self._guard("policies", step, "tune", live) for step, live in learners if live.tunes]
        self.rankers = [self._guard("policies", step, "rank", live) for step, live in learners if live.ranks]
        self.source_names = [guard.label for guard in self.sources]
        self._policies = policies
        self._rules: dict[int, Rules] = {}
        self._turned: dict[str, Composition] = {}

    def rules(self, size: int) -> Rules:
        """How a slate of a size is chosen."""
        rules = self._rules.get(size)
        if rules is None:
            options = self.plan.slate
            rules = self._rules[size] = Rules(
                size, options.explore, options.explore_pool, options.diversity, options.max_per
            )
        return rules

    def turned(self, knobs: Mapping[str, Any]) -> "Composition":
        """The composition with knobs turned. Raises ComponentError for a knob that doesn't fit."""
        key = repr(sorted(knobs.items()))
        composition = self._turned.get(key)
        if composition is None:
            if len(self._turned) >= _MOST_TURNED:
                self._turned.clear()
            composition = self._turned[key] = Composition(
                self.plan.with_knobs(knobs), self._policies, self._conduct
            )
        return composition

    def _guard(self, section: str, step: Step, method: str, live: LivePolicy | None = None) -> Guard:
        name = f"{section}.{step.name}"
        component = step.component if live is None else live.component
        around = None if live is None else live.guarded
        guard = Guard(name, component, method, step.timeout_ms, around, self._conduct[name])
        guard.label = step.name
        guard.weight = step.weight
        guard.on_error = step.on_error
        guard.origin = step.origin or "source"
        guard.connectors = [
            (held, getattr(step.component, option)) for option, held in step.connectors.items()
        ]
        if method == "keep" and isinstance(component, Filter) and type(component).soft:
            guard.soft, guard.distance = True, self._guard(section, step, "distance")
        return guard
