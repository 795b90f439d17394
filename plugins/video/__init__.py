"""Video: what to watch, on a sample of its own, or live from YouTube with a key."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...core import Component, hookimpl
from .filters import Categories, Languages
from .harvest import Harvest
from .scorers import Asked
from .sources import Popular, Search, Uploads


@hookimpl
def components() -> Sequence[type[Component]]:
    """What this plugin offers."""
    return [Asked, Categories, Harvest, Languages, Popular, Search, Uploads]


@hookimpl
def presets() -> Mapping[str, Path]:
    """The domain as YAML."""
    return {"video": Path(__file__).with_name("video.yaml")}
