"""Interactions: what users did, durable before it is acknowledged."""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from ..errors import NotFound
from ..interaction import Interaction
from ..orchestrator import Orchestrator
from ..recording import Recorded, interaction_id
from .answers import json_answer, orchestrator_of
from .endpoints import Endpoint, body
from .models.interactions import InteractionIn, Receipt, Results
from .names import issues
from .problems import Issue, Problem, invalid, problem_of
from .reading import json_body

MOST_AT_ONCE = 1_000
_PATH = "/v1/interactions"


async def record(request: Request) -> Response:
    """Record what users did: one interaction, or a list of up to 1,000.

    Of a list, each one is judged on its own: a bad one costs none of the others.
    """
    orchestrator = orchestrator_of(request)
    given = await json_body(request)
    if isinstance(given, dict):
        interaction = _interaction(orchestrator, given, "body")
        (recorded,) = await orchestrator.record([interaction])
        _refuse_another(recorded, "body")
        return json_answer(_receipt(recorded), 201)
    if not isinstance(given, list):
        raise invalid([Issue("body", "must be an interaction or a list of them", "send an object")])
    if len(given) > MOST_AT_ONCE:
        said = f"holds {len(given):,} interactions, and the most at once is {MOST_AT_ONCE:,}"
        raise invalid([Issue("body", said, "send them in parts")])
    return json_answer(await _all(orchestrator, given))


async def _all(orchestrator: Orchestrator, given: Sequence[Any]) -> dict[str, Any]:
    results: list[dict[str, Any]] = []
    good: list[Interaction] = []
    places: list[int] = []
    for place, raw in enumerate(given):
        try:
            good.append(_interaction(orchestrator, raw, f"body[{place}]"))
            places.append(place)
            results.append({})
        except Problem as problem:
            results.append(_rejected(raw, problem))
    for place, recorded in zip(places, await orchestrator.record(good) if good else (), strict=True):
        try:
            _refuse_another(recorded, f"body[{place}]")
            results[place] = _receipt(recorded)
        except Problem as problem:
            results[place] = _rejected(given[place], problem)
    statuses = [result["status"] for result in results]
    counts = {status: statuses.count(status) for status in ("accepted", "duplicate", "rejected")}
    return {"results": results, **counts}


def _interaction(orchestrator: Orchestrator, raw: Any, where: str) -> Interaction:
    try:
        given = InteractionIn.model_validate(raw)
    except ValidationError as error:
        raise invalid(issues(error, InteractionIn, where)) from None
    try:
        orchestrator.agent(given.domain)
    except NotFound as error:
        problem = problem_of(error, _PATH)
        said, _, hint = str(error).partition("; ")
        problem.issues = (Issue(f"{where}.domain", said, hint),)
        raise problem from None
    return Interaction(
        given.id or interaction_id(),
        given.domain,
        given.user,
        given.item,
        given.kind,
        orchestrator.clock() if given.time is None else given.time,
        given.value,
        given.slate,
        given.position,
        given.situation,
    )


def _refuse_another(recorded: Recorded, where: str) -> None:
    """Raises Problem where the id was given to another interaction before."""
    if (other := recorded.other) is not None:
        said = f"was used before, for a {other.kind!r} in {other.domain!r}: this interaction was not recorded"
        hint = "an id belongs to one interaction, whatever its user and domain"
        raise Problem("conflict", f"The id {recorded.id!r} {said}.", [Issue(f"{where}.id", said, hint)])


def _receipt(recorded: Recorded) -> dict[str, Any]:
    return {
        "id": recorded.id,
        "status": "duplicate" if recorded.duplicate else "accepted",
        "position": recorded.position,
        "warnings": recorded.warnings,
        **({"insight": recorded.insight} if recorded.insight else {}),
    }


def _rejected(raw: Any, problem: Problem) -> dict[str, Any]:
    identity = raw.get("id") if isinstance(raw, dict) else None
    return {
        "id": identity if isinstance(identity, str) else None,
        "status": "rejected",
        "warnings": [],
        "problem": problem.document(_PATH),
    }


_ONE = body(InteractionIn)

ENDPOINTS = (
    Endpoint(
        "POST",
        _PATH,
        record,
        Receipt,
        takes={"anyOf": [_ONE, {"type": "array", "maxItems": MOST_AT_ONCE, "items": _ONE}]},
        problems=("not-found", "conflict"),
        status=201,
        also={200: Results},
    ),
)
