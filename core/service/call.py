"""One call of a service, for what surrounds it."""

from dataclasses import dataclass, field
from typing import Literal

Keep = Literal["answers", "features", "user", "recommendations"]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a service, for what surrounds it.

    name: the operation, as in the counters. bucket: the budget it is charged to, and cost: how much.
    key: names the answer among the operation's, such as the normalised query; None for one never to be kept.
    keep: the sort of answer, which says how long it is kept. user: whose answer it is, where it is one user's.
    secrets: what must not be shown, beside the service's own secret options, such as a user's token.
    A refusal of a call with a user or secrets is about these: it says nothing of the service's own credentials.
    """

    name: str
    bucket: str = ""
    cost: int = 1
    key: str | None = None
    keep: Keep = "answers"
    user: str = ""
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def own(self) -> bool:
        """Whether it is made with the service's own credentials, and for nobody in particular."""
        return not (self.user or self.secrets)

    def named(self, service: str) -> str:
        """What people call it."""
        return f"{service}: {self.name}"
