"""What is configured, reachable and allowed, and what was collected: for an operator who asks how things are."""

from collections.abc import AsyncIterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import anyio
from pydantic import SecretBytes, SecretStr

from .agent.steps import reason
from .clock import wall
from .collecting import Collecting, CollectorRun
from .collection import Collection
from .components import Connector, Embedder
from .config import CollectorStep, DomainPlan, Settings, seconds, shown_url
from .connections import Connections, called
from .service import Service
from .stock.sample import sample_origin, sample_step
from .store import OriginCount, Store

_HEALTH_SECONDS = 5.0
_FILLED: dict[type, Any] = {SecretStr: SecretStr("x"), SecretBytes: SecretBytes(b"x")}
_ALONE = (
    "budgets are as this process counts: with cache: memory:// each process counts alone, and anew when it starts; "
    "redis:// counts for all"
)


@dataclass(frozen=True, slots=True)
class ConnectorState:
    """How a connector is.

    trouble: why it can't be used, or what its health says; empty where it is well, or not configured. empty: those of
    its options with an empty text that it needs. budgets: by bucket `limit`, `left`, and `until`, when a closed one
    opens again, in seconds since the epoch. unavailable: operations that this app isn't given, and why. counters: by
    operation. without: the entries that take no part on its account.
    """

    domain: str
    name: str
    use: str
    configured: bool
    trouble: str = ""
    empty: Sequence[str] = ()
    budgets: Mapping[str, Any] = field(default_factory=dict)
    unavailable: Mapping[str, str] = field(default_factory=dict)
    counters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    without: Sequence[str] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class CollectorState:
    """A collector with its last run, None where there was none; due: when it is to run next, if a server runs then."""

    domain: str
    name: str
    use: str
    origin: str
    every: str
    replace: bool
    last: CollectorRun | None
    due: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values; the run without what is nobody's business."""
        found = {key: getattr(self, key) for key in ("domain", "name", "use", "origin", "every", "replace")}
        return {**found, "last": shown_run(self.last), "due": self.due}


@dataclass(frozen=True, slots=True)
class DomainState:
    """How a domain is.

    left_out: entries that take no part, with the reason. catalogue: its items by origin. trouble: why `items.from`
    can't be read; empty where it can, or there is none.
    """

    name: str
    connectors: Sequence[ConnectorState]
    left_out: Mapping[str, str]
    collectors: Sequence[CollectorState]
    catalogue: Sequence[OriginCount]
    trouble: str = ""


async def connectors(plan: DomainPlan) -> list[ConnectorState]:
    """How the connectors of a domain are; those that are open are asked, all at once."""
    found: list[ConnectorState | None] = [None] * (len(plan.connectors) + 1)

    async def ask(place: int, name: str, use: str, connector: Connector) -> None:
        found[place] = await _asked(plan, name, use, connector)

    async with anyio.create_task_group() as group:
        for place, step in enumerate(plan.connectors):
            assert isinstance(step.component, Connector)
            group.start_soon(ask, place, step.name, step.use, step.component)
        embedder = plan.items.embedder
        if embedder is not None:
            use = embedder.component_name()
            group.start_soon(ask, len(plan.connectors), "items.embedding", use, embedder)
    return [state for state in found if state is not None]


async def cache(settings: Settings, connections: Connections) -> dict[str, Any]:
    """Where processes share what services said: its URL, and its trouble, empty where it is well.

    note: how far what is left of the budgets can be trusted; empty where they are counted for all processes.
    """
    memory = settings.memory
    trouble = ""
    if memory is not None:
        trouble = memory.trouble or await _health(memory)
    note = _ALONE if memory is None else ""
    return {"url": shown_url(settings.cache.get_secret_value()), "trouble": trouble, "note": note}


def collectors(collecting: Collecting, domain: str) -> list[CollectorState]:
    """The collectors of a domain. Raises NotFound, StoreError."""
    return [_state(collecting, domain, step) for step in collecting.steps(domain).values()]


async def domain_state(plan: DomainPlan, store: Store | None, collecting: Collecting | None) -> DomainState:
    """How a domain is; store: None where there is none yet. Raises StoreError."""
    if collecting is None:
        runs = [_never(plan.name, step) for step in plan.collectors]
    else:
        runs = collectors(collecting, plan.name)
    catalogue = [] if store is None else store.ages.by_origin(plan.name)
    left = {path: left.why for path, left in plan.left_out.items()}
    if sample_step(plan) is not None:
        left["items.from"] += f"; {_standing_in(plan, catalogue)}"
    trouble = await anyio.to_thread.run_sync(_unreadable, plan)
    return DomainState(plan.name, await connectors(plan), left, runs, catalogue, trouble)


def shown_run(run: CollectorRun | None) -> dict[str, Any] | None:
    """A run as people see it."""
    if run is None:
        return None
    found = run.as_dict()
    return {key: value for key, value in found.items() if key not in ("mark", "outside", "options")}


async def _asked(plan: DomainPlan, name: str, use: str, connector: Connector) -> ConnectorState:
    left = {path: left for path, left in plan.left_out.items() if left.connector == name}
    without = [path for path, each in left.items() if not each.superseded]
    if not connector.configured:
        return ConnectorState(plan.name, name, use, False, empty=_empty(connector), without=without)
    # An embedder loads its model where it is first needed; the others were opened before.
    closed = "" if isinstance(connector, Embedder) else connector.trouble
    state = ConnectorState(plan.name, name, use, True, closed or await _health(connector))
    if not isinstance(connector, Service):
        return state
    budgets = {bucket: asdict(left) for bucket, left in (await connector.remaining()).items()}
    denied, counters = await connector.denied(), connector.metrics
    return replace(state, budgets=budgets, unavailable=denied, counters=counters)


async def _health(connector: Connector) -> str:
    """What is wrong with an open connector; empty where nothing is."""
    try:
        with anyio.fail_after(_HEALTH_SECONDS):
            return " ".join((await called(connector.health) or "").split())
    except TimeoutError:
        return f"it says nothing of its health within {_HEALTH_SECONDS:.0f} s"
    except (Exception, SystemExit) as error:  # a plugin's code may raise anything
        return reason(error)


def _unreadable(plan: DomainPlan) -> str:
    """Why not even the first row of `items.from` can be read; one that waits for a service isn't asked."""
    if plan.items.collector is None:
        return ""
    collector: Any = plan.items.collector.component
    try:
        rows = collector.collect(Collection(plan.name, wall()))
        if not isinstance(rows, AsyncIterable):
            next(iter(rows), None)
    except Exception as error:  # a plugin's code may raise anything
        return reason(error)
    return ""


def _standing_in(plan: DomainPlan, catalogue: Sequence[OriginCount]) -> str:
    """What the sample does, in words."""
    counts = {count.origin: count.items for count in catalogue}
    own = counts.pop(sample_origin(plan) or "", 0)
    if counts:
        return "it is not needed: there are other items"
    if not own:
        return "a server that starts brings its items in, to stand in until there are others"
    return f"its {own:,} items stand in until there are others"


def _empty(connector: Connector) -> list[str]:
    """The empty options without which it isn't configured; where that can't be told, all empty ones."""
    fields = type(connector).model_fields
    found: dict[str, Any] = {}
    for name in fields:
        value = getattr(connector, name)
        text = value.get_secret_value() if isinstance(value, SecretStr | SecretBytes) else value
        if text in ("", b""):
            found[name] = _FILLED.get(type(value), "x")

    def needed(name: str) -> bool:
        others = {other: value for other, value in found.items() if other != name}
        return not connector.model_copy(update=others).configured

    return [fields[name].alias or name for name in list(filter(needed, found)) or found]


def _never(domain: str, step: CollectorStep) -> CollectorState:
    return CollectorState(domain, step.name, step.use, step.origin, step.every, step.replace, None, 0.0)


def _state(collecting: Collecting, domain: str, step: CollectorStep) -> CollectorState:
    last = collecting.last(domain, step.name)
    never = _never(domain, step)
    return never if last is None else replace(never, last=last, due=last.due(seconds(step.every)))
