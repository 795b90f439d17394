"""A small shop, its people, and policies that know everything or nothing."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tastemaker.core.config import Settings, load

TOPICS = (
    "maps",
    "music",
    "chess",
    "cooking",
    "physics",
    "gardens",
    "trains",
    "poetry",
    "bread",
    "birds",
    "logic",
    "drums",
    "wine",
    "sailing",
    "knots",
    "radio",
    "tea",
    "glass",
    "rivers",
    "clocks",
)
MAKERS = ("north", "south", "east", "west", "middle", "far")

PLUGIN = '''
"""Policies that a simulation must tell apart."""
from tastemaker.core import Policy, hookimpl
from tastemaker.core.simulation.noise import name_keys, normal


class Oracle(Policy):
    """Knows how appealing items are to the crowd whose seed stands in the slate's id."""

    def rank(self, context, candidates):
        return normal(int(context.slate.split("-")[1]), 1, name_keys(candidates.ids))


class Dice(Policy):
    """Knows nothing."""

    def rank(self, context, candidates):
        return context.rng.random((context.draws, len(candidates)))


@hookimpl
def components():
    return [Oracle, Dice]
'''

CONFIG = """
store: sqlite:///shop.db
plugins: [./knowing.py]
domains:
  shop:
    title: A small shop
    items:
      id: sku
      from: {use: files.table, path: shop.csv}
      fields: {title: text, topics: tags, maker: category, price: number, added: time}
      embedding: {use: embeddings.text, text: "{title} {topics}", profile: "{interests} {makers}"}
    sources: [{use: catalog.random, limit: 90}]
    scorers:
      match: {use: catalog.similarity, weight: 0.5}
    policies: {POLICIES}
    rewards: {click: 1, bookmark: 4, skip: -1, rating: {1: -1, 5: 2}, dwell: {per_unit: 0.01}, seen: 0}
    slate: {size: 6, explore: 0.1, shortlist: 10}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Callable[..., Settings]:
    """The shop with policies of one's choice."""
    rng = np.random.default_rng(5)
    lines = ["sku,title,topics,maker,price,added"]
    for number in range(90):
        topics = rng.choice(TOPICS, 2, replace=False).tolist()
        maker = MAKERS[int(rng.integers(6))]
        price = "" if number % 10 == 0 else f"{rng.lognormal(2, 1):.2f}"
        lines.append(
            f"i{number},{topics[0]} {maker} {number},{'|'.join(topics)},{maker},{price},2026-01-{number % 28 + 1:02}"
        )
    (tmp_path / "shop.csv").write_text("\n".join(lines))
    (tmp_path / "knowing.py").write_text(PLUGIN)

    def make(policies: str = "{taste: {use: thompson.ranker, high: 1}}", *overrides: str) -> Settings:
        path = tmp_path / "config.yaml"
        path.write_text(CONFIG.replace("{POLICIES}", policies))
        return load(path, overrides=overrides)

    return make
