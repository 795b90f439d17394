"""What stands under a key of a mapping: of the kind that it must be, or else told of."""

from collections.abc import Collection

from ..errors import did_you_mean
from .document import MapNode, ScalarNode
from .problems import Problems
from .validation import M, validated


def known_keys(node: MapNode, known: Collection[str], problems: Problems) -> None:
    """Refuse keys that aren't known."""
    for key in node.entries:
        if key not in known:
            problems.add("E03", f"no key is called {key!r} here", node.at(key), did_you_mean(key, known))


def mapping(node: MapNode, key: str, problems: Problems) -> MapNode | None:
    """The mapping under a key; None where there is none or it is something else, which is told."""
    child = node.entries.get(key)
    if child is None or isinstance(child, MapNode):
        return child
    if not (isinstance(child, ScalarNode) and child.missing):
        problems.add("E05", f"{key!r} must be a mapping", child.mark)
    return None


def text(node: MapNode, key: str, default: str, problems: Problems) -> str:
    """The text under a key."""
    child = node.entries.get(key)
    if child is None:
        return default
    if isinstance(child, ScalarNode):
        if child.missing or isinstance(child.value, str):
            return str(child.value)
        problems.add("E05", f"{key!r} must be a text", child.mark, "put it in quotes")
    else:
        problems.add("E05", f"{key!r} must be a text", child.mark)
    return default


def section(node: MapNode, key: str, model: type[M], problems: Problems) -> M | None:
    """The options under a key, their defaults where there is none; None where `problems` say what is wrong."""
    child = mapping(node, key, problems)
    if child is None and key in node.entries:
        return None
    return validated(model, child or MapNode(node.at(key)), problems, title=repr(key))
