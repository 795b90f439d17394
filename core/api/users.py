"""Users: what is known of them, what they did, and forgetting them."""

from collections.abc import Mapping
from typing import Any

import anyio.to_thread
import orjson
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from ..errors import NotFound, did_you_mean
from ..interaction import Interaction
from ..inventory import HIGHEST, LOWEST, QUESTIONS, assess
from ..store import Store
from .answers import json_answer, orchestrator_of
from .endpoints import Endpoint, body, path_parameter, query_parameter
from .models.users import Assessed, AssessmentIn, Erased, LinkedAccounts, PastInteractions, Unlinked, User
from .names import issues
from .problems import Issue, invalid
from .reading import json_body, one, only, query, segment, whole

_LARGEST_PROFILE = 65_536
_MOST = 1_000
_USUAL = 100
_END = (1 << 63) - 1


async def user(request: Request) -> Response:
    """What is known of a user."""
    identity = segment(request, "user")
    only(query(request), ())
    profile = await anyio.to_thread.run_sync(_known, orchestrator_of(request).store, identity)
    if profile is None:
        raise NotFound(f"nothing is known of a user {identity!r}")
    return json_answer({"id": identity, "profile": orjson.Fragment(profile)})


def _known(store: Store, identity: str) -> bytes | None:
    """The profile; `{}` of one who is in the log alone; None of one who isn't even there."""
    profile = store.profile(identity)
    if profile is None and store.history(identity, kinds=("interaction", "slate"), limit=1):
        return b"{}"
    return profile


async def put_user(request: Request) -> Response:
    """Replace what is known of a user: any JSON object, 64 KiB at most."""
    identity = segment(request, "user")
    profile = await json_body(request)
    if not isinstance(profile, dict):
        raise invalid(
            [Issue("body", "must be an object, the user's profile", 'such as {"languages": ["en"]}')]
        )
    _refuse_large(profile)
    await orchestrator_of(request).put_profile(identity, profile)
    return json_answer({"id": identity, "profile": profile})


async def assess_user(request: Request) -> Response:
    """Score answers to the Big Five Inventory, and put the traits into what is known of the user.

    All else that is known of the user stays. The statements themselves are copyrighted: see the guide.
    """
    identity = segment(request, "user")
    try:
        given = AssessmentIn.model_validate(await json_body(request))
    except ValidationError as error:
        raise invalid(issues(error, AssessmentIn, "body")) from None
    assessment = assess(_answers(given.answers))
    orchestrator = orchestrator_of(request)
    time = orchestrator.clock()

    def assessed(profile: Mapping[str, Any]) -> Mapping[str, Any]:
        changed = assessment.laid_over(profile, time)
        _refuse_large(changed)
        return changed

    return json_answer(
        {
            "id": identity,
            "traits": assessment.traits,
            "confidence": assessment.confidence,
            "answered": assessment.answered,
            "acquiescence": assessment.acquiescence,
            "profile": await orchestrator.change_profile(identity, assessed),
        },
        201,
    )


def _answers(given: Mapping[str, Any]) -> dict[int, int]:
    """Raises Problem, which names every bad one."""
    wrong, answers = [], {}
    for number, answer in given.items():
        where = f"body.answers.{number[:16]}"
        if not (number.isascii() and number.isdigit() and number == str(int(number[:9]))) or not (
            1 <= int(number) <= QUESTIONS
        ):
            wrong.append(Issue(where, "is no statement", f"they are numbered 1 to {QUESTIONS}"))
        elif isinstance(answer, bool) or not isinstance(answer, int) or not LOWEST <= answer <= HIGHEST:
            if answer is not None:
                hint = "1: disagree strongly … 5: agree strongly; null where it was not answered"
                said = f"must be a whole number from {LOWEST} to {HIGHEST}"
                wrong.append(Issue(where, said, hint))
        else:
            answers[int(number)] = answer
    if not (wrong or answers):
        wrong.append(Issue("body.answers", "has no answer", 'such as {"1": 4, "2": 2}'))
    if wrong:
        raise invalid(wrong)
    return answers


def _refuse_large(profile: Mapping[str, Any]) -> None:
    if len(orjson.dumps(profile)) > _LARGEST_PROFILE:
        raise invalid([Issue("body", f"is a profile of more than {_LARGEST_PROFILE:,} bytes", "keep less")])


async def erase_user(request: Request) -> Response:
    """Delete every trace of a user; what was learned from it is learned again without it."""
    identity = segment(request, "user")
    only(query(request), ())
    counts = await orchestrator_of(request).erase(identity)
    return json_answer({"id": identity, **counts})


async def accounts(request: Request) -> Response:
    """The services that a user has linked, without what it takes to act for him there."""
    identity = segment(request, "user")
    only(query(request), ())
    linked = await orchestrator_of(request).accounts.linked(identity)
    services = [{"service": each.service, "updated": each.updated} for each in linked]
    return json_answer({"id": identity, "accounts": services})


async def unlink(request: Request) -> Response:
    """Forget the accounts that a user has linked, or that with one service."""
    identity = segment(request, "user")
    found = query(request)
    only(found, ("service",))
    removed = await orchestrator_of(request).unlink(identity, one(found, "service"))
    return json_answer({"id": identity, "removed": removed})


async def user_interactions(request: Request) -> Response:
    """What a user did, newest first, page by page."""
    identity = segment(request, "user")
    found = query(request)
    only(found, ("domain", "limit", "before"))
    domain = one(found, "domain")
    orchestrator = orchestrator_of(request)
    if domain is not None and domain not in orchestrator.agents:
        hint = did_you_mean(domain, orchestrator.agents).removeprefix("; ")
        raise invalid([Issue("query.domain", f"{domain[:64]!r} is no domain", hint)])
    limit = whole(found, "limit", 1, _MOST) or _USUAL
    before = whole(found, "before", 1, _END)

    def read() -> list[tuple[int, Interaction]]:
        return orchestrator.interactions(identity, domain=domain, before=before, limit=limit + 1)

    past = await anyio.to_thread.run_sync(read)
    page = past[:limit]
    return json_answer(
        {
            "interactions": [_past(position, interaction) for position, interaction in page],
            "next": page[-1][0] if len(past) > limit else None,
        }
    )


def _past(position: int, interaction: Interaction) -> dict[str, Any]:
    return {
        "position": position,
        "id": interaction.id,
        "domain": interaction.domain,
        "item": interaction.item,
        "kind": interaction.kind,
        "value": interaction.value,
        "slate": interaction.slate,
        "slate_position": interaction.position,
        "time": interaction.time,
        "situation": interaction.situation,
    }


_USER = path_parameter("user", "The user's id.", "ann")
_PATH = "/v1/users/{user}"

ENDPOINTS = (
    Endpoint("GET", _PATH, user, User, [_USER], problems=("not-found",)),
    Endpoint(
        "PUT",
        _PATH,
        put_user,
        User,
        [_USER],
        {
            "type": "object",
            "additionalProperties": True,
            "example": {"languages": ["en"], "traits": {"openness": 80}},
        },
    ),
    Endpoint("DELETE", _PATH, erase_user, Erased, [_USER]),
    Endpoint("GET", _PATH + "/accounts", accounts, LinkedAccounts, [_USER]),
    Endpoint(
        "DELETE",
        _PATH + "/accounts",
        unlink,
        Unlinked,
        [_USER, query_parameter("service", "Only that with one service.", type="string")],
    ),
    Endpoint("POST", _PATH + "/assessments", assess_user, Assessed, [_USER], body(AssessmentIn), status=201),
    Endpoint(
        "GET",
        _PATH + "/interactions",
        user_interactions,
        PastInteractions,
        [
            _USER,
            query_parameter("domain", "Only those of one domain.", type="string"),
            query_parameter(
                "limit", "Most of a page.", type="integer", minimum=1, maximum=_MOST, default=_USUAL
            ),
            query_parameter("before", "`next` of the page before.", type="integer", minimum=1),
        ],
    ),
)
