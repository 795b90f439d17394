"""Models of the catalogue's items, and of what became of those that were sent."""

from typing import Any

from pydantic import BaseModel, Field


class ItemsWritten(BaseModel):
    """How many items were written."""

    written: int = Field(examples=[2])


class ItemsRemoved(BaseModel):
    """How many items were removed."""

    removed: int = Field(examples=[1])


class ItemPage(BaseModel):
    """A page of the catalogue, by id."""

    items: list[dict[str, Any]] = Field(examples=[[{"id": "emma", "title": "Emma", "rating": 4.5}]])
    next: str | None = Field(examples=["emma"], description="Give it as `after` for the next page.")
