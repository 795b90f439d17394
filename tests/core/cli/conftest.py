"""A folder with a small domain of books, and two ways to run the program in it: here, and as a process."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tastemaker.core.cli import app
from typer.testing import CliRunner

PROGRAM = [sys.executable, "-c", "from tastemaker.core.cli import main; main()"]

BOOKS = """\
isbn,title,genres,rating,published
1,Emma,novel|classic,4.5,1815-12-23
2,Dune,scifi|epic,4.2,1965-08-01
3,Solaris,scifi,4.0,1961-01-01
4,Middlemarch,novel|classic,4.4,1871-12-01
5,Foundation,scifi|epic,4.1,1951-06-01
6,Persuasion,novel,4.3,1817-12-20
"""
CONFIG = """\
version: 1
store: sqlite:///taste.db
domains:
  books:
    title: Books
    items:
      id: isbn
      from: {use: files.table, path: books.csv}
      fields: {title: text, genres: tags, rating: number, published: time}
    sources:
      similar: {use: catalog.similar}
      popular: {use: catalog.popular, field: rating}
    scorers:
      rated: {use: catalog.numeric, field: rating, low: 0, high: 5, weight: 0.5}
      fits: {use: catalog.tag_match, field: genres, situation: mood, weight: 0.3}
    policies:
      taste: {use: thompson.ranker, weight: 0.2}
    rewards: {click: 1, rating: {1: -1, 5: 1}, seen: 0}
    slate: {size: 3}
"""


@dataclass(frozen=True)
class Ran:
    """What a run of the program gave."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


def _ours() -> list[str]:
    return [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "tastemaker"]


@pytest.fixture(autouse=True)
def _loggers() -> Iterator[None]:
    """Commands set loggers up for the whole process: they are put back."""
    root = logging.getLogger("tastemaker")
    before = {name: logging.getLogger(name).level for name in _ours()}
    handlers, propagate = list(root.handlers), root.propagate
    yield
    for name in _ours():
        logging.getLogger(name).setLevel(before.get(name, logging.NOTSET))
    root.handlers, root.propagate = handlers, propagate


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with config.yaml and books.csv."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TASTEMAKER_STORE", raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "books.csv").write_text(BOOKS)
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Callable[..., Ran]:
    """Run the program in this process."""

    def call(*arguments: object) -> Ran:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)

    return call


@pytest.fixture
def process(folder: Path) -> Callable[..., Ran]:
    """Run the program as a process of its own."""

    def call(*arguments: object, **environ: str) -> Ran:
        command = [*PROGRAM, *map(str, arguments)]
        env = {**os.environ, **environ}
        done = subprocess.run(
            command, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start the program as a process that goes on; it is ended with the test."""
    running: list[subprocess.Popen[str]] = []

    def call(*arguments: object) -> "subprocess.Popen[str]":
        command = [*PROGRAM, *map(str, arguments)]
        running.append(
            subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
        return running[-1]

    yield call
    for each in running:
        if each.poll() is None:
            each.kill()
        each.communicate()
