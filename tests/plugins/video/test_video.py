"""The preset for video: complete but for its items, and its reward table."""

from pathlib import Path

import pytest
from tastemaker.core import Interaction
from tastemaker.core.config import load
from tastemaker.core.rewards import RewardTable


@pytest.fixture
def table(tmp_path: Path) -> RewardTable:
    (tmp_path / "config.yaml").write_text("version: 1\ndomains:\n  mine: {extends: video}\n")
    plan = load(tmp_path / "config.yaml").domains["mine"]
    assert isinstance(plan.reward, RewardTable)
    assert plan.policies
    return plan.reward


def worth(table: RewardTable, kind: str, value: float | None = None) -> float | None:
    return table.reward(Interaction("1", "mine", "ann", "item", kind, 0.0, value=value))


def test_its_rewards(table: RewardTable) -> None:
    assert [worth(table, kind) for kind in ("like", "dislike", "share", "skip")] == [1.0, -1.0, 0.8, -0.3]
    assert [worth(table, "completion", share) for share in (0.0, 0.5, 1.0)] == [0.0, 0.25, 1.0]
    assert sorted(bonus.add for bonus in table.bonuses.values()) == [-0.5, -0.3, 0.3, 0.5]
