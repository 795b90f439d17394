"""A validator's complaints in people's words."""

import re
from typing import Any

SHAPES: dict[str, str] = {
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "decimal_type": "must be a number",
    "decimal_parsing": "must be a number",
    "string_type": "must be a text",
    "path_type": "must be a path",
    "none_required": "must be null",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "set_type": "must be a list",
    "frozen_set_type": "must be a list",
    "dict_type": "must be a mapping",
    "mapping_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "dataclass_type": "must be a mapping",
}
"""Complaints about a value as a whole, which say what another type it should have had."""

_LIMITS: dict[str, str] = {
    "finite_number": "must be finite",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match {pattern}",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "value_error": "{error}",
    "assertion_error": "{error}",
}


def words(error: Any) -> str:
    """What would be right, such as `must be at least 1`."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in SHAPES:
        return SHAPES[kind]
    if kind in _LIMITS:
        short = {name: f"{limit:g}" if isinstance(limit, float) else limit for name, limit in context.items()}
        return " ".join(_LIMITS[kind].format_map(short).split())
    said = re.sub(r"^(Input|Value) should (be )?", r"must \2", error["msg"])
    return said if said.startswith("must ") else f"is wrong: {said[:1].lower()}{said[1:]}"
