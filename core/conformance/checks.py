"""Checks of one component, counted, with messages that teach; and what holds of every kind."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from pydantic import ValidationError

from ..candidates import Candidates
from ..components import KINDS, Component, Connector, kind_of
from ..context import Context
from ..registry import ENTRY_KEYS
from .world import plain

_METHODS: Mapping[str, tuple[str, ...]] = {
    "connector": (),
    "collector": ("collect",),
    "source": ("propose",),
    "filter": ("keep",),
    "scorer": ("score",),
    "policy": ("perceive", "tune", "propose", "rank", "learn"),
    "reward": ("reward",),
}
_NEUTRAL = (
    "Where a value is missing or a user is new, there is nothing exceptional about it: give a neutral answer"
)
_READ_ONLY = "The components to come read it, too: return an array, and leave what you were given as it is"


class Checks:
    """Checks of one component; `count` says how many ran."""

    def __init__(self, component: Component | type[Component], options: Mapping[str, Any]) -> None:
        self.type = component if isinstance(component, type) else type(component)
        self._given = component
        self._options = options
        self.count = 0
        assert issubclass(self.type, tuple(KINDS.values())), (
            f"{self.type.__name__} must derive from one of the kinds: {', '.join(KINDS)}"
        )
        self.kind = kind_of(self.type)
        self.component: Any = self.fresh()

    def fresh(self) -> Any:
        """A component of its own: what another one learned is unknown to it."""
        if not isinstance(self._given, type):
            assert not self._options, (
                "an instance has its options already: give them, or the class with options"
            )
            return type(self._given).model_validate(_options_of(self._given))
        return self._given.model_validate(dict(self._options))

    def takes_part(self) -> bool:
        """Whether it, and every connector that it holds, is configured."""
        for connector in [*self._held(), *([self.component] if self.kind == "connector" else [])]:
            configured = connector.configured
            self.that(isinstance(configured, bool), f"configured is {configured!r}: say True or False")
            if not configured:
                return False
        return True

    @contextmanager
    def opened(self) -> Iterator[None]:
        """With the connectors that it holds open."""
        for connector in self._held():
            plain(connector.open())
        try:
            yield
        finally:
            for connector in self._held():
                plain(connector.close())

    def _held(self) -> list[Connector]:
        options = (getattr(self.component, name) for name in self.type.model_fields)
        return [each for each in options if isinstance(each, Connector)]

    def that(self, fine: Any, message: str) -> None:
        """One check. Raises AssertionError with the message, which says what would be right."""
        self.count += 1
        if not fine:
            raise AssertionError(f"{self.type.__name__}: {message}")

    def call(self, method: str, *arguments: Any, of: Component | None = None) -> Any:
        """What a method gives; an exception is a failed check. of: another component than the one that is checked."""
        self.count += 1
        try:
            return plain(getattr(self.component if of is None else of, method)(*arguments))
        except Exception as error:
            count = next((len(each) for each in arguments if isinstance(each, Candidates)), None)
            about = "" if count is None else f" with {count} candidates"
            context = next((each for each in arguments if isinstance(each, Context)), None)
            about += f" for {context.user!r}" if context is not None else ""
            advice = _READ_ONLY if "read-only" in str(error) else _NEUTRAL
            raise AssertionError(
                f"{self.type.__name__}: {method}(){about} raised {type(error).__name__}: {error}. {advice}"
            ) from error

    def array(self, found: Any, shape: tuple[int, ...], wanted: str, where: str) -> None:
        """Check an array: its shape, that it holds `bool` or `numbers`, and that these are finite."""
        kinds = "b" if wanted == "bool" else "fiub"
        fits = isinstance(found, np.ndarray) and found.shape == shape and found.dtype.kind in kinds
        shown = (
            f"{found.dtype} of shape {found.shape}" if isinstance(found, np.ndarray) else type(found).__name__
        )
        self.that(fits, f"{where} gave {shown}, not a numpy array of {wanted} of shape {shape}")
        if wanted != "bool":
            self.that(
                np.isfinite(found).all(),
                f"{where} holds NaN or infinity: a missing number is NaN in its column; say what it scores (np.where)",
            )

    def model(self) -> None:
        """What holds of every kind: a documented, frozen model whose options are plain data."""
        cls, name = self.type, self.type.__name__
        self.that(
            cls.__doc__ and cls.__doc__ != KINDS[self.kind].__doc__,
            "it needs a docstring: its first line is what people read of it in lists and schemas",
        )
        own = [
            method
            for method in _METHODS[self.kind]
            if getattr(cls, method) is not getattr(KINDS[self.kind], method)
        ]
        self.that(
            own or not _METHODS[self.kind],
            f"it does nothing: a {self.kind} defines {' or '.join(_METHODS[self.kind])}",
        )
        taken = [key for key in ENTRY_KEYS[self.kind] if key in cls.model_fields]
        self.that(not taken, f"the options {taken} are the core's own keys of every {self.kind}: rename them")
        self.that(cls.model_config.get("frozen"), "it must be frozen: keep `frozen=True` in its model_config")
        self.that(
            cls.model_config.get("extra") == "forbid",
            'it must refuse unknown options: keep `extra="forbid"` in its model_config',
        )
        try:
            cls.model_validate({**_options_of(self.component), "no_such_option": 1})
            refused = False
        except ValidationError:
            refused = True
        self.that(refused, f"{name}(no_such_option=1) must be refused with a ValidationError")
        for option in cls.model_fields:
            try:
                setattr(self.component, option, None)
                frozen = False
            except ValidationError:
                frozen = True
            self.that(frozen, f"its option {option!r} can be changed after it was made")
        try:
            json.dumps(cls.model_json_schema())
            schema = ""
        except Exception as error:  # whatever an option's type raises
            schema = str(error)
        self.that(not schema, f"its options have no JSON Schema ({schema}): use types that JSON can say")
        try:
            self.component.model_dump_json()
            dumped = ""
        except Exception as error:  # whatever an option's type raises
            dumped = str(error)
        self.that(not dumped, f"its options can't be written as JSON: {dumped}")


def _options_of(component: Component) -> dict[str, Any]:
    """The options as they were given, by the names they have in YAML."""
    fields = type(component).model_fields
    return {fields[name].alias or name: getattr(component, name) for name in fields}


def frozen(candidates: Candidates) -> dict[str, Any]:
    """All that a component might have changed, copied."""
    seen = {"rows": candidates.rows, "score": candidates.score, "origin": candidates.origin}
    seen |= {f"scores {name}": column for name, column in candidates.scores.items()}
    catalog = candidates.catalog
    seen |= {name: catalog.column(name) for name, kind in catalog.schema.fields.items() if kind != "tags"}
    seen |= {name: candidates.tags(name).toarray() for name in catalog.schema.of_type("tags")}
    return {name: np.array(column) for name, column in seen.items()}


def same(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether two results of `frozen` are equal, NaN being equal to itself."""

    def equal(a: Any, b: Any) -> bool:
        return bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f"))

    return before.keys() == after.keys() and all(equal(before[name], after[name]) for name in before)
