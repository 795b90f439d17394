"""Endpoints: what each one is called, takes and gives, for the router and for the OpenAPI document."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import Response

from .models.problems import ProblemDocument
from .names import NAME_PATTERN
from .problems import KINDS, MEDIA_TYPE

Handler = Callable[[Request], Awaitable[Response]]

_REFERENCE = "#/components/schemas/{model}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path.

    gives: model of the answer; takes: JSON schema of the body, such as `body(RecommendationRequest)`.
    parameters: those of the path and query as OpenAPI writes them; problems: kinds that may come, beside
    those that may come everywhere.
    """

    method: str
    path: str
    handler: Handler
    gives: type[BaseModel] | None
    parameters: Sequence[dict[str, Any]] = ()
    takes: Mapping[str, Any] | None = None
    problems: Sequence[str] = ()
    status: int = 200
    also: Mapping[int, type[BaseModel]] = field(default_factory=dict)


class DirectRoute(APIRoute):
    """A route whose endpoint takes the request and gives the response, with nothing in between."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        """The endpoint itself."""
        return self.endpoint


def add(app: FastAPI, group: str, endpoints: Sequence[Endpoint]) -> None:
    """Route to the endpoints, and describe them under the group's name."""
    for endpoint in endpoints:
        extra: dict[str, Any] = {"parameters": list(endpoint.parameters)} if endpoint.parameters else {}
        kinds = list(endpoint.problems)
        if endpoint.takes is not None:
            content = {"application/json": {"schema": endpoint.takes}}
            extra["requestBody"] = {"required": True, "content": content}
            kinds += ["syntax", "media-type"]
        if endpoint.takes is not None or endpoint.parameters:
            kinds += ["validation", "too-large"]
        if endpoint.path.startswith("/v1/"):
            kinds += ["key", "unavailable"]
        summary, _, description = (endpoint.handler.__doc__ or "").partition("\n")
        app.router.add_api_route(
            endpoint.path,
            endpoint.handler,
            methods=[endpoint.method],
            status_code=endpoint.status,
            tags=[group],
            summary=summary.rstrip("."),
            description=description.strip(),
            response_model=None,
            responses=_responses(endpoint, kinds),
            openapi_extra=extra or None,
            route_class_override=DirectRoute,
        )
        if endpoint.method == "GET" and not endpoint.path.startswith("/v1/"):
            # Whoever balances load asks with HEAD whether the server is well.
            app.router.add_api_route(
                endpoint.path,
                endpoint.handler,
                methods=["HEAD"],
                include_in_schema=False,
                route_class_override=DirectRoute,
            )


def _responses(endpoint: Endpoint, kinds: Sequence[str]) -> dict[int | str, dict[str, Any]]:
    responses: dict[int | str, dict[str, Any]] = {}
    if endpoint.gives is not None:
        responses[endpoint.status] = {"model": endpoint.gives, "description": _said(endpoint.gives)}
    for status, model in endpoint.also.items():
        responses[status] = {"model": model, "description": _said(model)}
    return responses | problem_responses(kinds)


def problem_responses(kinds: Sequence[str]) -> dict[int | str, dict[str, Any]]:
    """The problems of these kinds as OpenAPI writes them."""
    reference = {"$ref": _REFERENCE.format(model=ProblemDocument.__name__)}
    return {
        KINDS[kind][0]: {"description": KINDS[kind][1], "content": {MEDIA_TYPE: {"schema": reference}}}
        for kind in sorted(set(kinds), key=lambda kind: KINDS[kind][0])
    }


def body(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of a body that is one model."""
    return {"$ref": _REFERENCE.format(model=model.__name__)}


def path_parameter(name: str, description: str, example: str) -> dict[str, Any]:
    """A segment of the path, which is a name."""
    schema = {"type": "string", "minLength": 1, "maxLength": 256, "pattern": NAME_PATTERN}
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": schema,
        "example": example,
    }


def query_parameter(name: str, description: str, **schema: Any) -> dict[str, Any]:
    """A parameter of the query."""
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


DOMAIN = path_parameter("domain", "The domain's name in the configuration.", "books")


def describe(app: FastAPI, incoming: Sequence[type[BaseModel]], *, keys: bool) -> None:
    """Make the application's OpenAPI document, which holds the models that come in, too."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, incoming, keys)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's own way to extend it


def _document(app: FastAPI, incoming: Sequence[type[BaseModel]], keys: bool) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    models = [(model, "validation") for model in incoming]
    _, schemas = models_json_schema([*models, (ProblemDocument, "serialization")], ref_template=_REFERENCE)  # type: ignore[list-item]
    components = document.setdefault("components", {})
    components["schemas"] = dict(sorted({**components.get("schemas", {}), **schemas["$defs"]}.items()))
    if keys:
        components["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        for path, operations in document["paths"].items():
            if path.startswith("/v1/"):
                for operation in operations.values():
                    operation["security"] = [{"bearer": []}, {"header": []}]
    return document


def _said(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").partition("\n")[0].rstrip(".")
