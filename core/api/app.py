"""The application: every endpoint, and what surrounds them."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version

import anyio.to_thread
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from ..clock import Clock, wall
from ..config import Settings
from ..errors import TastemakerError, did_you_mean
from ..learning.schedules import Job, Scheduler
from ..monitoring import today
from ..orchestrator import Orchestrator
from . import (
    interactions,
    items,
    performance,
    platform,
    recommendations,
    services,
    slates,
    training,
    users,
    versions,
)
from .edges import PLUGINS, LastResort, RawPaths, instance
from .endpoints import add, describe, problem_responses
from .keys import KeyCheck
from .limits import Limits
from .models.interactions import InteractionIn
from .models.recommendations import RecommendationRequest
from .models.training import TrainingRequest
from .models.users import AssessmentIn
from .models.versions import SaveRequest
from .names import issues_of
from .problems import Problem, invalid, problem_of

_log = logging.getLogger("tastemaker.schedules")

_ABOUT = """Recommenders that learn. Ask for a slate, show it, send what the user does with the slate's id.

Every error is a problem document (RFC 9457), `application/problem+json`, that says what is wrong, where, and
what would be right."""


def create_app(settings: Settings, *, clock: Clock = wall) -> FastAPI:
    """The application; it starts and stops one orchestrator, `app.state.orchestrator`. Raises PluginError."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with Orchestrator(settings, clock=clock) as orchestrator:
            app.state.orchestrator = orchestrator
            scheduler = _scheduler(orchestrator)
            scheduler.start()
            try:
                yield
            finally:
                await anyio.to_thread.run_sync(scheduler.stop)

    app = FastAPI(
        title="Tastemaker",
        version=version("tastemaker"),
        description=_ABOUT,
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
        # Nothing leaves this process; looking for a collector of traces would cost every request.
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    app.state.written = {}
    # Names that the API keeps for itself come before `{domain}`.
    add(app, "users", users.ENDPOINTS)
    add(app, "slates", slates.ENDPOINTS)
    add(app, "interactions", interactions.ENDPOINTS)
    add(app, "platform", platform.ENDPOINTS)
    add(app, "performance", performance.ENDPOINTS)
    add(app, "services", services.ENDPOINTS)
    add(app, "training", training.ENDPOINTS)
    for plugin, router in settings.registry.routes():
        problems = problem_responses(["key", "validation", "internal"])
        app.include_router(router, prefix=PLUGINS + plugin, tags=[plugin], responses=problems)
    add(app, "recommendations", recommendations.ENDPOINTS)
    add(app, "items", items.ENDPOINTS)
    add(app, "versions", versions.ENDPOINTS)

    keys = [key.get_secret_value() for key in settings.api.keys]
    describe(
        app,
        [RecommendationRequest, InteractionIn, AssessmentIn, TrainingRequest, SaveRequest],
        keys=bool(keys),
    )
    app.add_exception_handler(TastemakerError, _answered)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _unfit)
    # The last one added is the outermost.
    app.add_middleware(RawPaths)
    app.add_middleware(Limits, body_bytes=settings.api.body_limit_bytes)
    if keys:
        app.add_middleware(KeyCheck, keys=keys)
    app.add_middleware(LastResort)
    return app


def _scheduler(orchestrator: Orchestrator) -> Scheduler:
    """What this server does by itself."""

    def train(job: Job) -> None:
        orchestrator.train(job.domain, job.policies, since=job.since, trigger=job.name)

    def monitor(job: Job) -> None:
        figures = orchestrator.performance(job.domain, 1)["total"]
        _log.info(today(job.domain, figures))

    def expire(job: Job) -> None:
        orchestrator.expire_soon(job.domain)

    plans = {name: agent.plan for name, agent in orchestrator.agents.items()}
    actions = {"train": train, "monitor": monitor, "expire": expire}
    also = orchestrator.collecting.look if any(plan.collectors for plan in plans.values()) else None
    return Scheduler(orchestrator.store, plans, orchestrator.clock, actions, also)


async def _answered(request: Request, error: Exception) -> Response:
    path = instance(request.scope)
    return problem_of(error, f"{request.method} {path}").response(path)


async def _http(request: Request, error: Exception) -> Response:
    """What the framework refuses: unknown paths, methods that a path doesn't have."""
    assert isinstance(error, HTTPException)
    problem = error if isinstance(error, Problem) else _problem(request, error)
    return problem.response(instance(request.scope))


def _problem(request: Request, error: HTTPException) -> Problem:
    path = instance(request.scope)
    if error.status_code == 404 and str(error.detail) in ("", "Not Found"):
        return Problem(
            "not-found", f"There is no {path}{_near(path) or '.'} /openapi.json lists all there is."
        )
    if error.status_code == 405:
        methods = _methods(request)
        detail = f"{path} can't be asked with {request.method}; it takes {', '.join(methods)}."
        return Problem("method", detail, headers={"Allow": ", ".join(methods)})
    problem = Problem(_KIND_OF.get(error.status_code, "validation"), str(error.detail), headers=error.headers)
    problem.status_code = error.status_code
    return problem


_KIND_OF = {
    400: "syntax",
    401: "key",
    403: "key",
    404: "not-found",
    413: "too-large",
    415: "media-type",
    500: "internal",
    503: "unavailable",
}

_WORDS = (
    "recommendations",
    "interactions",
    "users",
    "slates",
    "items",
    "domains",
    "plugins",
    "performance",
    "services",
    "collectors",
    "admin",
    "runs",
    "trace",
    "training",
    "policies",
    "versions",
    "rollback",
    "promote",
    "v1",
)


def _near(path: str) -> str:
    """`; did you mean …?` where a word of the path is nearly one of ours."""
    for part in path.split("/"):
        hint = did_you_mean(part, _WORDS) if part and part not in _WORDS else ""
        if hint.startswith("; did"):
            return hint
    return ""


def _methods(request: Request) -> Sequence[str]:
    found: set[str] = set()
    for route in request.app.routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            found |= getattr(route, "methods", None) or set()
    return sorted(found)


async def _unfit(request: Request, error: Exception) -> Response:
    """What FastAPI finds wrong with a request to a plugin's route."""
    assert isinstance(error, RequestValidationError)
    return invalid(issues_of(error.errors())).response(instance(request.scope))
