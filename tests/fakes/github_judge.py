"""Holds what the local GitHub answered against GitHub's own OpenAPI description."""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from openapi_core import OpenAPI
from openapi_core.testing import MockRequest, MockResponse

from .faults import Answered

SPEC = (
    Path(os.environ.get("SHARED_SPECS", Path(__file__).parents[2].parent / "shared" / "specs"))
    / "github-openapi-subset.json"
)

_UNDESCRIBED = {304, 401, 403, 404, 429}
"""Statuses that every endpoint may answer, and that only some are described with."""


@cache
def _openapi() -> Any:
    described = json.loads(SPEC.read_text(encoding="utf-8"))
    described["servers"] = [{"url": "http://github.local"}]
    return OpenAPI.from_dict(described)


def judge(answers: list[Answered]) -> int:
    """Raises where an answer isn't as described; how many were judged. Skips the test without the description."""
    if not SPEC.exists():
        pytest.skip(f"no description of GitHub's API at {SPEC}: its answers are not judged")
    described = [
        each for each in answers if not each.asked.path.startswith(("/graphql", "/api/", "/repositories/"))
    ]
    seen = set()
    for answer in described:
        if (key := (answer.asked.path, answer.status, answer.body)) in seen:
            continue
        seen.add(key)
        asked = answer.asked
        request = MockRequest(
            "http://github.local",
            asked.method.lower(),
            asked.path,
            args=dict(asked.query),
            headers=dict(asked.headers),
        )
        kind = answer.headers.get("content-type", "").partition(";")[0]
        response = MockResponse(
            answer.body,
            status_code=answer.status,
            headers=dict(answer.headers),
            content_type=kind or "application/json",
        )
        if answer.status in _UNDESCRIBED:
            continue
        try:
            _openapi().validate_response(request, response)
        except Exception as error:
            inner = error.__cause__ or error
            details = getattr(inner, "schema_errors", None) or [inner]
            where = f"{asked.method} {asked.path}?{urlencode(asked.query)} → {answer.status}"
            raise AssertionError(f"{where}: {'; '.join(str(each)[:300] for each in details)}") from None
    return len(described)
