"""Slates that can't be logged as they are, from policies and requests to the log."""

import numpy as np
from numpy.typing import NDArray
from tastemaker.core import Candidates, Context, Policy, Request
from tastemaker.core.config import Settings
from tastemaker.core.orchestrator import Orchestrator
from tastemaker.tests.core.bookshop import lived, with_steps


def test_what_cannot_be_logged_is_left_out_and_named(shop: Settings) -> None:
    class Scribbler(Policy):
        def rank(self, context: Context, candidates: Candidates) -> NDArray[np.float64]:
            context.memo["thing"] = object()
            return np.zeros(len(candidates))

    class Careful(Policy):
        def rank(self, context: Context, candidates: Candidates) -> NDArray[np.float64]:
            context.memo["thing"] = 1
            return np.zeros(len(candidates))

    books = with_steps(shop, policies={"bad": Scribbler(), "good": Careful()})

    async def life(orchestrator: Orchestrator) -> None:
        slate = await orchestrator.recommend("books", Request("ann", situation={"what": {1, 2}}))
        assert [entry.component for entry in slate.degraded] == ["policies.bad", "situation"]
        assert orchestrator.slate(slate.id).memo == {"good": {"context": {"thing": 1}}}

    lived(books, life)


def test_a_memo_that_would_flood_the_log_is_left_out_and_named(shop: Settings) -> None:
    class Verbose(Policy):
        def rank(self, context: Context, candidates: Candidates) -> NDArray[np.float64]:
            context.memo["everything"] = np.zeros(10**6)
            candidates.memo["place"] = np.arange(len(candidates))
            return np.zeros(len(candidates))

    class Terse(Policy):
        def rank(self, context: Context, candidates: Candidates) -> NDArray[np.float64]:
            context.memo["thing"] = 1
            return np.zeros(len(candidates))

    async def life(orchestrator: Orchestrator) -> None:
        slate = await orchestrator.recommend("books", Request("ann"))
        (failure,) = slate.degraded
        assert failure.component == "policies.verbose"
        assert "is left out: a slate has 1,000,000 at most" in failure.reason
        assert orchestrator.slate(slate.id).memo == {"terse": {"context": {"thing": 1}}}

    lived(with_steps(shop, policies={"verbose": Verbose(), "terse": Terse()}), life)
