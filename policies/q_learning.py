"""Tabular Q-learning: which knobs to turn in which state, and which kinds of items suit whom.

`q_learning.tuner` is Q-learning (Watkins 1989; Sutton & Barto 2018, section 6.5) over the knobs of the composition: a
state is what the request tells (traits, mood, time of day), an action is a level of every knob, the reward is what the
slate earns, and a user's slates within `episode_minutes` of each other are one episode:

    Q(s, a) ← Q(s, a) + α [r + γ max Q(s', ·) - Q(s, a)]

The rule is applied to a slate when the user's next one has its first outcome or, where none follows, when the log is
two gaps beyond it; what the slate earned until then is its r, and α times what it earns later is added. Nothing is
learned from half a transition: values that sank until the other half came would turn the choice away from what was
just found to be best.

`q_learning.adjuster` learns what kinds of items earn in which state more or less than a place of the slate does on
average: Q-learning without a next state, with a replay buffer (Lin 1992).
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal, get_args

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
    Trait,
    WordField,
    hookimpl,
)
from .actions import EVERYWHERE, Actions, Knobs
from .q_table import Decision, Episodes, QTable, Replay, count, key_of
from .states import Variable, kinds_of, known, once, state_of

Floats = NDArray[np.float64]

_TRAITS = tuple(Variable(trait=trait) for trait in get_args(Trait))
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
    _episodes: Episodes = PrivateAttr()

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
        self._schema = f"tuner 1, {len(self._actions)} actions, {_options_digest(self, 'observe', 'knobs')}"
        self._table = QTable(len(self._actions), self.most_states, self.initial)
        self._episodes = Episodes(self.episode_minutes * 60, self.memory)

    def too_short(self, window_minutes: float) -> Iterable[tuple[str, str]]:
        """An episode can't end before it is known what the slate earned from which the next one follows."""
        if 0 < self.episode_minutes < window_minutes:
            yield (
                "episode_minutes",
                f"episode_minutes, {self.episode_minutes:g}, must be 0 or at least learning.window_minutes, "
                f"{window_minutes:g}: until then it isn't known what a slate earned",
            )

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
        """Take outcomes in, one by one; the rule is applied to a slate once it is known what followed."""
        table, episodes = self._table, self._episodes
        columns = (outcomes.reward.tolist(), outcomes.first.tolist(), outcomes.time.tolist(), outcomes.memos)
        for user, slate, reward, first, now, memo in zip(
            outcomes.users, outcomes.slates, *columns, strict=True
        ):
            for ended in episodes.ended(now):
                self._update(ended, None)
            action = self._action(memo)
            if action is None:
                continue
            share = reward / memo["size"] if self.reward == "mean" else reward
            key, state, time = key_of(slate), memo["state"], memo["time"]
            if episodes.earned(user, key, share):
                continue
            if first and episodes.begins(key):
                closed = episodes.followed(user, Decision(key, time, state, action, share))
                if closed is not None:
                    self._update(*closed)
            else:  # more of what the rule was applied to already
                table.add(table.row(state), self.alpha * share, action)

    def _update(self, decision: Decision, following: str | None) -> None:
        """Q(s, a) ← Q(s, a) + α [r + γ max Q(s', ·) - Q(s, a)]; nothing follows the last slate of an episode."""
        table, action = self._table, decision.action
        ahead = 0.0 if following is None else self.gamma * float(table.values(following).max())
        row, _ = table.learned(decision.state)
        table.add(row, self.alpha * (decision.reward + ahead - table.q[row, action]), action)
        table.visits[row, action] += 1
        self._decisions += 1

    def statistics(self) -> Mapping[str, float]:
        """Of the table, and of how far exploration has come."""
        return {**self._table.statistics(), "decisions": float(self._decisions), "epsilon": self.exploring}

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
            f"in the state {known(state)}, {self._actions.names[action]} was {how} "
            f"(probability {float(memo.get('propensity', np.nan)):.3f}): worth {values[action]:.2f} after {visits} "
            f"tries; the best other, {self._actions.names[other]}, {values[other]:.2f}"
        )

    def state(self) -> State:
        """All that was learned."""
        return {
            "schema": self._schema,
            "decisions": self._decisions,
            **self._table.state("table"),
            **self._episodes.state(),
        }

    def load(self, state: State) -> None:
        """Become what `state` gave. Raises ValueError where it doesn't fit."""
        _same_schema(state, self._schema)
        table = QTable(len(self._actions), self.most_states, self.initial)
        episodes = Episodes(self.episode_minutes * 60, self.memory)
        table.load("table", state)
        episodes.load(state, len(self._actions))
        self._decisions = count(state, "decisions")
        self._table, self._episodes = table, episodes


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
        meaning = _options_digest(self, "observe", "fields", "words", "cuts")
        self._schema = f"adjuster 1, buffer of {self.buffer}, {meaning}"
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
        worth, average = self._table.of([f"{state}|{kind}" for kind in kinds]), self._averages.of([state])
        # Of what nobody tried there is no number: it is neither better nor worse.
        scores: Floats = np.nan_to_num(np.tanh((worth - average) / self.scale))[of_candidate]
        return scores

    def _looked_at(self, candidates: Candidates) -> tuple[tuple[str, ...], str | None]:
        if self.fields is not None or self.words is not None:
            return self.fields or (), self.words
        schema = candidates.catalog.schema
        return tuple(schema.of_type("number")[:3]), next(iter(schema.of_type("category")), None)

    def learn(self, outcomes: Outcomes) -> None:
        """Take outcomes in, one by one. Corrections of an earlier outcome change its reward alone."""
        table, averages, replay, schema = self._table, self._averages, self._replay, self._schema
        columns = (outcomes.reward.tolist(), outcomes.first.tolist(), outcomes.memos)
        for slate, item, reward, first, memo in zip(outcomes.slates, outcomes.items, *columns, strict=True):
            if memo.get("schema") != schema or memo.get("kind") is None:
                continue
            state, kind = memo["state"], f"{memo['state']}|{memo['kind']}"
            key = key_of(f"{slate}\n{item}")
            if not first:
                table.add(table.row(kind), self.alpha * reward)
                averages.add(averages.row(state), self.alpha * reward)
                replay.correct(key, reward)
                continue
            place, new_place = averages.learned(state)
            row, new_row = table.learned(kind)
            replay.forget(row if new_row else None, place if new_place else None)
            if new_row:
                table.q[row, 0] = averages.q[place, 0]
            table.visits[row, 0] += 1
            averages.visits[place, 0] += 1
            replay.add(key, row, place, reward)
            batch = [(row, place, reward)]
            if replay.taken % self.every == 0:
                batch += replay.sample(self.batch, self.seed)
            for of_kind, of_place, earned in batch:
                table.add(of_kind, self.alpha * (earned - table.q.item(of_kind)))
                averages.add(of_place, self.alpha * (earned - averages.q.item(of_place)))

    def statistics(self) -> Mapping[str, float]:
        """Of the table by state and kind."""
        return self._table.statistics()

    def table(self) -> dict[str, dict[str, dict[str, float]]]:
        """What was learned, as plain data: by state and kind, `recommend`; by state alone, `not`."""
        kinds = {state: self._table.tried(state, ["recommend"]) for state in self._table.states}
        return kinds | {state: self._averages.tried(state, ["not"]) for state in self._averages.states}

    def explain(self, item: str, memo: Mapping[str, Any]) -> str:
        """What an item's kind is worth in the state that it was ranked in."""
        state, kind = str(memo.get("state")), memo.get("kind")
        if not item or memo.get("schema") != self._schema or not isinstance(kind, str):
            return ""
        row, place = self._table.row(f"{state}|{kind}"), self._averages.row(state)
        if row < 0 or place < 0:
            return f"nothing is known yet of {kind} for {known(state)}"
        worth, average = self._table.q[row, 0], self._averages.q[place, 0]
        visits = int(self._table.visits[row, 0])
        said = f"{kind} is worth {worth:.2f} for {known(state)} after {visits} outcomes"
        return f"{said}; a place on average {average:.2f}"

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


def _options_digest(policy: Policy, *options: str) -> str:
    """Changes whenever the states or actions would mean something else."""
    return hashlib.blake2b(policy.model_dump_json(include=set(options)).encode(), digest_size=6).hexdigest()


def _same_schema(state: Mapping[str, Any], schema: str) -> None:
    if state.get("schema") != schema:
        raise ValueError(f"this state is of {state.get('schema')!r}, not of {schema!r}: of other options")


@hookimpl
def components() -> list[type[Policy]]:
    """What this plugin offers."""
    return [Tuner, Adjuster]
