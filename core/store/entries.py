"""What goes into the log and what comes back for it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log.

    `kind` is "slate", "interaction", "items" (items of a domain changed), "profile" (a user's profile
    changed), "tick" (time passed) or "erasure" (a user was erased; names no user). `id` is unique within its
    kind: the same (kind, id) is written once. `time` (seconds since the epoch, never decreasing along the
    log) and `position` (1, 2, 3 …, in the order of commit) are given by the store; what a caller sets there
    is not looked at.
    """

    kind: str
    id: str
    domain: str
    user: str
    body: bytes
    time: float = 0.0
    position: int = 0


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where an entry stands in the log; `duplicate`: one of its kind and id stood there already."""

    position: int
    time: float
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a policy after it learned from the log up to and including `position`."""

    position: int
    state: bytes
