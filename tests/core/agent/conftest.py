"""An agent that is composed by hand."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from tastemaker.core import Catalog
from tastemaker.core.agent import Agent
from tastemaker.core.config import DomainPlan
from tastemaker.tests.core.agent.compositions import ITEMS, Build


@pytest.fixture
def build(
    catalog_of: Callable[..., Catalog], plan_of: Callable[..., DomainPlan], caplog: pytest.LogCaptureFixture
) -> Build:
    """An agent over forty books, or the items given; what it logs is of no interest."""
    caplog.set_level(logging.CRITICAL + 1, "tastemaker.agent")

    def built(items: Sequence[Mapping[str, Any]] = ITEMS, **plan: Any) -> Agent:
        return Agent(plan_of(**plan), catalog_of(items))

    return built
