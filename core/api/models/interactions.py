"""Models of interactions that come in, and of what became of them."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

from ...errors import did_you_mean
from ..names import Moment, Name, Number, Situation, misfit
from .incoming import Incoming
from .problems import ProblemDocument

_KIND = re.compile(r"[a-z][a-z0-9_]{0,63}")


def _kind(kind: str) -> str:
    if not _KIND.fullmatch(kind):
        near = re.sub(r"[^a-z0-9_]+", "_", kind.strip().lower())
        near = did_you_mean(near, [near]).removeprefix("; ") if _KIND.fullmatch(near) else ""
        raise misfit("must be a lower-case letter, then at most 63 of a-z, 0-9 and _", near)
    return kind


def _place(position: int) -> int:
    if not 0 <= position <= 1_000_000:
        raise misfit("must be a whole number from 0 to 1,000,000")
    return position


Kind = Annotated[str, AfterValidator(_kind), Field(json_schema_extra={"pattern": "^[a-z][a-z0-9_]{0,63}$"})]
Place = Annotated[int, AfterValidator(_place), Field(json_schema_extra={"minimum": 0, "maximum": 1_000_000})]


class InteractionIn(Incoming):
    """One thing that a user did with an item."""

    id: Name | None = Field(
        None, description="Idempotency key: the same one again counts once.", examples=["ann-2026-11-20-17"]
    )
    domain: Name = Field(examples=["books"])
    user: Name = Field(examples=["ann"])
    item: Name = Field(examples=["emma"])
    kind: Kind = Field(examples=["finish"], description="What was done, in the words of `rewards`.")
    value: Number | None = Field(None, examples=[4.5], description="Stars, seconds, a share.")
    slate: Name | None = Field(None, description="The slate that showed the item.")
    position: Place | None = Field(None, description="Where the slate showed it, from 0.")
    time: Moment | None = Field(None, examples=["2026-11-20T09:30:00Z"], description="By default now.")
    situation: Situation = Field({}, description="What was true of that moment.")


class Receipt(BaseModel):
    """What became of an interaction."""

    id: str = Field(examples=["ann-2026-11-20-17"])
    status: Literal["accepted", "duplicate"]
    position: int = Field(examples=[1042], description="Its place in the log.")
    warnings: list[str] = Field(examples=[[]])
    insight: str = Field(
        "",
        examples=[
            "That moved what is taken for your openness by +0.4: it now counts as 2.1 above what you said."
        ],
        description="What was learned from it about the user, in words; left out where that is nothing.",
    )


class Result(BaseModel):
    """What became of one of several interactions."""

    id: str | None = Field(examples=["ann-2026-11-20-17"])
    status: Literal["accepted", "duplicate", "rejected"]
    position: int | None = Field(None, examples=[1042])
    warnings: list[str] = Field(examples=[[]])
    insight: str = ""
    problem: ProblemDocument | None = None


class Results(BaseModel):
    """What became of several interactions, in their order."""

    results: list[Result]
    accepted: int = Field(examples=[1])
    duplicate: int = Field(examples=[0])
    rejected: int = Field(examples=[0])
