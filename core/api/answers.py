"""Answers: JSON, written without a detour."""

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from ..agent import Agent
from ..catalog.catalog import CatalogSnapshot
from ..orchestrator import Orchestrator

_MOST_WRITTEN = 50_000


def json_answer(value: Any, status: int = 200) -> Response:
    """The JSON of plain values; NaN becomes null."""
    return Response(orjson.dumps(value), status, media_type="application/json")


def orchestrator_of(request: Request) -> Orchestrator:
    """The orchestrator that the application started."""
    found: Orchestrator = request.app.state.orchestrator
    return found


class WrittenItems:
    """Items of one domain as JSON, written once for each state of the catalogue."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._snapshot: CatalogSnapshot | None = None
        self._written: dict[str, orjson.Fragment] = {}

    def of(self, item: str) -> orjson.Fragment:
        """The fields of an item; `{}` where it has left the catalogue."""
        snapshot = self._agent.catalog.snapshot()
        if snapshot is not self._snapshot:
            self._snapshot, self._written = snapshot, {}
        fragment = self._written.get(item)
        if fragment is None:
            row = snapshot.row(item)
            fragment = orjson.Fragment(orjson.dumps(snapshot.item(row)) if row >= 0 else b"{}")
            if len(self._written) >= _MOST_WRITTEN:
                self._written.clear()
            self._written[item] = fragment
        return fragment
