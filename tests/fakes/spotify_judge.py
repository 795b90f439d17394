"""Holds what the local Spotify answered against the OpenAPI description of the real one."""

import copy
import json
import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from .faults import Answered

SPEC = (
    Path(os.environ.get("SHARED_SPECS", Path(__file__).parents[2].parent / "shared" / "specs"))
    / "spotify-fixed-open-api.yml"
)

REMOVED = {
    "AlbumBase": {"available_markets"},
    "AlbumObject": {"label", "popularity"},
    "ArtistDiscographyAlbumObject": {"album_group"},
    "ArtistObject": {"popularity", "followers"},
    "TrackObject": {"available_markets", "linked_from", "popularity", "preview_url"},
    "SimplifiedTrackObject": {"available_markets", "linked_from", "preview_url"},
    "PrivateUserObject": {"country", "email", "product", "explicit_content", "followers"},
    "SimplifiedPlaylistObject": {"tracks"},
    "PlaylistTrackObject": {"track"},
}
"""Fields that apps in development mode don't get since February 2026, which the description still has."""


def needs_description() -> None:
    """Skip the test that asks, in one clear line, where the description isn't there."""
    if not SPEC.exists():
        pytest.skip(f"no description of Spotify's API at {SPEC}: its answers are not judged")


def complaints(answers: Iterable[Answered], *, extended: bool) -> list[str]:
    """What is wrong with answers of `/v1`, one line each; a kind of answer is judged once for its shape."""
    found: list[str] = []
    for answer in answers:
        if not answer.asked.path.startswith("/v1/"):
            continue
        shape = (
            extended,
            answer.asked.method,
            _template(answer.asked.path),
            answer.status,
            _shape(answer.body),
        )
        if shape not in _passed:
            wrong = list(_wrong(answer, extended))
            found += [f"{answer.asked.method} {answer.asked.path} {answer.status}: {each}" for each in wrong]
            if not wrong:
                _passed.add(shape)
    return found


_passed: set[Any] = set()


def _wrong(answer: Answered, extended: bool) -> Iterator[str]:
    from openapi_core.exceptions import OpenAPIError
    from openapi_core.testing import MockRequest, MockResponse

    if answer.body == b"" and answer.status in (404, 403):
        return  # seen so, though described otherwise
    path = answer.asked.path.rstrip("/").removeprefix("/v1")
    request = MockRequest(
        "https://api.spotify.com", answer.asked.method.lower(), f"/v1{path}", args=dict(answer.asked.query)
    )
    response = MockResponse(
        _without_unknown(answer.body), answer.status, content_type=answer.headers.get("content-type", "")
    )
    try:
        _described(extended).validate_response(request, response)
    except OpenAPIError as error:
        if type(error).__name__ == "PathNotFound" and answer.status == 404:
            return
        yield f"{error} {error.__cause__ or ''}".strip()[:600]
        return
    if answer.status == 200:
        yield from _unknown(answer, path, extended)


def _without_unknown(body: bytes) -> bytes:
    """Without the nulls that stand for ids that aren't known among several, of which the description doesn't speak."""
    said = json.loads(body)
    for name in ("tracks", "artists", "albums", "audio_features"):
        if isinstance(said.get(name), list):
            said[name] = [each for each in said[name] if each is not None]
    return json.dumps(said).encode()


def _unknown(answer: Answered, path: str, extended: bool) -> Iterator[str]:
    """Fields that the description doesn't have: misspelt, or invented; and those that are gone."""
    spec = _document(extended)
    described = spec["paths"].get(_template(path))
    if described is None:
        return
    answers = described["get"]["responses"]["200"]
    schema = next(iter(_resolved(spec, answers)["content"].values()))["schema"]
    yield from _strange(spec, schema, json.loads(answer.body), "$", extended)


def _strange(spec: Any, schema: Any, value: Any, where: str, extended: bool) -> Iterator[str]:
    fields, items = _fields(spec, schema, value, extended)
    if isinstance(value, dict) and fields:
        for name, inner in value.items():
            if name not in fields:
                yield f"{where}.{name} is no field of it"
            else:
                yield from _strange(spec, fields[name], inner, f"{where}.{name}", extended)
    elif isinstance(value, list) and items is not None:
        for inner in value:
            yield from _strange(spec, items, inner, f"{where}[]", extended)


def _fields(spec: Any, schema: Any, value: Any, extended: bool) -> tuple[dict[str, Any], Any]:
    """All fields of an object's schema, and the schema of an array's entries."""
    fields: dict[str, Any] = {}
    items = schema.get("items")
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    whole = _resolved(spec, schema)
    for part in [*whole.get("allOf", ()), *whole.get("oneOf", ())[:1]]:
        inner, entries = _fields(spec, part, value, extended)
        fields.update(inner)
        items = items or entries
    fields.update(whole.get("properties", {}))
    if not extended:
        fields = {key: each for key, each in fields.items() if key not in REMOVED.get(name, ())}
    return fields, items or whole.get("items")


def _resolved(spec: Any, schema: Any) -> Any:
    while "$ref" in schema:
        found = spec
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    return schema


@cache
def _described(extended: bool) -> Any:
    from openapi_core import OpenAPI

    return OpenAPI.from_dict(_document(extended))


@cache
def _document(extended: bool) -> Any:
    """The description, without what the real service does otherwise."""
    spec = copy.deepcopy(_read())
    schemas = spec["components"]["schemas"]
    if not extended:
        for name, gone in REMOVED.items():
            for part in [schemas[name], *schemas[name].get("allOf", ())]:
                left = [field for field in part.pop("required", ()) if field not in gone]
                if left:
                    part["required"] = left
    # The last page has no next one, which the description forgets of those with cursors.
    schemas["CursorPagingObject"]["properties"]["next"]["nullable"] = True
    schemas["CursorObject"]["properties"]["after"]["nullable"] = True
    # A seed that is a genre has no address.
    schemas["RecommendationSeedObject"]["properties"]["href"]["nullable"] = True
    # Kinds are told apart by `type`, whose values aren't the names of schemas.
    for field in ("item", "track"):
        kinds = {"track": "#/components/schemas/TrackObject", "episode": "#/components/schemas/EpisodeObject"}
        schemas["PlaylistTrackObject"]["properties"][field]["discriminator"]["mapping"] = kinds
    # A refusal was seen that says its status only.
    schemas["ErrorObject"]["required"] = ["status"]
    for path in spec["paths"].values():
        for operation in path.values():
            if isinstance(operation, dict) and "responses" in operation:
                for status, name in (("400", "BadRequest"), ("404", "NotFound")):
                    operation["responses"].setdefault(status, {"$ref": f"#/components/responses/{name}"})
    return spec


@cache
def _read() -> Any:
    return YAML(typ="safe").load(SPEC.read_text(encoding="utf-8"))


def _template(path: str) -> str:
    """The path with names for its ids, as the description has them."""
    parts = path.removeprefix("/v1").strip("/").split("/")
    for known in _read()["paths"]:
        names = known.strip("/").split("/")
        if len(names) == len(parts) and all(
            name.startswith("{") or name == part for name, part in zip(names, parts, strict=True)
        ):
            # A name that is written out beats one in braces.
            if known in _read()["paths"] and f"/{'/'.join(parts)}" in _read()["paths"]:
                return f"/{'/'.join(parts)}"
            return str(known)
    return path


def _shape(body: bytes) -> Any:
    try:
        return _kind(json.loads(body))
    except ValueError:
        return body


def _kind(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple(sorted((name, _kind(inner)) for name, inner in value.items()))
    if isinstance(value, list):
        return ("list", frozenset(map(_kind, value)))
    return type(value).__name__
