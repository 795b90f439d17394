"""What a server does by itself, and when: by cron expressions in UTC, once among all processes."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cronsim import CronSim

from ..clock import Clock
from ..components import only_tunes
from ..config import DomainPlan
from ..errors import Conflict, TastemakerError
from ..stock.expiry import look_seconds
from ..store import Store

_log = logging.getLogger("tastemaker.schedules")

_LOOK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Job:
    """One thing that is done by itself.

    name: of the schedule, such as `rankers`. action: such as `train`. policies, since: what is trained, and on how
    much of the log.
    """

    domain: str
    name: str
    cron: str
    action: str
    policies: Sequence[str] = ()
    since: str | None = None

    def last(self, now: float) -> float:
        """The last time, up to now, at which this was due, in seconds since the epoch."""
        # The minute of `now` itself counts, and the search goes back from before its start.
        start = datetime.fromtimestamp(now // 60 * 60 + 60, UTC)
        return next(CronSim(self.cron, start, reverse=True)).timestamp()

    def next(self, now: float) -> float:
        """The first time after now at which this is due."""
        return next(CronSim(self.cron, datetime.fromtimestamp(now, UTC))).timestamp()


Action = Callable[[Job], None]
"""Does what a job asks for, or begins it."""


def jobs(plan: DomainPlan) -> list[Job]:
    """What a domain's schedules come to; those that are switched off, or have nothing to do, are left out."""
    schedules = plan.learning.schedules
    tuners = [step.name for step in plan.policies if only_tunes(type(step.component))]
    rankers = [step.name for step in plan.policies if step.name not in tuners]
    found = []
    if schedules.tuners.enabled and tuners:
        each = schedules.tuners
        found.append(Job(plan.name, "tuners", each.cron, "train", tuners, each.since))
    if schedules.rankers.enabled and rankers:
        each_ranker = schedules.rankers
        found.append(Job(plan.name, "rankers", each_ranker.cron, "train", rankers, each_ranker.since))
    if (seconds := look_seconds(plan)) is not None:
        found.append(Job(plan.name, "terms", "*/5 * * * *" if seconds < 3600 else "0 * * * *", "expire"))
    if schedules.monitoring.enabled:
        found.append(Job(plan.name, "monitoring", schedules.monitoring.cron, "monitor"))
    return found


class Scheduler:
    """Looks at the clock, and does what is due.

    actions: by name; jobs whose action isn't there are left out. Of all processes on a store the one that claims a due
    time first does it. What was missed while no process ran is done once, however often it was due; what a store sees
    for the first time is not due before its next time. also: what else is looked at each time.
    """

    def __init__(
        self,
        store: Store,
        plans: Mapping[str, DomainPlan],
        clock: Clock,
        actions: Mapping[str, Action],
        also: Callable[[], object] | None = None,
    ) -> None:
        self._store, self._clock, self._actions = store, clock, actions
        self.jobs = [job for plan in plans.values() for job in jobs(plan) if job.action in actions]
        self._also = also
        self._seen = False
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def look(self) -> list[Job]:
        """Do what is due now; what this process did. Raises StoreError."""
        now = self._clock()
        done = []
        if self._also is not None:
            self._also()
        for job in self.jobs:
            due = job.last(now)
            key = f"schedule {job.domain} {job.name}"
            claimed = self._store.note(key)
            if claimed is None and not self._seen:
                self._store.claim(key, due)  # from now on
            elif (claimed is None or float(claimed) < due) and self._store.claim(key, due):
                self._do(job)
                done.append(job)
        self._seen = True
        return done

    def start(self) -> None:
        """Look at the clock in a thread of its own until `stop`."""
        if self.jobs or self._also is not None:
            self._thread = threading.Thread(target=self._follow, name="tastemaker-schedules", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(_LOOK_SECONDS)
            self._thread = None

    def _do(self, job: Job) -> None:
        _log.info("%s: %s is due", job.domain, job.name)
        try:
            self._actions[job.action](job)
        except Conflict as error:
            _log.warning("%s: %s is left out this time: %s", job.domain, job.name, error)
        except Exception:
            _log.exception("%s: %s failed", job.domain, job.name)

    def _follow(self) -> None:
        while True:
            try:
                self.look()
            except TastemakerError as error:
                _log.warning("schedules wait: %s", error)
            except Exception:
                _log.exception("schedules failed; they try again")
            if self._stopped.wait(_LOOK_SECONDS):
                return
