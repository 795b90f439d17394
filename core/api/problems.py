"""Problems: every error of the API, as a document that says what, where and what is right (RFC 9457)."""

import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ..errors import Conflict, ItemError, NotFound, RequestError, StoreUnavailable, TastemakerError

_log = logging.getLogger("tastemaker.api")

MEDIA_TYPE = "application/problem+json"

KINDS: dict[str, tuple[int, str]] = {
    "syntax": (400, "The request can't be read"),
    "key": (401, "A key is needed"),
    "not-found": (404, "There is no such thing"),
    "method": (405, "That can't be done here"),
    "conflict": (409, "That doesn't go with what is there"),
    "too-large": (413, "The request is too large"),
    "media-type": (415, "The body is not JSON"),
    "validation": (422, "The request doesn't fit"),
    "internal": (500, "Something went wrong here"),
    "unavailable": (503, "Not at the moment"),
}
"""Status and title by kind; the type of a problem is `/problems/` and its kind."""

_RETRY_SECONDS = "1"


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing that is wrong.

    where: such as `body.kind`, `query.limit` or `path.user`; hint: what would be right.
    """

    where: str
    message: str
    hint: str = ""

    def as_dict(self) -> dict[str, str]:
        """Plain values; an empty hint is left out."""
        found = {"where": self.where, "message": self.message}
        return found | {"hint": self.hint} if self.hint else found


class Problem(HTTPException):
    """An error with its answer."""

    def __init__(
        self, kind: str, detail: str, issues: Sequence[Issue] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        status, self.title = KINDS[kind]
        super().__init__(status, detail, dict(headers or {}))
        self.kind = kind
        self.issues = tuple(issues)
        self.id = ""

    def document(self, instance: str) -> dict[str, Any]:
        """The problem document; instance: the path that was asked for."""
        document: dict[str, Any] = {
            "type": f"/problems/{self.kind}",
            "title": self.title,
            "status": self.status_code,
            "detail": self.detail,
            "instance": instance,
            "errors": [issue.as_dict() for issue in self.issues],
        }
        return document | {"id": self.id} if self.id else document

    def response(self, instance: str) -> Response:
        """The answer."""
        content = orjson.dumps(self.document(instance))
        return Response(content, self.status_code, self.headers, MEDIA_TYPE)


def invalid(issues: Sequence[Issue]) -> Problem:
    """The problem that a request doesn't fit, for these reasons."""
    detail = "; ".join(f"{issue.where} {issue.message}" for issue in issues[:3])
    more = f"; and {len(issues) - 3} more" if len(issues) > 3 else ""
    return Problem("validation", detail + more, issues)


def problem_of(error: Exception, asked: str) -> Problem:
    """The problem that an exception comes to; asked: method and path, for the log."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, NotFound):
        return Problem("not-found", str(error))
    if isinstance(error, Conflict):
        return Problem("conflict", str(error))
    if isinstance(error, ItemError | RequestError):
        return Problem("validation", str(error))
    if isinstance(error, StoreUnavailable):
        return Problem("unavailable", str(error), headers={"Retry-After": _RETRY_SECONDS})
    problem = Problem("internal", "")
    problem.id = secrets.token_hex(8)
    known = isinstance(error, TastemakerError)
    problem.detail = str(error) if known else f"The server's log says more under {problem.id}."
    _log.error("%s: problem %s: %s", asked, problem.id, error, exc_info=None if known else error)
    return problem
