"""Models of logged slates, and of why they are what they are."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from .recommendations import Failure


class LoggedPick(BaseModel):
    """One item of a logged slate."""

    id: str = Field(examples=["emma"])
    position: int = Field(examples=[0])
    score: float = Field(examples=[0.87])
    parts: dict[str, float] = Field(examples=[{"rated": 0.6, "taste": 0.27}])
    propensity: float = Field(examples=[0.42])
    sources: list[str] = Field(examples=[["similar"]])
    explored: bool = Field(examples=[False])


class LoggedSlate(BaseModel):
    """A slate as it was logged."""

    slate: str = Field(examples=["019a9f3c2b10f3a1c07be9d20a41"])
    domain: str = Field(examples=["books"])
    user: str = Field(examples=["ann"])
    time: float = Field(examples=[1763631000.0], description="Seconds since the epoch.")
    size: int = Field(examples=[12])
    situation: dict[str, Any] = Field(examples=[{"mood": "calm"}])
    exclude: list[str] = Field(examples=[[]])
    items: list[LoggedPick]
    degraded: list[Failure]
    considered: int = Field(examples=[250])
    removed: dict[str, int] = Field(examples=[{"filters.seen": 12}])
    knobs: dict[str, Any] = Field(examples=[{}])
    versions: dict[str, int] = Field(examples=[{"taste": 1041}])
    log: int = Field(examples=[1041], description="The log position that the decision saw.")
    seed: int = Field(examples=[53183947268123])
    config: str = Field(examples=["8f0c9a1be2d34c55"], description="Digest of the domain's composition.")
    traced: bool = Field(description="Whether what became of every candidate was logged, too.")


class ExplainedPick(LoggedPick):
    """One item of a slate, explained."""

    title: str = Field(examples=["Emma"])
    learned: dict[str, str] = Field(
        examples=[{"taste": "liked 3 of 4 times"}], description="What each policy knows of it now."
    )


class ItemFate(BaseModel):
    """What became of one item."""

    id: str = Field(examples=["dune"])
    title: str = Field(examples=["Dune"])
    verdict: Literal["shown", "not in the catalogue", "not proposed", "dropped", "ranked", "would be shown"]
    why: str = Field(examples=["'dune' (Dune) was dropped by filters.seen."])
    dropped_by: str | None = Field(None, examples=["filters.seen"])
    rank: int | None = None
    score: float | None = None
    parts: dict[str, float] | None = None


class Trace(BaseModel):
    """Why a slate is what it is."""

    slate: str = Field(examples=["019a9f3c2b10f3a1c07be9d20a41"])
    domain: str = Field(examples=["books"])
    user: str = Field(examples=["ann"])
    time: float = Field(examples=[1763631000.0])
    replayed: bool = Field(description="What isn't in the slate was worked out again from the log.")
    exact: bool | None = Field(description="Whether that gave the very same slate; null without a replay.")
    considered: int = Field(examples=[250])
    removed: dict[str, int] = Field(examples=[{"filters.seen": 12}])
    knobs: dict[str, Any] = Field(examples=[{}])
    tuned: dict[str, str] = Field(
        description="By policy, what it made of the user and why it turned the knobs as it did, in words.",
        examples=[{}],
    )
    items: list[ExplainedPick]
    runners_up: list[ItemFate]
    item: ItemFate | None = Field(description="The item that was asked about.")
    degraded: list[Failure]
