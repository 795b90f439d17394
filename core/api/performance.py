"""Performance: what slates earned and how varied they were, by day and by policy version."""

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

from .answers import json_answer, orchestrator_of
from .endpoints import Endpoint, query_parameter
from .models.performance import Performance
from .problems import Issue, invalid
from .reading import name_fault, one, only, query, whole

_MOST_DAYS = 90
_USUAL = 7


async def performance(request: Request) -> Response:
    """How the domains do, or one of them: figures of each day, of each version, and of all days together.

    A slate counts on the day, in UTC, on which it was shown, whenever something is done with it.
    """
    found = query(request)
    only(found, ("days", "domain"))
    days = whole(found, "days", 1, _MOST_DAYS) or _USUAL
    domain = one(found, "domain")
    fault = name_fault(domain) if domain is not None else None
    if fault:
        raise invalid([Issue("query.domain", fault)])
    orchestrator = orchestrator_of(request)
    names = [domain] if domain is not None else list(orchestrator.agents)
    figures = {name: await anyio.to_thread.run_sync(orchestrator.performance, name, days) for name in names}
    return json_answer({"domains": figures})


ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/admin/performance",
        performance,
        Performance,
        [
            query_parameter(
                "days",
                "How many days, today included.",
                type="integer",
                minimum=1,
                maximum=_MOST_DAYS,
                default=_USUAL,
            ),
            query_parameter("domain", "One domain; by default all.", type="string"),
        ],
        problems=("not-found",),
    ),
)
