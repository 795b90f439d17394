"""Reading logs of the Open Bandit format, and the known figures of its small sample."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from tastemaker.core import CollectorError
from tastemaker.core.evaluation import (
    EvaluationError,
    EvaluationRefused,
    LoggedBandit,
    Reason,
    Target,
    difference,
    ips,
    item_shares,
    read_open_bandit,
    replay,
    snips,
)

ROOT = Path(__file__).parent.parent.parent.parent
DATA = Path(os.environ.get("SHARED_DATA", ROOT.parent / "shared" / "data")) / "obd-small"

TEXT = """,timestamp,item_id,position,click,propensity_score,user_feature_0
0,2019-11-24 00:00:00+00:00,14,3,0,0.25,a
1,2019-11-24 00:00:01+00:00,2,1,1,0.5,"b,c"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "log.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_a_log_is_read(tmp_path: Path, packed: bool) -> None:
    path = written(tmp_path, TEXT)
    if packed:
        path = tmp_path / "log.csv.gz"
        path.write_bytes(gzip.compress(TEXT.encode()))
    log = read_open_bandit(path)
    assert log.action.tolist() == [14, 2]
    assert log.position is not None
    assert log.position.tolist() == [2, 0]
    assert log.reward.tolist() == [0, 1]
    assert log.propensity.tolist() == [0.25, 0.5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TEXT.replace("click", "clicks"), r"log\.csv: no column 'click'; did you mean 'clicks'\?"),
        (TEXT.replace("2,1,1,0.5", "2,1,yes,0.5"), r"log\.csv:3: item_id, position, .* must be numbers"),
        (TEXT + "2,2019\n", r"log\.csv:4: .* must be numbers"),
        ("", "no column 'item_id'"),
    ],
)
def test_a_file_that_is_no_log(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CollectorError, match=message):
        read_open_bandit(written(tmp_path, text))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(CollectorError, match="No such file"):
        read_open_bandit(tmp_path / "none.csv")
    (tmp_path / "broken.csv.gz").write_bytes(gzip.compress(TEXT.encode())[:-12])
    with pytest.raises(CollectorError, match=r"broken\.csv\.gz"):
        read_open_bandit(tmp_path / "broken.csv.gz")


def test_values_that_no_log_has(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"log\.csv: propensity is 2\.5 in row 0"):
        read_open_bandit(written(tmp_path, TEXT.replace("0.25", "2.5")))
    with pytest.raises(EvaluationError, match="nothing to evaluate"):
        read_open_bandit(written(tmp_path, TEXT.splitlines()[0] + "\n"))


def test_item_shares_are_taken_by_position() -> None:
    def log(action: list[int], position: list[int]) -> LoggedBandit:
        count = len(action)
        return LoggedBandit(np.array(action), np.zeros(count), np.full(count, 0.5), np.array(position))

    of = log([0, 0, 1, 2, 2, 2, 2, 1], [0, 0, 0, 0, 1, 1, 1, 1])
    asked = item_shares(log([0, 1, 2, 0, 2, 9], [0, 0, 0, 1, 1, 1]), of)
    assert asked.probability.tolist() == [0.5, 0.25, 0.25, 0.0, 0.75, 0.0]
    with pytest.raises(EvaluationError, match="no row at position 2"):
        item_shares(log([0], [2]), of)
    with pytest.raises(EvaluationError, match="need their positions"):
        item_shares(LoggedBandit(np.zeros(1, dtype=np.intp), np.zeros(1), np.ones(1)), of)


def sample(campaign: str, policy: str) -> LoggedBandit:
    if not DATA.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(f"the Open Bandit sample is not at {DATA}")
        pytest.skip(f"needs the Open Bandit sample at {DATA}; SHARED_DATA names the folder above it")
    return read_open_bandit(DATA / f"{campaign}_{policy}.csv.gz")


@pytest.mark.parametrize(
    ("campaign", "by_ips", "by_snips", "low", "high", "effective"),
    [
        ("men", 0.00566, 0.00574, 0.0031, 0.0086, 2_869),
        ("women", 0.00581, 0.00583, 0.0036, 0.0083, 3_492),
    ],
)
def test_known_figures(
    campaign: str, by_ips: float, by_snips: float, low: float, high: float, effective: int
) -> None:
    log = sample(campaign, "random")
    target = item_shares(log, sample(campaign, "bts"))
    estimate = ips(log, target)
    assert round(estimate.value, 5) == by_ips
    assert round(snips(log, target).value, 5) == by_snips
    assert round(estimate.overlap.effective_sample_size) == effective
    found = estimate.bootstrap(np.random.default_rng(3), draws=4_000)
    assert found.low == pytest.approx(low, abs=1e-4)
    assert found.high == pytest.approx(high, abs=1e-4)


def test_so_few_clicks_say_nothing_of_the_difference() -> None:
    log = sample("men", "random")
    gain = difference(snips(log, item_shares(log, sample("men", "bts"))), snips(log, Target(log.propensity)))
    found = gain.interval()
    assert found.low < 0 < found.high


def test_two_rows_in_effect_are_refused() -> None:
    log = sample("women", "bts")
    estimate = ips(log, Target(np.full(len(log), 1 / 46)))
    assert estimate.value == pytest.approx(0.0074, abs=1e-4)  # it looks plausible
    assert estimate.overlap.effective_sample_size == pytest.approx(2.1, abs=0.05)
    assert estimate.overlap.max_weight == pytest.approx(21_739, abs=1)
    assert {refusal.reason for refusal in estimate.refusals} >= {
        Reason.FEW_EFFECTIVE_ROWS,
        Reason.DOMINANT_WEIGHT,
    }
    with pytest.raises(EvaluationRefused, match="10000 rows count as 2"):
        estimate.interval()


def test_replay_keeps_too_few_rows() -> None:
    log = sample("men", "random")
    best = np.bincount(log.action, log.reward).argmax()
    estimate = replay(log, Target((log.action == best).astype(np.float64)))
    assert estimate.overlap.effective_sample_size < 400
    assert Reason.DOMINANT_ROW in {refusal.reason for refusal in estimate.refusals}
