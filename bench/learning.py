"""Learning: each domain's whole composition beside the best of many static ones, among people with hidden tastes.

A static composition has no policies and explores nothing; it does use what a person did before, as `catalog.similar`
and `catalog.similarity` do. The best of them is found by grid search over the weights of its scorers and its
diversity, on other crowds than those that both are then compared on.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from tastemaker.core.config import Settings, load
from tastemaker.core.simulation.experiment import interval, lift
from tastemaker.core.simulation.live import Life, learning, live, plan_of, unlearning

from .rows import Floats, Row, row

_ROOT = Path(__file__).parent.parent
_DATA = Path(os.environ.get("SHARED_DATA", _ROOT.parent / "shared" / "data"))
PICTURE = _ROOT / "docs" / "learning.png"

_CROWDS, _PEOPLE, _ROUNDS = 10, 100, 40
_TUNING = {"crowds": 2, "people": 40, "rounds": 16}
_FIRST_TUNING_SEED = 1_000
_LAST = 0.25
"""The share of the rounds, at the end, that counts."""


@dataclass(frozen=True)
class Domain:
    """A domain at hand.

    scorers: static scorers that its composition lacks, for the grid to weigh. grid: values by knob.
    """

    title: str
    config: Path
    name: str
    scorers: Mapping[str, str]
    grid: Mapping[str, Sequence[float]]


_EXAMPLES = _ROOT / "docs" / "examples"
_DIVERSITY = {"slate.diversity": (0.0, 0.2, 0.4)}
_POPULAR = {"scorers.grid_popular.weight": (0.0, 0.25, 0.75)}
_FRESH = {"scorers.grid_fresh.weight": (0.0, 0.25)}


def _popular(field: str) -> str:
    return f"{{use: catalog.popularity, field: {field}, weight: 0}}"


def _fresh(field: str) -> str:
    return f"{{use: catalog.freshness, field: {field}, half_life_days: 365, weight: 0}}"


def _projects(title: str, config: Path) -> Domain:
    scorers = {"grid_popular": _popular("stars"), "grid_fresh": _fresh("updated_at")}
    return Domain(title, config, "projects", scorers, {**_DIVERSITY, **_POPULAR, **_FRESH})


def _products(title: str, config: Path) -> Domain:
    grid = {**_DIVERSITY, **_POPULAR, "scorers.match.weight": (0.2, 0.4, 0.8)}
    return Domain(title, config, "products", {"grid_popular": _popular("units_sold")}, grid)


DOMAINS = (
    _projects("Sample projects", _ROOT / "config.yaml"),
    _products("Sample products", _ROOT / "config.yaml"),
    _projects("GitHub projects", _EXAMPLES / "github-projects.yaml"),
    _products("Online Retail", _EXAMPLES / "online-retail.yaml"),
    Domain(
        "YouTube videos",
        _EXAMPLES / "youtube.yaml",
        "videos",
        {},
        {**_DIVERSITY, "scorers.popular.weight": (0.0, 0.1, 0.4), "scorers.match.weight": (0.3, 0.6, 1.2)},
    ),
    Domain(
        "Spotify songs",
        _EXAMPLES / "spotify-songs.yaml",
        "songs",
        {"grid_popular": _popular("popularity")},
        {**_DIVERSITY, **_POPULAR, "scorers.wish.weight": (0.2, 0.5)},
    ),
)


@dataclass(frozen=True)
class Compared:
    """What both got, by crowd and round, shape (crowds, rounds); static: the knobs of the best static composition."""

    title: str
    whole: Floats
    fixed: Floats
    static: Mapping[str, float]
    interactions: int


def run(quick: bool) -> list[Row]:
    """Rows for `python -m bench`; a whole run writes the picture, too."""
    return rows_of(list(compare(quick)), quick)


def compare(quick: bool) -> Iterator[Compared]:
    """Each domain whose data is at hand."""
    domains = [domain for domain in DOMAINS if "examples" not in str(domain.config) or _DATA.is_dir()]
    spawn = get_context("spawn")
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), spawn) as pool:
        for domain in domains[:1] if quick else domains:
            yield _compared(domain, pool, quick)


def rows_of(found: Sequence[Compared], quick: bool) -> list[Row]:
    """Reward per slate in the last quarter, both, with the interval of the gain; and the picture."""
    rows = []
    for one in found:
        end = slice(-max(1, round(one.whole.shape[1] * _LAST)), None)
        whole, fixed = one.whole[:, end].mean(axis=1), one.fixed[:, end].mean(axis=1)
        gain = lift(whole, fixed)
        knobs = ", ".join(f"{path} {value:g}" for path, value in one.static.items())
        note = f"gain {gain.mean:+.0%} [{gain.low:+.0%}, {gain.high:+.0%}]; {one.interactions:,} interactions"
        note += f"; static: {knobs}"
        rows.append(row(f"{one.title}: reward per slate", whole.mean(), fixed.mean(), "", note))
    if not quick:
        picture(found, PICTURE)
    return rows


def points_of(domain: Domain) -> list[dict[str, float]]:
    """The knobs of every static composition on the grid."""
    return [dict(zip(domain.grid, values, strict=True)) for values in product(*domain.grid.values())]


def composed(domain: Domain, knobs: Mapping[str, float] | None) -> Settings:
    """The whole composition or, with knobs, a static one."""
    os.environ["SHARED_DATA"] = str(_DATA)
    if knobs is None:
        return learning(load(domain.config), domain.name)
    added = [f"domains.{domain.name}.scorers.{name}={entry}" for name, entry in domain.scorers.items()]
    static = unlearning(load(domain.config, overrides=added), domain.name)
    return replace(static, domains={domain.name: plan_of(static, domain.name).with_knobs(knobs)})


def _compared(domain: Domain, pool: ProcessPoolExecutor, quick: bool) -> Compared:
    crowds, people, rounds = (2, 20, 6) if quick else (_CROWDS, _PEOPLE, _ROUNDS)
    points = points_of(domain)[:2] if quick else points_of(domain)
    tuning = {"crowds": 1, "people": 10, "rounds": 4} if quick else _TUNING
    seeds = [_FIRST_TUNING_SEED + crowd for crowd in range(tuning["crowds"])]
    tried = [
        [pool.submit(_lived, domain, point, seed, tuning["people"], tuning["rounds"]) for seed in seeds]
        for point in points
    ]
    worth = [np.mean([future.result().reward.mean() for future in futures]) for futures in tried]
    best = points[int(np.argmax(worth))]
    lives = [
        [pool.submit(_lived, domain, knobs, seed, people, rounds) for seed in range(crowds)]
        for knobs in (None, best)
    ]
    whole, fixed = ([future.result() for future in futures] for futures in lives)
    return Compared(
        domain.title,
        np.stack([life.reward for life in whole]),
        np.stack([life.reward for life in fixed]),
        best,
        max(life.interactions for life in whole),
    )


def _lived(domain: Domain, knobs: Mapping[str, float] | None, seed: int, people: int, rounds: int) -> Life:
    """A crowd's life, in a process of its own."""
    return live(composed(domain, knobs), domain.name, seed, people=people, rounds=rounds)


def picture(found: Sequence[Compared], path: Path) -> None:
    """The learning curves as small multiples."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(3, len(found))
    lines = -(-len(found) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.2 * lines + 0.5), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots(lines, columns, squeeze=False)
    for place, one in zip(axes.flat, found, strict=False):
        _curves(place, one)
    for place in list(axes.flat)[len(found) :]:
        place.set_visible(False)
    first = found[0].whole.shape[0]
    figure.supxlabel(
        f"round: each of {_PEOPLE} people gets a slate; mean of {first} crowds, moving mean of 3 rounds, "
        "bands: 95 % t-interval",
        fontsize=8,
        color="#666666",
    )
    figure.savefig(path, format="png")


def _smooth(values: Floats) -> Floats:
    """The moving mean of three rounds, shape (crowds, rounds - 2)."""
    return (values[:, :-2] + values[:, 1:-1] + values[:, 2:]) / 3


def _curves(place: Any, one: Compared) -> None:
    rounds = np.arange(3, one.whole.shape[1] + 1)
    for values, colour, label in (
        (one.whole, "#0b6e4f", "the whole composition"),
        (one.fixed, "#8a8d91", "best static one"),
    ):
        mean, low, high = interval(_smooth(values))
        place.fill_between(rounds, low, high, color=colour, alpha=0.18, linewidth=0)
        place.plot(rounds, mean, color=colour, linewidth=2, label=label)
    end = -max(1, round(one.whole.shape[1] * _LAST))
    gain = lift(one.whole[:, end:].mean(axis=1), one.fixed[:, end:].mean(axis=1))
    place.set_title(
        f"{one.title}: {gain.mean:+.0%} ({gain.low:+.0%} to {gain.high:+.0%})", loc="left", fontsize=9
    )
    place.set_ylim(bottom=0)
    place.grid(axis="y", alpha=0.25, linewidth=0.6)
    place.spines[["top", "right"]].set_visible(False)
    place.set_ylabel("reward per slate", fontsize=8)
    place.legend(fontsize=7, frameon=False, loc="lower right")
