"""Every bench runs, and gives figures that can stand in the table. None of them is judged by its speed here."""

import importlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCHES = (
    "decision",
    "serving",
    "interactions",
    "retrieval",
    "thompson",
    "collaborative",
    "dqn",
    "startup",
    "services",
    "video",
    "feeds",
)


@pytest.mark.parametrize("name", BENCHES)
def test_runs(name: str) -> None:
    one_thread = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--json", "--quick", name],
        cwd=ROOT,
        env={**os.environ, **one_thread},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert rows
    for row in rows:
        assert set(row) == {"name", "ours", "baseline", "unit", "ratio", "note"}
        assert math.isfinite(row["ours"])
        assert row["ours"] > 0
        if row["baseline"] is not None:
            assert row["ratio"] == pytest.approx(row["ours"] / row["baseline"])


def test_unknown_name_is_refused() -> None:
    command = [sys.executable, "-m", "bench", "speed"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "no bench is called 'speed'; there are decision, serving" in done.stderr


def test_table_is_written_between_its_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    report = importlib.import_module("bench.report")
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{report.BEGIN}\n{report.END}\nafter\n")
    slow = {
        "name": "reference decision, p50",
        "ours": 3.0,
        "baseline": 1.5,
        "unit": "ms",
        "ratio": 2.0,
        "note": "so",
    }
    report.write({"decision": [slow], "thompson": [{**slow, "name": "t"}], "startup": None}, readme)
    report.write({"decision": [{**slow, "ours": 1.25, "ratio": 0.8}]}, readme)
    text = readme.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "| reference decision, p50 | 1.25 ms | 1.50 ms | 0.80 × | ≤ 1.5 ms | yes | so |" in text
    assert "| t | 3.00 ms | 1.50 ms | 2.00 × |  |  | so |" in text
    assert text.count("### decision") == 1
    assert "startup" not in text
