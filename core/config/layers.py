"""Layers of configuration, laid over each other: preset < config.yaml < config.local.yaml < --set.

Mappings merge, scalars and lists replace, `null` removes what is below. Two things merge as a whole: an entry
whose `use` names another component, since options belong to their component; and a list of entries, which is
read as a mapping by the entries' names.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from .document import ListNode, MapNode, Node, ScalarNode, parse
from .marks import Mark, Origin
from .problems import Problems

STEP_SECTIONS = ("sources", "filters", "scorers", "policies")
"""The sections of a domain that hold the steps of a request."""
SECTIONS = ("connectors", *STEP_SECTIONS, "collectors")
"""The sections of a domain that hold named entries."""


def merge(low: MapNode, high: MapNode) -> MapNode:
    """`high` laid over `low`."""
    if high.replaces or _other_component(low, high):
        low = MapNode(high.mark)
    entries, keys, removed = dict(low.entries), dict(low.keys), dict(low.removed)
    for key, node in high.entries.items():
        if isinstance(node, ScalarNode) and node.value is None and not node.missing:
            gone = entries.pop(key, None)
            keys.pop(key, None)
            inner = gone.entries if isinstance(gone, MapNode) else ()
            removed |= (
                {}
                if gone is None
                else dict.fromkeys([key, *(f"{key}.{child}" for child in inner)], node.mark)
            )
            continue
        below = entries.get(key)
        if isinstance(node, MapNode):
            node = merge(below if isinstance(below, MapNode) else MapNode(node.mark), node)
        entries[key], keys[key] = node, _nearer(keys.get(key), high.keys[key])
    return MapNode(_nearer(low.mark, high.mark), entries, keys, removed=removed)


def _nearer(low: Mark | None, high: Mark) -> Mark:
    """The mark to tell problems at: in config.yaml rather than in a local file, `--set` or a preset."""
    return low if low is not None and low.origin.rank < high.origin.rank else high


def _other_component(low: MapNode, high: MapNode) -> bool:
    use = high.entries.get("use")
    if not isinstance(use, ScalarNode):
        return False
    below = low.entries.get("use")
    return not isinstance(below, ScalarNode) or below.value != use.value


def named(domain: MapNode) -> MapNode:
    """A domain in which every list of entries is a mapping by name, which replaces what it is laid over.

    An entry is named after its component: `similar` for `catalog.similar`, then `similar_2`, `similar_3`.
    """
    entries = dict(domain.entries)
    for section in SECTIONS:
        listed = entries.get(section)
        if isinstance(listed, ListNode):
            entries[section] = _by_name(listed)
    return MapNode(domain.mark, entries, domain.keys, domain.replaces, domain.removed)


def _by_name(listed: ListNode) -> MapNode:
    entries: dict[str, Node] = {}
    for node in listed.items:
        use = node.entries.get("use") if isinstance(node, MapNode) else None
        word = str(use.value) if isinstance(use, ScalarNode) else "entry"
        short = word.rpartition(".")[2] or "entry"
        name, count = short, 1
        while name in entries:
            count += 1
            name = f"{short}_{count}"
        entries[name] = node
    return MapNode(listed.mark, entries, {name: node.mark for name, node in entries.items()}, replaces=True)


def override(text: str, folder: Path, environ: Mapping[str, str], problems: Problems) -> MapNode | None:
    """The tree of `domains.music.slate.size=5`; the value is YAML, relative paths in it start at `folder`."""
    path, equals, value = text.partition("=")
    steps = [step.strip() for step in path.split(".")]
    origin = Origin(f"--set {path}", "--set", folder, rank=2)
    mark = Mark(origin)
    if not equals or not all(steps):
        problems.add("E01", "this sets nothing", mark, "write it as domains.music.slate.size=5")
        return None
    inner = Problems()
    node: Node | None = parse(value.encode("utf-8", "replace"), origin, environ, inner)
    for problem in inner.sorted():
        problems.add(problem.code, problem.message, mark, problem.hint)
    if inner:
        return None
    node = _unmarked(node, mark) if node is not None else ScalarNode(mark, None)
    for step in reversed(steps):
        node = MapNode(mark, {step: node}, {step: mark})
    return node if isinstance(node, MapNode) else None


def _unmarked(node: Node, mark: Mark) -> Node:
    """The same tree without lines and columns, which mean nothing on a command line."""
    match node:
        case ScalarNode():
            return ScalarNode(mark, node.value, node.missing, node.substituted)
        case ListNode():
            return ListNode(mark, tuple(_unmarked(item, mark) for item in node.items))
        case MapNode():
            entries = {key: _unmarked(child, mark) for key, child in node.entries.items()}
            return MapNode(mark, entries, dict.fromkeys(entries, mark))


def stack(layers: Sequence[MapNode]) -> MapNode:
    """All layers, the lowest first, laid over each other."""
    result = MapNode(layers[0].mark)
    for layer in layers:
        result = merge(result, layer)
    return result
