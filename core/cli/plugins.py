"""`tastemaker plugins`: what is installed, what it offers, and what is wrong with it."""

from collections import defaultdict
from typing import TYPE_CHECKING

from ..errors import ConfigError
from .failing import guarded
from .options import ConfigOption, JsonOption, SetOption, settings_of
from .output import Column, as_json, counted, note, say, table

if TYPE_CHECKING:
    from ..registry import PluginInfo


@guarded
def plugins(config: ConfigOption = None, set: SetOption = None, json: JsonOption = False) -> None:
    """List the plugins, what they offer, and what is wrong with them.

    All that are installed, and those of the configuration; a broken one hurts no other.
    """
    from ..registry import Registry

    try:
        registry = settings_of(config, set).registry
    except ConfigError as error:
        note(f"the configuration has {counted(len(error.problems), 'problem')}: see tastemaker validate")
        registry = Registry()
    infos = registry.plugins(installed=True)
    if json:
        as_json(infos)
        return
    rows = []
    for info in infos:
        first, *others = _offers(info) or [("", "nothing")]
        rows.append([info.name, *first])
        rows += [["", *other] for other in others]
    table(["plugin", "offers", Column("names", whole=True)], rows)
    say()
    for info in infos:
        if info.error:
            note(f"error: {info.error}")
    broken = sum(info.error is not None for info in infos)
    say(f"{counted(len(infos), 'plugin')}, {broken} broken" if broken else counted(len(infos), "plugin"))


def _offers(info: "PluginInfo") -> list[tuple[str, str]]:
    """What a plugin offers, by kind, a line for each."""
    if info.error:
        return [("BROKEN", f"see below ({' '.join(filter(None, (info.distribution, info.version)))})")]
    by_kind: dict[str, list[str]] = defaultdict(list)
    for component in info.components:
        by_kind[component.kind].append(component.name.partition(".")[2])
    lines = [(kind, _wrapped(names)) for kind, names in by_kind.items()]
    if info.presets:
        lines.append(("preset", _wrapped(list(info.presets))))
    listens = [hook for hook in info.hooks if hook not in ("components", "presets")]
    if listens:
        lines.append(("hook", _wrapped(listens)))
    if info.distribution != "tastemaker":
        lines.append(("from", " ".join(filter(None, (info.distribution, info.version)))))
    return lines


def _wrapped(names: list[str]) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(", ".join(names), 64))
