"""Nothing but the request of a user asks a service: not a slate decided again, not a simulation, not an environment."""

import asyncio
from typing import Any

import pytest
from tastemaker.core import Request, Slate
from tastemaker.core.config import Settings
from tastemaker.core.evaluation import compare
from tastemaker.core.explain import explain
from tastemaker.core.orchestrator import Orchestrator
from tastemaker.core.simulation import run
from tastemaker.core.store import Store
from tastemaker.tests.fakes.youtube_catalogue import clips

DAY = 86_400.0


@pytest.fixture
def settings(stand: Any) -> Settings:
    """The live domain without embeddings, which have no part in this."""
    found: Settings = stand.settings("domains.video.items.embedding=null", "domains.video.scorers.match=null",
                                     "domains.video.sources.similar=null")  # fmt: skip
    return found


async def slates(settings: Settings, stand: Any) -> list[Slate]:
    async with Orchestrator(settings, clock=stand.clock, follow=False) as orchestrator:
        shown = []
        for user in ("ann", "ben", "cleo"):
            await orchestrator.put_profile(user, {"categories": ["Gaming"]})
            shown.append(await orchestrator.recommend("video", Request(user, exclude=frozenset(["none"]))))
    return shown


def test_a_logged_slate_knows_what_was_proposed_from_outside(settings: Settings, stand: Any) -> None:
    for slate in asyncio.run(slates(settings, stand)):
        assert not slate.degraded
        chart = {pick.item for pick in slate.picks if "charts" in pick.sources}
        assert chart <= set(slate.proposed["sources.charts"]) <= {clip.id for clip in clips()}
        assert "sources.popular" not in slate.proposed, "what holds no connector can be asked again"


def test_days_later_slates_are_explained_and_compared_exactly_and_nothing_is_asked(
    settings: Settings, stand: Any
) -> None:
    shown = asyncio.run(slates(settings, stand))
    asked = len(stand.server.log)
    assert asked
    stand.clock.advance(3 * DAY)  # nothing kept is fresh any more

    async def explained() -> list[Any]:
        async with Orchestrator(settings, clock=stand.clock, follow=False) as orchestrator:
            return [await explain(orchestrator, slate.id) for slate in shown]

    for explanation in asyncio.run(explained()):
        assert explanation.exact
        assert explanation.runners_up
    store = Store(settings.store.get_secret_value(), clock=stand.clock)
    try:
        untaught = settings.domains["video"].policies[1].component.state()  # type: ignore[attr-defined]
        before = store.end()
        found = compare(settings, store, "video", "taste", candidate=untaught, active=untaught)
        assert found.slates == 3
        assert found.replayed == 1
        assert store.end() == before
    finally:
        store.close()
    assert len(stand.server.log) == asked


def test_what_the_log_does_not_know_is_not_made_up(settings: Settings, stand: Any) -> None:
    """As of a slate that was logged when proposals were not."""
    shown = asyncio.run(slates(settings, stand))[0]
    asked = len(stand.server.log)

    async def again() -> Slate:
        async with Orchestrator(settings, clock=stand.clock, follow=False) as orchestrator:
            agent = orchestrator.agent("video")
            profile = await orchestrator.profile(shown.user)
            return await agent.decide(
                Request(shown.user),
                slate=shown.id,
                now=shown.time,
                seed=shown.seed,
                profile=profile,
                recalled={},
            )

    other = asyncio.run(again())
    assert shown.proposed
    assert not any("charts" in pick.sources for pick in other.picks)
    assert other.proposed == {}
    assert len(stand.server.log) == asked


@pytest.mark.parametrize("processes", [1, 2])
def test_a_simulation_lives_on_the_sample(stand: Any, processes: int) -> None:
    settings = stand.settings(
        "domains.video.items.embedding=null",
        "domains.video.scorers.match=null",
        "domains.video.sources.similar=null",
    )
    experiment = run(settings, "video", people=3, rounds=2, seeds=1, processes=processes)
    assert experiment.degraded == 0
    assert experiment.decisions == 12
    assert not stand.server.log


def test_an_environment_lives_on_the_sample(stand: Any) -> None:
    pytest.importorskip("gymnasium")
    from tastemaker.core.simulation.environment import DomainEnv

    settings = stand.settings()
    env = DomainEnv(settings.path, "video", people=3, requests=2, overrides=settings.overrides)
    try:
        env.reset(seed=1)
        assert env.degraded == []
        assert not {str(name) for name in env.shortlist.ids} & {clip.id for clip in clips()}
    finally:
        env.close()
    assert not stand.server.log
