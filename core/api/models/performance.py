"""Models of how the domains do."""

from pydantic import BaseModel, Field


class Figures(BaseModel):
    """What slates earned and how varied they were; null where there is nothing to divide by."""

    slates: int = Field(examples=[420])
    people: int = Field(examples=[57])
    shown: int = Field(examples=[5040], description="Items in the slates.")
    reward_per_slate: float | None = Field(examples=[1.7])
    reward_per_item: float | None = Field(examples=[0.14])
    click_through_rate: float | None = Field(
        examples=[0.11], description="Share of the shown items that something was done with."
    )
    positive_rate: float | None = Field(
        examples=[0.83], description="Of these, the share that is worth more than 0 in all."
    )
    like_rate: float | None = Field(examples=[0.06], description="Share of the shown items that were liked.")
    skip_rate: float | None = Field(
        examples=[0.02], description="Share of the shown items that were skipped."
    )
    completion_rate: float | None = Field(
        examples=[0.64],
        description="Mean share that was heard, watched or read, of the items that one was told of.",
    )
    exploration_share: float | None = Field(
        examples=[0.1], description="Share of the shown items that were there to be tried."
    )
    coverage: float | None = Field(examples=[0.3], description="Share of the catalogue that was shown.")
    entropy_bits: float = Field(examples=[8.9], description="Shannon entropy of the shown items.")
    degraded_share: float | None = Field(
        examples=[0.0], description="Share of the slates that something was missing for."
    )


class FiguresOfDay(Figures):
    """Those of one day."""

    day: str = Field(examples=["2026-11-21"], description="In UTC.")


class FiguresOfVersion(Figures):
    """Those of the slates that were shown under the same versions of all policies."""

    version: str = Field(examples=["taste@online"])


class TopItem(BaseModel):
    """An item that was shown often."""

    item: str = Field(examples=["emma"])
    shown: int = Field(examples=[61])
    share: float = Field(examples=[0.012])
    reward: float = Field(examples=[14.0])


class DomainPerformance(BaseModel):
    """How a domain does."""

    days: list[FiguresOfDay]
    versions: list[FiguresOfVersion]
    total: Figures
    top_items: list[TopItem]
    position: int = Field(examples=[1041], description="How far of the log is counted.")


class Performance(BaseModel):
    """How the domains do."""

    domains: dict[str, DomainPerformance]
