"""A policy's state as bytes: numpy's own format for arrays, JSON for the rest; nothing that could run code."""

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

_PLAIN = "plain"
_ARRAY = "array "


def pack(state: Mapping[str, Any]) -> bytes:
    """The bytes of a state. Raises ValueError where it holds something else than arrays, numbers, texts and lists."""
    arrays = {name: value for name, value in state.items() if isinstance(value, np.ndarray)}
    plain = {name: value for name, value in state.items() if name not in arrays}
    buffer = io.BytesIO()
    try:
        encoded = np.frombuffer(json.dumps(plain, default=_number).encode(), dtype=np.uint8)
        named: dict[str, Any] = {_ARRAY + name: value for name, value in arrays.items()}
        np.savez(buffer, allow_pickle=False, **{_PLAIN: encoded}, **named)
    except (TypeError, ValueError) as error:
        raise ValueError(f"this state can't be saved: {error}") from None
    return buffer.getvalue()


def unpack(packed: bytes) -> dict[str, Any]:
    """The state that `pack` wrote. Raises ValueError where the bytes are no such thing.

    >>> unpack(pack({"ids": ["emma"], "count": np.arange(2.0), "step": 7}))
    {'ids': ['emma'], 'step': 7, 'count': array([0., 1.])}
    """
    try:
        with np.load(io.BytesIO(packed), allow_pickle=False) as archive:
            state: dict[str, Any] = json.loads(archive[_PLAIN].tobytes())
            state.update(
                (name.removeprefix(_ARRAY), archive[name]) for name in archive.files if name != _PLAIN
            )
            return state
    except Exception as error:
        raise ValueError(f"this is no saved state: {error}") from None


def _number(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is none of arrays, numbers, texts and lists of them")
