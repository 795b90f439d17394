"""Stages: what scorers count, by how long somebody has been here and how much they have done."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from ...core import Candidates, Context, ItemError, Scorer, Scores, typed_value

_DAY = 86_400.0

Factor = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]


class Stage(BaseModel):
    """One stage: when it begins, and what scorers count in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    days: float = Field(0, ge=0, le=36_500, description="Days since the account began, from which it holds.")
    events: int = Field(0, ge=0, le=5000, description="Things done, from which it holds.")
    times: Mapping[str, Factor] = Field(
        {}, description="By scorer, what its weight is multiplied by; scorers that aren't named: by 1."
    )


class Stages(Scorer):
    """Changes what the scorers above it count, by the stage that a user is in, smoothly from stage to stage.

    A stage is reached by days and by events, whichever takes longer: it begins at its `days` and `events`, and holds
    wholly `smooth_days` and `smooth_events` later. The days are counted from the profile's `since` or, where it has
    none, from the oldest thing in the history; without either it is day 0. The score is Σ (factor - 1) · score over
    the scorers that stand above this one, with their weights; give it the weight 1.
    """

    blocking: ClassVar[bool] = False

    stages: tuple[Stage, ...] = Field(
        min_length=1, description="From the first one, which begins at 0, upwards."
    )
    since: str = Field(
        "since", description="The key of the profile that holds when the account began: a time."
    )
    smooth_days: float = Field(3.0, ge=0, le=3650, description="Days from stage to stage.")
    smooth_events: int = Field(5, ge=0, le=5000, description="Things done from stage to stage.")

    @field_validator("stages")
    @classmethod
    def _ascend(cls, stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
        if (stages[0].days, stages[0].events) != (0, 0):
            raise ValueError("the first stage begins at 0 days and 0 events")
        for before, after in pairwise(stages):
            if after.days < before.days or after.events < before.events or after == before:
                raise ValueError("stages must ascend in days and events")
        return stages

    def score(self, context: Context, candidates: Candidates) -> Scores:
        """What the scores above count more, or less, shape (n,)."""
        total = np.zeros(len(candidates))
        for name, factor in self.factors(context).items():
            score = candidates.scores.get(name)
            if score is not None:  # a scorer that failed has none
                total += (factor - 1) * score
        return total

    def factors(self, context: Context) -> dict[str, float]:
        """By scorer, what its weight is multiplied by for this user."""
        days, events = self._days(context), len(context.history)
        found = {name: 1.0 for stage in self.stages for name in stage.times}
        found.update(self.stages[0].times)
        for stage in self.stages[1:]:
            reached = min(
                _share(days - stage.days, self.smooth_days), _share(events - stage.events, self.smooth_events)
            )
            for name, factor in found.items():
                found[name] = (1 - reached) * factor + reached * stage.times.get(name, 1.0)
        return found

    def _days(self, context: Context) -> float:
        try:
            since = typed_value(self.since, "time", context.profile.get(self.since))
        except ItemError:
            since = None
        if isinstance(since, float):
            return max(context.now - since, 0.0) / _DAY
        return float(np.max(context.history["age_days"], initial=0.0))


def _share(beyond: float, width: float) -> float:
    """0 up to the beginning, 1 a width later, in a straight line between."""
    if width == 0:
        return float(beyond >= 0)
    return min(max(beyond / width, 0.0), 1.0)
