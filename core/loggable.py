"""What of a slate can be logged: all of it, but for values that can't be written down, and memos that are too large."""

from dataclasses import replace
from typing import Any

import orjson

from .slate import Degradation, Slate

_LARGEST = 1_000_000
"""Bytes of a logged slate with its memos."""


def loggable(slate: Slate) -> tuple[Slate, bytes]:
    """The slate and its bytes; what can't be written down is left out, and named in `degraded`."""
    try:
        body = slate.to_bytes()
        if len(body) <= _LARGEST or not slate.memo:
            return slate, body
        name = max(slate.memo, key=lambda name: len(_bytes(slate.memo[name])))
        size = len(_bytes(slate.memo[name]))
        why = f"its memo of {size:,} bytes is left out: a slate has {_LARGEST:,} at most"
        return loggable(
            replace(
                slate,
                memo={other: memo for other, memo in slate.memo.items() if other != name},
                degraded=[*slate.degraded, Degradation(f"policies.{name}", why)],
            )
        )
    except TypeError:
        memo = {name: entry for name, entry in slate.memo.items() if _plain(entry)}
        degraded = [
            Degradation(f"policies.{name}", "its memo can't be logged: it must hold plain values, by name")
            for name in slate.memo
            if name not in memo
        ]
        situation = slate.situation
        if not _plain(situation):
            degraded.append(
                Degradation("situation", "it can't be logged: it must hold plain values, by name")
            )
            situation = {}
        slate = replace(slate, memo=memo, situation=situation, degraded=[*slate.degraded, *degraded])
        return slate, slate.to_bytes()


def _plain(value: Any) -> bool:
    try:
        _bytes(value)
    except TypeError:
        return False
    return True


def _bytes(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
