"""Slates: what was shown, and why."""

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

from ..explain import explain
from .answers import json_answer, orchestrator_of
from .endpoints import Endpoint, path_parameter, query_parameter
from .models.slates import LoggedSlate, Trace
from .problems import Issue, invalid
from .reading import name_fault, one, only, query, segment


async def logged_slate(request: Request) -> Response:
    """A slate as it was logged."""
    identity = segment(request, "slate")
    only(query(request), ())
    slate = await anyio.to_thread.run_sync(orchestrator_of(request).slate, identity)
    return json_answer(
        {
            "slate": slate.id,
            "domain": slate.domain,
            "user": slate.user,
            "time": slate.time,
            "size": slate.size,
            "situation": slate.situation,
            "exclude": slate.exclude,
            "items": [
                {
                    "id": pick.item,
                    "position": pick.position,
                    "score": pick.score,
                    "parts": pick.parts,
                    "propensity": pick.propensity,
                    "sources": pick.sources,
                    "explored": pick.explored,
                }
                for pick in slate.picks
            ],
            "degraded": [{"component": entry.component, "reason": entry.reason} for entry in slate.degraded],
            "considered": slate.considered,
            "removed": slate.removed,
            "knobs": slate.knobs,
            "versions": slate.versions,
            "log": slate.log,
            "seed": slate.seed,
            "config": slate.config,
            "traced": slate.fates is not None,
        }
    )


async def trace(request: Request) -> Response:
    """Why each item is in a slate and, with `item`, why another one is not."""
    identity = segment(request, "slate")
    found = query(request)
    only(found, ("item",))
    item = one(found, "item")
    fault = name_fault(item) if item is not None else None
    if fault:
        raise invalid([Issue("query.item", fault)])
    explanation = await explain(orchestrator_of(request), identity, item)
    return json_answer(explanation.as_dict())


_SLATE = path_parameter("slate", "The slate's id.", "019a9f3c2b10f3a1c07be9d20a41")

ENDPOINTS = (
    Endpoint("GET", "/v1/slates/{slate}", logged_slate, LoggedSlate, [_SLATE], problems=("not-found",)),
    Endpoint(
        "GET",
        "/v1/slates/{slate}/trace",
        trace,
        Trace,
        [_SLATE, query_parameter("item", "The item to ask about.", type="string")],
        problems=("not-found",),
    ),
)
