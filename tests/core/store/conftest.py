"""A store on each database the platform runs on, and programs that use it."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tastemaker.core.store import Store

Open = Callable[..., Store]
Program = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def _migrated_once() -> None:
    """Here every new file is migrated, as it is for users."""


@pytest.fixture
def open_store(url: str) -> Iterator[Open]:
    """Opens the store, as often as a test likes, and closes what it opened."""
    with ExitStack() as stack:

        def opened(**options: Any) -> Store:
            store = Store(url, **options)
            stack.callback(store.close)
            return store

        yield opened


@pytest.fixture
def store(open_store: Open) -> Store:
    return open_store()


@pytest.fixture
def program(url: str) -> Iterator[Program]:
    """Starts a function of programs.py in a process of its own, on the same database."""
    started: list[subprocess.Popen[str]] = []

    def start(name: str, *arguments: object) -> "subprocess.Popen[str]":
        command = [sys.executable, str(Path(__file__).with_name("programs.py")), name, url]
        process = subprocess.Popen(
            [*command, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
