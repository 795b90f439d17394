"""Up to where a collector has read what changes: its mark, where changes can be asked for by time or number."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Watermark:
    """since: the largest time or number read; whole: when all was read last; source: tells what was asked from others.

    >>> mark = Watermark(7, 100.0, "shop")
    >>> Watermark.of(mark.text(), "shop") == mark, Watermark.of(mark.text(), "another").since
    (True, None)
    """

    since: Any = None
    whole: float = float("-inf")
    source: str = ""

    @classmethod
    def of(cls, text: str, source: str) -> "Watermark":
        """The one that `text` gave; one from before the beginning for anything else, or for another source's."""
        try:
            held = json.loads(text)
            since, whole = held["since"], float(held["whole"])
            since = datetime.fromisoformat(since["time"]) if isinstance(since, dict) else since
            return cls(since, whole, source) if held["source"] == source else cls()
        except (ValueError, KeyError, TypeError):
            return cls()

    def text(self) -> str:
        """As it is kept."""
        since = {"time": self.since.isoformat()} if isinstance(self.since, datetime) else self.since
        return json.dumps({"since": since, "whole": self.whole, "source": self.source})
