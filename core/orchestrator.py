"""The orchestrator: owns store, clock and learner, builds an agent for each domain, and is what API and CLI use."""

import asyncio
import hashlib
import logging
import secrets
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from inspect import isawaitable
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import orjson

from .agent import Agent, History
from .candidates import Candidates
from .clock import Clock, wall
from .components import Connector
from .config import DomainPlan, Settings
from .context import Request
from .errors import NotFound, StoreError, did_you_mean
from .ingest import Report, ingest, typed_items
from .interaction import Interaction
from .learning import Fold, Learner, PolicyVersions
from .learning.apart import Trainer
from .learning.training import open_runs
from .monitoring import Monitor, monitor_of, performance
from .outcomes import Outcomes
from .rewards import RewardTable
from .slate import Degradation, Slate
from .stock import Stock
from .store import Entry, Store, TrainingRun

T = TypeVar("T")

_log = logging.getLogger("tastemaker")

_LOG_SECONDS = 1.0
"""How long an answer waits for its slate to be logged."""
_READ_SECONDS = 0.5
"""How long a request waits for what the store knows of its user."""
_FOLD_SECONDS = 0.25
"""How long an acknowledgement waits for its interaction to be learned from."""
_SKEW_SECONDS = 60.0
"""How far ahead a caller's clock may be."""
_REMEMBERED = 100_000
_LARGEST_SLATE = 1_000_000
"""Bytes of a logged slate with its memos."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of an interaction: its place in the log, whether it was there already, and what was odd.

    other: what else has this id, so that the interaction was not written; None where nothing has.
    """

    id: str
    position: int
    duplicate: bool
    warnings: Sequence[str] = ()
    other: Interaction | None = None


class Orchestrator:
    """Everything that runs, for one configuration. Use it as `async with Orchestrator(settings) as tastemaker`.

    agents: by domain.
    clock: seconds since the epoch; also the store's.
    follow: learn in the background; otherwise only when `learn` is called.
    slate_ids: gives the id of a slate made at a time; the randomness of its decision follows from it.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock = wall,
        follow: bool = True,
        slate_ids: Callable[[float], str] | None = None,
    ) -> None:
        self.settings = settings
        self.registry = settings.registry
        self.clock = clock
        self.agents: dict[str, Agent] = {}
        self.imports: dict[str, Report] = {}
        self.ready = False
        self._follow = follow
        self._slate_ids = slate_ids or _slate_id
        self._profiles: OrderedDict[str, Mapping[str, Any]] = OrderedDict()
        self._profile_epoch = 0
        self._slates: OrderedDict[str, None] = OrderedDict()
        self._background: set[asyncio.Task[None]] = set()
        self._monitors: dict[str, Monitor] = {}
        self._watching = threading.Lock()

    async def __aenter__(self) -> "Orchestrator":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Open the store, bring the catalogues in, restore what was learned. Raises TastemakerError."""
        self.store = await anyio.to_thread.run_sync(
            lambda: Store(str(self.settings.store.get_secret_value()), clock=self.clock)
        )
        self.trainer = Trainer(self.settings, self.store)
        opened: list[Connector] = []
        try:
            for connector in self._connectors():
                await _awaited(connector.open())
                opened.append(connector)
            await anyio.to_thread.run_sync(self._load)
        except BaseException:
            for connector in opened:
                await _awaited(connector.close())
            for agent in self.agents.values():
                agent.catalog.close()
            self.store.close()
            raise
        if self._follow:
            self.learner.start()
        self.ready = True
        self.registry.startup(self)

    async def stop(self) -> None:
        """Finish what was accepted, save what was learned, let go of everything."""
        self.ready = False
        self.registry.shutdown(self)
        if self._background:
            await asyncio.wait(self._background, timeout=5)
        await anyio.to_thread.run_sync(self.trainer.stop)
        await anyio.to_thread.run_sync(self.learner.stop)
        for connector in self._connectors():
            await _awaited(connector.close())
        for agent in self.agents.values():
            await anyio.to_thread.run_sync(agent.catalog.close)
        await anyio.to_thread.run_sync(self.store.close)

    def agent(self, domain: str) -> Agent:
        """The agent of a domain. Raises NotFound."""
        agent = self.agents.get(domain)
        if agent is None:
            raise NotFound(f"no domain is called {domain!r}{did_you_mean(domain, self.agents)}")
        return agent

    async def recommend(self, domain: str, request: Request) -> Slate:
        """A slate, logged before it is given. Raises NotFound for an unknown domain, and nothing else."""
        agent = self.agent(domain)
        now = self.clock()
        degraded: list[Degradation] = []
        profile = await self._reading(self.profile(request.user), {}, "profile", degraded)
        history = await self._reading(self._history(agent, request.user, now), None, "history", degraded)
        if history is None:
            history = History((), 0).candidates(agent.catalog.snapshot(), now)
        slate = await agent.decide(
            request, slate=self._slate_ids(now), now=now, profile=profile, history=history
        )
        if degraded:
            slate = replace(slate, degraded=[*degraded, *slate.degraded])
        slate, body = _loggable(slate)
        entry = Entry("slate", slate.id, domain, request.user, body)
        try:
            logged = self.store.append_soon([entry], durable=False, loop=asyncio.get_running_loop())
            async with asyncio.timeout(_LOG_SECONDS):
                await logged
        except (StoreError, TimeoutError) as error:
            why = str(error) or f"could not be written within {_LOG_SECONDS:.0f} s"
            return replace(slate, degraded=[*slate.degraded, Degradation("log", why)])
        self._remember(slate.id)
        if self.registry.listens("served"):
            self._later(lambda: self.registry.served(slate))
        return slate

    async def record(self, interactions: Sequence[Interaction]) -> list[Recorded]:
        """Write interactions, durably; one answer for each. Raises NotFound, StoreError: then none was written."""
        now = self.clock()
        entries, warnings = [], []
        for interaction in interactions:
            agent = self.agent(interaction.domain)
            noted = []
            if interaction.time > now + _SKEW_SECONDS:
                noted.append("its time lies in the future: taken as now")
                interaction = replace(interaction, time=now)
            if agent.catalog.snapshot().row(interaction.item) < 0:
                noted.append(f"no item {interaction.item!r} is in the catalogue of {interaction.domain!r}")
            if interaction.slate and not await self._knows_slate(interaction.slate):
                noted.append(f"no slate {interaction.slate!r} is known: taken as feedback without a slate")
            entries.append(
                Entry(
                    "interaction",
                    interaction.id,
                    interaction.domain,
                    interaction.user,
                    interaction.to_bytes(),
                )
            )
            reward = agent.plan.reward
            if isinstance(reward, RewardTable) and (doubt := reward.doubt(interaction)) is not None:
                noted.append(doubt)
            warnings.append(noted)
        receipts = await self.store.append_soon(entries, durable=True, loop=asyncio.get_running_loop())
        if self._follow and receipts:
            await self.learner.reached(max(receipt.position for receipt in receipts), _FOLD_SECONDS)
        return [
            Recorded(
                entry.id,
                receipt.position,
                receipt.duplicate,
                noted,
                await self._other(interaction) if receipt.duplicate else None,
            )
            for entry, interaction, receipt, noted in zip(
                entries, interactions, receipts, warnings, strict=True
            )
        ]

    async def profile(self, user: str) -> Mapping[str, Any]:
        """What is known of a user; empty where that is nothing."""
        profile = self._profiles.get(user)
        if profile is not None:
            self._profiles.move_to_end(user)
            return profile
        epoch = self._profile_epoch
        body = await _read(self.store.profile, user)
        profile = {} if body is None else orjson.loads(body)
        if epoch == self._profile_epoch:
            self._profiles[user] = profile
            if len(self._profiles) > _REMEMBERED:
                self._profiles.popitem(last=False)
        return profile

    async def put_profile(self, user: str, profile: Mapping[str, Any]) -> None:
        """Replace what is known of a user, durably."""
        await asyncio.wrap_future(self.store.put_profile(user, orjson.dumps(profile)))
        self._forget_profile(user)

    async def erase(self, user: str) -> dict[str, int]:
        """Delete every trace of a user; what was learned from it is learned again without it."""
        deleted = await asyncio.wrap_future(self.store.erase(user))
        self._forget_profile(None)
        if self._follow:
            await self.learner.reached(await anyio.to_thread.run_sync(self.store.end), 5.0)
        else:
            await anyio.to_thread.run_sync(self.learn)
        return deleted

    def performance(self, domain: str, days: int) -> dict[str, Any]:
        """Figures of a domain's last days: see `monitoring.performance`. Raises NotFound, StoreError."""
        plan = self.agent(domain).plan
        now = self.clock()
        with self._watching:
            monitor = self._monitors.get(domain)
            if monitor is None:
                digests = self.folds[domain].digests()
                monitor = self._monitors[domain] = monitor_of(self.store, plan, digests, now)
            catalogue = len(self.agent(domain).catalog.snapshot().live)
            return performance(monitor, now=now, days=days, catalogue=catalogue)

    async def put_items(self, domain: str, raw: Sequence[Mapping[str, Any]]) -> int:
        """Insert or replace items, all or none; how many. Raises ItemError, NotFound, StoreError."""
        items = typed_items(self.agent(domain).plan.items.schema, list(raw), "api", strict=True)
        await self._write_items(domain, items)
        return len(items)

    async def remove_items(self, domain: str, ids: Sequence[str]) -> int:
        """Take items out of the catalogue; how many of them were in it."""
        snapshot = self.agent(domain).catalog.snapshot()
        known = [identity for identity in ids if snapshot.row(identity) >= 0]
        if known:
            await self._write_items(domain, [(identity, None) for identity in known])
        return len(known)

    def slate(self, identity: str) -> Slate:
        """A logged slate. Raises NotFound."""
        entry = self.store.entry("slate", identity)
        if entry is None:
            raise NotFound(f"no slate {identity!r} is logged")
        return Slate.from_bytes(entry.id, entry.domain, entry.user, entry.body)

    def interactions(
        self, user: str, *, domain: str | None = None, before: int | None = None, limit: int = 100
    ) -> list[tuple[int, Interaction]]:
        """A user's interactions with their log positions, newest first."""
        entries = self.store.history(user, domain=domain, before=before, limit=limit)
        return [
            (entry.position, Interaction.from_bytes(entry.id, entry.domain, entry.user, entry.body))
            for entry in entries
        ]

    def learn(self) -> None:
        """Fold what the log holds; for processes that don't follow it in the background."""
        self.learner.fold()

    def versions(self, domain: str) -> PolicyVersions:
        """The versions of a domain's policies. Raises NotFound."""
        self.agent(domain)
        return PolicyVersions(self.store, self.folds[domain])

    def train(
        self,
        domain: str,
        policies: Sequence[str] = (),
        *,
        since: str | None = None,
        until: str | None = None,
        promote: str | None = None,
        trigger: str,
    ) -> list[TrainingRun]:
        """Begin to train policies of a domain in a process of its own. Raises as `open_runs` does."""
        plan = self.agent(domain).plan
        runs = open_runs(
            self.store,
            plan,
            policies,
            since=since,
            until=until,
            promote=promote,
            trigger=trigger,
            now=self.clock(),
        )
        self.trainer.start(runs)
        return runs

    def _load(self) -> None:
        """Catalogues, agents and what was learned; runs in a thread."""
        plans = self.settings.domains
        if any("tags" in plan.items.schema.fields.values() for plan in plans.values()):
            import scipy.sparse  # noqa: F401  # or the first request would wait for it
        for plan in plans.values():
            self._ingest(plan)
        end = self.store.end()
        self._stocks = {name: Stock(self.store, plan) for name, plan in plans.items()}
        folds = {}
        for name, plan in plans.items():
            stock = self._stocks[name]
            stock.refresh(end)
            agent = self.agents[name] = Agent(plan, stock.catalog)
            agent.adopt = self._adopt
            learned = self._learned if self.registry.listens("learned") else None
            folds[name] = Fold(agent, learned, self.store.versions.state)
        self.folds = folds
        seconds = min((plan.learning.checkpoint_seconds for plan in plans.values()), default=30.0)
        self.learner = Learner(
            self.store,
            folds,
            items=self._refresh_stocks,
            profile=self._forget_profile,
            checkpoint_seconds=seconds,
        )
        self.learner.restore()

    def _ingest(self, plan: DomainPlan) -> None:
        """Bring in what the domain's collector has, where that has changed since the last time."""
        step = plan.items.collector
        if step is None:
            return
        collector: Any = step.component
        options = f"{step.use} {collector.model_dump_json()} {sorted(plan.items.schema.fields.items())}"
        mark = hashlib.sha256(f"{options} {collector.fingerprint()}".encode()).hexdigest()[:16]
        if self.store.note(f"collected {plan.name}") == mark:
            return
        report = ingest(self.store, plan.name, plan.items.schema, collector, "collector", replace=True)
        self.imports[plan.name] = report
        self.store.put_note(f"collected {plan.name}", mark)
        _log.info("%s: %d items read from %s", plan.name, report.written + report.unchanged, step.use)
        for fault in report.faults[:5]:
            _log.warning("%s: row left out: %s: %s", plan.name, fault.where, fault.message)
        if report.rejected > 5:
            _log.warning("%s: %d rows left out in all", plan.name, report.rejected)

    def _refresh_stocks(self, position: int) -> None:
        for stock in self._stocks.values():
            stock.refresh(position)

    def _forget_profile(self, user: str | None) -> None:
        self._profile_epoch += 1
        if user is None:
            self._profiles.clear()
        else:
            self._profiles.pop(user, None)

    def _learned(self, domain: str, outcomes: Outcomes) -> None:
        self.registry.learned(domain, outcomes)

    async def _history(self, agent: Agent, user: str, now: float) -> Candidates:
        histories = agent.histories
        history = histories.get(user)
        if history is None:
            fold = self.folds[agent.name]

            def read() -> Any:
                up_to = max(
                    fold.position, agent.reached
                )  # while all is learned again: as far as it was known
                entries = self.store.history(user, domain=agent.name, up_to=up_to, limit=histories.limit)
                return fold.events(entries)

            histories.begin(user)
            try:
                history = histories.finish(user, await _read(read))
            except BaseException:
                histories.give_up(user)
                raise
        return history.candidates(agent.catalog.snapshot(), now)

    async def _reading(self, read: Any, otherwise: Any, name: str, degraded: list[Degradation]) -> Any:
        try:
            return await read
        except (StoreError, TimeoutError) as error:
            why = str(error) or f"could not be read within {_READ_SECONDS:g} s"
            degraded.append(Degradation(name, why))
            return otherwise

    def _remember(self, slate: str) -> None:
        self._slates[slate] = None
        if len(self._slates) > _REMEMBERED:
            self._slates.popitem(last=False)

    async def _knows_slate(self, identity: str) -> bool:
        if identity in self._slates:
            return True
        entry = await anyio.to_thread.run_sync(self.store.entry, "slate", identity)
        if entry is not None:
            self._remember(identity)
        return entry is not None

    async def _other(self, interaction: Interaction) -> Interaction | None:
        """What is logged under the id of an interaction, where that says that something else was done."""
        entry = await anyio.to_thread.run_sync(self.store.entry, "interaction", interaction.id)
        if entry is None:  # its user was erased meanwhile
            return None
        logged = Interaction.from_bytes(entry.id, entry.domain, entry.user, entry.body)
        return None if _deed(logged) == _deed(interaction) else logged

    async def _adopt(self, domain: str, raw: Sequence[Mapping[str, Any]]) -> list[str]:
        """Items that a source brought: stored where they are new or changed, and in the catalogue from now on."""
        agent = self.agent(domain)
        items = typed_items(agent.plan.items.schema, list(raw), "source", strict=False)
        snapshot = agent.catalog.snapshot()
        fresh = [
            (identity, body)
            for identity, body in items
            if not snapshot.holds(identity, orjson.loads(body)["values"])
        ]
        if fresh:
            await self._write_items(domain, fresh)
        return [identity for identity, _ in items]

    async def _write_items(self, domain: str, changes: Sequence[tuple[str, bytes | None]]) -> None:
        receipt = await asyncio.wrap_future(self.store.put_items(domain, changes))
        if self._follow:
            await self.learner.reached(receipt.position, 5.0)
        else:
            await anyio.to_thread.run_sync(self.learn)

    def _connectors(self) -> list[Connector]:
        return [plan.items.embedder for plan in self.settings.domains.values() if plan.items.embedder]

    def _later(self, action: Callable[[], None]) -> None:
        async def run() -> None:
            await anyio.to_thread.run_sync(action)

        task = asyncio.get_running_loop().create_task(run())
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _slate_id(now: float) -> str:
    """Sorts by time; the rest is random."""
    return f"{int(now * 1000):012x}{secrets.token_hex(8)}"


def _deed(interaction: Interaction) -> tuple[Any, ...]:
    """Who did what with which item: what a retry says again, whatever else it leaves out."""
    return (interaction.domain, interaction.user, interaction.item, interaction.kind, interaction.value)


def interaction_id() -> str:
    """An id for an interaction that its caller gave none."""
    return uuid.uuid4().hex


async def _read(read: Callable[..., T], *arguments: Any) -> T:
    """What a read of the store gives. Raises TimeoutError."""
    with anyio.fail_after(_READ_SECONDS):
        return await anyio.to_thread.run_sync(read, *arguments, abandon_on_cancel=True)


def _loggable(slate: Slate) -> tuple[Slate, bytes]:
    """The slate and its bytes; what can't be written down is left out, and named."""
    try:
        body = slate.to_bytes()
        if len(body) <= _LARGEST_SLATE or not slate.memo:
            return slate, body
        name = max(slate.memo, key=lambda name: len(_bytes(slate.memo[name])))
        size = len(_bytes(slate.memo[name]))
        why = f"its memo of {size:,} bytes is left out: a slate has {_LARGEST_SLATE:,} at most"
        return _loggable(
            replace(
                slate,
                memo={other: memo for other, memo in slate.memo.items() if other != name},
                degraded=[*slate.degraded, Degradation(f"policies.{name}", why)],
            )
        )
    except TypeError:
        memo = {name: entry for name, entry in slate.memo.items() if _plain(entry)}
        degraded = [
            Degradation(f"policies.{name}", "its memo can't be logged: it must hold plain values, by name")
            for name in slate.memo
            if name not in memo
        ]
        situation = slate.situation
        if not _plain(situation):
            degraded.append(
                Degradation("situation", "it can't be logged: it must hold plain values, by name")
            )
            situation = {}
        slate = replace(slate, memo=memo, situation=situation, degraded=[*slate.degraded, *degraded])
        return slate, slate.to_bytes()


def _plain(value: Any) -> bool:
    try:
        _bytes(value)
    except TypeError:
        return False
    return True


def _bytes(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


async def _awaited(value: Any) -> Any:
    return await value if isawaitable(value) else value
