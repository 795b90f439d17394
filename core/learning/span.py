"""Spans of the log: from texts such as `7d` to times, and from times to positions."""

import re
from datetime import UTC, datetime

from ..catalog.items import typed_value
from ..errors import RequestError
from ..store import Store

_UNITS = {"m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_AGO = re.compile(r"([0-9]{1,6})([mhdw])\Z")
_PAGE = 2000
_RIGHT = "write 7d, 36h, 90m, 2w, or a date such as 2026-11-20 or 2026-11-20T09:30:00Z"


def moment(text: str, now: float, key: str = "") -> float:
    """The time that a text means, in seconds since the epoch. Raises RequestError, which names the key.

    >>> moment("36h", 200_000.0), moment("1970-01-02", 0.0)
    (70400.0, 86400.0)
    """
    if found := _AGO.match(text):
        return now - int(found[1]) * _UNITS[found[2]]
    try:
        value = typed_value("since", "time", text)
    except Exception:
        value = None
    if not isinstance(value, float):
        raise RequestError(f"{text[:40]!r} is no time; {_RIGHT}", key)
    return value


def past(text: str | None, now: float, key: str = "") -> float | None:
    """As `moment`, None for no text or an empty one. Raises RequestError for a time that has not come yet."""
    if not text:
        return None
    time = moment(text, now, key)
    if time > now:
        raise RequestError(f"{text[:40]!r} has not come yet: now is {iso(now)}; {_RIGHT}", key)
    return time


def iso(time: float) -> str:
    """A time for people, in UTC.

    >>> iso(0)
    '1970-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def window_start(store: Store, position: int, seconds: float) -> int:
    """The last position before all slates whose window of some seconds was open at `position`."""
    time = time_at(store, position)
    return 0 if time is None else max(store.position_at(time - seconds) - 1, 0)


def time_at(store: Store, position: int) -> float | None:
    """The log's time when it had reached a position; None before its first entry.

    The entry of the position itself may have been erased: then it is that of the last one before it.
    """
    width = 1
    while position > 0:
        start = max(position - width, 0)
        if entries := store.read(start, limit=width, until=position):
            return entries[-1].time
        position, width = start, min(2 * width, _PAGE)
    return None
