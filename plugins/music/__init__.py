"""Music: a preset for tracks with audio features, tracks that sound alike, and genres as people speak of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...core import Component, hookimpl
from .families import Families, Tracks
from .listening import Harvest, Listening
from .live import Genres, Seeds, Service
from .sound import Similar, Similarity


@hookimpl
def components() -> Sequence[type[Component]]:
    """What this plugin offers."""
    return [Families, Genres, Harvest, Listening, Seeds, Service, Similar, Similarity, Tracks]


@hookimpl
def presets() -> Mapping[str, Path]:
    """The domain as YAML."""
    return {"music": Path(__file__).with_name("music.yaml")}
