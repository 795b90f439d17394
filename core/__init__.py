"""The public face of Tastemaker for authors of plugins: everything they need, from one place."""

if __name__ != "tastemaker.core":
    raise ImportError(
        f"imported as {__name__!r}: write `from tastemaker.core import …`, "
        "so that there is one copy of every class"
    )

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .arms import Arms
    from .candidates import Candidates
    from .catalog.catalog import Catalog, CatalogSnapshot
    from .catalog.columns import Tags, Vocabulary
    from .catalog.items import FieldType, ItemSchema, typed_value
    from .catalog.retrieval import VectorIndex
    from .collection import Collection, Fault, Record
    from .components import (
        AnyField,
        Collector,
        Component,
        ConfigPath,
        Connector,
        Embedder,
        FieldOf,
        Filter,
        FlagField,
        NumberField,
        Occasion,
        Policy,
        Proposal,
        Reward,
        Scorer,
        Scores,
        Source,
        State,
        TimeField,
        WordField,
    )
    from .context import Context, Request
    from .errors import (
        CollectorError,
        ComponentError,
        ConfigError,
        Conflict,
        ConnectorError,
        ItemError,
        NotFound,
        PluginError,
        RequestError,
        StoreError,
        StoreUnavailable,
        TastemakerError,
        UnknownColumn,
        Withheld,
        did_you_mean,
    )
    from .feedback import Feedback
    from .hooks import hookimpl
    from .interaction import Interaction
    from .outcomes import Outcomes
    from .recent import Question
    from .service import (
        Breaker,
        Budget,
        Call,
        Claim,
        Exhausted,
        Forbidden,
        Garbage,
        Invalid,
        Keeping,
        Left,
        LocalMemory,
        Missing,
        Refused,
        Service,
        ServiceError,
        SharedMemory,
        Span,
        Throttled,
        Unavailable,
        Unreachable,
        gathered,
    )
    from .slate import Degradation, Pick, Slate
    from .terms import Terms
    from .traits import Trait, trait_confidence, trait_of, traits_of

__all__ = [
    "AnyField",
    "Arms",
    "Breaker",
    "Budget",
    "Call",
    "Candidates",
    "Catalog",
    "CatalogSnapshot",
    "Claim",
    "Collection",
    "Collector",
    "CollectorError",
    "Component",
    "ComponentError",
    "ConfigError",
    "ConfigPath",
    "Conflict",
    "Connector",
    "ConnectorError",
    "Context",
    "Degradation",
    "Embedder",
    "Exhausted",
    "Fault",
    "Feedback",
    "FieldOf",
    "FieldType",
    "Filter",
    "FlagField",
    "Forbidden",
    "Garbage",
    "Interaction",
    "Invalid",
    "ItemError",
    "ItemSchema",
    "Keeping",
    "Left",
    "LocalMemory",
    "Missing",
    "NotFound",
    "NumberField",
    "Occasion",
    "Outcomes",
    "Pick",
    "PluginError",
    "Policy",
    "Proposal",
    "Question",
    "Record",
    "Refused",
    "Request",
    "RequestError",
    "Reward",
    "Scorer",
    "Scores",
    "Service",
    "ServiceError",
    "SharedMemory",
    "Slate",
    "Source",
    "Span",
    "State",
    "StoreError",
    "StoreUnavailable",
    "Tags",
    "TastemakerError",
    "Terms",
    "Throttled",
    "TimeField",
    "Trait",
    "Unavailable",
    "UnknownColumn",
    "Unreachable",
    "VectorIndex",
    "Vocabulary",
    "Withheld",
    "WordField",
    "did_you_mean",
    "gathered",
    "hookimpl",
    "trait_confidence",
    "trait_of",
    "traits_of",
    "typed_value",
]

_HOMES = {
    "arms": "Arms",
    "candidates": "Candidates",
    "catalog.catalog": "Catalog CatalogSnapshot",
    "catalog.columns": "Tags Vocabulary",
    "catalog.items": "FieldType ItemSchema typed_value",
    "catalog.retrieval": "VectorIndex",
    "collection": "Collection Fault Record",
    "components": "AnyField Collector Component ConfigPath Connector Embedder FieldOf Filter FlagField NumberField "
    "Occasion Policy Proposal Reward Scorer Scores Source State TimeField WordField",
    "context": "Context Request",
    "errors": "CollectorError ComponentError ConfigError Conflict ConnectorError ItemError NotFound PluginError "
    "RequestError StoreError StoreUnavailable TastemakerError UnknownColumn Withheld did_you_mean",
    "feedback": "Feedback",
    "hooks": "hookimpl",
    "interaction": "Interaction",
    "outcomes": "Outcomes",
    "recent": "Question",
    "service": "Breaker Budget Call Claim Exhausted Forbidden Garbage Invalid Keeping Left LocalMemory "
    "Missing Refused Service ServiceError SharedMemory Span Throttled Unavailable Unreachable "
    "gathered",
    "slate": "Degradation Pick Slate",
    "terms": "Terms",
    "traits": "Trait trait_confidence trait_of traits_of",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Give a public name, from the module it lives in.

        Looked up when it is asked for: the command line answers `--help` without loading numpy and pydantic.
        """
        home = _HOME_OF.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f".{home}", __name__), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
