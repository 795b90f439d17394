"""Nearest neighbours: the vector index beside brute force in numpy, both on one core in one run.

    python bench/retrieval.py            1,000,000 x 384
    python bench/retrieval.py --quick     50,000 x 384

The catalogue is a seeded mixture that looks like sentence embeddings: 2,000 clusters of uneven sizes and
spreads in a 48-dimensional space, turned into 384 dimensions with a common direction and a little noise.
Neighbours of an item have cosines of about 0.8 at rank 1 and 0.65 at rank 500; two arbitrary items have 0.1.
Queries, a third each: an item disturbed by noise of half its length, the mean of three items of one cluster,
the mean of three arbitrary items.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from tastemaker.core.catalog.retrieval import VectorIndex

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

DIMENSIONS, CLUSTERS, LATENT, TOP, QUERIES, BATCH = 384, 2_000, 48, 500, 90, 50_000


def run(quick: bool) -> list[dict[str, object]]:
    """Rows with name, ours, baseline, unit, ratio, note; measured in a child process with one thread."""
    one = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, os.path.abspath(__file__), "--json", *(["--quick"] if quick else [])]
    done = subprocess.run(command, env={**os.environ, **one}, stdout=subprocess.PIPE, check=True)
    rows: list[dict[str, object]] = json.loads(done.stdout)
    return rows


def measure(items: int) -> Iterator[dict[str, object]]:
    before = resident()
    index = VectorIndex(DIMENSIONS)
    spent = 0.0
    for start, vectors, _ in catalogue(items):
        entered = time.perf_counter()
        index.put(np.arange(start, start + len(vectors)), vectors)
        spent += time.perf_counter() - entered
    del vectors
    loaded = time.perf_counter()
    index.settle()
    settled = time.perf_counter()
    loading = (resident(peak=True) - before) / 1e6
    with open("/proc/self/clear_refs", "w") as reset:
        reset.write("5")  # forget the peak of memory so far
    index.rebuild()
    rebuilt = time.perf_counter()
    memory, peak = (resident() - before) / 1e6, (resident(peak=True) - before) / 1e6

    matrix = np.empty((items, DIMENSIONS), np.float32)
    labels = np.empty(items, np.intp)
    for start, vectors, members in catalogue(items):
        matrix[start : start + len(vectors)] = vectors
        labels[start : start + len(vectors)] = members
    asked = queries(matrix, labels)
    truth, slow = timed(partial(brute, matrix), asked)
    found, fast = timed(lambda query: index.search(query, TOP)[0], asked)
    recalls = np.array([np.isin(a, b).mean() for a, b in zip(truth, found, strict=True)]).reshape(3, -1)
    each = ", ".join(f"{mean:.3f}" for mean in recalls.mean(axis=1))
    size = f"{items:,} x {DIMENSIONS}"
    p50, p99 = float(np.median(fast)), float(np.quantile(fast, 0.99))
    yield row(f"top-{TOP} of {size}", p50, float(np.median(slow)), "ms", f"p50; p99 {p99:.2f} ms; one core")
    kinds = "disturbed items, means within a cluster, means across"
    yield row(
        f"recall@{TOP}", float(recalls.mean()), 1.0, "", f"{each}: {kinds}; worst query {recalls.min():.3f}"
    )
    yield row(
        "memory, resident",
        memory,
        matrix.nbytes / 1e6,
        "MB",
        f"{index.nbytes / 1e6:.0f} MB by its own count; at most {loading:.0f} MB while vectors came in (the next "
        f"{BATCH:,} included), {peak:.0f} MB while cells were made anew",
    )
    note = f"cells ready {settled - loaded:.0f} s after the last batch"
    yield row("taking the vectors in, while cells are made", spent, None, "s", note)
    yield row("making all cells anew", rebuilt - settled, None, "s", "in the background, one core")

    half = np.random.default_rng(3).random(items) < 0.5
    _, halved = timed(lambda query: index.search(query, TOP, allowed=half), asked)
    yield row("… half of the rows allowed", float(np.median(halved)), None, "ms", "p50")
    some = list(np.random.default_rng(4).integers(0, items, (len(asked), 1_000)))
    _, ours = timed(lambda rows: len(index.take(rows)), some)
    _, plain = timed(lambda rows: len(matrix.take(rows, axis=0)), some)
    yield row(
        "take 1,000 vectors", float(np.median(ours)), float(np.median(plain)), "ms", "beside float32 rows"
    )
    _, change = timed(lambda rows: index.put(rows[:1], matrix[rows[:1]]), some)
    yield row("put one vector", float(np.median(change)), None, "ms", "p50")

    for count in (items // 100, items // 20):
        small = VectorIndex(DIMENSIONS, exact_limit=count)
        small.put(np.arange(count), matrix[:count])
        part = matrix[:count]
        _, slow = timed(partial(brute, part), asked)
        _, fast = timed(partial(small.search, k=TOP), asked)
        name = f"top-{TOP} of {count:,} x {DIMENSIONS}, exact"
        yield row(name, float(np.median(fast)), float(np.median(slow)), "ms", "p50")


def catalogue(items: int) -> Iterator[tuple[int, NDArray[np.float32], NDArray[np.intp]]]:
    """First row, unit vectors (n, d) and their clusters (n,), in batches; the same at every call."""
    rng = np.random.default_rng(7)
    centres = rng.standard_normal((CLUSTERS, LATENT), dtype=np.float32)
    spreads = rng.uniform(0.45, 0.95, CLUSTERS).astype(np.float32)
    shares = rng.gamma(1.5, 1.0, CLUSTERS)
    turn = rng.standard_normal((LATENT, DIMENSIONS), dtype=np.float32) / np.float32(np.sqrt(LATENT))
    common = np.float32(0.4) * rng.standard_normal(DIMENSIONS, dtype=np.float32)
    for start in range(0, items, BATCH):
        n = min(BATCH, items - start)
        members = rng.choice(CLUSTERS, n, p=shares / shares.sum())
        within = rng.standard_normal((n, LATENT), dtype=np.float32) * spreads[members][:, None]
        vectors = (centres[members] + within) @ turn + common
        vectors += np.float32(0.25) * rng.standard_normal((n, DIMENSIONS), dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        yield start, vectors, members


def queries(matrix: NDArray[np.float32], labels: NDArray[np.intp]) -> list[NDArray[np.float32]]:
    """Unit queries: disturbed items, means within one cluster, means across clusters; a third each."""
    rng = np.random.default_rng(8)
    third = QUERIES // 3
    noise = rng.standard_normal((third, DIMENSIONS)) * (0.5 / np.sqrt(DIMENSIONS))
    disturbed = matrix[rng.integers(0, len(matrix), third)] + noise
    chosen = labels[rng.integers(0, len(matrix), third)]
    within = [matrix[rng.choice(np.flatnonzero(labels == cluster), 3)].mean(axis=0) for cluster in chosen]
    across = matrix[rng.integers(0, len(matrix), (third, 3))].mean(axis=1)
    every = np.concatenate((disturbed, np.array(within), across)).astype(np.float32)
    return list(every / np.linalg.norm(every, axis=1, keepdims=True))


def brute(matrix: NDArray[np.float32], query: NDArray[np.float32]) -> NDArray[np.intp]:
    cosines = matrix @ query
    top = np.argpartition(cosines, len(cosines) - TOP)[-TOP:]
    return top[np.argsort(-cosines[top])]


def timed(answer: Callable[[Asked], Answer], asked: list[Asked]) -> tuple[list[Answer], list[float]]:
    """Answers, and the milliseconds each took."""
    answers, spent = [], []
    answer(asked[0])
    for one in asked:
        started = time.perf_counter()
        answers.append(answer(one))
        spent.append(1e3 * (time.perf_counter() - started))
    return answers, spent


def resident(*, peak: bool = False) -> int:
    """Bytes of this process in memory, now or at most since the last reset (Linux)."""
    name = "VmHWM:" if peak else "VmRSS:"
    with open("/proc/self/status") as status:
        return next(1024 * int(line.split()[1]) for line in status if line.startswith(name))


def row(name: str, ours: float, baseline: float | None, unit: str, note: str) -> dict[str, object]:
    ratio = None if baseline is None else ours / baseline
    return {"name": name, "ours": ours, "baseline": baseline, "unit": unit, "ratio": ratio, "note": note}


def main() -> None:
    options = argparse.ArgumentParser(description="The vector index beside brute force in numpy.")
    options.add_argument("--quick", action="store_true", help="50,000 items")
    options.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.json:
        json.dump(list(measure(50_000 if given.quick else 1_000_000)), sys.stdout)
        return
    print(f"{'':48}{'ours':>10}{'numpy':>10}{'ratio':>8}")
    for one in run(given.quick):
        baseline, ratio = (f"{one[key]:.3g}" if one[key] is not None else "" for key in ("baseline", "ratio"))
        print(f"{one['name']:48}{one['ours']:>10.3g}{baseline:>10}{ratio:>8} {one['unit']:3} {one['note']}")


if __name__ == "__main__":
    main()
