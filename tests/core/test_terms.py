"""Data that nothing may learn from: where it may be read, where it must not, and that none of it leaks."""

import asyncio
import json
import math
import random
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr
from sqlalchemy import create_engine, inspect, text
from tastemaker.core import (
    Candidates,
    Catalog,
    Connector,
    Context,
    Interaction,
    Policy,
    Request,
    Source,
    Terms,
    UnknownColumn,
    Withheld,
)
from tastemaker.core.agent import Agent
from tastemaker.core.agent.live_policy import LivePolicy
from tastemaker.core.clock import ManualClock
from tastemaker.core.config import DomainPlan, Settings, Step, load
from tastemaker.core.learning.gate import comparison
from tastemaker.core.learning.packing import unpack
from tastemaker.core.learning.training import open_runs, train
from tastemaker.core.learning.versions import PolicyVersions, restored
from tastemaker.core.orchestrator import Orchestrator
from tastemaker.core.stock.expiry import in_force
from tastemaker.core.store import Store
from tastemaker.policies.q_network import missing

START = 1_800_000_000.0
FIELDS = {"title": "text", "energy": "number", "genre": "category", "moods": "tags", "rating": "number"}
WHY = "'radio' fills it, whose terms forbid to learn from its data"
WITHHELD = dict.fromkeys(("title", "energy", "genre", "moods"), WHY)


class TestView:
    """What a policy gets to see of items."""

    @pytest.fixture
    def catalog(self, catalog_of: Callable[..., Catalog]) -> Catalog:
        items = [
            {"title": "Emma", "energy": 0.5, "genre": "novel", "moods": ["calm"], "rating": 4.0},
            {"title": "Dune", "energy": 0.9, "genre": "epic", "moods": ["dark"], "rating": 5.0},
        ]
        return catalog_of(items, np.eye(2), fields=FIELDS)

    @pytest.fixture
    def seen(self, catalog: Catalog) -> Candidates:
        whole = Candidates(catalog.snapshot(), np.array([1, 0]), columns={"reward": np.array([1.0, 0.0])})
        whole.scores = {"match": np.array([0.1, 0.2])}
        whole.score = np.array([0.1, 0.2])
        return whole.without(WITHHELD)

    @pytest.mark.parametrize("name", WITHHELD)
    @pytest.mark.parametrize(
        "ask",
        [
            lambda seen, name: seen[name],
            lambda seen, name: seen.missing(name),
            lambda seen, name: seen.codes(name),
            lambda seen, name: seen.words(name),
            lambda seen, name: seen.tags(name),
            lambda seen, name: seen.take(np.array([0]))[name],
            lambda seen, name: seen.catalog.column(name),
            lambda seen, name: seen.catalog.words(name),
            lambda seen, name: seen.catalog.tags(name),
            lambda seen, name: Candidates(seen.catalog, seen.catalog.live)[name],
        ],
    )
    def test_every_way_to_a_withheld_field_says_why(
        self, seen: Candidates, ask: Callable[[Candidates, str], Any], name: str
    ) -> None:
        with pytest.raises(Withheld) as error:
            ask(seen, name)
        assert str(error.value) == (
            f"{name!r} is not for policies: 'radio' fills it, whose terms forbid to learn from its data"
        )

    def test_the_rest_is_as_it_was(self, catalog: Catalog, seen: Candidates) -> None:
        assert (list(seen.ids), seen["rating"].tolist(), seen["reward"].tolist()) == (
            ["i1", "i0"],
            [5.0, 4.0],
            [1.0, 0.0],
        )
        assert seen.embeddings.tolist() == [[0, 1], [1, 0]]
        assert "energy" not in seen
        assert list(seen.catalog.schema.fields) == ["rating"]
        assert seen.catalog.item(0) == {"rating": 4.0}
        assert seen.catalog.identity is catalog.snapshot().identity
        assert seen.catalog is catalog.snapshot().without(WITHHELD), "made once for each snapshot"
        with pytest.raises(UnknownColumn, match="did you mean 'rating'"):
            seen["ratin"]

    def test_scores_may_be_made_of_what_is_withheld(self, seen: Candidates) -> None:
        for name in ("score", "scores"):
            with pytest.raises(Withheld, match="may be made of 'title', 'energy'"):
                getattr(seen, name)
        assert len(seen.take(np.array([True, False]))) == 1

    def test_what_others_computed_of_the_whole_is_not_in_it(self, catalog: Catalog, seen: Candidates) -> None:
        whole = catalog.snapshot()
        assert whole.cached("titles", lambda: whole.column("title").tolist()) == ["Emma", "Dune"]
        assert seen.catalog.cached("titles", lambda: "nothing") == "nothing"
        assert whole.without({}) is whole


class Radio(Connector):
    """A service whose songs may be shown, and not learned from."""

    @property
    def terms(self) -> Terms:
        return Terms(trainable=False, fields=frozenset(WITHHELD))


class Live(Source):
    """Notes what it knows, where a policy could look for it."""

    service: Radio

    def propose(self, context: Context) -> list[str]:
        context.memo["titles"] = context.catalog.column("title").tolist()
        context.cached("titles", lambda: context.catalog.column("title").tolist())
        return context.catalog.ids[context.catalog.live].tolist()


class Nosy(Policy):
    """Looks everywhere, and keeps what it finds."""

    def _look(self, context: Context, *more: Candidates) -> None:
        found = []
        for items in (context.history, Candidates(context.catalog, context.catalog.live), *more):
            for name in FIELDS:
                for ask in (items.__getitem__, items.tags, items.catalog.column):
                    try:
                        found.append((name, ask(name)))
                    except UnknownColumn:
                        continue
        found.append(("memos", dict(context.memos)))
        found.append(("cached", context.cached("titles", lambda: None)))
        found.append(("credentials", dict(context.credentials)))
        SEEN.extend(found)

    def tune(self, context: Context) -> dict[str, Any]:
        self._look(context)
        return {}

    def perceive(self, context: Context) -> dict[str, Any]:
        self._look(context)
        return {}

    def propose(self, context: Context) -> list[str]:
        self._look(context)
        return []

    def rank(self, context: Context, candidates: Candidates) -> Any:
        self._look(context, candidates)
        candidates.memo = {"seen": candidates["rating"].astype(np.float64)}
        context.memo["asked"] = 1
        return np.arange(len(candidates), dtype=float)

    def chance(self, context: Context, memo: Mapping[str, Any]) -> float:
        self._look(context)
        return 1.0


class NosyLater(Nosy):
    """The same, asynchronously."""

    async def rank(self, context: Context, candidates: Candidates) -> Any:  # type: ignore[override]
        await asyncio.sleep(0)
        return Nosy.rank(self, context, candidates)


SEEN: list[tuple[str, Any]] = []


@pytest.fixture(params=[Nosy, NosyLater])
def nosy(request: pytest.FixtureRequest, plan_of: Callable[..., DomainPlan]) -> DomainPlan:
    SEEN.clear()
    radio = Radio()
    found = plan_of(
        name="songs",
        fields=FIELDS,
        sources={"live": Step("live", "test.live", Live(service=radio), {"service": "radio"})},
        policies={"nosy": request.param()},
    )
    return replace(found, origins={"radio": radio.terms}, connectors=(Step("radio", "test.radio", radio),))


def test_a_policy_of_somebody_elses_finds_nothing_wherever_it_looks(
    nosy: DomainPlan, settings_of: Callable[..., Settings]
) -> None:
    async def live() -> Any:
        async with Orchestrator(
            settings_of({"songs": nosy}), clock=ManualClock(START), follow=False
        ) as tastemaker:
            await tastemaker.put_items(
                "songs",
                [
                    {"id": f"s{n}", "title": f"QZX{n}", "energy": n, "genre": f"QZX{n}", "moods": ["QZX"], "rating": n}
                    for n in range(6)
                ],
            )  # fmt: skip
            first = await tastemaker.recommend(
                "songs", Request("ann", credentials={"radio": secret("t0ken")})
            )
            pick = first.picks[0].item
            await tastemaker.record(
                [Interaction("1", "songs", "ann", pick, "click", START, slate=first.id, value=None)]
            )
            tastemaker.learn()
            slate = await tastemaker.recommend(
                "songs", Request("ann", credentials={"radio": secret("t0ken")})
            )
            agent = tastemaker.agent("songs")
            history = await tastemaker.history("songs", "ann", START)
            assert len(history) == 1
            await agent.again(slate, profile={}, history=history)
            await agent.chance("nosy", slate, profile={}, history=history)
            return slate

    slate = asyncio.run(live())
    assert slate.degraded == []
    assert len(SEEN) > 20
    assert {name for name, _ in SEEN} == {"rating", "memos", "cached", "credentials"}
    assert {str(found) for name, found in SEEN if name in ("cached", "credentials")} == {"None", "{}"}
    assert "QZX" not in repr([found for _, found in SEEN])
    # What it noted came to its slate all the same; what others note goes nowhere.
    assert list(slate.memo) == ["nosy"]
    assert len(slate.memo["nosy"]["items"]["seen"]) == 4


def test_a_policy_that_insists_is_left_out_and_the_slate_says_why(
    plan_of: Callable[..., DomainPlan], catalog_of: Callable[..., Catalog]
) -> None:
    class Greedy(Policy):
        def rank(self, context: Context, candidates: Candidates) -> Any:
            return candidates["energy"]

    plan = replace(
        plan_of(fields=FIELDS, policies={"greedy": Greedy()}),
        origins={"radio": Terms(trainable=False, fields=frozenset(WITHHELD))},
    )
    agent = Agent(plan, catalog_of([{"energy": 1.0}] * 5, fields=FIELDS))
    slate = asyncio.run(agent.decide(Request("ann"), slate="1", now=START, profile={}))
    assert len(slate.picks) == 4
    assert {entry.component: entry.reason for entry in slate.degraded if "greedy" in entry.component} == {
        "policies.greedy": "'energy' is not for policies: 'radio' fills it, whose terms forbid to learn from its data"
    }


def test_a_policy_that_may_see_all_gets_the_request_itself(plan_of: Callable[..., DomainPlan]) -> None:
    """What nobody asked for costs nothing."""
    given: list[Any] = []

    class Plain(Policy):
        def rank(self, context: Context, candidates: Candidates) -> Any:
            return np.zeros(0)

    live = LivePolicy(Step("plain", "test.plain", Plain()))
    context = object()
    live.guarded(lambda *arguments: given.extend(arguments))(context)
    assert given[0] is context


def secret(word: str) -> Any:
    return SecretStr(word)


RADIO = '''
from collections.abc import Sequence
from typing import Any
from pydantic import Field, PrivateAttr
import numpy as np
from tastemaker.core import *

class Radio(Service):
    """Songs that may be shown, and not learned from."""
    fills = frozenset({"title", "energy", "genre", "moods", "live", "aired"})
    trainable: bool = False
    songs: list[dict[str, Any]] = []

class Live(Source):
    """What is on the air: raw items, with a shelf of our own."""
    service: Radio

    def propose(self, context):
        context.memo["songs"] = self.service.songs
        return [{**song, "shelf": f"shelf {place % 3}", "rating": place % 5}
                for place, song in enumerate(self.service.songs)]

class Hoarder(Policy):
    """Keeps all that it can get hold of: in its memos, and in its state."""
    _kept: list[str] = PrivateAttr(default_factory=list)

    def _all(self, context, *more):
        found = [repr(context.memos), repr(dict(context.profile)), repr(context.catalog.schema)]
        for items in (context.history, Candidates(context.catalog, context.catalog.live), *more):
            found += [repr(items.catalog.item(row)) for row in items.rows.tolist()]
            for name in ("title", "energy", "genre", "moods", "live", "aired", "shelf", "rating"):
                for ask in (items.__getitem__, items.missing, items.tags, items.catalog.column):
                    try:
                        found.append(repr(list(ask(name))))
                    except Exception as error:
                        found.append(str(error))
            for name in ("score", "scores"):
                try:
                    found.append(repr(getattr(items, name)))
                except UnknownColumn:
                    pass
        return " ".join(found)[:20_000]

    def tune(self, context):
        context.memo["tuned"] = self._all(context)
        return {}

    def propose(self, context):
        self._all(context)
        return []

    def rank(self, context, candidates):
        context.memo["ranked"] = self._all(context, candidates)
        candidates.memo["vectors"] = candidates.embeddings.astype(np.float64)
        return np.zeros(len(candidates))

    def learn(self, outcomes):
        self._kept = [repr(outcomes.memos)[:5000], *self._kept][:20]

    def state(self):
        return {"kept": list(self._kept)}

    def load(self, state):
        self._kept = list(state["kept"])

@hookimpl
def components():
    return [Radio, Live, Hoarder]
'''

SONGS = """
plugins: [./radio.py]
store: {store}
domains:
  songs:
    connectors: {{station: {{use: radio.radio, songs: {songs}}}}}
    items:
      fields: {{title: text, energy: number, genre: category, moods: tags, live: flag, aired: time,
                shelf: category, rating: number}}
      embedding: {{use: embeddings.text, text: "{{shelf}}", dimensions: 16}}
    sources: [{{use: radio.live}}, {{use: catalog.similar}}, {{use: catalog.random}}]
    filters: [{{use: catalog.where, field: energy, at_least: 0}}]
    scorers:
      lively: {{use: catalog.popularity, field: energy, weight: 0.2}}
      genre: {{use: catalog.tag_match, field: moods, profile: likes, weight: 0.2}}
      near: {{use: catalog.similarity, weight: 0.2}}
    policies:
      people: {{use: catalog.collaborative, weight: 0.2}}
      draw: {{use: thompson.ranker, scope: both, weight: 0.2}}
      linear: {{use: linucb.ranker, features: [{{number: rating}}, {{words: shelf}}, {{embedding: 8}}]}}
      by_shelf: {{use: linucb.thompson, mode: disjoint, arms: shelf, features: [{{situation: mood}}]}}
      knobs: {{use: q_learning.tuner}}
      kinds: {{use: q_learning.adjuster}}
      hoard: {{use: radio.hoarder}}
      {dqn}
    rewards: {{click: 1, skip: -1, seen: 0}}
    slate: {{size: 4, explore: 0.25, deadline_ms: 20000}}
    learning: {{window_minutes: 1}}
"""
COUNT = 24
NUMBERS = [0.500_137 + 0.013_711 * n for n in range(COUNT)]
TIMES = [1_234_567_890.0 + 97_531.0 * n for n in range(COUNT)]


def song(n: int) -> dict[str, Any]:
    return {
        "id": f"s{n}",
        "title": f"QZXtitle{n} QZXword",
        "energy": NUMBERS[n],
        "genre": f"QZXgenre{n % 4}",
        "moods": [f"QZXmood{n % 3}", "QZXall", *(["calm"] if n % 2 else [])],
        "live": n % 2 == 0,
        "aired": TIMES[n],
    }


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Path]:
    """A database in which all policies lived with songs that they may not learn from; and what was exported."""
    folder = tmp_path_factory.mktemp("songs")
    (folder / "radio.py").write_text(RADIO)
    config = SONGS.format(
        store=f"sqlite:///{folder / 'store.db'}",
        songs=json.dumps([song(n) for n in range(COUNT)]),
        dqn="" if missing() else "deep: {use: dqn.ranker, features: [{number: rating}, {words: shelf}]}",
    )
    (folder / "config.yaml").write_text(config)
    settings = load(folder / "config.yaml")
    clock, chance = ManualClock(START), random.Random(3)

    async def live() -> None:
        async with Orchestrator(settings, clock=clock, follow=False) as tastemaker:
            for user in range(8):
                await tastemaker.put_profile(f"u{user}", {"likes": ["calm"], "openness": 40})
            for turn in range(60):
                clock.advance(20)
                user = f"u{turn % 8}"
                slate = await tastemaker.recommend(
                    "songs", Request(user, situation={"mood": "calm"}, trace=turn == 0)
                )
                assert not slate.degraded, slate.degraded
                await tastemaker.record(
                    [
                        Interaction(
                            f"{turn}.{pick.item}", "songs", user, pick.item, kind, clock(), slate=slate.id
                        )
                        for pick in slate.picks
                        if (kind := chance.choice(("click", "click", "skip", "")))
                    ]
                )
                tastemaker.learn()
            await asyncio.to_thread(tastemaker.learner.save)
            versions = tastemaker.versions("songs")
            for name in settings.domains["songs"].policies:
                number = versions.save(name.name, "for the test").number
                readable = versions.readable(name.name, number)
                (folder / f"{name.name}.export.json").write_text(json.dumps(readable, default=str))

    asyncio.run(live())
    store = Store(settings.store.get_secret_value(), clock=clock)
    try:
        plan = settings.domains["songs"]
        runs = train(
            settings, store, open_runs(store, plan, trigger="cli", now=clock()), compare=comparison()
        )
        assert [run.status for run in runs] == ["done"] * len(plan.policies), [run.error for run in runs]
        for run in runs:
            readable = PolicyVersions(store, restored(store, plan)).readable(run.policy, run.version or 0)
            (folder / f"{run.policy}.trained.json").write_text(json.dumps(readable, default=str))
    finally:
        store.close()
    return settings, folder


def _leaves(value: Any) -> Iterator[Any]:
    """All texts and numbers in plain data, arrays and packed states."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(key)
            yield from _leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _leaves(inner)
    elif isinstance(value, np.ndarray):
        yield from value.ravel().tolist()
    else:
        yield value


def _read(cell: Any) -> Iterable[Any]:
    """What a cell of the database holds."""
    if isinstance(cell, bytes):
        try:
            return _leaves(unpack(cell))
        except ValueError:
            pass
        try:
            return _leaves(json.loads(cell))
        except ValueError:
            return [cell]
    return [cell]


PATTERNS = [b"QZX"] + [
    struct.pack(form, number) for number in NUMBERS for form in ("<f", "<d")
] + [struct.pack("<d", time) for time in TIMES]  # fmt: skip


def _leak(leaf: Any) -> bool:
    if isinstance(leaf, bytes):
        return any(pattern in leaf for pattern in PATTERNS)
    if isinstance(leaf, str):
        return "QZX" in leaf or any(f"{number:.6f}"[:7] in leaf for number in NUMBERS) or "12345678" in leaf
    if isinstance(leaf, float) and math.isfinite(leaf):
        near = any(math.isclose(leaf, number, abs_tol=2e-7) for number in NUMBERS)
        return near or any(math.isclose(leaf, time, rel_tol=1e-12) for time in TIMES)
    return False


@pytest.mark.parametrize(
    "leak",
    ["a QZXtitle", 0.500137, float(np.float32(0.500137)), b"\0" + struct.pack("<f", 0.500137), "[0.500137]", TIMES[3]],
)  # fmt: skip
def test_the_search_would_find_a_leak(leak: Any) -> None:
    assert _leak(leak)
    assert not _leak(0.25)
    assert not _leak("shelf 1")


def test_nothing_that_may_not_be_learned_from_is_in_any_table_but_that_of_the_items(
    lived: tuple[Settings, Path],
) -> None:
    settings, _ = lived
    engine = create_engine(settings.store.get_secret_value())
    counts: dict[str, int] = {}
    leaks: list[str] = []
    held = 0
    with engine.connect() as connection:
        for table in inspect(connection).get_table_names():
            columns = ", ".join(f'"{column["name"]}"' for column in inspect(connection).get_columns(table))
            rows = connection.execute(text(f'SELECT {columns} FROM "{table}"')).all()
            counts[table] = len(rows)
            for row in rows:
                found = any(_leak(leaf) for cell in row for leaf in _read(cell))
                if table == "items":
                    held += found
                elif found:
                    leaks.append(f"{table}: {repr(row)[:300]}")
    engine.dispose()
    assert leaks == []
    assert held == counts["items"] == COUNT, "the search does find them where they are"
    assert counts["vectors"] == COUNT
    assert counts["policy_versions"] > 20
    assert counts["training_runs"] >= 7
    assert counts["log"] > 200


def test_nothing_of_it_is_in_any_file_but_the_database(lived: tuple[Settings, Path]) -> None:
    _, folder = lived
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".py"]
    exported = [path for path in files if path.suffix == ".json"]
    assert len(exported) >= 14
    own = {"config.yaml", "store.db", "store.db-wal", "store.db-shm"}
    for path in files:
        if path.name not in own:
            assert not any(_leak(leaf) for leaf in _leaves(json.loads(path.read_text()))), path


def test_what_people_did_was_learned_from_all_the_same(lived: tuple[Settings, Path]) -> None:
    settings, _ = lived
    store = Store(settings.store.get_secret_value())
    try:
        states = restored(store, settings.domains["songs"]).states()
    finally:
        store.close()
    assert len(states["draw"][1]["item_ids"]) > 15
    assert states["linear"][1]["sums"][0] > 100
    assert len(states["kinds"][1]["kind_visits"]) > 3
    assert len(states["people"][1]["users"]) == 8
    kept = repr(states["hoard"][1])
    assert "shelf 1" in kept
    assert "is not for policies" in kept


def test_items_that_outlast_their_connector_still_teach_nobody(
    lived: tuple[Settings, Path], tmp_path: Path
) -> None:
    """The connector is gone from the configuration, and its songs are still there."""
    _, folder = lived
    text = (folder / "config.yaml").read_text()
    head, rest = text.split("    connectors:")
    bare = head + rest[rest.index("\n") + 1 :]
    bare = bare.replace("{use: radio.live}, ", "").replace('text: "{shelf}"', 'text: "{title}"')
    (tmp_path / "radio.py").write_text(RADIO)
    (tmp_path / "config.yaml").write_text(bare.replace("{number: rating}", "{number: energy}", 1))
    changed = load(tmp_path / "config.yaml")
    assert changed.domains["songs"].origins == {}

    async def live() -> Any:
        async with Orchestrator(changed, clock=ManualClock(START + 1e5), follow=False) as tastemaker:
            assert sorted(tastemaker.agent("songs").plan.withheld) == sorted(
                ("title", "energy", "genre", "moods", "live", "aired")
            )
            await tastemaker.put_items("songs", [{"id": "own", "title": "Emma"}])
            slate = await tastemaker.recommend("songs", Request("u1"))
            vectors = tastemaker.agent("songs").catalog.vectors
            assert vectors is not None
            rows = (
                tastemaker.agent("songs").catalog.snapshot().rows([f"s{n}" for n in range(COUNT)] + ["own"])
            )
            return slate, vectors.has(rows)

    slate, has = asyncio.run(live())
    assert {entry.component: entry.reason for entry in slate.degraded} == {
        "policies.linear": "'energy' is not for policies: 'station' fills it, whose terms forbid to learn from its data"
    }
    assert has.tolist() == [False] * COUNT + [True]
    store = Store(changed.store.get_secret_value())
    try:
        assert list(in_force(store, changed.domains["songs"]).origins) == ["station"]
        for ids, _, matrix in store.vectors("songs", "hashed-text", "1-16"):
            assert not matrix[[name != "own" for name in ids]].any()
    finally:
        store.close()
