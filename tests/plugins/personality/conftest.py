"""Requests by somebody of whom a profile is known."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from tastemaker.core import Candidates, CatalogSnapshot, Context, Feedback


@pytest.fixture(scope="session")
def context_of() -> Callable[..., Context]:
    """A request on a catalogue, by somebody without a history."""

    def made(
        catalog: CatalogSnapshot,
        profile: Mapping[str, Any],
        *,
        user: str = "ann",
        now: float = 1_000.0,
        step: str = "policies.drift",
    ) -> Context:
        return Context(
            domain="music",
            user=user,
            slate="s",
            now=now,
            size=3,
            draws=4,
            seed=1,
            catalog=catalog,
            history=Candidates(catalog, np.empty(0, dtype=np.intp)),
            feedback=Feedback(),
            profile=dict(profile),
            situation={},
            step=step,
        )

    return made
