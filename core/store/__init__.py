"""The durable store: the log, and what is kept beside it."""

from .entries import Checkpoint, Entry, NewVersion, Receipt, Switch, Version
from .runs import Result, TrainingRun
from .store import Store

__all__ = [
    "Checkpoint",
    "Entry",
    "NewVersion",
    "Receipt",
    "Result",
    "Store",
    "Switch",
    "TrainingRun",
    "Version",
]
