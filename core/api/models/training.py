"""Models of training runs."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from ..names import Name
from .incoming import Incoming


class TrainingRequest(Incoming):
    """A request to train policies on what the log holds."""

    domain: Name = Field(examples=["books"])
    policy: Name | None = Field(
        None, examples=["taste"], description="By default every policy of the domain."
    )
    since: Name | None = Field(
        None, examples=["7d"], description="How much of the log: 7d, 36h, or a date; by default all of it."
    )
    until: Name | None = Field(None, examples=["1d"], description="Where it ends: by default now.")
    promote: bool | None = Field(
        None,
        description="Whether the result goes live where it is better; by default what `learning.promote` says.",
    )


class TrainingRunInfo(BaseModel):
    """One training run of one policy."""

    id: str = Field(examples=["5f0c61a2f5b04a3f8a4e6f3e4f7f1a55"])
    domain: str = Field(examples=["books"])
    policy: str = Field(examples=["taste"])
    status: Literal["running", "done", "refused", "failed", "lost"]
    trigger: str = Field(examples=["api"], description="cli, api, or the name of a schedule.")
    promote: Literal["gate", "never"]
    started: float = Field(examples=[1763631000.0])
    finished: float | None
    heartbeat: float = Field(examples=[1763631000.0], description="When it last showed that it lives.")
    progress: float = Field(examples=[0.4], description="From 0 to 1.")
    since: int = Field(examples=[0], description="The log position after which it learns.")
    until: int = Field(examples=[1042], description="The last log position that it learns from.")
    since_time: float | None
    until_time: float | None
    rows: int = Field(examples=[812], description="Outcomes that were learned from.")
    users: int = Field(examples=[57])
    reward: float | None = Field(examples=[0.31], description="What an item earned on average.")
    like_rate: float | None = Field(examples=[0.4], description="The share of items that earned more than 0.")
    options: dict[str, Any] = Field(examples=[{"discount": 0.99}], description="Of the policy.")
    statistics: dict[str, float] = Field(examples=[{}], description="What the policy says of its state.")
    estimates: dict[str, Any] = Field(examples=[{}], description="The comparison with what was live.")
    version: int | None = Field(examples=[3])
    outcome: str = Field(examples=["kept: not better than what is live by more than 0"])
    error: str = Field(examples=[""])


class TrainingRuns(BaseModel):
    """Training runs, newest first."""

    runs: list[TrainingRunInfo]
