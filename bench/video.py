"""Video on real data: the preset beside what is popular, on 1,672 videos that were trending in eleven countries.

The people are made up, with hidden tastes (docs/simulation.md); the videos are real. Popular: the most viewed first,
without what somebody has answered already.
"""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from tastemaker.core.config import Settings, load
from tastemaker.core.simulation.experiment import lift
from tastemaker.core.simulation.live import learning, live, unlearning

from .rows import Floats, Row, row

_DATA = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
_FILE = _DATA / "youtube-trending" / "videos.csv"
_LAST = 0.25
"""The share of the rounds, at the end, that counts."""

_CONFIG = """
version: 1
domains:
  video: &video
    extends: video
    items:
      id: video_id
      from: {{use: files.table, path: "{file}", columns: {{channel: channel_title, published: published_at}}}}
    connectors: {{youtube: {{key: ""}}}}
  popular:
    <<: *video
    sources:
      search: null
      similar: null
      uploads: null
      charts: null
      liked: null
      new: null
      random: null
      popular: {{use: catalog.popular, limit: 500, field: views}}
    scorers:
      match: null
      asked: null
      category: null
      fresh: null
      novelty: null
      popular: {{use: catalog.popularity, field: views}}
    policies: null
    slate: {{explore: 0, diversity: 0}}
"""


def run(quick: bool) -> list[Row]:
    """Reward per slate of the whole composition beside popularity, with the interval of the gain."""
    if not _FILE.exists():
        return [
            row("trending videos: not measured", 1, None, "", f"there is no {_FILE.name} of youtube-trending")
        ]
    crowds, people, rounds = (2, 3, 2) if quick else (5, 60, 24)
    with TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        config.write_text(_CONFIG.format(file=_FILE))
        settings = load(config)
        ours = _lives(learning(settings, "video"), "video", crowds, people, rounds)
        popular = _lives(unlearning(settings, "popular"), "popular", crowds, people, rounds)
    end = slice(-max(1, round(rounds * _LAST)), None)
    return [
        _compared("the first slate", ours[:, :1], popular[:, :1]),
        _compared(f"the last {_LAST:.0%} of {rounds} slates", ours[:, end], popular[:, end]),
    ]


def _lives(settings: Settings, domain: str, crowds: int, people: int, rounds: int) -> Floats:
    """Reward per slate, shape (crowds, rounds)."""
    return np.stack(
        [live(settings, domain, seed, people=people, rounds=rounds).reward for seed in range(crowds)]
    )


def _compared(what: str, ours: Floats, popular: Floats) -> Row:
    whole, fixed = ours.mean(axis=1), popular.mean(axis=1)
    gain = lift(whole, fixed)
    note = f"gain {gain.mean:+.0%} [{gain.low:+.0%}, {gain.high:+.0%}] over {len(whole)} crowds"
    return row(f"reward per slate, {what}", float(whole.mean()), float(fixed.mean()), "", note)
