"""What can go wrong with a call of a service, by what may be done about it.

ConnectorError
└── ServiceError
    ├── Unreachable   no answer, or one that blames the service itself (5xx): tried again
    ├── Throttled     too fast: tried again after the time the service asks for, or put off until then
    ├── Exhausted     a quota is spent, ours or theirs: never tried again before it is renewed
    ├── Refused       the credentials are missing, wrong or expired: several in a row, and they are not sent for a while
    │   └── Forbidden … are known, and don't allow this: all else may be asked for
    ├── Unavailable   this app isn't given the operation: remembered for a day
    ├── Missing       there is no such thing: remembered for a while
    ├── Invalid       the service doesn't take the request as it is
    └── Garbage       the answer can't be read
"""

from ..errors import ConnectorError


class ServiceError(ConnectorError):
    """A call of a service failed. Its message holds no secret."""


class Unreachable(ServiceError):
    """No answer in time, a connection that broke, or an answer that blames the service itself."""


class Throttled(ServiceError):
    """The service asks for time; `after`: seconds, None where it doesn't say how many."""

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class Exhausted(ServiceError):
    """A quota is spent; `until`: when it is renewed, in seconds since the epoch, None where that isn't known."""

    def __init__(self, message: str, until: float | None = None) -> None:
        super().__init__(message)
        self.until = until


class Refused(ServiceError):
    """The service doesn't accept the credentials, or they don't allow this."""


class Forbidden(Refused):
    """The service knows the credentials, and they don't allow what was asked for."""


class Unavailable(ServiceError):
    """The service doesn't give this operation to this app."""


class Missing(ServiceError):
    """What was asked for doesn't exist."""


class Invalid(ServiceError):
    """The service doesn't take the request as it is."""


class Garbage(ServiceError):
    """The service answered something that can't be read."""
