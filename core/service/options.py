"""Options that every service has: budgets, how long answers are kept, when a failing service is left alone."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
)

from .memory import Claim

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_SPAN = re.compile(r"([0-9]{1,9})([smhdw])\Z")

_EDGE_SECONDS = 30.0
"""How far our clock, the service's, and the time that a request is on its way may be apart."""


def span(value: Any) -> Any:
    """Seconds of a text such as `6h`; anything else as it is. Raises ValueError.

    >>> span("90m"), span("7d"), span(30)
    (5400.0, 604800.0, 30)
    """
    if not isinstance(value, str):
        return value
    found = _SPAN.match(value.strip())
    if found is None:
        raise ValueError(f"{value[:40]!r} is no span of time; write 30s, 90m, 6h, 7d, or seconds as a number")
    return int(found[1]) * _UNITS[found[2]]


Span = Annotated[
    float,
    Field(ge=0, allow_inf_nan=False),
    BeforeValidator(span),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": "^[0-9]{1,9}[smhdw]$"}]}
    ),
]
"""Seconds, also written as 30s, 90m, 6h or 7d."""


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"no time zone is called {name!r}; write one such as America/Los_Angeles") from None
    return name


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Budget(_Options):
    """How much of one of a service's quotas may be spent: `limit` a day or, with a number, in any so many seconds.

    A day goes from midnight to midnight in `zone`: there the service resets its count.

    >>> pacific = Budget(limit=100, per="day", zone="America/Los_Angeles")
    >>> begin, end = pacific.day(1793520000.0)  # 1 November 2026: the day on which the clocks go back
    >>> (end - begin) / 3600
    25.0
    """

    limit: int = Field(ge=0, description="What may be spent; most calls cost 1.")
    per: Literal["day"] | Annotated[float, Field(gt=0)] = Field(
        "day", description="`day`, or the seconds of a sliding window."
    )
    zone: Annotated[str, AfterValidator(_zone)] = Field("UTC", description="Time zone in which a day begins.")

    @field_validator("per", mode="before")
    @classmethod
    def _span(cls, per: Any) -> Any:
        if isinstance(per, str) and per != "day" and not re.fullmatch(r"\s*[0-9.]+\s*", per):
            raise ValueError("must be `day`, or a number of seconds such as 60")
        return per

    def day(self, now: float) -> tuple[float, float]:
        """Beginning and end of the day that `now` is in, in seconds since the epoch."""
        zone = ZoneInfo(self.zone)
        date = datetime.fromtimestamp(now, zone).date()
        begin = datetime(date.year, date.month, date.day, tzinfo=zone)
        after = date + timedelta(days=1)
        end = datetime(after.year, after.month, after.day, tzinfo=zone)
        return begin.timestamp(), end.timestamp()

    def renewal(self, now: float) -> float:
        """When a service that says now that it is spent will have renewed it.

        Soon after midnight that is the new day: its clock may be behind.
        """
        return now + self.per if self.per != "day" else self.day(now - _EDGE_SECONDS)[1] + _EDGE_SECONDS

    def claims(self, key: str, now: float, under_way: float) -> list[Claim]:
        """What has to be free for a call that begins now and is `under_way` for so many seconds at most.

        Near midnight that are both days, as nobody knows on which of them the service counts the call. A sliding
        window is held longer than it is, by the time under way, for the same reason.
        """
        if self.per != "day":
            return [Claim(key, self.limit, seconds=self.per + under_way)]
        edge = max(_EDGE_SECONDS, under_way)
        days = dict.fromkeys(self.day(moment) for moment in (now - _EDGE_SECONDS, now, now + edge))
        return [Claim(f"{key}:{begin:.0f}", self.limit, until=end + _EDGE_SECONDS) for begin, end in days]


class Breaker(_Options):
    """When a failing service is left alone for a while."""

    failures: int = Field(5, ge=1, description="Failures in a row after which it is left alone.")
    seconds: Span = Field(30.0, description="How long, until one call tries again.")


class Keeping(_Options):
    """How long answers are kept and given again, by what they hold; 0 keeps none."""

    answers: Span = Field(21_600.0, description="Answers about the service's catalogue.")
    features: Span = Field(604_800.0, description="Measured properties that hardly change.")
    user: Span = Field(1800.0, description="What belongs to one user.")
    recommendations: Span = Field(0.0, description="The service's own recommendations.")
    missing: Span = Field(3600.0, description="That there is no such thing.")
    stale: Span = Field(
        86_400.0,
        description="How much longer an old answer serves, while a new one is fetched or can't be had.",
    )

    @property
    def longest(self) -> float:
        """How long answers of any sort are fresh."""
        return max(self.answers, self.features, self.user, self.recommendations)

    def seconds(self, what: str) -> float:
        """How long answers of a sort are fresh."""
        found: float = getattr(self, what)
        return found


def merged_budgets(known: Mapping[str, Budget], given: Any) -> Any:
    """Budgets as given over those that are known, option by option; what isn't a mapping comes as it is."""
    if not isinstance(given, Mapping):
        return given
    merged: dict[str, Any] = dict(known)
    for name, budget in given.items():
        whole = isinstance(budget, Budget) or name not in known or not isinstance(budget, Mapping)
        merged[name] = budget if whole else {**known[name].model_dump(), **budget}
    return merged
