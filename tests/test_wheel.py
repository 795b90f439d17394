"""The wheel: holds what it should and nothing else, and works where there is no checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the tree, with nothing that an earlier build left behind."""
    folder = tmp_path_factory.mktemp("wheel")
    left_out = shutil.ignore_patterns(
        ".git", ".venv", "build", "dist", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis", "*.db*"
    )
    # The checkout's folder may have any name; a plain "x" shows that the package's doesn't come from it.
    shutil.copytree(ROOT, folder / "x", ignore=left_out, symlinks=True)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-q"]
    done = subprocess.run(
        [*command, "-w", str(folder / "dist"), str(folder / "x")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = (folder / "dist").iterdir()
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the wheel was installed into, and a place to run in outside of every checkout."""
    target = tmp_path_factory.mktemp("installed")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--no-index",
        "-q",
        "--target",
        str(target),
    ]
    done = subprocess.run([*command, str(wheel)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return target


def test_it_is_pure_python_and_named_after_the_project(wheel: Path) -> None:
    assert wheel.name.startswith("tastemaker-")
    assert wheel.name.endswith("-py3-none-any.whl")


def test_it_holds_the_product_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = {name.rpartition("/")[2] for name in archive.namelist() if ".dist-info/" in name}
    wanted = {"tastemaker/__init__.py", "tastemaker/config.yaml", "tastemaker/py.typed"}
    for folder in ("core", "plugins", "connectors", "policies"):
        wanted |= {
            f"tastemaker/{path.relative_to(ROOT).as_posix()}"
            for path in (ROOT / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
    assert names == wanted
    assert {"tastemaker/plugins/projects/projects.yaml", "tastemaker/plugins/products/sample.csv"} <= names
    assert {"METADATA", "LICENSE", "entry_points.txt"} <= metadata


def run(installed: Path, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A command of the installed package, in a process that knows no checkout."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TASTEMAKER"))
    }
    environment |= {"PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "120"}
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=180, check=False
    )


def test_its_own_files_are_the_ones_that_are_imported(installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, "-c", "import tastemaker.core as core; print(core.__file__)")
    assert done.stdout.strip() == str(installed / "tastemaker" / "core" / "__init__.py"), done.stderr


def test_a_first_recommendation_needs_nothing_but_the_wheel(installed: Path, tmp_path: Path) -> None:
    script = installed / "bin" / "tastemaker"
    done = run(installed, tmp_path, str(script), "recommend", "projects", "ann")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "/" in done.stdout, "projects are called owner/name"
    assert "Traceback" not in done.stderr
    assert (tmp_path / "tastemaker.db").exists()
