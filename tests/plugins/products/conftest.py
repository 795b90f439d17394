"""A small shop, and requests by hand."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from tastemaker.core import Candidates, Catalog, Context, Feedback, ItemSchema

NOW = 1_795_000_000.0


@pytest.fixture(scope="session")
def asks() -> Callable[..., Context]:
    """The context of a user with a past: (item, kind, days ago), newest first."""

    def made(
        catalog: Catalog,
        past: Sequence[tuple[str, str, float]] = (),
        *,
        situation: Mapping[str, Any] | None = None,
        reward: float = 1.0,
    ) -> Context:
        snapshot = catalog.snapshot()
        kinds = np.empty(len(past), dtype=object)
        kinds[:] = [kind for _, kind, _ in past]
        return Context(
            domain="products", user="ann", slate="s", now=NOW, size=5, draws=1, seed=1, catalog=snapshot,
            history=Candidates(
                snapshot,
                np.array([snapshot.row(item) for item, *_ in past], dtype=np.intp),
                columns={
                    "reward": np.full(len(past), reward),
                    "kind": kinds,
                    "age_days": np.array([days for *_, days in past], dtype=np.float64),
                },
            ),
            feedback=Feedback(), profile={}, situation=situation or {},
        )  # fmt: skip

    return made


@pytest.fixture(scope="session")
def shop_of() -> Callable[..., Catalog]:
    """A catalogue of items by id."""

    def made(items: Mapping[str, Mapping[str, Any]], fields: Mapping[str, Any]) -> Catalog:
        catalog = Catalog(ItemSchema(dict(fields)))
        catalog.put(list(items.items()))
        return catalog

    return made
