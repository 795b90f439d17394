"""Live services: two domains, each on a service of this machine that takes 150 ms for an answer.

First slates for tastes that nobody asked for before, with nothing of them in the catalogue; slates whose candidates
are kept; a Zipf load of tastes; and one key's stampede. The server is a process of its own, as `serving` has it; beside
stands one bare request to the service.
"""

import asyncio
import itertools
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from tastemaker.core import Call, Service
from tastemaker.tests.fakes.faults import Fault
from tastemaker.tests.fakes.github import LANGUAGES, TOPICS, github
from tastemaker.tests.fakes.serving import serve
from tastemaker.tests.fakes.spotify import spotify_app
from tastemaker.tests.fakes.spotify_catalogue import GENRES

from .rows import Row, row
from .served import Served, server

ANSWERS_MS = 150
TOKEN = "github_pat_11AAAAAAA0abcdefghij"
CONFIG = """
version: 1
store: sqlite:///{folder}/x.db
domains:
  {name}:
    extends: {name}
    connectors:
      {connector}
    collectors: {{{collectors}}}
"""

Taste = Mapping[str, list[str]]


@dataclass(frozen=True, slots=True)
class Live:
    """A domain, the service that it is on, and what to know of both.

    connector: its entry in the config; {url}: where the service is. live: the sources that ask it. headers: of a
    request of somebody whose account there is looked at, too. fresh: tastes that nobody had before; those of
    music haven't a search in common either.
    """

    name: str
    app: Any
    connector: str
    collectors: str
    live: frozenset[str]
    tastes: list[Taste]
    fresh: list[Taste]
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def asked(self) -> int:
        """Requests that have reached the service."""
        return len(self.app.state.requests)


def run(quick: bool) -> list[Row]:
    counts = (3, 10, 30) if quick else (40, 500, 1500)
    return [*_measured(_projects(), counts), *_measured(_music(), counts), *_stampede()]


def _projects() -> Live:
    app = github()
    app.state.tokens[TOKEN] = "ann"
    app.state.limits |= {"search": 1_000_000, "core": 1_000_000}
    tastes: list[Taste] = [
        {"interests": [topic, other], "languages": [language]}
        for topic, other, language in itertools.product(TOPICS, TOPICS, LANGUAGES)
        if topic != other
    ]
    connector = (
        f'github: {{{{token: {TOKEN}, url: "{{url}}", budgets: {{{{search: {{{{limit: 1000000}}}}}}}}}}}}'
    )
    return Live(
        "projects", app, connector, "harvest: {enabled: false}", frozenset({"search"}), tastes, tastes[::13]
    )


def _music() -> Live:
    app = spotify_app("development")
    connector = (
        'spotify: {{client_id: app, client_secret: app-secret-3f9a, api_url: "{url}/v1", accounts_url: "{url}", '
        "budgets: {{api: {{limit: 1000000, per: 30}}}}}}"
    )
    tastes: list[Taste] = [
        {"genres": list(genres)} for genres in itertools.permutations(sorted(GENRES)[:12], 3)
    ]
    names = sorted(GENRES)
    fresh: list[Taste] = [{"genres": names[start : start + 3]} for start in range(0, len(names) - 2, 3)]
    token = app.state.spotify.accounts.user_token("ann")
    headers = {"X-Credentials": f"spotify={token}"}
    collectors = "harvest: {enabled: false}, listening: {enabled: false}"
    return Live(
        "music", app, connector, collectors, frozenset({"seeds", "genres", "service"}), tastes, fresh, headers
    )


def _measured(domain: Live, counts: tuple[int, int, int]) -> Iterator[Row]:
    domain.app.state.faults = [Fault(delay=ANSWERS_MS / 1000, times=-1)]
    first, cached, load = counts
    with tempfile.TemporaryDirectory() as folder, serve(domain.app) as url:
        config = Path(folder) / "config.yaml"
        config.write_text(
            CONFIG.format(
                folder=folder,
                name=domain.name,
                connector=domain.connector.format(url=url),
                collectors=domain.collectors,
            )
        )
        bare = [_seconds(httpx.Client(), f"{url}/") for _ in range(5)]
        with (
            server(config) as served,
            httpx.Client(base_url=f"http://127.0.0.1:{served.port}", timeout=30) as client,
        ):
            yield from _slates(client, domain, first, cached, bare, served)
            yield _zipf(client, domain, load)


def _slates(
    client: httpx.Client, domain: Live, first: int, cached: int, bare: list[float], served: Served
) -> Iterator[Row]:
    first = min(first, len(domain.fresh))
    times, live = [], []
    for number, taste in enumerate(domain.fresh[:first]):
        client.put(f"/v1/users/new{number}", json=taste).raise_for_status()
        began = time.perf_counter()
        picks = (
            client.get(f"/v1/{domain.name}/recommendations/new{number}").raise_for_status().json()["items"]
        )
        times.append(time.perf_counter() - began)
        live.append(sum(bool(domain.live & {*pick["sources"]}) for pick in picks))
    note = (
        f"{first} tastes; p95 {np.percentile(times, 95) * 1e3:.0f} ms, the longest {max(times) * 1e3:.0f}; "
        f"the very first {times[0] * 1e3:.0f} ms with {live[0]} of 12 picks live, then "
        f"{np.mean(live[1:]):.1f} on average and {min(live[1:])} at least; "
        f"{ANSWERS_MS} ms an answer, no catalogue before; beside: one bare request"
    )
    ours, theirs = float(np.median(times)) * 1e3, float(np.median(bare)) * 1e3
    yield row(f"{domain.name}: first slate, nothing kept, p50", ours, theirs, "ms", note)
    pages = [(f"/v1/{domain.name}/recommendations/new{number}", {}) for number in range(first)]
    if domain.headers:
        pages.append((f"/v1/{domain.name}/recommendations/ann", domain.headers))
    for url, headers in pages * 5:  # what came late is there by now, and was put together once
        client.get(url, headers=headers).raise_for_status()
    before, spent, times = domain.asked, served.seconds(), []
    for url, headers in itertools.islice(itertools.cycle(pages), cached):
        times.append(_seconds(client, url, headers))
    note = (
        f"p99 {np.percentile(times, 99) * 1e3:.1f} ms; {(served.seconds() - spent) / cached * 1e3:.1f} ms of processor "
        f"each; one client; {domain.asked - before} requests reached the service"
    )
    name = f"{domain.name}: slate with kept candidates over HTTP, p50"
    yield row(name, float(np.median(times)) * 1e3, None, "ms", note)


def _zipf(client: httpx.Client, domain: Live, load: int) -> Row:
    """Users come with tastes of which few are common; a third of the requests warms up."""
    tastes = domain.tastes
    random = np.random.default_rng(1)
    ranks = np.minimum(random.zipf(1.3, load), len(tastes)) - 1
    hits = asked = 0
    known = set()
    for number, rank in enumerate(ranks.tolist()):
        if rank not in known:
            client.put(f"/v1/users/z{rank}", json=tastes[rank]).raise_for_status()
            known.add(rank)
        before = domain.asked
        client.get(f"/v1/{domain.name}/recommendations/z{rank}").raise_for_status()
        if number >= load // 3:
            asked += 1
            hits += domain.asked == before
    note = f"of {asked:,} requests after warm-up, {len(tastes)} tastes by Zipf's law with s = 1.3"
    return row(f"{domain.name}: answered without asking the service", 100 * hits / asked, None, "%", note)


def _stampede() -> Iterator[Row]:
    sent = 0

    async def send() -> dict[str, int]:
        nonlocal sent
        sent += 1
        await asyncio.sleep(ANSWERS_MS / 1000)
        return {"answer": sent}

    async def main() -> float:
        service = Service()
        began = time.perf_counter()
        await asyncio.gather(*(service.call(Call("search", key="one"), send) for _ in range(1000)))
        spent = time.perf_counter() - began
        await service.close()
        return spent

    spent = asyncio.run(main())
    yield row(
        "requests for 1,000 misses of one key at once",
        sent,
        1000,
        "",
        f"all answered after {spent * 1e3:.0f} ms",
    )


def _seconds(client: httpx.Client, url: str, headers: Mapping[str, str] | None = None) -> float:
    began = time.perf_counter()
    response = client.get(url, headers=headers)
    spent = time.perf_counter() - began
    assert response.status_code in (200, 404), response.text  # the root of a service may be nothing
    return spent
