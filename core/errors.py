"""Every error that Tastemaker raises on purpose.

    TastemakerError
    ├── ConfigError              the configuration is wrong: carries every problem at once
    ├── PluginError              a plugin can't be found, imported or combined
    ├── ComponentError           a component broke its contract
    │   └── UnknownColumn        it asked for a column that the items don't have
    │       └── Withheld         … or that it may not see
    ├── ConnectorError           the outside world can't be used as configured
    ├── CollectorError           a file or feed can't be read at all
    ├── ItemError                one item doesn't fit its domain's fields
    ├── EvaluationError          a log or a target can't be evaluated as it is given
    │   └── EvaluationRefused    … can be, but no honest interval goes with the estimate
    ├── RequestError             a caller asked for something that can't be
    │   ├── NotFound             … that doesn't exist
    │   └── Conflict             … that doesn't go with what is there now
    └── StoreError               the store refuses
        └── StoreUnavailable     … for now: the same call may succeed later

Messages say what is wrong, where, and what would be right. They are shown to people without a traceback.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")


class TastemakerError(Exception):
    """The root of the tree."""


class ConfigError(TastemakerError):
    """The configuration is wrong; `problems` holds every problem found, in file order."""

    def __init__(self, problems: Iterable[object]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type["ConfigError"], tuple[tuple[object, ...]]]:
        """So that it comes whole out of another process."""
        return ConfigError, (self.problems,)


class PluginError(TastemakerError):
    """A plugin can't be found, imported or combined with the others."""


class ComponentError(TastemakerError):
    """A component broke its contract."""


class UnknownColumn(ComponentError):
    """A component asked for a column that the items don't have."""


class Withheld(UnknownColumn):
    """A policy asked for what the terms of a service keep from it."""


class ConnectorError(TastemakerError):
    """The outside world can't be used as configured."""


class CollectorError(TastemakerError):
    """A file or feed can't be read at all."""


class ItemError(TastemakerError):
    """One item doesn't fit its domain's fields."""


class EvaluationError(TastemakerError):
    """A log or a target can't be evaluated as it is given: wrong shapes, probabilities that are none."""


class EvaluationRefused(EvaluationError):
    """No honest interval goes with an estimate; the message gives every reason."""


class RequestError(TastemakerError):
    """A caller asked for something that can't be; `key`: the part of the request that is wrong, where one is."""

    def __init__(self, message: str, key: str = "") -> None:
        super().__init__(message)
        self.key = key


class NotFound(RequestError):
    """A caller asked for something that doesn't exist."""


class Conflict(RequestError):
    """A caller asked for something that doesn't go with what is there now; later it may."""


class StoreError(TastemakerError):
    """The store refuses."""


class StoreUnavailable(StoreError):
    """The store can't be used right now; the same call may succeed later."""


def did_you_mean(name: str, known: Iterable[str], whole: Callable[[str], str] = str) -> str:
    """`; did you mean 'rating'?` for a near miss among the known names, else what is known (at most 12).

    A near miss of a name's beginning counts too. whole: what a name is part of, which is said of a near miss.

    >>> did_you_mean("ratng", ["rating", "title"])
    "; did you mean 'rating'?"
    >>> did_you_mean("whithin", ["kinds", "within_seconds"], "bonus.{}".format)
    "; did you mean 'bonus.within_seconds'?"
    >>> did_you_mean("x", ["rating", "title"])
    '; known: rating, title'
    >>> did_you_mean("x", [])
    ''
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if not close and len(name) > 3:
        close = [each for each in names if difflib.get_close_matches(name, [each[: len(name)]], cutoff=0.8)]
    if close:
        return f"; did you mean {whole(close[0])!r}?"
    if not names:
        return ""
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"; known: {shown}"


def domain_of(domains: Mapping[str, T], name: str) -> T:
    """What there is under the name of a domain. Raises NotFound.

    >>> domain_of({"books": 1}, "boks")
    Traceback (most recent call last):
    tastemaker.core.errors.NotFound: no domain is called 'boks'; did you mean 'books'?
    """
    if name not in domains:
        raise NotFound(f"no domain is called {name!r}{did_you_mean(name, domains)}")
    return domains[name]
