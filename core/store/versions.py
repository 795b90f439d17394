"""The saved states of policies."""

from hashlib import sha256
from uuid import uuid4

from sqlalchemy import ColumnElement, and_, delete, select

from .database import Database
from .entries import Checkpoint
from .tables import insert_rows, policy_versions
from .transaction import Transaction

Place = tuple[str, str, str]  # domain, policy, digest of the configuration

_columns = policy_versions.c


def keep_version(transaction: Transaction, place: Place, checkpoint: Checkpoint, keep: int) -> None:
    """Keep a state, and of its place only the newest `keep`."""
    connection = transaction.connection
    transaction.lock()  # of several processes that save the same state, one does
    here = and_(_at(place), _columns.position == checkpoint.position)
    found = connection.execute(select(_columns.checksum, _columns.state).where(here)).first()
    checksum = _checksum(place, checkpoint)
    if found is None or found.checksum != checksum or found.state != checkpoint.state:
        connection.execute(delete(policy_versions).where(here))
        row = (uuid4().hex, *place, checkpoint.position, transaction.now(), checksum, checkpoint.state)
        insert_rows(connection, policy_versions, [row])
    newest = select(_columns.position).where(_at(place)).order_by(_columns.position.desc()).limit(keep)
    kept = connection.execute(newest).scalars().all()
    connection.execute(delete(policy_versions).where(_at(place), _columns.position < min(kept)))


def newest_version(database: Database, place: Place) -> Checkpoint | None:
    """The newest state of its place whose checksum is right."""
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


def _at(place: Place) -> ColumnElement[bool]:
    domain, policy, config_digest = place
    return and_(_columns.domain == domain, _columns.policy == policy, _columns.config_digest == config_digest)


def _checksum(place: Place, checkpoint: Checkpoint) -> str:
    """Over the state and where it belongs: a state that strayed to another place isn't right either."""
    return sha256("\0".join((*place, str(checkpoint.position), "")).encode() + checkpoint.state).hexdigest()
