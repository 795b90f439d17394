"""Personality: what people with certain Big Five traits tend to like, and how traits drift with feedback."""

from collections.abc import Sequence

from ...core import Component, hookimpl
from .drift import Drift
from .match import Match


@hookimpl
def components() -> Sequence[type[Component]]:
    """What this plugin offers."""
    return [Drift, Match]
