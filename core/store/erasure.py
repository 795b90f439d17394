"""Forgetting a user."""

import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import orjson
from sqlalchemy import Connection, and_, delete, func, or_, select

from ..errors import StoreUnavailable
from .database import WAIT, Database
from .entries import Entry
from .tables import accounts, log, policy_versions, users
from .transaction import Transaction

_LOOK_SECONDS = 600


def erase(transaction: Transaction, user: str) -> dict[str, int]:
    """Delete what names the user and what may have learned from him, and log that somebody was erased, and where.

    Policies learn from slates and interactions of their domain: in other domains, and of numbered versions those from
    before his first entry, nothing has learned from him. Where nothing names him, all stays as it is.
    """
    transaction.lock()
    connection = transaction.connection
    taught = and_(log.c.user == user, log.c.domain != "", log.c.kind.in_(("slate", "interaction")))
    first = select(log.c.domain, func.min(log.c.position)).where(taught).group_by(log.c.domain)
    firsts = {row[0]: int(row[1]) for row in connection.execute(first.order_by(log.c.domain))}
    counts = {
        "profiles": connection.execute(delete(users).where(users.c.id == user)).rowcount,
        "accounts": connection.execute(delete(accounts).where(accounts.c.user == user)).rowcount,
        "entries": connection.execute(delete(log).where(log.c.user == user)).rowcount,
        "versions": 0,
    }
    if not any(counts.values()):
        return counts
    state = policy_versions.c
    for domain, position in firsts.items():
        knows = or_(state.number.is_(None), state.position >= position)
        gone = connection.execute(delete(policy_versions).where(state.domain == domain, knows))
        counts["versions"] += gone.rowcount
    transaction.append([Entry("erasure", uuid4().hex, "", "", orjson.dumps({"domains": list(firsts)}))])
    return counts


def tidy(database: Database, connection: Connection, user: str) -> None:
    """Rewrite what the files of SQLite still hold of the user after `erase`."""
    _empty_journal(database, connection)
    if _left_over(database, user.encode()):
        connection.exec_driver_sql("VACUUM")
        _empty_journal(database, connection)


def _empty_journal(database: Database, connection: Connection) -> None:
    """Move all of the journal into the file; SQLite itself waits for readers, but not for another checkpoint.

    https://www.sqlite.org/c3ref/wal_checkpoint_v2.html
    """
    deadline = time.monotonic() + WAIT
    while connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").scalars().one():
        if time.monotonic() > deadline:
            raise StoreUnavailable(
                f"{database}: erased, but a reader holds on to the journal: erase again later"
            )
        time.sleep(0.01)


def _left_over(database: Database, text: bytes) -> bool:
    """Whether the file still holds `text` where SQLite doesn't use it, see `pages`. Raises StoreUnavailable."""
    program = [sys.executable, "-I", str(Path(__file__).with_name("pages.py")), database.url.database or ""]
    try:
        said = subprocess.run(program, input=text, capture_output=True, check=True, timeout=_LOOK_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        why = f"{database}: erased, but its file can't be looked through for traces ({error}): erase again later"
        raise StoreUnavailable(why) from None
    return said.stdout.strip() == b"True"
