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
| Policy | any of `tune`, `propose`, `rank`, `learn` | the composition's own order and knobs |
| Reward | `reward` | the interaction is not learned from |

Whatever failed is named in the slate's `degraded`.
"""

import re
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from .candidates import Candidates
from .collection import Fault, Record
from .context import Context
from .interaction import Interaction
from .items import FieldType
from .outcomes import Outcomes

Proposal = NDArray[np.intp] | Sequence[str] | Sequence[Mapping[str, Any]]
"""What a source may propose: rows of `context.catalog`, ids, or raw items with their `id`."""

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
ConfigPath = Annotated[Path, ConfigFile()]


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
    """The only place with network or model I/O."""

    def open(self) -> None | Awaitable[None]:
        """Get ready; called once before the first use."""
        return None

    def close(self) -> None | Awaitable[None]:
        """Let go of everything."""
        return None

    def health(self) -> str | None:
        """None when well, else what is wrong, for people."""
        return None


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

    def collect(self) -> Iterable[Record | Fault]:
        """Records as they stand outside, and faults where one can't be read. Raises CollectorError."""
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

    `soft`: a wish rather than a rule; it is lifted where it would leave nothing at all.
    """

    soft: ClassVar[bool] = False

    def keep(
        self, context: Context, candidates: Candidates
    ) -> NDArray[np.bool_] | Awaitable[NDArray[np.bool_]]:
        """True where the candidate stays, shape (n,)."""
        return np.ones(len(candidates), dtype=bool)


class Scorer(Component):
    """Scores candidates; its `weight` times its score is added to the sum."""

    def score(self, context: Context, candidates: Candidates) -> Scores | Awaitable[Scores]:
        """Finite numbers, by custom from 0 to 1, shape (n,)."""
        return np.zeros(len(candidates))


class Policy(Component):
    """Learns. It may tune the composition's knobs, propose candidates, rank them, or do all of it.

    Randomness comes from `context.rng` only. What `learn` does must not depend on how the log was cut into
    batches, nor on the wall clock: the state is a fold over the log. The core never runs two methods of one
    policy at the same time.
    """

    def tune(self, context: Context) -> Mapping[str, Any] | Awaitable[Mapping[str, Any]]:
        """Knobs by path in the composition, such as `{"scorers.match.weight": 0.7}`."""
        return {}

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


def kind_of(component: type[Component]) -> str:
    """The kind of a component class.

    >>> kind_of(Embedder)
    'connector'
    """
    return next(name for name, kind in KINDS.items() if issubclass(component, kind))
