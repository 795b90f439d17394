"""The experiment: it repeats itself, it can fail, and it says what it found."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from rich.console import Console
from scipy import stats
from tastemaker.core import NotFound, RequestError
from tastemaker.core.config import Settings
from tastemaker.core.orchestrator import Orchestrator
from tastemaker.core.simulation import Experiment, Hidden, Lift, plot, run, sentence, table
from tastemaker.core.simulation.experiment import interval, lift
from tastemaker.core.simulation.live import learning, live, unlearning

Shop = Callable[..., Settings]


def test_the_same_seeds_give_the_same_numbers_in_one_process_and_in_two(shop: Shop) -> None:
    settings = shop("{taste: {use: thompson.ranker, high: 1}}", "domains.shop.slate.explore=0.3")
    one = run(settings, "shop", people=4, rounds=4, seeds=1, processes=1)
    other = run(settings, "shop", people=4, rounds=4, seeds=1, processes=2)
    for arm in ("with", "without"):
        assert np.array_equal(one.reward[arm], other.reward[arm])
        assert np.array_equal(one.liked[arm], other.liked[arm])
    assert one.degraded == 0
    assert not np.array_equal(one.reward["with"], one.reward["without"])


def test_the_plain_arm_has_neither_policies_nor_exploration(shop: Shop) -> None:
    settings = shop()
    plain, whole = unlearning(settings, "shop").domains, learning(settings, "shop").domains
    assert list(plain) == ["shop"]
    assert plain["shop"].policies == ()
    assert plain["shop"].slate.explore == 0
    assert plain["shop"].scorers == settings.domains["shop"].scorers
    assert whole["shop"].policies == settings.domains["shop"].policies
    assert whole["shop"].slate.explore == 0.1


def test_an_oracle_is_better_than_nothing_and_dice_are_not(shop: Shop) -> None:
    def gain(policy: str) -> Lift:
        settings = shop(f"{{it: {{use: {policy}, weight: 1}}}}")
        hidden = Hidden(taste=0.5, appeal=1.5)
        return run(settings, "shop", people=12, rounds=2, seeds=3, processes=1, hidden=hidden).lift

    oracle, dice = gain("knowing.oracle"), gain("knowing.dice")
    assert oracle.relative
    assert oracle.low > 0.3
    assert dice.low < 0
    assert dice.mean < 0.1


def test_people_s_answers_are_in_the_log_and_are_learned(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, Any] = {}
    stop = Orchestrator.stop

    async def look(self: Orchestrator) -> None:
        entries = self.store.read(0, limit=5000)
        found["kinds"] = {entry.kind for entry in entries}
        found["slates"] = sum(entry.kind == "slate" for entry in entries)
        found["answers"] = sum(entry.kind == "interaction" for entry in entries)
        found["outcomes"] = self.folds["shop"].outcomes
        found["times"] = sorted({entry.time for entry in entries if entry.kind == "slate"})
        await stop(self)

    monkeypatch.setattr(Orchestrator, "stop", look)
    live(learning(shop(), "shop"), "shop", 0, people=10, rounds=5)
    assert found["kinds"] == {"items", "profile", "slate", "interaction", "tick"}
    assert found["slates"] == 50
    assert found["answers"] > 10
    # Of the last round nothing was learned any more; of all others, every item shown.
    assert found["outcomes"] >= 40 * 6
    assert np.diff(found["times"]).tolist() == [6 * 3600] * 4


def test_items_that_came_through_the_api_are_shown_too(shop: Shop) -> None:
    settings = shop()
    plan = settings.domains["shop"]
    bare = replace(settings, domains={"shop": replace(plan, items=replace(plan.items, collector=None))})

    async def fill() -> None:
        async with Orchestrator(bare, follow=False) as orchestrator:
            items = [{"sku": f"x{number}", "title": f"thing {number}"} for number in range(30)]
            await orchestrator.put_items("shop", items)

    with pytest.raises(RequestError, match="no items"):
        run(bare, "shop", people=2, rounds=1, seeds=1, processes=1)
    asyncio.run(fill())
    assert run(bare, "shop", people=2, rounds=1, seeds=1, processes=1).decisions == 4


def test_progress_counts_the_rounds_of_both_arms(shop: Shop) -> None:
    told: list[tuple[int, int]] = []
    run(
        shop(), "shop", people=1, rounds=3, seeds=1, processes=1, progress=lambda *counts: told.append(counts)
    )
    assert told == [(done, 6) for done in range(1, 7)]


def test_what_can_t_be_simulated_is_refused(shop: Shop) -> None:
    with pytest.raises(NotFound, match="did you mean 'shop'"):
        run(shop(), "shp")
    with pytest.raises(RequestError, match="has no policies"):
        run(shop("{}"), "shop")
    with pytest.raises(RequestError, match="people must be at least 1"):
        run(shop(), "shop", people=0)


def test_the_interval_is_student_s() -> None:
    values = np.random.default_rng(1).normal(2, 3, 7)
    mean, low, high = interval(values)
    expected = stats.t.interval(0.95, 6, loc=values.mean(), scale=stats.sem(values))
    assert (low, high) == pytest.approx(expected)
    assert mean == pytest.approx(values.mean())
    assert np.isnan(interval(values[:1])[1])


def test_gains_are_relative_only_to_what_is_positive() -> None:
    assert lift(np.array([3.0, 4.0]), np.array([2.0, 2.0])).mean == pytest.approx(0.75)
    without_sign = lift(np.array([3.0, 4.0]), np.array([-1.0, 2.0]))
    assert not without_sign.relative
    assert without_sign.mean == pytest.approx(3.0)


@pytest.fixture
def experiment() -> Experiment:
    """One that is 50 % better at the end, by numbers that can be reckoned by head."""
    rounds, seeds = 40, 3
    rising = np.linspace(2.0, 3.0, rounds)[None, :] + np.array([[-0.01], [0.0], [0.01]])
    rising[:, 30:] = 3.0
    flat = np.full((seeds, rounds), 2.0)
    reward, liked = {"with": rising, "without": flat}, {"with": rising / 20, "without": flat / 20}
    return Experiment("shop", "A small shop", ("taste",), 100, 12, reward, liked, 0, 24_000, 60.0)


def test_the_report_says_what_was_found(experiment: Experiment) -> None:
    console = Console(width=100, record=True, file=StringIO())
    console.print(table(experiment))
    text = console.export_text()
    assert "1–4" in text
    assert "37–40" in text
    assert "+50%" in text
    assert "█" in text
    assert sum("–" in line for line in text.splitlines()) >= 10
    said = sentence(experiment)
    assert said.startswith(
        "In the last 10 rounds of 40, the answers to a slate were worth 3.00 with 'taste' and 2.00"
    )
    assert "+50.0 %, 95 % interval +50.0 % to +50.0 %" in said
    assert "3 crowds of 100 people" in said
    assert "missing" not in said
    assert "missing for 7 of 24000 slates" in sentence(replace(experiment, degraded=7))


def test_a_single_crowd_has_no_interval(experiment: Experiment) -> None:
    parts = {
        name: {arm: rows[:1] for arm, rows in getattr(experiment, name).items()}
        for name in ("reward", "liked")
    }
    assert "single crowd tells no interval" in sentence(replace(experiment, **parts))


def test_the_picture_shows_both_arms(experiment: Experiment, tmp_path: Path) -> None:
    path = tmp_path / "curve.png"
    plot(experiment, path)
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    from matplotlib.image import imread

    image = imread(path)[..., :3]
    assert image.shape[0] >= 600
    assert image.shape[1] >= 1000
    for colour in ("0b6e4f", "8a8d91"):
        wanted = np.array([int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)])
        assert (np.abs(image - wanted).max(axis=2) < 0.02).sum() > 1000, colour


def test_without_matplotlib_it_says_what_to_install(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(RequestError, match=r"pip install 'tastemaker\[plots\]'"):
        plot(experiment, tmp_path / "curve.png")


def test_a_picture_that_can_t_be_written_is_no_traceback(experiment: Experiment, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="can't be written: No such file"):
        plot(experiment, tmp_path / "nowhere" / "curve.png")


def test_workers_do_not_outlive_a_killed_experiment(shop: Shop, tmp_path: Path) -> None:
    settings = shop()
    script = tmp_path / "asks.py"
    script.write_text(
        "from pathlib import Path\n"
        "from tastemaker.core.config import load\n"
        "from tastemaker.core.simulation import run\n"
        "if __name__ == '__main__':\n"
        f"    run(load(Path({str(settings.path)!r})), 'shop', people=50, rounds=400, seeds=4, processes=2)\n",
        encoding="utf-8",
    )
    started = subprocess.Popen([sys.executable, script], stderr=subprocess.DEVNULL)
    asking = psutil.Process(started.pid)
    deadline = time.monotonic() + 120
    while len(workers := asking.children(recursive=True)) < 3:  # two, and Python's tracker of resources
        assert time.monotonic() < deadline
        time.sleep(0.05)
    started.kill()
    started.wait()
    _, alive = psutil.wait_procs(workers, timeout=120)
    assert not alive
