"""Recommendations: a slate for a user, now."""

from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr, ValidationError
from pydantic_core import PydanticCustomError
from starlette.requests import Request
from starlette.responses import Response

from ..agent import Agent
from ..context import Request as Wish
from .answers import WrittenItems, json_answer, orchestrator_of
from .endpoints import DOMAIN, Endpoint, body, path_parameter, query_parameter
from .models.recommendations import MOST_ITEMS_IN_A_SLATE, RecommendationRequest, Recommendations
from .names import credentials, issues
from .problems import Issue, invalid
from .reading import flag, json_body, name_fault, plain, query, segment, whole

CREDENTIALS = "x-credentials"
_OWN = frozenset({"limit", "exclude", "trace"})


async def recommend(request: Request) -> Response:
    """Recommend items to a user.

    Parameters that are not named here describe the situation, such as `mood=calm`: numbers, `true` and
    `false` are taken as such, and what comes several times becomes a list.
    """
    domain, user = segment(request, "domain"), segment(request, "user")
    if not request.scope["query_string"]:
        return await _answer(request, domain, Wish(user))
    found = query(request)
    exclude = frozenset(name for text in found.get("exclude", ()) for name in text.split(",") if name)
    faults = [
        Issue("query.exclude", f"{fault}: {name[:40]!r}") for name in exclude if (fault := name_fault(name))
    ]
    if faults:
        raise invalid(faults)
    situation: dict[str, Any] = {
        key: plain(values[0]) if len(values) == 1 else [plain(value) for value in values]
        for key, values in found.items()
        if key not in _OWN
    }
    limit = whole(found, "limit", 1, MOST_ITEMS_IN_A_SLATE)
    return await _answer(request, domain, Wish(user, limit, situation, exclude, flag(found, "trace")))


async def recommend_for(request: Request) -> Response:
    """Recommend items, all said in a body."""
    domain = segment(request, "domain")
    connectors = _connectors(orchestrator_of(request).agent(domain))
    given = await json_body(request)
    try:
        wish = RecommendationRequest.model_validate(given, context={"connectors": connectors})
    except ValidationError as error:
        raise invalid(issues(error, RecommendationRequest, "body")) from None
    asked = Wish(wish.user, wish.limit, wish.situation, frozenset(wish.exclude), wish.trace, wish.credentials)
    return await _answer(request, domain, asked)


async def _answer(request: Request, domain: str, wish: Wish) -> Response:
    orchestrator = orchestrator_of(request)
    if wish.credentials or CREDENTIALS in request.headers:
        wish.credentials = _credentials(request, orchestrator.agent(domain), wish.credentials)
    slate = await orchestrator.recommend(domain, wish)
    written: dict[str, WrittenItems] = request.app.state.written
    items = written.get(domain)
    if items is None:
        items = written[domain] = WrittenItems(orchestrator.agent(domain))
    return json_answer(slate.answer(items.of, parts=wish.trace, trace=wish.trace))


def _credentials(request: Request, agent: Agent, said: Mapping[str, SecretStr]) -> dict[str, SecretStr]:
    """The user's tokens, from the body and the headers. Raises Problem, which doesn't show them."""
    given: dict[str, Any] = {}
    for text in ",".join(request.headers.getlist(CREDENTIALS)).split(","):
        name, written, token = text.strip().partition("=")
        if written:
            given[name] = token
        elif name:  # it isn't shown: it may be a token
            wanted = "must be connector=token, and more of them after commas"
            raise invalid([Issue(f"header.{CREDENTIALS}", wanted)])
    try:
        return {**credentials(given, _connectors(agent)), **said}
    except PydanticCustomError as error:
        more = (error.context or {}).get("hint")
        hint = "write connector=token" + (f"; {more}" if more else "")
        raise invalid([Issue(f"header.{CREDENTIALS}", error.message(), hint)]) from None


def _connectors(agent: Agent) -> list[str]:
    return [step.name for step in agent.plan.connectors]


_CREDENTIALS = {
    "name": CREDENTIALS,
    "in": "header",
    "required": False,
    "description": "The user's own short-lived tokens, as `connector=token`, separated by commas: used now, "
    "and kept nowhere.",
    "schema": {"type": "string", "format": "password"},
}

ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/{domain}/recommendations/{user}",
        recommend,
        Recommendations,
        [
            DOMAIN,
            path_parameter("user", "The user's id; one who is new is welcome.", "ann"),
            query_parameter(
                "limit",
                "Items wanted; by default the domain's `slate.size`.",
                type="integer",
                minimum=1,
                maximum=MOST_ITEMS_IN_A_SLATE,
            ),
            query_parameter("exclude", "Ids that must not come, separated by commas.", type="string"),
            query_parameter("trace", "Keep and return what became of every candidate.", type="boolean"),
            {
                "name": "situation",
                "in": "query",
                "required": False,
                "description": "Any other parameter says what is true of this moment, such as `mood=calm`.",
                "schema": {
                    "type": "object",
                    "additionalProperties": {
                        "anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]
                    },
                },
                "style": "form",
                "explode": True,
                "example": {"mood": "calm"},
            },
            _CREDENTIALS,
        ],
        problems=("not-found",),
    ),
    Endpoint(
        "POST",
        "/v1/{domain}/recommendations",
        recommend_for,
        Recommendations,
        [DOMAIN, _CREDENTIALS],
        body(RecommendationRequest),
        ("not-found",),
    ),
)
