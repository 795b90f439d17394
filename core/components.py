"""The seven kinds of component. A component is a frozen model: its fields are its options in YAML.

An author writes the one method of the kind, as `def` or `async def`; the core owns timing, limits, error
handling, validation and trace around it. What a component may rely on, and what happens when it fails:

| kind | method | on error, unless `on_error` says otherwise |
|---|---|---|
| Connector | `open`, `close`, `health`, and its own | the sources that need it are skipped |
| Collector | `collect` | tried again later |
| Source | `propose` | skipped |
| Filter | `keep` | drops all candidates |
| Scorer | `score` | scores 0 |
| Policy | any of `perceive`, `tune`, `propose`, `rank`, `learn` | the composition's own order and knobs |
| Reward | `reward` | the interaction is not learned from |

Whatever failed is named in the slate's `degraded`.
"""

import re
from collections.abc import AsyncIterable, Awaitable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PrivateAttr,
    ValidationInfo,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from .candidates import Candidates
from .catalog.items import FieldType
from .collection import Collection, Fault, Record
from .context import Context
from .errors import ConnectorError
from .interaction import Interaction
from .outcomes import Outcomes
from .terms import Terms

Proposal = NDArray[np.intp] | Sequence[str | Mapping[str, Any]]
"""What a source may propose: rows of `context.catalog`, ids, raw items with their `id`, or of both some."""

Refreshed = Sequence[Mapping[str, Any] | ConnectorError | None]
"""Raw items, None where there is none any more, an error in place of one that couldn't be asked for."""

Collected = Record | Interaction | Fault
"""What a collector may yield."""

_OPENING = "it is still being opened"

Scores = NDArray[np.floating[Any]]
State = Mapping[str, Any]
"""A policy's state: arrays, numbers, texts and lists of texts by name."""


class FieldOf:
    """Marks an option that names a field of the domain's items, of one of the types where any are given."""

    def __init__(self, *types: FieldType) -> None:
        self.types = types


class ConfigFile:
    """Marks an option that is a path, relative to the YAML file that it is written in."""


AnyField = Annotated[str, FieldOf()]
NumberField = Annotated[str, FieldOf("number")]
TimeField = Annotated[str, FieldOf("time")]
FlagField = Annotated[str, FieldOf("flag")]
WordField = Annotated[str, FieldOf("category", "tags")]


def _nameable(path: Path) -> Path:
    if "\0" in str(path):
        raise ValueError("must be the path of a file: no path has a NUL character in it")
    return path


ConfigPath = Annotated[Path, AfterValidator(_nameable), ConfigFile()]


class Component(BaseModel):
    """One step of a composition. Fields are options; unknown options are refused.

    `blocking`: whether a call may wait (for a file, a network, a lock). Such calls run in a thread of their own
    and are left behind at their time limit. A component that only computes in memory sets it to False and runs
    in place, which is faster.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    blocking: ClassVar[bool] = True

    def misfits(self, fields: Mapping[str, FieldType]) -> Iterable[tuple[str, str]]:
        """What of the options doesn't go with the domain's fields, as option and reason.

        Asked when the config is read. That options marked as field names name fitting fields has been seen to.
        """
        return ()

    @classmethod
    def component_name(cls) -> str:
        """The class's name as it is written behind the dot of `use: plugin.component`.

        >>> class TagMatch(Scorer):
        ...     pass
        >>> TagMatch.component_name()
        'tag_match'
        """
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()


class Connector(Component):
    """The only place with network or model I/O.

    A component that needs one has an option of its type, such as `service: Spotify`, or `service: Spotify | None`
    where it works without. In YAML the option names an entry under `connectors:`; where it is left out, the only
    entry of that type is meant.
    """

    _trouble: str = PrivateAttr("it is not open")

    @property
    def configured(self) -> bool:
        """Whether it can be used at all; False where a key that it can't do without is empty.

        What needs a connector that isn't configured takes no part.
        """
        return True

    @property
    def trouble(self) -> str:
        """Why the platform can't use it now, such as that it could not be opened yet; empty where it can."""
        return self._trouble

    @property
    def opening(self) -> bool:
        """Whether the platform has begun to open it for the first time, and doesn't know yet what comes of that."""
        return self._trouble == _OPENING

    def _begin(self) -> None:
        self._trouble = _OPENING

    def open(self) -> None | Awaitable[None]:
        """Get ready; called once before the first use."""
        return None

    def close(self) -> None | Awaitable[None]:
        """Let go of everything."""
        return None

    def health(self) -> str | None | Awaitable[str | None]:
        """None when well, else what is wrong, for people."""
        return None

    @property
    def terms(self) -> Terms:
        """How long the items that it brings may be kept, and what may learn from them."""
        return Terms()

    def refresh(self, ids: Sequence[str]) -> Refreshed | Awaitable[Refreshed]:
        """Items anew, raw, one for each id; None where it is gone. Raises ConnectorError: then they are as they were.

        So is one in whose place is a ConnectorError. What an item says nothing of stays, and what it says None of goes.
        Where a connector doesn't have it, items that may not be kept longer are removed.
        """
        raise ConnectorError("it can't be asked for single items")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """As an option of another component it is an instance; a text takes one of the validation's context."""
        if not cls.__dict__.get("__pydantic_complete__"):  # the schema that is made is this class's own
            return handler(source)

        def held(value: Any, info: ValidationInfo) -> Any:
            found = (info.context or {}).get(value) if isinstance(value, str) else value
            if not isinstance(found, cls):
                raise PydanticCustomError("connector", "must be a connector")
            return found

        named = core_schema.plain_serializer_function_ser_schema(
            lambda held: type(held).__qualname__, return_schema=core_schema.str_schema()
        )
        option = core_schema.with_info_plain_validator_function(held)
        return core_schema.json_or_python_schema(option, option, serialization=named)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """As an option of another component it is a name."""
        return {"type": "string"} if schema["type"] == "json-or-python" else handler(schema)


class Embedder(Connector):
    """A connector that turns texts into vectors; a domain's `items.embedding` names one.

    `name` and `version` identify the model: vectors of two models are never mixed. `width` is the length of a
    vector.
    """

    @property
    def name(self) -> str:
        """The model's name."""
        return type(self).__qualname__

    @property
    def version(self) -> str:
        """Changes whenever the same text would get another vector."""
        return "1"

    @property
    def width(self) -> int:
        """The length of a vector."""
        return 0

    @property
    def item_fields(self) -> Sequence[str]:
        """The item fields that `item_text` reads."""
        return ()

    def item_text(self, item: Mapping[str, Any]) -> str:
        """The text that stands for an item."""
        return ""

    def profile_text(self, profile: Mapping[str, Any]) -> str:
        """The text that stands for a user's profile; empty where there is nothing to say."""
        return ""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, shape (n, width); zero for an empty text."""
        return np.zeros((len(texts), self.width), dtype=np.float32)


class Collector(Component):
    """Brings items or interactions in from outside, in the background or on demand."""

    separator: str = Field("|", description="between the tags in one cell or text")
    """What separates tags in a single cell."""

    def collect(self, collection: Collection) -> Iterable[Collected] | AsyncIterable[Collected]:
        """What there is outside, and faults where something can't be read: a `def` or `async def` generator.

        What came in before it raises stays; the run counts as failed, and is made again. Raises CollectorError.
        """
        return ()

    def fingerprint(self) -> str:
        """Changes when a new collection would bring something else; a domain collects anew when it does."""
        return ""


class Source(Component):
    """Proposes candidates. Sources run beside each other, each under its own time limit."""

    def propose(self, context: Context) -> Proposal | Awaitable[Proposal]:
        """Ids, rows or items worth considering, best first."""
        return ()


class Filter(Component):
    """Keeps or drops candidates.

    `soft`: a wish rather than a rule. Where it would leave nothing at all of what the rules and the wishes before it
    leave, the nearest items stay instead, and the slate names it.
    """

    soft: ClassVar[bool] = False

    def keep(
        self, context: Context, candidates: Candidates
    ) -> NDArray[np.bool_] | Awaitable[NDArray[np.bool_]]:
        """True where the candidate stays, shape (n,)."""
        return np.ones(len(candidates), dtype=bool)

    def distance(self, context: Context, candidates: Candidates) -> Scores | Awaitable[Scores]:
        """For a wish that nothing meets: how far each candidate is from it, shape (n,), finite; all alike stay."""
        return np.zeros(len(candidates))


class Scorer(Component):
    """Scores candidates; its `weight` times its score is added to the sum."""

    def score(self, context: Context, candidates: Candidates) -> Scores | Awaitable[Scores]:
        """Finite numbers, by custom from 0 to 1, shape (n,)."""
        return np.zeros(len(candidates))


class Policy(Component):
    """Learns. It may perceive the user, tune the composition's knobs, propose candidates, rank them, or do all of it.

    Randomness comes from `context.rng` only. What `learn` does must not depend on how the log was cut into
    batches, nor on the wall clock: the state is a fold over the log. The core never runs two methods of one
    policy at the same time.
    """

    def perceive(self, context: Context) -> Mapping[str, Any] | Awaitable[Mapping[str, Any]]:
        """What it knows of the user: laid over `context.profile` for this request, before any policy tunes.

        It may depend on what was learned, the profile and the user, not on the knobs.
        """
        return {}

    def tune(self, context: Context) -> Mapping[str, Any] | Awaitable[Mapping[str, Any]]:
        """Knobs by path in the composition, such as `{"scorers.match.weight": 0.7}`."""
        return {}

    def too_short(self, window_minutes: float) -> Iterable[tuple[str, str]]:
        """Which options are too short a time for the domain's attribution window, as option and reason.

        Asked when the config is read.
        """
        return ()

    def settings(self) -> Iterable[Mapping[str, Any]]:
        """Knobs that `tune` may give, where that can be told beforehand: checked when the config is read."""
        return ()

    def chance(self, context: Context, memo: Mapping[str, Any]) -> float | None:
        """For a policy that tunes at random: the probability with which it would turn the knobs as it noted in `memo`.

        None where it can't tell. `memo` has what it wrote into `context.memo`, with the probability of what it then
        did under `propensity`.
        """
        return None

    def propose(self, context: Context) -> Proposal | Awaitable[Proposal]:
        """Ids, rows or items worth considering, best first: what it has learned makes it a source, too."""
        return ()

    def rank(self, context: Context, candidates: Candidates) -> Scores | Awaitable[Scores]:
        """Scores of the shortlist, shape (n,).

        Where they are drawn at random: `context.draws` independent draws, shape (draws, n). The first decides, and
        all of them tell how probable its choice was. A policy that writes into `candidates.memo` is asked once more
        about items that came into the slate to be tried from beyond the shortlist; their scores count for nothing.
        """
        return np.zeros(len(candidates))

    def learn(self, outcomes: Outcomes) -> None:
        """Take outcomes in, in log order."""

    def fit(self) -> None:
        """Do what is too slow to be done while learning; called once, at the end of a training run."""

    def state(self) -> State:
        """All that was learned."""
        return {}

    def load(self, state: State) -> None:
        """Become what `state` gave. Raises ValueError where it doesn't fit; then nothing has changed."""

    def statistics(self) -> Mapping[str, float]:
        """What it has come to, as numbers by name, such as the mean and the largest of its values."""
        return {}

    def explain(self, item: str, memo: Mapping[str, Any]) -> str:
        """In a few words, the policy's part in an item's place, or with an empty id in the slate as a whole.

        memo: what it wrote when it decided, for the request and for this item; empty where it wrote nothing.
        """
        return ""

    def insight(self, user: str) -> str:
        """In a sentence, what a user's newest outcome changed, for that user; empty where it changed nothing.

        It is asked when that has just been learned, and its answer goes with that of the interaction.
        """
        return ""


@dataclass(frozen=True, slots=True)
class Occasion:
    """What surrounds an interaction with an item of a slate.

    kinds: what the same user did with it before, on this slate. seconds: since the slate was shown.
    situation: of the request.
    """

    kinds: AbstractSet[str]
    seconds: float
    situation: Mapping[str, Any]


class Reward(Component):
    """Says what an interaction is worth, where the domain's `rewards` map is not enough.

    `seen` is the reward of an item that was shown and drew no interaction before the attribution window closed;
    None learns nothing from that.
    """

    seen: Annotated[float, Field(allow_inf_nan=False)] | None = None

    def reward(self, interaction: Interaction) -> float | None:
        """The reward, or None where the interaction says nothing."""
        return None

    def earned(self, interaction: Interaction, occasion: Occasion) -> Mapping[str, float]:
        """What comes on top, by name; each name counts once for an item of a slate."""
        return {}

    def bounded(self, worth: float) -> float:
        """What all that was done with an item of a slate is worth, given the sum of rewards and bonuses."""
        return worth


KINDS: dict[str, type[Component]] = {
    "connector": Connector,
    "collector": Collector,
    "source": Source,
    "filter": Filter,
    "scorer": Scorer,
    "policy": Policy,
    "reward": Reward,
}
"""The seven kinds by name."""


def only_tunes(component: type[Component]) -> bool:
    """Whether a component is a policy without scores or candidates of its own to give."""
    if not issubclass(component, Policy):
        return False
    others = component.rank is not Policy.rank or component.propose is not Policy.propose
    return component.tune is not Policy.tune and not others


def kind_of(component: type[Component]) -> str:
    """The kind of a component class.

    >>> kind_of(Embedder)
    'connector'
    """
    return next(name for name, kind in KINDS.items() if issubclass(component, kind))
