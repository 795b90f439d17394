"""Services: connectors to the outside world that respect quotas, survive failures and keep what they were told."""

from .admission import Left
from .call import Call
from .errors import (
    Exhausted,
    Forbidden,
    Garbage,
    Invalid,
    Missing,
    Refused,
    ServiceError,
    Throttled,
    Unavailable,
    Unreachable,
)
from .memory import Claim, LocalMemory, SharedMemory
from .options import Breaker, Budget, Keeping, Span
from .redaction import redacted
from .service import Service
from .several import gathered

__all__ = [
    "Breaker",
    "Budget",
    "Call",
    "Claim",
    "Exhausted",
    "Forbidden",
    "Garbage",
    "Invalid",
    "Keeping",
    "Left",
    "LocalMemory",
    "Missing",
    "Refused",
    "Service",
    "ServiceError",
    "SharedMemory",
    "Span",
    "Throttled",
    "Unavailable",
    "Unreachable",
    "gathered",
    "redacted",
]
