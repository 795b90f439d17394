"""The rules of the house: who may import whom, what ships, what things are called."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import tastemaker.core

ROOT = Path(__file__).parent.parent
CODE = ("core", "plugins", "connectors", "policies")
ALLOWED = {
    "core": {"core"},
    "connectors": {"core", "connectors"},
    "plugins": {"core", "connectors", "plugins"},
    "policies": {"core", "connectors", "policies"},
}
FLOORS = [
    {"background", "errors", "clock", "terms", "traits"},
    {"accounts", "inventory"},
    {"catalog"},
    {"interaction", "slate", "outcomes"},
    {"loggable"},
    {"candidates", "collection", "recent"},
    {"arms"},
    {"feedback"},
    {"context"},
    {"components"},
    {"hooks", "rewards", "service"},
    {"plugin_import", "registry"},
    {"config"},
    {"store"},
    {"agent"},
    {"stock"},
    {"connections", "learning", "evaluation"},
    {"monitoring", "recording", "users"},
    {"catalog_changes", "collecting"},
    {"diagnosis"},
    {"orchestrator"},
    {"conformance"},
    {"explain", "simulation", "scaffold"},
    {"api"},
    {"cli"},
]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def modules(*folders: str) -> dict[str, Path]:
    """The files of the product by dotted name, such as `core.agent.steps`."""
    found = {}
    for folder in folders or CODE:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def _statements(tree: ast.AST, *, at_import: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """Import statements; with `at_import`, those that run when the module is imported."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif not (at_import and _runs_later(node)):
            yield from _statements(node, at_import=at_import)


def _runs_later(node: ast.AST) -> bool:
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def imports(name: str, *, at_import: bool = False) -> set[str]:
    """The modules of the product that one of them imports."""
    path = MODULES[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in _statements(ast.parse(path.read_text(encoding="utf-8")), at_import=at_import):
        if isinstance(node, ast.Import):
            names = [alias.name.removeprefix("tastemaker.") for alias in node.names]
        elif node.level:
            parts = package.split(".")
            base = ".".join(parts[: len(parts) - node.level + 1] + ([node.module] if node.module else []))
            names = [f"{base}.{alias.name}".strip(".") for alias in node.names] + [base]
        else:
            base = (node.module or "").removeprefix("tastemaker.")
            names = [f"{base}.{alias.name}" for alias in node.names] + [base]
        for imported in names:
            while imported and imported not in MODULES:
                imported = imported.rpartition(".")[0]
            if imported and imported != name:
                found.add(imported)
    return found


def test_there_is_something_to_look_at() -> None:
    assert len(MODULES) > 60
    assert "core.catalog.catalog" in imports("core.candidates")


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_in_one_direction(name: str) -> None:
    top = name.partition(".")[0]
    wrong = {imported for imported in imports(name) if imported.partition(".")[0] not in ALLOWED[top]}
    assert not wrong, f"{name} may not import {wrong}"


@pytest.mark.parametrize("name", [name for name in MODULES if not name.startswith("core")])
def test_everything_else_knows_the_core_by_its_face(name: str) -> None:
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    said = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level}
    assert {module for module in said if module.startswith("core.")} <= {"core.errors"}


@pytest.mark.parametrize("name", MODULES)
def test_the_product_imports_itself_relatively(name: str) -> None:
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.level:
            assert (node.module or "").partition(".")[0] not in {*CODE, "tastemaker"}, ast.unparse(node)
        elif isinstance(node, ast.Import):
            tops = {alias.name.partition(".")[0] for alias in node.names}
            assert not tops & {*CODE, "tastemaker"}, ast.unparse(node)


def _floor(name: str) -> int:
    part = name.split(".")[1]
    found = [number for number, floor in enumerate(FLOORS) if part in floor]
    assert found, f"core/{part} has no floor: give it one in FLOORS"
    return found[0]


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("core.")])
def test_lower_floors_of_the_core_know_nothing_of_higher_ones(name: str) -> None:
    here = _floor(name)
    for imported in imports(name, at_import=True):
        if imported != "core":
            assert _floor(imported) <= here, f"{name} imports {imported}"


def test_there_are_no_import_circles() -> None:
    graph = {name: imports(name, at_import=True) for name in MODULES}
    # A package runs before its modules; its own imports of them are no circle.
    for name, path in MODULES.items():
        if path.name == "__init__.py":
            graph[name] = {imported for imported in graph[name] if not imported.startswith(f"{name}.")}
    done: set[str] = set()

    def visit(name: str, way: list[str]) -> None:
        assert name not in way, " → ".join([*way[way.index(name) :], name])
        if name not in done:
            for imported in sorted(graph[name]):
                visit(imported, [*way, name])
            done.add(name)

    for name in graph:
        visit(name, [])


def test_every_folder_with_code_ships() -> None:
    folders = {
        "tastemaker",
        *(f"tastemaker.{name}" for name, path in MODULES.items() if path.name == "__init__.py"),
    }
    alone = {path.parent for path in MODULES.values()} - {
        path.parent for path in MODULES.values() if path.name == "__init__.py"
    }
    assert not alone, "a folder with code needs an __init__.py"
    packages = PROJECT["tool"]["setuptools"]["packages"]
    assert packages == sorted(packages)
    assert set(packages) == folders


def test_every_data_file_beside_the_code_ships() -> None:
    data = PROJECT["tool"]["setuptools"]["package-data"]
    for folder in CODE:
        for path in (ROOT / folder).rglob("*"):
            if path.is_dir() or path.suffix in (".py", ".pyc"):
                continue
            package = ".".join(("tastemaker", *path.relative_to(ROOT).parent.parts))
            assert any(path.match(pattern) for pattern in data.get(package, ())), (
                f"{path} is in no package-data"
            )


@pytest.mark.parametrize(
    "entry", PROJECT["project"]["entry-points"]["tastemaker"].items(), ids=lambda entry: entry[0]
)
def test_every_plugin_is_an_entry_point_that_can_be_imported(entry: tuple[str, str]) -> None:
    module = importlib.import_module(entry[1])
    assert module.__doc__


class TestTheFace:
    def test_its_names_are_sorted_and_all_there(self) -> None:
        names = tastemaker.core.__all__
        assert names == sorted(names)
        assert len(set(names)) == len(names)
        for name in names:
            assert getattr(tastemaker.core, name) is not None

    def test_what_type_checkers_see_is_what_there_is(self) -> None:
        tree = ast.parse((ROOT / "core" / "__init__.py").read_text(encoding="utf-8"))
        branches = [node for node in tree.body if isinstance(node, ast.If)]
        (checked,) = [branch for branch in branches if ast.unparse(branch.test) == "TYPE_CHECKING"]
        seen = {
            alias.asname or alias.name: f"tastemaker.core.{node.module}"
            for node in checked.body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        assert sorted(seen) == tastemaker.core.__all__
        for name, home in seen.items():
            assert getattr(importlib.import_module(home), name) is getattr(tastemaker.core, name)

    def test_it_is_refused_under_another_name(self) -> None:
        done = subprocess.run(
            [sys.executable, "-c", "import core"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert "ImportError: imported as 'core': write `from tastemaker.core import" in done.stderr

    def test_an_unknown_name_is_an_attribute_error(self) -> None:
        with pytest.raises(AttributeError, match=r"'tastemaker\.core' has no attribute 'Nothing'"):
            _ = tastemaker.core.Nothing  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_is(name: str) -> None:
    docstring = ast.get_docstring(ast.parse(MODULES[name].read_text(encoding="utf-8")))
    assert docstring
    assert docstring.splitlines()[0].endswith((".", ":"))


def test_the_root_holds_a_docstring_and_nothing_else() -> None:
    tree = ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8"))
    assert len(tree.body) == 1
    assert ast.get_docstring(tree)


def _texts() -> list[Path]:
    """Every file that git knows or would take in."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.splitlines()
    paths = [ROOT / line for line in listed] or [
        path for path in ROOT.rglob("*") if ".venv" not in path.parts
    ]
    return [path for path in paths if path.is_file()]


def test_nothing_is_called_after_what_it_is_not() -> None:
    vague = {"utils", "util", "helpers", "helper", "base", "common", "manager", "misc"}
    assert not [path for path in _texts() if path.stem in vague]


def test_no_path_of_somebodys_machine_stands_anywhere() -> None:
    somebodys = re.compile(r"/(?:home|Users|work|tmp/lead)/[\w.-]+")
    for path in _texts():
        if path.suffix in (".png", ".parquet", ".npy") or path == Path(__file__):
            continue
        found = somebodys.search(path.read_text(encoding="utf-8", errors="replace"))
        assert found is None, f"{path}: {found and found.group()}"


def test_nothing_is_left_to_be_done_or_silenced() -> None:
    words = re.compile(r"\b(?:TODO|FIXME|XXX)\b")
    for name, path in MODULES.items():
        assert not words.search(path.read_text(encoding="utf-8")), name
