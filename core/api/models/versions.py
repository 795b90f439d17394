"""Models of the kept versions of policies, and of what becomes of them."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from .incoming import Incoming
from .training import TrainingRunInfo


class SaveRequest(Incoming):
    """A request to keep what is live."""

    note: Annotated[str, Field(max_length=500)] = Field("", examples=["before the sale"])


class VersionInfo(BaseModel):
    """One kept version of a policy."""

    name: str = Field(examples=["taste@3"])
    domain: str = Field(examples=["books"])
    policy: str = Field(examples=["taste"])
    version: int = Field(examples=[3])
    active: bool = Field(description="What is live has learned on from it.")
    fits: bool = Field(description="It was made with the options and rewards that the policy has now.")
    origin: Literal["training", "promotion", "saved"]
    created: float = Field(examples=[1763631000.0])
    position: int = Field(examples=[1042], description="The log position that it has learned up to.")
    bytes: int = Field(examples=[18_230])
    config: str = Field(
        examples=["8f0c9a1be2d34c55"], description="Digest of the policy's options and rewards."
    )
    run: str | None = Field(examples=["5f0c61a2f5b04a3f8a4e6f3e4f7f1a55"])
    note: str = Field(examples=[""])


class VersionList(BaseModel):
    """The kept versions of a policy, newest first."""

    versions: list[VersionInfo]


class StateEntry(BaseModel):
    """One entry of a policy's state."""

    name: str = Field(examples=["item_won"])
    type: str = Field(examples=["float64"])
    shape: list[int] = Field(examples=[[41]])


class VersionDetails(VersionInfo):
    """One kept version, with what it holds and what it was trained on."""

    entries: list[StateEntry]
    training: TrainingRunInfo | None


class EntryDifference(BaseModel):
    """How one entry of two states differs."""

    name: str = Field(examples=["item_won"])
    before: str = Field(examples=["float64[40]"])
    after: str = Field(examples=["float64[41]"])
    changed: bool
    mean_change: float | None = Field(None, examples=[0.2])
    max_change: float | None = Field(None, examples=[3.0])
    added: int | None = Field(None, examples=[1], description="Texts that came.")
    removed: int | None = Field(None, examples=[0], description="Texts that went.")


class VersionDifference(BaseModel):
    """What changed from one version to another."""

    domain: str = Field(examples=["books"])
    policy: str = Field(examples=["taste"])
    before: int = Field(examples=[2])
    after: int = Field(examples=[3])
    entries: list[EntryDifference]


class Promoted(BaseModel):
    """A policy that became a version."""

    domain: str = Field(examples=["books"])
    policy: str = Field(examples=["taste"])
    version: int = Field(examples=[3])
    before: int | None = Field(examples=[4], description="Where what was live is kept.")
    position: int = Field(examples=[1043], description="The log position from which every process has it.")
    doubt: str = Field(examples=[""], description="What speaks against it; empty where nothing does.")
    live: bool = Field(
        examples=[True], description="Whether the process that answers has it; if not yet, it will soon."
    )
