"""The platform itself: its domains and plugins, and whether it is well."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

from ..agent import Agent, LivePolicy, state_digest
from ..config import Step
from ..errors import StoreError
from ..orchestrator import Orchestrator
from .answers import json_answer, orchestrator_of
from .endpoints import Endpoint
from .models.platform import Domains, Health, Plugins, Readiness
from .problems import Problem
from .reading import only, query

_FURTHEST_BEHIND = 10_000
"""Entries that may wait to be learned from before this server counts as not ready."""
_LONGEST_LEARNING = 10.0
"""Seconds that one batch may take."""


async def domains(request: Request) -> Response:
    """The domains: their compositions, and how far each policy has learned."""
    only(query(request), ())
    return json_answer(await anyio.to_thread.run_sync(_domains, orchestrator_of(request)))


def _domains(orchestrator: Orchestrator) -> dict[str, Any]:
    end = orchestrator.store.end()
    return {"domains": [_domain(agent) for agent in orchestrator.agents.values()], "log": end}


def _domain(agent: Agent) -> dict[str, Any]:
    plan = agent.plan
    return {
        "name": plan.name,
        "title": plan.title,
        "description": plan.description,
        "items": len(agent.catalog.snapshot().live),
        "config": plan.digest,
        "sources": _steps(plan.sources),
        "filters": _steps(plan.filters),
        "scorers": _steps(plan.scorers, weighted=True),
        "policies": [
            step | _learned(agent.policies[step["name"]]) for step in _steps(plan.policies, weighted=True)
        ],
        "position": agent.log,
    }


def _learned(policy: LivePolicy) -> dict[str, Any]:
    state = policy.state_now()
    return {
        "position": policy.position,
        "state": None if state is None else state_digest(state),
        "broken": policy.broken or None,
    }


def _steps(steps: Sequence[Step], *, weighted: bool = False) -> list[dict[str, Any]]:
    return [
        {"name": step.name, "use": step.use, "weight": step.weight if weighted else None} for step in steps
    ]


async def plugins(request: Request) -> Response:
    """The plugins that can be loaded, and what they offer."""
    only(query(request), ())
    registry = orchestrator_of(request).registry
    found = await anyio.to_thread.run_sync(lambda: registry.plugins(installed=True))
    return json_answer({"plugins": [asdict(plugin) for plugin in found]})


async def healthz(_: Request) -> Response:
    """Whether the process is up."""
    return json_answer({"status": "ok"})


async def readyz(request: Request) -> Response:
    """Whether the server can do its work: it has started, the store answers, and learning keeps up."""
    orchestrator: Orchestrator | None = getattr(request.app.state, "orchestrator", None)
    if orchestrator is None or not orchestrator.ready:
        raise _not_ready("The server has not started, or is about to stop.")

    def end() -> int:
        orchestrator.store.ping()
        return orchestrator.store.end()

    try:
        log = await anyio.to_thread.run_sync(end)
    except StoreError as error:
        raise _not_ready(str(error)) from None
    learned = orchestrator.learner.position
    lag = max(log - learned, 0)
    if lag > _FURTHEST_BEHIND:
        raise _not_ready(f"Learning is {lag:,} entries of the log behind.")
    if (stuck := orchestrator.learner.stuck) > _LONGEST_LEARNING:
        raise _not_ready(f"Learning hangs at log position {learned} for {stuck:.0f} s.")
    return json_answer({"status": "ready", "log": log, "learned": learned, "lag": lag})


def _not_ready(detail: str) -> Problem:
    return Problem("unavailable", detail, headers={"Retry-After": "1"})


ENDPOINTS = (
    Endpoint("GET", "/v1/domains", domains, Domains),
    Endpoint("GET", "/v1/plugins", plugins, Plugins),
    Endpoint("GET", "/healthz", healthz, Health),
    Endpoint("GET", "/readyz", readyz, Readiness, problems=("unavailable",)),
)
