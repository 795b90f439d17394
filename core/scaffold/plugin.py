"""A plugin's package, begun: a module with components that work, their tests, and a README."""

import re
from collections.abc import Iterator
from pathlib import Path
from string import Template

from ..errors import RequestError
from ..registry import Registry
from .service import MODULE, README, TESTS

_NAME = r"[a-z][a-z0-9_]{0,39}"


def begin_plugin(name: str, folder: Path, *, service: bool = False) -> Iterator[Path]:
    """Write the package of a plugin into a new folder; the files, one after the other. Raises RequestError.

    service: a connector, and what it brings, in place of a scorer and a source.
    """
    if not re.fullmatch(_NAME, name):
        raise RequestError(
            f"{name!r} can't name a plugin: it stands in front of the dot of `use: {_suggested(name)}.near`, so a "
            f"lower-case letter, then letters, digits and '_', such as {_suggested(name)}"
        )
    if name in Registry().names():
        raise RequestError(
            f"a plugin called {name!r} is installed already: two of one name clash; choose another"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RequestError(f"{folder} is there already and is not empty: choose another --out")
    module = f"tastemaker_{name}"
    words = {
        "name": name,
        "module": module,
        "distribution": module.replace("_", "-"),
        "title": name.replace("_", " ").capitalize(),
        "first": "api" if service else "near",
    }
    files = {
        "pyproject.toml": _PROJECT,
        f"{module}.py": MODULE if service else _MODULE,
        f"tests/test_{name}.py": TESTS if service else _TESTS,
        "README.md": README if service else _README,
    }
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(Template(text).substitute(words), encoding="utf-8")
        yield file


def _suggested(name: str) -> str:
    """A name like the one that was given.

    >>> _suggested("My Plugin!"), _suggested("7")
    ('my_plugin', 'mood')
    """
    return re.sub(r"^[^a-z]+|[^a-z0-9]+$", "", re.sub(r"[^a-z0-9]+", "_", name.lower()))[:40] or "mood"


_PROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "$distribution"
version = "0.1.0"
description = "$title for Tastemaker"
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["tastemaker"]

[project.optional-dependencies]
test = ["pytest>=8"]

# What stands left of = is what stands in front of the dot: `use: $name.$first`.
[project.entry-points.tastemaker]
$name = "$module"

[tool.setuptools]
py-modules = ["$module"]
"""

_MODULE = '''\
"""$title: a scorer and a source for Tastemaker."""

import numpy as np
from tastemaker.core import Candidates, Context, NumberField, Scorer, Source, hookimpl


class Near(Scorer):
    """1 where a number is the ideal, falling to 0 at `reach` from it and where it is missing."""

    field: NumberField
    ideal: float = 0.5
    reach: float = 1.0

    def score(self, context: Context, candidates: Candidates) -> np.ndarray:
        distance = np.abs(candidates[self.field] - self.ideal) / self.reach
        return np.nan_to_num(np.clip(1 - distance, 0, 1))


class Untried(Source):
    """Items that nobody has tried yet, in random order."""

    limit: int = 50

    def propose(self, context: Context) -> np.ndarray:
        items = Candidates(context.catalog, context.catalog.live)
        untried = items.rows[context.feedback.count(items) == 0]
        return context.rng.permutation(untried)[: self.limit]


@hookimpl
def components():
    return [Near, Untried]
'''

_TESTS = '''\
"""The plugin keeps the contract of its components, and Tastemaker finds it."""

import pytest
from tastemaker.core.conformance import check_component
from tastemaker.core.registry import Registry
from $module import Near, Untried


@pytest.mark.parametrize(
    ("component", "options"),
    [(Near, {"field": "rating", "ideal": 4, "reach": 2}), (Untried, {"limit": 5})],
)
def test_components_keep_their_contract(component, options):
    assert check_component(component, **options) > 20


def test_tastemaker_finds_the_plugin():
    plugin = Registry().load("$name")
    assert sorted(plugin.components) == ["near", "untried"]
'''

_README = """\
# $title

A plugin for Tastemaker, with two components:

- `$name.near` scores items by how near a number is to an ideal.
- `$name.untried` proposes items that nobody has tried yet.

```yaml
domains:
  books:
    sources:
      untried: {use: $name.untried, limit: 50}
    scorers:
      near: {use: $name.near, field: rating, ideal: 5, weight: 0.3}
```

Work on it:

```sh
pip install -e '.[test]'
pytest
tastemaker plugins
```
"""
