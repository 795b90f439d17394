"""The one thread that writes: it commits what waits together, and tells everyone at once."""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from ..errors import StoreError, StoreUnavailable
from .database import Database
from .entries import Entry, Receipt
from .transaction import Transaction

_GROUP = 1024  # entries committed together, roughly
_ENTRY = 256  # what an entry weighs besides its body, bytes
_FAILED = "it can't be written"

_logger = logging.getLogger(__name__)
_Result = TypeVar("_Result")


@dataclass(slots=True)
class Append:
    """Entries to be appended, all or none, and who waits: a future, or a future of asyncio and its loop."""

    entries: tuple[Entry, ...]
    durable: bool
    future: "Future[list[Receipt]] | asyncio.Future[list[Receipt]]"
    loop: asyncio.AbstractEventLoop | None = None


@dataclass(slots=True)
class Work:
    """Anything else, in a transaction of its own; `after` runs on its connection once that is committed."""

    run: Callable[[Transaction], Any]
    future: "Future[Any]"
    after: Callable[[Connection], None] | None = None


class Writer:
    """A thread, its connection, and the bounded queue before it."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float],
        listeners: Sequence[Callable[[int], None]],
        *,
        limit: int,
    ) -> None:
        """`limit`: how many bytes of entries may wait before more are refused."""
        self._database = database
        self._clock = clock
        self._listeners = listeners
        self._limit = limit
        self._queue: SimpleQueue[list[Append] | Work | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = 0  # bytes, guarded by the lock
        self._closed = False  # guarded by the lock
        self._connection: Connection | None = None
        self._held: list[Work | None] = []  # taken from the queue, to be done next
        self._look_first = False
        self._thread = threading.Thread(target=self._serve, name="tastemaker-writer", daemon=True)
        self._thread.start()

    def submit(self, job: list[Append] | Work) -> None:
        """Queue a job, or several appends; StoreUnavailable when too much waits already, or the store is closed."""
        weight = _weight(job)
        with self._lock:
            if self._closed:
                raise StoreUnavailable(f"{self._database}: the store is closed")
            if self._waiting >= self._limit:
                raise StoreUnavailable(
                    f"{self._database}: {self._waiting:,} bytes wait to be written: try again later"
                )
            self._waiting += weight
            self._queue.put(job)

    def work(
        self, run: Callable[[Transaction], _Result], after: Callable[[Connection], None] | None = None
    ) -> "Future[_Result]":
        """Queue a piece of work."""
        future: Future[_Result] = Future()
        self.submit(Work(run, future, after))
        return future

    def check(self) -> None:
        """Raise StoreUnavailable when nothing can be written any more."""
        if self._closed or not self._thread.is_alive():
            raise StoreUnavailable(f"{self._database}: the store is closed")

    @property
    def is_current_thread(self) -> bool:
        """Whether the caller runs on the writer's thread, which must not wait for itself."""
        return threading.current_thread() is self._thread

    def close(self) -> None:
        """Write what was accepted, then stop."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        if not self.is_current_thread:
            self._thread.join()

    def _serve(self) -> None:
        while (job := self._take()) is not None:
            if isinstance(job, Work):
                self._do(job)
            else:
                self._write(job)
        self._drop()

    def _take(self) -> list[Append] | Work | None:
        """The next piece of work, or as many of the next appends as go into one group; None at the end."""
        job = self._held.pop() if self._held else self._queue.get()
        if not isinstance(job, list):
            return job
        group = list(job)
        size = sum(len(append.entries) for append in group)
        while size < _GROUP:
            try:
                job = self._queue.get_nowait()
            except Empty:
                break
            if not isinstance(job, list):
                self._held.append(job)
                break
            group += job
            size += sum(len(append.entries) for append in job)
        return group

    def _write(self, group: list[Append]) -> None:
        """Commit a group of appends; when one entry in it can't be written, each append on its own."""
        jobs = [job for job in group if _wanted(job)]
        outcomes: list[tuple[Append, list[Receipt] | StoreError]] = []
        end = 0
        try:
            receipts, end = self._append(jobs)
            start = 0
            for job in jobs:
                outcomes.append((job, receipts[start : start + len(job.entries)]))
                start += len(job.entries)
        except StoreError as error:
            if len(jobs) == 1 or isinstance(error, StoreUnavailable):
                outcomes = [(job, type(error)(*error.args)) for job in jobs]
            else:
                for job in jobs:
                    try:
                        receipts, last = self._append([job])
                        outcomes.append((job, receipts))
                        end = max(end, last)
                    except StoreError as own:
                        outcomes.append((job, own))
        self._release(_weight(group))
        _settle(outcomes)
        self._tell(end)

    def _append(self, jobs: list[Append]) -> tuple[list[Receipt], int]:
        entries = [entry for job in jobs for entry in job.entries]
        return self._commit(lambda transaction: transaction.append(entries), any(job.durable for job in jobs))

    def _do(self, job: Work) -> None:
        self._release(_weight(job))
        if not job.future.set_running_or_notify_cancel():
            return
        end = 0
        try:
            result, end = self._commit(job.run, True)
            if job.after and self._connection:
                with self._database.faults("it can't be tidied up"):
                    job.after(self._connection)
        except StoreError as error:
            job.future.set_exception(error)
        else:
            job.future.set_result(result)
        self._tell(end)

    def _commit(self, run: Callable[[Transaction], _Result], durable: bool) -> tuple[_Result, int]:
        """What `run` gives, committed, and the new end of the log (0: as it was); raises StoreError alone.

        A connection that was lost is replaced once: what has been committed without our knowing is not
        written twice, because an entry is known by its kind and id.
        """
        look_first = self._look_first
        replaced = self._connection is None
        while True:
            try:
                if self._connection is None:
                    self._connection = self._database.writer()
                self._database.begin(self._connection, durable=durable)
                transaction = Transaction(self._connection, self._clock, look_first=look_first)
                result = run(transaction)
                self._connection.exec_driver_sql("COMMIT")
            except Exception as error:
                self._abandon()
                if isinstance(error, IntegrityError) and not look_first:
                    look_first = True
                elif isinstance(error, DBAPIError) and error.connection_invalidated and not replaced:
                    replaced = True
                else:
                    raise self._database.fault(error, _FAILED) from error
            else:
                # Duplicates come in rows, when somebody sends everything again.
                self._look_first = transaction.duplicates
                return result, transaction.end

    def _abandon(self) -> None:
        """Roll back, and give up a connection that can't."""
        if self._connection is not None:
            try:
                self._connection.exec_driver_sql("ROLLBACK")
            except SQLAlchemyError:
                # It was lost, or the database has rolled back by itself: a new connection is right for both.
                self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except SQLAlchemyError as error:
                _logger.debug("%s: a lost connection: %s", self._database, error)

    def _release(self, weight: int) -> None:
        with self._lock:
            self._waiting -= weight

    def _tell(self, end: int) -> None:
        if end:
            for listener in tuple(self._listeners):
                try:
                    listener(end)
                except Exception:
                    _logger.exception("%s: a listener failed at position %d", self._database, end)


def _weight(job: list[Append] | Work) -> int:
    if isinstance(job, Work):
        return _ENTRY
    return sum(_ENTRY + len(entry.body) for append in job for entry in append.entries)


def _wanted(job: Append) -> bool:
    """Whether the caller hasn't cancelled; from here on he can't."""
    return not isinstance(job.future, Future) or job.future.set_running_or_notify_cancel()


def _settle(outcomes: list[tuple[Append, list[Receipt] | StoreError]]) -> None:
    """Resolve the futures; those of one event loop with a single wake-up of its thread."""
    batches: dict[asyncio.AbstractEventLoop, list[tuple[Append, list[Receipt] | StoreError]]] = {}
    for job, outcome in outcomes:
        if job.loop is None:
            _resolve([(job, outcome)])
        else:
            batches.setdefault(job.loop, []).append((job, outcome))
    for loop, batch in batches.items():
        try:
            loop.call_soon_threadsafe(_resolve, batch)
        except RuntimeError:
            _logger.debug("an event loop closed before it heard of %d entries", len(batch))


def _resolve(batch: list[tuple[Append, list[Receipt] | StoreError]]) -> None:
    for job, outcome in batch:
        if job.future.done():  # cancelled meanwhile
            continue
        if isinstance(outcome, StoreError):
            job.future.set_exception(outcome)
        else:
            job.future.set_result(outcome)
