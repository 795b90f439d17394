"""URLs with placeholders, such as `/search?q={profile.interests}&lang={situation.language|en}`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ..core import did_you_mean

ROOTS = ("profile", "situation", "settings", "user", "domain", "now", "size", "mark")
"""What a placeholder may begin with."""
_NAMED = ("profile", "situation", "settings")
"""Those that hold values by name."""

_PLACE = re.compile(r"\{([^{}]*)\}")
_PATH = re.compile(r"([A-Za-z_]\w*(?:\.[\w-]+)*)(?:\|([^{}]*))?\Z")


@dataclass(frozen=True, slots=True)
class Template:
    """A URL with placeholders `{root.name}` or `{root.name|default}`, split into what is fixed and what isn't.

    >>> template = Template.of("/books/{settings.shelf}?q={profile.interests|jazz}")
    >>> template.filled({"settings": {"shelf": "a/b"}, "profile": {"interests": ["hard bop", "cool"]}})
    '/books/a%2Fb?q=hard%20bop%2Ccool'
    >>> template.filled({"settings": {"shelf": "new"}})
    '/books/new?q=jazz'
    >>> template.filled({}) is None  # there is no shelf, and no other one to take
    True
    """

    text: str
    fixed: tuple[str, ...]
    places: tuple[tuple[str, str | None], ...]

    @classmethod
    def of(cls, text: str) -> "Template":
        """Raises ValueError for what is no placeholder."""
        fixed, places, end = [], [], 0
        for found in _PLACE.finditer(text):
            path = _PATH.match(found[1].strip())
            if path is None:
                raise ValueError(
                    f"{found[0]!r} is no placeholder; write one such as {{profile.interests|jazz}}"
                )
            root, _, name = path[1].partition(".")
            if root not in ROOTS:
                raise ValueError(f"{found[0]!r}: nothing is called {root!r}{did_you_mean(root, ROOTS)}")
            if bool(name) != (root in _NAMED):
                right = f"{{{root}.NAME}}" if root in _NAMED else f"{{{root}}}"
                raise ValueError(f"{found[0]!r} must be written {right}")
            fixed.append(text[end : found.start()])
            places.append((path[1], path[2]))
            end = found.end()
        fixed.append(text[end:])
        if any(sign in part for part in fixed for sign in "{}"):
            raise ValueError(f"{text!r} has a brace without its other half")
        return cls(text, tuple(fixed), tuple(places))

    def filled(self, values: Mapping[str, Any]) -> str | None:
        """The URL with every value quoted, lists joined by commas; None where one is missing and has no default."""
        done = self.fixed[0]
        for (path, default), after in zip(self.places, self.fixed[1:], strict=True):
            value = _text(_reached(values, path)) or default
            # `..` would lead somewhere else, however it is quoted.
            if not value or ("?" not in done and value.strip(".") == ""):
                return None
            done += quote(value, safe="") + after
        return done


def _reached(values: Any, path: str) -> Any:
    for name in path.split("."):
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


def _text(value: Any) -> str:
    """A value as it stands in a URL; empty for none."""
    match value:
        case None | Mapping():
            return ""
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
        case str() | int() | float():
            return str(value).strip()
        case Sequence():
            return ",".join(filter(None, map(_text, value)))
        case _:
            return ""
