"""Models of users: profile, assessment, linked accounts, and what they did."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from .incoming import Incoming


class AssessmentIn(Incoming):
    """Somebody's answers to a personality inventory."""

    inventory: Literal["bfi-44"] = Field(
        "bfi-44", description="Which: the Big Five Inventory of 44 statements."
    )
    answers: dict[str, Any] = Field(
        description="By the number of the statement, from 1 (disagree strongly) to 5 (agree strongly); some may be "
        "missing, or null.",
        examples=[{"1": 4, "2": 2, "3": 5, "4": 1, "5": 4}],
        json_schema_extra={
            "propertyNames": {"pattern": "^([1-9]|[123][0-9]|4[0-4])$"},
            "additionalProperties": {
                "anyOf": [{"type": "integer", "minimum": 1, "maximum": 5}, {"type": "null"}]
            },
        },
    )


class User(BaseModel):
    """A user and what is known of him or her."""

    id: str = Field(examples=["ann"])
    profile: dict[str, Any] = Field(examples=[{"languages": ["en"], "traits": {"openness": 80}}])


class Assessed(BaseModel):
    """What a person's answers come to, and the profile that holds it."""

    id: str = Field(examples=["ann"])
    traits: dict[str, float] = Field(examples=[{"openness": 72.5}], description="From 0 to 100.")
    confidence: dict[str, float] = Field(examples=[{"openness": 0.81}], description="From 0 to 1.")
    answered: int = Field(examples=[44], description="How many of the questions were.")
    acquiescence: float = Field(
        examples=[0.1], description="How far yes is said whatever is asked, from -2 (never) to 2 (always)."
    )
    profile: dict[str, Any] = Field(examples=[{"languages": ["en"], "traits": {"openness": 72.5}}])


class LinkedAccount(BaseModel):
    """A service that a user has an account with."""

    service: str = Field(examples=["spotify"])
    updated: float = Field(examples=[1795254600.0], description="Seconds since 1970.")


class LinkedAccounts(BaseModel):
    """The services that a user has linked; what it takes to act for him there is never shown."""

    id: str = Field(examples=["ann"])
    accounts: list[LinkedAccount]


class Unlinked(BaseModel):
    """How many links were forgotten."""

    id: str = Field(examples=["ann"])
    removed: int = Field(examples=[1])


class Erased(BaseModel):
    """How much of a user was deleted."""

    id: str = Field(examples=["ann"])
    profiles: int = Field(examples=[1])
    accounts: int = Field(examples=[1], description="Links to accounts with other services.")
    entries: int = Field(examples=[57], description="Slates and interactions.")
    versions: int = Field(
        examples=[3],
        description="Saved states of policies: what they hold is learned again without the user.",
    )


class PastInteraction(BaseModel):
    """One interaction of the log."""

    position: int = Field(examples=[1042], description="Its place in the log.")
    id: str = Field(examples=["ann-2026-11-20-17"])
    domain: str = Field(examples=["books"])
    item: str = Field(examples=["emma"])
    kind: str = Field(examples=["finish"])
    value: float | None = Field(examples=[4.5])
    slate: str | None
    slate_position: int | None = Field(examples=[0])
    time: float = Field(examples=[1763631000.0], description="Seconds since the epoch.")
    situation: dict[str, Any] = Field(examples=[{}])


class PastInteractions(BaseModel):
    """A page of a user's interactions, newest first."""

    interactions: list[PastInteraction]
    next: int | None = Field(examples=[1042], description="Give it as `before` for the next page.")
