"""A stranger's package: installed by pip, and used by nothing but a line of configuration."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent / "tastemaker-mood"
PROGRAM = [sys.executable, "-c", "from tastemaker.core.cli import main; main()"]
PIP = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
CONFIG = """\
store: sqlite:///songs.db
domains:
  songs:
    items:
      from: {use: files.table, path: songs.csv}
      fields: {title: text, energy: number}
    sources: [{use: mood.shuffle}]
    scorers:
      mood: {use: mood.mood, moods: {calm: 0.1, party: 0.95}}
    slate: {size: 3}
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The program, in a folder with songs, where the package is installed."""
    folder = tmp_path_factory.mktemp("songs")
    # Building leaves files beside the source: it is built elsewhere.
    source = shutil.copytree(PACKAGE, folder / "source")
    subprocess.run([*PIP, "--target", str(folder / "site"), str(source)], check=True, timeout=120)
    rows = "".join(f"s{number},Song {number},{number / 20}\n" for number in range(21))
    (folder / "songs.csv").write_text("id,title,energy\n" + rows)
    (folder / "config.yaml").write_text(CONFIG)
    env = {**os.environ, "PYTHONPATH": str(folder / "site")}

    def call(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [*PROGRAM, *arguments]
        return subprocess.run(
            command, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False
        )

    return call


def test_its_components_decide(run):
    best = {}
    for mood in ("calm", "party"):
        done = run("recommend", "songs", "ann", "--mood", mood, "--json")
        assert done.returncode == 0, done.stderr
        slate = json.loads(done.stdout)
        assert slate["degraded"] == []
        assert all(pick["sources"] == ["shuffle"] for pick in slate["items"])
        best[mood] = [pick["id"] for pick in slate["items"]]
    assert best["calm"][0] == "s2"
    assert best["party"][0] == "s19"
    assert set(best["party"]) == {"s18", "s19", "s20"}


def test_it_is_listed_with_its_distribution_and_described(run):
    infos = {info["name"]: info for info in json.loads(run("plugins", "--json").stdout)}
    assert infos["mood"]["distribution"] == "tastemaker-mood"
    assert infos["mood"]["version"] == "1.2.0"
    assert [component["name"] for component in infos["mood"]["components"]] == ["mood.mood", "mood.shuffle"]
    schema = json.loads(run("schema").stdout)
    assert "moods" in schema["$defs"]["mood.mood"]["properties"]


def test_a_mistake_in_its_options_is_told_at_its_place(run):
    done = run("validate", "--set", "domains.songs.scorers.mood.moods.calm=loud")
    assert done.returncode == 2
    assert "must be a number" in done.stderr
    done = run("validate", "--set", "domains.songs.scorers.mood.use=mood.moood")
    assert "did you mean 'mood.mood'?" in done.stderr


def test_its_components_keep_the_contract():
    code = (
        "from tastemaker.core.conformance import check_component\n"
        "from tastemaker_mood import Mood, Shuffle\n"
        "check_component(Mood, fields={'energy': 'number'})\n"
        "check_component(Shuffle, limit=7)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(PACKAGE), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Mood (scorer)" in done.stdout
    assert "Shuffle (source)" in done.stdout
