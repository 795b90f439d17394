"""The preset for music: complete but for its items, and its reward table."""

from pathlib import Path

import pytest
from tastemaker.core import Interaction
from tastemaker.core.config import load
from tastemaker.core.rewards import RewardTable


@pytest.fixture
def table(tmp_path: Path) -> RewardTable:
    (tmp_path / "config.yaml").write_text("version: 1\ndomains:\n  mine: {extends: music}\n")
    plan = load(tmp_path / "config.yaml").domains["mine"]
    assert isinstance(plan.reward, RewardTable)
    assert plan.policies
    return plan.reward


def worth(table: RewardTable, kind: str, value: float | None = None) -> float | None:
    return table.reward(Interaction("1", "mine", "ann", "item", kind, 0.0, value=value))


def test_its_rewards(table: RewardTable) -> None:
    kinds = ("like", "save", "add_to_playlist", "play", "repeat", "share", "dislike", "skip")
    assert [worth(table, kind) for kind in kinds] == [1.0, 1.5, 1.8, 0.8, 1.2, 1.3, -1.0, -0.4]
    assert [worth(table, "listened", share) for share in (0.0, 0.5, 1.0)] == [0.0, 0.25, 0.5]
    assert (table.bonuses["quick"].add, table.bonuses["quick"].within_seconds) == (0.2, 30)
