"""An interaction: one thing a user did with one item."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Interaction:
    """One thing a user did (like, skip, play, click, rate, dwell, purchase …).

    id: the caller's idempotency key; the same id twice counts once.
    value: what the kind needs (stars, seconds, a share); None where it needs nothing.
    slate: the id of the slate that showed the item, or None for feedback without one.
    position: where the slate showed it, from 0.
    time: when it happened, seconds since the epoch, by the caller's clock.
    """

    id: str
    domain: str
    user: str
    item: str
    kind: str
    time: float
    value: float | None = None
    slate: str | None = None
    position: int | None = None
    situation: Mapping[str, Any] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """The body of the log entry; id, domain and user are columns of the log."""
        body: dict[str, Any] = {"item": self.item, "kind": self.kind, "time": self.time}
        if self.value is not None:
            body["value"] = self.value
        if self.slate is not None:
            body["slate"] = self.slate
        if self.position is not None:
            body["position"] = self.position
        if self.situation:
            body["situation"] = self.situation
        return orjson.dumps(body)

    @classmethod
    def from_bytes(cls, id: str, domain: str, user: str, body: bytes) -> "Interaction":
        """The interaction that `to_bytes` wrote.

        >>> seen = Interaction("a1", "books", "ann", "emma", "rating", 12.0, value=4.0)
        >>> Interaction.from_bytes("a1", "books", "ann", seen.to_bytes()) == seen
        True
        """
        fields = orjson.loads(body)
        return cls(
            id=id,
            domain=domain,
            user=user,
            item=fields["item"],
            kind=fields["kind"],
            time=fields["time"],
            value=fields.get("value"),
            slate=fields.get("slate"),
            position=fields.get("position"),
            situation=fields.get("situation", {}),
        )
