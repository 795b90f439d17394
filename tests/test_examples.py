"""The example configurations work on the real data that they name."""

import asyncio
import os
from pathlib import Path

import pytest
from tastemaker.core import Request
from tastemaker.core.config import load
from tastemaker.core.orchestrator import Orchestrator

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.yaml"))
DATA = Path(os.environ.get("SHARED_DATA", ROOT.parent / "shared" / "data"))

WISHES = {
    "github-projects": ("projects", {"interests": ["self-hosted photo gallery"]}, "photo", 4_911),
    "online-retail": ("products", {"interests": ["christmas decorations"]}, "christmas", 3_659),
    "spotify-songs": ("songs", {"genres": ["rock"]}, "rock", 28_352),
    "youtube": ("videos", {"interests": ["football highlights"]}, "football", 1_672),
}
LIVE = {"books-api"}
"""Examples that ask a service, tried in tests/connectors against one on this machine."""


def test_every_example_is_tried() -> None:
    assert {example.stem for example in EXAMPLES} == {*WISHES, *LIVE}


def texts_of(item: dict[str, object]) -> str:
    """All words of an item, in lower case."""
    return " ".join(str(value) for value in item.values()).casefold()


@pytest.mark.parametrize(
    "example", [path for path in EXAMPLES if path.stem in WISHES], ids=lambda path: path.stem
)
def test_an_example_recommends_what_was_asked_for(
    example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not DATA.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(f"the real data is not at {DATA}")
        pytest.skip(f"needs the real data at {DATA}, or SHARED_DATA=its folder")
    monkeypatch.setenv("SHARED_DATA", str(DATA))
    monkeypatch.setenv("TASTEMAKER_STORE", f"sqlite:///{tmp_path}/tastemaker.db")
    domain, profile, word, count = WISHES[example.stem]

    async def slate() -> list[str]:
        one = Orchestrator(load(example), follow=False, slate_ids=lambda now: "the same every time")
        async with one as tastemaker:
            assert tastemaker.stocking.imports[domain].written == count
            assert tastemaker.stocking.imports[domain].rejected == 0
            await tastemaker.put_profile("ann", profile)
            answer = await tastemaker.recommend(domain, Request("ann"))
            assert not answer.degraded
            catalog = tastemaker.agent(domain).catalog.snapshot()
            return [texts_of(catalog.item(catalog.row(pick.item))) for pick in answer.picks]

    shown = asyncio.run(slate())
    assert len(shown) >= 10
    assert sum(word in item for item in shown) >= 3
