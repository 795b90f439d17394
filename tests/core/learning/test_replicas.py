"""Four processes under load on one store: after a promotion in the midst of it, they hold the same bits."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tastemaker.core import Catalog
from tastemaker.core.agent import Agent, state_digest
from tastemaker.core.config import load
from tastemaker.core.learning import Fold
from tastemaker.core.stock.ingest import StoredItem
from tastemaker.core.store import Store

PROGRAM = Path(__file__).with_name("replica.py")
CONFIG = """
version: 1
store: "{url}"
domains:
  books:
    items: {{fields: {{title: text, rating: number}}}}
    sources: [{{use: catalog.random, limit: 20}}]
    policies:
      taste: {{use: thompson.ranker, low: -2, high: 5, discount: 0.9, scope: both}}
      other: {{use: thompson.ranker, low: -2, high: 5}}
    rewards: {{click: 1, buy: 5, skip: -2, seen: 0}}
    slate: {{size: 4}}
    learning: {{window_minutes: 0.02, checkpoint_seconds: 0.5}}
"""


class Replica:
    """A process that can be told what to do."""

    def __init__(self, config: Path, name: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(config), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def tell(self, order: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()

    def ask(self, order: str) -> str:
        self.tell(order)
        return self.hear()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.fixture
def config(url: str, tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.format(url=url))
    store = Store(url)
    items = [(f"b{n}", StoredItem({"title": f"Book {n}"}, "api").to_bytes()) for n in range(12)]
    store.put_items("books", items).result()
    store.close()
    return path


@pytest.fixture
def start(config: Path) -> Iterator[Callable[[str], Replica]]:
    replicas: list[Replica] = []

    def started(name: str) -> Replica:
        replicas.append(Replica(config, name))
        return replicas[-1]

    yield started
    for replica in replicas:
        replica.end()


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_four_processes_hold_the_same_bits(start: Callable[[str], Replica], config: Path, url: str) -> None:
    replicas = [start(name) for name in "abcd"]
    for replica in replicas:
        assert replica.hear() == "ready"
    store = Store(url)
    try:
        until(lambda: store.end() > 150)
        assert replicas[0].ask("save") == "1"
        until(lambda: store.end() > 350)
        position = int(replicas[1].ask("promote 1"))
        until(lambda: store.end() > position + 100)
        # One of them dies in the midst of it, and comes again.
        replicas[2].process.send_signal(signal.SIGKILL)
        replicas[2].end()
        again = start("e")
        assert again.hear() == "ready"
        until(lambda: store.end() > position + 250)
        living = [replicas[0], replicas[1], replicas[3], again]
        for replica in living:
            replica.ask("rest")
        end = store.end()
        digests = [json.loads(replica.ask(f"reach {end}")) for replica in living]
        assert all(each == digests[0] for each in digests)
        assert set(digests[0]) == {"taste", "other"}
        assert [entry.position for entry in store.read(0, limit=1_000_000) if entry.kind == "version"] == [
            position
        ]
    finally:
        store.close()
    for replica in living:
        replica.tell("end")
        assert replica.process.wait(60) == 0
    anew = Store(url)
    try:
        plan = load(config).domains["books"]
        fold = Fold(Agent(plan, Catalog(plan.items.schema)), versions=anew.versions.state)
        fold.take(anew.read(0, limit=1_000_000, until=end), end)
        assert {name: state_digest(fold.states()[name][1]) for name in digests[0]} == digests[0]
    finally:
        anew.close()
