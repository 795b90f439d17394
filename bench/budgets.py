"""The budgets, on one core: what each figure is allowed to be."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .rows import Row


@dataclass(frozen=True, slots=True)
class Budget:
    """text: for people; met: whether a row keeps it."""

    text: str
    met: Callable[[Row], bool]


def at_most(limit: float, unit: str) -> Budget:
    return Budget(f"≤ {limit:g} {unit}", lambda row: row["ours"] <= limit)


def at_least(limit: float, unit: str) -> Budget:
    return Budget(f"≥ {limit:,g}{unit}", lambda row: row["ours"] >= limit)


def share(limit: float) -> Budget:
    return Budget(f"≥ {limit:g} ×", lambda row: row["ratio"] is not None and row["ratio"] >= limit)


BUDGETS: Mapping[str, Budget] = {
    "reference decision, p50": at_most(1.5, "ms"),
    "reference decision, p99": at_most(5, "ms"),
    "reference 64-d decision, p50": at_most(1.5, "ms"),
    "reference 64-d decision, p99": at_most(5, "ms"),
    "reference over HTTP, 32 clients": at_least(500, " /s"),
    "reference over HTTP, 1 client, p50": at_most(3, "ms"),
    "reference 64-d over HTTP, 32 clients": at_least(500, " /s"),
    "reference 64-d over HTTP, 1 client, p50": at_most(3, "ms"),
    "light over HTTP, 32 clients": share(0.25),
    "SQLite: interactions over HTTP, 64 clients": at_least(2000, " /s"),
    "SQLite: interactions over HTTP in batches of 1,000": at_least(2000, " /s"),
    "SQLite: store alone, 64 callers": at_least(2000, " /s"),
    "top-500 of 1,000,000 x 384": at_most(10, "ms"),
    "recall@500": at_least(0.95, ""),
    "memory, resident": at_most(1000, "MB"),
    "LinUCB shared, d = 32, items scored": at_least(5_000_000, " /s"),
    "LinUCB shared, d = 32, one update": at_most(20, "µs"),
    "start with 100,000 items": at_most(2, "s"),
    "start with 100,000 items, 384-d": at_most(2, "s"),
    "projects: first slate, nothing kept, p50": at_most(1000, "ms"),
    "music: first slate, nothing kept, p50": at_most(1000, "ms"),
    "projects: slate with kept candidates over HTTP, p50": at_most(15, "ms"),
    "music: slate with kept candidates over HTTP, p50": at_most(15, "ms"),
    "projects: answered without asking the service": at_least(90, " %"),
    "music: answered without asking the service": at_least(90, " %"),
    "requests for 1,000 misses of one key at once": at_most(1, ""),
    **{
        f"{title}: reward per slate": share(1.15)
        for title in (
            "Sample projects",
            "Sample products",
            "GitHub projects",
            "Online Retail",
            "YouTube videos",
            "Spotify songs",
        )
    },
}
"""By the name of the row."""
