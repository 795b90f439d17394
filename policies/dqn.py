"""Deep Q-learning: what an item is worth to whoever asks, with all that comes of it, by a small neural network.

`dqn.ranker` learns Q(s, a), the reward of showing item a in state s and of all slates that follow, a later one
counting γ times the one before. It is double Q-learning (van Hasselt et al. 2016) with experience replay and a
target network (Mnih et al. 2015):

    y = r + γ Q_target(s', argmax over b of Q(s', b)),        loss = Huber(Q(s, a) - y).

s is what is known of the request: declared features of profile and situation, and a summary of the user's history. a
is the item's declared features. Items are scored one by one, and the score is (1 - γ) Q: on the scale of a single
reward. s' is the user's next slate; b are the items that Q thought best for it when it was made, logged with it.
Where the user didn't come back in time, y = r.

A reward r counts as the share (r - low) / (high - low), clipped to 0..1. What is logged is what is learned from.
Exploration is the slate's: ranking itself draws nothing.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PrivateAttr, model_validator

from ..core import Candidates, Context, FieldType, Outcomes, Policy, State, hookimpl
from .features import Codes, Feature, Features, Floats, misfits
from .q_network import Batch, QNetwork, Singles, missing, one_thread
from .replay import Replay, Shown

_UNIT = 1024
_HOUR = 3_600.0
_OF_ITEMS = ("number", "flag", "words", "embedding")
_FACTS = 2
"""Columns of the history's summary beside the features of items: how much there is, and how it was received."""


class Ranker(Policy):
    """Learns what showing an item leads to, this time and later, and ranks by it (double DQN)."""

    blocking: ClassVar[bool] = False

    features: tuple[Feature, ...] = Field(
        default=(Feature(embedding=16),),
        min_length=1,
        description="What an item, user and situation are to it.",
    )
    low: float = Field(
        default=0.0, allow_inf_nan=False, description="The reward that counts as a full failure."
    )
    high: float = Field(
        default=1.0, allow_inf_nan=False, description="The reward that counts as a full success."
    )
    gamma: float = Field(
        default=0.5,
        ge=0,
        lt=1,
        description="How much the next slate counts beside this one; 0 looks no further.",
    )
    return_hours: float = Field(
        default=168.0,
        gt=0,
        le=1e5,
        description="Who doesn't come back for so long has left: nothing follows.",
    )
    history: int = Field(
        default=20,
        ge=0,
        le=1000,
        description="How many of a user's latest interactions are summed up; 0: none.",
    )
    hidden: tuple[Annotated[int, Field(ge=1, le=1024)], ...] = Field(
        default=(64, 64), max_length=4, description="Units of each hidden layer; none makes Q linear."
    )
    dueling: bool = Field(
        default=False, description="Learn what a state is worth apart from what an item adds to it."
    )
    learning_rate: float = Field(default=0.001, gt=0, le=1, description="Adam's step size.")
    batch: int = Field(default=32, ge=1, le=4096, description="Outcomes that a step learns from.")
    every: int = Field(default=4, ge=1, le=100_000, description="New outcomes between two steps.")
    sync: int = Field(
        default=200,
        ge=1,
        le=1_000_000,
        description="Steps after which the target network is brought up to date.",
    )
    memory: int = Field(
        default=10_000, ge=1, le=1_000_000, description="Outcomes that are kept to learn from."
    )
    choices: int = Field(
        default=8,
        ge=1,
        le=200,
        description="How many of its best items a slate notes, for the next state's best.",
    )
    epochs: float = Field(
        default=4.0,
        ge=0,
        le=1000,
        description="How often the end of a training run goes over the memory again.",
    )
    seed: int = Field(default=0, ge=0, le=2**31, description="Of the first weights, and of what is replayed.")

    _features: Features = PrivateAttr()
    _own: NDArray[np.intp] = PrivateAttr()
    _network: QNetwork = PrivateAttr()
    _replay: Replay = PrivateAttr()
    _outcomes: int = PrivateAttr()

    @model_validator(mode="after")
    def _fits(self) -> "Ranker":
        if self.low >= self.high:
            raise ValueError(f"low must be below high, not {self.low:g} and {self.high:g}")
        features = Features(self.features)
        if features.width > 512:
            raise ValueError(f"the features have {features.width} columns, and may have at most 512")
        if not len(self._of_items(features)):
            raise ValueError("no feature is of the items: all of them would be worth the same")
        if (trouble := missing()) is not None:
            raise ValueError(trouble)
        return self

    def misfits(self, fields: Mapping[str, FieldType]) -> Iterable[tuple[str, str]]:
        """Features that don't go with the fields."""
        return misfits(self.features, fields)

    def model_post_init(self, _: Any) -> None:
        """Start with nothing learned."""
        self._features = Features(self.features)
        self._own = self._of_items(self._features)
        self._reset()

    def _of_items(self, features: Features) -> NDArray[np.intp]:
        """The columns of vectors that only depend on the item."""
        named = {feature.name: feature.kind in _OF_ITEMS for feature in self.features}
        fixed = [np.full(count, named[name]) for name, count in features.columns.items()]
        return np.flatnonzero(np.concatenate((np.zeros(1, dtype=bool), *fixed)))

    def _reset(self) -> None:
        width = self._features.width
        summary = len(self._own) + _FACTS if self.history else 0
        state = np.concatenate((self._features.of_request, np.arange(width, width + summary)))
        self._network = QNetwork(width + summary, state, self.hidden, dueling=self.dueling, seed=self.seed)
        self._replay = Replay(self.memory, width - 1, summary, self.choices, self.return_hours * _HOUR)
        self._outcomes = 0

    def rank(self, context: Context, candidates: Candidates) -> Floats:
        """(1 - γ) Q of each candidate, shape (n,)."""
        logged = self._features.measured(context, candidates)
        candidates.memo["x"] = logged
        summary = self._summary(context)
        x = self._vectors(logged, summary)
        worth, best = self._network.worth(x, self.choices)
        if "choices" not in context.memo:  # asked once more about items to be tried, it has noted them
            context.memo["features"] = self._digest
            context.memo["time"] = context.now
            context.memo["history"] = summary.tolist()
            context.memo["choices"] = logged[best].tolist()
        return (1 - self.gamma) * worth.astype(np.float64)

    def _summary(self, context: Context) -> Codes:
        """A user's history in units of 1/1024: what was liked, how much there is, how it was received; shape (h,).

        What was liked is the sum of the items' features weighted by rewards, over 1 + the sum of absolute weights.
        """
        if not self.history:
            return np.zeros(0, dtype=np.int16)
        past = context.history.take(np.arange(min(self.history, len(context.history))))
        rewards = np.nan_to_num(past["reward"])
        weights = np.clip(rewards / max(abs(self.low), abs(self.high)), -1, 1)
        evidence = float(np.abs(weights).sum())
        liked = weights @ self._features.vectors(self._features.measured(context, past))[:, self._own]
        facts = [evidence, float(weights.sum())]
        summary = np.concatenate((liked, facts)) / (1 + evidence)
        return np.rint(np.clip(summary, -3, 3) * _UNIT).astype(np.int16)

    def _vectors(self, logged: Codes, summary: Codes) -> Singles:
        """[s, a] of logged features (..., w) in states with summaries (h,) or (..., h), shape (..., d)."""
        flat = logged.reshape(-1, logged.shape[-1])
        vectors = np.empty((*logged.shape[:-1], self._features.width + summary.shape[-1]), dtype=np.float32)
        ahead = (*logged.shape[:-1], self._features.width)
        vectors[..., : self._features.width] = self._features.vectors(flat).reshape(ahead)
        vectors[..., self._features.width :] = summary * np.float32(1 / _UNIT)
        return vectors

    def learn(self, outcomes: Outcomes) -> None:
        """Remember what was logged with its features, and take a step after every few outcomes."""
        shares = np.clip((outcomes.total - self.low) / (self.high - self.low), 0.0, 1.0).tolist()
        shown: Shown | None = None
        with one_thread():
            for place, memo in enumerate(outcomes.memos):
                if memo.get("features") != self._digest or memo.get("x") is None:
                    continue
                slate, item = outcomes.slates[place], outcomes.items[place]
                if not outcomes.first[place]:
                    self._replay.correct(slate, item, shares[place])
                    continue
                if shown is None or shown.id != slate:
                    state = np.array(memo["history"], dtype=np.int16)
                    choices = np.array(memo["choices"], dtype=np.int16)
                    shown = Shown(slate, outcomes.users[place], float(memo["time"]), state, choices)
                x = np.array(memo["x"], dtype=np.int16)
                self._replay.add(shown, item, x, shares[place], float(outcomes.time[place]))
                self._outcomes += 1
                if self._outcomes % self.every == 0:
                    self._step()

    def fit(self) -> None:
        """Go over the memory again, `epochs` times."""
        with one_thread():
            for _ in range(math.ceil(self.epochs * len(self._ready()) / self.batch)):
                self._step()

    def _step(self) -> None:
        """Learn from outcomes drawn from the memory, once there are enough."""
        network, ready = self._network, self._ready()
        if len(ready) < self.batch:
            return
        rng = np.random.default_rng((self.seed, network.steps))
        network.learn(self._drawn(rng.choice(ready, self.batch)), gamma=self.gamma, rate=self.learning_rate)
        if network.steps % self.sync == 0:
            network.sync()

    def _ready(self) -> NDArray[np.intp]:
        """The outcomes that can be learned from: all of them, where what follows doesn't count."""
        return self._replay.ready() if self.gamma else np.arange(len(self._replay))

    def _drawn(self, places: NDArray[np.intp]) -> Batch:
        """Transitions out of the memory."""
        replay = self._replay
        slots = replay.slate[places]
        after = replay.after(slots)
        numbers = np.arange(self.choices)
        own = slice(self.choices if self.dueling else 0)  # nobody else asks what else could have been chosen
        return Batch(
            x=self._vectors(replay.x[places], replay.states[slots]),
            reward=replay.reward[places].astype(np.float32),
            choices=self._vectors(replay.choices[slots][:, own], replay.states[slots][:, None]),
            open=numbers[own] < replay.chosen[slots][:, None],
            after=self._vectors(replay.choices[after], replay.states[after][:, None]),
            after_open=(numbers < replay.chosen[after][:, None]) & (after >= 0)[:, None],
        )

    @property
    def _digest(self) -> str:
        """Changes whenever what is logged would mean something else."""
        return f"{self._features.digest} {self.history} {self.choices} {self.low:g} {self.high:g}"

    @property
    def _schema(self) -> str:
        layers = " x ".join(str(units) for units in (self._features.width, *self.hidden, 1))
        return f"{'dueling ' if self.dueling else ''}{layers}, {self._digest}, {self.memory}"

    def state(self) -> State:
        """All that was learned."""
        return {
            "schema": self._schema,
            "outcomes": self._outcomes,
            **self._network.state(),
            **self._replay.state(),
        }

    def load(self, state: State) -> None:
        """Become what `state` gave. Raises ValueError where it doesn't fit."""
        if state.get("schema") != self._schema:
            raise ValueError(
                f"this state is of {state.get('schema')!r}, not of {self._schema!r}: other features or another network"
            )
        outcomes = state.get("outcomes")
        if not isinstance(outcomes, int) or isinstance(outcomes, bool) or outcomes < 0:
            raise ValueError("outcomes must be a count")
        fresh = type(self).model_validate({name: getattr(self, name) for name in type(self).model_fields})
        fresh._network.load(state)
        fresh._replay.load(state)
        self._network, self._replay, self._outcomes = fresh._network, fresh._replay, outcomes

    def explain(self, item: str, memo: Mapping[str, Any]) -> str:
        """What the network makes of an item now, with the features that were logged when it was ranked."""
        if not item or memo.get("features") != self._digest or memo.get("x") is None:
            return ""
        summary = np.array(memo["history"], dtype=np.int16)
        steps = self._network.steps
        if not steps:
            return "nothing learned yet: all items are worth the same"
        x = self._vectors(np.array([memo["x"], *memo["choices"]], dtype=np.int16), summary)
        worth, _ = self._network.worth(x[1:], self.choices)
        advantages = self._network.advantages(self._network.weights, x)
        gap = float(advantages[0] - advantages[1:].max())
        return f"{gap:+.2f} beside the best that was known for this slate, worth Q = {worth.max():.2f} ({steps} steps)"


@hookimpl
def components() -> list[type[Policy]]:
    """What this plugin offers."""
    return [Ranker]
