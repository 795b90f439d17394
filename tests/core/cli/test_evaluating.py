"""`tastemaker evaluate` tells what another policy would have earned, or why that can't be told."""

import asyncio
import csv
import gzip
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tastemaker.core import Interaction, Request
from tastemaker.core.config import load
from tastemaker.core.evaluation.states import state_named
from tastemaker.core.learning.packing import pack
from tastemaker.core.orchestrator import Orchestrator
from tastemaker.core.store import Store
from tastemaker.policies.thompson import Ranker

ROOT = Path(__file__).parents[4]
DATA = Path(os.environ.get("SHARED_DATA", ROOT / "shared" / "data")) / "obd-small"

Run = Callable[..., Any]


@pytest.fixture
def logged(folder: Path) -> Path:
    """Two thousand rows of three actions, shown with 0.5, 0.3 and 0.2, that earn 0.2, 0.4 and 0.6 on average."""
    rng = np.random.default_rng(3)
    propensity, worth, target = (
        np.array([0.5, 0.3, 0.2]),
        np.array([0.2, 0.4, 0.6]),
        np.array([0.2, 0.3, 0.5]),
    )
    action = rng.choice(3, 2000, p=propensity)
    clicked = rng.random(2000) < worth[action]
    with (folder / "log.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["shown", "clicked", "p", "new", "none", "reader", "q", "v"])
        for each, reward, reader in zip(action, clicked, rng.integers(0, 300, 2000), strict=True):
            line = [f"item {each}", int(reward), propensity[each], target[each], 0.0, f"r{reader}"]
            writer.writerow([*line, worth[each], target @ worth])
    return folder / "log.csv"


COLUMNS = ("--columns", "action=shown,reward=clicked,propensity=p")


class TestTable:
    def test_every_estimator_that_applies_gives_its_value(self, run: Run, logged: Path) -> None:
        told = run("evaluate", "--table", logged, "--target", "new", *COLUMNS, "--json").json()
        assert (told["rows"], told["rejected"]) == (2000, 0)
        by_name = {each["estimator"]: each for each in told["estimates"]}
        assert list(by_name) == ["ips", "snips", "clipped_ips"]
        true = 0.2 * 0.2 + 0.3 * 0.4 + 0.5 * 0.6
        low, high = by_name["snips"]["interval"]
        assert low < true < high < low + 0.1
        assert by_name["ips"]["overlap"]["max_weight"] == 2.5

    def test_with_a_model_there_are_more_and_with_groups_they_are_wider(self, run: Run, logged: Path) -> None:
        model = ("--columns", "predicted=q", "--columns", "expected=v", "--columns", "group=reader")
        told = run("evaluate", "--table", logged, "--target", "new", *COLUMNS, *model, "--json").json()
        by_name = {each["estimator"]: each for each in told["estimates"]}
        assert {"doubly_robust", "direct_method", "optimistic_shrinkage"} <= set(by_name)
        assert by_name["doubly_robust"]["standard_error"] < by_name["ips"]["standard_error"]
        assert by_name["direct_method"]["interval"] is None
        assert by_name["direct_method"]["refusals"][0]["reason"] == "mostly not from the log"

    def test_against_another_target_the_difference_is_paired(self, run: Run, logged: Path) -> None:
        arguments = ("evaluate", "--table", logged, "--target", "new", "--against", "p", *COLUMNS)
        difference = run(*arguments, "--json").json()["estimates"][-2]
        assert difference["estimator"] == "the difference by snips"
        low, high = difference["interval"]
        assert low < 0.46 - 0.34 < high
        shown = run(*arguments)
        assert "log.csv, towards new and p: 2,000 rows" in shown.out
        assert shown.code == 0

    def test_rows_that_can_t_be_taken_are_named_and_left_out(self, run: Run, logged: Path) -> None:
        with logged.open("a") as file:
            file.write("item 1,1,0,0.3,0,r1,0,0\nitem 1,yes,0.3,0.3,0,r1,0,0\nitem 1,1,0.3,1.5,0,r1,0,0\n")
        ran = run("evaluate", "--table", logged, "--target", "new", *COLUMNS)
        assert ran.code == 0
        assert "log.csv:2002: 'p' must be a probability above 0, not 0" in ran.err
        assert "log.csv:2003: 'clicked' must be a finite number, not 'yes'" in ran.err
        assert "log.csv:2004: 'new' must be a probability, not 1.5" in ran.err
        assert "2,000 rows" in ran.out

    def test_a_log_that_can_t_tell_is_refused_with_the_reason(self, run: Run, logged: Path) -> None:
        ran = run("evaluate", "--table", logged, "--target", "none", *COLUMNS)
        assert ran.code == 1
        assert "refused" in ran.out
        assert "few effective rows" in ran.err
        assert "No estimate has an honest interval" in ran.err

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--target", "newe"), "--target: .* has no column 'newe'; did you mean 'new'?"),
            ((), "--table needs --target: a column"),
            (("--target", "new", "--columns", "price=p"), "a log has no field 'price'"),
            (("--target", "new", "--columns", "reward=clicks"), "no column 'clicks' for the reward"),
            (("--target", "new", "--policy-version", "taste@1"), "--policy-version goes with a DOMAIN"),
        ],
    )
    def test_misuse_is_told(self, run: Run, logged: Path, arguments: tuple[str, ...], message: str) -> None:
        columns = () if "reward=clicks" in arguments else COLUMNS
        ran = run("evaluate", "--table", logged, *arguments, *columns)
        assert ran.code == 2
        assert re.search(message, ran.err), ran.err


class TestOpenBandit:
    @pytest.mark.parametrize(
        ("campaign", "ips", "low", "high", "snips"),
        [("men", 0.00566, 0.0031, 0.0086, 0.00574), ("women", 0.00581, 0.0036, 0.0083, 0.00583)],
    )
    def test_the_known_figures_come_out(
        self, run: Run, campaign: str, ips: float, low: float, high: float, snips: float
    ) -> None:
        if not DATA.is_dir():
            if os.environ.get("CI") == "true":
                pytest.fail(f"no Open Bandit sample at {DATA}")
            pytest.skip(f"no Open Bandit sample at {DATA} (SHARED_DATA says where)")
        paths = [DATA / f"{campaign}_{policy}.csv.gz" for policy in ("random", "bts")]
        told = run("evaluate", "--open-bandit", paths[0], "--target", paths[1], "--json").json()
        by_name = {each["estimator"]: each for each in told["estimates"]}
        assert by_name["ips"]["value"] == pytest.approx(ips, abs=5e-6)
        assert by_name["ips"]["interval"] == pytest.approx([low, high], abs=2e-4)
        assert by_name["snips"]["value"] == pytest.approx(snips, abs=5e-6)

    def test_a_folder_stands_for_the_log_in_it(self, run: Run, folder: Path) -> None:
        header = "item_id,position,click,propensity_score\n"
        rng = np.random.default_rng(0)
        for name in ("random", "bts"):
            (folder / name).mkdir()
            (folder / name / "item_context.csv").write_text("item_id\n")
            lines = [f"{rng.integers(2)},1,{int(rng.random() < 0.3)},0.5\n" for _ in range(500)]
            (folder / name / "men.csv.gz").write_bytes(gzip.compress((header + "".join(lines)).encode()))
        ran = run("evaluate", "--open-bandit", "random", "--target", "bts")
        assert ran.code == 0
        assert "men.csv.gz, towards the policy that wrote men.csv.gz: 500 rows" in ran.out
        (folder / "bts" / "women.csv").write_text(header)
        ran = run("evaluate", "--open-bandit", "random", "--target", "bts")
        assert ran.code == 2
        assert "must hold one log, not 2 (men.csv.gz, women.csv)" in ran.err
        ran = run("evaluate", "--open-bandit", "nothing", "--target", "bts")
        assert "no file and no folder at nothing" in ran.err


class TestVersions:
    @pytest.fixture
    def asked(self, folder: Path) -> None:
        """A log of slates and clicks, learned from."""

        async def read() -> None:
            async with Orchestrator(load(Path("config.yaml")), follow=False) as tastemaker:
                for number in range(40):
                    slate = await tastemaker.recommend("books", Request(f"reader-{number}"))
                    item = slate.picks[0].item
                    clicked = Interaction(slate.id, "books", slate.user, item, "click", 0.0, slate=slate.id)
                    await tastemaker.record([clicked])
                tastemaker.learn()
                tastemaker.learner.save()

        asyncio.run(read())

    def test_two_states_are_compared_on_the_domain_s_log(self, run: Run, asked: None) -> None:
        arguments = ("evaluate", "books", "--policy-version", "taste@live", "--against", "taste@untaught")
        told = run(*arguments, "--json").json()
        assert (told["slates"], told["rows"]) == (40, 120)
        assert told["candidate_name"] == "taste@live"
        assert told["learned"]["active"] == 0
        assert told["learned"]["candidate"] > 0
        assert told["passes"] is False
        ran = run(*arguments)
        assert ran.code == 0
        assert "40 slates of books, 120 rows" in ran.out
        assert "taste@live has learned from the log up to position" in ran.err

    def test_a_saved_state_may_stand_in_a_file(self, run: Run, asked: None, folder: Path) -> None:
        (folder / "mine.npz").write_bytes(pack(Ranker().state()))
        told = run(
            "evaluate", "books", "--policy-version", "mine.npz", "--against", "mine.npz", "--json"
        ).json()
        assert told["difference"]["value"] == 0
        (folder / "bad.npz").write_bytes(b"nothing")
        ran = run("evaluate", "books", "--policy-version", "bad.npz", "--against", "taste@untaught")
        assert ran.code == 1
        assert "bad.npz: this is no saved state" in ran.err

    def test_what_is_live_is_what_was_promoted_last(self, run: Run, asked: None, folder: Path) -> None:
        assert run("save", "books", "taste").code == 0
        (folder / "more.csv").write_text("user,item,kind\n" + "ann,6,click\n" * 9)
        assert run("import", "books", "more.csv", "--interactions").code == 0
        now = run("evaluate", "books", "--policy-version", "taste@live", "--against", "taste@1", "--json")
        assert now.json()["learned"]["candidate"] > now.json()["learned"]["active"]
        assert run("promote", "books", "taste@1").code == 0
        store = Store("sqlite:///taste.db")
        plan = load(Path("config.yaml")).domains["books"]
        try:
            kept, live = (state_named(store, plan, f"taste@{which}").state for which in ("1", "live"))
        finally:
            store.close()
        assert pack(live) == pack(kept)

    def test_a_version_of_another_configuration_is_refused(self, run: Run, asked: None) -> None:
        assert run("save", "books", "taste").code == 0
        arguments = ("books", "--policy-version", "taste@1", "--against", "taste@untaught")
        assert run("evaluate", *arguments).code == 0
        other = ("--set", "domains.books.rewards.click=2")
        ran = run("evaluate", *arguments, *other)
        assert (ran.code, ran.out) == (1, "")
        assert (
            "taste@1 was made with other options or rewards than books.taste has now: train a new" in ran.err
        )
        assert ran.err == run("promote", "books", "taste@1", *other).err

    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            ((), 2, "evaluate needs one of DOMAIN, --table FILE and --open-bandit PATH, and none was given"),
            (("books", "--table", "x.csv"), 2, "not DOMAIN and --table"),
            (("books", "--policy-version", "taste@live"), 2, "--against is missing"),
            (("books", "--target", "x"), 2, "--target and --columns go with --table"),
            (
                ("book", "--policy-version", "taste@live", "--against", "taste@untaught"),
                2,
                "no domain is called 'book'",
            ),
            (
                ("books", "--policy-version", "tast@live", "--against", "taste@untaught"),
                1,
                "no policy of 'books' is called 'tast'; did you mean 'taste'?",
            ),
            (("books", "--policy-version", "taste", "--against", "taste@live"), 2, "'taste' names no state"),
            (
                ("books", "--policy-version", "taste@live", "--against", "taste@untaught"),
                1,
                "the log has no slate of 'books'",
            ),
            (
                ("books", "--policy-version", "taste@untaught", "--against", "taste@untaught"),
                1,
                "the log has no slate of 'books'",
            ),
        ],
    )
    def test_what_can_t_be_is_told_in_a_line(
        self, run: Run, arguments: tuple[str, ...], code: int, message: str
    ) -> None:
        ran = run("evaluate", *arguments)
        assert ran.code == code
        assert message in ran.err
        assert "Traceback" not in ran.err
