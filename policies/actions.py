"""Actions of a policy that turns knobs: one level of every knob, and what the levels set in the composition."""

from collections.abc import Mapping
from itertools import product
from math import prod
from typing import Any

from pydantic import FiniteFloat

from .states import plain

Level = Mapping[str, bool | int | FiniteFloat | str]
"""Parameters by path in the composition, such as `{"slate.diversity": 0.3}`."""
Knobs = Mapping[str, Mapping[str, Level]]
"""By name, each with its levels by name."""

EVERYWHERE: Knobs = {
    "diversity": {
        "low": {"slate.diversity": 0.1},
        "medium": {"slate.diversity": 0.3},
        "high": {"slate.diversity": 0.5},
    },
    "novelty": {
        "low": {"slate.explore": 0.05},
        "medium": {"slate.explore": 0.15},
        "high": {"slate.explore": 0.3},
    },
}
"""Knobs that every composition has."""

_MOST = 256


class Actions:
    """The product of knobs. Raises ValueError where they don't go together.

    levels: of every action, its level by knob. settings: what it sets, by path. names: as texts.

    >>> actions = Actions({"length": {"short": {"slate.size": 5}, "long": {"slate.size": 20}}})
    >>> actions.names, actions.settings, actions.place({"length": "long"}), actions.place({"length": "endless"})
    (['length=short', 'length=long'], [{'slate.size': 5}, {'slate.size': 20}], 1, None)
    """

    def __init__(self, knobs: Knobs) -> None:
        for name, levels in knobs.items():
            if not plain(name) or not all(map(plain, levels)):
                raise ValueError("knobs and their levels must have names")
            if len(levels) < 2:
                raise ValueError(f"the knob {name!r} needs two levels at least: of one, there is no choice")
        count = prod(map(len, knobs.values()))
        if count > _MOST:
            counts = " x ".join(str(len(levels)) for levels in knobs.values())
            raise ValueError(f"the knobs have {counts} = {count} settings together; {_MOST} is the most")
        _apart(knobs)
        chosen = list(product(*(levels.items() for levels in knobs.values())))
        self.levels = [dict(zip(knobs, (level for level, _ in each), strict=True)) for each in chosen]
        self.settings: list[dict[str, Any]] = [
            {path: value for _, level in each for path, value in level.items()} for each in chosen
        ]
        self.names = [
            "|".join(f"{plain(knob)}={plain(level)}" for knob, level in each.items()) for each in self.levels
        ]
        self._knobs = tuple(knobs)
        self._places = {tuple(each.values()): place for place, each in enumerate(self.levels)}

    def __len__(self) -> int:
        return len(self.levels)

    def place(self, levels: Mapping[str, Any]) -> int | None:
        """Which action has these levels, None where there is no such."""
        return self._places.get(tuple(str(levels.get(knob)) for knob in self._knobs))


def _apart(knobs: Knobs) -> None:
    """Raises ValueError where two knobs set the same parameter, or one a part of what the other sets."""
    owners: dict[str, str] = {}
    for knob, levels in knobs.items():
        for path in dict.fromkeys(path for level in levels.values() for path in level):
            for other, owner in owners.items():
                if owner != knob and (f"{path}.".startswith(f"{other}.") or other.startswith(f"{path}.")):
                    said = "both set" if path == other else f"set {other!r} and"
                    raise ValueError(f"the knobs {owner!r} and {knob!r} {said} {path!r}: only one may")
            owners[path] = knob
