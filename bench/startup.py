"""A start with 100,000 items in the store: seconds from the start of the process until it is ready, and memory."""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import time

import numpy as np

from . import world
from .rows import Row, row


def run(quick: bool) -> list[Row]:
    count, turns = (2_000, 1) if quick else (100_000, 5)
    rows: list[Row] = []
    for width, composition in ((0, world.LIGHT), (world.DIMENSIONS, world.REFERENCE)):
        with TemporaryDirectory() as name:
            folder = Path(name)
            settings = world.configured(folder, {"shop": (composition, width)}, count=count)
            began = time()
            world.filled(settings, users=1, events=0)
            filled = time() - began
            ours, plain = [], []
            for _ in range(turns):
                ours.append(_started(settings.path, count))
                plain.append(_started(folder / "store.db", count))
            ready, imports, memory = np.median(ours, axis=0).tolist()
            their_ready, _, their_memory = np.median(plain, axis=0).tolist()
        with_vectors = f", {width}-d" if width else ""
        label = f"{count:,} items{with_vectors}"
        note = f"beside orjson.loads of the bodies; {imports:.2f} s of it imports; the first start took {filled:.0f} s"
        rows.append(row(f"start with {label}", ready, their_ready, "s", note))
        vectors = f"; the vectors are {count * width * 4 / 1e6:.0f} MB as float32" if width else ""
        rows.append(row(f"memory of {label}", memory, their_memory, "MB", f"beside a list of dicts{vectors}"))
    return rows


def _started(path: Path, count: int) -> tuple[float, float, float]:
    """Seconds until ready, seconds of them that imports took, megabytes."""
    began = time()
    done = subprocess.run(
        [sys.executable, "-m", "bench.started", str(path)], stdout=subprocess.PIPE, text=True, check=True
    )
    seen = json.loads(done.stdout)
    if seen["items"] != count:
        raise RuntimeError(f"{path.name} came up with {seen['items']:,} of {count:,} items")
    return seen["ready"] - began, seen["imported"] - began, seen["memory"] / 1e6
