"""Versions of policies: which are kept, how they differ, and which one is live."""

from collections.abc import Callable
from typing import Any, TypeVar

import anyio.to_thread
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from ..learning import PolicyVersions
from ..learning.versions import Promotion
from .answers import json_answer, orchestrator_of
from .endpoints import DOMAIN, Endpoint, body, path_parameter
from .models.versions import (
    Promoted,
    SaveRequest,
    VersionDetails,
    VersionDifference,
    VersionInfo,
    VersionList,
)
from .names import issues
from .problems import Issue, invalid
from .reading import json_body, only, query, segment

T = TypeVar("T")

_TAKEN_UP_SECONDS = 5.0
"""How long an answer waits for this process to take a promotion up."""


async def versions(request: Request) -> Response:
    """The kept versions of a policy, newest first."""
    policy = _policy(request)
    return json_answer({"versions": await _asked(request, lambda kept: kept.all(policy))})


async def version(request: Request) -> Response:
    """One version: what it holds, and what it was trained on."""
    policy, number = _policy(request), _number(request, "version")
    return json_answer(await _asked(request, lambda kept: kept.one(policy, number)))


async def save(request: Request) -> Response:
    """Keep what is live as a version."""
    policy = _policy(request)
    try:
        given = SaveRequest.model_validate(await json_body(request))
    except ValidationError as error:
        raise invalid(issues(error, SaveRequest, "body")) from None

    def saved(kept: PolicyVersions) -> dict[str, Any]:
        number = kept.save(policy, given.note).number
        return next(each for each in kept.all(policy) if each["version"] == number)

    return json_answer(await _asked(request, saved), 201)


async def diff(request: Request) -> Response:
    """What changed from one version to another."""
    policy, before, after = _policy(request), _number(request, "version"), _number(request, "other")
    return json_answer(await _asked(request, lambda kept: kept.diff(policy, before, after)))


async def promote(request: Request) -> Response:
    """Have every process take up a version, and learn on from there.

    What is live now is kept before, so that a rollback returns to it.
    """
    policy, number = _policy(request), _number(request, "version")
    return await _promoted(request, lambda kept: kept.promote(policy, number))


async def rollback(request: Request) -> Response:
    """Return to what was live before the last promotion.

    Once more, and that is undone: what was live before the return is kept, too.
    """
    policy = _policy(request)
    return await _promoted(request, lambda kept: kept.rollback(policy))


async def _promoted(request: Request, ask: Callable[[PolicyVersions], Promotion]) -> Response:
    promotion = await _asked(request, ask)
    live = await orchestrator_of(request).learner.reached(promotion.position, _TAKEN_UP_SECONDS)
    return json_answer(promotion.as_dict() | {"live": live})


async def _asked(request: Request, ask: Callable[[PolicyVersions], T]) -> T:
    only(query(request), ())
    kept = orchestrator_of(request).versions(segment(request, "domain"))
    return await anyio.to_thread.run_sync(ask, kept)


def _policy(request: Request) -> str:
    return segment(request, "policy")


def _number(request: Request, key: str) -> int:
    text = segment(request, key)
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        hint = "such as 3 for taste@3"
        raise invalid([Issue(f"path.{key}", f"must be the number of a version, not {text[:40]!r}", hint)])
    return int(text)


def _number_parameter(name: str, description: str) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": 1, "maximum": 999_999_999}
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": schema,
        "example": 3,
    }


_POLICY = path_parameter("policy", "The policy's name in the domain.", "taste")
_VERSION = _number_parameter("version", "The version's number.")
_OTHER = _number_parameter("other", "The number of the version to compare with.")
_PATH = "/v1/{domain}/policies/{policy}/versions"
_ONE = _PATH + "/{version}"

ENDPOINTS = (
    Endpoint("GET", _PATH, versions, VersionList, [DOMAIN, _POLICY], problems=("not-found",)),
    Endpoint(
        "POST",
        _PATH,
        save,
        VersionInfo,
        [DOMAIN, _POLICY],
        body(SaveRequest),
        problems=("not-found", "conflict"),
        status=201,
    ),
    Endpoint(
        "GET", _ONE, version, VersionDetails, [DOMAIN, _POLICY, _VERSION], problems=("not-found", "conflict")
    ),
    Endpoint(
        "GET",
        _ONE + "/diff/{other}",
        diff,
        VersionDifference,
        [DOMAIN, _POLICY, _VERSION, _OTHER],
        problems=("not-found", "conflict"),
    ),
    Endpoint(
        "POST",
        _ONE + "/promote",
        promote,
        Promoted,
        [DOMAIN, _POLICY, _VERSION],
        problems=("not-found", "conflict"),
    ),
    Endpoint(
        "POST",
        "/v1/{domain}/policies/{policy}/rollback",
        rollback,
        Promoted,
        [DOMAIN, _POLICY],
        problems=("not-found", "conflict"),
    ),
)
