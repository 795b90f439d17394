"""Music: a preset for tracks with audio features, and what listening is worth."""

from collections.abc import Mapping
from pathlib import Path

from ...core import hookimpl


@hookimpl
def presets() -> Mapping[str, Path]:
    """The domain as YAML."""
    return {"music": Path(__file__).with_name("music.yaml")}
