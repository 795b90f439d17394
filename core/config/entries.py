"""The entries of a domain's sections to steps: component found, options validated, connectors given to it."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..catalog.items import ItemSchema
from ..components import Component, Connector, only_tunes
from ..errors import did_you_mean
from ..plugin_import import PluginProblem
from ..registry import SECTIONS, Registry
from ..service import Service
from ..terms import Terms
from .checks import check_fields, check_terms
from .document import MapNode, ScalarNode, missing, plain
from .holding import Entry, Held, NoConnector, hold
from .marks import Mark
from .options import KEYS_OF_KIND, CollectorKeys, EntryKeys, Switch
from .problems import Problems
from .reading import mapping
from .settings import CollectorStep, LeftOut, Step
from .validation import mark_of, validated

ENTRY_NAME = r"[A-Za-z_][A-Za-z0-9_-]{0,63}"
KIND_OF_SECTION = {section: kind for kind, section in SECTIONS.items()}
_TAKES_PART = ("enabled", "without")


class Entries:
    """The entries of one domain; what is wrong with one goes to `problems`.

    offline: connectors to services count as switched off.
    connectors: the steps of the domain's connectors. origins: the terms of those that are configured, by name.
    left_out: by section and name, the entries looked at so far that take no part on account of connectors.
    """

    def __init__(self, node: MapNode, registry: Registry, problems: Problems, *, offline: bool) -> None:
        self._registry, self._problems, self._offline = registry, problems, offline
        self.left_out: dict[str, LeftOut] = {}
        self.origins: Mapping[str, Terms] = {}
        self._connectors: dict[str, Entry] = {}
        self._written = node.entries.get("connectors")
        self._removed = {
            path.removeprefix("connectors."): mark
            for path, mark in node.removed.items()
            if path.startswith("connectors.")
        }
        if isinstance(self._written, MapNode):
            self._removed |= self._written.removed
        self.connectors = self.steps(node, "connectors", None)
        self.origins = self._terms(self.connectors, mapping(node, "connectors", problems))

    def steps(self, node: MapNode, section: str, schema: ItemSchema | None) -> tuple[Step, ...]:
        """The steps of a section's entries that take part."""
        child = node.entries.get(section)
        if child is None:
            return ()
        if not isinstance(child, MapNode):
            if not (isinstance(child, ScalarNode) and child.missing):
                said = f"{section!r} must be a list of entries, or a mapping of them by name"
                self._problems.add("E05", said, child.mark)
            return ()
        kind = KIND_OF_SECTION[section]
        found = (self.step(child, name, kind, f"{section}.{name}", schema) for name in child.entries)
        return tuple(step for step in found if step is not None)

    def step(self, parent: MapNode, key: str, kind: str, path: str, schema: ItemSchema | None) -> Step | None:
        """The step of one entry; None where there is none, it takes no part, or `problems` say why not.

        path: such as `sources.seeds`. schema: of the items whose fields it may name; None where it can't name any.
        """
        node = parent.entries.get(key)
        if node is None:
            return None
        if not isinstance(node, MapNode):
            if not (isinstance(node, ScalarNode) and node.missing):
                example = "{use: plugin.component}"
                self._problems.add("E05", f"{key!r} must be a mapping such as {example}", node.mark)
            return None
        if not re.fullmatch(ENTRY_NAME, key):
            said = f"{key!r} can't name an entry"
            self._problems.add("E05", said, parent.at(key), "use letters, digits, '_' and '-', at most 64")
            return None
        model = EntryKeys if path == "items.from" else KEYS_OF_KIND[kind]
        core = ("use", *model.model_fields)
        own = {option: child for option, child in node.entries.items() if option in model.model_fields}
        keys = validated(model, MapNode(node.mark, own, node.keys), self._problems, title=repr(key))
        if keys is not None and not keys.enabled:
            if path.startswith("connectors."):
                self._connectors[key] = Entry(key, self._kind(node))
            return None
        found = self._found(node, kind, parent.at(key), key)
        if self._offline and found is not None and issubclass(found, Service):
            if path.startswith("connectors."):
                self._connectors[key] = Entry(key, found)
            return None
        held = self._held(found, node, key) if found is not None else None
        if found is not None and only_tunes(found) and "weight" in node.entries:
            said = f"{key!r} only tunes: it has no scores that a weight could count"
            self._problems.add("E03", said, node.at("weight"), "drop it")
        step = self._composed(found, node, held, keys, core, key) if found and held and keys else None
        if path.startswith("connectors."):
            component = step.component if step else None
            self._connectors[key] = Entry(key, found, component if isinstance(component, Connector) else None)
        if step is not None and schema is not None:
            check_fields(step.component, node, schema, self.origins, self._problems)
            check_terms(step, node, self.origins, self._problems)
        left = self._left(keys, held, node, step)
        if left is not None:
            self.left_out[path] = left
            return None
        return step

    def component(self, node: MapNode, kind: str, name: str) -> Component | None:
        """The component of a section that is one entry; None where `problems` say why there is none."""
        found = self._found(node, kind, node.mark, name)
        held = self._held(found, node, name) if found is not None else None
        if found is None or held is None:
            return None
        core, title = ("use",), repr(_use(node))
        return validated(found, node, self._problems, title=title, core=core, known=core, held=held.values)

    def _composed(
        self,
        found: type[Component],
        node: MapNode,
        held: Held,
        keys: Switch,
        core: tuple[str, ...],
        name: str,
    ) -> Step | None:
        """The step of an entry whose connectors were found; None where one is switched off, or `problems` say why."""
        if not held.complete:
            return None
        component = validated(
            found, node, self._problems, title=repr(_use(node)), core=core, known=core, held=held.values
        )
        if component is None:
            return None
        fields = found.model_fields.items()
        options = {field.alias or attribute: attribute for attribute, field in fields}
        connectors = {
            options[option]: named for option, named in held.names.items() if held.values[option] is not None
        }
        common = {
            field: getattr(keys, field) for field in type(keys).model_fields if field not in _TAKES_PART
        }
        kind = CollectorStep if isinstance(keys, CollectorKeys) else Step
        return kind(name, _use(node), component, connectors, **common)

    def _left(
        self, keys: Switch | None, held: Held | None, node: MapNode, step: Step | None
    ) -> LeftOut | None:
        """That an entry takes no part on account of connectors, and why; None where it does."""
        without = keys.without if isinstance(keys, EntryKeys) else ()
        for name in (without,) if isinstance(without, str) else without:
            if name not in self._connectors:
                said = f"'without' names the connector {name!r}, which the domain doesn't have"
                hint = did_you_mean(name, self._connectors)
                mark = mark_of(node, ("without",))
                if not self._taken_out(name, mark):
                    self._problems.add("E14", said, mark, hint)
            elif self._connectors[name].configured:
                return LeftOut(f"the connector {name!r} is configured", step, name, superseded=True)
        for name in held.lacking if held else ():
            off = self._connectors[name].component is None
            said = f"the connector {name!r} is {'switched off' if off else 'not configured'}"
            return LeftOut(said, step, name)
        return None

    def _held(self, found: type[Component], node: MapNode, name: str) -> Held | None:
        """The connectors of an entry's options; None where `problems` say why not."""
        given = {option: plain(child) for option, child in node.entries.items() if not any(missing(child))}
        try:
            return hold(found, given, self._connectors)
        except NoConnector as error:
            mark = mark_of(node, (error.option,)) if error.option in given else node.at("use")
            entry = given.get(error.option)
            if not (self._taken_out(entry, mark) or self._other_type(error, entry, mark)):
                self._problems.add("E14", f"{name!r}: {error}", mark, error.hint)
            return None

    def _taken_out(self, entry: Any, place: Mark) -> bool:
        """Whether what is missing at a place was taken out by another layer's null; then that is told of."""
        gone = [entry] if isinstance(entry, str) else [key for key in self._removed if "." not in key]
        left = {key: mark for key, mark in self._removed.items() if mark.origin != place.origin}
        found = [key for key in gone if key in left and key not in self._connectors]
        for key in found:
            said = f"the connector {key!r} is taken out here, and what the domain extends needs it"
            self._problems.add(
                "E14", said, self._removed[key], f"switch it off instead: {key}: {{enabled: false}}"
            )
        return bool(found)

    def _other_type(self, error: NoConnector, entry: Any, mark: Mark) -> bool:
        """Whether an entry of another type was laid over that of a lower layer; then that is told of."""
        if not error.types:
            return False
        own = mark_of(self._written, (entry, "use")) if isinstance(self._written, MapNode) else mark
        if own.origin == mark.origin:
            return False
        uses = " or ".join(map(self._registry.use_of, error.types))
        said = f"the connector {entry!r} must be {uses} for what the domain extends"
        self._problems.add("E14", said, own, f"write use: {uses}, or give your own connector another name")
        return True

    def _kind(self, node: MapNode) -> type[Component] | None:
        """The class of a connector that is switched off; None where it can't be had."""
        try:
            return self._registry.component(_use(node), "connector") if "use" in node.entries else None
        except PluginProblem:
            return None

    def _found(self, node: MapNode, kind: str, place: Mark, name: str) -> type[Component] | None:
        """The class that an entry uses; None where `problems` say why there is none."""
        use = node.entries.get("use")
        if use is None:
            self._problems.add("E07", f"{name!r} needs the key 'use'", place, "such as use: plugin.component")
            return None
        if not isinstance(use, ScalarNode) or not isinstance(use.value, str):
            if not (isinstance(use, ScalarNode) and use.missing):
                self._problems.add("E05", "'use' must name a component, as plugin.component", use.mark)
            return None
        if use.missing:
            return None
        try:
            return self._registry.component(use.value, kind)
        except PluginProblem as problem:
            self._problems.blame(problem, use.mark)
            return None

    def _terms(self, connectors: Iterable[Step], node: MapNode | None) -> dict[str, Terms]:
        """The terms of the connectors that are configured, by name."""
        found = {}
        for step in connectors:
            if node is None or not isinstance(step.component, Connector) or not step.component.configured:
                continue
            try:
                found[step.name] = step.component.terms
            except Exception as error:  # a plugin's code may raise anything
                said = f"{step.name!r} has no terms: {error}"
                self._problems.add("E05", said, mark_of(node, (step.name, "keep_days")))
        return found


def _use(node: MapNode) -> str:
    use = node.entries["use"]
    return str(use.value) if isinstance(use, ScalarNode) else ""
