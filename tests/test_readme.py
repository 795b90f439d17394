"""The README's commands do what it says, run as they are printed."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent

BOOKS = """isbn,title,genres,rating,published
1,Emma,novel|classic,4.1,1815-12-23
2,Dune,science-fiction|classic,4.3,1965-08-01
3,Solaris,science-fiction,4.0,1961-01-01
4,Persuasion,novel|classic,4.2,1817-12-20
5,Neuromancer,science-fiction|cyberpunk,3.9,1984-07-01
6,The Hobbit,fantasy|classic,4.3,1937-09-21
7,Piranesi,fantasy|mystery,4.2,2020-09-15
8,The Waves,novel,3.2,1931-10-01
"""


def blocks(heading: str, language: str) -> list[str]:
    """The code blocks of one language under a heading of the README."""
    section = README.split(f"## {heading}\n")[1].split("\n## ")[0]
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", section, flags=re.DOTALL | re.MULTILINE)
    return [code for its_language, code in fenced if its_language == language]


def run(script: str, folder: Path, **environment: str) -> str:
    """What a shell prints for a block."""
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=folder,
        env={**os.environ, "PATH": path, "COLUMNS": "100", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture
def server(tmp_path: Path) -> Iterator[int]:
    """What `make run` starts, on a free port and an empty store."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "TASTEMAKER_STORE": f"sqlite:///{tmp_path}/tastemaker.db"}
    command = re.search(r"^run:.*\n\t\$\(BIN\)/(.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert command is not None
    words = command[1].split()
    process = subprocess.Popen([BIN / words[0], *words[1:], "--port", str(port)], cwd=ROOT, env=environment)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5)
                break
            except (urllib.error.URLError, ConnectionError):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield port
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed: the README's calls need it")
def test_the_first_calls_work_as_printed(server: int, tmp_path: Path) -> None:
    calls = [block.replace("127.0.0.1:8000", f"127.0.0.1:{server}") for block in blocks("Start", "sh")]
    assert calls[0].strip() == "make run"
    each = "curl -sSf -w '\\n' "
    slate = json.loads(run(calls[1].replace("curl ", each), tmp_path).splitlines()[-1])
    items = [item["id"] for item in slate["items"]]
    assert len(items) == 5

    named = {"SLATE": slate["slate"], "ITEM": items[0], "OTHER": items[1]}
    printed = run(calls[2].replace("curl ", each), tmp_path, **named).splitlines()
    liked, skipped, later = (json.loads(line) for line in printed if line)
    assert (liked["status"], skipped["status"]) == ("accepted", "accepted")
    assert len(later["items"]) == 5
    assert not {items[0], items[1]} & {item["id"] for item in later["items"]}

    trace = json.loads(run(calls[3].replace("curl ", each), tmp_path, **named))
    assert [item["id"] for item in trace["items"]] == items
    assert all(item["sources"] for item in trace["items"])


def test_the_books_domain_works_as_printed(tmp_path: Path) -> None:
    (tmp_path / "books.csv").write_text(BOOKS, encoding="utf-8")
    (tmp_path / "config.yaml").write_text(blocks("A domain of your own", "yaml")[0], encoding="utf-8")
    commands = blocks("A domain of your own", "sh")[0].splitlines()
    assert [command.split()[:2] for command in commands] == [
        ["tastemaker", "new"],
        ["tastemaker", "validate"],
        ["tastemaker", "doctor"],
        ["tastemaker", "recommend"],
        ["tastemaker", "simulate"],
        ["tastemaker", "serve"],
    ]
    for command in commands[:4]:
        run(command, tmp_path)
    assert "Dune" in run(commands[3], tmp_path)
    run(f"{commands[4].split('#')[0]} --people 4 --rounds 3 --seeds 2", tmp_path)


def test_a_policy_is_trained_promoted_and_rolled_back_as_printed(tmp_path: Path) -> None:
    (tmp_path / "books.csv").write_text(BOOKS, encoding="utf-8")
    (tmp_path / "config.yaml").write_text(blocks("A domain of your own", "yaml")[0], encoding="utf-8")
    (tmp_path / "deeds.csv").write_text("user,item,kind\nann,1,finish\nbob,3,drop\n", encoding="utf-8")
    run("tastemaker recommend books ann && tastemaker import books deeds.csv --interactions", tmp_path)
    printed = {
        command.split()[1]: run(command, tmp_path) for command in blocks("What learns", "sh")[0].splitlines()
    }
    assert list(printed) == ["rewards", "train", "versions", "promote", "rollback", "performance"]
    assert "books.taste@1: kept" in printed["train"]
    assert "learned from   2 outcomes of 2 users" in printed["train"]
    assert "books.taste is taste@1" in printed["promote"]
    assert "books.taste is taste@2" in printed["rollback"]
    assert "taste@online" in printed["performance"]


def test_the_mistake_is_reported_as_printed(tmp_path: Path) -> None:
    text = blocks("A domain of your own", "yaml")[0].replace("catalog.similarity", "catalog.similarty")
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "books.csv").write_text(BOOKS, encoding="utf-8")
    done = subprocess.run(
        [BIN / "tastemaker", "validate"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert blocks("A domain of your own", "")[0].strip() in done.stdout + done.stderr


def test_the_plugin_works_as_printed(tmp_path: Path) -> None:
    (tmp_path / "mood.py").write_text(blocks("A plugin of your own", "python")[0], encoding="utf-8")
    (tmp_path / "songs.csv").write_text(
        "id,title,energy\n1,Low,0.1\n2,Mid,0.5\n3,High,0.9\n", encoding="utf-8"
    )
    (tmp_path / "config.yaml").write_text(
        """
version: 1
plugins: [./mood.py]
domains:
  songs:
    items: {from: {use: files.table, path: songs.csv}, fields: {title: text, energy: number}}
    sources: [{use: catalog.random}]
    scorers: {mood: {use: mood.mood, weight: 0.3}}
""",
        encoding="utf-8",
    )
    slate = json.loads(run("tastemaker recommend songs ann --mood party --json", tmp_path))
    assert [item["id"] for item in slate["items"]] == ["3", "2", "1"]


WORDS = {
    "self-hosted photo gallery": ("photo", 4),
    "christmas decorations": ("christmas", 15),
    "garden tools": ("garden", 12),
}
"""By wish, a word, and how many of 40 items have it at least; of 40 at random 0.3, 1.5 and 0.8 would."""


def test_the_slates_on_real_data_are_as_printed(tmp_path: Path) -> None:
    data = Path(os.environ.get("SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not data.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(f"the real data is not at {data}")
        pytest.skip(f"needs the real data at {data}, or SHARED_DATA=its folder")
    commands, printed = blocks("On real data", "sh"), blocks("On real data", "")
    wishes = [command.split('interests="')[1].split('"')[0] for command in commands]
    assert wishes == list(WORDS)
    for number, (command, wish, shown) in enumerate(zip(commands, wishes, printed, strict=True)):
        store = f"sqlite:///{tmp_path}/{number}.db"
        script = command.replace("docs/examples", str(ROOT / "docs/examples")).rstrip()
        answer = run(script, tmp_path, SHARED_DATA=str(data), TASTEMAKER_STORE=store)
        # Candidates at random and exploration differ from run to run; what the slate is about doesn't.
        assert answer.splitlines()[0].split(":")[0] == shown.splitlines()[0].split(":")[0]
        # Where an item comes from is left out when the line would be too long for it.
        columns = [text.splitlines()[2].rstrip().removesuffix("from").split() for text in (answer, shown)]
        assert columns[0] == columns[1]
        longer = run(f"{script} -n 40 --json", tmp_path, SHARED_DATA=str(data), TASTEMAKER_STORE=store)
        items = json.loads(longer)["items"]
        word, least = WORDS[wish]
        fitting = [item["id"] for item in items if word in json.dumps(item).lower()]
        assert len(fitting) >= least, f"{wish}: only {fitting}"
