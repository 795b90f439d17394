"""What no component can tell by itself: whether a composition's names and terms fit each other."""

from collections.abc import Iterator, Mapping
from typing import Any

from ..catalog.items import ItemSchema
from ..components import Component, Policy
from ..errors import ComponentError
from ..terms import Terms, withheld
from .document import ListNode, MapNode, Node, plain
from .markers import field_faults, named_fields
from .marks import Mark
from .options import Options
from .problems import Problems
from .settings import DomainPlan, Step
from .validation import mark_of


def check_fields(
    model: Component | Options,
    node: MapNode,
    schema: ItemSchema,
    origins: Mapping[str, Terms],
    problems: Problems,
) -> None:
    """Whether the fields that options name are the items' own, have types that fit, and may be learned from.

    origins: the terms of the domain's connectors, by name.
    """
    fits = True
    for loc, message, hint in field_faults(model, schema):
        problems.add("E12", message, mark_of(node, loc), hint)
        fits = False
    fields = schema.fields
    if fits and isinstance(model, Policy) and (reasons := withheld(origins, fields)):
        for loc, name in named_fields(model):
            if name in reasons:
                option = str(next(step for step in loc if isinstance(step, str)))
                said = f"{option!r} names {name!r}: {reasons[name]}"
                problems.add("E15", said, mark_of(node, loc), own_fields(schema, reasons))
                fits = False
        fields = {name: kind for name, kind in fields.items() if name not in reasons}
    if fits and isinstance(model, Component):
        for option, message in model.misfits(fields):
            problems.add("E12", message, mark_of(node, (option,)))


def check_terms(step: Step, node: MapNode, origins: Mapping[str, Terms], problems: Problems) -> None:
    """Whether a policy asks a service by itself for what may not be learned from."""
    for option, name in step.connectors.items() if isinstance(step.component, Policy) else ():
        if not origins.get(name, Terms()).trainable:
            said = f"{step.name!r} learns, and holds {name!r}, whose terms forbid to learn from its data"
            mark = mark_of(node, (option,) if option in node.entries else ("use",))
            problems.add("E15", said, mark, "have a source or a scorer hold it")


def check_knobs(plan: DomainPlan, policies: MapNode, problems: Problems) -> None:
    """Whether the knobs that policies may turn are there, can have the values, and have one master each."""
    masters: dict[str, str] = {}
    for step in plan.policies:
        assert isinstance(step.component, Policy)
        faults: dict[str, Mapping[str, Any]] = {}
        for knobs in step.component.settings():
            alone = {path: _misfit(plan, {path: value}) for path, value in knobs.items()}
            for path, fault in alone.items():
                faults.setdefault(fault, {path: knobs[path]})
                if masters.setdefault(path, step.name) != step.name:
                    taken = f"the knob {path!r} is turned by {masters[path]!r} already"
                    faults.setdefault(taken, {path: knobs[path]})
            if not any(alone.values()):
                fault = _misfit(plan, knobs)
                faults.setdefault(
                    fault, {path: value for path, value in knobs.items() if repr(path) in fault}
                )
        entry = policies.entries.get(step.name, policies)
        for fault, knobs in faults.items():
            if fault:
                mark = _written(entry, knobs) or policies.at(step.name)
                problems.add("E12", f"{step.name!r}: {fault}", mark)


def check_window(plan: DomainPlan, policies: MapNode, problems: Problems) -> None:
    """Whether policies reckon with times that the attribution window leaves them."""
    for step in plan.policies:
        assert isinstance(step.component, Policy)
        entry = policies.entries.get(step.name, policies)
        for option, reason in step.component.too_short(plan.learning.window_minutes):
            problems.add("E05", f"{step.name!r}: {reason}", mark_of(entry, (option,)))


def check_replacing(plan: DomainPlan, collectors: MapNode, problems: Problems) -> None:
    """Whether whatever removes the items of an origin that it doesn't bring is the only one that does."""
    first: dict[str, str] = {}
    whole = plan.items.collector  # it always removes them
    if whole is not None and whole.origin is not None:
        first[whole.origin] = "'items.from'"
    for step in plan.collectors:
        name = repr(step.name)
        rival = first.setdefault(step.origin, name) if step.replace else name
        if rival != name:
            said = (
                f"{name} and {rival} both remove the items of {step.origin!r} that they don't bring: "
                "each would remove the other's"
            )
            hint = "give each a connector of its own under 'connectors', with the same options; or leave out 'replace'"
            problems.add("E13", said, collectors.at(step.name), hint)


def own_fields(schema: ItemSchema, reasons: Mapping[str, str]) -> str:
    """What may be learned from instead."""
    own = ", ".join(name for name in schema.fields if name not in reasons) or "none"
    return f"take a field that is your own: {own}"


def _misfit(plan: DomainPlan, knobs: Mapping[str, Any]) -> str:
    """Why knobs can't be turned so; empty where they can."""
    try:
        plan.with_knobs(knobs)
    except ComponentError as error:
        return str(error)
    return ""


def _written(node: Node, knobs: Mapping[str, Any]) -> Mark | None:
    """Where the first of some knobs is written in a policy's entry, with its value if possible; else None."""
    for path, value in knobs.items():
        places = [(holder.at(path), holder.entries[path]) for holder in _holders(node, path)]
        exact = [mark for mark, child in places if plain(child) == value]
        if places:
            return exact[0] if exact else places[0][0]
    return None


def _holders(node: Node, key: str) -> Iterator[MapNode]:
    """The mappings in a tree that have a key."""
    if isinstance(node, MapNode) and key in node.entries:
        yield node
    children = node.entries.values() if isinstance(node, MapNode) else ()
    for child in node.items if isinstance(node, ListNode) else children:
        yield from _holders(child, key)
