"""Loading a configuration: files, overrides and plugins to settings, or all that is wrong with them."""

import os
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from pydantic import SecretStr, ValidationError

from ..components import Connector
from ..plugin_import import PluginProblem
from ..registry import Registry
from .compose import compose
from .document import ListNode, MapNode, ScalarNode, missing, parse
from .layers import override, stack
from .marks import Mark, Origin
from .options import AccountsOptions, ApiOptions
from .presets import Presets
from .problems import Problems
from .reading import known_keys, mapping, section, text
from .settings import DomainPlan, Settings
from .store_url import DEFAULT_STORE, store_url

TOP_KEYS = ("version", "store", "cache", "accounts", "plugins", "api", "domains")

RESERVED = frozenset(
    {"users", "interactions", "slates", "domains", "plugins", "admin", "training", "openapi", "docs"}
)
"""Words of the API's own paths, which no domain may be called."""

DEFAULT_CACHE = "memory://"

DOMAIN_NAME = r"^[a-z][a-z0-9_-]{0,63}$"


def load(
    path: Path | None,
    *,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] = os.environ,
    offline: bool = False,
) -> Settings:
    """The settings of a configuration file, of `config.local.yaml` beside it, and of overrides.

    path: None takes config.yaml in the current folder, else the one that comes with Tastemaker.
    overrides: such as `domains.music.slate.size=5`; their relative paths start at the current folder.
    offline: connectors to services count as switched off.
    Raises ConfigError, which carries every problem.
    """
    return _Loader(overrides, environ, offline).load(path)


def config_path(path: Path | None) -> Path:
    """The file that `load(path)` reads."""
    if path is not None:
        return path
    here = Path("config.yaml")
    return here if here.is_file() else Path(str(files("tastemaker") / "config.yaml"))


class _Loader:
    def __init__(self, overrides: Sequence[str], environ: Mapping[str, str], offline: bool) -> None:
        self._overrides, self._environ = overrides, environ
        self._problems = Problems()
        self._registry = Registry()
        self._incomplete: set[str] = set()
        self._unreadable = False
        self._offline = offline
        self._presets = Presets(self._registry, environ, self._problems)

    def load(self, path: Path | None) -> Settings:
        file = config_path(path)
        # The packaged file is no place to keep a database beside.
        packaged = path is None and file.is_absolute()
        origin = Origin(str(file), file.name, file.resolve().parent)
        layers = self._layers(file, origin)
        if self._unreadable:
            self._problems.check()  # the rest would be told of what was never read
        tree = stack(layers)
        known_keys(tree, TOP_KEYS, self._problems)
        self._version(tree)
        store = self._store(tree, Path.cwd() if packaged else origin.folder)
        cache = text(tree, "cache", DEFAULT_CACHE, self._problems)
        self._plugins(tree)
        memory = self._memory(tree, cache)
        accounts = section(tree, "accounts", AccountsOptions, self._problems)
        api = section(tree, "api", ApiOptions, self._problems)
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
            file,
            SecretStr(store),
            api or ApiOptions(),
            domains,
            self._registry,
            tree,
            tuple(self._overrides),
            SecretStr(cache),
            memory,
            accounts or AccountsOptions(),
        )

    def _layers(self, file: Path, origin: Origin) -> list[MapNode]:
        layers = [MapNode(Mark(origin, 1, 1)), *self._file(file, origin)]
        local = file.with_name(f"{file.stem}.local{file.suffix}")
        if local.is_file():
            layers += self._file(local, Origin(str(local), local.name, origin.folder, rank=1))
        for written in self._overrides:
            layer = override(written, Path.cwd(), self._environ, self._problems)
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
        url = text(tree, "store", DEFAULT_STORE, self._problems)
        if node is None:
            return store_url(url, folder)
        if isinstance(node, ScalarNode) and node.missing:
            return url
        try:
            home = node.mark.origin.folder if node.mark.origin.rank >= 1 else folder
            return store_url(url, home)
        except ValueError as error:
            self._problems.add("E05", f"'store' {error}", node.mark)
            return url

    def _memory(self, tree: MapNode, url: str) -> Connector | None:
        """The connector behind `cache`, None where that is this process's memory or `problems` say what is wrong."""
        node = tree.entries.get("cache")
        scheme, found, _ = url.partition("://")
        if node is None or scheme == "memory" or (isinstance(node, ScalarNode) and node.missing):
            return None
        if not found:
            said = "'cache' must be a URL such as memory:// or redis://localhost:6379/0"
            self._problems.add("E05", said, node.mark)
            return None
        try:
            secure = scheme.endswith("s") and scheme not in self._registry.names()  # as rediss:// is
            kind = self._registry.component(f"{scheme[:-1] if secure else scheme}.memory", "connector")
            memory = kind.model_validate({"url": url})
        except PluginProblem as problem:
            self._problems.blame(problem, node.mark)
        except ValidationError:  # it may hold a password
            self._problems.add("E05", f"'cache' is no URL of the kind {scheme}://", node.mark)
        else:
            return memory if isinstance(memory, Connector) else None
        return None

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
                self._problems.blame(problem, item.mark)

    def _resolved(self, tree: MapNode, layers: Sequence[MapNode]) -> MapNode:
        """The tree with every domain laid over its presets."""
        domains = mapping(tree, "domains", self._problems)
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
            elif (plan := self._plan(name, node)) is not None:
                plans[name] = plan
        return plans

    def _plan(self, name: str, node: MapNode) -> DomainPlan | None:
        complete = name not in self._incomplete
        return compose(name, node, self._registry, self._problems, offline=self._offline, complete=complete)
