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
    from .catalog import Catalog, CatalogSnapshot
    from .collection import Fault, Record
    from .columns import Tags, Vocabulary
    from .components import (
        AnyField,
        Collector,
        Component,
        ConfigPath,
        Connector,
        Embedder,
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
        did_you_mean,
    )
    from .feedback import Feedback
    from .hooks import hookimpl
    from .interaction import Interaction
    from .items import FieldType, ItemSchema, typed_value
    from .outcomes import Outcomes
    from .retrieval import VectorIndex
    from .slate import Degradation, Pick, Slate

__all__ = [
    "AnyField",
    "Arms",
    "Candidates",
    "Catalog",
    "CatalogSnapshot",
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
    "Fault",
    "Feedback",
    "FieldType",
    "Filter",
    "FlagField",
    "Interaction",
    "ItemError",
    "ItemSchema",
    "NotFound",
    "NumberField",
    "Occasion",
    "Outcomes",
    "Pick",
    "PluginError",
    "Policy",
    "Proposal",
    "Record",
    "Request",
    "RequestError",
    "Reward",
    "Scorer",
    "Scores",
    "Slate",
    "Source",
    "State",
    "StoreError",
    "StoreUnavailable",
    "Tags",
    "TastemakerError",
    "TimeField",
    "UnknownColumn",
    "VectorIndex",
    "Vocabulary",
    "WordField",
    "did_you_mean",
    "hookimpl",
    "typed_value",
]

_HOMES = {
    "arms": "Arms",
    "candidates": "Candidates",
    "catalog": "Catalog CatalogSnapshot",
    "collection": "Fault Record",
    "columns": "Tags Vocabulary",
    "components": "AnyField Collector Component ConfigPath Connector Embedder Filter FlagField NumberField Occasion "
    "Policy Proposal Reward Scorer Scores Source State TimeField WordField",
    "context": "Context Request",
    "errors": "CollectorError ComponentError ConfigError Conflict ConnectorError ItemError NotFound PluginError "
    "RequestError StoreError StoreUnavailable TastemakerError UnknownColumn did_you_mean",
    "feedback": "Feedback",
    "hooks": "hookimpl",
    "interaction": "Interaction",
    "items": "FieldType ItemSchema typed_value",
    "outcomes": "Outcomes",
    "retrieval": "VectorIndex",
    "slate": "Degradation Pick Slate",
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
