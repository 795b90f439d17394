"""GitHub projects: a preset for people who look for a project to use, to learn from or to work on.

With a token it searches GitHub itself, as it is now; without one it shows a sample.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...core import Candidates, Component, Context, Filter, WordField, hookimpl
from .live import Harvest, Search, Stars

LEVELS = ("beginner", "intermediate", "advanced", "expert")
"""Levels of skill and of complexity, from easy to hard."""


class Complexity(Filter):
    """Keeps projects that are not too hard for the user's skill level; those of unknown complexity stay."""

    blocking: ClassVar[bool] = False

    field: WordField = Field("complexity", description="The category that holds a project's level.")
    profile: str = Field("skill_level", description="The key of the profile that holds the user's level.")
    reach: int = Field(1, ge=0, le=3, description="How many levels above one's own a project may be.")

    def keep(self, context: Context, candidates: Candidates) -> NDArray[np.bool_]:
        """True where the project's level is within reach, shape (n,)."""
        level = str(context.profile.get(self.profile, "")).strip().lower()
        if level not in LEVELS:
            return np.ones(len(candidates), dtype=bool)
        vocabulary = candidates.words(self.field)
        too_hard = vocabulary.codes(LEVELS[LEVELS.index(level) + self.reach + 1 :])
        return ~np.isin(candidates.codes(self.field), too_hard)


@hookimpl
def components() -> list[type[Component]]:
    """What this plugin offers."""
    return [Complexity, Harvest, Search, Stars]


@hookimpl
def presets() -> Mapping[str, Path]:
    """The domain as YAML."""
    return {"projects": Path(__file__).with_name("projects.yaml")}
