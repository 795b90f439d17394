"""The durable store: the log, and what is kept beside it."""

from .entries import Checkpoint, Entry, Receipt
from .store import Store

__all__ = ["Checkpoint", "Entry", "Receipt", "Store"]
