"""The hooks: all that a plugin can offer or listen to. Seven of them.

A plugin is a module with functions marked by `hookimpl`. A whole plugin, ready to ship behind the entry point
group `tastemaker`:

>>> import numpy as np
>>> from tastemaker.core import Candidates, Context, Scorer, hookimpl
>>> class Mood(Scorer):
...     '''1 where the energy is what the mood asks for, falling linearly to 0.'''
...     moods: dict[str, float] = {"calm": 0.2, "focus": 0.5, "party": 0.9}
...     def score(self, context: Context, candidates: Candidates) -> np.ndarray:
...         wanted = self.moods.get(context.situation.get("mood", "focus"), 0.5)
...         return 1 - np.abs(candidates["energy"] - wanted)
>>> @hookimpl
... def components():
...     return [Mood]
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from .components import Component
from .outcomes import Outcomes
from .slate import Slate

if TYPE_CHECKING:
    from fastapi import APIRouter

PROJECT = "tastemaker"
"""The name of the pluggy project and of the entry point group."""

hookimpl = pluggy.HookimplMarker(PROJECT)
_hookspec = pluggy.HookspecMarker(PROJECT)


class Hooks:
    """The specification; pluggy checks every implementation against it."""

    @_hookspec
    def components(self) -> Sequence[type[Component]]:
        """The component classes that the plugin offers.

        >>> @hookimpl
        ... def components():
        ...     return [Mood]
        """
        return ()

    @_hookspec
    def presets(self) -> Mapping[str, Path]:
        """Domain YAML files by name, for a config's `extends`.

        >>> @hookimpl
        ... def presets():
        ...     return {"books": Path(__file__).with_name("books.yaml")}
        """
        return {}

    @_hookspec
    def routes(self) -> "Sequence[APIRouter]":
        """Routers that the server mounts under `/v1/plugins/{plugin}`.

        >>> @hookimpl
        ... def routes():
        ...     router = APIRouter()
        ...     router.add_api_route("/moods", lambda: ["calm", "focus", "party"])
        ...     return [router]
        """
        return ()

    @_hookspec
    def startup(self, orchestrator: Any) -> None:
        """The orchestrator has started: its agents answer.

        >>> @hookimpl
        ... def startup(orchestrator):
        ...     print("serving", ", ".join(orchestrator.agents))
        """

    @_hookspec
    def shutdown(self, orchestrator: Any) -> None:
        """The orchestrator is about to stop.

        >>> @hookimpl
        ... def shutdown(orchestrator):
        ...     print("goodbye")
        """

    @_hookspec
    def served(self, slate: Slate) -> None:
        """A slate was logged and answered. Called in the background.

        >>> @hookimpl
        ... def served(slate):
        ...     print(slate.user, [pick.item for pick in slate.picks])
        """

    @_hookspec
    def learned(self, domain: str, outcomes: Outcomes) -> None:
        """The policies of a domain have learned from outcomes. Called in the background.

        >>> @hookimpl
        ... def learned(domain, outcomes):
        ...     print(domain, outcomes.reward.mean())
        """
