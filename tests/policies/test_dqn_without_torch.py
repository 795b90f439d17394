"""dqn.ranker where PyTorch isn't there: one problem that says what would help."""

import sys
from pathlib import Path

import pytest
from tastemaker.core import ConfigError
from tastemaker.core.config import load

CONFIG = """
domains:
  products:
    extends: products
    policies:
      taste: {use: dqn.ranker, high: 3}
"""


def test_the_config_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "config.yaml").write_text(CONFIG)
    with pytest.raises(ConfigError) as raised:
        load(tmp_path / "config.yaml")
    (problem,) = raised.value.problems
    assert 'pip install "tastemaker[dqn]"' in str(problem)
    assert "config.yaml:6:" in str(problem)
