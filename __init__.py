"""Tastemaker: an agent-oriented plugin platform for recommenders that learn."""
