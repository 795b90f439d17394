"""A server that behaves as YouTube, and domains that stand on it."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tastemaker.connectors.youtube_client  # noqa: F401  # slow to load: no start has to wait for it
from tastemaker.core import Candidates, Catalog, Context, Feedback, ItemSchema
from tastemaker.core.clock import ManualClock
from tastemaker.core.config import Settings, load
from tastemaker.tests.fakes.serving import serve
from tastemaker.tests.fakes.youtube import YouTube as Server
from tastemaker.tests.fakes.youtube_catalogue import START

KEY = "AIzaNotARealKey-0123456789"


class Stand:
    """A server, and what a domain needs to be live on it; all on one clock."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock(START)
        self.server = Server(self.clock, KEY)
        self.base = ""
        self._folder = folder

    def settings(self, *overrides: str) -> Settings:
        """The preset as somebody with a key has it."""
        path = self._folder / "config.yaml"
        path.write_text(
            f"version: 1\nstore: sqlite:///{self._folder / 'video.db'}\n"
            "domains:\n  video:\n    extends: video\n"
            f"    connectors: {{youtube: {{key: {KEY}, url: '{self.base}', region: GB}}}}\n"
        )
        # Far above what it takes, so that a busy machine degrades nothing by itself.
        return load(path, overrides=["domains.video.slate.deadline_ms=20000", *overrides])


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    stand = Stand(tmp_path)
    with serve(stand.server.app) as base:
        stand.base = base
        yield stand


FIELDS: Mapping[str, Any] = {
    "title": "text",
    "category": "category",
    "channel_id": "category",
    "tags": "tags",
    "searches": "tags",
    "language": "category",
}


@pytest.fixture
def context_of() -> Callable[..., Context]:
    """A request about items given as values, their ids i0, i1, …; `liked`: places of items with a reward of 1."""

    def made(
        items: Any, *, profile: Any = None, situation: Any = None, liked: Any = (), now: float = START
    ) -> Context:
        catalog = Catalog(ItemSchema(FIELDS))
        catalog.put([(f"i{place}", values) for place, values in enumerate(items)])
        snapshot = catalog.snapshot()
        columns = {
            "reward": np.ones(len(liked)),
            "kind": np.full(len(liked), "like", dtype=object),
            "age_days": np.zeros(len(liked)),
        }
        history = Candidates(snapshot, np.array(liked, dtype=np.intp), columns=columns)
        return Context(
            domain="video", user="ann", slate="s", now=now, size=5, draws=1, seed=1, catalog=snapshot,
            history=history, feedback=Feedback(), profile=profile or {}, situation=situation or {},
        )  # fmt: skip

    return made
