"""The reward map of a domain's YAML: what each kind of interaction is worth."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from .components import Reward
from .errors import did_you_mean
from .interaction import Interaction

Finite = Annotated[float, Field(allow_inf_nan=False)]


class PerUnit(BaseModel):
    """A reward that grows with the interaction's value: so much per second, per star, per share listened."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    per_unit: Finite
    at_least: Finite = -1e6
    at_most: Finite = 1e6

    def of(self, value: float) -> float:
        """The reward of a value, within the bounds.

        >>> PerUnit(per_unit=0.1, at_most=3).of(20), PerUnit(per_unit=0.1, at_most=3).of(600)
        (2.0, 3.0)
        """
        return min(max(self.per_unit * value, self.at_least), self.at_most)


Rule = Finite | PerUnit | dict[float, Finite]
"""A fixed reward, a reward per unit of the value, or a reward by value."""


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
