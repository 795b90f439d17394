"""What the catalogues begin with."""

from pathlib import Path
from typing import Any

from tastemaker.core.config import Settings
from tastemaker.core.orchestrator import Orchestrator
from tastemaker.tests.core.bookshop import lived


def test_a_changed_file_is_brought_in(shop: Settings, tmp_path: Path) -> None:
    async def books(orchestrator: Orchestrator) -> Any:
        snapshot = orchestrator.agent("books").catalog.snapshot()
        return sorted(snapshot.ids[snapshot.live].tolist())

    assert len(lived(shop, books)) == 50
    (tmp_path / "books.csv").write_text("isbn,title\nb1,One\nnew,New\n")
    assert lived(shop, books) == ["b1", "new"]
