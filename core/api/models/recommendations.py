"""Models of a request for recommendations, and of its answer."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field

from ..names import Credentials, Name, Situation, misfit
from .incoming import Incoming

MOST_ITEMS_IN_A_SLATE = 500


def _size(limit: int) -> int:
    if not 1 <= limit <= MOST_ITEMS_IN_A_SLATE:
        raise misfit(f"must be a whole number from 1 to {MOST_ITEMS_IN_A_SLATE}, not {limit}")
    return limit


Size = Annotated[
    int, AfterValidator(_size), Field(json_schema_extra={"minimum": 1, "maximum": MOST_ITEMS_IN_A_SLATE})
]


class RecommendationRequest(Incoming):
    """A request for recommendations."""

    user: Name = Field(examples=["ann"])
    limit: Size | None = Field(None, description="Items wanted; by default the domain's own `slate.size`.")
    situation: Situation = Field({}, examples=[{"mood": "calm"}], description="What is true of this moment.")
    exclude: list[Name] = Field([], max_length=10_000, description="Ids that must not come.")
    trace: bool = Field(False, description="Keep and return what became of every candidate.")
    credentials: Credentials = Field(
        {},
        description="The user's own short-lived tokens, by the name of a connector: used now, and kept nowhere.",
    )


class Failure(BaseModel):
    """A component that could not do its part, and why."""

    component: str = Field(examples=["sources.similar"])
    reason: str = Field(examples=["gave no answer within 50 ms"])


class RecommendedItem(BaseModel):
    """One item of a slate."""

    id: str = Field(examples=["emma"])
    position: int = Field(examples=[0], description="From 0.")
    score: float = Field(examples=[0.87])
    propensity: float = Field(examples=[0.42], description="The probability that it stood here.")
    sources: list[str] = Field(examples=[["similar"]])
    explored: bool = Field(examples=[False], description="It stands here to be tried, not for its score.")
    item: dict[str, Any] = Field(examples=[{"title": "Emma", "rating": 4.5}], description="Its fields.")
    parts: dict[str, float] | None = Field(None, description="With a trace: what made up the score.")


class SlateTrace(BaseModel):
    """How the slate came about."""

    considered: int = Field(examples=[250])
    removed: dict[str, int] = Field(examples=[{"filters.seen": 12}])
    knobs: dict[str, Any] = Field(examples=[{}])
    versions: dict[str, int] = Field(examples=[{"taste": 1041}])
    fates: dict[str, dict[str, Any]] = Field(examples=[{"dune": {"dropped_by": "filters.seen"}}])


class Recommendations(BaseModel):
    """A slate: keep its id, and send it with what the user does."""

    slate: str = Field(examples=["019a9f3c2b10f3a1c07be9d20a41"])
    domain: str = Field(examples=["books"])
    user: str = Field(examples=["ann"])
    items: list[RecommendedItem]
    degraded: list[Failure] = Field(description="What failed on the way; empty when all was well.")
    trace: SlateTrace | None = Field(None, description="Where it was asked for.")
