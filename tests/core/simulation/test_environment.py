"""tastemaker/Domain-v0: Gymnasium's own checks, the domain's own rewards, and people whom it pays to understand."""

import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from numpy.typing import NDArray
from tastemaker.core import Candidates, Context, NotFound, Outcomes, Policy, RequestError
from tastemaker.core.config import Settings
from tastemaker.core.simulation import Habits, Hidden
from tastemaker.core.simulation.environment import ID, DomainEnv, train

FIXED = {"click": 1.0, "bookmark": 4.0, "skip": -1.0}
Shop = Callable[..., Settings]
Agent = Callable[[DomainEnv], NDArray[np.float32]]


@pytest.fixture
def env(shop: Shop) -> Iterator[DomainEnv]:
    with DomainEnv(shop().path, "shop", requests=4, people=20) as env:
        yield env


def at_random(env: DomainEnv) -> NDArray[np.float32]:
    return env.np_random.random(env.size).astype(np.float32)


def by_utility(env: DomainEnv) -> NDArray[np.float32]:
    """Knows what is hidden."""
    utility = env._crowd.utility(env._person, env.shortlist.catalog, env.shortlist.rows)
    action = np.full(env.size, -1.0, dtype=np.float32)
    action[: len(utility)] = np.tanh(utility / 5)
    return action


def lived(env: DomainEnv, agent: Agent, seed: int) -> list[Any]:
    """An episode: all that was seen of it."""
    seen: list[Any] = [env.reset(seed=seed)]
    over = False
    while not over:
        seen.append(env.step(agent(env)))
        over = seen[-1][2] or seen[-1][3]
    return seen


@pytest.mark.parametrize("domain", ["projects", "products"])
def test_the_samples_pass_gymnasiums_checks_with_no_warning(domain: str) -> None:
    env = gymnasium.make(ID, config=None, domain=domain, people=5, requests=3)
    check_env(env.unwrapped)
    env.close()


def test_it_can_be_made_by_its_id_alone() -> None:
    made = gymnasium.make(f"{DomainEnv.__module__}:{ID}", domain="products", people=1)
    assert isinstance(made.unwrapped, DomainEnv)
    assert made.spec is not None
    assert made.spec.id == "tastemaker/Domain-v0"


def test_an_episode_follows_from_its_seed(env: DomainEnv) -> None:
    one, again, other = (lived(env, by_utility, seed) for seed in (3, 3, 4))
    assert str(one) == str(again)
    assert str(one) != str(other)
    assert len(one) == 1 + env.requests


def test_two_environments_hold_the_same_world(shop: Shop, env: DomainEnv) -> None:
    with DomainEnv(shop().path, "shop", requests=4, people=20) as other:
        assert str(lived(env, by_utility, 1)) == str(lived(other, by_utility, 1))
    with DomainEnv(shop().path, "shop", requests=4, people=20, crowd=1) as other:
        assert str(lived(env, by_utility, 1)) != str(lived(other, by_utility, 1))


def test_rewards_are_what_the_map_says_of_the_answers(shop: Shop) -> None:
    def worth(kind: str, value: float | None) -> float:
        if kind == "dwell":
            assert value is not None
            return 0.01 * value
        return {("rating", 1.0): -1.0, ("rating", 5.0): 2.0}.get(
            (kind, value or 0.0), FIXED.get(kind, np.nan)
        )

    kinds = set()
    with DomainEnv(
        shop().path,
        "shop",
        people=20,
        overrides=["domains.shop.rewards.seen=-0.25"],
        habits=Habits(negative=0.2, rates=0.5),
    ) as env:
        for seed in range(8):
            for _, reward, _, _, info in lived(env, at_random, seed)[1:]:
                answers: dict[str, dict[str, float | None]] = info["answers"]
                kinds |= {kind for said in answers.values() for kind in said}
                assert set(answers) <= set(info["items"])
                earned = sum(worth(*said) for done in answers.values() for said in done.items())
                silent = sum(item not in answers for item in info["items"])
                assert reward == pytest.approx(earned - 0.25 * silent)
    assert kinds == {*FIXED, "rating", "dwell"}


def test_what_an_item_is_worth_keeps_its_bounds(shop: Shop) -> None:
    overrides = ["domains.shop.rewards.at_most=0.5", "domains.shop.rewards.at_least=-0.5"]
    with DomainEnv(shop().path, "shop", people=20, overrides=overrides) as env:
        steps = [step for seed in range(3) for step in lived(env, by_utility, seed)[1:]]
        answered = [len(step[4]["answers"]) for step in steps]
        assert all(abs(step[1]) <= 0.5 * count for step, count in zip(steps, answered, strict=True))
        assert sum(step[1] for step in steps) > 0


def test_outcomes_carry_what_was_noted(env: DomainEnv) -> None:
    env.reset(seed=0)
    env.context.memo["mood"] = "calm"
    env.shortlist.memo["x"] = np.arange(2 * len(env.shortlist)).reshape(-1, 2)
    shown, context = env.shortlist, env.context
    _, reward, _, _, info = env.step(by_utility(env))
    outcomes = env.outcomes
    first = [item for item, new in zip(outcomes.items, outcomes.first, strict=True) if new]
    assert sorted(first) == sorted(info["items"])  # `seen: 0`: everything that was shown has an outcome
    assert first[: len(info["answers"])] == list(info["answers"])  # those that were answered come first
    assert outcomes.reward.sum() == pytest.approx(reward)
    assert set(outcomes.slates) == {context.slate}
    assert outcomes.time.min() == context.now < outcomes.time.max()
    for item, place, memo in zip(outcomes.items, outcomes.position, outcomes.memos, strict=True):
        assert info["items"][place] == item
        place = shown.ids.tolist().index(item)
        assert memo == {"mood": "calm", "x": [2 * place, 2 * place + 1]}


def test_the_slate_is_the_best_by_score_and_keeps_caps(shop: Shop) -> None:
    with DomainEnv(shop().path, "shop", overrides=["domains.shop.slate.max_per={maker: 1}"]) as env:
        env.reset(seed=0)
        makers = dict(zip(env.shortlist.ids.tolist(), env.shortlist["maker"].tolist(), strict=True))
        action = np.linspace(-1, 1, env.size, dtype=np.float32)
        _, _, _, _, info = env.step(action)
    best_of = {maker: item for item, maker in makers.items()}  # the last ones are the best
    assert len(best_of) == 6
    assert info["items"] == [item for item in reversed(makers) if best_of[makers[item]] == item]
    with DomainEnv(shop().path, "shop") as env:
        env.reset(seed=0)
        best = env.shortlist.ids[::-1][:6].tolist()
        places = {item: place for place, item in enumerate(env.shortlist.ids.tolist())}
        assert len(places) == env.size == 60
        assert env.step(action)[4]["items"] == best


def test_ties_stand_in_the_shortlists_order(env: DomainEnv) -> None:
    env.reset(seed=0)
    wanted = env.shortlist.ids[:6].tolist()
    assert env.step(np.zeros(env.size, dtype=np.float32))[4]["items"] == wanted


def test_it_pays_to_know_what_people_like(shop: Shop) -> None:
    with DomainEnv(shop().path, "shop", people=20, requests=5) as env:
        worth = {
            agent: np.mean([
                [step[4]["worth"] for step in lived(env, agent, seed)[1:]] for seed in range(20)
            ]) for agent in (at_random, by_utility)
        }  # fmt: skip
        rewards = {
            agent: np.mean([sum(step[1] for step in lived(env, agent, seed)[1:]) for seed in range(20)])
            for agent in (at_random, by_utility)
        }
    assert worth[by_utility] > 2 * worth[at_random] > 0
    assert rewards[by_utility] > rewards[at_random]


def test_the_average_reward_is_what_is_expected(shop: Shop) -> None:
    alone = Habits(rates=0, stays=0)  # `worth` leaves ratings and dwells out
    with DomainEnv(shop().path, "shop", people=3, requests=20, habits=alone) as env:
        steps = [step for seed in range(20) for step in lived(env, at_random, seed)[1:]]
    got, expected = (np.array([step[1] for step in steps]), np.array([step[4]["worth"] for step in steps]))
    error = (got - expected).std(ddof=1) / np.sqrt(len(steps))
    assert abs((got - expected).mean()) < 3 * error


def test_what_somebody_did_is_in_the_next_observation(env: DomainEnv) -> None:
    evidence = env.user_columns.index("evidence")
    steps = lived(env, by_utility, 0)
    seen = [steps[0][0]["user"][evidence], *(step[0]["user"][evidence] for step in steps[1:])]
    answered = np.cumsum([sum(map(len, step[4]["answers"].values())) for step in steps[1:]])
    assert seen[0] == 0
    assert seen[1:] == pytest.approx(answered / (answered + 10))
    assert answered[-1] > 0


def test_who_comes_can_be_chosen(env: DomainEnv) -> None:
    for person in (0, 19):
        assert env.reset(seed=1, options={"person": person})[1] == {"person": person}
    for wrong in ({"person": 20}, {"person": "ann"}, {"people": 3}):
        with pytest.raises(RequestError, match="the only option is `person`, a number from 0 to 19"):
            env.reset(options=wrong)


def test_an_observation_is_masked_where_the_shortlist_is_short(shop: Shop) -> None:
    with DomainEnv(shop().path, "shop", overrides=["domains.shop.slate.shortlist=50"]) as env:
        observation, _ = env.reset(seed=0)
        assert env.size == 300
        assert observation["mask"].sum() == len(env.shortlist) == 90
        assert observation["items"][90:].any() == False  # noqa: E712  # numpy's
        assert observation in env.observation_space
        names = env.item_columns
        price = observation["items"][:90, names.index("price")]
        values = env.shortlist["price"]
    known = ~np.isnan(values)
    assert (price[~known] == 0).all()
    assert (np.diff(price[known][np.argsort(values[known])]) >= 0).all()


def test_it_ends_where_nothing_is_left(shop: Shop) -> None:
    overrides = ["domains.shop.filters=[{use: catalog.where, field: price, at_least: 1e9, missing: drop}]"]
    with DomainEnv(shop().path, "shop", overrides=overrides) as env:
        observation, _ = env.reset(seed=0)
        assert not observation["mask"].any()
        with pytest.raises(RequestError, match="no request is at hand"):
            env.step(np.zeros(env.size, dtype=np.float32))


def test_bad_arguments_are_refused(shop: Shop, env: DomainEnv) -> None:
    path = shop().path
    with pytest.raises(NotFound, match="did you mean 'shop'"):
        DomainEnv(path, "shpo")
    with pytest.raises(RequestError, match="requests must be at least 1"):
        DomainEnv(path, "shop", requests=0)
    env.reset(seed=0)
    for wrong in (np.zeros(3), np.full(env.size, np.nan)):
        with pytest.raises(RequestError, match="an action is 60 finite scores"):
            env.step(wrong.astype(np.float32))


def test_it_works_where_an_event_loop_runs_already(shop: Shop) -> None:
    async def notebook() -> list[Any]:
        with DomainEnv(shop().path, "shop", requests=2) as env:
            return lived(env, by_utility, 0)

    with DomainEnv(shop().path, "shop", requests=2) as env:
        assert str(asyncio.run(notebook())) == str(lived(env, by_utility, 0))


class Counting(Policy):
    """Ranks by the mean reward of each item so far."""

    def model_post_init(self, _: Any) -> None:
        self.__dict__["seen"] = {}

    def rank(self, context: Context, candidates: Candidates) -> NDArray[np.float64]:
        seen = self.__dict__["seen"]
        return np.array([np.mean(seen.get(item, [0.0])) for item in candidates.ids.tolist()])

    def learn(self, outcomes: Outcomes) -> None:
        for item, reward in zip(outcomes.items, outcomes.reward.tolist(), strict=True):
            self.__dict__["seen"].setdefault(item, []).append(reward)


def test_any_policy_that_ranks_can_be_trained(shop: Shop) -> None:
    hidden = Hidden(taste=0.3, appeal=2.0, number=0.0)
    env = gymnasium.make(ID, config=shop().path, domain="shop", people=20, hidden=hidden, requests=5)
    policy, again = Counting(), Counting()
    before = train(env, policy, 12, learn=False)
    train(env, policy, 40, explore=0.3, seed=1)
    train(env, again, 40, explore=0.3, seed=1)
    assert policy.__dict__["seen"] == again.__dict__["seen"]
    assert train(env, policy, 12, learn=False).mean() > 1.3 * before.mean() > 0


def test_the_core_does_not_need_gymnasium() -> None:
    root = Path(__file__).parents[3]
    named = [path.name for path in (root / "core").rglob("*.py") if "import gymnasium" in path.read_text()]
    assert named == ["environment.py"]
    others = [
        path.name for path in (root / "core").rglob("*.py")
        if "simulation.environment" in path.read_text() or "from .environment" in path.read_text()
    ]  # fmt: skip
    assert others == []


def test_the_pages_example_runs(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[3] / "docs" / "gymnasium.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)
    path = shop().path
    assert path is not None
    monkeypatch.chdir(path.parent)
    names: dict[str, Any] = {}
    exec(code.replace('"products"', '"shop"'), names)
    assert names["truncated"]
    assert len(names["info"]["items"]) == 6
