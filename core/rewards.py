"""The reward map of a domain's YAML: what each kind of interaction is worth, and what comes on top.

What was done with one item of a slate is worth the sum of its interactions' rewards and of the bonuses that they
earned, each bonus once, held within `at_least` and `at_most`.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .components import Occasion, Reward
from .errors import did_you_mean
from .interaction import Interaction

Finite = Annotated[float, Field(allow_inf_nan=False)]

NOT_KINDS = ("seen", "bonuses", "at_least", "at_most")
"""Keys of `rewards` in YAML that are no kinds of interaction."""


class PerUnit(BaseModel):
    """A reward that grows with the interaction's value: so much per second, per star, per share listened.

    whole: what comes on top where the value is 1 or more: something was heard or watched to its end.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    per_unit: Finite
    at_least: Finite = -1e6
    at_most: Finite = 1e6
    whole: Finite = 0.0

    def of(self, value: float) -> float:
        """The reward of a value, within the bounds.

        >>> PerUnit(per_unit=0.1, at_most=3).of(20), PerUnit(per_unit=0.1, at_most=3).of(600)
        (2.0, 3.0)
        >>> PerUnit(per_unit=0.5, whole=0.5).of(0.5), PerUnit(per_unit=0.5, whole=0.5).of(1)
        (0.25, 1.0)
        """
        return min(max(self.per_unit * value + self.whole * (value >= 1), self.at_least), self.at_most)


Rule = Finite | PerUnit | dict[float, Finite]
"""A fixed reward, a reward per unit of the value, or a reward by value."""

Word = str | int | float | bool
Words = Word | tuple[Word, ...]


class Change(BaseModel):
    """How a value of the situation changed between the request and the interaction."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    before: Words = Field(alias="from", description="The value, or one of the values, at the request.")
    after: Words = Field(alias="to", description="… and at the interaction.")


class Bonus(BaseModel):
    """What comes on top of an interaction's reward where all of its conditions hold; once for each item of a slate.

    >>> Bonus(add=0.2, kinds=["like", "save"], within_seconds=30).conditions()
    'like, save; within 30 s of the slate'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    add: Finite = Field(description="The reward that is added.")
    kinds: tuple[str, ...] | None = Field(
        default=None,
        description="The kinds of interaction that can earn it; by default all that are in the map.",
    )
    repeat: bool = Field(default=False, description="The same kind was done with the same item before.")
    within_seconds: float | None = Field(
        default=None, gt=0, description="At most so long after the slate was shown."
    )
    situation: Mapping[str, Words] = Field(
        default={}, description="Values of the situation, as the interaction tells them, else the request."
    )
    change: Mapping[str, Change] = Field(
        default={}, description="How values of the situation changed since the request."
    )

    @model_validator(mode="after")
    def _conditional(self) -> "Bonus":
        if not (self.repeat or self.within_seconds or self.situation or self.change):
            raise ValueError(
                "a bonus needs a condition: repeat, within_seconds, situation or change; what always counts is "
                "the reward of its kind"
            )
        return self

    def earned(self, interaction: Interaction, occasion: Occasion) -> bool:
        """Whether an interaction earns it."""
        if self.kinds is not None and interaction.kind not in self.kinds:
            return False
        if self.repeat and interaction.kind not in occasion.kinds:
            return False
        if self.within_seconds is not None and not occasion.seconds <= self.within_seconds:
            return False
        now = {**occasion.situation, **interaction.situation}
        return all(_is(now.get(key), wanted) for key, wanted in self.situation.items()) and all(
            _is(occasion.situation.get(key), change.before)
            and _is(interaction.situation.get(key), change.after)
            for key, change in self.change.items()
        )

    def conditions(self) -> str:
        """The conditions, for people."""
        said = [", ".join(self.kinds)] if self.kinds is not None else []
        said += ["repeated"] if self.repeat else []
        said += [f"within {self.within_seconds:g} s of the slate"] if self.within_seconds else []
        said += [f"{key} = {_said(wanted)}" for key, wanted in self.situation.items()]
        said += [
            f"{key} from {_said(change.before)} to {_said(change.after)}"
            for key, change in self.change.items()
        ]
        return "; ".join(said)


class RewardTable(Reward):
    """What each kind of interaction is worth. Kinds that are not in it are logged and not learned from.

    >>> table = RewardTable(kinds={"click": 5, "rating": {1: -5, 5: 10}, "dwell": {"per_unit": 0.1}}, seen=-1)
    >>> def reward(kind, value=None):
    ...     return table.reward(Interaction("1", "books", "ann", "emma", kind, 0.0, value=value))
    >>> reward("click"), reward("rating", 5), reward("dwell", 30), reward("wave")
    (5.0, 10.0, 3.0, None)
    """

    blocking: ClassVar[bool] = False

    kinds: Mapping[str, Rule] = {}
    bonuses: Mapping[str, Bonus] = {}
    at_least: Finite | None = None
    at_most: Finite | None = None

    @model_validator(mode="after")
    def _fits(self) -> "RewardTable":
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(
                f"at_least must not be above at_most, not {self.at_least:g} and {self.at_most:g}"
            )
        for name, bonus in self.bonuses.items():
            for kind in bonus.kinds or ():
                if kind not in self.kinds:
                    raise ValueError(
                        f"the bonus {name!r} is for a kind {kind!r} that is not in the map"
                        f"{did_you_mean(kind, self.kinds)}"
                    )
        return self

    def reward(self, interaction: Interaction) -> float | None:
        """The reward of an interaction; None where its kind is not in the table or its value fits no rule."""
        rule = self.kinds.get(interaction.kind)
        if rule is None or isinstance(rule, float):
            return rule
        if interaction.value is None:
            return None
        if isinstance(rule, PerUnit):
            return rule.of(interaction.value)
        return rule.get(interaction.value)

    def earned(self, interaction: Interaction, occasion: Occasion) -> Mapping[str, float]:
        """The bonuses that an interaction earns, by name."""
        return {
            name: bonus.add for name, bonus in self.bonuses.items() if bonus.earned(interaction, occasion)
        }

    def bounded(self, worth: float) -> float:
        """What all that was done with an item of a slate is worth, held within the bounds."""
        low = worth if self.at_least is None else max(worth, self.at_least)
        return low if self.at_most is None else min(low, self.at_most)

    def doubt(self, interaction: Interaction) -> str | None:
        """Why nothing will be learned from an interaction, in words for its sender; None where something will.

        >>> table = RewardTable(kinds={"click": 5, "rating": {1: -5, 5: 10}})
        >>> table.doubt(Interaction("1", "books", "ann", "emma", "clik", 0.0))
        "the kind 'clik' is worth nothing; did you mean 'click'?"
        >>> table.doubt(Interaction("1", "books", "ann", "emma", "rating", 0.0, value=7))
        "a 'rating' of 7 is worth nothing: its values are 1 and 5"
        """
        kind, value = interaction.kind, interaction.value
        if kind not in self.kinds:
            return (
                f"the kind {kind!r} is worth nothing{did_you_mean(kind, self.kinds)}" if self.kinds else None
            )
        rule = self.kinds[kind]
        if isinstance(rule, float) or self.reward(interaction) is not None:
            return None
        if value is None:
            return f"a {kind!r} without a value is worth nothing"
        assert isinstance(rule, dict)
        *others, last = (f"{number:g}" for number in sorted(rule))
        values = f"{', '.join(others)} and {last}" if others else last
        return f"a {kind!r} of {value:g} is worth nothing: its values are {values}"

    def rules(self) -> Iterable[tuple[str, str]]:
        """Each kind and what it is worth, for people; bonuses and bounds behind them.

        >>> list(RewardTable(kinds={"like": 1, "dwell": {"per_unit": 0.1, "at_most": 3}}, seen=-1).rules())
        [('like', '+1'), ('dwell', '+0.1 for each unit of its value, +3 at most'), ('seen, nothing done', '-1')]
        """
        for kind, rule in self.kinds.items():
            yield kind, _rule_said(rule)
        if self.seen is not None:
            yield "seen, nothing done", f"{self.seen:+g}"
        for name, bonus in self.bonuses.items():
            yield f"bonus {name}", f"{bonus.add:+g}: {bonus.conditions()}"
        if self.at_least is not None:
            yield "one item at least", f"{self.at_least:+g}"
        if self.at_most is not None:
            yield "one item at most", f"{self.at_most:+g}"


def _rule_said(rule: Rule) -> str:
    if isinstance(rule, float):
        return f"{rule:+g}"
    if isinstance(rule, PerUnit):
        said = f"{rule.per_unit:+g} for each unit of its value"
        said += f", {rule.whole:+g} more from 1 on" if rule.whole else ""
        said += f", {rule.at_least:+g} at least" if rule.at_least > -1e6 else ""
        return said + (f", {rule.at_most:+g} at most" if rule.at_most < 1e6 else "")
    return ", ".join(f"{value:g}: {reward:+g}" for value, reward in sorted(rule.items()))


def _is(value: Any, wanted: Words) -> bool:
    return value is not None and value in (wanted if isinstance(wanted, tuple) else (wanted,))


def _said(words: Words) -> str:
    return " or ".join(map(str, words)) if isinstance(words, tuple) else str(words)
