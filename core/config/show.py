"""A resolved configuration as YAML, with the origin of every value beside it."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretBytes, SecretStr

from ..components import Connector, only_tunes
from ..rewards import RewardTable
from .document import MapNode, Node, plain
from .entries import KIND_OF_SECTION
from .layers import SECTIONS
from .marks import Mark
from .options import KEYS_OF_KIND
from .scalars import meaning
from .settings import DomainPlan, LeftOut, Settings, Step
from .store_url import shown_url

HIDDEN = "**********"


def show(settings: Settings) -> str:
    """The whole configuration as YAML that can be read back; secrets are hidden.

    Every value has its origin as a comment: a file and line, a preset and line, `--set`, or `default`.
    """
    tree = settings.tree
    page = _Page()
    page.value("version", 1, tree.entries.get("version"))
    page.value("store", shown_url(settings.store.get_secret_value()), tree.entries.get("store"))
    page.value("cache", shown_url(settings.cache.get_secret_value()), tree.entries.get("cache"))
    page.value("accounts", _data(settings.accounts), tree.entries.get("accounts"))
    plugins = tree.entries.get("plugins")
    page.value("plugins", plain(plugins) if plugins else [], plugins)
    page.value("api", _data(settings.api), tree.entries.get("api"))
    domains = tree.entries.get("domains")
    domains = domains if isinstance(domains, MapNode) else MapNode(tree.mark)
    page.heading("domains", None if domains.entries else "{}")
    with page:
        for name, node in domains.entries.items():
            if isinstance(node, MapNode):
                _domain(page, name, node, domains.at(name), settings.domains.get(name))
    return str(page)


def _domain(page: "_Page", name: str, node: MapNode, place: Mark, plan: DomainPlan | None) -> None:
    extends = node.entries.get("extends")
    notes = f"{place}, extends {plain(extends)}" if extends else str(place)
    page.heading(name, notes=notes)
    with page:
        if plan is None:
            page.value("enabled", False, node.entries.get("enabled"))
            return
        page.value("title", plan.title, node.entries.get("title"))
        page.value("description", plan.description, node.entries.get("description"))
        names = {id(step.component): step.name for step in plan.connectors}
        _items(page, plan, node.entries.get("items"), names)
        for section in SECTIONS:
            if section in node.entries:
                _section(page, section, plan, node.entries[section], names)
        _rewards(page, plan, node.entries.get("rewards"))
        page.value("slate", _data(plan.slate), node.entries.get("slate"))
        page.value("learning", _data(plan.learning), node.entries.get("learning"))


def _items(page: "_Page", plan: DomainPlan, node: Node | None, names: "_Names") -> None:
    items = plan.items
    entries = node.entries if isinstance(node, MapNode) else {}
    page.heading("items")
    with page:
        page.value("id", items.schema.id, entries.get("id"))
        page.value("fields", dict(items.schema.fields), entries.get("fields"))
        left = plan.left_out.get("items.from")
        collector = items.collector or (left.step if left else None)
        if collector is not None:
            without = _written(entries["from"], "without")
            keys = {"without": without} if without else {}
            entry = {"use": collector.use, **keys, **_data(collector.component, names)}
            page.value("from", entry, entries["from"], _note(collector, left))
        if items.embedder is not None:
            written = entries["embedding"]
            use = plain(written)["use"]
            page.value("embedding", {"use": use, **_data(items.embedder, names)}, written)
        if items.most is not None:
            page.value("most", items.most, entries["most"])


def _section(page: "_Page", section: str, plan: DomainPlan, node: Node | None, names: "_Names") -> None:
    written = node.entries if isinstance(node, MapNode) else {}
    steps: tuple[Step, ...] = getattr(plan, section)
    by_name = {step.name: step for step in steps}
    page.heading(section, None if written else "{}")
    with page:
        for name, entry in written.items():
            left = plan.left_out.get(f"{section}.{name}")
            step = by_name.get(name) or (left.step if left else None)
            if step is None:
                data = plain(entry)
                kept = {key: data[key] for key in ("use", "enabled") if key in data}
                page.value(name, kept, entry, f"left out: {left.why}" if left else "")
                continue
            keys = KEYS_OF_KIND[KIND_OF_SECTION[section]].model_fields
            core = {key: getattr(step, key) for key in keys if hasattr(step, key)}
            if only_tunes(type(step.component)):
                del core["weight"]
            if without := _written(entry, "without"):
                core["without"] = without
            options = {"use": step.use, **core, **_data(step.component, names)}
            page.value(name, options, entry, _note(step, left))


_Names = Mapping[int, str]
"""The names of a domain's connectors, by their identity."""


def _note(step: Step, left: LeftOut | None) -> str:
    """What is to be said of an entry as a whole."""
    if left is not None:
        return f"left out: {left.why}"
    component = step.component
    return "not configured" if isinstance(component, Connector) and not component.configured else ""


def _written(entry: Node, key: str) -> Any:
    """What stands under a key of an entry; None where nothing does."""
    return plain(entry).get(key) if isinstance(entry, MapNode) else None


def _rewards(page: "_Page", plan: DomainPlan, node: Node | None) -> None:
    if isinstance(plan.reward, RewardTable):
        written = plain(node) if node else {}
        page.value("rewards", {"seen": plan.reward.seen, **written}, node)
    else:
        use = plain(node)["use"] if node else ""
        page.value("rewards", {"use": use, **_data(plan.reward)}, node)


class _Page:
    """Lines of YAML at a depth; `with page:` goes one level deeper."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._depth = 0

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1

    def __str__(self) -> str:
        return "\n".join(self._lines) + "\n"

    def heading(self, key: str, value: str | None = None, notes: str = "") -> None:
        """A key alone, with its children to follow."""
        said = f"{_key(key)}:{' ' + value if value else ''}"
        self._lines.append("  " * self._depth + said + (f"  # {notes}" if notes else ""))

    def value(self, key: str, value: Any, node: Node | None, notes: str = "") -> None:
        """A key and its value; a mapping goes over several lines, each with its own origin."""
        if isinstance(value, Mapping) and value:
            self.heading(key, notes=notes)
            entries = node.entries if isinstance(node, MapNode) else {}
            with self:
                for name, inner in value.items():
                    self.value(str(name), inner, _entry(entries, name))
            return
        origin = str(node.mark) if node is not None else "default"
        self._lines.append("  " * self._depth + f"{_key(key)}: {_flow(value)}  # {' '.join(origin.split())}")


def _entry(entries: Mapping[str, Node], key: Any) -> Node | None:
    """The node of a key; a validated key such as 1.0 may have been written as 1."""
    if isinstance(key, float) and str(key) not in entries:
        return next((node for text, node in entries.items() if meaning(text) == key), None)
    return entries.get(str(key))


def _data(value: Any, names: _Names | None = None) -> Any:
    """Validated options as plain data, with secrets hidden; names: of connectors that are options."""
    match value:
        case SecretStr() | SecretBytes():
            return HIDDEN if value.get_secret_value() else ""
        case BaseModel():
            fields = type(value).model_fields
            options = {field.alias or name: getattr(value, name) for name, field in fields.items()}
            return {
                name: names[id(option)] if names and id(option) in names else _data(option)
                for name, option in options.items()
            }
        case Path():
            return str(value)
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {key: _data(inner) for key, inner in value.items()}
        case AbstractSet():
            return sorted((_data(inner) for inner in value), key=str)
        case list() | tuple():
            return [_data(inner) for inner in value]
        case _:
            return str(value)


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(str(key))}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _scalar(value)


def _key(text: str) -> str:
    """A key; numbers stay as they were written."""
    return text if type(meaning(text)) in (int, float) else _scalar(text)


def _scalar(value: Any) -> str:
    """One value in YAML 1.2.

    >>> print(*map(_scalar, ["plain", "12", "a: b", "${X}", None, True, float("inf"), 1e-7]))
    plain "12" "a: b" "$${X}" null true .inf 1e-07
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value).replace("inf", ".inf").replace("nan", ".nan")
    if not isinstance(value, str):
        return str(value)
    text = value.replace("${", "$${")
    simple = text.replace("_", "a").replace("-", "a").replace(".", "a").replace("/", "a").isalnum()
    if simple and text[0].isalpha() and text.isascii() and meaning(text) == text:
        return text
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
