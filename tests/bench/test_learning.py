"""The compositions that learning is compared with can be made, also of domains that a quick run leaves out."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TITLES = (
    "Sample projects",
    "Sample products",
    "GitHub projects",
    "Online Retail",
    "YouTube videos",
    "Spotify songs",
)


@pytest.mark.parametrize("title", TITLES)
def test_every_point_of_the_grid_is_a_composition(title: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setenv("SHARED_DATA", "")  # put back after the test: the bench sets it
    bench = importlib.import_module("bench.learning")
    assert [domain.title for domain in bench.DOMAINS] == list(TITLES)
    domain = bench.DOMAINS[TITLES.index(title)]
    points = bench.points_of(domain)
    assert len(points) >= 18
    for knobs in (points[0], points[-1]):
        plan = bench.composed(domain, knobs).domains[domain.name]
        assert not plan.policies
        made = {f"scorers.{step.name}.weight": step.weight for step in plan.scorers}
        made["slate.diversity"] = plan.slate.diversity
        assert knobs.items() <= made.items()
