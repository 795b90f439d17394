"""The URL of the store: where a relative file lies, and how it is shown."""

import re
from pathlib import Path

DEFAULT_STORE = "sqlite:///tastemaker.db"

_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9]*(\+[a-z0-9_]+)?)://(?P<rest>.*)", re.DOTALL)
_PORT = re.compile(r"(?:^|@)(?:\[[^\]]*\]|[^:@/\[]*):([^@/]+)(?:/[^@]*)?$")
_DATABASES = ("sqlite", "postgresql")


def store_url(text: str, folder: Path) -> str:
    """The URL with a relative SQLite file made absolute, from `folder`. Raises ValueError.

    >>> store_url("sqlite:///taste.db", Path("/srv"))
    'sqlite:////srv/taste.db'
    >>> store_url("postgresql+psycopg://ann:pass@db:5432/taste", Path("/srv"))
    'postgresql+psycopg://ann:pass@db:5432/taste'
    >>> store_url("postgresql+psycopg://ann:pass@db:port/taste", Path("/srv"))
    Traceback (most recent call last):
    ValueError: has the port 'port', which is no number
    """
    found = _URL.fullmatch(text)
    if not found or found["scheme"].partition("+")[0] not in _DATABASES:
        raise ValueError(
            "must be a URL such as sqlite:///tastemaker.db or postgresql+psycopg://user@host/name"
        )
    if not found["scheme"].startswith("sqlite"):
        port = _PORT.search(found["rest"].partition("?")[0])
        if port and not port[1].isdigit():
            raise ValueError(f"has the port {port[1]!r}, which is no number")
        return text
    path, mark, query = found["rest"].partition("?")
    if path and not path.startswith("/"):
        raise ValueError("has two slashes where a SQLite file needs three, such as sqlite:///tastemaker.db")
    name = path[1:]
    if name in ("", ":memory:") or name.startswith("file:"):
        return text
    return f"{found['scheme']}:///{folder / name}{mark}{query}"


def shown_url(url: str) -> str:
    """The URL with its password hidden.

    >>> shown_url("postgresql+psycopg://ann:secret@db/taste")
    'postgresql+psycopg://ann:**********@db/taste'
    """
    scheme, slashes, rest = url.partition("://")
    place, slash, name = rest.partition("/")
    if "@" in rest and "@" not in place:  # a password with a slash in it
        place, slash, name = rest.rpartition("@")[0] + "@", "", rest.rpartition("@")[2]
    account, at, host = place.rpartition("@")
    user, colon, _ = account.partition(":")
    hidden = f"{user}:**********" if colon else account
    name = re.sub(r"(?i)((?:^|[?&])[^=&]*(?:password|secret|token)[^=&]*=)[^&]*", r"\1**********", name)
    return f"{scheme}{slashes}{hidden}{at}{host}{slash}{name}"
