"""Writes docs/components.md and the hooks of docs/plugins.md from the components and hooks themselves.

`make docs` runs it; `--check` changes nothing and fails where a page is not what it would write.
"""

import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any

from tastemaker.core.components import KINDS, Component, kind_of
from tastemaker.core.hooks import Hooks
from tastemaker.core.registry import Registry

HERE = Path(__file__).parent
BUILT_IN = (
    "catalog",
    "music",
    "video",
    "projects",
    "products",
    "personality",
    "files",
    "embeddings",
    "github",
    "http",
    "redis",
    "shop",
    "spotify",
    "audio_features",
    "linucb",
    "dqn",
    "q_learning",
    "thompson",
    "youtube",
)


def components_page(registry: Registry) -> str:
    """Every component that comes with Tastemaker, by kind, with its options."""
    lines = [
        "# Components",
        "What comes with Tastemaker, by kind. `tastemaker plugins` shows what is installed. This page is written by",
        "`make docs`.",
    ]
    found: dict[str, list[tuple[str, type[Component]]]] = {kind: [] for kind in KINDS}
    for plugin in BUILT_IN:
        for name, component in registry.load(plugin).components.items():
            found[kind_of(component)].append((f"{plugin}.{name}", component))
    for kind, components in found.items():
        if not components:
            continue
        lines += ["", f"## {kind.capitalize()}s", "", first_paragraph(KINDS[kind])]
        for use, component in sorted(components):
            lines += ["", f"### `{use}`", "", first_paragraph(component), *options(component)]
    return "\n".join(lines) + "\n"


def first_paragraph(thing: Any) -> str:
    """The first paragraphs of a docstring, as Markdown."""
    return inspect.getdoc(thing) or ""


def options(component: type[Component]) -> list[str]:
    """A table of a component's options."""
    schema = component.model_json_schema()
    properties = schema.get("properties", {})
    if not properties:
        return []
    lines = ["", "| option | type | default | |", "|---|---|---|---|"]
    required = set(schema.get("required", ()))
    for name, option in properties.items():
        default = (
            "needed" if name in required else f"`{json.dumps(option.get('default'), ensure_ascii=False)}`"
        )
        words = re.sub(r"\s+", " ", option.get("description", "")).replace("|", "\\|")
        lines.append(f"| `{name}` | {type_of(option, schema)} | {default} | {words} |")
    return lines


def type_of(option: dict[str, Any], schema: dict[str, Any]) -> str:
    """The type of an option in a few words, with its bounds."""
    if "$ref" in option:
        return type_of(schema["$defs"][option["$ref"].rsplit("/", 1)[-1]], schema)
    if "anyOf" in option:
        kinds = [type_of(part, schema) for part in option["anyOf"] if part.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in option:
        return ", ".join(f"`{value}`" for value in option["enum"])
    if "const" in option:
        return f"`{option['const']}`"
    kind = str(option.get("type", "any"))
    if kind == "array":
        return (
            "list of " + type_of(option["items"], schema) if isinstance(option.get("items"), dict) else "list"
        )
    low = option.get("minimum", option.get("exclusiveMinimum"))
    high = option.get("maximum", option.get("exclusiveMaximum"))
    if low is None and high is None:
        return kind
    opening = ">" if "exclusiveMinimum" in option else "≥"
    closing = "<" if "exclusiveMaximum" in option else "≤"
    bounds = [f"{sign} {bound:g}" for sign, bound in ((opening, low), (closing, high)) if bound is not None]
    return f"{kind} {', '.join(bounds)}"


def hooks_part() -> str:
    """The hooks with their docstrings, for docs/plugins.md."""
    lines = []
    for name, function in vars(Hooks).items():
        if name.startswith("_") or not callable(function):
            continue
        parameters = [
            parameter for parameter in inspect.signature(function).parameters if parameter != "self"
        ]
        words, _, example = (inspect.getdoc(function) or "").partition(">>> ")
        code = re.sub(r"^(>>> |\.\.\. ?)", "", ">>> " + example, flags=re.MULTILINE).strip()
        lines += [
            "",
            f"### `{name}({', '.join(parameters)})`",
            "",
            words.strip(),
            "",
            "```python",
            code,
            "```",
        ]
    return "\n".join(lines).strip() + "\n"


def pages() -> dict[Path, str]:
    """Every generated page with its text."""
    registry = Registry()
    plugins = HERE / "plugins.md"
    start, end = "<!-- hooks -->\n", "<!-- end of hooks -->"
    before, _, rest = plugins.read_text(encoding="utf-8").partition(start)
    after = rest.partition(end)[2]
    return {
        HERE / "components.md": components_page(registry),
        plugins: f"{before}{start}{hooks_part()}{end}{after}",
    }


def main() -> int:
    """Write the pages, or with `--check` name those that are out of date."""
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text("utf-8") != text]
    if "--check" in sys.argv:
        for path in stale:
            print(f"{path.name} is out of date: run `make docs`")
        return 1 if stale else 0
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
