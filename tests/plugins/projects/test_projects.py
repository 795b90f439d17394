"""GitHub projects: what is too hard is left out, and the preset works on its sample as it is."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tastemaker.core import Candidates, Catalog, Context, Feedback, Interaction, ItemSchema, Request
from tastemaker.core.clock import ManualClock
from tastemaker.core.config import load
from tastemaker.core.orchestrator import Orchestrator
from tastemaker.plugins.projects import LEVELS, Complexity

NOW = 1_795_000_000.0


def kept(profile: dict[str, Any], **options: Any) -> list[str]:
    """The levels of complexity that stay for a profile; "" is unknown."""
    catalog = Catalog(ItemSchema({"complexity": "category"}))
    levels = [*LEVELS, "", "odd"]
    catalog.put([(f"p{place}", {"complexity": level} if level else {}) for place, level in enumerate(levels)])
    snapshot = catalog.snapshot()
    context = Context(
        domain="projects", user="ann", slate="s", now=NOW, size=5, draws=1, seed=1, catalog=snapshot,
        history=Candidates(snapshot, np.empty(0, dtype=np.intp)), feedback=Feedback(), profile=profile, situation={},
    )  # fmt: skip
    everything = Candidates(snapshot, snapshot.live)
    keep = Complexity(**options).keep(context, everything)
    assert keep.dtype == np.bool_
    return [level for level, stays in zip(levels, keep.tolist(), strict=True) if stays]


@pytest.mark.parametrize(
    ("level", "reach", "wanted"),
    [
        ("beginner", 1, ["beginner", "intermediate"]),
        ("beginner", 0, ["beginner"]),
        (" Intermediate ", 1, ["beginner", "intermediate", "advanced"]),
        ("advanced", 1, [*LEVELS]),
        ("expert", 0, [*LEVELS]),
        ("beginner", 3, [*LEVELS]),
    ],
)
def test_what_is_further_above_than_its_reach_goes(level: str, reach: int, wanted: list[str]) -> None:
    assert kept({"skill_level": level}, reach=reach) == [*wanted, "", "odd"]


@pytest.mark.parametrize(
    "profile", [{}, {"skill_level": "wizard"}, {"skill_level": None}, {"skill_level": ["expert"]}]
)
def test_without_a_level_everything_stays(profile: dict[str, Any]) -> None:
    assert kept(profile) == [*LEVELS, "", "odd"]


def test_the_preset_works_on_its_sample_and_learns(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        f"version: 1\nstore: sqlite:///{tmp_path / 'x.db'}\n"
        f"domains:\n  projects: {{extends: projects, slate: {{deadline_ms: 20000}}}}\n"
    )

    async def life() -> None:
        clock = ManualClock(NOW)
        async with Orchestrator(load(path), clock=clock) as orchestrator:
            catalog = orchestrator.agent("projects").catalog.snapshot()
            assert len(catalog.live) > 300
            assert orchestrator.stocking.imports["projects"].rejected == 0
            profile = {"interests": ["machine learning"], "languages": ["Python"], "skill_level": "beginner"}
            await orchestrator.put_profile("ann", profile)
            slate = await orchestrator.recommend("projects", Request("ann"))
            assert slate.degraded == []
            assert len(slate.picks) == 12
            items = [catalog.item(catalog.row(pick.item)) for pick in slate.picks]
            assert max(Counter(item.get("language") for item in items if item.get("language")).values()) <= 6
            assert not [item for item in items if item.get("archived")]
            assert not [item for item in items if item.get("complexity") in ("advanced", "expert")]
            await orchestrator.record(
                [Interaction("1", "projects", "ann", slate.picks[0].item, "bookmark", NOW, slate=slate.id)]
            )
            await orchestrator.learner.reached(orchestrator.store.end(), 20)
            words = (
                orchestrator.agent("projects").policies["taste"].component.explain(slate.picks[0].item, {})
            )
            assert words.startswith("1.0 successes and 0.0 failures")

    asyncio.run(life())
