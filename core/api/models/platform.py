"""Models of what runs here: domains, plugins, health."""

from typing import Literal

from pydantic import BaseModel, Field


class StepInfo(BaseModel):
    """One component of a composition."""

    name: str = Field(examples=["similar"])
    use: str = Field(examples=["catalog.similar"])
    weight: float | None = Field(None, examples=[0.6], description="Of scorers and policies.")


class PolicyInfo(StepInfo):
    """One policy, and how far it has learned."""

    position: int = Field(examples=[1041], description="How far of the log it has learned.")
    state: str | None = Field(
        examples=["5a1d8e3b90c2f764"],
        description="Digest of what it has learned; null while it can't be told.",
    )
    broken: str | None = Field(
        None, examples=[None], description="Why it learns no more; null while it does."
    )


class DomainInfo(BaseModel):
    """One domain."""

    name: str = Field(examples=["books"])
    title: str = Field(examples=["Books"])
    description: str
    items: int = Field(examples=[10_000])
    config: str = Field(examples=["8f0c9a1be2d34c55"], description="Digest of the composition.")
    sources: list[StepInfo]
    filters: list[StepInfo]
    scorers: list[StepInfo]
    policies: list[PolicyInfo]
    position: int = Field(examples=[1041], description="The log position that the domain has reached.")


class Domains(BaseModel):
    """All domains."""

    domains: list[DomainInfo]
    log: int = Field(examples=[1042], description="Where the log ends.")


class OfferedComponent(BaseModel):
    """One component that a plugin offers."""

    name: str = Field(examples=["catalog.similar"])
    kind: str = Field(examples=["source"])
    summary: str


class PluginDescription(BaseModel):
    """One plugin."""

    name: str = Field(examples=["catalog"])
    distribution: str = Field(examples=["tastemaker"])
    version: str = Field(examples=["0.1.0"])
    loaded: bool
    components: list[OfferedComponent]
    presets: list[str]
    hooks: list[str] = Field(examples=[["components"]])
    error: str | None


class Plugins(BaseModel):
    """All plugins that can be loaded."""

    plugins: list[PluginDescription]


class Health(BaseModel):
    """The process is up."""

    status: Literal["ok"]


class Readiness(BaseModel):
    """The server can do its work."""

    status: Literal["ready"]
    log: int = Field(examples=[1042], description="Where the log ends.")
    learned: int = Field(examples=[1042], description="How far it has been learned.")
    lag: int = Field(examples=[0], description="Entries that are still to be learned from.")
