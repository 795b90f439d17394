"""Which of a domain's connectors goes into which option of a component: by type, and by name where one is given."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..components import Component, Connector
from ..errors import did_you_mean
from .validation import arms


class NoConnector(Exception):
    """There is no connector for an option; `option`: which, `hint`: what would be right.

    types: those that it wants, where the entry that is named is none of them.
    """

    def __init__(self, option: str, message: str, hint: str, types: tuple[type[Connector], ...] = ()) -> None:
        super().__init__(message)
        self.option, self.hint, self.types = option, hint, types


@dataclass(frozen=True)
class Entry:
    """An entry under `connectors:`.

    kind: None where its `use` names nothing. component: None where it is switched off, or wrong.
    """

    name: str
    kind: type[Component] | None
    component: Connector | None = None

    @property
    def configured(self) -> bool:
        """Whether it can be used."""
        return self.component is not None and self.component.configured


@dataclass(frozen=True)
class Held:
    """The connectors for a component's options.

    names: of the entries, by option. values: what the options get, None for one that works without.
    lacking: the names of those that it needs and that aren't configured.
    """

    names: Mapping[str, str]
    values: Mapping[str, Connector | None]
    lacking: Sequence[str] = ()

    @property
    def complete(self) -> bool:
        """Whether every option that needs one has a connector, configured or not."""
        return all(name in self.values for name in self.names)


def wanted(component: type[Component]) -> Iterator[tuple[str, tuple[type[Connector], ...], bool]]:
    """The options that hold a connector: name in YAML, types of which it may be, and whether one is needed.

    >>> class Asks(Component):
    ...     service: Connector | None = None
    >>> list(wanted(Asks))
    [('service', (<class 'tastemaker.core.components.Connector'>,), False)]
    """
    for name, field in component.model_fields.items():
        kinds = list(arms(field.annotation))
        types = tuple(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Connector))
        if types:
            yield field.alias or name, types, type(None) not in kinds


def hold(component: type[Component], given: Mapping[str, Any], entries: Mapping[str, Entry]) -> Held:
    """Find the connectors for a component's options. Raises NoConnector.

    given: the options as they are written; those of connectors name entries.
    """
    names: dict[str, str] = {}
    values: dict[str, Connector | None] = {}
    lacking = []
    for option, types, needed in wanted(component):
        entry = _entry(option, types, needed, given.get(option), entries)
        if entry is None:
            values[option] = None
        elif entry.configured or needed:
            names[option] = entry.name
            if entry.component is not None:
                values[option] = entry.component
            if not entry.configured:
                lacking.append(entry.name)
        else:
            values[option] = None
    return Held(names, values, lacking)


def _entry(
    option: str, types: tuple[type[Connector], ...], needed: bool, given: Any, entries: Mapping[str, Entry]
) -> Entry | None:
    """The entry for an option, None where there is none and it works without one. Raises NoConnector."""
    wants = " or ".join(kind.__name__ for kind in types)
    fitting = [each for each in entries.values() if each.kind is None or issubclass(each.kind, types)]
    names = [each.name for each in fitting]
    if given is None:
        known = [each for each in fitting if each.kind is not None]
        if len(known) > 1:
            hint = f"say which: {option}: {' or '.join(each.name for each in known)}"
            raise NoConnector(option, f"several connectors can be its {option!r}", hint)
        if not fitting and needed:
            hint = f"add an entry of the type {wants} under 'connectors'"
            raise NoConnector(option, f"its {option!r} needs a connector, and the domain has none", hint)
        return (known or fitting)[0] if fitting else None
    entry = entries.get(given) if isinstance(given, str) else None
    if entry is None:
        hint = did_you_mean(str(given), names) or f"add an entry of the type {wants} under 'connectors'"
        raise NoConnector(option, f"no connector of the domain is called {given!r}", hint)
    if entry not in fitting:
        hint = did_you_mean("", names) or f"add an entry of the type {wants} under 'connectors'"
        raise NoConnector(option, f"the connector {given!r} is no {wants}", hint, types)
    return entry
