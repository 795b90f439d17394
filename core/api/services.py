"""The outside world: connectors and how they are, collectors and their runs."""

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

from .. import diagnosis
from .answers import json_answer, orchestrator_of
from .endpoints import Endpoint, path_parameter
from .models.services import CollectorRunInfo, Collectors, Services
from .reading import only, query, segment


async def services(request: Request) -> Response:
    """The connectors of all domains: configured, reachable, allowed, and what is left of their budgets.

    Counters are those of the process that answers.
    """
    only(query(request), ())
    orchestrator = orchestrator_of(request)
    settings = orchestrator.settings
    states = [state for plan in settings.domains.values() for state in await diagnosis.connectors(plan)]
    cache = await diagnosis.cache(settings, orchestrator.connections)
    return json_answer({"cache": cache, "services": [state.as_dict() for state in states]})


async def collectors(request: Request) -> Response:
    """The collectors of a domain, their last runs, and when they are due."""
    domain = segment(request, "domain")
    only(query(request), ())
    collecting = orchestrator_of(request).collecting
    found = await anyio.to_thread.run_sync(diagnosis.collectors, collecting, domain)
    return json_answer({"collectors": [each.as_dict() for each in found]})


async def begin(request: Request) -> Response:
    """Begin a run of a collector; the answer comes at once. Ask for the collectors to see what came of it."""
    domain, name = segment(request, "domain"), segment(request, "collector")
    only(query(request), ())
    collecting = orchestrator_of(request).collecting
    run = await anyio.to_thread.run_sync(collecting.begin, domain, name, "api")
    return json_answer(diagnosis.shown_run(run), 202)


_DOMAIN = path_parameter("domain", "The domain.", "books")

ENDPOINTS = (
    Endpoint("GET", "/v1/admin/services", services, Services),
    Endpoint(
        "GET",
        "/v1/admin/domains/{domain}/collectors",
        collectors,
        Collectors,
        [_DOMAIN],
        problems=("not-found",),
    ),
    Endpoint(
        "POST",
        "/v1/admin/domains/{domain}/collectors/{collector}/runs",
        begin,
        CollectorRunInfo,
        [_DOMAIN, path_parameter("collector", "The collector's name.", "feed")],
        problems=("not-found", "conflict"),
        status=202,
    ),
)
