"""Q-learning: the propensities are true, the knobs stay in bounds, and it learns."""

import asyncio
import itertools
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tastemaker.core import ConfigError, Interaction, Request
from tastemaker.core.agent import state_digest
from tastemaker.core.clock import ManualClock
from tastemaker.core.config import load
from tastemaker.core.orchestrator import Orchestrator
from tastemaker.policies.q_learning import Tuner

from .logs import MOVES, NOW, PLACE, Log, context_of, learned, memo_of


class TestTheChoice:
    def taught(self, **options: Any) -> Tuner:
        policy = Tuner(observe=PLACE, initial=0.0, anneal=100, **options)
        log = Log()
        for number in range(20):
            asked = context_of(situation={"place": "a"}, seed=number)
            policy.tune(asked)
            levels = asked.memo["action"]
            log.add(
                float(list(levels.values()).count("high")),
                dict(asked.memo),
                slate=str(number),
                user=str(number),
            )
        learned(policy, log)
        return policy

    @pytest.mark.parametrize("place", ["a", "never seen"])
    def test_the_noted_propensity_is_how_often_it_would_choose_so(self, place: str) -> None:
        policy = self.taught()
        noted: dict[str, float] = {}
        counts: dict[str, int] = {}
        draws = 6000
        for seed in range(draws):
            context = context_of(situation={"place": place}, seed=seed)
            policy.tune(context)
            action = str(context.memo["action"])
            counts[action] = counts.get(action, 0) + 1
            noted.setdefault(action, context.memo["propensity"])
            assert noted[action] == context.memo["propensity"] == policy.chance(context, context.memo)
        assert len(noted) == 9
        assert sum(noted.values()) == pytest.approx(1, abs=1e-12)
        for action, chance in noted.items():
            deviation = np.sqrt(draws * chance * (1 - chance))
            assert abs(counts[action] - draws * chance) < 4 * deviation

    def test_the_chance_is_that_of_this_context_and_of_now(self) -> None:
        policy = Tuner(observe=PLACE, knobs=MOVES, initial=0.0, epsilon=0.2, epsilon_end=0.2)
        memo = memo_of(policy, "a", "right")
        here, there = context_of(situation={"place": "a"}), context_of(situation={"place": "b"})
        assert policy.chance(here, memo) == pytest.approx(0.5)
        learned(policy, Log().add(1.0, memo))
        assert policy.chance(here, memo) == pytest.approx(0.9)
        assert policy.chance(here, memo | {"action": {"move": "left"}}) == pytest.approx(0.1)
        assert policy.chance(there, memo) == pytest.approx(0.5)
        assert policy.chance(here, {}) is None
        assert policy.chance(here, memo | {"schema": "another"}) is None
        assert policy.chance(here, memo | {"action": {"move": "up"}}) is None

    def test_exploration_falls_in_a_line_from_the_one_share_to_the_other(self) -> None:
        policy = Tuner(observe=PLACE, knobs=MOVES, anneal=10)
        shares = []
        for number in range(13):
            shares.append(policy.exploring)
            memo = memo_of(policy, "a", "left", now=NOW + number)
            learned(policy, Log().add(1.0, memo, slate=str(number), user=str(number)))
        np.testing.assert_allclose(shares, np.maximum(0.3 - 0.025 * np.arange(13), 0.05), atol=1e-12)

    @settings(max_examples=30, deadline=None)
    @given(
        seeds=st.lists(st.integers(0, 2**31), min_size=1, max_size=20),
        rewards=st.lists(st.floats(-1e6, 1e6), min_size=20, max_size=20),
    )
    def test_whatever_it_learns_it_never_leaves_the_bounds(
        self, seeds: list[int], rewards: list[float]
    ) -> None:
        policy = Tuner()
        for number, seed in enumerate(seeds):
            context = context_of(seed=seed, now=NOW + number)
            knobs = policy.tune(context)
            assert knobs in policy.settings()
            assert set(knobs) == {"slate.diversity", "slate.explore"}
            assert 0.1 <= knobs["slate.diversity"] <= 0.5
            assert 0.05 <= knobs["slate.explore"] <= 0.3
            policy.learn(Log().add(rewards[number], dict(context.memo), slate=str(number)).outcomes())

    def test_it_says_what_it_did_and_why(self) -> None:
        policy = Tuner(observe=PLACE, knobs=MOVES, initial=0.0, epsilon=0, epsilon_end=0)
        memo = memo_of(policy, "a", "right")
        learned(policy, Log().add(2.0, memo))
        memo = memo_of(policy, "a")
        assert policy.explain("", memo) == (
            "in the state place=a, move=right was chosen as the best known (probability 1.000): worth 0.20 after "
            "1 tries; the best other, move=left, 0.00"
        )
        assert "tried at random" in policy.explain("", memo | {"explored": True})
        assert policy.explain("i1", memo) == ""
        assert policy.explain("", {}) == ""


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"knobs": {}}, "at least 1 item"),
            ({"knobs": {"one": {"low": {}}}}, "'one' needs two levels at least"),
            ({"knobs": {"one": {"": {}, "b": {}}}}, "must have names"),
            (
                {"knobs": {name: {"a": {"slate.explore": 0}, "b": {}} for name in ("one", "two")}},
                "the knobs 'one' and 'two' both set 'slate.explore': only one may",
            ),
            (
                {"knobs": {"x": {"a": {"slate.max_per": 1}, "b": {}}, "y": {"a": {"slate.max_per.kind": 1}, "b": {}}}},
                "the knobs 'x' and 'y' set 'slate.max_per' and 'slate.max_per.kind'",
            ),
            (
                {"knobs": {f"k{n}": {level: {} for level in "abc"} for n in range(6)}},
                "3 x 3 x 3 x 3 x 3 x 3 = 729 settings together; 256 is the most",
            ),
            ({"knobs": {"a": {"x": {"slate.explore": float("nan")}, "y": {}}}}, "finite"),
            ({"epsilon": 0.1, "epsilon_end": 0.2}, "epsilon_end, 0.2, must not be above epsilon, 0.1"),
            ({"gamma": 1.0}, "less than 1"),
            ({"observe": []}, "at least 1 item"),
            ({"observe": [{"situation": "mood"}, {"situation": "mood"}]}, "declared twice"),
            ({"observe": [{"trait": "openness", "situation": "mood"}]}, "this has trait and situation"),
            ({"observe": [{}]}, "this has none"),
            ({"observe": [{"profile": "age", "cuts": [30, 20]}]}, "must ascend"),
            ({"observe": [{"profile": "age", "cuts": [1, 2, 3]}]}, "3 cuts make 4 `bins`, and 0 are named"),
            ({"observe": [{"profile": "age", "bins": ["a", "b"]}]}, "make 0 `bins`, and 2 are named"),
            ({"observe": [{"profile": "age", "cuts": [1], "bins": ["a", "A"]}]}, "each of them once"),
            ({"observe": [{"trait": "openness", "among": ["a"]}]}, "`among` goes with words"),
            ({"observe": [{"time_of_day": True, "cuts": [3]}]}, "`cuts` are for numbers"),
            ({"observe": [{"situation": "mood", "utc_offset": 2}]}, "`utc_offset` goes with time_of_day"),
            ({"observe": [{"time_of_day": False}]}, "Input should be True"),
        ],
    )  # fmt: skip
    def test_what_makes_no_sense_is_refused(self, options: dict[str, Any], said: str) -> None:
        with pytest.raises(ValidationError) as caught:
            Tuner(**options)
        assert said in str(caught.value)

    @pytest.mark.parametrize("domain", ["products", "projects"])
    def test_the_default_goes_with_every_domain(self, tmp_path: Path, domain: str) -> None:
        path = tmp_path / "config.yaml"
        path.write_text(
            f"version: 1\ndomains:\n  shop:\n    extends: {domain}\n"
            "    policies: {tuner: null, mine: {use: q_learning.tuner}}\n"
        )
        plan = load(path).domains["shop"]
        policy = next(step.component for step in plan.policies if step.name == "mine")
        assert isinstance(policy, Tuner)
        for setting in policy.settings():
            slate = plan.with_knobs(setting).slate
            assert (slate.diversity, slate.explore) == tuple(setting.values())


def test_the_example_of_the_page_is_a_composition_with_27_settings(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs/policies/q_learning.md"
    example = page.read_text(encoding="utf-8").partition("```yaml\n")[2].partition("```")[0]
    (tmp_path / "tracks.csv").write_text("id,title\n")
    path = tmp_path / "config.yaml"
    path.write_text("version: 1\n" + example, encoding="utf-8")
    plan = load(path).domains["music"]
    policies: dict[str, Any] = {step.name: step.component for step in plan.policies}
    turned = [plan.with_knobs(setting) for setting in policies["by_mood"].settings()]
    assert len({str((each.filters, each.scorers, each.slate)) for each in turned}) == 27
    assert {(each.slate.diversity, each.slate.max_per["genres"]) for each in turned} == {
        (0.1, 6), (0.3, 4), (0.5, 2),
    }  # fmt: skip
    assert policies["adjuster"].fields == ("energy", "valence")
    assert next(step.weight for step in plan.policies if step.name == "adjuster") == 0.05


SHOP = """
version: 1
store: sqlite:///{folder}/store.db
domains:
  shop:
    extends: products
    sources:
      similar: {{limit: 400}}
      popular: {{enabled: false}}
      liked: {{enabled: false}}
    scorers: {{category: {{enabled: false}}, price: {{enabled: false}}, new: {{enabled: false}}}}
    policies:
      taste: {{enabled: false}}
      context: {{enabled: false}}
      together: {{enabled: false}}
      tuner:
        use: q_learning.tuner
        observe: [{{situation: mood, among: [curious, set]}}]
        knobs:
          price: null
          diversity: null
          variety: {{low: {{slate.diversity: 0}}, high: {{slate.diversity: 0.8}}}}
          length: {{short: {{sources.similar.limit: 150}}, long: {{sources.similar.limit: 300}}}}
        alpha: 0.2
        gamma: 0.95
        reward: null
        initial: 2
        anneal: 60
        episode_minutes: 60
      adjuster: {{use: q_learning.adjuster, weight: 0.05, fields: [price], words: category}}
    filters: {{dismissed: {{enabled: false}}}}
    rewards: {{seen: 0, click: 1, dismiss: -1}}
    slate: {{explore: 0, max_per: {{category: 50}}, deadline_ms: 20000}}
"""


def test_a_real_shop_learns_who_wants_variety_and_a_replay_of_its_log_comes_to_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = map(uuid.UUID, map("{:032x}".format, itertools.count()))
    monkeypatch.setattr(uuid, "uuid4", lambda: next(ids))
    path = tmp_path / "config.yaml"
    path.write_text(SHOP.format(folder=tmp_path))
    clock = ManualClock(NOW)
    turned: list[tuple[str, float, str]] = []

    async def visit(orchestrator: Orchestrator, number: int) -> None:
        """The curious like to see many categories; those whose mind is set take offence at every one."""
        mood = ("curious", "set")[number % 2]
        request = Request(f"user-{number % 6}", situation={"mood": mood})
        slate = await orchestrator.recommend("shop", request)
        assert not slate.degraded
        memo = slate.memo_of("tuner")
        assert slate.knobs["slate.diversity"] == {"low": 0, "high": 0.8}[memo["action"]["variety"]]
        assert slate.knobs["sources.similar.limit"] == {"short": 150, "long": 300}[memo["action"]["length"]]
        turned.append((mood, memo["propensity"], memo["action"]["variety"]))
        clock.advance(10)
        snapshot = orchestrator.agent("shop").catalog.snapshot()
        first_of = {
            str(snapshot.item(snapshot.row(pick.item))["category"]): pick.item for pick in slate.picks
        }
        kind = "click" if mood == "curious" else "dismiss"
        deeds = [
            Interaction(f"{number} {item}", "shop", request.user, item, kind, clock(), slate=slate.id)
            for item in first_of.values()
        ]
        await orchestrator.record(deeds)
        clock.advance(3 * 3600)
        orchestrator.learn()

    async def life() -> None:
        async with Orchestrator(load(path), clock=clock, follow=False) as orchestrator:
            for user in range(6):
                await orchestrator.put_profile(f"user-{user}", {"interests": ["kitchen"]})
            for number in range(120):
                await visit(orchestrator, number)
            agent, fold = orchestrator.agent("shop"), orchestrator.folds["shop"]
            slate = await orchestrator.recommend("shop", Request("ann", situation={"mood": "curious"}))
            tuner, adjuster = agent.policies["tuner"], agent.policies["adjuster"]
            assert tuner.component.explain("", slate.memo_of("tuner")).startswith(
                "in the state mood=curious, "
            )
            assert " for somebody unknown" in adjuster.component.explain(
                slate.picks[0].item, slate.memo_of("adjuster", 0)
            )
            orchestrator.learn()
            digests = [state_digest(each.state()) for each in (tuner, adjuster)]
            entries = orchestrator.store.read(0, limit=10_000)
            fold.forget()
            assert state_digest(tuner.state()) != digests[0]
            for start in range(0, len(entries), 17):
                piece = entries[start : start + 17]
                fold.take(piece, piece[-1].position)
            assert [state_digest(each.state()) for each in (tuner, adjuster)] == digests

    asyncio.run(life())
    for mood, wanted in (("curious", "high"), ("set", "low")):
        late = [choice for asked, _, choice in turned[-60:] if asked == mood]
        assert late.count(wanted) >= 25, (mood, late)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("{use: q_learning.tuner, knobs: {x: {a: {slate.explor: 1}, b: {}}}}", "no knob is called 'slate.explor'"),
        ("{use: q_learning.tuner, knobs: {x: {a: {slate.explore: 1.5}, b: {}}}}", "'slate.explore' must be at most 1"),
        ("{use: q_learning.tuner, knobs: {x: {a: {sources.simlar.limit: 5}, b: {}}}}", "mean 'sources.similar.limit'?"),
        ("{use: q_learning.tuner, knobs: {x: {a: {slate.explore: 1}}}}", "'x' needs two levels at least"),
        ("{use: q_learning.tuner, observe: [{trait: openness, situation: mood}]}", "this has trait and situation"),
        ("{use: q_learning.tuner, observe: [{trat: openness}]}", "no key is called 'trat'"),
        ("{use: q_learning.tuner, reward: total}", "must be 'sum' or 'mean'"),
        ("{use: q_learning.adjuster, fields: [prize]}", "'prize', which is no field of the items; did you mean"),
        ("{use: q_learning.adjuster, words: title}", "needs a field of the type category or tags"),
        ("{use: q_learning.adjuster, cuts: {prize: [1, 2]}}", "'prize', which is no field of the items"),
    ],
)  # fmt: skip
def test_a_config_that_makes_no_sense_is_told_what_would(tmp_path: Path, options: str, said: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        f"version: 1\ndomains:\n  shop:\n    extends: products\n    policies: {{learned: {options}}}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert said in str(caught.value)
    assert "config.yaml:5:" in str(caught.value)
