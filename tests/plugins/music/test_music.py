"""The preset for music: complete, on its sample and without any key."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tastemaker.core import Interaction, Request, Slate
from tastemaker.core.clock import ManualClock
from tastemaker.core.config import Settings, load
from tastemaker.core.orchestrator import Orchestrator
from tastemaker.core.rewards import RewardTable

NOW = 1_795_000_000.0
DAY = 86_400.0

Live = Callable[[Callable[["Listening"], Awaitable[Any]]], Any]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ("SPOTIFY_CLIENT_ID", "SPOTIFY_CLIENT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "config.yaml").write_text(
        "version: 1\nstore: sqlite:///music.db\ndomains:\n  mine: {extends: music}\n"
    )
    return load(tmp_path / "config.yaml", overrides=["domains.mine.policies.tuner.enabled=true"])


class Listening:
    """An agent of the preset, and somebody who listens."""

    def __init__(self, tastemaker: Orchestrator, clock: ManualClock) -> None:
        self.tastemaker, self.clock = tastemaker, clock

    async def slate(self, user: str = "ann", **request: Any) -> Slate:
        slate = await self.tastemaker.recommend("mine", Request(user, **request))
        assert not slate.degraded
        assert len(slate.picks) == (request.get("size") or 12)
        return slate

    async def do(self, slate: Slate, items: Sequence[str], kind: str) -> None:
        await self.tastemaker.record(
            [
                Interaction(
                    f"{slate.id}-{item}-{kind}", "mine", slate.user, item, kind, self.clock(), slate=slate.id
                )
                for item in items
            ]
        )
        self.tastemaker.learn()

    def items(self, slate: Slate) -> list[Mapping[str, Any]]:
        catalog = self.tastemaker.agent("mine").catalog.snapshot()
        return [catalog.item(catalog.row(pick.item)) for pick in slate.picks]

    def mean(self, slate: Slate, field: str) -> float:
        return float(np.mean([item[field] for item in self.items(slate)]))


@pytest.fixture
def lived(settings: Settings) -> Live:
    """Live with an agent of the preset; its slates are the same every time."""

    def live(story: Callable[[Listening], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            clock = ManualClock(NOW)
            count = iter(range(10_000))
            one = Orchestrator(
                settings, clock=clock, follow=False, slate_ids=lambda _: f"slate-{next(count)}"
            )
            async with one as tastemaker:
                return await story(Listening(tastemaker, clock))

        return asyncio.run(run())

    return live


@pytest.fixture
def table(settings: Settings) -> RewardTable:
    plan = settings.domains["mine"]
    assert isinstance(plan.reward, RewardTable)
    return plan.reward


def worth(table: RewardTable, kind: str, value: float | None = None) -> float | None:
    return table.reward(Interaction("1", "mine", "ann", "item", kind, 0.0, value=value))


def test_its_rewards(table: RewardTable) -> None:
    kinds = ("like", "save", "add_to_playlist", "play", "repeat", "share", "dislike", "skip")
    assert [worth(table, kind) for kind in kinds] == [1.0, 1.5, 1.8, 0.8, 1.2, 1.3, -1.0, -0.4]
    assert [worth(table, "listened", share) for share in (0.0, 0.5, 1.0)] == [0.0, 0.25, 0.5]
    assert (table.bonuses["quick"].add, table.bonuses["quick"].within_seconds) == (0.2, 30)


def test_the_tuner_has_to_be_turned_on(settings: Settings) -> None:
    assert "tuner" in [step.name for step in settings.domains["mine"].policies]
    plan = load(settings.path).domains["mine"]
    assert [step.name for step in plan.policies] == ["drift", "adjust", "taste"]


def test_no_text_of_a_track_is_ever_embedded(settings: Settings) -> None:
    assert settings.domains["mine"].items.embedder is None


def test_policies_look_at_audio_features_alone(settings: Settings) -> None:
    audio = {"energy", "valence", "danceability", "acousticness", "instrumentalness", "speechiness", "tempo"}
    policies = {step.name: step.component for step in settings.domains["mine"].policies}
    drift: Any = policies["drift"]
    assert drift.words is None
    assert {field for leaning in drift.traits.values() for field in leaning.ideal} <= audio
    adjust: Any = policies["adjust"]
    assert set(adjust.fields) <= audio
    assert adjust.words is None


def test_somebody_of_whom_nothing_is_known_gets_a_whole_slate(lived: Live) -> None:
    async def story(there: Listening) -> None:
        slate = await there.slate("nobody")
        artists = [item["artist"] for item in there.items(slate)]
        assert max(map(artists.count, artists)) <= 2

    lived(story)


def test_a_new_listener_is_known_by_personality(lived: Live) -> None:
    async def story(there: Listening) -> tuple[float, ...]:
        told = {"lively": 95, "quiet": 5}
        for name, extraversion in told.items():
            await there.tastemaker.put_profile(name, {"traits": {"extraversion": extraversion}})
        energies: dict[str, list[float]] = {name: [] for name in told}
        for _ in range(5):
            for name in told:
                slate = await there.slate(name)
                energies[name].append(there.mean(slate, "energy"))
                assert {"personality", "stage"} <= slate.picks[0].parts.keys()
        return tuple(float(np.mean(energies[name])) for name in told)

    lively, quiet = lived(story)
    assert lively > quiet + 0.2


def test_in_time_what_was_heard_says_more(lived: Live) -> None:
    async def story(there: Listening) -> list[float]:
        await there.tastemaker.put_profile("ann", {"traits": {"extraversion": 95}, "since": NOW - DAY})
        catalog = there.tastemaker.agent("mine").catalog.snapshot()
        families = ("Classical Calm", "Jazz After Dark")
        calm = [str(catalog.ids[row]) for row in catalog.live if catalog.item(row).get("family") in families]
        await there.do(await there.slate(), calm[:36], "save")
        energies = []
        for _ in range(3):  # on the second day, on the 22nd, on the 42nd
            shown = [there.mean(await there.slate(), "energy") for _ in range(6)]
            energies.append(float(np.mean(shown)))
            there.clock.advance(20 * DAY)
        return energies

    first, second, third = lived(story)
    assert first > second + 0.1
    assert first > third + 0.1


def test_the_knobs_are_turned_and_noted(lived: Live) -> None:
    async def story(there: Listening) -> None:
        turned = set()
        for number in range(30):
            slate = await there.slate(f"user{number}")
            items = there.items(slate)
            low, high = slate.knobs["filters.energy.at_least"], slate.knobs["filters.energy.at_most"]
            assert all(low <= item["energy"] <= high for item in items)
            assert slate.knobs["sources.families.count"] in (1, 3, 8)
            assert 0 < slate.memo_of("tuner")["propensity"] <= 1
            turned.add(tuple(sorted(slate.knobs.items())))
        assert len(turned) > 15

    lived(story)


def test_what_is_liked_and_disliked_moves_the_traits(lived: Live) -> None:
    async def story(there: Listening) -> tuple[dict[str, float], str]:
        await there.tastemaker.put_profile("ann", {"traits": {"extraversion": 60, "openness": 50}})
        for _ in range(8):
            there.clock.advance(600)
            slate = await there.slate()
            lively = [item["energy"] + item["valence"] + item["danceability"] for item in there.items(slate)]
            order = [slate.picks[place].item for place in np.argsort(lively)]
            await there.do(slate, order[:3], "dislike")
            await there.do(slate, order[-3:], "like")
        drift = there.tastemaker.agent("mine").policies["drift"].state()
        return dict(zip(drift["traits"], drift["shift"][0].tolist(), strict=True)), drift["users"][0]

    shift, user = lived(story)
    assert user == "ann"
    assert 1 < shift["extraversion"] <= 10
