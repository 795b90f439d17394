"""Catalog: the generic building blocks, which need nothing but the items' own fields and what people did."""

from collections.abc import Sequence

from ...core import Component, hookimpl
from .collaborative import Collaborative
from .filters import Available, Seen, Where, Wish
from .scorers import Freshness, Novelty, Numeric, Popularity, Similarity, TagMatch
from .sources import Popular, Random, Recent, Similar
from .stages import Stages


@hookimpl
def components() -> Sequence[type[Component]]:
    """Every building block, by name."""
    return [
        Available,
        Collaborative,
        Freshness,
        Novelty,
        Numeric,
        Popular,
        Popularity,
        Random,
        Recent,
        Seen,
        Similar,
        Similarity,
        Stages,
        TagMatch,
        Where,
        Wish,
    ]
