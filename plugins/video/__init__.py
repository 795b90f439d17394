"""Video: a preset for films and clips, and what watching is worth."""

from collections.abc import Mapping
from pathlib import Path

from ...core import hookimpl


@hookimpl
def presets() -> Mapping[str, Path]:
    """The domain as YAML."""
    return {"video": Path(__file__).with_name("video.yaml")}
