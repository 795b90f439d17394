"""The fold of the log for one domain: its agent's histories, feedback and policies, position by position."""

import bisect
import hashlib
import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from ..agent import Agent, Event, LivePolicy
from ..components import Occasion, Reward, State
from ..errors import ComponentError
from ..interaction import Interaction
from ..outcomes import Outcomes
from ..store import Entry, Switch
from .attribution import Attribution, as_outcomes
from .packing import unpack

_log = logging.getLogger("tastemaker.learning")

FEEDBACK = "feedback"
"""The name under which the agent's own feedback counts are checkpointed, beside its policies."""


class Fold:
    """Takes log entries of one domain in and keeps the agent's state.

    position: the log position that has been reached; feedback_position: … by the feedback counts.
    learned: called with each batch of outcomes that the policies have taken in.
    versions: gives the bytes of the version that the log says a policy becomes, None where it is gone or damaged;
    without it the log's versions are not looked at.
    """

    def __init__(
        self,
        agent: Agent,
        learned: Callable[[str, Outcomes], None] | None = None,
        versions: Callable[[Switch], bytes | None] | None = None,
    ) -> None:
        self.agent = agent
        self.learned = learned
        self._versions = versions
        self.feedback_position = 0
        self.outcomes = 0
        self._untaught = agent.feedback.state()
        self._reset()

    @property
    def position(self) -> int:
        """The log position that has been reached."""
        return self.agent.log

    @property
    def waiting(self) -> int:
        """How many slates have an open attribution window."""
        return len(self._attribution)

    @property
    def positions(self) -> list[int]:
        """How far each policy and the feedback counts have learned."""
        return [self.feedback_position, *(policy.position for policy in self.agent.policies.values())]

    def take(self, entries: Iterable[Entry], position: int) -> None:
        """Fold entries in log order, up to a position.

        Raises StoreError where a version can't be read now, or what a component raises. The same entries can then be
        given again, also with later ones: what was learned of them already isn't learned twice.
        """
        entries = list(entries)
        # Of a call that failed, some may have learned all up to its end, and others nothing.
        stops = {stop for stop in self.positions if self.position < stop < position}
        start = 0
        for stop in sorted(stops | {position}):
            end = bisect.bisect_right(entries, stop, lo=start, key=lambda entry: entry.position)
            try:
                self._take(entries[start:end], stop)
            except BaseException:
                self._attribution.undo()
                raise
            self._attribution.keep()
            start = end

    def _take(self, entries: Sequence[Entry], position: int) -> None:
        attribution = self._attribution
        events = []
        switched = {
            entry.position: found
            for entry in entries
            if entry.kind == "version" and (found := self._switched(entry)) is not None
        }
        for entry in entries:
            attribution.advance(entry.time)
            if entry.domain != self.agent.name:
                continue
            if entry.position in switched:
                self._teach(entry.position)  # what was due before
                self._switch(*switched[entry.position], entry.position)
            elif entry.kind == "slate":
                attribution.slate(entry.id, entry.user, entry.body, entry.time)
            elif entry.kind == "interaction" and (interaction := _interaction(entry)) is not None:
                events.append(
                    (entry.user, event(interaction, attribution.interaction(interaction, entry.time), entry))
                )
        self._teach(position)
        self.agent.log = position
        self.agent.reached = max(self.agent.reached, position)
        # Only now: a history that is read up to `position` misses none of them, whenever its reading began.
        for user, one in events:
            self.agent.histories.add(user, one)

    def events(self, entries: Iterable[Entry]) -> list[Event]:
        """Past interactions as a history holds them, in the order given."""
        reward = forgiving(self.agent.plan.reward)
        interactions = [
            (entry, interaction) for entry in entries if (interaction := _interaction(entry)) is not None
        ]
        return [event(interaction, reward.reward(interaction), entry) for entry, interaction in interactions]

    def worth(self, interaction: Interaction) -> float | None:
        """The reward of an interaction; None where nothing is learned from it."""
        return forgiving(self.agent.plan.reward).reward(interaction)

    def forget(self) -> None:
        """Become as if the log were empty."""
        for policy in self.agent.policies.values():
            policy.forget()
        self.agent.feedback.load(self._untaught)
        self.feedback_position = 0
        self.outcomes = 0
        self.agent.histories.forget()
        self.agent.log = 0
        self._reset()

    def rewind(self, position: int) -> None:
        """Start to rebuild the open windows from an earlier position; what is already known is not learned twice."""
        self.agent.log = position
        self._reset()

    def digests(self) -> dict[str, str]:
        """Configuration digest by policy name, and that of the feedback counts."""
        digests = {name: self.digest(policy) for name, policy in self.agent.policies.items()}
        return {**digests, FEEDBACK: self._rewards_digest()}

    def states(self) -> dict[str, tuple[str, State]]:
        """Configuration digest and state by policy name, and those of the feedback counts, at `position`.

        A policy that has stopped learning, or can't tell its state, is left out.
        """
        states = {}
        for name, policy in self.agent.policies.items():
            if policy.broken:
                continue
            try:
                states[name] = (self.digest(policy), policy.state())
            except ComponentError as error:
                _log.error("%s: no checkpoint of %s", self.agent.name, error)
        states[FEEDBACK] = (self._rewards_digest(), self.agent.feedback.state())
        return states

    def load(self, name: str, state: State, position: int) -> None:
        """Restore what `states` gave under a name. Where that fails, it has learned nothing, and the error goes on."""
        try:
            if name == FEEDBACK:
                self.agent.feedback.load(state)
                self.feedback_position = position
            else:
                self.agent.policies[name].load(state, position)
        except Exception:
            if name != FEEDBACK:
                self.agent.policies[name].forget()
            raise

    def digest(self, policy: LivePolicy) -> str:
        """Changes when what the policy makes of the log would change."""
        options = f"{policy.step.use} {policy.component.model_dump_json()} {self._rewards_digest()}"
        return hashlib.sha256(options.encode()).hexdigest()[:16]

    def _rewards_digest(self) -> str:
        plan = self.agent.plan
        text = f"{type(plan.reward).__name__} {plan.reward.model_dump_json()} {plan.learning.window_minutes}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _switched(self, entry: Entry) -> tuple[LivePolicy, State] | None:
        """Which policy becomes what; None, and a line in the log, where that can't be."""
        if self._versions is None or entry.domain != self.agent.name:
            return None
        try:
            switch = Switch.from_entry(entry)
        except ValueError as error:
            _log.warning("%s: passed over: %s", self.agent.name, error)
            return None
        policy = self.agent.policies.get(switch.policy)
        if policy is None or policy.position >= entry.position:
            return None  # it isn't there any more, or knows
        name = f"{self.agent.name}: the promotion of {switch.policy}@{switch.number}"
        if switch.digest != self.digest(policy):
            _log.warning("%s is passed over: the configuration of the policy was another", name)
            return None
        packed = self._versions(switch)
        if packed is None:
            _log.warning("%s is passed over: that version is gone, or damaged", name)
            return None
        try:
            state = unpack(packed)
            policy.check(state)
        except ValueError as error:
            _log.warning("%s is passed over: %s", name, error)
            return None
        return policy, state

    def _switch(self, policy: LivePolicy, state: State, position: int) -> None:
        policy.load(state, position)
        _log.info("%s: %s is another version from log position %d", self.agent.name, policy.name, position)

    def _reset(self) -> None:
        plan = self.agent.plan
        self._attribution = Attribution(plan.name, forgiving(plan.reward), plan.learning.window_minutes * 60)

    def _teach(self, position: int) -> None:
        rows = self._attribution.due()
        plain = as_outcomes(rows)
        new = self.feedback_position < position
        if new:
            self.outcomes += len(rows)
            if rows:
                self.agent.feedback.learn(plain)
            self.feedback_position = position
        for name, policy in self.agent.policies.items():
            if policy.position >= position:
                continue  # restored from a checkpoint: it knows these
            remembers = any(row.slate is not None and name in row.slate.memo for row in rows)
            policy.learn(as_outcomes(rows, name) if remembers else plain, position)
        if new and rows and self.learned is not None:
            self.learned(self.agent.name, plain)


def event(interaction: Interaction, reward: float | None, entry: Entry) -> Event:
    """An interaction as a history holds it."""
    worth = np.nan if reward is None else reward
    return Event(interaction.item, interaction.kind, worth, min(interaction.time, entry.time), entry.position)


def _interaction(entry: Entry) -> Interaction | None:
    """The interaction of a log entry; None, and a line in the log, where it can't be read."""
    try:
        return Interaction.from_bytes(entry.id, entry.domain, entry.user, entry.body)
    except (ValueError, KeyError, TypeError) as error:
        _log.warning(
            "log entry %d can't be read as an interaction, and is passed over: %r", entry.position, error
        )
        return None


class _Forgiving(Reward):
    """A reward component whose failures count as "worth nothing"."""

    inner: Reward

    def reward(self, interaction: Interaction) -> float | None:
        try:
            reward = self.inner.reward(interaction)
            return None if reward is None or not math.isfinite(reward) else float(reward)
        except Exception:
            _log.exception("the reward of a %r failed: it is not learned from", interaction.kind)
            return None

    def earned(self, interaction: Interaction, occasion: Occasion) -> Mapping[str, float]:
        try:
            earned = self.inner.earned(interaction, occasion)
            return {str(name): float(bonus) for name, bonus in earned.items() if math.isfinite(bonus)}
        except Exception:
            _log.exception("the bonuses of a %r failed: it earns none", interaction.kind)
            return {}

    def bounded(self, worth: float) -> float:
        try:
            bounded = float(self.inner.bounded(worth))
        except Exception:
            _log.exception("bounding a reward failed: it stays as it is")
            return worth
        return bounded if math.isfinite(bounded) else worth


def forgiving(reward: Reward) -> Reward:
    """The same reward component, but what it fails on is worth nothing."""
    return _Forgiving(inner=reward, seen=reward.seen)
