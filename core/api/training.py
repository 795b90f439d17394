"""Training runs: begin one, and see how far it is and what came of it."""

from typing import Any

import anyio.to_thread
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from ..errors import Conflict, NotFound, RequestError, did_you_mean
from ..orchestrator import Orchestrator
from ..store import TrainingRun
from .answers import json_answer, orchestrator_of
from .endpoints import Endpoint, body, path_parameter, query_parameter
from .models.training import TrainingRequest, TrainingRunInfo, TrainingRuns
from .names import issues
from .problems import Issue, Problem, invalid
from .reading import json_body, one, only, query, segment, whole

_MOST = 1_000
_USUAL = 100


async def begin(request: Request) -> Response:
    """Begin to train a policy, or all of a domain, in a process of its own.

    The answer comes at once; ask for the run to see how far it is. What is live learns on meanwhile.
    """
    orchestrator = orchestrator_of(request)
    only(query(request), ())
    try:
        given = TrainingRequest.model_validate(await json_body(request))
    except ValidationError as error:
        raise invalid(issues(error, TrainingRequest, "body")) from None
    runs = await anyio.to_thread.run_sync(_begun, orchestrator, given)
    return json_answer({"runs": [run.as_dict() for run in runs]}, 202)


def _begun(orchestrator: Orchestrator, given: TrainingRequest) -> list[TrainingRun]:
    if given.domain not in orchestrator.agents:
        raise _unknown("domain", f"no domain is called {given.domain!r}", given.domain, orchestrator.agents)
    policies = orchestrator.agents[given.domain].policies
    if given.policy is not None and given.policy not in policies:
        said = f"no policy of {given.domain} is called {given.policy!r}"
        raise _unknown("policy", said, given.policy, policies)
    try:
        return orchestrator.train(
            given.domain,
            [] if given.policy is None else [given.policy],
            since=given.since,
            until=given.until,
            promote=None if given.promote is None else ("gate" if given.promote else "never"),
            trigger="api",
        )
    except (NotFound, Conflict):
        raise
    except RequestError as error:
        raise invalid([Issue(f"body.{error.key}" if error.key else "body", str(error))]) from None


def _unknown(key: str, said: str, name: str, known: Any) -> Problem:
    hint = did_you_mean(name, known).removeprefix("; ")
    return Problem("not-found", f"{said}; {hint}" if hint else said, [Issue(f"body.{key}", said, hint)])


async def runs(request: Request) -> Response:
    """The training runs, newest first."""
    orchestrator = orchestrator_of(request)
    found = query(request)
    only(found, ("domain", "limit"))
    domain = one(found, "domain")
    if domain is not None and domain not in orchestrator.agents:
        hint = did_you_mean(domain, orchestrator.agents).removeprefix("; ")
        raise invalid([Issue("query.domain", f"{domain[:64]!r} is no domain", hint)])
    limit = whole(found, "limit", 1, _MOST) or _USUAL
    listed = await anyio.to_thread.run_sync(lambda: orchestrator.store.runs.all(domain, limit=limit))
    return json_answer({"runs": [run.as_dict() for run in listed]})


async def run(request: Request) -> Response:
    """How far a training run is, and what came of it."""
    identity = segment(request, "run")
    only(query(request), ())
    found = await anyio.to_thread.run_sync(orchestrator_of(request).store.runs.one, identity)
    if found is None:
        raise NotFound(f"there is no training run {identity!r}")
    return json_answer(found.as_dict())


_PATH = "/v1/training/runs"

ENDPOINTS = (
    Endpoint(
        "POST",
        _PATH,
        begin,
        TrainingRuns,
        takes=body(TrainingRequest),
        problems=("not-found", "conflict"),
        status=202,
    ),
    Endpoint(
        "GET",
        _PATH,
        runs,
        TrainingRuns,
        [
            query_parameter("domain", "Only those of one domain.", type="string"),
            query_parameter(
                "limit", "Most of them.", type="integer", minimum=1, maximum=_MOST, default=_USUAL
            ),
        ],
    ),
    Endpoint(
        "GET",
        _PATH + "/{run}",
        run,
        TrainingRunInfo,
        [path_parameter("run", "The run's id.", "5f0c61a2f5b04a3f8a4e6f3e4f7f1a55")],
        problems=("not-found",),
    ),
)
