"""The saved states of policies: checkpoints, which come and go, and numbered versions, which are kept."""

from collections.abc import Callable, Collection
from dataclasses import replace
from hashlib import sha256
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, and_, delete, func, select

from ..errors import Conflict
from .database import Database
from .entries import Checkpoint, Entry, NewVersion, Switch, Version
from .tables import insert_rows, log, notes, policy_versions
from .transaction import Transaction

Place = tuple[str, str, str]  # domain, policy, digest of the configuration
Now = Callable[[Callable[[Transaction], Any]], Any]
"""Runs a piece of work on the writer's thread and waits for it."""

_columns = policy_versions.c
_CARD = select(
    _columns.domain,
    _columns.policy,
    _columns.number,
    _columns.config_digest,
    _columns.position,
    _columns.created,
    _columns.checksum,
    func.length(_columns.state),
    _columns.origin,
    _columns.run,
    _columns.note,
).where(_columns.number.is_not(None))
_SWITCHES = select(log.c.kind, log.c.id, log.c.domain, log.c.user, log.c.body, log.c.time, log.c.position)
_SAVED = 4
"""How many times as many saved versions are kept as such that came by themselves."""
ERASED = "a user was erased after this state had learned: it may hold traces of him; do it again"


class Versions:
    """The kept versions of all policies."""

    def __init__(self, database: Database, now: Now) -> None:
        self._database, self._now = database, now

    def all(self, domain: str, policy: str | None = None) -> list[Version]:
        """The kept versions of a domain, or of one policy of it, newest first."""
        statement = _CARD.where(_columns.domain == domain)
        if policy is not None:
            statement = statement.where(_columns.policy == policy)
        rows = self._database.all(statement.order_by(_columns.policy, _columns.number.desc()))
        return [Version(*row) for row in rows]

    def one(self, domain: str, policy: str, number: int) -> Version | None:
        """One version; None where there is none, or not any more."""
        row = self._database.first(_CARD.where(_numbered(domain, policy), _columns.number == number))
        return None if row is None else Version(*row)

    def state(self, version: Version | Switch) -> bytes | None:
        """The state of a version; None where it is gone, damaged, or not the one that is meant."""
        statement = select(_columns.config_digest, _columns.position, _columns.state).where(
            _numbered(version.domain, version.policy), _columns.number == version.number
        )
        found = self._database.first(statement)
        if found is None or found.config_digest != version.digest:
            return None
        checkpoint = Checkpoint(int(found.position), bytes(found.state))
        place = (version.domain, version.policy, version.digest)
        return checkpoint.state if version.checksum == _checksum(place, checkpoint) else None

    def switches(self, domain: str) -> dict[tuple[str, str], Switch]:
        """By policy and configuration the last switch to a version that is still there: that one is active."""
        cards = {(card.policy, card.number): card.checksum for card in self.all(domain)}
        rows = self._database.all(_SWITCHES.where(log.c.kind == "version", log.c.domain == domain))
        return _last(rows, cards)

    def add(self, version: NewVersion, *, keep: int) -> int:
        """Keep a state under the next number, which it gives, and push the oldest out.

        The `keep` newest stay of those that came by themselves, and four times as many of those that somebody saved;
        beside them the active one, and what a rollback would return to. Raises Conflict where a user was erased since
        the state was made.
        """
        number: int = _right(self._now(lambda transaction: add_version(transaction, version, keep)))
        return number

    def newest_switch(self, domain: str, policy: str, digest: str | None = None) -> Switch | None:
        """The last switch of a policy, whether or not its version is still there; with a digest, of that one."""
        rows = self._database.all(_SWITCHES.where(log.c.kind == "version", log.c.domain == domain))
        found = [each for each in _switches(rows) if each.policy == policy and digest in (None, each.digest)]
        return found[0] if found else None

    def switch(
        self, version: Version, live: NewVersion | None, *, keep: int, after: Switch | None = None
    ) -> Switch:
        """Write down that a policy becomes a version. live: what it is now, to be kept for a return.

        after: the policy's last switch when that was decided. Raises Conflict where there was another since then, the
        version is gone, or a user was erased since `live` was made.
        """
        switch: Switch = _right(
            self._now(lambda transaction: switch_version(transaction, version, live, keep, after))
        )
        return switch


def add_version(
    transaction: Transaction, version: NewVersion, keep: int, spare: Collection[int] = ()
) -> int | Conflict:
    """Within a transaction that may do more; the refusal comes as a value, and then nothing is written.

    spare: further numbers that stay.
    """
    transaction.lock()
    connection = transaction.connection
    if erased_after(connection, version.domain, version.clean):
        return Conflict(ERASED)
    number = _next_number(connection, version.domain, version.policy)
    place = (version.domain, version.policy, version.digest)
    checksum = _checksum(place, Checkpoint(version.position, version.state))
    now = transaction.now()
    made = (number, version.origin, version.run, version.note)
    row = (uuid4().hex, *place, version.position, now, checksum, version.state, *made)
    insert_rows(connection, policy_versions, [row])
    _prune(connection, version.domain, version.policy, keep, {number, *spare})
    return number


def overtaken(transaction: Transaction, version: Version, after: Switch | None) -> Conflict | None:
    """What speaks against a promotion that was decided when `after` was the policy's last switch."""
    here = _SWITCHES.where(log.c.kind == "version", log.c.domain == version.domain)
    rows = transaction.connection.execute(here).all()
    newest = next((each for each in _switches(rows) if each.policy == version.policy), None)
    if (newest and newest.position) == (after and after.position):
        return None
    return Conflict(f"{version.domain}.{version.policy} was promoted meanwhile: look again")


def switch_version(
    transaction: Transaction, version: Version, live: NewVersion | None, keep: int, after: Switch | None
) -> Switch | Conflict:
    """As `add_version`, for a promotion."""
    transaction.lock()
    if refusal := overtaken(transaction, version, after):
        return refusal
    if live is not None and after is not None and live.position < after.position:
        return Conflict(
            f"the last promotion of {version.domain}.{version.policy} has not arrived here yet: try again"
        )
    here = and_(_numbered(version.domain, version.policy), _columns.number == version.number)
    found = transaction.connection.execute(select(_columns.checksum).where(here)).scalar()
    if found != version.checksum:
        return Conflict(f"{version.name} is gone: pushed out by newer ones, or by the erasure of a user")
    before: int | None = None
    if live is not None:
        kept = add_version(transaction, live, keep, {version.number})
        if isinstance(kept, Conflict):
            return kept
        before = kept
    switch = Switch(version.domain, version.policy, version.number, version.digest, version.checksum, before)
    entry = Entry("version", uuid4().hex, version.domain, "", switch.to_bytes())
    (receipt,) = transaction.append([entry])
    return replace(switch, position=receipt.position, time=receipt.time)


def card(transaction: Transaction, domain: str, policy: str, number: int) -> Version:
    """A version that was just written."""
    here = _CARD.where(_numbered(domain, policy), _columns.number == number)
    return Version(*transaction.connection.execute(here).one())


def erased_after(connection: Connection, domain: str, position: int) -> bool:
    """Whether anybody was erased above a log position who was in the entries of a domain."""
    columns = (log.c.kind, log.c.id, log.c.domain, log.c.user, log.c.body)
    rows = connection.execute(select(*columns).where(log.c.kind == "erasure", log.c.position > position))
    return any(Entry(*row).erased_in(domain) for row in rows)


def keep_version(transaction: Transaction, place: Place, checkpoint: Checkpoint, keep: int) -> None:
    """Keep a state, and of the checkpoints of its place only the newest `keep`."""
    connection = transaction.connection
    transaction.lock()  # of several processes that save the same state, one does
    here = and_(_at(place), _columns.position == checkpoint.position)
    found = connection.execute(select(_columns.checksum, _columns.state).where(here)).first()
    checksum = _checksum(place, checkpoint)
    if found is None or found.checksum != checksum or found.state != checkpoint.state:
        connection.execute(delete(policy_versions).where(here))
        state = (checkpoint.position, transaction.now(), checksum, checkpoint.state)
        insert_rows(connection, policy_versions, [(uuid4().hex, *place, *state, None, "checkpoint", "", "")])
    newest = select(_columns.position).where(_at(place)).order_by(_columns.position.desc()).limit(keep)
    kept = connection.execute(newest).scalars().all()
    connection.execute(delete(policy_versions).where(_at(place), _columns.position < min(kept)))


def newest_version(database: Database, place: Place) -> Checkpoint | None:
    """The newest checkpoint of its place whose checksum is right."""
    ids = select(_columns.id).where(_at(place)).order_by(_columns.position.desc())
    for row in database.all(ids):
        version = select(_columns.position, _columns.state, _columns.checksum).where(_columns.id == row.id)
        found = database.first(version)
        if found is None:
            continue
        checkpoint = Checkpoint(int(found.position), bytes(found.state))
        if found.checksum == _checksum(place, checkpoint):
            return checkpoint
    return None


def _right(result: Any) -> Any:
    if isinstance(result, Conflict):
        raise result
    return result


def _switches(rows: Any) -> list[Switch]:
    """What log entries say, newest first; those that can't be read are left out."""
    found = []
    for row in sorted(rows, key=lambda row: -row.position):
        try:
            found.append(Switch.from_entry(Entry(*row)))
        except ValueError:
            continue
    return found


def _last(rows: Any, cards: dict[tuple[str, int], str]) -> dict[tuple[str, str], Switch]:
    found: dict[tuple[str, str], Switch] = {}
    for switch in _switches(rows):
        if cards.get((switch.policy, switch.number)) == switch.checksum:
            found.setdefault((switch.policy, switch.digest), switch)
    return found


def _next_number(connection: Connection, domain: str, policy: str) -> int:
    """Counted apart from the versions: a number that the log has named must never mean another state."""
    key = f"versions {domain} {policy}"
    last = connection.execute(select(notes.c.value).where(notes.c.key == key)).scalar()
    number = int(last or 0) + 1
    insert_rows(connection, notes, [(key, str(number))], replace=("value",))
    return number


def _prune(connection: Connection, domain: str, policy: str, keep: int, spare: set[int]) -> None:
    """Delete the oldest versions beyond what is kept of each origin; never what is active, nor those to spare.

    What came by itself never pushes out what somebody saved.
    """
    kept = select(_columns.number, _columns.checksum, _columns.origin).where(_numbered(domain, policy))
    rows = connection.execute(kept.order_by(_columns.number.desc())).all()
    cards = {(policy, row.number): row.checksum for row in rows}
    switches = connection.execute(_SWITCHES.where(log.c.kind == "version", log.c.domain == domain)).all()
    active = [switch for switch in _last(switches, cards).values() if switch.policy == policy]
    stay = {number for switch in active for number in (switch.number, switch.before)}
    saved = [row.number for row in rows if row.origin == "saved" and row.number not in stay]
    others = [row.number for row in rows if row.origin != "saved" and row.number not in stay]
    gone = {*saved[_SAVED * keep :], *others[keep:]} - spare
    if gone:
        connection.execute(
            delete(policy_versions).where(_numbered(domain, policy), _columns.number.in_(gone))
        )


def _numbered(domain: str, policy: str) -> ColumnElement[bool]:
    return and_(_columns.domain == domain, _columns.policy == policy, _columns.number.is_not(None))


def _at(place: Place) -> ColumnElement[bool]:
    """The checkpoints of a place."""
    domain, policy, config_digest = place
    return and_(
        _columns.domain == domain,
        _columns.policy == policy,
        _columns.config_digest == config_digest,
        _columns.number.is_(None),
    )


def _checksum(place: Place, checkpoint: Checkpoint) -> str:
    """Over the state and where it belongs: a state that strayed to another place isn't right either."""
    return sha256("\0".join((*place, str(checkpoint.position), "")).encode() + checkpoint.state).hexdigest()
