"""The core's own options, as they stand in YAML."""

import re
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from ..accounts import is_key
from ..components import WordField

_SHORTEST_KEY = 8


class Options(BaseModel):
    """Options of the core's own; unknown ones are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ItemsOptions(Options):
    """How many items a domain holds."""

    most: int | None = Field(
        default=None,
        ge=1,
        description="Beyond so many, items from outside that nobody has done anything with leave, the oldest first.",
    )


class SlateOptions(Options):
    """How a slate is built from scored candidates."""

    size: int = Field(
        default=12, ge=1, le=500, description="Items in a slate, unless a request asks for another number."
    )
    explore: float = Field(
        default=0.0, ge=0, le=1, description="Share of the positions given to items chosen at random."
    )
    explore_pool: int = Field(
        default=200, ge=1, description="How many of the best candidates exploration chooses among."
    )
    max_per: dict[WordField, Annotated[int, Field(ge=1)]] = Field(
        default={},
        description="By field, of the type category or tags: most items of a slate with one value.",
    )
    diversity: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Maximal marginal relevance: 0 takes the scores alone, 1 the difference alone.",
    )
    shortlist: float = Field(
        default=3.0,
        ge=1,
        description="Policies rank the best `shortlist` times `size` candidates of the scorers.",
    )
    draws: int = Field(
        default=32, ge=1, le=1024, description="Random draws from which propensities are counted."
    )
    stable: Literal["never", "day"] = Field(
        default="never", description="`day`: the same user gets the same random choices until midnight UTC."
    )
    deadline_ms: float = Field(
        default=500.0, gt=0, description="Time after which a slate is made of what is there."
    )


def _cron(expression: str) -> str:
    from cronsim import CronSim, CronSimError

    try:
        if len(expression.split()) != 5:
            raise CronSimError
        next(CronSim(expression, datetime(2026, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration):
        raise ValueError(
            "must be a cron expression of minute, hour, day, month and weekday, such as `0 2 * * *`"
        ) from None
    return expression


_UNITS = {"m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


def seconds(text: str) -> float:
    """A time such as 5m, 6h, 1d or 2w in seconds.

    >>> seconds("6h")
    21600.0
    """
    return int(text[:-1]) * _UNITS[text[-1]]


def _ago(text: str) -> str:
    if not re.fullmatch(r"[1-9][0-9]{0,5}[mhdw]", text):
        raise ValueError("must be a time such as 7d, 36h or 90m")
    return text


Cron = Annotated[str, AfterValidator(_cron)]
Ago = Annotated[str, AfterValidator(_ago)]


class Schedule(Options):
    """When something is done by itself. Times are in UTC."""

    enabled: bool = Field(default=True, description="Whether it is done at all.")
    cron: Cron = Field(description="When: minute, hour, day of the month, month, weekday.")


class TrainingSchedule(Schedule):
    """When policies are trained by themselves, and on what."""

    since: Ago | None = Field(
        default=None, description="How much of the log is learned from, such as 7d; none: all of it."
    )


class TunersSchedule(TrainingSchedule):
    """When policies that only tune are trained by themselves."""

    cron: Cron = "0 1 * * 1"
    since: Ago | None = "7d"


class RankersSchedule(TrainingSchedule):
    """When all other policies are trained by themselves."""

    cron: Cron = "0 2 * * *"


class MonitoringSchedule(Schedule):
    """When a server looks by itself at how the domain does."""

    cron: Cron = "0 * * * *"


class Schedules(Options):
    """What a server does by itself."""

    tuners: TunersSchedule = TunersSchedule()
    rankers: RankersSchedule = RankersSchedule()
    monitoring: MonitoringSchedule = MonitoringSchedule()


class TrainingOptions(Options):
    """How versions of a domain's policies are made and kept; no decision depends on it."""

    keep_versions: int = Field(
        default=20,
        ge=2,
        le=1000,
        description="Versions of a policy that are kept, beside the active one and saved ones.",
    )
    promote: Literal["gate", "never"] = Field(
        default="gate",
        description="Whether a trained version goes live by itself where it is better than what is live.",
    )
    margin: float = Field(
        default=0.0,
        ge=0,
        description="How much better it must be, in units of the reward: the low end of the 95 % interval.",
    )
    schedules: Schedules = Field(default=Schedules(), description="When a server trains by itself.")


class LearningOptions(TrainingOptions):
    """How a domain's policies learn from its log."""

    window_minutes: float = Field(
        default=30.0, gt=0, description="How long after a slate an interaction still counts for it."
    )
    history: int = Field(
        default=200, ge=0, le=5000, description="Items of history kept in memory for each user."
    )
    checkpoint_seconds: float = Field(
        default=30.0, gt=0, description="Time between saved states of the policies."
    )


def _hard_to_guess(key: SecretStr) -> SecretStr:
    if len(key.get_secret_value().strip()) < _SHORTEST_KEY:
        raise ValueError(
            f"must be a key of {_SHORTEST_KEY} characters at least: who has it may do everything"
        )
    return key


Key = Annotated[SecretStr, AfterValidator(_hard_to_guess)]


class ApiOptions(Options):
    """The HTTP server."""

    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    keys: tuple[Key, ...] = Field(
        default=(),
        description="Keys that callers may show, of 8 characters or more; none: no key is asked for.",
    )
    body_limit_bytes: int = Field(default=1_048_576, ge=1024, description="Longest body of a request.")


def _fernet_key(key: SecretStr) -> SecretStr:
    if key.get_secret_value() and not is_key(key.get_secret_value()):
        raise ValueError(
            "must be a key of 32 bytes in URL-safe base64, as docs/configuration.md shows how to make"
        )
    return key


def _given(keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    return tuple(key for key in keys if key.get_secret_value())


class AccountsOptions(Options):
    """Accounts that users have with services."""

    keys: Annotated[tuple[Annotated[SecretStr, AfterValidator(_fernet_key)], ...], AfterValidator(_given)] = (
        Field(
            default=(),
            description="Keys that they are encrypted under: the first one encrypts, all decrypt; none: none are kept.",
        )
    )


class Switch(Options):
    """What can be switched off."""

    enabled: bool = Field(default=True, description="Whether this takes part.")


class EntryKeys(Switch):
    """The core's keys of an entry that the core can leave out."""

    without: str | tuple[str, ...] = Field(
        default=(),
        description="A connector by its name, or several: the entry takes part only where none is configured.",
    )


class CollectorKeys(EntryKeys):
    """The core's keys of a collector that runs by itself."""

    every: Ago = Field(default="1d", description="Time from one run to the next, such as 5m, 6h or 1d.")
    replace: bool = Field(
        default=False,
        description="Whether items of its origin that a run doesn't bring any more are removed.",
    )


class StepKeys(EntryKeys):
    """The core's keys of a source, scorer or policy."""

    timeout_ms: float | None = Field(
        default=None, gt=0, description="Time limit of one call; none: the slate's deadline."
    )
    on_error: Literal["skip"] = Field(
        default="skip", description="What happens when it fails: it is left out, and noted."
    )


class FilterKeys(EntryKeys):
    """The core's keys of a filter."""

    timeout_ms: float | None = Field(
        default=None, gt=0, description="Time limit of one call; none: the slate's deadline."
    )
    on_error: Literal["fail_closed", "ignore"] = Field(
        default="fail_closed",
        description="What happens when it fails: it drops all candidates, or keeps all.",
    )


class WeightedKeys(StepKeys):
    """The core's keys of a scorer or policy."""

    weight: float = Field(default=1.0, description="Its scores are multiplied by this and added up.")


KEYS_OF_KIND: dict[str, type[Switch]] = {
    "connector": Switch,
    "collector": CollectorKeys,
    "source": StepKeys,
    "filter": FilterKeys,
    "scorer": WeightedKeys,
    "policy": WeightedKeys,
}
"""The core's keys of an entry, beside `use`, by kind."""
