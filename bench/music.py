"""Music on real playlists: half of each is heard, the other half is to be found; and what learning adds to the preset.

TidyTuesday's Spotify songs: 28,352 tracks with audio features, and playlists, each taken for a listener. Recall@50 is
the share of the hidden half, of 50 tracks at most, among the 50 that are proposed; what was heard isn't among them.
"""

import asyncio
import csv
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tastemaker.core import Candidates, CatalogSnapshot, Context, Feedback
from tastemaker.core.config import DomainPlan, Settings, load
from tastemaker.core.orchestrator import Orchestrator
from tastemaker.core.simulation.experiment import lift
from tastemaker.core.simulation.live import learning, live, plan_of
from tastemaker.plugins.catalog.ranking import best

from .rows import Floats, Row, row

_ROOT = Path(__file__).parent.parent
_DATA = Path(os.environ.get("SHARED_DATA", _ROOT.parent / "shared" / "data"))
_EXAMPLE = _ROOT / "docs" / "examples" / "spotify-songs.yaml"
_DOMAIN = "songs"

_TOP = 50
_SHORTEST = 10
"""Tracks of a playlist that is asked about."""

_CROWDS, _PEOPLE, _ROUNDS = 4, 24, 14
_ARMS: Mapping[str, Sequence[str]] = {
    "Thompson alone": ("taste",),
    "and the adjuster": ("taste", "adjust"),
    "and the tuner": ("taste", "tuner"),
    "and both": ("taste", "tuner", "adjust"),
}
"""The policies of the preset that take part."""

Propose = Callable[[Context], NDArray[np.intp]]


def run(quick: bool) -> list[Row]:
    """Rows for `python -m bench`."""
    if not _DATA.is_dir():
        return []
    os.environ["SHARED_DATA"] = str(_DATA)
    return [*recalls(quick), *lives(quick)]


def recalls(quick: bool) -> list[Row]:
    """Recall@50 of what the preset proposes by history, beside popularity and plain cosines of the features."""
    with TemporaryDirectory(prefix="tastemaker-") as folder:
        os.environ["TASTEMAKER_STORE"] = f"sqlite:///{folder}/songs.db"
        return asyncio.run(_recalls(load(_EXAMPLE), quick))


async def _recalls(settings: Settings, quick: bool) -> list[Row]:
    plan = plan_of(settings, _DOMAIN)
    async with Orchestrator(settings, follow=False) as tastemaker:
        catalog = tastemaker.agent(_DOMAIN).catalog.snapshot()
        halves = _halves(catalog)[:: 10 if quick else 1]
        ways = _ways(plan, catalog)
        found = {name: _recall(propose, catalog, halves) for name, propose in ways.items()}
    popular, plain = found.pop("popularity"), found.pop("plain cosine")
    rows = [
        row(
            f"Plain cosine of the features: recall@{_TOP}",
            plain.mean(),
            popular.mean(),
            "",
            _gain(plain, popular),
        )
    ]
    for name, recall in found.items():
        note = f"beside the plain cosine: {_gain(recall, plain)}; beside popularity: {_gain(recall, popular)}"
        rows.append(row(f"{name}: recall@{_TOP}", recall.mean(), plain.mean(), "", note))
    rows[0]["note"] = f"beside popularity; {len(halves)} playlists; {rows[0]['note']}"
    return rows


def _ways(plan: DomainPlan, catalog: CatalogSnapshot) -> dict[str, Propose]:
    sources: dict[str, Any] = {step.name: step.component for step in plan.sources}
    scorers: dict[str, Any] = {step.name: step for step in plan.scorers}
    features = np.stack([catalog.column(name) for name in sources["sound"].features], axis=1).astype(
        np.float64
    )
    features[:, list(sources["sound"].features).index("tempo")] /= 200
    features /= np.linalg.norm(features, axis=1, keepdims=True)

    def plain(context: Context) -> NDArray[np.intp]:
        return best(features @ features[context.history.rows].mean(axis=0), _TOP + len(context.history))

    def popular(context: Context) -> NDArray[np.intp]:
        return best(catalog.column("popularity"), _TOP + len(context.history))

    def history(context: Context) -> NDArray[np.intp]:
        """What both sources propose, in the order of what both scorers say."""
        rows = np.unique(np.concatenate([sources[name].propose(context) for name in ("sound", "names")]))
        candidates = Candidates(catalog, rows)
        score = sum(
            scorers[name].weight * scorers[name].component.score(context, candidates)
            for name in ("sound", "names")
        )
        return rows[best(np.asarray(score), _TOP)]

    return {
        "popularity": popular,
        "plain cosine": plain,
        "`music.similar`, sound": sources["sound"].propose,
        "`catalog.similar`, artists and genres": sources["names"].propose,
        "The preset's history, both": history,
    }


def _halves(catalog: CatalogSnapshot) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Of each playlist the rows that were heard, and those that are hidden."""
    lists: dict[str, set[str]] = defaultdict(set)
    with (_DATA / "spotify-songs" / "playlist_tracks.csv").open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            lists[line["playlist_id"]].add(line["track_id"])
    rng = np.random.default_rng(0)
    halves = []
    for _, tracks in sorted(lists.items()):
        rows = rng.permutation(catalog.rows(sorted(tracks)))
        if len(rows) >= _SHORTEST:
            halves.append((rows[: len(rows) // 2], rows[len(rows) // 2 :]))
    return halves


def _recall(
    propose: Propose, catalog: CatalogSnapshot, halves: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]]
) -> Floats:
    found = []
    for number, (heard, hidden) in enumerate(halves):
        rows = propose(_context(catalog, heard, number))
        rows = rows[~np.isin(rows, heard)][:_TOP]
        found.append(np.isin(rows, hidden).sum() / min(_TOP, len(hidden)))
    return np.array(found)


def _context(catalog: CatalogSnapshot, heard: NDArray[np.intp], seed: int) -> Context:
    """A request by somebody who has played these tracks, and of whom nothing else is known."""
    kinds = np.full(len(heard), "play", dtype=object)
    columns = {"reward": np.ones(len(heard)), "kind": kinds, "age_days": np.zeros(len(heard))}
    return Context(
        domain=_DOMAIN,
        user="listener",
        slate="slate",
        now=1_767_225_600.0,
        size=_TOP,
        draws=1,
        seed=seed,
        catalog=catalog,
        history=Candidates(catalog, heard, columns=columns),
        feedback=Feedback(),
        profile={},
        situation={},
    )


def _gain(ours: Floats, theirs: Floats) -> str:
    """The mean difference with its 95 % interval over the playlists."""
    difference = ours - theirs
    wide = 1.96 * difference.std(ddof=1) / np.sqrt(len(difference))
    return f"{difference.mean():+.4f} [{difference.mean() - wide:+.4f}, {difference.mean() + wide:+.4f}]"


def lives(quick: bool) -> list[Row]:
    """Reward per slate with more and more of the preset's policies, among simulated people."""
    crowds, people, rounds = (2, 6, 4) if quick else (_CROWDS, _PEOPLE, _ROUNDS)
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), get_context("spawn")) as pool:
        begun: dict[str, list[Future[Floats]]] = {
            arm: [pool.submit(_lived, policies, seed, people, rounds) for seed in range(crowds)]
            for arm, policies in _ARMS.items()
        }
        reward = {arm: np.stack([future.result() for future in futures]) for arm, futures in begun.items()}
    return gains(reward, f"{crowds} crowds of {people}, {rounds} rounds")


def gains(reward: Mapping[str, Floats], size: str) -> list[Row]:
    """Each arm beside the first, by their rewards, shape (crowds, rounds): of all rounds, as the start costs, too."""
    (first, alone), *others = ((arm, each.mean(axis=1)) for arm, each in reward.items())
    rows = []
    for arm, worth in others:
        gain = lift(worth, alone)
        note = f"beside {first}: {gain.mean:+.1%} [{gain.low:+.1%}, {gain.high:+.1%}]; {size}"
        rows.append(
            row(f"Thompson {arm}: reward per slate", float(worth.mean()), float(alone.mean()), "", note)
        )
    return rows


def _lived(policies: Sequence[str], seed: int, people: int, rounds: int) -> Floats:
    """Reward by round, shape (rounds,), of a crowd's life with some of the policies; in a process of its own."""
    tuning = f"domains.{_DOMAIN}.policies.tuner.enabled=true"
    settings = learning(load(_EXAMPLE, overrides=[tuning]), _DOMAIN)
    plan = plan_of(settings, _DOMAIN)
    chosen = tuple(step for step in plan.policies if step.name in policies)
    settings = replace(settings, domains={_DOMAIN: replace(plan, policies=chosen)})
    return live(settings, _DOMAIN, seed, people=people, rounds=rounds).reward
