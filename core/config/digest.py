"""The digest of a composition: the same for the same decisions, whatever machine it stands on."""

import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretBytes, SecretStr

from ..components import Component
from .options import LearningOptions, SlateOptions, TrainingOptions
from .settings import ItemsPlan, Step


def digest(
    items: ItemsPlan,
    steps: Mapping[str, Sequence[Step]],
    reward: Component,
    slate: SlateOptions,
    learning: LearningOptions,
    withheld: Mapping[str, str] | None = None,
) -> str:
    """16 hexadecimal digits. Of the order of keys, only that of steps in a section counts."""
    whole = {
        "items": {
            "id": items.schema.id,
            "fields": dict(items.schema.fields),
            "separator": items.schema.separator,
            "from": _step(items.collector) if items.collector else None,
            "embedding": _bare(items.embedder) if items.embedder else None,
        },
        "steps": {section: [_step(step) for step in listed] for section, listed in steps.items()},
        "reward": _bare(reward),
        "slate": _bare(slate),
        "learning": _deciding(learning),
    }
    if withheld:
        whole["withheld"] = sorted(withheld)
    return sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:16]


def _deciding(learning: LearningOptions) -> Any:
    """What of the options of learning has a part in decisions."""
    named = _bare(learning)
    return {name: value for name, value in named.items() if name not in TrainingOptions.model_fields}


def _step(step: Step) -> Any:
    return [step.name, step.use, _bare(step.component), step.weight, step.timeout_ms, step.on_error]


def _bare(value: Any) -> Any:
    """Plain data without secrets and without the folders of paths."""
    match value:
        case SecretStr() | SecretBytes():
            return None
        case BaseModel():
            fields = {name: _bare(getattr(value, name)) for name in type(value).model_fields}
            return {"model": type(value).__qualname__, **fields}
        case Path():
            return value.name
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {str(key): _bare(inner) for key, inner in value.items()}
        case AbstractSet():
            return sorted(
                (_bare(inner) for inner in value), key=lambda inner: json.dumps(inner, sort_keys=True)
            )
        case list() | tuple():
            return [_bare(inner) for inner in value]
        case _:
            return str(value)
