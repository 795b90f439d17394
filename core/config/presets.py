"""`extends`: the chain of presets that a domain stands on."""

from collections.abc import Mapping
from pathlib import Path

from ..plugin_import import PluginProblem
from ..registry import Registry
from .document import MapNode, Node, ScalarNode, parse
from .layers import named, stack
from .marks import Mark, Origin
from .problems import Problems


class Presets:
    """Reads presets, each file once."""

    def __init__(
        self,
        registry: Registry,
        environ: Mapping[str, str],
        problems: Problems,
    ) -> None:
        self._registry, self._environ, self._problems = registry, environ, problems
        self._read: dict[str, MapNode | None] = {}

    def resolve(self, layers: list[MapNode]) -> tuple[MapNode, bool]:
        """A domain's layers, the lowest first, laid over the presets that they extend.

        Also says whether all of those presets were found.
        """
        layers = [named(layer) for layer in layers]
        chain: list[str] = []
        while True:
            domain = stack(layers)
            # The lowest layer that was reached last says what it extends; the domain's own word counts first.
            extends = (domain if not chain else layers[0]).entries.get("extends")
            below = self._below(extends, chain) if extends is not None else None
            if below is None:
                return domain, extends is None
            layers.insert(0, below)

    def _below(self, extends: Node, chain: list[str]) -> MapNode | None:
        if not isinstance(extends, ScalarNode) or not isinstance(extends.value, str) or not extends.value:
            if not (isinstance(extends, ScalarNode) and extends.missing):
                self._problems.add("E05", "'extends' must name a preset", extends.mark)
            return None
        try:
            name, path = self._registry.preset(extends.value)
        except PluginProblem as problem:
            self._problems.blame(problem, extends.mark)
            return None
        if name in chain:
            circle = " → ".join([*chain[chain.index(name) :], name])
            self._problems.add("E10", f"the preset {name!r} extends itself: {circle}", extends.mark)
            return None
        chain.append(name)
        if name not in self._read:
            self._read[name] = self._load(name, path, extends.mark)
        return self._read[name]

    def _load(self, name: str, path: Path, mark: Mark) -> MapNode | None:
        try:
            data = path.read_bytes()
        except OSError as error:
            said = f"the preset {name!r} can't be read: {error.strerror or error}: {path}"
            self._problems.add("E11", said, mark)
            return None
        origin = Origin(str(path), f"preset {name}", path.resolve().parent, rank=3)
        node = parse(data, origin, self._environ, self._problems)
        if node is not None and not isinstance(node, MapNode):
            self._problems.add(
                "E05", f"the preset {name!r} must be a mapping, as under a domain's name", node.mark
            )
        return named(node) if isinstance(node, MapNode) else None
