"""The orchestrator: owns store, clock and learner, builds an agent for each domain, and is what API and CLI use."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from inspect import isawaitable
from typing import Any, TypeVar

import anyio.to_thread

from .accounts import Accounts
from .agent import Agent, History
from .background import Background
from .candidates import Candidates
from .catalog_changes import CatalogChanges
from .clock import Clock, wall
from .collecting import Collecting, CollectorRun
from .components import Connector
from .config import Settings
from .connections import Connections
from .context import Request
from .errors import NotFound, StoreError, TastemakerError, domain_of
from .interaction import Interaction
from .learning import Fold, Learner, PolicyVersions
from .learning.apart import Trainer
from .learning.training import open_runs
from .loggable import loggable
from .monitoring import Monitors
from .outcomes import Outcomes
from .recording import Recorded, Recorder
from .slate import Degradation, Slate
from .stock.expiry import Aged
from .stock.stocking import Stocking
from .store import Entry, Store, TrainingRun
from .users import Users

T = TypeVar("T")

_log = logging.getLogger("tastemaker")

_LOG_SECONDS = 1.0
"""How long an answer waits for its slate to be logged."""
_LAST_SECONDS = 5.0
"""How long the end waits for what goes on in the background."""


class Orchestrator:
    """Everything that runs, for one configuration. Use it as `async with Orchestrator(settings) as tastemaker`.

    agents, folds: by domain.
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
        self.folds: dict[str, Fold] = {}
        self.connections = Connections(settings, clock)
        self.background = Background()
        self.ready = False
        self._follow = follow
        self._slate_ids = slate_ids or _slate_id

    async def __aenter__(self) -> "Orchestrator":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Open the store, bring the catalogues in, restore what was learned. Raises TastemakerError.

        One that fails leaves nothing open.
        """
        self.store = await anyio.to_thread.run_sync(
            lambda: Store(str(self.settings.store.get_secret_value()), clock=self.clock)
        )
        loop, plans = asyncio.get_running_loop(), self.settings.domains
        self.accounts = Accounts(self.store.accounts, self.settings.accounts.keys)
        self.trainer = Trainer(self.settings, self.store)
        self.stocking = Stocking(self.store, plans, self.clock, loop)
        self._users = Users(self.store)
        opened: list[Connector] = []
        try:
            for connector in self._embedders():
                await _awaited(connector.open())
                connector._trouble = ""
                opened.append(connector)
            await self.connections.open(self.accounts)
            await anyio.to_thread.run_sync(self._load)
        except BaseException:
            await self.connections.close()
            for connector in opened:
                await _awaited(connector.close())
            self.stocking.close()
            self.store.close()
            raise
        self.collecting = Collecting(
            self.store, plans, self.clock, lambda domain: self.agents[domain].catalog.snapshot(), loop
        )
        self._recorder = Recorder(self.store, self.folds, self.learner, self.clock)
        self._monitors = Monitors(self.store, self.folds, self.clock)
        self._changes = CatalogChanges(
            self.store,
            self.agents,
            self.learner,
            self.connections,
            self.stocking,
            self.background,
            self.clock,
        )
        for agent in self.agents.values():
            agent.adopt = self._changes.adopt
        if self._follow:
            self.learner.start()
        if len(self.settings.accounts.keys) > 1:
            self.background.call(self._rotate)
        self.ready = True
        try:
            self.registry.startup(self)
        except BaseException:
            await self.stop()
            raise

    def _load(self) -> None:
        """Catalogues, agents and what was learned; runs in a thread."""
        self.stocking.fill()
        learned = self._learned if self.registry.listens("learned") else None
        for domain, stock in self.stocking.stocks.items():
            agent = self.agents[domain] = Agent(stock.plan, stock.catalog)
            self.folds[domain] = Fold(agent, learned, self.store.versions.state)
        plans = self.settings.domains.values()
        self.learner = Learner(
            self.store,
            self.folds,
            items=self.stocking.refresh,
            profile=self._forget_profile,
            checkpoint_seconds=min((plan.learning.checkpoint_seconds for plan in plans), default=30.0),
        )
        self.learner.restore()

    async def stop(self) -> None:
        """Finish what was accepted, save what was learned, let go of everything; nothing where it isn't started."""
        if not self.ready:
            return
        self.ready = False
        self.registry.shutdown(self)
        self._changes.stop()
        await self.background.finish(_LAST_SECONDS)
        await anyio.to_thread.run_sync(self.collecting.stop)
        await anyio.to_thread.run_sync(self.trainer.stop)
        await anyio.to_thread.run_sync(self.learner.stop)
        await self.connections.close()
        for connector in self._embedders():
            await _awaited(connector.close())
        await anyio.to_thread.run_sync(self.stocking.close)
        await anyio.to_thread.run_sync(self.store.close)

    def agent(self, domain: str) -> Agent:
        """The agent of a domain. Raises NotFound."""
        return domain_of(self.agents, domain)

    async def recommend(self, domain: str, request: Request) -> Slate:
        """A slate, logged before it is given. Raises NotFound for an unknown domain, and nothing else."""
        agent = self.agent(domain)
        now = self.clock()
        degraded: list[Degradation] = []
        profile = await _read(self.profile(request.user), {}, "profile", degraded)
        history = await _read(self.history(domain, request.user, now), None, "history", degraded)
        if history is None:
            history = History((), 0).candidates(agent.catalog.snapshot(), now)
        slate = await agent.decide(
            request, slate=self._slate_ids(now), now=now, profile=profile, history=history
        )
        if degraded:
            slate = replace(slate, degraded=[*degraded, *slate.degraded])
        slate, body = loggable(slate)
        entry = Entry("slate", slate.id, domain, request.user, body)
        try:
            logged = self.store.append_soon([entry], durable=False, loop=asyncio.get_running_loop())
            async with asyncio.timeout(_LOG_SECONDS):
                await logged
        except (StoreError, TimeoutError) as error:
            why = str(error) or f"could not be written within {_LOG_SECONDS:.0f} s"
            return replace(slate, degraded=[*slate.degraded, Degradation("log", why)])
        self._recorder.remember(slate.id)
        if self.registry.listens("served"):
            self.background.call(lambda: self.registry.served(slate))
        return slate

    async def record(self, interactions: Sequence[Interaction]) -> list[Recorded]:
        """Write interactions, durably; one answer for each. Raises NotFound, StoreError: then none was written."""
        return await self._recorder.record(interactions)

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

    async def history(self, domain: str, user: str, now: float) -> Candidates:
        """What a user has done in a domain, newest first. Raises NotFound, StoreError, TimeoutError."""
        return await self._users.history(domain_of(self.folds, domain), user, now)

    async def profile(self, user: str) -> Mapping[str, Any]:
        """What is known of a user; empty where that is nothing. Raises StoreError, TimeoutError."""
        return await self._users.profile(user)

    async def put_profile(self, user: str, profile: Mapping[str, Any]) -> None:
        """Replace what is known of a user, durably. Raises StoreError."""
        await self._users.put_profile(user, profile)

    async def change_profile(
        self, user: str, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    ) -> Mapping[str, Any]:
        """Make something of what is known of a user, durably: see `Users.change_profile`. Raises StoreError."""
        return await self._users.change_profile(user, change)

    async def erase(self, user: str) -> dict[str, int]:
        """Delete every trace of a user; what was learned from it is learned again without it."""
        deleted = await asyncio.wrap_future(self.store.erase(user))
        self._forget_profile(None)
        await self._forget_answers(user)
        await self.learner.caught_up(await anyio.to_thread.run_sync(self.store.end))
        return deleted

    async def unlink(self, user: str, service: str | None = None) -> int:
        """Forget the account with a service, or all of a user's, and what was fetched by them; how many that were."""
        removed = await self.accounts.remove(user, service)
        await self._forget_answers(user, service)
        return removed

    async def put_items(self, domain: str, raw: Sequence[Mapping[str, Any]]) -> int:
        """Insert or replace items, all or none; how many. Raises ItemError, NotFound, StoreError."""
        return await self._changes.put(domain, raw)

    async def remove_items(self, domain: str, ids: Sequence[str]) -> int:
        """Take items out of the catalogue; how many of them were in it. Raises NotFound, StoreError."""
        return await self._changes.remove(domain, ids)

    async def expire(self, domain: str) -> Aged:
        """Refresh or remove the items that may not be kept longer. Raises NotFound, StoreError."""
        return await self._changes.expire(domain)

    def expire_soon(self, domain: str) -> None:
        """Begin to do so in the background, unless it is being done; for threads other than the event loop's."""
        self._changes.expire_soon(domain)

    async def collect(self, domain: str, name: str, trigger: str) -> CollectorRun:
        """Run a collector now, and wait for it. Raises NotFound, Conflict where it is running, StoreError."""
        return await anyio.to_thread.run_sync(self.collecting.run, domain, name, trigger)

    def performance(self, domain: str, days: int) -> dict[str, Any]:
        """Figures of a domain's last days: see `monitoring.performance`. Raises NotFound, StoreError."""
        return self._monitors.performance(domain, days)

    def learn(self) -> None:
        """Fold what the log holds; for processes that don't follow it in the background."""
        self.learner.fold()

    def versions(self, domain: str) -> PolicyVersions:
        """The versions of a domain's policies. Raises NotFound."""
        return PolicyVersions(self.store, domain_of(self.folds, domain))

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
        runs = open_runs(
            self.store,
            self.agent(domain).plan,
            policies,
            since=since,
            until=until,
            promote=promote,
            trigger=trigger,
            now=self.clock(),
        )
        self.trainer.start(runs)
        return runs

    async def _forget_answers(self, user: str, service: str | None = None) -> None:
        """Forget what services, or those of one name, have answered about a user."""
        await self.connections.forget(user, service)
        self._forget_recent()

    def _forget_profile(self, user: str | None) -> None:
        self._users.forget_profile(user)
        if user is None:  # somebody was erased
            self._forget_recent()

    def _forget_recent(self) -> None:
        for agent in self.agents.values():
            agent.recent.forget()

    def _learned(self, domain: str, outcomes: Outcomes) -> None:
        self.registry.learned(domain, outcomes)

    def _rotate(self) -> None:
        try:
            if changed := self.accounts.rotate():
                _log.info("%d accounts of users are now encrypted under the first of accounts.keys", changed)
        except TastemakerError as error:
            _log.warning("accounts of users stay encrypted as they are: %s", error)

    def _embedders(self) -> list[Connector]:
        return [plan.items.embedder for plan in self.settings.domains.values() if plan.items.embedder]


def _slate_id(now: float) -> str:
    """Sorts by time; the rest is random."""
    return f"{int(now * 1000):012x}{secrets.token_hex(8)}"


async def _read(reading: Awaitable[T], otherwise: T, name: str, degraded: list[Degradation]) -> T:
    """What is read of a user, or else what a slate can do without it, which it then says."""
    try:
        return await reading
    except (StoreError, TimeoutError) as error:
        degraded.append(Degradation(name, str(error)))
        return otherwise


async def _awaited(value: Any) -> Any:
    return await value if isawaitable(value) else value
