"""What goes into the log and what comes back for it."""

from dataclasses import dataclass

import orjson


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log.

    `kind` is "slate", "interaction", "items" (items of a domain changed), "profile" (a user's profile
    changed), "version" (a policy becomes one of its kept versions), "tick" (time passed) or "erasure" (a user
    was erased; names no user). `id` is unique within its kind: the same (kind, id) is written once. `time`
    (seconds since the epoch, never decreasing along the log) and `position` (1, 2, 3 …, in the order of commit)
    are given by the store; what a caller sets there is not looked at.

    The body of an "erasure" is {"domains": [...]}: those in whose entries the user was; without it, all.
    """

    kind: str
    id: str
    domain: str
    user: str
    body: bytes
    time: float = 0.0
    position: int = 0

    def erased_in(self, domain: str) -> bool:
        """Whether this is the erasure of a user who was in the entries of a domain."""
        if self.kind != "erasure":
            return False
        try:
            domains = orjson.loads(self.body).get("domains")
        except (ValueError, AttributeError):
            return True
        return not isinstance(domains, list) or domain in domains


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


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A state of a policy that is to be kept.

    digest: of the policy's configuration. position: the log position that it has learned up to. clean: the log
    position up to which erasures are known to have left no trace in it. origin: "training", "promotion" (it was
    live just before one) or "saved"; run: the training run that made it.
    """

    domain: str
    policy: str
    digest: str
    position: int
    clean: int
    state: bytes
    origin: str
    run: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Version:
    """A kept state of a policy, without the state. Numbers count from 1 and are never given twice."""

    domain: str
    policy: str
    number: int
    digest: str
    position: int
    created: float
    checksum: str
    size: int
    origin: str
    run: str
    note: str

    @property
    def name(self) -> str:
        """Such as `taste@3`."""
        return f"{self.policy}@{self.number}"


@dataclass(frozen=True, slots=True)
class Switch:
    """What a "version" entry of the log says: from here on the policy is this version, and learns on from it.

    before: the version that holds what was live; None where that could not be kept.
    """

    domain: str
    policy: str
    number: int
    digest: str
    checksum: str
    before: int | None
    position: int = 0
    time: float = 0.0

    def to_bytes(self) -> bytes:
        """The body of the log entry."""
        return orjson.dumps(
            {
                "policy": self.policy,
                "number": self.number,
                "digest": self.digest,
                "checksum": self.checksum,
                "before": self.before,
            }
        )

    @classmethod
    def from_entry(cls, entry: Entry) -> "Switch":
        """What a log entry says. Raises ValueError."""
        try:
            body = orjson.loads(entry.body)
            before = body["before"]
            return cls(
                entry.domain,
                str(body["policy"]),
                int(body["number"]),
                str(body["digest"]),
                str(body["checksum"]),
                None if before is None else int(before),
                entry.position,
                entry.time,
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"log entry {entry.position} names no version: {error!r}") from None
