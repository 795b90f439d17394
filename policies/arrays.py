"""Arrays out of a policy's state."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def array_of(state: Mapping[str, Any], name: str, dtype: type[np.generic]) -> NDArray[Any]:
    """An array of finite numbers out of a state, copied. Raises ValueError where it isn't there or isn't that."""
    if name not in state:
        raise ValueError(f"the state has no {name!r}")
    try:
        found = np.array(state[name], dtype=dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} must be numbers: {error}") from None
    if not np.isfinite(found).all():
        raise ValueError(f"{name} must be finite")
    return found
