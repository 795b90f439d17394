"""Finding, importing and checking plugins. One registry per orchestrator; nothing here is global.

A plugin is found by its entry point in the group `tastemaker`, or by the path of a file. Only plugins that
somebody asks for by name are imported. Whatever is wrong with one is told as one `PluginProblem`.
"""

import inspect
import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy
from pydantic import BaseModel

from .components import KINDS, Component, Embedder, kind_of
from .errors import did_you_mean
from .hooks import PROJECT, Hooks
from .outcomes import Outcomes
from .plugin_import import Found, PluginProblem, attempt, behind, brief, broken, import_file, label, reason
from .slate import Slate

if TYPE_CHECKING:
    from fastapi import APIRouter

log = logging.getLogger(__name__)

SECTIONS: dict[str, str] = {
    "connector": "connectors",
    "collector": "collectors",
    "source": "sources",
    "filter": "filters",
    "scorer": "scorers",
    "policy": "policies",
    "reward": "rewards",
}
"""Where in a domain's YAML a component of each kind belongs."""

_STEP_KEYS = ("use", "enabled", "without", "timeout_ms", "on_error")

ENTRY_KEYS: dict[str, tuple[str, ...]] = {
    "connector": ("use", "enabled"),
    "collector": ("use", "enabled", "without", "every", "replace"),
    "source": _STEP_KEYS,
    "filter": _STEP_KEYS,
    "scorer": (*_STEP_KEYS, "weight"),
    "policy": (*_STEP_KEYS, "weight"),
    "reward": ("use",),
}
"""The keys of an entry that belong to the core; a component has no option of such a name."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin that was imported and checked.

    distribution: name of the package that brought it, or the path of its file; version: empty for a file.
    components: class by short name; presets: domain YAML by name; hooks: the names of those it implements.
    """

    name: str
    distribution: str
    version: str
    module: Any
    components: Mapping[str, type[Component]]
    presets: Mapping[str, Path]
    hooks: tuple[str, ...]

    def __str__(self) -> str:
        return label(self.name, self.distribution, self.version)


@dataclass(frozen=True, slots=True)
class ComponentInfo:
    """One component as people read of it; name: as behind `use:`."""

    name: str
    kind: str
    summary: str


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """One plugin as people read of it; `error` is None when well; one that isn't loaded has no components."""

    name: str
    distribution: str
    version: str
    loaded: bool = False
    components: tuple[ComponentInfo, ...] = ()
    presets: tuple[str, ...] = ()
    hooks: tuple[str, ...] = ()
    error: str | None = None


class Registry:
    """The plugins of one orchestrator."""

    def __init__(self) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(Hooks)
        self._files: dict[str, Found] = {}
        self._paths: dict[str, Path] = {}
        self._loaded: dict[str, Plugin] = {}
        self._failed: dict[str, PluginProblem] = {}

    @cached_property
    def _installed(self) -> dict[str, list[EntryPoint]]:
        found: dict[str, list[EntryPoint]] = {}
        for point in entry_points(group=PROJECT):
            found.setdefault(point.name, []).append(point)
        return found

    def names(self) -> list[str]:
        """The names of all plugins that can be loaded, sorted; imports none of them."""
        return sorted({*self._installed, *self._files})

    def loaded(self) -> list[Plugin]:
        """The plugins that were imported and are well, in the order of their import."""
        return list(self._loaded.values())

    def add_file(self, path: Path) -> str:
        """Make the plugin in a Python file known under the file's stem, which is returned.

        Imports nothing. Raises PluginProblem where the name is taken or the file isn't there.
        """
        path, name = path.resolve(), path.stem
        if self._paths.get(name) == path:
            return name
        if name in self._paths:
            raise PluginProblem(
                "E13", f"two files are called {name!r}: {self._paths[name]} and {path}", "rename one"
            )
        if name in self._installed:
            taken = behind(self._installed[name][0])
            raise PluginProblem(
                "E13", f"the file {path.name} has the name of the plugin {taken}", "rename the file"
            )
        if "." in name:
            raise PluginProblem(
                "E08", f"the plugin file {path.name} has a dot in its name", "rename the file"
            )
        if not path.is_file():
            raise PluginProblem("E04", f"there is no plugin file {path}")
        self._paths[name] = path
        self._files[name] = Found(name, str(path), "", lambda: import_file(path))
        return name

    def load(self, name: str) -> Plugin:
        """The plugin of this name, imported and checked once. Raises PluginProblem; again at every call."""
        if name in self._failed:
            raise self._failed[name]
        if name not in self._loaded:
            try:
                self._loaded[name] = self._load(self._find(name))
            except PluginProblem as problem:
                self._failed[name] = problem
                raise
        return self._loaded[name]

    def component(self, use: str, kind: str) -> type[Component]:
        """The class behind `use: plugin.component`, which must be of the kind. Raises PluginProblem."""
        plugin_name, dot, short = use.partition(".")
        if not dot or not short or not plugin_name:
            options = [full for plugin in self.loaded() for full in _full_names(plugin, kind)]
            hint = _hint(use, {full.partition(".")[2]: full for full in options})
            raise PluginProblem("E04", f"{use!r} names no {kind}", hint or "write it as plugin.component")
        plugin = self.load(plugin_name)
        component = plugin.components.get(short)
        if component is None:
            known = _full_names(plugin, kind)
            hint = did_you_mean(use, known).removeprefix("; ")
            raise PluginProblem(
                "E04", f"no {kind} is called {use!r}", hint or f"the plugin {plugin_name!r} offers no {kind}"
            )
        if not issubclass(component, KINDS[kind]):
            actual = kind_of(component)
            raise PluginProblem(
                "E09", f"{use!r} is a {actual}, not a {kind}", f"it belongs under {place_of(component)}"
            )
        return component

    def use_of(self, component: type[Component]) -> str:
        """How a component is written, such as `github.api`; the class's name where no loaded plugin offers it."""
        with suppress(PluginProblem):
            self.load(component.__module__.rpartition(".")[2])
        for plugin in self.loaded():
            for name, offered in plugin.components.items():
                if offered is component:
                    return f"{plugin.name}.{name}"
        return component.__name__

    def preset(self, name: str) -> tuple[str, Path]:
        """The full name and the file of a preset: `music` is `music.music`. Raises PluginProblem."""
        plugin_name, dot, short = name.partition(".")
        if plugin_name not in self.names():
            hint = did_you_mean(plugin_name, self.names()).removeprefix("; ")
            raise PluginProblem("E10", f"no preset is called {name!r}", hint or "see `tastemaker plugins`")
        plugin = self.load(plugin_name)
        short = short if dot else plugin_name
        if short not in plugin.presets:
            known = [_preset_name(plugin_name, other) for other in plugin.presets]
            hint = did_you_mean(name, known).removeprefix("; ")
            raise PluginProblem(
                "E10",
                f"no preset is called {name!r}",
                hint or f"the plugin {plugin_name!r} offers no presets",
            )
        return _preset_name(plugin_name, short), plugin.presets[short]

    def plugins(self, *, installed: bool = False) -> list[PluginInfo]:
        """All plugins that can be loaded, by name; imported too where `installed` is set."""
        if installed:
            for name in self.names():
                try:
                    self.load(name)
                except PluginProblem:
                    continue
        return [self._info(name) for name in self.names()]

    # The hooks, typed as they are specified. One plugin's failure doesn't keep the others from being called.

    def routes(self) -> "list[tuple[str, APIRouter]]":
        """Plugin name and router, in the order of loading. Raises PluginProblem."""
        return [(name, router) for name, routers in self._call("routes") for router in routers]

    def startup(self, orchestrator: Any) -> None:
        """The orchestrator has started. Raises PluginProblem."""
        for _ in self._call("startup", orchestrator=orchestrator):
            pass

    def shutdown(self, orchestrator: Any) -> None:
        """The orchestrator is about to stop; failures are logged."""
        self._tell("shutdown", orchestrator=orchestrator)

    def served(self, slate: Slate) -> None:
        """A slate was logged and answered; failures are logged."""
        self._tell("served", slate=slate)

    def learned(self, domain: str, outcomes: Outcomes) -> None:
        """The policies of a domain have learned; failures are logged."""
        self._tell("learned", domain=domain, outcomes=outcomes)

    def listens(self, hook: str) -> bool:
        """Whether any loaded plugin implements the hook."""
        return any(hook in plugin.hooks for plugin in self._loaded.values())

    def _call(self, hook: str, **values: Any) -> Iterator[tuple[str, Any]]:
        for plugin in self.loaded():
            if hook in plugin.hooks:
                try:
                    yield plugin.name, self._result(plugin.module, hook, **values)
                except Exception as error:
                    raise PluginProblem("E08", broken(plugin, f"failed in {hook}()", error)) from error

    def _tell(self, hook: str, **values: Any) -> None:
        for plugin in self.loaded():
            if hook in plugin.hooks:
                try:
                    self._result(plugin.module, hook, **values)
                except Exception as error:  # a plugin's code may raise anything
                    log.warning("%s", broken(plugin, f"failed in {hook}()", error))

    def _result(self, module: Any, hook: str, **values: Any) -> Any:
        """What one plugin's implementation of a hook gives."""
        caller: pluggy.HookCaller = getattr(self._manager.hook, hook)
        implementation = next(found for found in caller.get_hookimpls() if found.plugin is module)
        return implementation.function(*(values[name] for name in implementation.argnames))

    def _find(self, name: str) -> Found:
        if name in self._files:
            return self._files[name]
        points = self._installed.get(name, [])
        if not points:
            close = did_you_mean(name, self.names()).removeprefix("; ")
            raise PluginProblem(
                "E04",
                f"no plugin is called {name!r}",
                close
                if close.startswith("did")
                else _join(close, "install the plugin's package with pip install"),
            )
        if len(points) > 1:
            claims = " and ".join(
                sorted({f"{behind(point).distribution} ({point.value})" for point in points})
            )
            raise PluginProblem("E13", f"the plugin {name!r} is claimed by {claims}", "uninstall one of them")
        return behind(points[0])

    def _load(self, found: Found) -> Plugin:
        module = attempt(found, "can't be imported", found.bring)
        if self._manager.get_name(module) is not None:
            other = self._manager.get_name(module)
            raise PluginProblem("E13", f"the plugin {found} is the same module as the plugin {other!r}")
        try:
            attempt(
                found, "has a hook that doesn't fit", lambda: self._manager.register(module, name=found.name)
            )
            hooks = self._hooks(found, module)
            components = self._components(found, module) if "components" in hooks else {}
            presets = self._presets(found, module) if "presets" in hooks else {}
        except PluginProblem:
            if self._manager.has_plugin(found.name):
                self._manager.unregister(name=found.name)
            raise
        return Plugin(found.name, found.distribution, found.version, module, components, presets, hooks)

    def _hooks(self, found: Found, module: Any) -> tuple[str, ...]:
        callers = self._manager.get_hookcallers(module) or []
        wrong = [caller.name for caller in callers if not caller.has_spec()]
        if wrong:
            known = [name for name in vars(Hooks) if not name.startswith("_")]
            said = " and ".join(f"no hook is called {name!r}{did_you_mean(name, known)}" for name in wrong)
            raise PluginProblem("E08", f"the plugin {found} is broken: {said}")
        names = tuple(sorted(caller.name for caller in callers))
        if not names:
            raise PluginProblem(
                "E08", f"the plugin {found} offers nothing", "mark its functions with @hookimpl"
            )
        for caller in callers:
            function = next(impl.function for impl in caller.get_hookimpls() if impl.plugin is module)
            if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
                raise PluginProblem(
                    "E08", f"the plugin {found} is broken: {caller.name}() must be a plain function"
                )
        return names

    def _components(self, found: Found, module: Any) -> dict[str, type[Component]]:
        offered = attempt(found, "failed in components()", lambda: list(self._result(module, "components")))
        components: dict[str, type[Component]] = {}
        for offer in offered:
            fault = _component_fault(offer)
            if fault:
                raise PluginProblem("E08", f"the plugin {found} is broken: {fault}")
            short = offer.component_name()
            if components.setdefault(short, offer) is not offer:
                both = f"{components[short].__qualname__} and {offer.__qualname__}"
                raise PluginProblem("E13", f"the plugin {found} has two components called {short!r}: {both}")
            taken = [key for key in ENTRY_KEYS[kind_of(offer)] if key in offer.model_fields]
            if taken:
                raise PluginProblem(
                    "E13",
                    f"the plugin {found} has a component {short!r} with an option {taken[0]!r}, which is "
                    f"the core's own key of every {kind_of(offer)}",
                    "rename the option",
                )
        return components

    def _presets(self, found: Found, module: Any) -> dict[str, Path]:
        offered = attempt(found, "failed in presets()", lambda: dict(self._result(module, "presets")))
        for name, path in offered.items():
            if not isinstance(name, str) or not isinstance(path, str | Path):
                raise PluginProblem(
                    "E08",
                    f"the plugin {found} is broken: presets() must give paths by name, not {brief(path)}",
                )
        return {name: Path(path) for name, path in offered.items()}

    def _info(self, name: str) -> PluginInfo:
        plugin, failure = self._loaded.get(name), self._failed.get(name)
        if plugin is not None:
            components = tuple(
                ComponentInfo(f"{name}.{short}", kind_of(component), summary(component))
                for short, component in sorted(plugin.components.items())
            )
            presets = tuple(_preset_name(name, short) for short in sorted(plugin.presets))
            return PluginInfo(
                name, plugin.distribution, plugin.version, True, components, presets, plugin.hooks, None
            )
        found = self._files.get(name) or behind(self._installed[name][0])
        return PluginInfo(name, found.distribution, found.version, error=str(failure) if failure else None)


def place_of(component: type[Component]) -> str:
    """Where in a domain's YAML a component belongs, for people."""
    if issubclass(component, Embedder):
        return "'items.embedding'"
    kind = kind_of(component)
    return "'items.from' or 'collectors'" if kind == "collector" else repr(SECTIONS[kind])


def summary(component: type[BaseModel]) -> str:
    """The first line of a component's or other model's own docstring; empty where it has none.

    >>> from tastemaker.core import Scorer
    >>> class Mood(Scorer):
    ...     '''How well it fits the mood.
    ...
    ...     At length.'''
    >>> summary(Mood)
    'How well it fits the mood.'
    """
    text = inspect.cleandoc(component.__doc__ or "")
    return text.partition("\n")[0]


def _component_fault(offer: Any) -> str | None:
    """Why something that `components()` gave is no component, or None."""
    if not isinstance(offer, type) or not issubclass(offer, Component):
        return f"components() must give component classes, not {brief(offer)}"
    if not issubclass(offer, tuple(KINDS.values())):
        kinds = ", ".join(kind.__name__ for kind in KINDS.values())
        return f"{offer.__qualname__} must derive from one of the kinds: {kinds}"
    if not offer.__pydantic_complete__:
        try:
            offer.model_rebuild()
        except Exception as error:  # a plugin's code may raise anything
            return f"the options of {offer.__qualname__} can't be read: {reason(error)}"
    return None


def _full_names(plugin: Plugin, kind: str) -> list[str]:
    return [
        f"{plugin.name}.{short}"
        for short, found in plugin.components.items()
        if issubclass(found, KINDS[kind])
    ]


def _preset_name(plugin: str, short: str) -> str:
    return plugin if short == plugin else f"{plugin}.{short}"


def _hint(word: str, by_name: Mapping[str, str]) -> str:
    close = did_you_mean(word, by_name)
    if close.startswith("; did"):
        return f"did you mean {by_name[close.split(chr(39))[1]]!r}?"
    return ""


def _join(*parts: str) -> str:
    return "; ".join(part for part in parts if part)
