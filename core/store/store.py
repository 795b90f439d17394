"""The durable store: an append-only log, and the users, items, vectors and policy versions beside it."""

import asyncio
import bisect
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar
from uuid import uuid4

import numpy as np
import orjson
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Select, delete, func, select, tuple_

from ..errors import StoreError, StoreUnavailable
from .accounts import AccountRows
from .ages import Ages
from .database import Database
from .entries import Checkpoint, Entry, Receipt
from .erasure import erase, tidy
from .runs import Runs
from .tables import chunks, insert_rows, items, log, log_end, notes, users, vectors
from .transaction import Transaction
from .versions import Versions, keep_version, newest_version
from .writer import Append, Writer

_PAGE = 2000  # rows read at once where all of them are wanted
_VECTORS = 2048  # vectors read or written at once
_NAME = 1000  # bytes; PostgreSQL's index entries end at 2,704, and the longest has two such names
_LIMIT = 64 << 20  # bytes of entries that may wait to be written

_Result = TypeVar("_Result")

_ENTRIES = select(log.c.kind, log.c.id, log.c.domain, log.c.user, log.c.body, log.c.time, log.c.position)


class Store:
    """The store at a URL, for any number of threads here and of processes elsewhere.

    Everything that writes goes through one thread, in the order of the calls. What fails raises StoreError,
    or its kind StoreUnavailable when the same call may succeed later; where a future is given, the future
    raises it.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] = time.time, limit: int = _LIMIT) -> None:
        """Open the database and bring its schema up to date.

        `url`: sqlite:///tastemaker.db or postgresql+psycopg://…; `clock` gives seconds since the epoch;
        `limit`: bytes of entries that may wait to be written, before more are refused.
        """
        self._database = Database(url)
        self._clock = clock
        # Called on the writer's thread after each commit of this process, with the new last position.
        self.listeners: list[Callable[[int], None]] = []
        # What was appended in the current turn of each event loop.
        self._turns: dict[asyncio.AbstractEventLoop, list[Append]] = {}
        self._writer = Writer(self._database, clock, self.listeners, limit=limit)
        self.versions = Versions(self._database, self._now)
        self.runs = Runs(self._database, self._now, clock)
        self.accounts = AccountRows(self._database, self._now)
        self.ages = Ages(self._database, self._now)

    def __repr__(self) -> str:
        return f"Store({str(self._database)!r})"

    def append(self, entries: Sequence[Entry], *, durable: bool = True) -> Future[list[Receipt]]:
        """Append all `entries` or none; a receipt for each once they are readable, and on disk if `durable`.

        Raises StoreUnavailable at once when too much waits already.
        """
        future: Future[list[Receipt]] = Future()
        if check_entries(entries):
            self._writer.submit([Append(tuple(entries), durable, future)])
        else:
            future.set_result([])
        return future

    def append_soon(
        self, entries: Sequence[Entry], durable: bool, loop: asyncio.AbstractEventLoop
    ) -> asyncio.Future[list[Receipt]]:
        """As `append`, for a caller on the thread of `loop`; the future raises StoreUnavailable, too.

        What comes in one turn of the loop is handed over together: waking the writer costs more than writing.
        """
        future: asyncio.Future[list[Receipt]] = loop.create_future()
        if not check_entries(entries):
            future.set_result([])
            return future
        job = Append(tuple(entries), durable, future, loop)
        turn = self._turns.get(loop)
        if turn is None:
            self._turns[loop] = [job]
            loop.call_soon(self._end_turn, loop)
        else:
            turn.append(job)
        return future

    def _end_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        jobs = self._turns.pop(loop)
        try:
            self._writer.submit(jobs)
        except StoreUnavailable as refusal:
            for job in jobs:
                if not job.future.done():
                    job.future.set_exception(StoreUnavailable(*refusal.args))

    def tick(self, quiet: float) -> Future[bool]:
        """Append a "tick" if the newest entry is older than `quiet` seconds; whether it was appended.

        Of several processes that do so at once, one appends. An empty log stays empty.
        """

        def write(transaction: Transaction) -> bool:
            # A look without the lock first: mostly there is nothing to do.
            last = transaction.connection.execute(select(log_end.c.time)).scalar_one()
            if transaction.now() - last < quiet:
                return False
            position, last = transaction.lock()
            if position == 0 or transaction.now() - last < quiet:
                return False
            transaction.append([Entry("tick", uuid4().hex, "", "", b"{}")])
            return True

        return self._writer.work(write)

    def end(self) -> int:
        """The last committed position, 0 for an empty log."""
        row = self._database.first(select(log_end.c.position))
        return int(row.position) if row else 0

    def read(self, after: int, *, limit: int = 2000, until: int | None = None) -> list[Entry]:
        """The entries above the position `after`, up to and including `until`, in order; `limit` at most."""
        statement = _ENTRIES.where(log.c.position > after).order_by(log.c.position).limit(limit)
        if until is not None:
            statement = statement.where(log.c.position <= until)
        return self._entries(statement)

    def position_at(self, time: float) -> int:
        """The last position before all entries of a time or later; times never decrease along the log."""
        return bisect.bisect_left(range(self.end()), time, key=self._time_after)

    def _time_after(self, position: int) -> float:
        entries = self.read(position, limit=1)
        return entries[0].time if entries else float("inf")

    def entries_of(self, kinds: Sequence[str], *, until: int) -> list[Entry]:
        """All entries of kinds that are rare, up to and including a position, in order."""
        statement = _ENTRIES.where(log.c.kind.in_(kinds), log.c.position <= until).order_by(log.c.position)
        return self._entries(statement)

    def nth(self, kind: str, domain: str, number: int, *, after: int, until: int) -> int | None:
        """The position of the nth (from 0) entry of a kind and domain above `after`, not above `until`."""
        statement = select(log.c.position).where(*_within(kind, domain, after, until))
        row = self._database.first(statement.order_by(log.c.position).offset(number).limit(1))
        return None if row is None else int(row.position)

    def count(self, kind: str, domain: str, *, after: int, until: int) -> int:
        """How many entries of a kind and domain stand above `after`, and not above `until`."""
        row = self._database.first(
            select(func.count()).select_from(log).where(*_within(kind, domain, after, until))
        )
        return int(row[0]) if row else 0

    def entry(self, kind: str, id: str) -> Entry | None:
        """The entry of that kind and id."""
        found = self._entries(_ENTRIES.where(log.c.kind == kind, log.c.id == id))
        return found[0] if found else None

    def history(
        self,
        user: str,
        *,
        domain: str | None = None,
        kinds: Sequence[str] = ("interaction",),
        before: int | None = None,
        up_to: int | None = None,
        limit: int = 500,
    ) -> list[Entry]:
        """A user's entries, newest first; below the position `before`, and not above `up_to`."""
        statement = _ENTRIES.where(log.c.user == user, log.c.kind.in_(kinds))
        if domain is not None:
            statement = statement.where(log.c.domain == domain)
        if before is not None:
            statement = statement.where(log.c.position < before)
        if up_to is not None:
            statement = statement.where(log.c.position <= up_to)
        return self._entries(statement.order_by(log.c.position.desc()).limit(limit))

    def profile(self, user: str) -> bytes | None:
        """A user's profile, as it was put."""
        row = self._database.first(select(users.c.profile).where(users.c.id == user))
        return None if row is None else bytes(row.profile)

    def put_profile(self, user: str, profile: bytes) -> Future[None]:
        """Keep a user's profile, in place of what was kept; a "profile" entry tells the other processes."""
        _name(user, "a user")
        return self._writer.work(lambda transaction: _keep_profile(transaction, user, profile))

    def swap_profile(self, user: str, before: bytes | None, profile: bytes) -> Future[bool]:
        """The same, but only where `before` is what is kept now, None for nothing; whether it was."""
        _name(user, "a user")

        def write(transaction: Transaction) -> bool:
            transaction.lock()
            kept: Any = transaction.connection.execute(
                select(users.c.profile).where(users.c.id == user)
            ).first()
            if (None if kept is None else bytes(kept.profile)) != before:
                return False
            _keep_profile(transaction, user, profile)
            return True

        return self._writer.work(write)

    def erase(self, user: str) -> Future[dict[str, int]]:
        """Forget a user: profile, accounts, the entries in the log, and every policy state that may hold traces.

        Those are, of each domain in which he has slates or interactions, the checkpoints, and the numbered
        versions from his first one on. Gives how many of each went: {"profiles", "accounts", "entries", "versions"}.
        An "erasure" entry that names nobody, but these domains, is appended. On SQLite what was deleted is
        overwritten, and the user's id is nowhere in the files; on PostgreSQL dead rows remain until they are
        vacuumed. Safe to repeat.
        """
        _name(user, "a user")
        database = self._database
        return self._writer.work(
            lambda transaction: erase(transaction, user),
            (lambda connection: tidy(database, connection, user)) if database.sqlite else None,
        )

    def put_items(self, domain: str, changes: Sequence[tuple[str, bytes | None]]) -> Future[Receipt]:
        """Insert, replace or (None) delete items, all or none; of several changes to one the last counts.

        The receipt is that of the "items" entry that announces them. Vectors of deleted items go too. The origin of
        an item is what its body, a JSON object, has under that name.
        """
        _name(domain, "a domain")
        for name, _ in changes:
            _name(name, "an item")
        last = dict(changes)
        origins = {name: _origin(body) for name, body in last.items()}

        def write(transaction: Transaction) -> Receipt:
            count = orjson.dumps({"count": len(last)})
            (receipt,) = transaction.append([Entry("items", uuid4().hex, domain, "", count)])
            now = transaction.now()
            rows = [(domain, name, body, receipt.position, origins[name], now) for name, body in last.items()]
            insert_rows(
                transaction.connection, items, rows, replace=("body", "changed", "origin", "refreshed")
            )
            for gone in chunks([name for name, body in last.items() if body is None]):
                old = delete(vectors).where(vectors.c.domain == domain, vectors.c.id.in_(gone))
                transaction.connection.execute(old)
            return receipt

        return self._writer.work(write)

    def items(
        self, domain: str, *, after: int = -1, until: int | None = None
    ) -> Iterator[tuple[str, bytes | None, int]]:
        """The items that last changed above the position `after`, up to and including `until`.

        As (id, body, changed), body None when deleted, in the order of (changed, id). Read page by page: an
        item that changes on the way comes at its new place, or not at all beyond `until`.
        """
        place = tuple_(items.c.changed, items.c.id)
        columns = select(items.c.id, items.c.body, items.c.changed).where(items.c.domain == domain)
        if until is not None:
            columns = columns.where(items.c.changed <= until)
        columns = columns.order_by(items.c.changed, items.c.id).limit(_PAGE)
        statement = columns.where(items.c.changed > after)
        while rows := self._database.all(statement):
            yield from map(tuple, rows)
            if len(rows) < _PAGE:
                return
            statement = columns.where(place > tuple_(rows[-1].changed, rows[-1].id))

    def item(self, domain: str, id: str) -> bytes | None:
        """One item; None when there is none, or not any more."""
        row = self._database.first(select(items.c.body).where(items.c.domain == domain, items.c.id == id))
        return None if row is None or row.body is None else bytes(row.body)

    def bodies(self, domain: str, ids: Sequence[str]) -> dict[str, bytes]:
        """Those of some items that are there."""
        found: dict[str, bytes] = {}
        for chunk in chunks(ids):
            here = (items.c.domain == domain, items.c.id.in_(chunk), items.c.body.is_not(None))
            rows = self._database.all(select(items.c.id, items.c.body).where(*here))
            found.update((row.id, bytes(row.body)) for row in rows)
        return found

    def count_items(self, domain: str) -> int:
        """How many items a domain has."""
        statement = select(func.count()).where(items.c.domain == domain, items.c.body.is_not(None))
        row = self._database.first(statement)
        return int(row[0]) if row else 0

    def vectors(
        self, domain: str, model: str, version: str
    ) -> Iterator[tuple[list[str], list[str], NDArray[np.float32]]]:
        """What a model of that version made of items: chunks of n ids, n digests, (n, d) float32, by id."""
        columns = select(vectors.c.id, vectors.c.digest, vectors.c.vector).where(
            vectors.c.domain == domain, vectors.c.model == model, vectors.c.version == version
        )
        columns = columns.order_by(vectors.c.id).limit(_VECTORS)
        statement = columns
        while rows := self._database.all(statement):
            sizes = {len(row.vector) for row in rows}
            if len(sizes) > 1 or sizes.pop() % 4:
                raise StoreError(
                    f"{self._database}: vectors of {model} {version} in {domain} differ in length"
                )
            joined = np.frombuffer(b"".join(row.vector for row in rows), dtype="<f4")
            matrix = joined.reshape(len(rows), -1).astype(np.float32, copy=False)
            yield [row.id for row in rows], [row.digest for row in rows], matrix
            statement = columns.where(vectors.c.id > rows[-1].id)

    def put_vectors(
        self,
        domain: str,
        model: str,
        version: str,
        ids: Sequence[str],
        digests: Sequence[str],
        matrix: NDArray[np.float32],
    ) -> None:
        """Keep what a model made of items, in place of what any version of it made before; `matrix`: (n, d).

        Written piece by piece: when it fails, some may have been kept. No id may come twice.
        """
        if matrix.ndim != 2 or not len(ids) == len(digests) == len(matrix):
            shape = f"{len(ids)} ids, {len(digests)} digests, a matrix of {matrix.shape}"
            raise StoreError(f"vectors need n ids, n digests and a matrix (n, d); these are {shape}")
        if len(set(ids)) < len(ids):
            raise StoreError("vectors need every id once")
        for name, what in ((domain, "a domain"), (model, "a model"), *((name, "an item") for name in ids)):
            _name(name, what)
        for start in range(0, len(ids), _VECTORS):
            some = slice(start, start + _VECTORS)
            part = np.ascontiguousarray(matrix[some], dtype="<f4")
            rows = [
                (domain, name, model, version, digest, vector.tobytes())
                for name, digest, vector in zip(ids[some], digests[some], part, strict=True)
            ]
            self._now(partial(_replace_vectors, rows))

    def note(self, key: str) -> str | None:
        """A note of the platform's own, such as what was collected last; None where there is none."""
        row = self._database.first(select(notes.c.value).where(notes.c.key == key))
        return None if row is None else str(row.value)

    def put_note(self, key: str, value: str) -> None:
        """Keep a note, in place of what was kept."""
        _name(key, "a note")
        self._now(
            lambda transaction: insert_rows(transaction.connection, notes, [(key, value)], replace=("value",))
        )

    def swap_note(self, key: str, old: str | None, new: str) -> bool:
        """Keep a note in place of the one that it was; False where it is another by now. None: there was none."""
        _name(key, "a note")

        def write(transaction: Transaction) -> bool:
            transaction.lock()
            before = select(notes.c.value).where(notes.c.key == key)
            if transaction.connection.execute(before).scalar() != old:
                return False
            insert_rows(transaction.connection, notes, [(key, new)], replace=("value",))
            return True

        return self._now(write)

    def claim(self, key: str, due: float) -> bool:
        """Take what is due at a time upon this process: True for one process only, and for each time once.

        What was due before the newest time that was claimed counts as claimed, too.
        """
        _name(key, "a claim")

        def write(transaction: Transaction) -> bool:
            transaction.lock()
            before = select(notes.c.value).where(notes.c.key == key)
            last = transaction.connection.execute(before).scalar()
            if last is not None and float(last) >= due:
                return False
            insert_rows(transaction.connection, notes, [(key, repr(due))], replace=("value",))
            return True

        return self._now(write)

    def checkpoint(
        self, domain: str, policy: str, config_digest: str, position: int, state: bytes, *, keep: int = 3
    ) -> None:
        """Keep a policy's state at a position; of this policy and configuration the newest `keep` stay.

        The same call again changes nothing.
        """
        place = (domain, policy, config_digest)
        self._now(lambda transaction: keep_version(transaction, place, Checkpoint(position, state), keep))

    def latest_checkpoint(self, domain: str, policy: str, config_digest: str) -> Checkpoint | None:
        """The newest kept state that is whole, of this policy and configuration."""
        return newest_version(self._database, (domain, policy, config_digest))

    def ping(self) -> None:
        """Raise StoreUnavailable when the store can't be read or written."""
        self._writer.check()
        self._database.first(select(log_end.c.position))

    def close(self) -> None:
        """Write what was accepted, refuse the rest, and let go of the database. Safe to repeat."""
        self._writer.close()
        self._database.close()

    def _entries(self, statement: Select[tuple[str, str, str, str, bytes, float, int]]) -> list[Entry]:
        return [Entry(*row) for row in self._database.all(statement)]

    def _now(self, run: Callable[[Transaction], _Result]) -> _Result:
        """Run a piece of work and wait for it."""
        if self._writer.is_current_thread:
            raise StoreError(
                "a listener of the store runs on the thread that writes: it can't wait for a write"
            )
        return self._writer.work(run).result()


def _origin(body: bytes | None) -> str:
    """Where an item comes from, by its body."""
    try:
        origin = orjson.loads(body or b"null")["origin"]
    except (ValueError, KeyError, TypeError):
        return ""
    return origin if isinstance(origin, str) else ""


def _within(kind: str, domain: str, after: int, until: int) -> tuple[ColumnElement[bool], ...]:
    return (log.c.kind == kind, log.c.domain == domain, log.c.position > after, log.c.position <= until)


def _keep_profile(transaction: Transaction, user: str, profile: bytes) -> None:
    now = transaction.now()
    transaction.append([Entry("profile", uuid4().hex, "", user, b"{}")])
    insert_rows(transaction.connection, users, [(user, profile, now, now)], replace=("profile", "updated"))


def _replace_vectors(rows: Sequence[tuple[object, ...]], transaction: Transaction) -> None:
    transaction.lock()  # two writers of the same rows must not wait for each other
    insert_rows(transaction.connection, vectors, rows, replace=("version", "digest", "vector"))


def check_entries(entries: Sequence[Entry]) -> int:
    """How many entries. Raises StoreError for one that not every database could keep."""
    for entry in entries:
        if not entry.kind or not entry.id:
            raise StoreError("an entry of the log needs a kind and an id")
        if not isinstance(entry.body, bytes):
            raise StoreError(f"the body of a log entry is bytes, not {type(entry.body).__name__}")
        for name in (entry.kind, entry.id, entry.domain, entry.user):
            if len(name) > _NAME or not name.isascii() or "\0" in name:
                _name(name, "an entry of the log", empty=True)
    return len(entries)


def _name(name: str, what: str, *, empty: bool = False) -> None:
    """Refuse a name that not every database could keep."""
    if not name and not empty:
        raise StoreError(f"the name of {what} is empty")
    try:
        size = len(name.encode())
    except UnicodeEncodeError as error:
        raise StoreError(f"{name!r}: the name of {what} is no valid Unicode") from error
    if size > _NAME:
        raise StoreError(f"'{name[:40]}…': the name of {what} has {size:,} bytes; {_NAME:,} at most are kept")
    if "\0" in name:
        raise StoreError(f"{name!r}: the name of {what} has a NUL in it")
