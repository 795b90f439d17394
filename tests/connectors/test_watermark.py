"""The mark of collectors that read what has changed since."""

from datetime import UTC, datetime
from typing import Any

import pytest
from tastemaker.connectors.watermark import Watermark


@pytest.mark.parametrize("since", [None, 7, 7.5, "2026-11-01", datetime(2026, 11, 1, 12, tzinfo=UTC)])
def test_it_is_read_back_as_it_was(since: Any) -> None:
    mark = Watermark(since, 100.0, "shop")
    assert Watermark.of(mark.text(), "shop") == mark
    assert Watermark.of(mark.text(), "another shop") == Watermark()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"since": {"time": "soon"}, "whole": 1, "source": "shop"}']
)
def test_anything_else_is_a_beginning(text: str) -> None:
    assert Watermark.of(text, "shop") == Watermark()
