"""The experiment: the same people with and without what learns, over several seeds."""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from ..config import Settings, load
from ..errors import RequestError
from .answers import Habits
from .live import Life, learning, live, offline, plan_of, unlearning
from .people import Hidden

Floats = NDArray[np.float64]
Progress = Callable[[int, int], None]

ARMS = ("with", "without")
"""The composition as it is, and the same without policies and exploration."""

_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Lift:
    """What the learning is worth, as a mean over the seeds with a 95 % interval (NaN with a single seed).

    relative: whether it is a share of what there is without; otherwise, because that isn't positive for every
    seed, it is a difference in reward per slate.
    """

    mean: float
    low: float
    high: float
    relative: bool


@dataclass(frozen=True)
class Experiment:
    """What both arms got.

    reward: by arm, what the answers to a slate are worth, on average over all they could be, shape (seeds, rounds).
    liked: by arm, share of the shown items that got a positive answer, shape (seeds, rounds).
    degraded: slates that something was missing for. decisions: slates made; seconds: … and the time they took.
    """

    domain: str
    title: str
    policies: tuple[str, ...]
    people: int
    size: int
    reward: Mapping[str, Floats]
    liked: Mapping[str, Floats]
    degraded: int
    decisions: int
    seconds: float

    @property
    def seeds(self) -> int:
        """How many crowds there were."""
        return len(self.reward[ARMS[0]])

    @property
    def rounds(self) -> int:
        """How many slates each person got."""
        return int(self.reward[ARMS[0]].shape[1])

    @property
    def last(self) -> slice:
        """The rounds that count as the end: the last quarter."""
        return slice(self.rounds - max(1, self.rounds // 4), self.rounds)

    def end(self, arm: str) -> Floats:
        """Mean reward per slate at the end, by seed, shape (seeds,)."""
        ended: Floats = self.reward[arm][:, self.last].mean(axis=1)
        return ended

    @property
    def lift(self) -> Lift:
        """By how much the end is better with learning: a t-interval over the seeds' paired ratios."""
        return lift(self.end("with"), self.end("without"))

    @property
    def liked_lift(self) -> Lift:
        """The same of the share of shown items that were liked."""
        return lift(*(self.liked[arm][:, self.last].mean(axis=1) for arm in ARMS))


def lift(learned: Floats, plain: Floats) -> Lift:
    """Paired by seed, both of shape (seeds,).

    >>> lift(np.array([3.0, 4.0]), np.array([2.0, 2.0])).mean
    0.75
    >>> lift(np.array([3.0, 4.0]), np.array([-1.0, 2.0]))
    Lift(mean=3.0, low=-9.706..., high=15.706..., relative=False)
    """
    relative = bool((plain > 0).all())
    gains = learned / plain - 1 if relative else learned - plain
    mean, low, high = interval(gains)
    return Lift(float(mean), float(low), float(high), relative)


def interval(values: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean over the first axis with its 95 % t-interval; NaN bounds where there is one value only."""
    count = len(values)
    mean = values.mean(axis=0)
    if count < 2:
        unknown = np.full_like(mean, np.nan)
        return mean, unknown, unknown
    half = float(stdtrit(count - 1, 0.975)) * values.std(axis=0, ddof=1) / np.sqrt(count)
    return mean, mean - half, mean + half


def run(
    settings: Settings,
    domain: str,
    *,
    people: int = 100,
    rounds: int = 40,
    seeds: int = 5,
    processes: int | None = None,
    hidden: Hidden | None = None,
    habits: Habits | None = None,
    progress: Progress = lambda done, total: None,
) -> Experiment:
    """Let `seeds` crowds of people live through the rounds, each with and without learning.

    processes: how many at once, by default as many as there are processors; the result doesn't depend on it. Other
    processes load `settings.path` and its overrides again. No service is asked: they count as switched off.
    progress: called with the rounds done and the rounds in all, both arms of all seeds together.
    Raises TastemakerError, such as RequestError for a domain without policies.
    """
    settings = offline(settings, domain)
    plan = plan_of(settings, domain)
    if not plan.policies:
        raise RequestError(f"domain {domain!r} has no policies, so there is nothing that could learn")
    for name, number in (("people", people), ("rounds", rounds), ("seeds", seeds)):
        if number < 1:
            raise RequestError(f"{name} must be at least 1, not {number}")
    jobs = [_Job(domain, seed, arm, people, rounds, hidden, habits) for seed in range(seeds) for arm in ARMS]
    if processes is None:
        processes = os.cpu_count() or 1
    lives: dict[tuple[str, int], Life] = {}
    total = len(jobs) * rounds
    done = 0

    def advanced(count: int) -> None:
        nonlocal done
        done += count
        progress(done, total)

    if processes == 1:
        for job in jobs:
            lives[job.arm, job.seed] = job.live(settings, advanced)
    else:
        for job, lived in _in_processes(settings, plan.digest, jobs, min(processes, len(jobs))):
            lives[job.arm, job.seed] = lived
            advanced(rounds)
    numbers = {
        part: {arm: np.stack([getattr(lives[arm, seed], part) for seed in range(seeds)]) for arm in ARMS}
        for part in ("reward", "liked")
    }
    return Experiment(
        domain,
        plan.title,
        tuple(step.name for step in plan.policies),
        people,
        plan.slate.size,
        numbers["reward"],
        numbers["liked"],
        degraded=sum(lived.degraded for lived in lives.values()),
        decisions=total * people,
        seconds=sum(lived.seconds for lived in lives.values()),
    )


@dataclass(frozen=True)
class _Job:
    domain: str
    seed: int
    arm: str
    people: int
    rounds: int
    hidden: Hidden | None
    habits: Habits | None

    def live(self, settings: Settings, progress: Callable[[int], None]) -> Life:
        composed = learning if self.arm == "with" else unlearning
        return live(
            composed(settings, self.domain),
            self.domain,
            self.seed,
            people=self.people,
            rounds=self.rounds,
            hidden=self.hidden,
            habits=self.habits,
            progress=progress,
        )


def _in_processes(
    settings: Settings, digest: str, jobs: list[_Job], processes: int
) -> Iterator[tuple[_Job, Life]]:
    spawn = get_context("spawn")
    with _one_thread_each(), ProcessPoolExecutor(processes, spawn, initializer=_end_with_parent) as pool:
        waiting = {
            pool.submit(_lived, str(settings.path), settings.overrides, digest, job): job for job in jobs
        }
        try:
            for future in as_completed(waiting):
                yield waiting[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _end_with_parent() -> None:
    """See to it that this process doesn't outlive the one that asked for it, however that ends."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="tastemaker-parent", daemon=True).start()


def _lived(path: str, overrides: tuple[str, ...], digest: str, job: _Job) -> Life:
    """In a process of its own."""
    settings = load(Path(path), overrides=overrides, offline=True)
    if plan_of(settings, job.domain).digest != digest:
        raise RequestError(f"{path} was changed while the simulation began: start it again")
    return job.live(settings, lambda rounds: None)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started meanwhile calculate on one thread each: there are as many as processors."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
