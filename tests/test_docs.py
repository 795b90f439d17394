"""Every example in a docstring of the product does what it says."""

import doctest
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tastemaker
import tastemaker.core

ROOT = Path(__file__).parent.parent
NAMES = sorted(module.name for module in pkgutil.walk_packages(tastemaker.__path__, "tastemaker."))
PRODUCT = [name for name in NAMES if name.split(".")[1] in ("core", "plugins", "connectors", "policies")]
RUN_BY_OTHERS = {"tastemaker.core.store.migrations.env"}
"""Alembic runs it; it can't be imported by itself."""


def examples(module: ModuleType) -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    names = {
        **vars(module),
        **{name: getattr(tastemaker.core, name) for name in tastemaker.core.__all__},
        "np": np,
    }
    return [test for test in finder.find(module, module.__name__, globs=names) if test.examples]


@pytest.mark.parametrize("name", [name for name in PRODUCT if name not in RUN_BY_OTHERS])
def test_examples(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("tastemaker"):
            raise
        pytest.skip(f"{error.name} is not installed")
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    shared = {}
    for test in examples(module):
        # The parts of one docstring build on each other, and a module's on its first: a plugin grows hook by hook.
        test.globs = {**test.globs, **shared}
        runner.run(test, clear_globs=False)
        if test.name == module.__name__:
            shared = test.globs
    assert runner.summarize(verbose=False).failed == 0


def test_there_are_examples() -> None:
    counted = sum(
        len(test.examples) for name in ("candidates", "catalog.catalog", "catalog.items", "hooks", "errors")
        for test in examples(importlib.import_module(f"tastemaker.core.{name}"))
    )  # fmt: skip
    assert counted > 20


def test_generated_pages_are_up_to_date() -> None:
    ran = subprocess.run(
        [sys.executable, str(ROOT / "docs/generate.py"), "--check"], capture_output=True, text=True
    )
    assert ran.returncode == 0, f"{ran.stdout}{ran.stderr}\nmake docs writes them anew"
