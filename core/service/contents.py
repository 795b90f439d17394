"""What stands in the options of a service, however deep: its secrets, its URLs, and all of it as one text."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, SecretBytes, SecretStr


def secrets_in(options: BaseModel) -> Iterator[str]:
    """What must not be shown."""
    for value in _values(options):
        if isinstance(value, SecretStr):
            yield value.get_secret_value()
        elif isinstance(value, SecretBytes):
            yield value.get_secret_value().decode(errors="replace")


def urls_in(options: BaseModel) -> Iterator[str]:
    """Where it may connect to."""
    for value in _values(options):
        if isinstance(value, str) and value.lower().startswith(("http://", "https://")):
            yield value


def as_text(thing: Any) -> str:
    """Options as one text, in every process the same; secrets stand in it."""
    match thing:
        case BaseModel():
            fields = type(thing).model_fields
            return (
                f"{type(thing).__qualname__}({', '.join(as_text(getattr(thing, name)) for name in fields)})"
            )
        case Mapping():
            pairs = sorted(f"{as_text(key)}: {as_text(value)}" for key, value in thing.items())
            return "{" + ", ".join(pairs) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(as_text, thing)) + "]"
        case set() | frozenset():
            return "[" + ", ".join(sorted(map(as_text, thing))) + "]"
        case SecretStr() | SecretBytes():
            return repr(thing.get_secret_value())
        case _:
            return repr(thing)


def _values(thing: Any) -> Iterator[Any]:
    match thing:
        case BaseModel():
            for name in type(thing).model_fields:
                yield from _values(getattr(thing, name))
        case Mapping():
            for value in thing.values():
                yield from _values(value)
        case list() | tuple() | set() | frozenset():
            for value in thing:
                yield from _values(value)
        case _:
            yield thing
