"""What the answers of YouTube's Data API must look like: its own discovery document, read as JSON Schema.

The document is the one in google-api-python-client. Beyond what it says, nothing may be there that it doesn't name.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import googleapiclient
from jsonschema_rs import Draft202012Validator

ANSWERS = {
    "search": "SearchListResponse",
    "videos": "VideoListResponse",
    "stats": "BatchGetStatsResponse",
    "channels": "ChannelListResponse",
    "playlistItems": "PlaylistItemListResponse",
    "videoCategories": "VideoCategoryListResponse",
}
_FORMATS = {
    "uint64": "^[0-9]+$",
    "int64": "^-?[0-9]+$",
    "date-time": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$",
    "google-datetime": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$",
    "google-duration": r"^\d+(\.\d+)?s$",
}


def judge(operation: str, body: Mapping[str, Any]) -> None:
    """Raises jsonschema_rs.ValidationError where an answer isn't what the document says."""
    _validator(ANSWERS[operation]).validate(body)


@cache
def document() -> dict[str, Any]:
    """The discovery document."""
    folder = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
    found: dict[str, Any] = json.loads((folder / "youtube.v3.json").read_text(encoding="utf-8"))
    return found


@cache
def _validator(name: str) -> Draft202012Validator:
    schemas = {each: _strict(schema) for each, schema in document()["schemas"].items()}
    schema = {"$ref": f"#/$defs/{name}", "$defs": schemas}
    return Draft202012Validator(schema)


def _strict(schema: Any) -> Any:
    """A schema of the document as JSON Schema."""
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return {"$ref": f"#/$defs/{schema['$ref']}"}
    strict: dict[str, Any] = {"type": schema["type"]} if "type" in schema and schema["type"] != "any" else {}
    if "enum" in schema:
        strict["enum"] = schema["enum"]
    if schema.get("type") == "string" and (pattern := _FORMATS.get(schema.get("format", ""))):
        strict["pattern"] = pattern
    if "items" in schema:
        strict["items"] = _strict(schema["items"])
    if "properties" in schema:
        strict["properties"] = {name: _strict(each) for name, each in schema["properties"].items()}
        strict["additionalProperties"] = False
    elif "additionalProperties" in schema:
        strict["additionalProperties"] = _strict(schema["additionalProperties"])
    return strict
