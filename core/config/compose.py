"""A domain's tree to its plan: components found, options validated, names checked against each other."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..components import Component, Embedder, Policy, Reward
from ..errors import ComponentError, did_you_mean
from ..items import FIELD_TYPES, FieldType, ItemSchema
from ..plugin_import import PluginProblem
from ..registry import SECTIONS, Registry
from ..rewards import NOT_KINDS, RewardTable
from .digest import digest
from .document import ListNode, MapNode, Node, ScalarNode, plain
from .layers import STEP_SECTIONS
from .markers import field_faults
from .marks import Mark
from .options import KEYS_OF_KIND, EntryKeys, LearningOptions, Options, SlateOptions
from .problems import Problems
from .settings import DomainPlan, ItemsPlan, Step
from .validation import M, mark_of, validated

DOMAIN_KEYS = (
    "extends",
    "enabled",
    "title",
    "description",
    "items",
    *STEP_SECTIONS,
    "rewards",
    "slate",
    "learning",
)
ITEMS_KEYS = ("id", "from", "fields", "embedding")

MOST_SOURCES = 64
"""A candidate's origin is one bit for each."""
ENTRY_NAME = r"[A-Za-z_][A-Za-z0-9_-]{0,63}"
KIND_OF_SECTION = {section: kind for kind, section in SECTIONS.items()}
_REWARD_HINT = "a reward is a number, {per_unit: number}, or a mapping from values to numbers"


class Composer:
    """Builds the plans of a configuration's domains; what is wrong goes to `problems`."""

    def __init__(self, registry: Registry, problems: Problems) -> None:
        self._registry, self._problems = registry, problems
        self._blamed: set[str] = set()

    def blame(self, problem: PluginProblem, mark: Mark) -> None:
        """Tell what is wrong with a plugin; of one that is broken, once."""
        if problem.code in ("E08", "E13"):
            if str(problem) in self._blamed:
                return
            self._blamed.add(str(problem))
        self._problems.add(problem.code, problem.message, mark, problem.hint)

    def known_keys(self, node: MapNode, known: tuple[str, ...]) -> None:
        """Refuse keys that aren't known."""
        for key in node.entries:
            if key not in known:
                self._problems.add(
                    "E03", f"no key is called {key!r} here", node.at(key), did_you_mean(key, known)
                )

    def mapping(self, node: MapNode, key: str) -> MapNode | None:
        """The mapping under a key; None where there is none or it is something else, which is told."""
        child = node.entries.get(key)
        if child is None or isinstance(child, MapNode):
            return child
        if not (isinstance(child, ScalarNode) and child.missing):
            self._problems.add("E05", f"{key!r} must be a mapping", child.mark)
        return None

    def text(self, node: MapNode, key: str, default: str) -> str:
        """The text under a key."""
        child = node.entries.get(key)
        if child is None:
            return default
        if isinstance(child, ScalarNode):
            if child.missing or isinstance(child.value, str):
                return str(child.value)
            self._problems.add("E05", f"{key!r} must be a text", child.mark, "put it in quotes")
        else:
            self._problems.add("E05", f"{key!r} must be a text", child.mark)
        return default

    def domain(self, name: str, node: MapNode, *, complete: bool = True) -> DomainPlan | None:
        """The plan of a domain; None where it is switched off, or where `problems` say why not.

        complete: False where a preset that it extends is not there, so that much may be missing.
        """
        before = len(self._problems)
        self.known_keys(node, DOMAIN_KEYS)
        enabled = {key: child for key, child in node.entries.items() if key == "enabled"}
        keys = self._options(EntryKeys, MapNode(node.mark, enabled, node.keys), f"the domain {name!r}")
        if keys is None or not keys.enabled:
            return None
        title = self.text(node, "title", name)
        description = self.text(node, "description", "")
        items = self._items(name, node, complete)
        schema = items.schema if items else None
        steps = {section: self._steps(node, section, schema) for section in STEP_SECTIONS}
        scorers = {step.name for step in steps["scorers"]}
        for twice in (step.name for step in steps["policies"] if step.name in scorers):
            # Both have a part in an item's score, and the parts are told by name.
            entry = self.mapping(node, "policies") or node
            self._problems.add("E13", f"a scorer and a policy are both called {twice!r}", entry.at(twice))
        if complete and not steps["sources"] and _all_off(node.entries.get("sources")):
            mark = node.at("sources")
            self._problems.add("E07", f"the domain {name!r} needs at least one source", mark)
        if len(steps["sources"]) > MOST_SOURCES:
            count, mark = len(steps["sources"]), node.at("sources")
            self._problems.add("E05", f"{name!r} has {count} sources; {MOST_SOURCES} is the most", mark)
        reward = self._reward(node)
        slate = self._section(node, "slate", SlateOptions)
        learning = self._section(node, "learning", LearningOptions)
        if slate is not None and schema is not None:
            self._check_fields(slate, self.mapping(node, "slate") or node, schema)
        if (
            len(self._problems) > before
            or items is None
            or reward is None
            or slate is None
            or learning is None
        ):
            return None
        plan = DomainPlan(
            name=name,
            title=title,
            description=description,
            items=items,
            sources=steps["sources"],
            filters=steps["filters"],
            scorers=steps["scorers"],
            policies=steps["policies"],
            reward=reward,
            slate=slate,
            learning=learning,
            digest=digest(items, steps, reward, slate, learning),
        )
        self._check_knobs(plan, node)
        return plan if len(self._problems) == before else None

    def _check_knobs(self, plan: DomainPlan, node: MapNode) -> None:
        """Whether the knobs that policies may turn are there, can have the values, and have one master each."""
        entries = self.mapping(node, "policies") or node
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
            entry = entries.entries.get(step.name, entries)
            for fault, knobs in faults.items():
                if fault:
                    mark = _written(entry, knobs) or entries.at(step.name)
                    self._problems.add("E12", f"{step.name!r}: {fault}", mark)

    def _options(self, model: type[M], node: MapNode, title: str) -> M | None:
        return validated(model, node, self._problems, title=title)

    def _section(self, node: MapNode, key: str, model: type[M]) -> M | None:
        child = self.mapping(node, key)
        if child is None and key in node.entries:
            return None
        return self._options(model, child or MapNode(node.at(key)), repr(key))

    def _items(self, domain: str, node: MapNode, complete: bool) -> ItemsPlan | None:
        items = self.mapping(node, "items")
        if items is None:
            if complete and "items" not in node.entries:
                self._problems.add("E07", f"the domain {domain!r} needs 'items' with 'fields'", node.mark)
            return None
        self.known_keys(items, ITEMS_KEYS)
        fields = self._fields(items, complete)
        collector = self._entry(items, "from", "collector", "from", None)
        separator = getattr(collector.component, "separator", "|") if collector else "|"
        identity = self.text(items, "id", "id")
        if fields is None:
            return None
        schema = ItemSchema(fields, identity, separator)
        if collector is not None:
            entry = self.mapping(items, "from")
            self._check_fields(collector.component, entry or items, schema)
        embedder = self._embedder(items, schema)
        return ItemsPlan(schema, collector, embedder)

    def _fields(self, items: MapNode, complete: bool) -> dict[str, FieldType] | None:
        node = self.mapping(items, "fields")
        if node is None or not node.entries:
            if complete and (node is not None or "fields" not in items.entries):
                mark = items.at("fields")
                self._problems.add(
                    "E07", "'items' needs 'fields' with at least one field, such as {title: text}", mark
                )
            return None
        fields: dict[str, FieldType] = {}
        fine = True
        for name, child in node.entries.items():
            value = child.value if isinstance(child, ScalarNode) else None
            kind = next((kind for kind in FIELD_TYPES if kind == value), None)
            if kind is None:
                fine = False
                if not (isinstance(child, ScalarNode) and child.missing):
                    hint = did_you_mean(str(value), FIELD_TYPES)
                    self._problems.add("E05", f"{value!r} is no type of a field", child.mark, hint)
            elif not name or not name.isprintable() or len(name) > 64:
                fine = False
                said = "a field's name must have 1 to 64 printable characters"
                self._problems.add("E05", said, node.at(name))
            else:
                fields[name] = kind
        return fields if fine else None

    def _embedder(self, items: MapNode, schema: ItemSchema) -> Embedder | None:
        step = self._entry(items, "embedding", "connector", "embedding", schema)
        node = items.entries.get("embedding")
        if step is None or node is None:
            return None
        if not isinstance(step.component, Embedder):
            mark = node.at("use") if isinstance(node, MapNode) else node.mark
            said = f"{step.use!r} is a connector that embeds nothing"
            self._problems.add("E09", said, mark, "'embedding' needs an embedder")
            return None
        try:
            named = list(step.component.item_fields)
        except Exception as error:  # a plugin's code may raise anything
            said = f"{step.use!r} can't name its item fields: {type(error).__name__}: {error}"
            self._problems.add("E08", said, node.mark)
            return None
        for field in named:
            if field not in schema.fields:
                mark = node.at("text") if isinstance(node, MapNode) else node.mark
                said = f"{step.use!r} embeds the field {field!r}, which the items don't have"
                self._problems.add("E12", said, mark, did_you_mean(field, schema.fields))
        return step.component

    def _steps(self, node: MapNode, section: str, schema: ItemSchema | None) -> tuple[Step, ...]:
        child = node.entries.get(section)
        if child is None:
            return ()
        if not isinstance(child, MapNode):
            if not (isinstance(child, ScalarNode) and child.missing):
                said = f"{section!r} must be a list of entries, or a mapping of them by name"
                self._problems.add("E05", said, child.mark)
            return ()
        kind = KIND_OF_SECTION[section]
        found = (self._entry(child, name, kind, name, schema) for name in child.entries)
        return tuple(step for step in found if step is not None)

    def _entry(
        self, parent: MapNode, key: str, kind: str, name: str, schema: ItemSchema | None
    ) -> Step | None:
        """The step of one entry; None where there is none, it is switched off, or `problems` say why not."""
        node = parent.entries.get(key)
        if node is None:
            return None
        if not isinstance(node, MapNode):
            if not (isinstance(node, ScalarNode) and node.missing):
                example = "{use: plugin.component}"
                self._problems.add("E05", f"{name!r} must be a mapping such as {example}", node.mark)
            return None
        if not re.fullmatch(ENTRY_NAME, name):
            said = f"{name!r} can't name an entry"
            self._problems.add("E05", said, parent.at(key), "use letters, digits, '_' and '-', at most 64")
            return None
        model = KEYS_OF_KIND[kind]
        core = ("use", *model.model_fields)
        own = {option: child for option, child in node.entries.items() if option in model.model_fields}
        keys = self._options(model, MapNode(node.mark, own, node.keys), f"{name!r}")
        if keys is not None and not keys.enabled:
            return None
        component = self._component(node, kind, parent.at(key), core, name)
        if component is None or keys is None:
            return None
        if schema is not None:
            self._check_fields(component, node, schema)
        common = {field: getattr(keys, field) for field in model.model_fields if field != "enabled"}
        return Step(name=name, use=_use(node), component=component, **common)

    def _component(
        self, node: MapNode, kind: str, place: Mark, core: tuple[str, ...], name: str
    ) -> Component | None:
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
            found = self._registry.component(use.value, kind)
        except PluginProblem as problem:
            self.blame(problem, use.mark)
            return None
        return validated(found, node, self._problems, title=repr(use.value), core=core, known=core)

    def _reward(self, node: MapNode) -> Reward | None:
        rewards = self.mapping(node, "rewards")
        if rewards is None:
            return RewardTable() if "rewards" not in node.entries else None
        if "use" in rewards.entries:
            found = self._component(rewards, "reward", rewards.mark, ("use",), "rewards")
            return found if isinstance(found, Reward) else None
        kinds = {key: child for key, child in rewards.entries.items() if key not in NOT_KINDS}
        entries: dict[str, Node] = {"kinds": MapNode(rewards.mark, kinds, rewards.keys)}
        entries |= {key: child for key, child in rewards.entries.items() if key in NOT_KINDS}
        keys = {"kinds": rewards.mark, **{key: rewards.at(key) for key in NOT_KINDS}}
        table = MapNode(rewards.mark, entries, keys)
        return validated(RewardTable, table, self._problems, title="'rewards'", hints={"kinds": _REWARD_HINT})

    def _check_fields(self, model: Component | Options, node: MapNode, schema: ItemSchema) -> None:
        fits = True
        for loc, message, hint in field_faults(model, schema):
            self._problems.add("E12", message, mark_of(node, loc), hint)
            fits = False
        if fits and isinstance(model, Component):
            for option, message in model.misfits(schema.fields):
                self._problems.add("E12", message, mark_of(node, (option,)))


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


def _use(node: MapNode) -> str:
    use = node.entries["use"]
    return str(use.value) if isinstance(use, ScalarNode) else ""


def _all_off(section: Node | None) -> bool:
    """Whether a section has no entry that takes part, be it right or wrong."""
    if not isinstance(section, MapNode):
        return section is None
    switches = (node.entries.get("enabled") for node in section.entries.values() if isinstance(node, MapNode))
    off = sum(isinstance(switch, ScalarNode) and switch.value is False for switch in switches)
    return off == len(section.entries)
