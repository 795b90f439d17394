"""YAML text to a tree of nodes, in which everything knows its place.

YAML 1.2 with its core schema, less what a configuration doesn't need: tags, keys that aren't scalars, several
documents in one file. Anchors, aliases and merge keys work; what they unfold to is bounded.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from ruamel.yaml.reader import ReaderError

from .marks import Mark, Origin
from .problems import Problems
from .scalars import Plain, is_variable, meaning, substitute

LONGEST = 1_000_000
"""Bytes that a file may have."""

MOST_NODES = 20_000
"""Nodes that a file may unfold to, aliases included."""

DEEPEST = 60
"""How deep lists and mappings may be nested."""


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """A single value. missing: variables of the environment that it needs and that aren't there.

    substituted: its text came from the environment, and may be a secret.
    """

    mark: Mark
    value: Plain
    missing: tuple[str, ...] = ()
    substituted: bool = False


@dataclass(frozen=True, slots=True)
class ListNode:
    """A list."""

    mark: Mark
    items: "tuple[Node, ...]" = ()


@dataclass(frozen=True, slots=True)
class MapNode:
    """A mapping; keys are the texts that were written.

    keys: the mark of each key. replaces: it takes the place of what it is laid over, instead of merging.
    removed: the marks of the nulls that took out what was below, by key, and by `key.child` of a mapping.
    """

    mark: Mark
    entries: "Mapping[str, Node]" = field(default_factory=dict)
    keys: Mapping[str, Mark] = field(default_factory=dict)
    replaces: bool = False
    removed: Mapping[str, Mark] = field(default_factory=dict)

    def at(self, key: str) -> Mark:
        """The mark of a key, or of the mapping where there is no such key."""
        return self.keys.get(key, self.mark)


Node = ScalarNode | ListNode | MapNode


def plain(node: Node) -> Any:
    """The data of a tree, without its marks."""
    match node:
        case ScalarNode():
            return node.value
        case ListNode():
            return [plain(item) for item in node.items]
        case MapNode():
            return {key: plain(child) for key, child in node.entries.items()}


def missing(node: Node) -> Iterator[ScalarNode]:
    """The scalars in a tree that need variables which aren't there."""
    match node:
        case ScalarNode():
            if node.missing:
                yield node
        case ListNode():
            for item in node.items:
                yield from missing(item)
        case MapNode():
            for child in node.entries.values():
                yield from missing(child)


def find(node: Node, path: tuple[str | int, ...]) -> tuple[Node, tuple[str | int, ...]]:
    """The deepest node on a path, and how much of the path leads to it.

    Steps that aren't in the tree, such as a validator's names of alternatives, are passed over.
    """
    taken: list[str | int] = []
    for step in path:
        if isinstance(node, MapNode) and str(step) in node.entries:
            node = node.entries[str(step)]
        elif isinstance(node, ListNode) and isinstance(step, int) and 0 <= step < len(node.items):
            node = node.items[step]
        else:
            continue
        taken.append(step)
    return node, tuple(taken)


def parse(data: bytes, origin: Origin, environ: Mapping[str, str], problems: Problems) -> Node | None:
    """The tree of a YAML document; None where it is empty or can't be read, which `problems` then says."""
    text = _text(data, origin, problems)
    if text is None:
        return None
    try:
        return _Composer(origin, environ, problems).document(YAML(typ="safe", pure=True).parse(text))
    except _Refused as refused:
        problems.add("E01", refused.message, refused.mark, refused.hint)
    except MarkedYAMLError as error:
        place = error.problem_mark or error.context_mark
        mark = Mark(origin, place.line + 1, place.column + 1) if place else Mark(origin)
        said, hint = _said(error)
        if place and re.search(r"\$\{[^\n]?$", text[: place.index + 1]):
            hint = hint or "inside [ ] and { }, put ${NAME} in quotes"
        problems.add("E01", said, mark, hint)
    except ReaderError as error:
        problems.add(
            "E01",
            f"the character U+{_code(error.character):04X} is not allowed",
            _place(text, error.position, origin),
        )
    except Exception as error:  # the parser has bugs of its own on garbled text
        problems.add("E01", f"this can't be read as YAML ({type(error).__name__})", Mark(origin))
    return None


class _Refused(Exception):
    """The document can't be used, for a reason of our own."""

    def __init__(self, message: str, mark: Mark, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.mark, self.hint = message, mark, hint


class _Composer:
    """Builds the tree from the parser's events."""

    def __init__(self, origin: Origin, environ: Mapping[str, str], problems: Problems) -> None:
        self._origin, self._environ, self._problems = origin, environ, problems
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._nodes = 0

    def document(self, events: Iterator[Event]) -> Node | None:
        tree: Node | None = None
        documents = 0
        for event in events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _Refused(
                        "a second document begins here", self._mark(event), "a file holds one document"
                    )
            elif isinstance(event, ScalarEvent | SequenceStartEvent | MappingStartEvent | AliasEvent):
                tree = self._node(event, events, 0)
            elif isinstance(event, StreamEndEvent):
                break
        return tree

    def _mark(self, event: Event) -> Mark:
        return Mark(self._origin, event.start_mark.line + 1, event.start_mark.column + 1)

    def _node(self, event: Any, events: Iterator[Event], depth: int) -> Node:
        mark = self._mark(event)
        if isinstance(event, AliasEvent):
            if event.anchor not in self._anchors:
                raise _Refused(f"no anchor '&{event.anchor}' ends before this alias", mark)
            node, size = self._anchors[event.anchor]
            self._count(size, mark)
            return node
        if event.tag is not None:
            raise _Refused(f"the tag {event.tag!r} is not allowed", mark, "put a text in quotes instead")
        if depth > DEEPEST:
            raise _Refused(f"nested deeper than {DEEPEST} levels", mark)
        before = self._nodes
        self._count(1, mark)
        if isinstance(event, SequenceStartEvent):
            node = self._list(mark, events, depth)
        elif isinstance(event, MappingStartEvent):
            node = self._mapping(mark, events, depth)
        else:
            node = self._scalar(event, mark)
        if event.anchor is not None:
            self._anchors[event.anchor] = node, self._nodes - before
        return node

    def _count(self, nodes: int, mark: Mark) -> None:
        self._nodes += nodes
        if self._nodes > MOST_NODES:
            raise _Refused(f"more than {MOST_NODES:,} values, aliases included", mark)

    def _scalar(self, event: Any, mark: Mark) -> ScalarNode:
        written = not event.implicit[0]
        try:
            text, absent = substitute(event.value, self._environ)
        except ValueError as error:
            raise _Refused(
                str(error), mark, "write ${NAME}, ${NAME:-default}, or $${ for the text itself"
            ) from None
        whole = is_variable(event.value)
        # What a variable brings is a text, unless the variable is all there is.
        as_text = written or (text != event.value and not whole)
        value = text if as_text else meaning(text)
        return ScalarNode(mark, value, tuple(absent), "${" in event.value)

    def _list(self, mark: Mark, events: Iterator[Event], depth: int) -> ListNode:
        items: list[Node] = []
        while not isinstance(event := next(events), SequenceEndEvent):
            items.append(self._node(event, events, depth + 1))
        return ListNode(mark, tuple(items))

    def _mapping(self, mark: Mark, events: Iterator[Event], depth: int) -> MapNode:
        entries: dict[str, Node] = {}
        keys: dict[str, Mark] = {}
        merged: list[MapNode] = []
        while not isinstance(event := next(events), MappingEndEvent):
            place = self._mark(event)
            if not isinstance(event, ScalarEvent) or event.tag is not None:
                raise _Refused("a key must be a single word or number", place)
            child = self._node(next(events), events, depth + 1)
            if event.value == "<<" and event.implicit[0]:
                merged += self._merged(child, place)
            elif event.value in entries:
                self._problems.add(
                    "E02",
                    f"the key {event.value!r} is here twice",
                    place,
                    f"first in line {keys[event.value].line}",
                )
            else:
                entries[event.value], keys[event.value] = child, place
        for other in merged:
            for key, child in other.entries.items():
                if key not in entries:
                    entries[key], keys[key] = child, other.keys[key]
        return MapNode(mark, entries, keys)

    def _merged(self, child: Node, place: Mark) -> list[MapNode]:
        parts = child.items if isinstance(child, ListNode) else (child,)
        mappings = [part for part in parts if isinstance(part, MapNode)]
        if len(mappings) < len(parts):
            raise _Refused("'<<' merges mappings only", place)
        return mappings


def _text(data: bytes, origin: Origin, problems: Problems) -> str | None:
    if len(data) > LONGEST:
        problems.add("E01", f"the file has {len(data):,} bytes; at most {LONGEST:,} are read", Mark(origin))
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", "replace")
        problems.add(
            "E01",
            f"the byte 0x{data[error.start]:02x} is not UTF-8",
            _place(before, len(before), origin),
            "save the file in UTF-8",
        )
        return None


def _place(text: str, position: int, origin: Origin) -> Mark:
    before = text[:position]
    return Mark(origin, before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1)


def _code(character: str | int) -> int:
    """The code point that the reader complains of, which it gives in either form."""
    return character if isinstance(character, int) else ord(character)


def _said(error: MarkedYAMLError) -> tuple[str, str]:
    """The parser's words, as one line, and a hint."""
    problem = " ".join(str(error.problem or error.context or "this is not YAML").split())
    if "'\\t'" in problem or "\t" in str(error.problem or ""):
        return "a tab can't begin a word or indent a line", "use spaces"
    context = " ".join(str(error.context or "").split())
    return (f"{context}, {problem}" if context and error.problem else problem), ""
