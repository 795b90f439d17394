"""What comes in and what goes out, for validation and for the OpenAPI document."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ..errors import did_you_mean
from .names import Moment, Name, Number, Situation, misfit

_KIND = re.compile(r"[a-z][a-z0-9_]{0,63}")
MOST_ITEMS_IN_A_SLATE = 500


def _kind(kind: str) -> str:
    if not _KIND.fullmatch(kind):
        near = re.sub(r"[^a-z0-9_]+", "_", kind.strip().lower())
        near = did_you_mean(near, [near]).removeprefix("; ") if _KIND.fullmatch(near) else ""
        raise misfit("must be a lower-case letter, then at most 63 of a-z, 0-9 and _", near)
    return kind


def _size(limit: int) -> int:
    if not 1 <= limit <= MOST_ITEMS_IN_A_SLATE:
        raise misfit(f"must be a whole number from 1 to {MOST_ITEMS_IN_A_SLATE}, not {limit}")
    return limit


def _place(position: int) -> int:
    if not 0 <= position <= 1_000_000:
        raise misfit("must be a whole number from 0 to 1,000,000")
    return position


Kind = Annotated[str, AfterValidator(_kind), Field(json_schema_extra={"pattern": "^[a-z][a-z0-9_]{0,63}$"})]
Size = Annotated[
    int, AfterValidator(_size), Field(json_schema_extra={"minimum": 1, "maximum": MOST_ITEMS_IN_A_SLATE})
]
Place = Annotated[int, AfterValidator(_place), Field(json_schema_extra={"minimum": 0, "maximum": 1_000_000})]


class Incoming(BaseModel):
    """What a caller sends: unknown fields and wrong types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class RecommendationRequest(Incoming):
    """A request for recommendations."""

    user: Name = Field(examples=["ann"])
    limit: Size | None = Field(None, description="Items wanted; by default the domain's own `slate.size`.")
    situation: Situation = Field({}, examples=[{"mood": "calm"}], description="What is true of this moment.")
    exclude: list[Name] = Field([], max_length=10_000, description="Ids that must not come.")
    trace: bool = Field(False, description="Keep and return what became of every candidate.")


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


class SaveRequest(Incoming):
    """A request to keep what is live."""

    note: Annotated[str, Field(max_length=500)] = Field("", examples=["before the sale"])


class ProblemIssue(BaseModel):
    """One thing that is wrong."""

    where: str = Field(examples=["body.kind"])
    message: str = Field(examples=["must be a lower-case letter, then at most 63 of a-z, 0-9 and _"])
    hint: str = Field("", examples=["did you mean 'like'?"])


class ProblemDocument(BaseModel):
    """An error, as RFC 9457 writes it."""

    type: str = Field(examples=["/problems/validation"])
    title: str = Field(examples=["The request doesn't fit"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["body.kind must be a lower-case letter, then at most 63 of a-z, 0-9 and _"])
    instance: str = Field(examples=["/v1/interactions"])
    errors: list[ProblemIssue]
    id: str = Field("", description="For a 5xx: what to look for in the server's log.")


class Receipt(BaseModel):
    """What became of an interaction."""

    id: str = Field(examples=["ann-2026-11-20-17"])
    status: Literal["accepted", "duplicate"]
    position: int = Field(examples=[1042], description="Its place in the log.")
    warnings: list[str] = Field(examples=[[]])


class Result(BaseModel):
    """What became of one of several interactions."""

    id: str | None = Field(examples=["ann-2026-11-20-17"])
    status: Literal["accepted", "duplicate", "rejected"]
    position: int | None = Field(None, examples=[1042])
    warnings: list[str] = Field(examples=[[]])
    problem: ProblemDocument | None = None


class Results(BaseModel):
    """What became of several interactions, in their order."""

    results: list[Result]
    accepted: int = Field(examples=[1])
    duplicate: int = Field(examples=[0])
    rejected: int = Field(examples=[0])


class User(BaseModel):
    """A user and what is known of him or her."""

    id: str = Field(examples=["ann"])
    profile: dict[str, Any] = Field(examples=[{"languages": ["en"], "openness": 0.8}])


class Erased(BaseModel):
    """How much of a user was deleted."""

    id: str = Field(examples=["ann"])
    profiles: int = Field(examples=[1])
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
        description="By policy, why it turned the knobs as it did, in words.", examples=[{}]
    )
    items: list[ExplainedPick]
    runners_up: list[ItemFate]
    item: ItemFate | None = Field(description="The item that was asked about.")
    degraded: list[Failure]


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
