"""The core's own options, as they stand in YAML."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from ..components import WordField

_SHORTEST_KEY = 8


class Options(BaseModel):
    """Options of the core's own; unknown ones are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


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


class LearningOptions(Options):
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


class EntryKeys(Options):
    """The core's keys of an entry that the core can leave out."""

    enabled: bool = Field(default=True, description="Whether this entry takes part.")


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


KEYS_OF_KIND: dict[str, type[EntryKeys]] = {
    "connector": EntryKeys,
    "collector": EntryKeys,
    "source": StepKeys,
    "filter": FilterKeys,
    "scorer": WeightedKeys,
    "policy": WeightedKeys,
}
"""The core's keys of an entry, beside `use`, by kind."""
