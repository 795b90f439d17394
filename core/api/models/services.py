"""Models of services and collectors."""

from typing import Any, Literal

from pydantic import BaseModel, Field


class FaultInfo(BaseModel):
    """One place that could not be read."""

    where: str = Field(examples=["books.csv:14"])
    message: str = Field(examples=["'rating' must be a finite number, not 'many'"])


class CollectorRunInfo(BaseModel):
    """One run of a collector, and what became of what it brought."""

    status: Literal["running", "done", "failed", "stopped", "lost"]
    trigger: Literal["schedule", "api", "cli"]
    started: float = Field(examples=[1763631000.0])
    heartbeat: float = Field(examples=[1763631000.0], description="When it last showed that it lives.")
    finished: float | None
    rows: int = Field(examples=[812], description="What it brought.")
    written: int = Field(examples=[12], description="Items that are new or have changed.")
    unchanged: int = Field(examples=[800])
    removed: int = Field(examples=[3], description="Items that it doesn't bring any more.")
    interactions: int = Field(examples=[0], description="Interactions that are new.")
    duplicates: int = Field(examples=[0], description="Interactions that the log had already.")
    rejected: int = Field(examples=[1], description="Rows that could not be taken.")
    faults: list[FaultInfo] = Field(description="The first of them.")
    note: str = Field(examples=[""])
    error: str = Field(examples=[""])
    failures: int = Field(examples=[0], description="Runs in a row that failed.")


class CollectorInfo(BaseModel):
    """One collector of a domain, and its last run."""

    domain: str = Field(examples=["books"])
    name: str = Field(examples=["feed"])
    use: str = Field(examples=["files.table"])
    origin: str = Field(examples=["feed"], description="What its items have as their origin.")
    every: str = Field(examples=["6h"])
    replace: bool
    last: CollectorRunInfo | None
    due: float = Field(examples=[1763652600.0], description="When it is to run next; in the past: now.")


class Collectors(BaseModel):
    """The collectors of a domain."""

    collectors: list[CollectorInfo]


class BudgetLeft(BaseModel):
    """What is left of a budget."""

    limit: int = Field(examples=[100])
    left: int = Field(examples=[82])
    until: float | None = Field(examples=[1763631000.0], description="When a closed one opens again.")


class ServiceInfo(BaseModel):
    """One connector: whether it is configured, and how it is."""

    domain: str = Field(examples=["music"])
    name: str = Field(examples=["spotify"])
    use: str = Field(examples=["spotify.api"])
    configured: bool
    trouble: str = Field(examples=[""], description="Why it can't be used; empty where it can.")
    empty: list[str] = Field(examples=[["client_id"]], description="Options with an empty text.")
    budgets: dict[str, BudgetLeft]
    unavailable: dict[str, str] = Field(
        examples=[{"recommendations": "404"}], description="Operations that this app isn't given."
    )
    counters: dict[str, dict[str, Any]] = Field(
        examples=[{"search": {"calls": 12}}], description="By operation, of the process that answers."
    )
    without: list[str] = Field(
        examples=[["sources.seeds"]], description="Entries that take no part on its account."
    )


class CacheInfo(BaseModel):
    """Where processes share what services said."""

    url: str = Field(examples=["memory://"])
    trouble: str = Field(examples=[""])
    note: str = Field(
        examples=[""],
        description="How far the budgets can be trusted; empty where all processes count as one.",
    )


class Services(BaseModel):
    """The connectors of all domains."""

    cache: CacheInfo
    services: list[ServiceInfo]
