"""Tabular Q-learning: which knobs to turn in which state, and which kinds of items suit whom.

`q_learning.tuner` is Q-learning (Watkins 1989; Sutton & Barto 2018, section 6.5) over the knobs of the composition: a
state is what the request tells (traits, mood, time of day), an action is a level of every knob, the reward is what the
slate earns, and a user's slates within `episode_minutes` of each other are one episode:

    Q(s, a) ← Q(s, a) + α [r + γ max Q(s', ·) - Q(s, a)]

A slate's reward comes in parts, and the next state later still. So each part of the bracket is added when it is known:
-αQ(s, a) once, with the slate's first outcome; αr with every outcome; αγ max Q(s', ·) when the next slate has its first
outcome. In sum that is the rule, and what comes out depends on the order of the log alone.

`q_learning.adjuster` learns what kinds of items earn in which state more or less than a place of the slate does on
average: Q-learning without a next state, with a replay buffer (Lin 1992).
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, FiniteFloat, PrivateAttr, field_validator, model_validator

from ..core import (
    Candidates,
    Context,
    FieldType,
    NumberField,
    Outcomes,
    Policy,
    State,
    WordField,
    hookimpl,
)
from .actions import EVERYWHERE, Actions, Knobs
from .q_table import QTable, Replay, count, key_of, numbers, texts
from .states import Variable, kinds_of, once, state_of

Floats = NDArray[np.float64]

BIG_FIVE = ("openness", "conscientiousness", "extraversion", "agreeableness", "neuroticism")
_TRAITS = tuple(Variable(trait=trait) for trait in BIG_FIVE)
_SITUATION = (Variable(domain=True), Variable(situation="mood"), Variable(time_of_day=True))


class _Tabular(Policy):
    """What both have in common: the variables of a state, and the step."""

    blocking: ClassVar[bool] = False

    alpha: float = Field(
        default=0.1, gt=0, le=1, description="How far one outcome moves a value towards itself."
    )
    most_states: int = Field(
        default=20_000,
        ge=1,
        le=1_000_000,
        description="States in the table; beyond, that left longest is forgotten.",
    )


class Tuner(_Tabular):
    """Learns which levels of the knobs earn most in which state, and turns them before anything is proposed."""

    observe: tuple[Variable, ...] = Field(
        default=(*_TRAITS, *_SITUATION), min_length=1, max_length=16, description="What a state is made of."
    )
    knobs: Knobs = Field(
        default=EVERYWHERE,
        min_length=1,
        description="By name, each with its levels by name: what they set, by path in the composition.",
    )
    gamma: float = Field(
        default=0.95, ge=0, lt=1, description="What the reward of the next slate counts now."
    )
    initial: float = Field(
        default=1.0, ge=-1e6, le=1e6, description="What an action is taken to be worth before it was tried."
    )
    epsilon: float = Field(
        default=0.3, ge=0, le=1, description="Share of decisions at random, to begin with …"
    )
    epsilon_end: float = Field(default=0.05, ge=0, le=1, description="… and in the end.")
    anneal: int = Field(
        default=5_000,
        ge=1,
        description="Decisions learned from until then; the share falls in a straight line.",
    )
    reward: Literal["sum", "mean"] = Field(
        default="sum",
        description="A slate's reward: the sum over its items, or that by the number of items asked for.",
    )
    episode_minutes: float = Field(
        default=60.0,
        ge=0,
        le=1e6,
        description="How long after a slate the user's next one still follows from it.",
    )
    memory: int = Field(
        default=50_000,
        ge=1,
        le=10_000_000,
        description="Users and slates kept in mind; more than one window has.",
    )

    _actions: Actions = PrivateAttr()
    _schema: str = PrivateAttr()
    _table: QTable = PrivateAttr()
    _decisions: int = PrivateAttr(default=0)
    _last: dict[str, tuple[float, str, int]] = PrivateAttr(default_factory=dict)
    _begun: dict[int, None] = PrivateAttr(default_factory=dict)

    @field_validator("knobs")
    @classmethod
    def _go_together(cls, knobs: Knobs) -> Knobs:
        Actions(knobs)
        return knobs

    @model_validator(mode="after")
    def _fits(self) -> "Tuner":
        once(self.observe)
        if self.epsilon_end > self.epsilon:
            raise ValueError(
                f"epsilon_end, {self.epsilon_end:g}, must not be above epsilon, {self.epsilon:g}"
            )
        return self

    def model_post_init(self, _: Any) -> None:
        """Start with nothing learned."""
        self._actions = Actions(self.knobs)
        self._schema = f"tuner 1, {len(self._actions)} actions, {_digest(self, 'observe', 'knobs')}"
        self._table = QTable(len(self._actions), self.most_states, self.initial)

    def settings(self) -> Iterable[Mapping[str, Any]]:
        """Every setting of the knobs, as `tune` may give it."""
        return list(self._actions.settings)

    @property
    def exploring(self) -> float:
        """ε: the share of decisions that are now taken at random."""
        return self.epsilon + (self.epsilon_end - self.epsilon) * min(self._decisions / self.anneal, 1.0)

    def tune(self, context: Context) -> Mapping[str, Any]:
        """The best levels in this state, or with probability ε any (ε-greedy, ties broken at random)."""
        state = state_of(self.observe, context)
        best = self._best(state)
        explored = bool(context.rng.random() < self.exploring)
        action = (
            int(context.rng.integers(len(self._actions)))
            if explored
            else int(best[context.rng.integers(len(best))])
        )
        context.memo.update(
            schema=self._schema,
            state=state,
            action=dict(self._actions.levels[action]),
            propensity=self._chance(action, best),
            explored=explored,
            time=context.now,
            size=context.size,
        )
        return dict(self._actions.settings[action])

    def chance(self, context: Context, memo: Mapping[str, Any]) -> float | None:
        """The probability of turning the knobs as noted in memo, in this context and the present state of the table."""
        action = self._action(memo)
        return None if action is None else self._chance(action, self._best(state_of(self.observe, context)))

    def _best(self, state: str) -> NDArray[np.intp]:
        values = self._table.values(state)
        return np.flatnonzero(values == values.max())

    def _chance(self, action: int, best: NDArray[np.intp]) -> float:
        epsilon = self.exploring
        return epsilon / len(self._actions) + ((1 - epsilon) / len(best) if action in best else 0.0)

    def _action(self, memo: Mapping[str, Any]) -> int | None:
        """The action that a memo tells of; None where it is of other knobs or variables."""
        action = memo.get("action")
        if memo.get("schema") != self._schema or not isinstance(action, Mapping):
            return None
        return self._actions.place(action)

    def learn(self, outcomes: Outcomes) -> None:
        """Take outcomes in, one by one: each adds the part of the rule that it makes known."""
        columns = (outcomes.reward.tolist(), outcomes.first.tolist(), outcomes.memos)
        for user, slate, reward, first, memo in zip(outcomes.users, outcomes.slates, *columns, strict=True):
            action = self._action(memo)
            if action is None:
                continue
            if first and self._begins(slate):
                self._begin(user, str(memo["state"]), action, float(memo["time"]))
            row = self._table.row(str(memo["state"]))
            if row >= 0:
                share = reward / max(int(memo["size"]), 1) if self.reward == "mean" else reward
                self._table.q[row, action] += self.alpha * share

    def _begins(self, slate: str) -> bool:
        """Whether this is the first that is heard of a slate."""
        key = key_of(slate)
        if key in self._begun:
            return False
        if len(self._begun) >= self.memory:
            del self._begun[next(iter(self._begun))]
        self._begun[key] = None
        return True

    def _begin(self, user: str, state: str, action: int, time: float) -> None:
        """A slate's first outcome: the user's last one learns what came next, and this one's value makes room."""
        before = self._last.get(user)
        if before is None or time >= before[0]:
            if before is not None and time - before[0] <= self.episode_minutes * 60:
                last = self._table.row(before[1])
                if last >= 0:
                    following = float(self._table.values(state).max())
                    self._table.q[last, before[2]] += self.alpha * self.gamma * following
            self._last.pop(user, None)
            if len(self._last) >= self.memory:
                del self._last[next(iter(self._last))]
            self._last[user] = time, state, action
        row, _ = self._table.learned(state)
        self._table.q[row, action] -= self.alpha * self._table.q[row, action]
        self._table.visits[row, action] += 1
        self._decisions += 1

    def table(self) -> dict[str, dict[str, dict[str, float]]]:
        """What was learned, as plain data: by state and action, its value `q` and how often it was tried, `visits`."""
        return {state: self._table.tried(state, self._actions.names) for state in self._table.states}

    def explain(self, item: str, memo: Mapping[str, Any]) -> str:
        """Of the slate as a whole: state, action, and what it is worth now against the best other."""
        action = self._action(memo)
        if item or action is None:
            return ""
        state = str(memo.get("state", ""))
        values, row = self._table.values(state), self._table.row(state)
        visits = int(self._table.visits[row, action]) if row >= 0 else 0
        other = int(np.where(np.arange(len(values)) == action, -np.inf, values).argmax())
        how = "tried at random" if memo.get("explored") else "chosen as the best known"
        return (
            f"in the state {state}, {self._actions.names[action]} was {how} "
            f"(probability {float(memo.get('propensity', np.nan)):.3f}): worth {values[action]:.2f} after {visits} "
            f"tries; the best other, {self._actions.names[other]}, {values[other]:.2f}"
        )

    def state(self) -> State:
        """All that was learned."""
        return {
            "schema": self._schema,
            "decisions": self._decisions,
            **self._table.state("table"),
            "slates": np.array(list(self._begun), dtype=np.int64),
            "users": list(self._last),
            "user_times": np.array([time for time, _, _ in self._last.values()], dtype=np.float64),
            "user_states": [state for _, state, _ in self._last.values()],
            "user_actions": np.array([action for _, _, action in self._last.values()], dtype=np.int64),
        }

    def load(self, state: State) -> None:
        """Become what `state` gave. Raises ValueError where it doesn't fit."""
        _same_schema(state, self._schema)
        table = QTable(len(self._actions), self.most_states, self.initial)
        table.load("table", state)
        decisions = count(state, "decisions")
        slates = numbers(state, "slates", np.int64)
        users, states = texts(state, "users"), texts(state, "user_states")
        times, actions = numbers(state, "user_times", np.float64), numbers(state, "user_actions", np.int64)
        if not (len(users) == len(set(users)) == len(states)) or not times.shape == actions.shape == (
            len(users),
        ):
            raise ValueError(
                "users must be texts, each of them once, with a state, an action and a time each"
            )
        if ((actions < 0) | (actions >= len(self._actions))).any():
            raise ValueError(f"user_actions must be from 0 to {len(self._actions) - 1}")
        if (
            slates.ndim != 1
            or len(np.unique(slates)) < len(slates)
            or max(len(slates), len(users)) > self.memory
        ):
            raise ValueError(f"slates and users must be at most {self.memory}, each of them once")
        self._table, self._decisions = table, decisions
        self._begun = dict.fromkeys(slates.tolist())
        self._last = dict(zip(users, zip(times.tolist(), states, actions.tolist(), strict=True), strict=True))


class Adjuster(_Tabular):
    """Learns what kinds of items suit whom, and corrects the order by it: scores from -1 to 1, for a small weight."""

    observe: tuple[Variable, ...] = Field(
        default=_TRAITS, min_length=1, max_length=16, description="What a state is made of."
    )
    fields: tuple[NumberField, ...] | None = Field(
        default=None,
        max_length=6,
        description="Number fields that a kind of items is made of; without `words`, the first three by default.",
    )
    words: WordField | None = Field(
        default=None,
        description="The category, or the first of the tags, of a kind; without `fields`, the first category field.",
    )
    cuts: Mapping[NumberField, tuple[FiniteFloat, FiniteFloat]] = Field(
        default={},
        description="Where a field is cut into low, medium and high; by default into thirds of the items.",
    )
    scale: float = Field(
        default=1.0, gt=0, description="How much more reward than average is much: a score of 0.76."
    )
    buffer: int = Field(
        default=10_000, ge=1, le=1_000_000, description="Outcomes kept to be learned from again."
    )
    batch: int = Field(
        default=32, ge=0, le=10_000, description="How many of them are learned from again at a time …"
    )
    every: int = Field(default=10, ge=1, description="… and after how many new outcomes.")
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(default=0, description="Of the choice among them.")

    _schema: str = PrivateAttr()
    _table: QTable = PrivateAttr()
    _averages: QTable = PrivateAttr()
    _replay: Replay = PrivateAttr()

    @model_validator(mode="after")
    def _fits(self) -> "Adjuster":
        once(self.observe)
        for field, (low, high) in self.cuts.items():
            if self.fields is not None and field not in self.fields:
                raise ValueError(f"`cuts` names {field!r}, which is none of `fields`")
            if low >= high:
                raise ValueError(f"the cuts of {field!r} must ascend, not {low:g} and {high:g}")
        if self.fields is not None and len(set(self.fields)) < len(self.fields):
            raise ValueError("`fields` names a field twice")
        if self.fields == () and self.words is None:
            raise ValueError("a kind of items needs `fields` or `words`")
        return self

    def misfits(self, fields: Mapping[str, FieldType]) -> Iterable[tuple[str, str]]:
        """There must be something to tell items apart by."""
        if self.fields is None and self.words is None and not {"number", "category"} & set(fields.values()):
            yield "fields", "the items have no number and no category field: name a field of tags in `words`"

    def model_post_init(self, _: Any) -> None:
        """Start with nothing learned."""
        self._schema = (
            f"adjuster 1, buffer of {self.buffer}, {_digest(self, 'observe', 'fields', 'words', 'cuts')}"
        )
        self._table = QTable(1, self.most_states)
        self._averages = QTable(1, self.most_states)
        self._replay = Replay(self.buffer)

    def rank(self, context: Context, candidates: Candidates) -> Floats:
        """How much more than a place on average each candidate's kind earns, from -1 to 1; 0 unknown; shape (n,)."""
        state = state_of(self.observe, context)
        fields, words = self._looked_at(candidates)
        kinds, of_candidate = kinds_of(candidates, fields, words, self.cuts)
        context.memo.update(schema=self._schema, state=state)
        candidates.memo["kind"] = np.array(kinds, dtype=np.str_)[of_candidate]
        return np.array([self._score(state, kind) for kind in kinds], dtype=np.float64)[of_candidate]

    def _looked_at(self, candidates: Candidates) -> tuple[tuple[str, ...], str | None]:
        if self.fields is not None or self.words is not None:
            return self.fields or (), self.words
        schema = candidates.catalog.schema
        return tuple(schema.of_type("number")[:3]), next(iter(schema.of_type("category")), None)

    def _score(self, state: str, kind: str) -> float:
        row, place = self._table.row(f"{state}|{kind}"), self._averages.row(state)
        if row < 0 or place < 0:
            return 0.0
        return float(np.tanh((self._table.q[row, 0] - self._averages.q[place, 0]) / self.scale))

    def learn(self, outcomes: Outcomes) -> None:
        """Take outcomes in, one by one. Corrections of an earlier outcome change its reward alone."""
        columns = (outcomes.reward.tolist(), outcomes.first.tolist(), outcomes.memos)
        for slate, item, reward, first, memo in zip(outcomes.slates, outcomes.items, *columns, strict=True):
            state, kind = memo.get("state"), memo.get("kind")
            if memo.get("schema") != self._schema or not isinstance(state, str) or not isinstance(kind, str):
                continue
            key = key_of(f"{slate}\n{item}")
            if not first:
                self._correct(self._table.row(f"{state}|{kind}"), self._averages.row(state), reward)
                self._replay.correct(key, reward)
                continue
            place, new_place = self._averages.learned(state)
            row, new_row = self._table.learned(f"{state}|{kind}")
            self._replay.forget(place if new_place else None, row if new_row else None)
            if new_row:
                self._table.q[row, 0] = self._averages.q[place, 0]
            self._move(row, place, reward)
            self._table.visits[row, 0] += 1
            self._averages.visits[place, 0] += 1
            self._replay.add(key, row, place, reward)
            if self._replay.taken % self.every == 0:
                for again in self._replay.sample(self.batch, self.seed):
                    self._move(*again)

    def _move(self, row: int, place: int, reward: float) -> None:
        """Q ← Q + α (r - Q), of the kind and of the place."""
        self._table.q[row, 0] += self.alpha * (reward - self._table.q[row, 0])
        self._averages.q[place, 0] += self.alpha * (reward - self._averages.q[place, 0])

    def _correct(self, row: int, place: int, change: float) -> None:
        if row >= 0:
            self._table.q[row, 0] += self.alpha * change
        if place >= 0:
            self._averages.q[place, 0] += self.alpha * change

    def table(self) -> dict[str, dict[str, dict[str, float]]]:
        """What was learned, as plain data: by state and kind, `recommend`; by state alone, `not`."""
        kinds = {state: self._table.tried(state, ["recommend"]) for state in self._table.states}
        return kinds | {state: self._averages.tried(state, ["not"]) for state in self._averages.states}

    def explain(self, item: str, memo: Mapping[str, Any]) -> str:
        """What an item's kind is worth in the state that it was ranked in."""
        state, kind = memo.get("state"), memo.get("kind")
        if not item or memo.get("schema") != self._schema or not isinstance(kind, str):
            return ""
        row, place = self._table.row(f"{state}|{kind}"), self._averages.row(str(state))
        if row < 0 or place < 0:
            return f"nothing is known yet of {kind} for {state}"
        worth, average = self._table.q[row, 0], self._averages.q[place, 0]
        visits = int(self._table.visits[row, 0])
        return f"{kind} is worth {worth:.2f} for {state} after {visits} outcomes; a place on average {average:.2f}"

    def state(self) -> State:
        """All that was learned."""
        tables = {**self._table.state("kind"), **self._averages.state("place")}
        return {
            "schema": self._schema,
            **tables,
            **self._replay.state(self._table.places(), self._averages.places()),
        }

    def load(self, state: State) -> None:
        """Become what `state` gave. Raises ValueError where it doesn't fit."""
        _same_schema(state, self._schema)
        table, averages = QTable(1, self.most_states), QTable(1, self.most_states)
        replay = Replay(self.buffer)
        table.load("kind", state)
        averages.load("place", state)
        replay.load(state, len(table), len(averages))
        self._table, self._averages, self._replay = table, averages, replay


def _digest(policy: Policy, *options: str) -> str:
    """Changes whenever the states or actions would mean something else."""
    return hashlib.blake2b(policy.model_dump_json(include=set(options)).encode(), digest_size=6).hexdigest()


def _same_schema(state: Mapping[str, Any], schema: str) -> None:
    if state.get("schema") != schema:
        raise ValueError(f"this state is of {state.get('schema')!r}, not of {schema!r}: of other options")


@hookimpl
def components() -> list[type[Policy]]:
    """What this plugin offers."""
    return [Tuner, Adjuster]
