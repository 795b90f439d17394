"""Names and other small values in bodies, and what they are told when they don't fit."""

import math
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Annotated, Any

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    PlainValidator,
    SecretStr,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from ..catalog.items import typed_value
from ..errors import ItemError, did_you_mean
from .problems import Issue
from .reading import name_fault

NAME_PATTERN = r"^[^\u0000-\u001f\u007f-\u009f]+$"
"""What a name looks like, for the OpenAPI document."""

_LONGEST_SITUATION = 16_384
MOST_CREDENTIALS = 20
_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}")


def misfit(message: str, hint: str = "") -> PydanticCustomError:
    """A validation error in our own words. Braces in them mean nothing."""
    return PydanticCustomError("misfit", "{said}", {"said": message, "hint": hint})


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _name(name: str) -> str:
    fault = name_fault(name)
    if fault:
        raise misfit(fault)
    return name


def _finite(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise misfit("must be a finite number")
    return float(value)


def _moment(value: Any) -> float | None:
    if value is None:
        return None
    try:
        moment = typed_value("time", "time", value)
    except ItemError as error:
        raise misfit(str(error).removeprefix("'time' ")) from None
    if not isinstance(moment, float):
        raise misfit("must be a time such as 2026-11-20T09:30:00Z or seconds since 1970")
    return moment


def _situation(value: dict[str, Any]) -> dict[str, Any]:
    if value and len(orjson.dumps(value)) > _LONGEST_SITUATION:
        raise misfit(f"is longer than {_LONGEST_SITUATION:,} bytes", "keep only what recommendations need")
    return value


def credentials(value: Any, connectors: Collection[str]) -> dict[str, SecretStr]:
    """Tokens by the name of one of the connectors. What is wrong is said without showing them.

    Nor is a name shown that is none of theirs: it may be a token.
    """
    if not isinstance(value, dict):
        raise misfit("must be an object: a token by the name of a connector")
    if len(value) > MOST_CREDENTIALS:
        raise misfit(f"must have at most {MOST_CREDENTIALS} tokens")
    for name, token in value.items():
        if name not in connectors:
            there = " and ".join(map(repr, connectors))
            raise misfit(
                "has a name that is no connector's of this domain",
                f"it has {there}" if there else "it has none",
            )
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise misfit(f"{name!r} must be a token: 1 to 8,192 characters of ASCII without spaces")
    return {name: SecretStr(token) for name, token in value.items()}


def _credentials(value: Any, info: ValidationInfo) -> dict[str, SecretStr]:
    return credentials(value, (info.context or {}).get("connectors", ()))


Name = Annotated[
    str,
    Field(min_length=1, max_length=256, json_schema_extra={"pattern": NAME_PATTERN}),
    BeforeValidator(_as_text),
    AfterValidator(_name),
]
"""A name of a user, an item, a slate; a whole number is taken as its digits."""
Number = Annotated[float, BeforeValidator(_finite)]
Moment = Annotated[
    float,
    BeforeValidator(_moment),
    Field(json_schema_extra={"anyOf": [{"type": "string", "format": "date-time"}, {"type": "number"}]}),
]
Credentials = Annotated[
    dict[str, SecretStr],
    PlainValidator(_credentials),
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {"type": "string", "format": "password", "writeOnly": True},
            "maxProperties": MOST_CREDENTIALS,
        }
    ),
]
"""Tokens by the name of a connector; the validation's context has these as `connectors`."""
Situation = Annotated[dict[str, Any], AfterValidator(_situation)]


def issues(error: ValidationError, model: type[BaseModel], where: str) -> list[Issue]:
    """What pydantic found, as issues."""
    return [_issue(detail, list(model.model_fields), where) for detail in error.errors(include_url=False)]


def issues_of(details: Sequence[Any]) -> list[Issue]:
    """The same of what FastAPI found in a request to a plugin's route."""
    return [_issue(detail, [], "") for detail in details]


def _issue(detail: ErrorDetails, known: Iterable[str], where: str) -> Issue:
    place = where
    for part in detail["loc"]:
        place += f"[{part}]" if isinstance(part, int) else f".{str(part)[:64]}"
    kind, given = detail["type"], detail["input"]
    context = detail.get("ctx", {})
    hint = str(context.get("hint", "")) if kind == "misfit" else ""
    if kind == "extra_forbidden":
        hint = did_you_mean(str(detail["loc"][-1]), known).removeprefix("; ")
    message = _WORDS.get(kind) or _own(kind, detail["msg"], context)
    if kind in _SHOWING and isinstance(given, str | int | float | bool | None):
        shown = repr(given)
        message += f", not {shown if len(shown) <= 40 else shown[:37] + '…'}"
    return Issue(place.removeprefix("."), message, hint)


_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is no field here",
    "string_type": "must be a text",
    "bool_type": "must be true or false",
    "dict_type": "must be an object",
    "list_type": "must be a list",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "model_type": "must be an object",
    "string_too_short": "must have 1 to 256 characters, not 0",
}
_SHOWING = frozenset({"string_type", "bool_type", "dict_type", "list_type", "int_type", "int_from_float"})


def _own(kind: str, message: str, context: Any) -> str:
    if kind == "misfit":
        return message
    if kind == "string_too_long":
        return f"must have at most {context['max_length']} characters"
    return message[:1].lower() + message[1:]
