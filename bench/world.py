"""The world that is asked: a shop of made books, its users, what they did, and the compositions that recommend.

All of it is drawn from a fixed seed. Popularity is skewed, as it is in shops; every user has two topics of their own.
"""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import time
from typing import Any

import numpy as np
import orjson
from tastemaker.core import Interaction
from tastemaker.core.config import Settings, load
from tastemaker.core.orchestrator import Orchestrator
from tastemaker.core.store import Entry, Store

DIMENSIONS = 384
ITEMS, USERS, EVENTS = 20_000, 200, 40
GENRES = [f"genre-{number:02}" for number in range(30)]
TOPICS = [
    f"{first}{second}"
    for first in ("sea", "wood", "star", "iron", "river", "glass", "storm", "moss")
    for second in ("craft", "lore", "song", "works", "land", "trade", "walks", "science", "history", "myth")
]
WORDS = [
    f"{first}{second}"
    for first in (
        "bar",
        "cor",
        "del",
        "fen",
        "gal",
        "hol",
        "lum",
        "mar",
        "nor",
        "pel",
        "ros",
        "sal",
        "tan",
        "ver",
        "wil",
    )
    for second in ("den", "gate", "low", "mere", "ton", "wick", "ford", "by", "ley", "stone")
]

_DAY = 86_400.0

_ITEMS = """
    items:
      id: isbn
      from: {use: files.table, path: items.jsonl}
      fields:
        title: text
        genre: category
        publisher: category
        topics: tags
        price: number
        rating: number
        sold: number
        pages: number
        adult: flag
        available: flag
        published: time
"""

_EMBEDDING = """
      embedding:
        {{use: embeddings.text, text: "{{title}} {{genre}} {{topics}}", profile: "{{topics}}", dimensions: {width}}}
"""

_REWARDS = """
    rewards: {view: 0.5, click: 1, like: 2, purchase: 5, dismiss: -1, seen: 0}
    learning: {window_minutes: 30}
"""

LIGHT = """
    sources: {popular: {use: catalog.popular, field: sold, limit: 100}}
    filters: {seen: {use: catalog.seen, days: 30}}
    scorers: {match: {use: catalog.similarity, weight: 0.6}}
    policies: {taste: {use: thompson.ranker, weight: 0.4, low: 0, high: 5}}
    slate: {size: 12, explore: 0.15}
"""

REFERENCE = """
    sources:
      similar: {use: catalog.similar, limit: 400}
      popular: {use: catalog.popular, field: sold, limit: 300}
      recent: {use: catalog.recent, field: published, limit: 200}
      random: {use: catalog.random, limit: 200}
    filters:
      available: {use: catalog.available}
      seen: {use: catalog.seen, days: 30}
      bought: {use: catalog.seen, kinds: [purchase]}
      adult: {use: catalog.where, field: adult, equals: false}
      price: {use: catalog.where, field: price, at_most: 60, situation: {at_most: max_price}}
      rating: {use: catalog.where, field: rating, at_least: 1.5, missing: keep}
      genre: {use: catalog.where, field: genre, none_of: [genre-03, genre-17]}
      topics: {use: catalog.where, field: topics, none_of: [ironmyth, glasstrade]}
      published: {use: catalog.where, field: published, within_days: 3600}
      pages: {use: catalog.where, field: pages, at_least: 40, at_most: 1200}
    scorers:
      match: {use: catalog.similarity, weight: 0.5}
      topics: {use: catalog.tag_match, field: topics, profile: topics, weight: 0.2}
      new: {use: catalog.freshness, field: published, half_life_days: 365, weight: 0.1}
      sold: {use: catalog.popularity, field: sold, weight: 0.1}
    policies: {taste: {use: thompson.ranker, weight: 0.4, low: 0, high: 5}}
    slate: {size: 12, explore: 0.15, diversity: 0.2}
"""


def items(count: int) -> Iterator[dict[str, Any]]:
    """Items as a file would hold them."""
    rng = np.random.default_rng(1)
    now = time()
    sold = (rng.pareto(1.2, count) * 20).astype(int).tolist()
    price, rating = rng.gamma(4, 5, count).round(2).tolist(), rng.beta(5, 2, count).round(2).tolist()
    pages, age = rng.integers(30, 1000, count).tolist(), (rng.random(count) ** 2 * 4000).tolist()
    adult, available = (rng.random(count) < 0.03).tolist(), (rng.random(count) < 0.97).tolist()
    genre, publisher = rng.integers(0, len(GENRES), count).tolist(), rng.integers(0, 500, count).tolist()
    topics, words = (
        rng.integers(0, len(TOPICS), (count, 3)).tolist(),
        rng.integers(0, len(WORDS), (count, 5)).tolist(),
    )
    for place in range(count):
        yield {
            "isbn": f"isbn-{place:07}",
            "title": " ".join(WORDS[word] for word in words[place]),
            "genre": GENRES[genre[place]],
            "publisher": f"publisher-{publisher[place]}",
            "topics": [TOPICS[topic] for topic in sorted(set(topics[place]))],
            "price": price[place],
            "rating": 5 * rating[place],
            "sold": sold[place],
            "pages": pages[place],
            "adult": adult[place],
            "available": available[place],
            "published": now - age[place] * _DAY,
        }


def user(number: int) -> str:
    return f"user-{number % USERS:03}"


def profile(number: int) -> dict[str, Any]:
    first = number * 7 % len(TOPICS)
    return {"topics": [TOPICS[first], TOPICS[(first + 31) % len(TOPICS)]]}


def configured(
    folder: Path, domains: Mapping[str, tuple[str, int]], *, store: str | None = None, count: int = ITEMS
) -> Settings:
    """Write the items and a configuration; its settings.

    domains: by name, the composition and the width of the items' embedding, 0 for none.
    """
    table = folder / "items.jsonl"
    if not table.exists():
        with table.open("wb") as file:
            file.writelines(orjson.dumps(item) + b"\n" for item in items(count))
    parts = ["version: 1", f"store: {store or f'sqlite:///{folder}/store.db'}", "domains:"]
    for name, (composition, width) in domains.items():
        embedding = _EMBEDDING.format(width=width) if width else ""
        parts += [f"  {name}:", _ITEMS.strip("\n") + embedding, composition.strip("\n"), _REWARDS.strip("\n")]
    config = folder / "config.yaml"
    config.write_text("\n".join(part for part in parts) + "\n")
    return load(config)


def filled(settings: Settings, *, users: int = USERS, events: int = EVENTS) -> None:
    """Bring the items into the store, give each user a profile, and a past in every domain."""

    async def start() -> dict[str, list[str]]:
        async with Orchestrator(settings, follow=False) as orchestrator:
            for number in range(users):
                await orchestrator.put_profile(user(number), profile(number))
            snapshots = {name: agent.catalog.snapshot() for name, agent in orchestrator.agents.items()}
            return {
                name: items.ids[np.argsort(-items.column("sold"))].tolist()
                for name, items in snapshots.items()
            }

    ids = asyncio.run(start())
    if not events:
        return
    rng = np.random.default_rng(2)
    begun = time()
    day = 90.0
    store = Store(settings.store.get_secret_value(), clock=lambda: begun - day * _DAY)
    try:
        for moment in range(events):
            day = 90.0 * (1 - (moment + 1) / events)
            for domain, names in ids.items():
                entries = []
                for number in range(users):
                    place = int(len(names) * rng.random() ** 3)  # the most popular come first
                    kind = ("view", "click", "click", "like", "purchase", "dismiss")[int(rng.integers(6))]
                    done = Interaction(
                        f"{domain}-{moment}-{number}",
                        domain,
                        user(number),
                        names[place],
                        kind,
                        begun - day * _DAY,
                    )
                    entries.append(Entry("interaction", done.id, domain, done.user, done.to_bytes()))
                store.append(entries).result()
    finally:
        store.close()
