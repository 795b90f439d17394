"""Collectors at work in the background: their runs, and the way of what they bring into store and log."""

from .collecting import Collecting, CollectorRun

__all__ = ["Collecting", "CollectorRun"]
