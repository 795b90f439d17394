"""Training runs: what was trained on what, and what came of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import orjson
from sqlalchemy import Connection, and_, delete, select, update

from ..errors import Conflict
from .database import Database
from .entries import NewVersion, Switch
from .tables import insert_rows, training_runs
from .transaction import Transaction
from .versions import Now, add_version, card, overtaken, switch_version

LOST_AFTER = 60.0
"""Seconds without a sign of life after which a run counts as lost."""
_KEPT = 1_000
"""Runs of a domain that are remembered."""

_columns = training_runs.c
_DOCUMENTS = ("options", "statistics", "estimates")


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """One training of one policy.

    status: running, done, refused (there was nothing to learn from), failed or lost (no sign of life).
    trigger: what asked for it: cli, api, or a schedule's name. promote: gate or never.
    since, until: the log positions of the span, of which the first is not in it; since_time and until_time those of
    its ends, None where the log is the end. rows: outcomes; users: how many people they are of. reward: what a shown
    or touched item earned on average; like_rate: the share of those that earned more than 0.
    options: of the policy; statistics: what it says of itself; estimates: the comparison with the live state.
    version: the number under which the result is kept. outcome: what became of it, in words.
    """

    id: str
    domain: str
    policy: str
    status: str
    trigger: str
    promote: str
    started: float
    finished: float | None
    heartbeat: float
    progress: float
    since: int
    until: int
    since_time: float | None
    until_time: float | None
    rows: int = 0
    users: int = 0
    reward: float | None = None
    like_rate: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    statistics: Mapping[str, float] = field(default_factory=dict)
    estimates: Mapping[str, Any] = field(default_factory=dict)
    version: int | None = None
    outcome: str = ""
    error: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Result:
    """What a training run gives back: a state to be kept, and whether it goes live.

    live: the state that is live now, to be kept for a return. after: the policy's last switch when that was decided;
    where another has come since, the version is kept, but not promoted.
    """

    version: NewVersion
    keep: int
    promote: bool = False
    live: NewVersion | None = None
    after: Switch | None = None


class Runs:
    """The training runs of all domains."""

    def __init__(self, database: Database, now: Now, clock: Callable[[], float]) -> None:
        self._database, self._now, self._clock = database, now, clock

    def all(self, domain: str | None = None, *, limit: int = 100) -> list[TrainingRun]:
        """Runs, newest first."""
        statement = select(training_runs).order_by(_columns.started.desc(), _columns.id).limit(limit)
        if domain is not None:
            statement = statement.where(_columns.domain == domain)
        return [self._run(row) for row in self._database.all(statement)]

    def one(self, id: str) -> TrainingRun | None:
        """One run; None where there is none."""
        row = self._database.first(select(training_runs).where(_columns.id == id))
        return None if row is None else self._run(row)

    def open(self, runs: Sequence[TrainingRun]) -> None:
        """Begin runs, all or none. Raises Conflict where one of a policy is under way."""

        def write(transaction: Transaction) -> Conflict | None:
            transaction.lock()  # of two that ask at once, one is first
            connection = transaction.connection
            alive = transaction.now() - LOST_AFTER
            for run in runs:
                here = and_(
                    _columns.domain == run.domain,
                    _columns.policy == run.policy,
                    _columns.status == "running",
                )
                other = connection.execute(select(training_runs).where(here, _columns.heartbeat >= alive))
                if (row := other.first()) is not None:
                    return Conflict(
                        f"{run.domain}.{run.policy} is being trained by run {row.id} ({row.progress:.0%}): "
                        "wait until it is done"
                    )
            for run in runs:
                _bury(connection, run, alive)
            insert_rows(connection, training_runs, [_row(run) for run in runs])
            return None

        if (refusal := self._now(write)) is not None:
            raise refusal

    def beat(self, progress: Mapping[str, float]) -> bool:
        """A sign of life of runs, by id how far each is from 0 to 1; whether all of them still are under way."""

        def write(transaction: Transaction) -> int:
            changed = 0
            for identity, done in progress.items():
                values = {"heartbeat": transaction.now(), "progress": done}
                running = and_(_columns.id == identity, _columns.status == "running")
                changed += transaction.connection.execute(
                    update(training_runs).where(running).values(values)
                ).rowcount
            return changed

        return bool(self._now(write) == len(progress))

    def finish(self, run: TrainingRun, result: Result | None = None) -> TrainingRun:
        """Write down how a run ended, and keep, and promote, its result: all of it or nothing.

        Raises Conflict where the run isn't under way any more, or a user was erased meanwhile.
        """

        def write(transaction: Transaction) -> TrainingRun | Conflict:
            transaction.lock()
            connection = transaction.connection
            here = and_(_columns.id == run.id, _columns.status == "running")
            if connection.execute(select(_columns.id).where(here)).first() is None:
                return Conflict(f"the training run {run.id} was given up for lost, or ended: start it again")
            finished = replace(run, finished=transaction.now(), heartbeat=transaction.now(), progress=1.0)
            if result is not None:
                number = add_version(transaction, result.version, result.keep)
                if isinstance(number, Conflict):
                    return number
                finished = replace(finished, version=number)
                made = card(transaction, run.domain, run.policy, number)
                if result.promote and overtaken(transaction, made, result.after):
                    finished = replace(finished, outcome="kept: another version was promoted meanwhile")
                elif result.promote:
                    switch = switch_version(transaction, made, result.live, result.keep, result.after)
                    assert not isinstance(switch, Conflict), "both states were seen to be clean"
            values = dict(zip([column.name for column in training_runs.columns], _row(finished), strict=True))
            connection.execute(update(training_runs).where(here).values(values))
            return finished

        written = self._now(write)
        if isinstance(written, Conflict):
            raise written
        return written  # type: ignore[no-any-return]

    def give_up(self, id: str, error: str) -> None:
        """Write down that a run has failed, unless it has ended by itself."""

        def write(transaction: Transaction) -> None:
            now = transaction.now()
            running = and_(_columns.id == id, _columns.status == "running")
            values = {"status": "failed", "error": error, "finished": now}
            transaction.connection.execute(update(training_runs).where(running).values(values))

        self._now(write)

    def _run(self, row: Any) -> TrainingRun:
        values = dict(row._mapping)
        values.update((name, orjson.loads(values[name])) for name in _DOCUMENTS)
        run = TrainingRun(**values)
        if run.status == "running" and run.heartbeat < self._clock() - LOST_AFTER:
            return replace(run, status="lost", error=_LOST)
        return run


_LOST = "no sign of life for a minute: its process has ended; start it again"


def _row(run: TrainingRun) -> tuple[Any, ...]:
    values = {each.name: getattr(run, each.name) for each in fields(run)}
    # The estimates may hold numpy's numbers, and NaN where there is no value.
    option = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
    values.update((name, orjson.dumps(values[name], option=option).decode()) for name in _DOCUMENTS)
    return tuple(values[column.name] for column in training_runs.columns)


def _bury(connection: Connection, run: TrainingRun, alive: float) -> None:
    """Write down which runs of a policy were lost, and forget those of long ago."""
    here = and_(_columns.domain == run.domain, _columns.policy == run.policy, _columns.status == "running")
    lost = update(training_runs).where(here, _columns.heartbeat < alive)
    connection.execute(lost.values(status="lost", error=_LOST))
    old = select(_columns.id).where(_columns.domain == run.domain, _columns.status != "running")
    old = old.order_by(_columns.started.desc()).offset(_KEPT)
    if ids := connection.execute(old.limit(500)).scalars().all():
        connection.execute(delete(training_runs).where(_columns.id.in_(ids)))
