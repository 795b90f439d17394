"""Turning a knob: a model with one of its options replaced, and validated again."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from ..catalog.items import ItemSchema
from ..errors import ComponentError, did_you_mean
from .markers import field_faults
from .words import words

M = TypeVar("M", bound=BaseModel)


def as_key(knobs: Mapping[str, Any]) -> str:
    """Knobs as a text that is the same for the same knobs. Raises ComponentError where one isn't plain data.

    >>> as_key({"slate.explore": np.float64(0.5), "slate.size": 6})
    '{"slate.explore": 0.5, "slate.size": 6}'
    """
    try:
        return json.dumps(knobs, sort_keys=True, allow_nan=False, default=_unwrapped)
    except (TypeError, ValueError) as error:
        raise ComponentError(
            f"knobs must be finite numbers, texts, flags, lists and mappings of them: {error}"
        ) from None


def turned(model: M, option: str, value: Any, path: str, schema: ItemSchema | None = None) -> M:
    """The model with the option replaced; `a.b` is the key b of the option a. Raises ComponentError.

    path: the whole knob, for messages. schema: what options that name fields are checked against.
    """
    kind = type(model)
    name, *inner = option.split(".")
    if name not in kind.model_fields:
        raise no_knob(path, _place(path, option), kind.model_fields)
    options = {field: getattr(model, field) for field in kind.model_fields}
    options[name] = _placed(options[name], inner, value, path)
    aliased = {kind.model_fields[field].alias or field: each for field, each in options.items()}
    try:
        new = kind.model_validate(aliased)
    except ValidationError as error:
        raise ComponentError(
            f"the knob {path!r} {words(error.errors(include_url=False)[0])}, not {value!r}"
        ) from None
    except Exception as error:
        raise ComponentError(f"the knob {path!r} can't be {value!r}: {error}") from error
    if schema is not None:
        for _, message, hint in field_faults(new, schema):
            raise ComponentError(f"the knob {path!r} can't be {value!r}: {message}; {hint}")
    return new


def no_knob(path: str, place: int, known: Iterable[str]) -> ComponentError:
    """That there is no such knob, as the step at a place of its path is none of those that are known.

    >>> no_knob("slate.diversiti", 1, ["diversity", "size"])
    ComponentError("no knob is called 'slate.diversiti'; did you mean 'slate.diversity'?")
    """
    steps = path.split(".")
    before, wrong, after = steps[:place], "".join(steps[place : place + 1]), steps[place + 1 :]
    hint = did_you_mean(wrong, known, lambda meant: ".".join([*before, meant, *after]))
    return ComponentError(f"no knob is called {path!r}{hint}")


def _place(path: str, rest: str) -> int:
    """At which step of a path its rest begins."""
    return len(path.split(".")) - (len(rest.split(".")) if rest else 0)


def _placed(holder: Any, inner: list[str], value: Any, path: str) -> Any:
    """The mapping with a value replaced at a path of keys that must be there."""
    if not inner:
        return value
    if not isinstance(holder, Mapping) or inner[0] not in holder:
        known = [str(key) for key in holder] if isinstance(holder, Mapping) else []
        raise no_knob(path, _place(path, ".".join(inner)), known)
    return {**holder, inner[0]: _placed(holder[inner[0]], inner[1:], value, path)}


def _unwrapped(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{value!r} is a {type(value).__name__}")
