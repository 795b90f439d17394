"""`tastemaker/Domain-v0`: any configured domain as a Gymnasium environment, with simulated people in it.

An episode is one person's requests. At each of them, the domain's own sources, filters and scorers, without its
policies, make a shortlist of at most K candidates. The action is a score for each of them, shape (K,), and the
slate is what the domain makes of scores: the best ones, as far as `slate.max_per` allows, ties in the shortlist's
order; diversity and exploration are off, because they are the agent's to choose. The person answers as
`tastemaker simulate` has people answer, and the reward is what the domain's rewards make of the answers, item by
item, with `seen` for an item that drew none: the sum of what a policy would learn from the slate.

Scores rather than places, because every action then is a valid slate, whatever K and the mask are, and because a
score per item is what a ranking agent computes. An agent that thinks in places scores them by n, n - 1 …

The observation is a dictionary of `user`, shape (user columns,), `items`, shape (K, item columns), zero where the
shortlist is shorter than K, and `mask`, shape (K,), 1 where there is a candidate. `observation` says what is in
the columns. Needs `pip install "tastemaker[gym]"`; importing this module registers the environment.
"""

import asyncio
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from inspect import isawaitable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pydantic import PrivateAttr, SecretStr

from ..agent import Agent, Event, History
from ..agent.selection import Rules, select
from ..candidates import Candidates
from ..catalog.catalog import Catalog
from ..components import Collector, Policy
from ..config import DomainPlan, Settings, Step, load
from ..context import Context, Request
from ..errors import RequestError
from ..interaction import Interaction
from ..learning.attribution import Attribution, as_outcomes
from ..outcomes import Outcomes
from ..slate import Pick, Slate
from ..stock.ingest import ingest
from ..stock.stock import Stock
from ..store import Store
from .answers import Answer, Answers, Habits, Kinds
from .live import LONG_AGO, alone, copied_items, pause_of, plan_of, start_of
from .observation import Observer
from .people import Hidden, People

Singles = NDArray[np.float32]
Observation = dict[str, NDArray[Any]]

ID = "tastemaker/Domain-v0"

_AGENT = "agent"
"""What the agent is called where policies have names."""
_TURNS = 1 << 40
"""How many rounds a person's answers can be drawn for: an episode begins at any of them."""


class DomainEnv(gymnasium.Env[Observation, Singles]):
    """A domain and its people.

    config: a YAML file, as for `tastemaker serve`. overrides: such as `domains.products.slate.size=6`.
    requests: of a person in an episode. people: how many there are; crowd: the seed of their tastes, which stay as
    they are for as long as the environment lives. hidden, habits: of the people.
    width: columns that words are hashed into.
    Raises TastemakerError.

    Everything random of an episode follows from `reset(seed=)`: who comes, what the sources draw, how the person
    answers. `reset(options={"person": 3})` says who comes. An episode is truncated after its requests, since the
    person might have come again; it terminates where nothing is left to be shown. Each begins with a person of
    whom no history is known, on a platform that has no other users.

    context, shortlist: the request at hand, as a policy sees it. outcomes: of the last step, as a policy learns
    from them, with what was written into the memos of context and shortlist before the step.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}  # type: ignore[misc]  # gymnasium has no ClassVar

    def __init__(
        self,
        config: str | Path | None = None,
        domain: str = "",
        *,
        overrides: Sequence[str] = (),
        requests: int = 10,
        people: int = 100,
        crowd: int = 0,
        hidden: Hidden | None = None,
        habits: Habits | None = None,
        width: int = 8,
        render_mode: None = None,
    ) -> None:
        for name, number in (("requests", requests), ("people", people), ("width", width)):
            if number < 1:
                raise RequestError(f"{name} must be at least 1, not {number}")
        settings = load(None if config is None else Path(config), overrides=overrides, offline=True)
        plan = plan_of(alone(settings, domain, plan_of(settings, domain)), domain)
        kinds = Kinds(domain, plan.reward)
        self.render_mode = render_mode
        self.requests = requests
        # The shortlist that policies would get, and an onlooker in their place.
        seat = Step(_AGENT, _AGENT, _Seat())
        options = plan.slate.model_copy(update={"explore": 0.0, "diversity": 0.0})
        self.plan = replace(plan, policies=(seat,), slate=options)
        if plan.items.embedder is not None:
            _awaited(plan.items.embedder.open)
        self._agent = Agent(self.plan, _catalog(settings, plan))
        catalog = self._agent.catalog.snapshot()
        self._crowd = People(catalog, plan, people, crowd, hidden)
        self._answers = Answers(self._crowd, catalog, kinds, habits)
        self._observer = Observer(catalog, plan.scorers, width)
        self._start, self._pause = start_of(plan, catalog), pause_of(plan)
        self.size = math.ceil(options.shortlist * options.size)
        self._person = self._begun = self._turn = self._done = 0
        self._user = ""
        self._history = History((), plan.learning.history)
        self._kept: tuple[Context, Candidates] | None = None
        self.outcomes = as_outcomes([])
        self.user_columns, self.item_columns = self._observer.user_columns, self._observer.item_columns
        self.action_space = spaces.Box(-1.0, 1.0, (self.size,), np.float32)
        self.observation_space: spaces.Space[Any] = spaces.Dict({
            "user": spaces.Box(-1.0, 1.0, (len(self.user_columns),), np.float32),
            "items": spaces.Box(-1.0, 1.0, (self.size, len(self.item_columns)), np.float32),
            "mask": spaces.MultiBinary(self.size),
        })  # fmt: skip

    @property
    def context(self) -> Context:
        """The request at hand. Raises RequestError where there is none."""
        return self._at_hand[0]

    @property
    def shortlist(self) -> Candidates:
        """Its candidates, the composition's best first. Raises RequestError where there are none."""
        return self._at_hand[1]

    @property
    def _at_hand(self) -> tuple[Context, Candidates]:
        if self._kept is None:
            raise RequestError("no request is at hand: call reset() first")
        return self._kept

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Let somebody come. Raises RequestError for options that make no sense."""
        super().reset(seed=seed)
        drawn, self._begun = (int(number) for number in self.np_random.integers(_TURNS, size=2))
        self._person = drawn % len(self._crowd)
        for name, value in (options or {}).items():
            if name != "person" or not isinstance(value, int) or not 0 <= value < len(self._crowd):
                most = len(self._crowd) - 1
                raise RequestError(
                    f"the only option is `person`, a number from 0 to {most}: not {name}={value!r}"
                )
            self._person = value
        self._turn = self._done = 0
        self._user = f"{self._crowd.names[self._person]}-{self._begun}"
        self._history = History((), self.plan.learning.history)
        self._ask()
        return self._observation(), {"person": self._person}

    def step(self, action: Singles) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Show a slate; gives observation, reward, terminated, truncated, info.

        The info holds `items`, the slate's ids; `answers`, by id what was done by kind with its value, or None;
        and `worth`, what answers to the slate are worth on average over all they could be, as `tastemaker
        simulate` measures it. Raises RequestError where the action is none, or no request is at hand.
        """
        context, shortlist = self._at_hand
        scores = np.asarray(action, dtype=np.float64)
        if scores.shape != (self.size,) or not np.isfinite(scores).all():
            raise RequestError(f"an action is {self.size} finite scores, one for each place of the shortlist")
        options = self.plan.slate
        rules = Rules(context.size, max_per=options.max_per)
        everything = np.arange(len(shortlist))
        chosen = select(shortlist, everything, scores[None, : len(shortlist)], rules, self.np_random).chosen
        slate = shortlist.take(chosen)
        answers = self._answers(self._person, self._begun + self._turn, slate.catalog, slate.rows)
        self.outcomes, events = self._learned(context, slate, answers)
        info = {
            "items": slate.ids.tolist(),
            "answers": _by_item(slate, answers),
            "worth": self._answers.worth(self._person, slate.catalog, slate.rows),
        }
        for event in events:
            self._history.add(event)
        self._turn += 1
        self._ask()
        terminated = self._kept is None
        return self._observation(), float(self.outcomes.reward.sum()), terminated, self._ended, info

    def close(self) -> None:
        """Let go of the domain's embedder."""
        embedder = self.plan.items.embedder
        if embedder is not None:
            _awaited(embedder.close)

    @property
    def _ended(self) -> bool:
        return self._turn >= self.requests

    def _ask(self) -> None:
        """Have the composition make the next shortlist."""
        now = self._start + self._turn * self._pause
        seat = self._agent.policies[_AGENT].component
        assert isinstance(seat, _Seat)
        seat.clear()
        decided: Slate = _awaited(
            lambda: self._agent.decide(
                Request(self._user),
                slate=f"simulated-{self._crowd.seed}-{self._begun}-{self._turn}",
                now=now,
                profile=self._crowd.profiles[self._person],
                history=self._history.candidates(self._agent.catalog.snapshot(), now),
            )
        )
        self.degraded = list(decided.degraded)
        self._kept = seat.shown

    def _observation(self) -> Observation:
        items = np.zeros((self.size, len(self.item_columns)), dtype=np.float32)
        mask = np.zeros(self.size, dtype=np.int8)
        user = np.zeros(len(self.user_columns), dtype=np.float32)
        if self._kept is not None:
            context, shortlist = self._kept
            items[: len(shortlist)] = self._observer.items(shortlist)
            mask[: len(shortlist)] = 1
            user = self._observer.user(context, self._turn / self.requests)
        return {"user": user, "items": items, "mask": mask}

    def _learned(
        self, context: Context, slate: Candidates, answers: Sequence[Answer]
    ) -> tuple[Outcomes, list[Event]]:
        """What answers are worth once the slate's window has closed, and what a history keeps of them."""
        window = self.plan.learning.window_minutes * 60
        attribution = Attribution(self.plan.name, self.plan.reward, window)
        attribution.slate(context.slate, self._user, self._logged(context, slate).to_bytes(), context.now)
        events = []
        for answer in answers:
            interaction = Interaction(
                f"{context.slate}-{answer.position}-{answer.kind}",
                self.plan.name,
                self._user,
                str(slate.ids[answer.position]),
                answer.kind,
                context.now,
                value=answer.value,
                slate=context.slate,
                position=answer.position,
            )
            reward = attribution.interaction(interaction, context.now)
            self._done += 1
            worth = math.nan if reward is None else reward
            events.append(Event(interaction.item, answer.kind, worth, context.now, self._done))
        attribution.advance(context.now + window)
        return as_outcomes(attribution.due(), _AGENT), events

    def _logged(self, context: Context, slate: Candidates) -> Slate:
        """The slate as the log would hold it; how probable it was, only the agent knows."""
        picks = [Pick(item, place, 0.0, math.nan, {}, ()) for place, item in enumerate(slate.ids.tolist())]
        memo = {"context": dict(context.memo), "items": dict(slate.memo)}
        return Slate(
            context.slate,
            self.plan.name,
            self._user,
            context.now,
            picks,
            context.size,
            context.seed,
            self.plan.digest,
            memo={_AGENT: memo},
        )


class _Seat(Policy):
    """Stands where policies stand, and takes down what they are shown."""

    blocking: ClassVar[bool] = False

    _shown: tuple[Context, Candidates] | None = PrivateAttr(None)

    @property
    def shown(self) -> tuple[Context, Candidates] | None:
        """The last request that came this far, with its shortlist."""
        return self._shown

    def clear(self) -> None:
        """Forget it."""
        self._shown = None

    def rank(self, context: Context, candidates: Candidates) -> NDArray[np.float64]:
        """No opinion."""
        self._shown = (context.bind(context.step), candidates)
        return np.zeros(len(candidates))


def train(
    env: "gymnasium.Env[Any, Any]",
    policy: Policy,
    episodes: int,
    *,
    explore: float = 0.1,
    seed: int = 0,
    learn: bool = True,
) -> NDArray[np.float64]:
    """Let a policy that ranks live in a `tastemaker/Domain-v0`; the reward of each episode, shape (episodes,).

    explore: how often a slate is ranked at random. learn: otherwise it only ranks, and nothing is explored.
    What the policy has learned is in its `state()`.
    """
    world = env.unwrapped
    assert isinstance(world, DomainEnv)
    rng = np.random.default_rng(seed)
    rewards = np.zeros(episodes)
    for episode in range(episodes):
        env.reset(seed=int(rng.integers(1 << 31)))
        over = False
        while not over:
            scores = np.zeros(world.size)
            ranked = np.atleast_2d(_awaited(lambda: policy.rank(world.context, world.shortlist)))[0]
            scores[: len(ranked)] = ranked
            if learn and rng.random() < explore:
                scores = rng.random(world.size)
            _, reward, terminated, truncated, _ = env.step(_within(scores))
            rewards[episode] += float(reward)
            over = terminated or truncated
            if learn:
                policy.learn(world.outcomes)
    return rewards


def _within(scores: NDArray[np.float64]) -> Singles:
    """An action that ranks as scores do: their places, from 1 for the best to 0."""
    places = np.unique(-scores, return_inverse=True)[1]
    action: Singles = (1 - places / max(places.max(), 1)).astype(np.float32)
    return action


def _by_item(slate: Candidates, answers: Sequence[Answer]) -> dict[str, dict[str, float | None]]:
    done: dict[str, dict[str, float | None]] = {}
    for answer in answers:
        done.setdefault(str(slate.ids[answer.position]), {})[answer.kind] = answer.value
    return done


def _catalog(settings: Settings, plan: DomainPlan) -> Catalog:
    """The domain's items, brought in as for a simulation: nothing of it stays on disk."""
    with TemporaryDirectory(prefix="tastemaker-") as folder:
        url = SecretStr(f"sqlite:///{Path(folder) / 'environment.db'}")
        step = plan.items.collector
        if step is None:
            copied_items(settings, url, plan.name)
        store = Store(url.get_secret_value(), clock=lambda: LONG_AGO)
        try:
            if step is not None:
                assert isinstance(step.component, Collector)
                ingest(store, plan.name, plan.items.schema, step.component, "collector", replace=True)
            stock = Stock(store, plan)
            stock.refresh(store.end())
        finally:
            store.close()
    stock.catalog.close()  # nothing is written to it any more, so nothing need work in the background
    return stock.catalog


def _awaited(call: Any) -> Any:
    """What a call gives, awaited in an event loop of its own; in a notebook, one runs in this thread already."""

    async def waited() -> Any:
        given = call()
        return await given if isawaitable(given) else given

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(waited())
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, waited()).result()


if ID not in gymnasium.registry:
    gymnasium.register(ID, entry_point=f"{__name__}:{DomainEnv.__name__}")
