"""The JSON Schema of config.yaml, with the options of every installed plugin's components in it."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.errors import PydanticInvalidForJsonSchema

from ..catalog.items import FIELD_TYPES
from ..components import KINDS, Component, Embedder, kind_of, only_tunes
from ..plugin_import import PluginProblem
from ..registry import Registry, summary
from ..rewards import NOT_KINDS, RewardTable
from .entries import ENTRY_NAME, KIND_OF_SECTION
from .holding import wanted
from .layers import SECTIONS
from .loading import DEFAULT_CACHE, DOMAIN_NAME, RESERVED
from .options import (
    KEYS_OF_KIND,
    AccountsOptions,
    ApiOptions,
    ItemsOptions,
    LearningOptions,
    SlateOptions,
    Switch,
)
from .store_url import DEFAULT_STORE

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_NULL: Schema = {"type": "null"}
_OFF: Schema = {"properties": {"enabled": {"const": False}}, "required": ["enabled"]}
_VARIABLE: Schema = {"type": "string", "pattern": r"\$\{", "description": "A variable of the environment."}


def json_schema(registry: Registry, plugins: Iterable[str] | None = None, *, preset: bool = False) -> Schema:
    """The JSON Schema 2020-12 of a config.yaml, or of a preset, which is what stands under a domain's name.

    plugins: the plugins whose components it knows; None: all that are installed. Those that can't be loaded
    are left out. Components of other plugins are let through unchecked.
    """
    writer = _Writer()
    for name in registry.names() if plugins is None else plugins:
        try:
            plugin = registry.load(name)
        except PluginProblem:
            continue
        for short, component in plugin.components.items():
            writer.component(f"{name}.{short}", component)
    writer.domain()
    root = {"$ref": "#/$defs/domain"} if preset else writer.root()
    title = "A preset of Tastemaker" if preset else "The configuration of Tastemaker"
    return {"$schema": DIALECT, "title": title, **root, "$defs": writer.definitions}


class _Writer:
    """Collects definitions: one for each component, two for each kind of entry, one for a domain."""

    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = {"variable": _VARIABLE}
        self._required: dict[str, list[str]] = {}
        self._uses: dict[str, list[str]] = {kind: [] for kind in (*KINDS, "embedder")}

    def component(self, use: str, component: type[Component]) -> None:
        """Note one component: its options and the core's keys are all that its entry may have."""
        kind = kind_of(component)
        keys = self._options("core", KEYS_OF_KIND[kind])[0] if kind in KEYS_OF_KIND else {}
        if only_tunes(component):
            keys = {key: schema for key, schema in (keys or {}).items() if key != "weight"}
        options, required = self._options(use, component)
        closed = options is not None
        self.definitions[use] = {
            "description": summary(component),
            "properties": {"use": {"const": use}, **(keys or {}), **(options or {})},
            **({"additionalProperties": False} if closed else {}),
        }
        found = [option for option, _, _ in wanted(component)]
        self._required[use] = [option for option in required if option not in found]
        self._uses[kind].append(use)
        if issubclass(component, Embedder):
            self._uses["embedder"].append(use)

    def domain(self) -> None:
        """Define the entries of each kind, and the domain that holds them."""
        for section in SECTIONS:
            self._entry(KIND_OF_SECTION[section], KIND_OF_SECTION[section])
        self._entry("connector", "embedder")
        self._entry("reward", "reward")
        sections = {section: self._section(KIND_OF_SECTION[section], whole=False) for section in SECTIONS}
        whole = {section: self._section(KIND_OF_SECTION[section], whole=True) for section in SECTIONS}
        enabled = self._options("core", Switch)[0] or {}
        text: Schema = {"type": ["string", "null"]}
        complete: Schema = {
            "required": ["items", "sources"],
            "properties": {**whole, "items": {"required": ["fields"], "properties": self._items(whole=True)}},
        }
        self.definitions["domain"] = {
            "type": "object",
            "properties": {
                "extends": {**text, "description": "The preset that this domain stands on."},
                **enabled,
                "title": {**text, "description": "The domain's name for people."},
                "description": {**text, "description": "What the domain is about."},
                "items": {
                    "type": "object",
                    "properties": self._items(whole=False),
                    "additionalProperties": False,
                },
                **sections,
                "rewards": self._rewards(),
                "slate": self._model("slate", SlateOptions),
                "learning": self._model("learning", LearningOptions),
            },
            "additionalProperties": False,
            "if": {
                "anyOf": [
                    {"required": ["extends"]},
                    _OFF,
                ]
            },
            "else": complete,
        }

    def root(self) -> Schema:
        """The whole file."""
        return {
            "type": "object",
            "properties": {
                "version": {"const": 1, "description": "The version of this format."},
                "store": {
                    "type": ["string", "null"],
                    "default": DEFAULT_STORE,
                    "description": "URL of the database; a relative SQLite file lies beside this one.",
                },
                "cache": {
                    "type": ["string", "null"],
                    "default": DEFAULT_CACHE,
                    "description": "Where processes share what services answered, and what they may still ask.",
                },
                "accounts": self._model("accounts", AccountsOptions),
                "plugins": {
                    "type": ["array", "null"],
                    "items": {"type": "string"},
                    "description": "Plugins to load even if no entry uses them: names or ./file.py paths.",
                },
                "api": self._model("api", ApiOptions),
                "domains": {
                    "type": ["object", "null"],
                    "propertyNames": {"pattern": DOMAIN_NAME, "not": {"enum": sorted(RESERVED)}},
                    "additionalProperties": {"anyOf": [{"$ref": "#/$defs/domain"}, _NULL]},
                },
            },
            "additionalProperties": False,
        }

    def _items(self, *, whole: bool) -> dict[str, Schema]:
        types: Schema = {"enum": list(FIELD_TYPES)}
        return {
            "id": {
                "type": ["string", "null"],
                "default": "id",
                "description": "The raw key that holds the id.",
            },
            "from": _or_null(_ref("collector", whole)),
            "fields": {
                "type": ["object", "null"],
                "additionalProperties": types if whole else {"anyOf": [types, _NULL]},
                "description": "The type of each field.",
                **({"minProperties": 1} if whole else {}),
            },
            "embedding": _or_null(_ref("embedder", whole)),
            "most": {
                "type": ["integer", "null"],
                "minimum": 1,
                "description": ItemsOptions.model_fields["most"].description,
            },
        }

    def _section(self, kind: str, *, whole: bool) -> Schema:
        # A list takes the place of what a preset has, so its entries are whole in any case.
        return {
            "type": ["array", "object", "null"],
            "items": _ref(kind, True),
            "propertyNames": {"pattern": f"^{ENTRY_NAME}$"},
            "additionalProperties": _or_null(_ref(kind, whole)),
        }

    def _entry(self, kind: str, name: str) -> None:
        """Define an entry as it may stand over a preset's, where `use` can be left out; and a whole one."""
        uses = sorted(self._uses[name])
        keys = self._options("core", KEYS_OF_KIND[kind])[0] if kind in KEYS_OF_KIND else {}
        known: list[Schema] = [{"enum": uses}] if uses else []
        others = sorted(use for other, found in self._uses.items() if other != "embedder" for use in found)
        foreign = [use for use in others if use not in uses]
        unknown: Schema = {"type": "string", "pattern": r"^[^.]+\.[^.]+$|\$\{"}
        if foreign:
            unknown["not"] = {"enum": foreign}
        self.definitions[f"{name}-entry"] = {
            "type": "object",
            "properties": {"use": {"anyOf": [*known, unknown]}, **(keys or {})},
            "allOf": [{"if": _uses(use), "then": {"$ref": f"#/$defs/{use}"}} for use in uses] or [{}],
        }
        required: list[Schema] = [
            {"if": _uses(use), "then": {"required": self._required[use]}}
            for use in uses
            if self._required[use]
        ]
        self.definitions[f"whole-{name}-entry"] = {
            "$ref": f"#/$defs/{name}-entry",
            "required": ["use"],
            # What is switched off need not be complete.
            "anyOf": [
                _OFF,
                {"allOf": required or [{}]},
            ],
        }

    def _rewards(self) -> Schema:
        table, _ = self._options("rewards", RewardTable)
        rule = (table or {}).get("kinds", {})
        inner = next(
            option["additionalProperties"] for option in rule["anyOf"] if "additionalProperties" in option
        )
        reserved = {key: (table or {})[key] for key in NOT_KINDS if key in (table or {})}
        return {
            "description": "What each kind of interaction is worth; `seen` is for items that drew none.",
            "if": {"required": ["use"]},
            "then": {"$ref": "#/$defs/reward-entry"},
            "else": {
                "type": ["object", "null"],
                "properties": reserved,
                "additionalProperties": {"anyOf": [inner, _NULL, _ref_variable()]},
            },
        }

    def _model(self, name: str, model: type[BaseModel]) -> Schema:
        options, _ = self._options(name, model)
        return {
            "type": ["object", "null"],
            "description": summary(model),
            "properties": options or {},
            "additionalProperties": False,
        }

    def _options(self, name: str, model: type[BaseModel]) -> tuple[dict[str, Schema] | None, list[str]]:
        """The schema of each option, None where there can be none, and the names of those that are required.

        Every option may be null, which stands for its default, or a variable of the environment.
        """
        try:
            schema = model.model_json_schema(ref_template=f"#/$defs/{name}.{{model}}")
        except PydanticInvalidForJsonSchema:
            return None, []
        for inner, definition in schema.pop("$defs", {}).items():
            self.definitions[f"{name}.{inner}"] = definition
        options: dict[str, Schema] = {}
        for option, found in schema.get("properties", {}).items():
            outer = {key: found.pop(key) for key in ("title", "description", "default") if key in found}
            outer.pop("title", None)
            options[option] = {"anyOf": [found, _NULL, _ref_variable()], **outer}
        return options, list(schema.get("required", []))


def summary_of(model: type[BaseModel]) -> str:
    """The first line of a model's docstring."""
    return (model.__doc__ or "").strip().partition("\n")[0]


def _uses(use: str) -> Schema:
    return {"properties": {"use": {"const": use}}, "required": ["use"]}


def _ref(name: str, whole: bool) -> Schema:
    return {"$ref": f"#/$defs/{'whole-' if whole else ''}{name}-entry"}


def _ref_variable() -> Schema:
    return {"$ref": "#/$defs/variable"}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, _NULL]}
