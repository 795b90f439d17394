"""Recommendations over HTTP, the log included, beside a bare FastAPI endpoint that gives the same bytes."""

import json
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from . import world
from .rows import Row, latencies, row
from .served import Served, ask, get, server

_DOMAINS = {
    "reference": (world.REFERENCE, world.DIMENSIONS),
    "narrow": (world.REFERENCE, 64),
    "light": (world.LIGHT, world.DIMENSIONS),
}
_CROWD = 32


def run(quick: bool) -> list[Row]:
    with TemporaryDirectory() as name:
        folder = Path(name)
        users = 20 if quick else world.USERS
        items = 2_000 if quick else world.ITEMS
        settings = world.configured(folder, _DOMAINS, count=items)
        world.filled(settings, users=users)
        with server(settings.path) as ours:
            documents = {domain: _document(ours, domain) for domain in _DOMAINS}
            answers = folder / "answers.json"
            answers.write_text(json.dumps(documents))
            with server(answers) as bare:
                _document(bare, "light")
                return _measured(ours, bare, users, items, quick)


def _document(served: Served, domain: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{served.port}{_path(domain, 0)}", timeout=120) as answer:
        return json.load(answer)


def _path(domain: str, number: int) -> str:
    return f"/v1/{domain}/recommendations/{world.user(number)}"


def _measured(ours: Served, bare: Served, users: int, items: int, quick: bool) -> list[Row]:
    turns, seconds, count = (1, 2.0, 50) if quick else (5, 3.0, 1_000_000)
    alone: dict[str, list[float]] = {}
    crowd: dict[str, list[float]] = {}
    work: dict[str, list[float]] = {}
    for _ in range(turns):
        for name, served, domain in (
            *((domain, ours, domain) for domain in _DOMAINS),
            ("bare", bare, "light"),
        ):
            requests = [get(_path(domain, number)) for number in range(users)]
            one = ask(served.port, requests, 1, warm=20, count=min(count, 1_000), seconds=seconds)
            before = served.seconds()
            many = ask(served.port, requests, _CROWD, warm=2 * _CROWD, count=count, seconds=seconds)
            answers = sum(many["statuses"].values())
            work.setdefault(name, []).append(1e3 * (served.seconds() - before) / answers)
            alone.setdefault(name, []).extend(one["latencies"])
            crowd.setdefault(name, []).append(many["rate"])
    rows: list[Row] = []
    most = float(np.median(crowd["bare"]))
    for domain, (_, width) in _DOMAINS.items():
        label = f"reference {width}-d" if domain == "narrow" else domain
        note = f"beside a bare FastAPI endpoint that gives the same bytes; {items:,} items, {width}-d"
        rate = float(np.median(crowd[domain]))
        rows.append(row(f"{label} over HTTP, {_CROWD} clients", rate, most, "/s", note))
        spent, least = float(np.median(work[domain])), float(np.median(work["bare"]))
        rows.append(
            row(f"{label} over HTTP, processor time", spent, least, "ms", "of all threads, for each request")
        )
        rows += latencies(f"{label} over HTTP, 1 client", alone[domain], alone["bare"])
    return rows
