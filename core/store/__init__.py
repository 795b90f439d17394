"""The durable store: the log, and what is kept beside it."""

from .ages import OriginCount
from .entries import Checkpoint, Entry, NewVersion, Receipt, Switch, Version
from .runs import Result, TrainingRun
from .store import Store, check_entries

__all__ = [
    "Checkpoint",
    "Entry",
    "NewVersion",
    "OriginCount",
    "Receipt",
    "Result",
    "Store",
    "Switch",
    "TrainingRun",
    "Version",
    "check_entries",
]
