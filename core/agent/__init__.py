"""The agent of one domain, and all that happens between a request and its slate."""

from .agent import Agent
from .histories import Event, Histories, History
from .live_policy import LivePolicy, state_digest

__all__ = ["Agent", "Event", "Histories", "History", "LivePolicy", "state_digest"]
