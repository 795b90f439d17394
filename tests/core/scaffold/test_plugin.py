"""A plugin that was begun passes its own tests once it is installed."""

import os
import subprocess
import sys

import pytest
from tastemaker.core.errors import RequestError
from tastemaker.core.scaffold import begin_plugin

PIP = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]


@pytest.mark.parametrize("service", [False, True])
def test_it_passes_its_own_tests_once_it_is_installed(tmp_path, service):
    folder, site = tmp_path / "tastemaker-evening-mood", tmp_path / "site"
    assert len(list(begin_plugin("evening_mood", folder, service=service))) == 4
    subprocess.run([*PIP, "--target", str(site), str(folder)], check=True, timeout=120)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_its_module_is_small(tmp_path):
    files = list(begin_plugin("mood", tmp_path / "mood"))
    module = next(file for file in files if file.name == "tastemaker_mood.py")
    assert len([line for line in module.read_text().splitlines() if line.strip()]) < 30


@pytest.mark.parametrize("name", ["", "Mood", "7up", "a-b", "mood.near", "x" * 50])
def test_a_name_that_cant_stand_before_the_dot_is_refused(tmp_path, name):
    with pytest.raises(RequestError, match="can't name a plugin"):
        list(begin_plugin(name, tmp_path / "mood"))
    assert not (tmp_path / "mood").exists()


def test_a_name_that_is_taken_is_refused(tmp_path):
    with pytest.raises(RequestError, match="a plugin called 'catalog' is installed already"):
        list(begin_plugin("catalog", tmp_path / "catalog"))
    assert not (tmp_path / "catalog").exists()
