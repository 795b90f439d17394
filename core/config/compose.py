"""A domain's tree to its plan: the sections read, put together, and checked against each other."""

from ..components import Reward
from ..registry import Registry
from ..rewards import NOT_KINDS, RewardTable
from ..terms import withheld
from .checks import check_fields, check_knobs, check_replacing, check_window
from .digest import digest
from .document import MapNode, Node, ScalarNode
from .entries import Entries
from .items import items_plan
from .layers import SECTIONS, STEP_SECTIONS
from .options import LearningOptions, SlateOptions, Switch
from .problems import Problems
from .reading import known_keys, mapping, section, text
from .settings import CollectorStep, DomainPlan
from .validation import validated

DOMAIN_KEYS = (
    "extends",
    "enabled",
    "title",
    "description",
    "items",
    *SECTIONS,
    "rewards",
    "slate",
    "learning",
)

MOST_SOURCES = 64
"""A candidate's origin is one bit for each."""
_REWARD_HINT = "a reward is a number, {per_unit: number}, or a mapping from values to numbers"


def compose(
    name: str, node: MapNode, registry: Registry, problems: Problems, *, offline: bool, complete: bool
) -> DomainPlan | None:
    """The plan of a domain; None where it is switched off, or where `problems` say why not.

    offline: connectors to services count as switched off.
    complete: False where a preset that it extends is not there, so that much may be missing.
    """
    before = len(problems)
    known_keys(node, DOMAIN_KEYS, problems)
    enabled = {key: child for key, child in node.entries.items() if key == "enabled"}
    switch = MapNode(node.mark, enabled, node.keys)
    keys = validated(Switch, switch, problems, title=f"the domain {name!r}")
    if keys is None or not keys.enabled:
        return None
    title = text(node, "title", name, problems)
    description = text(node, "description", "", problems)
    entries = Entries(node, registry, problems, offline=offline)
    items = items_plan(name, node, entries, problems, complete=complete)
    schema = items.schema if items else None
    steps = {part: entries.steps(node, part, schema) for part in STEP_SECTIONS}
    collectors = entries.steps(node, "collectors", schema)
    policies = node.entries.get("policies")
    policies = policies if isinstance(policies, MapNode) else node
    scorers = {step.name for step in steps["scorers"]}
    for twice in (step.name for step in steps["policies"] if step.name in scorers):
        # Both have a part in an item's score, and the parts are told by name.
        problems.add("E13", f"a scorer and a policy are both called {twice!r}", policies.at(twice))
    if complete and not steps["sources"] and _all_off(node.entries.get("sources")):
        mark = node.at("sources")
        problems.add("E07", f"the domain {name!r} needs at least one source", mark)
    if len(steps["sources"]) > MOST_SOURCES:
        count, mark = len(steps["sources"]), node.at("sources")
        problems.add("E05", f"{name!r} has {count} sources; {MOST_SOURCES} is the most", mark)
    reward = _reward(node, entries, problems)
    slate = section(node, "slate", SlateOptions, problems)
    learning = section(node, "learning", LearningOptions, problems)
    if slate is not None and schema is not None:
        written = mapping(node, "slate", problems) or node
        check_fields(slate, written, schema, entries.origins, problems)
    if len(problems) > before or items is None or reward is None or slate is None or learning is None:
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
        digest=digest(items, steps, reward, slate, learning, withheld(entries.origins, items.schema.fields)),
        origins=entries.origins,
        connectors=entries.connectors,
        collectors=tuple(step for step in collectors if isinstance(step, CollectorStep)),
        left_out=entries.left_out,
    )
    check_knobs(plan, policies, problems)
    check_window(plan, policies, problems)
    check_replacing(plan, mapping(node, "collectors", problems) or node, problems)
    return plan if len(problems) == before else None


def _reward(node: MapNode, entries: Entries, problems: Problems) -> Reward | None:
    rewards = mapping(node, "rewards", problems)
    if rewards is None:
        return RewardTable() if "rewards" not in node.entries else None
    if "use" in rewards.entries:
        reward = entries.component(rewards, "reward", "rewards")
        return reward if isinstance(reward, Reward) else None
    kinds = {key: child for key, child in rewards.entries.items() if key not in NOT_KINDS}
    written: dict[str, Node] = {"kinds": MapNode(rewards.mark, kinds, rewards.keys)}
    written |= {key: child for key, child in rewards.entries.items() if key in NOT_KINDS}
    keys = {"kinds": rewards.mark, **{key: rewards.at(key) for key in NOT_KINDS}}
    table = MapNode(rewards.mark, written, keys)
    return validated(RewardTable, table, problems, title="'rewards'", hints={"kinds": _REWARD_HINT})


def _all_off(sources: Node | None) -> bool:
    """Whether a section has no entry that takes part, be it right or wrong."""
    if not isinstance(sources, MapNode):
        return sources is None
    switches = (node.entries.get("enabled") for node in sources.entries.values() if isinstance(node, MapNode))
    off = sum(isinstance(switch, ScalarNode) and switch.value is False for switch in switches)
    return off == len(sources.entries)
