"""Loading a configuration: files, overrides and plugins to settings, or all that is wrong with them."""

import os
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from pydantic import SecretStr

from ..plugin_import import PluginProblem
from ..registry import Registry
from .compose import Composer
from .document import ListNode, MapNode, ScalarNode, missing, parse
from .layers import override, stack
from .marks import Mark, Origin
from .options import ApiOptions
from .presets import Presets
from .problems import Problems
from .settings import DomainPlan, Settings
from .store_url import DEFAULT_STORE, store_url
from .validation import validated

TOP_KEYS = ("version", "store", "plugins", "api", "domains")

RESERVED = frozenset(
    {"users", "interactions", "slates", "domains", "plugins", "admin", "training", "openapi", "docs"}
)
"""Words of the API's own paths, which no domain may be called."""

DOMAIN_NAME = r"^[a-z][a-z0-9_-]{0,63}$"


def load(
    path: Path | None, *, overrides: Sequence[str] = (), environ: Mapping[str, str] = os.environ
) -> Settings:
    """The settings of a configuration file, of `config.local.yaml` beside it, and of overrides.

    path: None takes config.yaml in the current folder, else the one that comes with Tastemaker.
    overrides: such as `domains.music.slate.size=5`; their relative paths start at the current folder.
    Raises ConfigError, which carries every problem.
    """
    return _Loader(overrides, environ).load(path)


def config_path(path: Path | None) -> Path:
    """The file that `load(path)` reads."""
    if path is not None:
        return path
    here = Path("config.yaml")
    return here if here.is_file() else Path(str(files("tastemaker") / "config.yaml"))


class _Loader:
    def __init__(self, overrides: Sequence[str], environ: Mapping[str, str]) -> None:
        self._overrides, self._environ = overrides, environ
        self._problems = Problems()
        self._registry = Registry()
        self._incomplete: set[str] = set()
        self._unreadable = False
        self._composer = Composer(self._registry, self._problems)
        self._presets = Presets(self._registry, environ, self._problems, self._composer.blame)

    def load(self, path: Path | None) -> Settings:
        file = config_path(path)
        # The packaged file is no place to keep a database beside.
        packaged = path is None and file.is_absolute()
        origin = Origin(str(file), file.name, file.resolve().parent)
        layers = self._layers(file, origin)
        if self._unreadable:
            self._problems.check()  # the rest would be told of what was never read
        tree = stack(layers)
        self._composer.known_keys(tree, TOP_KEYS)
        self._version(tree)
        store = self._store(tree, Path.cwd() if packaged else origin.folder)
        self._plugins(tree)
        api_node = self._composer.mapping(tree, "api")
        api = validated(ApiOptions, api_node or MapNode(tree.mark), self._problems, title="'api'")
        tree = self._resolved(tree, layers)
        domains = self._domains(tree)
        for scalar in missing(tree):
            names = ", ".join(scalar.missing)
            said = f"the environment has no variable {names}"
            self._problems.add(
                "E06", said, scalar.mark, f"set it, or give a default: ${{{scalar.missing[0]}:-…}}"
            )
        self._problems.check()
        return Settings(
            file, SecretStr(store), api or ApiOptions(), domains, self._registry, tree, tuple(self._overrides)
        )

    def _layers(self, file: Path, origin: Origin) -> list[MapNode]:
        layers = [MapNode(Mark(origin, 1, 1)), *self._file(file, origin)]
        local = file.with_name(f"{file.stem}.local{file.suffix}")
        if local.is_file():
            layers += self._file(local, Origin(str(local), local.name, origin.folder, rank=1))
        for text in self._overrides:
            layer = override(text, Path.cwd(), self._environ, self._problems)
            layers += [layer] if layer is not None else []
        return layers

    def _file(self, file: Path, origin: Origin) -> list[MapNode]:
        try:
            data = file.read_bytes()
        except OSError as error:
            self._problems.add("E11", f"the file can't be read: {error.strerror or error}", Mark(origin))
            self._unreadable = True
            return []
        before = len(self._problems)
        node = parse(data, origin, self._environ, self._problems)
        self._unreadable |= node is None and len(self._problems) > before
        if isinstance(node, ScalarNode) and node.value is None:
            return []
        if node is not None and not isinstance(node, MapNode):
            said = f"a configuration is a mapping with the keys {', '.join(TOP_KEYS)}"
            self._problems.add("E05", said, node.mark)
        return [node] if isinstance(node, MapNode) else []

    def _version(self, tree: MapNode) -> None:
        node = tree.entries.get("version")
        if node is not None and not (isinstance(node, ScalarNode) and (node.missing or node.value in (1,))):
            self._problems.add("E05", "'version' must be 1", node.mark)

    def _store(self, tree: MapNode, folder: Path) -> str:
        node = tree.entries.get("store")
        text = self._composer.text(tree, "store", DEFAULT_STORE)
        if node is None:
            return store_url(text, folder)
        if isinstance(node, ScalarNode) and node.missing:
            return text
        try:
            home = node.mark.origin.folder if node.mark.origin.rank >= 1 else folder
            return store_url(text, home)
        except ValueError as error:
            self._problems.add("E05", f"'store' {error}", node.mark)
            return text

    def _plugins(self, tree: MapNode) -> None:
        node = tree.entries.get("plugins")
        if node is None:
            return
        if not isinstance(node, ListNode):
            self._problems.add("E05", "'plugins' must be a list of names and ./file.py paths", node.mark)
            return
        for item in node.items:
            if isinstance(item, ScalarNode) and item.missing:
                continue
            if not isinstance(item, ScalarNode) or not isinstance(item.value, str) or not item.value:
                self._problems.add("E05", "a plugin is a name or a ./file.py path", item.mark)
                continue
            try:
                name = item.value
                if name.endswith(".py") or "/" in name:
                    name = self._registry.add_file(item.mark.origin.folder / name)
                self._registry.load(name)
            except PluginProblem as problem:
                self._composer.blame(problem, item.mark)

    def _resolved(self, tree: MapNode, layers: Sequence[MapNode]) -> MapNode:
        """The tree with every domain laid over its presets."""
        domains = self._composer.mapping(tree, "domains")
        if domains is None:
            return tree
        resolved = dict(domains.entries)
        for name in domains.entries:
            below: list[MapNode] = []
            for layer in layers:
                own = layer.entries.get("domains")
                node = own.entries.get(name) if isinstance(own, MapNode) else None
                if isinstance(node, MapNode):
                    below.append(node)
                elif node is not None:
                    below = []  # this layer removed what stands below it
            if below:
                resolved[name], found = self._presets.resolve(below)
                if not found:
                    self._incomplete.add(name)
        whole = MapNode(domains.mark, resolved, domains.keys)
        return MapNode(tree.mark, {**tree.entries, "domains": whole}, tree.keys)

    def _domains(self, tree: MapNode) -> dict[str, DomainPlan]:
        domains = tree.entries.get("domains")
        plans: dict[str, DomainPlan] = {}
        if not isinstance(domains, MapNode):
            return plans
        for name, node in domains.entries.items():
            if not re.fullmatch(DOMAIN_NAME, name):
                said = f"{name!r} can't name a domain"
                hint = "a lower-case letter, then letters, digits, '_' and '-', at most 64"
                self._problems.add("E05", said, domains.at(name), hint)
            elif name in RESERVED:
                said = f"a domain can't be called {name!r}, which is a word of the API's own"
                self._problems.add("E13", said, domains.at(name), f"such as my_{name}")
            elif not isinstance(node, MapNode):
                if not (isinstance(node, ScalarNode) and node.missing):
                    said = f"the domain {name!r} must be a mapping"
                    self._problems.add("E05", said, node.mark, "such as {extends: music}")
            elif (
                plan := self._composer.domain(name, node, complete=name not in self._incomplete)
            ) is not None:
                plans[name] = plan
        return plans
