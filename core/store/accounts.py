"""Rows of accounts that users have with other services; what they hold is encrypted by who puts it here."""

from collections.abc import Sequence

from sqlalchemy import delete, select

from .database import Database
from .tables import accounts, insert_rows
from .transaction import Transaction
from .versions import Now

_columns = accounts.c


class AccountRows:
    """The accounts of all users, each by user and service."""

    def __init__(self, database: Database, now: Now) -> None:
        self._database, self._now = database, now

    def of(self, user: str) -> list[tuple[str, float]]:
        """The services that a user has an account with, and when each was last put, in order."""
        statement = select(_columns.service, _columns.updated).where(_columns.user == user)
        return [
            (row.service, row.updated) for row in self._database.all(statement.order_by(_columns.service))
        ]

    def one(self, user: str, service: str) -> bytes | None:
        """What was put; None where there is nothing."""
        statement = select(_columns.body).where(_columns.user == user, _columns.service == service)
        row = self._database.first(statement)
        return None if row is None else bytes(row.body)

    def all(self) -> Sequence[tuple[str, str]]:
        """User and service of every account."""
        statement = select(_columns.user, _columns.service).order_by(_columns.user, _columns.service)
        return [(row.user, row.service) for row in self._database.all(statement)]

    def put(self, user: str, service: str, body: bytes, *, instead_of: bytes | None = None) -> None:
        """Keep a body, in place of what was there; with `instead_of` only where it was that."""

        def write(transaction: Transaction) -> None:
            transaction.lock()  # two writers of the same rows must not wait for each other
            here = (_columns.user == user, _columns.service == service)
            now = transaction.connection.execute(select(_columns.body).where(*here)).scalar()
            if instead_of is not None and (now is None or bytes(now) != instead_of):
                return
            row = (user, service, body, transaction.now())
            insert_rows(transaction.connection, accounts, [row], replace=("body", "updated"))

        self._now(write)

    def remove(self, user: str, service: str | None = None, *, only: bytes | None = None) -> int:
        """Forget the account with a service, or all of a user's; how many that were. `only`: where it holds that."""
        statement = delete(accounts).where(_columns.user == user)
        if service is not None:
            statement = statement.where(_columns.service == service)
        if only is not None:
            statement = statement.where(_columns.body == only)
        return int(self._now(lambda transaction: transaction.connection.execute(statement).rowcount))
