"""dqn.ranker: it solves what can be solved by hand, and is a fold over the log to the last bit."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from tastemaker.core import Candidates, Catalog, CatalogSnapshot, Context, Feedback, ItemSchema, Outcomes
from tastemaker.core.agent import state_digest
from tastemaker.core.conformance import check_component
from tastemaker.core.learning.packing import pack, unpack

if find_spec("torch") is None:
    if os.environ.get("CI") == "true":
        raise ImportError("torch is not installed")
    pytest.skip("needs the extra `dqn`: make test EXTRAS=all", allow_module_level=True)

from tastemaker.policies.dqn import Ranker  # after the skip: it is about this class alone

NOW = 1_700_000_000.0
HOUR = 3_600.0
GAMMA = 0.5
ROOM = {"situation": "room", "among": ["hall", "cellar"]}
DOOR = {"words": "kind", "among": ["stay", "go"]}
REWARDS = {("hall", "stay"): 0.2, ("hall", "go"): 0.0, ("cellar", "stay"): 1.0, ("cellar", "go"): 0.3}
ROOMS = {"hall": "cellar", "cellar": "hall"}


def catalog_of(*kinds: str) -> CatalogSnapshot:
    catalog = Catalog(ItemSchema({"kind": "category", "size": "number"}))
    catalog.put([(f"i{place}", {"kind": kind, "size": place}) for place, kind in enumerate(kinds)])
    return catalog.snapshot()


def context_of(
    catalog: CatalogSnapshot,
    number: int,
    *,
    user: str = "ann",
    past: Mapping[str, float] = {},
    situation: Mapping[str, Any] = {},
) -> Context:
    """A request an hour after the one with the number before; past: rewards by item."""
    rows = catalog.rows(list(past))
    columns = {"reward": np.array(list(past.values()), dtype=float), "age_days": np.ones(len(rows))}
    return Context(
        domain="rooms", user=user, slate=f"{user}-{number}", now=NOW + number * HOUR, size=1, draws=4, seed=number,
        catalog=catalog, history=Candidates(catalog, rows, columns=columns), feedback=Feedback(),
        profile={}, situation=situation, step="dqn",
    )  # fmt: skip


def outcomes_of(entries: list[tuple[Context, Candidates, int, float]]) -> Outcomes:
    """One outcome for each request: which place was shown, and the reward."""
    count = len(entries)
    rewards = np.array([reward for _, _, _, reward in entries])
    return Outcomes(
        users=[context.user for context, _, _, _ in entries],
        items=[str(candidates.ids[place]) for _, candidates, place, _ in entries],
        slates=[context.slate for context, _, _, _ in entries],
        reward=rewards, total=rewards, first=np.ones(count, dtype=bool),
        propensity=np.full(count, 0.5), position=np.zeros(count, dtype=np.int32),
        time=np.array([context.now for context, _, _, _ in entries]),
        situations=[{}] * count,
        memos=[
            {**context.memo, **{name: column[place].tolist() for name, column in candidates.memo.items()}}
            for context, candidates, place, _ in entries
        ],
    )  # fmt: skip


def part(outcomes: Outcomes, chosen: slice) -> Outcomes:
    return Outcomes(**{name: getattr(outcomes, name)[chosen] for name in Outcomes.__dataclass_fields__})


def walked(ranker: Ranker, steps: int, seed: int = 0) -> Outcomes:
    """Through the two rooms at random; in the cellar, `stay` pays and leads back."""
    catalog = catalog_of("stay", "go")
    rng = np.random.default_rng(seed)
    room, entries = "hall", []
    for number in range(steps):
        context = context_of(catalog, number, situation={"room": room})
        candidates = Candidates(catalog, np.arange(2))
        ranker.rank(context, candidates)
        place = int(rng.integers(2))
        door = ("stay", "go")[place]
        entries.append((context, candidates, place, REWARDS[room, door]))
        room = ROOMS[room] if (door == "go") != (room == "cellar") else room
    return outcomes_of(entries)


def solved() -> dict[tuple[str, str], float]:
    """Q* of the rooms, by value iteration."""
    q = dict.fromkeys(REWARDS, 0.0)
    for _ in range(60):
        best = {room: max(q[room, "stay"], q[room, "go"]) for room in ROOMS}
        q = {
            (room, door): reward + GAMMA * best[ROOMS[room] if (door == "go") != (room == "cellar") else room]
            for (room, door), reward in REWARDS.items()
        }
    return q


def rooms(**options: Any) -> Ranker:
    return Ranker.model_validate(
        {"features": [ROOM, DOOR], "gamma": GAMMA, "history": 0, "hidden": (24,), "batch": 32, "choices": 2}
        | {"sync": 50, "learning_rate": 0.01}
        | options
    )


def q_of(ranker: Ranker) -> dict[tuple[str, str], float]:
    catalog = catalog_of("stay", "go")
    found = {}
    for room in ROOMS:
        score = ranker.rank(
            context_of(catalog, 0, situation={"room": room}), Candidates(catalog, np.arange(2))
        )
        found |= {(room, door): score[place] / (1 - GAMMA) for place, door in enumerate(("stay", "go"))}
    return found


@pytest.mark.parametrize("dueling", [False, True])
def test_it_solves_a_small_problem(dueling: bool) -> None:
    ranker = rooms(dueling=dueling, epochs=60)
    ranker.learn(walked(ranker, 400))
    ranker.fit()
    wanted = solved()
    assert max(wanted, key=wanted.__getitem__) == ("cellar", "stay")
    assert wanted["hall", "go"] > wanted["hall", "stay"]  # although it pays nothing at once
    assert q_of(ranker) == pytest.approx(wanted, abs=0.001)


def test_without_gamma_it_learns_what_pays_at_once() -> None:
    ranker = rooms(gamma=0, epochs=40)
    ranker.learn(walked(ranker, 300))
    ranker.fit()
    found = {entry: worth * (1 - GAMMA) for entry, worth in q_of(ranker).items()}
    assert found == pytest.approx(REWARDS, abs=0.03)


def test_who_looks_no_further_waits_for_nothing() -> None:
    for gamma, steps in ((0, 1), (0.5, 0)):
        ranker = rooms(gamma=gamma, batch=4, every=4)
        ranker.learn(walked(ranker, 4))
        assert ranker._network.steps == steps


def test_what_was_liked_lately_is_part_of_the_state() -> None:
    ranker = Ranker(features=({"number": "size"}, DOOR), low=-1, high=1)  # type: ignore[arg-type]
    catalog = catalog_of("stay", "go", "stay", "go")
    summaries = []
    for past in ({}, {"i1": 1.0}, {"i1": 0.5, "i3": -1.0}, {"i1": np.nan}):
        context = context_of(catalog, 0, past=past)
        ranker.rank(context, Candidates(catalog, np.arange(4)))
        summaries.append(np.array(context.memo["history"]) / 1024)
    fresh = context_of(catalog, 0)
    ranker.rank(fresh, candidates := Candidates(catalog, np.arange(4)))
    x = candidates.memo["x"] / 1024 / np.sqrt(2)  # two features: divided by √m
    assert not summaries[0].any()
    assert summaries[1] == pytest.approx([*(x[1] / 2), 1 / 2, 1 / 2], abs=1e-3)
    assert summaries[2] == pytest.approx([*((0.5 * x[1] - x[3]) / 2.5), 1.5 / 2.5, -0.5 / 2.5], abs=1e-3)
    assert not summaries[3].any()  # a kind that is worth nothing says nothing


def test_only_the_latest_of_a_history_counts() -> None:
    ranker = Ranker(features=(DOOR,), history=1)  # type: ignore[arg-type]
    catalog = catalog_of("stay", "go")
    context = context_of(catalog, 0, past={"i1": 1.0, "i0": 1.0})
    ranker.rank(context, Candidates(catalog, np.arange(2)))
    assert context.memo["history"] == [0, 512, 512, 512]


@pytest.mark.parametrize(
    "options", [{}, {"dueling": True}, {"history": 0}, {"hidden": ()}, {"memory": 20, "gamma": 0.9}]
)
def test_it_keeps_the_contract(options: dict[str, Any]) -> None:
    assert check_component(Ranker, quiet=True, batch=4, every=3, sync=2, **options) > 100


def test_nothing_depends_on_how_the_log_is_cut() -> None:
    outcomes = walked(rooms(), 120)
    whole = rooms()
    whole.learn(outcomes)
    assert whole._network.steps > 20
    for size in (1, 7, 50):
        cut = rooms()
        for start in range(0, 120, size):
            cut.learn(part(outcomes, slice(start, start + size)))
        assert state_digest(cut.state()) == state_digest(whole.state())


def test_every_process_comes_to_the_same_bits() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import torch, test_dqn as t\n"
        "torch.set_num_threads(2)\n"
        "r = t.Ranker(features=[t.ROOM, t.DOOR], batch=128, hidden=(128, 128), every=25, dueling=True)\n"
        "r.learn(t.walked(r, 200)); r.fit(); print(t.state_digest(r.state()))"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    ranker = Ranker(features=(ROOM, DOOR), batch=128, hidden=(128, 128), every=25, dueling=True)  # type: ignore[arg-type]
    ranker.learn(walked(ranker, 200))
    ranker.fit()
    assert ranker._network.steps > 8
    assert done.stdout.strip() == state_digest(ranker.state())


def test_the_target_network_follows_at_its_own_pace() -> None:
    ranker = rooms(sync=3, every=1, batch=8)
    outcomes = walked(ranker, 40)
    before = ranker._network.target.copy()
    synced = []
    for start in range(40):
        ranker.learn(part(outcomes, slice(start, start + 1)))
        network = ranker._network
        if network.steps % 3 == 0:
            before = network.weights.copy()
        assert np.array_equal(network.target, before)
        synced.append(network.steps)
    assert synced[-1] > 20
    assert synced[:9] == [0] * 8 + [
        1
    ]  # 8 outcomes whose next slate is known: the ninth tells of the eighth's


def test_a_correction_changes_what_is_learned_from() -> None:
    ranker = rooms(batch=1000)
    outcomes = walked(ranker, 3)
    ranker.learn(outcomes)
    late = part(outcomes, slice(0, 1))
    ranker.learn(replace(late, first=np.array([False]), reward=np.array([0.5]), total=np.array([0.7])))
    assert ranker._replay.reward[0] == 0.7
    ranker.learn(replace(late, slates=["unheard of"], first=np.array([False])))
    assert len(ranker._replay) == 3


def test_what_was_logged_for_other_features_is_passed_over() -> None:
    outcomes = walked(rooms(), 20)
    for other in (rooms(features=[DOOR]), rooms(history=5), rooms(choices=1), rooms(high=2)):
        before = state_digest(other.state())
        other.learn(outcomes)
        assert state_digest(other.state()) == before
    plain = replace(outcomes, memos=[{}] * 20)
    ranker = rooms()
    ranker.learn(plain)
    assert len(ranker._replay) == 0


def test_a_saved_state_goes_on_as_if_it_had_never_stopped() -> None:
    for dueling in (False, True):
        outcomes = walked(rooms(), 120)
        whole, first = rooms(dueling=dueling), rooms(dueling=dueling)
        first.learn(part(outcomes, slice(0, 70)))
        second = rooms(dueling=dueling)
        second.learn(outcomes)  # forgotten by what follows
        second.load(unpack(pack(first.state())))
        second.learn(part(outcomes, slice(70, 120)))
        whole.learn(outcomes)
        assert state_digest(second.state()) == state_digest(whole.state())
        assert q_of(second) == q_of(whole)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("schema", "dueling", "this state is of 'dueling'"),
        ("weights", np.zeros(3, dtype=np.float32), r"weights has the shape \(3,\)"),
        ("target", np.array([np.nan]), "target must be finite"),
        ("moments", np.full((2, 169), -1.0), "must not be negative"),
        ("steps", -1, "steps must be a count"),
        ("steps", 2.5, "steps must be a count"),
        ("outcomes", None, "outcomes must be a count"),
        ("replay_reward", np.zeros(5), r"replay_reward has the shape \(5,\)"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(name: str, value: Any, said: str) -> None:
    ranker = rooms()
    ranker.learn(walked(ranker, 60))
    before = state_digest(ranker.state())
    with pytest.raises(ValueError, match=said):
        ranker.load({**ranker.state(), name: value})
    assert state_digest(ranker.state()) == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"low": 1, "high": 1}, "low must be below high"),
        ({"features": [ROOM]}, "no feature is of the items"),
        ({"features": []}, "at least 1 item"),
        ({"gamma": 1}, "less than 1"),
        ({"features": [{"words": "kind", "width": 256}, {"words": "other", "width": 256}]}, "at most 512"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        rooms(**options)


def test_items_tried_from_beyond_the_shortlist_change_no_note() -> None:
    ranker, catalog = rooms(features=[{"number": "size"}]), catalog_of(*"abcdef")
    context = context_of(catalog, 0)
    ranker.rank(context, Candidates(catalog, np.arange(4)))
    noted = dict(context.memo)
    beyond = Candidates(catalog, np.array([5]))
    ranker.rank(context, beyond)
    assert context.memo == noted
    assert len(noted["choices"]) == 2
    assert len(beyond.memo["x"]) == 1


def test_it_says_what_it_makes_of_an_item() -> None:
    ranker, catalog = rooms(epochs=30), catalog_of("stay", "go")

    def said(place: int) -> str:
        context, candidates = (
            context_of(catalog, 0, situation={"room": "cellar"}),
            Candidates(catalog, np.arange(2)),
        )
        ranker.rank(context, candidates)
        return ranker.explain(f"i{place}", {**context.memo, "x": candidates.memo["x"][place]})

    assert said(0) == "nothing learned yet: all items are worth the same"
    ranker.learn(walked(ranker, 300))
    ranker.fit()
    assert said(0).startswith("+0.00 beside the best")
    assert said(1).startswith("-")
    assert ranker.explain("i0", {}) == ranker.explain("", {"features": ranker._digest}) == ""


class TestInTheRealThing:
    CONFIG = """
domains:
  products:
    extends: products
    policies:
      taste:
        use: dqn.ranker
        weight: 0.4
        low: -2
        high: 3
        every: 2
        batch: 8
        features: [{embedding: 8}, {number: price}, {profile: interests, width: 8}]
"""

    @pytest.fixture
    def config(self, tmp_path: Path) -> Path:
        path = tmp_path / "config.yaml"
        path.write_text(f"store: sqlite:///{tmp_path / 'shop.db'}\n{self.CONFIG}")
        return path

    def test_it_learns_from_the_log_and_comes_back_from_it(self, config: Path) -> None:
        from tastemaker.core import Interaction, Request
        from tastemaker.core.clock import ManualClock
        from tastemaker.core.config import load
        from tastemaker.core.orchestrator import Orchestrator

        clock = ManualClock(NOW)

        async def days() -> tuple[str, int]:
            async with Orchestrator(load(config), clock=clock, follow=False) as tastemaker:
                for number in range(12):
                    clock.advance(2 * HOUR)
                    slate = await tastemaker.recommend("products", Request("ann"))
                    assert not slate.degraded
                    assert all("x" in slate.memo_of("taste", place) for place in range(12))
                    kind = "click" if number % 2 else "dismiss"
                    did = Interaction(
                        f"d{number}", "products", "ann", slate.picks[0].item, kind, clock(), slate=slate.id
                    )
                    await tastemaker.record([did])
                    tastemaker.learn()
                return digest(tastemaker), ranker(tastemaker)._network.steps

        def ranker(tastemaker: Orchestrator) -> Ranker:
            component = tastemaker.agent("products").policies["taste"].component
            assert isinstance(component, Ranker)
            return component

        def digest(tastemaker: Orchestrator) -> str:
            return state_digest(ranker(tastemaker).state())

        async def again() -> str:
            async with Orchestrator(load(config), clock=clock, follow=False) as tastemaker:
                return digest(tastemaker)

        async def replayed() -> str:
            async with Orchestrator(load(config), clock=clock, follow=False) as tastemaker:
                for fold in tastemaker.folds.values():
                    fold.forget()
                tastemaker.learner.position = 0
                tastemaker.learn()
                return digest(tastemaker)

        lived, steps = asyncio.run(days())
        assert steps > 40
        assert asyncio.run(again()) == lived
        assert asyncio.run(replayed()) == lived


def test_it_learns_in_the_environment() -> None:
    gymnasium = pytest.importorskip("gymnasium")
    from tastemaker.core.simulation import Hidden
    from tastemaker.core.simulation.environment import ID, train

    hidden = Hidden(taste=0.3, appeal=0.0, number=2.5)  # all that matters is a number, such as the price
    others = [f"domains.products.policies.{name}.enabled=false" for name in ("tuner", "context", "together")]
    env = gymnasium.make(ID, domain="products", overrides=others, people=1, requests=6, hidden=hidden)
    numbers = ("price", "rating", "rating_count", "units_sold")
    ranker = Ranker.model_validate(
        {"features": [{"number": name} for name in numbers], "low": -2, "high": 3, "gamma": 0, "batch": 32}
    )
    before = float(train(env, ranker, 12, learn=False, seed=5).mean())
    train(env, ranker, 25, explore=0.5, seed=1)
    ranker.fit()
    assert float(train(env, ranker, 12, learn=False, seed=5).mean()) > before + 10


def test_the_page_shows_how_to_train_it_beforehand(tmp_path: Path) -> None:
    pytest.importorskip("gymnasium")
    page = (Path(__file__).parents[2] / "docs" / "policies" / "dqn.md").read_text(encoding="utf-8")
    training, installing = re.findall(r"^```python\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)
    assert "episodes=200" in training
    (tmp_path / "config.yaml").write_text(f"store: sqlite:///shop.db\n{TestInTheRealThing.CONFIG}")
    code = training.replace("episodes=200", "episodes=2")
    code += "\nfrom tastemaker.core.agent import state_digest\n"
    code += "print(ranker._network.steps > 0, state_digest(ranker.state()))\n"
    code += installing
    code += """
async def started():
    async with Orchestrator(load(Path("config.yaml")), follow=False) as tastemaker:
        return state_digest(tastemaker.agent("products").policies["taste"].state())
print(asyncio.run(started()))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    learned, trained, started = done.stdout.split()
    assert learned == "True"
    assert trained == started
