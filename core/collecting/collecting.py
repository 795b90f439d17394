"""Collectors at work: when each runs, in which of many processes, and what came of it."""

import asyncio
import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..agent.steps import reason
from ..catalog.catalog import CatalogSnapshot
from ..clock import Clock
from ..collection import Collection, Fault
from ..components import Collector, Connector
from ..config import CollectorStep, DomainPlan, seconds
from ..connections import OPENING_SECONDS
from ..errors import Conflict, ConnectorError, NotFound, StoreError, TastemakerError, did_you_mean, domain_of
from ..stock.ingest import Stopped, drained
from ..stock.sample import sample_origin
from ..store import Store
from ..terms import Terms
from .intake import Intake

_log = logging.getLogger("tastemaker.schedules")

LOST_AFTER = 60.0
"""Seconds without a sign of life after which a run counts as lost, and is made again."""
_BEAT_SECONDS = 2.0
_STOP_SECONDS = 5.0
_LOOK_AGAIN = 0.05
"""Seconds between two looks at whether a connector is open by now."""
_AGAIN_SECONDS = (60.0, 3600.0)
"""After the first failure, and at most, a collector waits so long to be tried again, and never longer than usual."""
_MOST_FAULTS = 20
_OWN = Terms()


@dataclass(frozen=True, slots=True)
class CollectorRun:
    """The last run of a collector. Times are in seconds since the epoch.

    status: running, done, failed; stopped with the server; lost: its process gave no sign of life for a minute.
    trigger: schedule, api or cli. rows: what was brought; the other counts are what became of it, see `Report`.
    faults: the first that could not be taken. note: what else is worth saying. failures: in a row, up to this run.
    mark: what it left for the next one. outside, options: digests of what it found there, and of what it was asked.
    """

    status: str
    trigger: str
    started: float
    heartbeat: float
    finished: float | None = None
    rows: int = 0
    written: int = 0
    unchanged: int = 0
    removed: int = 0
    interactions: int = 0
    duplicates: int = 0
    rejected: int = 0
    faults: list[Fault] = field(default_factory=list)
    note: str = ""
    error: str = ""
    failures: int = 0
    mark: str = ""
    outside: str = ""
    options: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_text(cls, text: str) -> "CollectorRun":
        """The run that a note of the store holds."""
        fields = json.loads(text)
        return cls(**{**fields, "faults": [Fault(**fault) for fault in fields["faults"]]})

    def due(self, every: float) -> float:
        """When the collector is to run again."""
        match self.status:
            case "running":
                return self.heartbeat + LOST_AFTER
            case "failed":
                first, longest = _AGAIN_SECONDS
                wait = min(first * 2.0 ** min(self.failures - 1, 30), longest, every)
                return (self.finished or self.started) + wait
            case "done":
                return self.started + every
            case _:
                return self.started


class Collecting:
    """Runs the collectors of all domains, each by one process at a time.

    catalogs: gives a domain's catalogue. loop: on which async collectors run.
    """

    def __init__(
        self,
        store: Store,
        plans: Mapping[str, DomainPlan],
        clock: Clock,
        catalogs: Callable[[str], CatalogSnapshot | None] = lambda domain: None,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._store, self._plans, self._clock = store, plans, clock
        self._catalogs, self._loop = catalogs, loop
        self._stopped = threading.Event()
        self._threads: dict[threading.Thread, _Claim] = {}
        self._looked = False

    def steps(self, domain: str) -> Mapping[str, CollectorStep]:
        """The collectors of a domain by name. Raises NotFound."""
        return {step.name: step for step in domain_of(self._plans, domain).collectors}

    def last(self, domain: str, name: str) -> CollectorRun | None:
        """The last run of a collector, None where there was none. Raises StoreError."""
        text = self._store.note(_key(domain, name))
        run = None if text is None else CollectorRun.from_text(text)
        if run is not None and run.status == "running" and self._clock() > run.heartbeat + LOST_AFTER:
            return replace(run, status="lost", error="its process has ended; it is made again")
        return run

    def look(self) -> list[tuple[str, str]]:
        """Begin what is due, each in a thread of its own; domain and name of what was begun. Raises StoreError.

        At the first look that is also what was asked for something else the last time: its options have changed.
        """
        first, self._looked = not self._looked, True
        begun = []
        for domain in self._plans:
            for name, step in self.steps(domain).items():
                last = self.last(domain, name)
                due = last is None or self._clock() >= last.due(seconds(step.every))
                changed = first and last is not None and last.options != self._options(domain, step)
                if due or (changed and last is not None and last.status != "running"):
                    try:
                        self.begin(domain, name, "schedule")
                    except Conflict:
                        continue  # another process was faster
                    begun.append((domain, name))
        return begun

    def begin(self, domain: str, name: str, trigger: str) -> CollectorRun:
        """Begin a run in the background. Raises NotFound, Conflict where one is under way, StoreError."""
        claim = self._claimed(domain, name, trigger)
        thread = threading.Thread(
            target=self._run, args=[claim], name=f"tastemaker-collect-{domain}-{name}", daemon=True
        )
        self._threads[thread] = claim
        thread.start()
        return claim.run

    def run(self, domain: str, name: str, trigger: str) -> CollectorRun:
        """Run a collector now, and wait for it. Raises NotFound, Conflict where it is running, StoreError."""
        return self._carried_out(self._claimed(domain, name, trigger))

    def stop(self) -> None:
        """End what is under way; what it has written stays, and it is made again by the next server."""
        self._stopped.set()
        until = time.monotonic() + _STOP_SECONDS
        for thread, claim in list(self._threads.items()):
            thread.join(max(until - time.monotonic(), 0))
            if thread.is_alive():
                claim.give_up()

    def _claimed(self, domain: str, name: str, trigger: str) -> "_Claim":
        steps = self.steps(domain)
        if name not in steps:
            known = did_you_mean(name, steps) or "; it has none"
            raise NotFound(f"no collector of {domain} is called {name!r}{known}")
        step, now = steps[name], self._clock()
        text = self._store.note(_key(domain, name))
        last = None if text is None else CollectorRun.from_text(text)
        if last is not None and last.status == "running" and now <= last.heartbeat + LOST_AFTER:
            raise Conflict(
                f"{domain}.{name} is running since {now - last.started:.0f} s: wait until it is done"
            )
        options = self._options(domain, step)
        run = CollectorRun("running", trigger, now, now, options=options)
        if last is not None:
            same = last.options == options
            run = replace(run, failures=last.failures, mark=last.mark if same else "")
            run = replace(run, outside=last.outside if same and last.status == "done" else "")
        claim = _Claim(self._store, self._plans[domain], step, run, text)
        if not claim.say(run):
            raise Conflict(f"{domain}.{name} was begun by another process just now")
        return claim

    def _options(self, domain: str, step: CollectorStep) -> str:
        """Changes with what the collector is asked for."""
        fields = sorted(self._plans[domain].items.schema.fields.items())
        text = f"{step.use} {step.component.model_dump_json()} {fields}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _run(self, claim: "_Claim") -> None:
        try:
            self._carried_out(claim)
        except TastemakerError as error:
            _log.warning("%s: the run could not be written down: %s", claim, error)
        except Exception:
            _log.exception("%s failed", claim)
        finally:
            self._threads.pop(threading.current_thread(), None)

    def _carried_out(self, claim: "_Claim") -> CollectorRun:
        _log.info("%s: begins", claim)
        plan, step = claim.plan, claim.step
        intake = Intake(
            self._store,
            plan,
            step.origin,
            claim.run.started,
            spared=self._spared(plan, step.origin),
        )
        try:
            with _Pulse(claim, self._clock):
                ended = self._collected(claim, intake)
        except BaseException as error:
            claim.say(self._failed(claim, intake, error))
            if not isinstance(error, Exception | SystemExit | Stopped):
                raise
            ended = claim.run
        else:
            claim.say(ended)
        if claim.lost:
            _log.warning("%s: another process has taken it over, or will", claim)
            return ended
        counts = f"{intake.rows:,} rows, {ended.rejected:,} rejected"
        said = ended.error or (f"{counts}; {ended.note}" if ended.note else counts)
        _log.info("%s: %s: %s", claim, ended.status, said)
        for fault in ended.faults[:5]:
            _log.warning("%s: left out: %s: %s", claim, fault.where, fault.message)
        return ended

    def _collected(self, claim: "_Claim", intake: Intake) -> CollectorRun:
        """The run, carried out. Raises what the collector raises, Stopped, StoreError."""
        step, run = claim.step, claim.run
        collector = step.component
        assert isinstance(collector, Collector)
        for option, name in step.connectors.items():
            connector = getattr(collector, option)
            if not isinstance(connector, Connector):
                continue
            until = time.monotonic() + OPENING_SECONDS
            while connector.opening and time.monotonic() < until and not self._ends(claim):
                time.sleep(_LOOK_AGAIN)
            if connector.trouble:
                raise ConnectorError(f"the connector {name!r}: {connector.trouble}")
        outside = collector.fingerprint()
        if outside and outside == run.outside and run.trigger == "schedule":
            return self._ended(claim, intake, "done", note="nothing has changed there")
        collection = Collection(claim.plan.name, run.started, run.mark, self._catalogs(claim.plan.name))
        for each in drained(collector, collection, self._loop, lambda: self._ends(claim)):
            intake.take(each)
            claim.rows = intake.rows
        intake.flush()
        if not claim.say(replace(claim.run, heartbeat=self._clock(), rows=claim.rows)):
            raise Stopped
        note = intake.remove_missing() if step.replace and not collection.partial else ""
        if not isinstance(collection.mark, str):
            raise TypeError(f"its mark must be a text, not {type(collection.mark).__name__}")
        return self._ended(claim, intake, "done", note=note, mark=collection.mark, outside=outside)

    def _ends(self, claim: "_Claim") -> bool:
        return self._stopped.is_set() or claim.lost

    def _failed(self, claim: "_Claim", intake: Intake, error: BaseException) -> CollectorRun:
        if isinstance(error, Exception) and not claim.lost:
            try:
                intake.flush()  # what came in before stays
            except StoreError as failure:
                _log.warning("%s: what was brought last is not written: %s", claim, failure)
        if isinstance(error, Stopped | KeyboardInterrupt):
            return self._ended(claim, intake, "stopped")
        if not isinstance(error, TastemakerError):
            _log.error("%s failed", claim, exc_info=error)
        return self._ended(claim, intake, "failed", error=reason(error), failures=claim.run.failures + 1)

    def _ended(self, claim: "_Claim", intake: Intake, status: str, **more: Any) -> CollectorRun:
        found, now = intake.report, self._clock()
        counts = {name: getattr(found, name) for name in _COUNTS}
        failures = {"failures": 0} if status == "done" else {}
        return replace(
            claim.run,
            status=status,
            finished=now,
            heartbeat=now,
            rows=intake.rows,
            faults=found.faults[:_MOST_FAULTS],
            **{**counts, **failures, **more},
        )

    def _spared(self, plan: DomainPlan, origin: str) -> Callable[[str], bool]:
        """What must be given back some day replaces nothing that is the user's own, but for a sample."""
        if plan.origins.get(origin, _OWN) == _OWN:
            return lambda other: False
        sample = sample_origin(plan)
        return lambda other: other not in (origin, sample) and plan.origins.get(other, _OWN) == _OWN


_COUNTS = ("written", "unchanged", "removed", "interactions", "duplicates", "rejected")


class _Claim:
    """A run that this process has taken upon itself.

    lost: another process has taken it over, as there was no sign of life. rows: brought so far.
    """

    def __init__(
        self, store: Store, plan: DomainPlan, step: CollectorStep, run: CollectorRun, before: str | None
    ) -> None:
        self.plan, self.step, self.run = plan, step, run
        self.rows, self.lost = 0, False
        self._store, self._text = store, before
        self._key = _key(plan.name, step.name)
        self._lock = threading.Lock()

    def __str__(self) -> str:
        return f"{self.plan.name}: the collector {self.step.name!r}"

    def say(self, run: CollectorRun) -> bool:
        """Write down how the run stands; False where it is another's by now. Raises StoreError."""
        text = json.dumps(run.as_dict())
        with self._lock:
            if self.lost or not self._store.swap_note(self._key, self._text, text):
                self.lost = True
                return False
            self.run, self._text = run, text
            return True

    def give_up(self) -> None:
        """Leave it to whoever comes next: the collector hangs, and the process ends. Raises StoreError."""
        self.say(replace(self.run, status="stopped"))
        self.lost = True


class _Pulse:
    """Gives signs of life of a run while it is carried out."""

    def __init__(self, claim: _Claim, clock: Clock) -> None:
        self._claim, self._clock = claim, clock
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="tastemaker-collect-pulse", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _beat(self) -> None:
        claim = self._claim
        while not self._done.wait(_BEAT_SECONDS):
            try:
                if not claim.say(replace(claim.run, heartbeat=self._clock(), rows=claim.rows)):
                    return
            except StoreError as error:
                _log.warning("%s: no sign of life: %s", claim, error)


def _key(domain: str, name: str) -> str:
    return f"collector {domain} {name}"
