"""Reading a request: its JSON body, its query and the segments of its path."""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

import orjson
from starlette.requests import Request

from ..errors import did_you_mean
from .problems import Issue, Problem, invalid

_DEEPEST = 32
_LONGEST_NAME = 256
_MOST_PARAMETERS = 100
_LITERAL = re.compile(rb"-?(NaN|Infinity|inf|nan)")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?\Z")


async def json_body(request: Request) -> Any:
    """The JSON that the request carries. Raises Problem."""
    content_type = request.headers.get("content-type", "")
    media, _, parameters = content_type.partition(";")
    media = media.strip().lower()
    if not (media == "application/json" or media.endswith("+json")):
        said = f"it says Content-Type: {content_type[:80]}" if content_type else "it says no Content-Type"
        hint = "send Content-Type: application/json"
        raise Problem(
            "media-type", f"The body must be JSON; {said}.", [Issue("header.content-type", said, hint)]
        )
    charset = parameters.lower().partition("charset=")[2].strip(' "')
    if charset and charset not in ("utf-8", "utf8"):
        said = f"the charset is {charset[:40]!r}"
        raise Problem(
            "media-type", "JSON is written in UTF-8.", [Issue("header.content-type", said, "use UTF-8")]
        )
    return parsed(await request.body())


def parsed(body: bytes) -> Any:
    """Strict JSON: UTF-8, finite numbers, no deeper than 32. Raises Problem."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _syntax(body, error) from None
    if body.count(b"[") + body.count(b"{") > _DEEPEST:
        _check_depth(value)
    return value


def _syntax(body: bytes, error: orjson.JSONDecodeError) -> Problem:
    if not body.strip():
        return Problem("syntax", "The body is empty.", [Issue("body", "is empty", "send a JSON document")])
    try:
        text = body.decode()
    except UnicodeDecodeError as broken:
        said = f"is not UTF-8 at byte {broken.start} (0x{body[broken.start]:02x})"
        return Problem("syntax", f"The body {said}.", [Issue("body", said, "encode it as UTF-8")])
    place = f"line {error.lineno}, column {error.colno}"
    said = f"is not JSON at {place}: {error.msg}"
    hint = ""
    if _LITERAL.match(text[error.pos :].encode()):
        hint = "JSON has no NaN and no Infinity: leave the value out"
    return Problem("syntax", f"The body {said}.", [Issue("body", said, hint)])


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(_DEEPEST):
        below: list[Any] = []
        for node in level:
            if isinstance(node, dict):
                below.extend(node.values())
            elif isinstance(node, list):
                below.extend(node)
        level = [node for node in below if isinstance(node, dict | list)]
        if not level:
            return
    raise invalid([Issue("body", f"is nested deeper than {_DEEPEST} levels", "make it flatter")])


def name_fault(name: str) -> str | None:
    """What is wrong with the name of a user, an item or the like; None where nothing is."""
    if not 1 <= len(name) <= _LONGEST_NAME:
        return f"must have 1 to {_LONGEST_NAME} characters, not {len(name)}"
    if name.isprintable():
        return None
    if any(char < " " or "\x7f" <= char < "\xa0" for char in name):
        return "must not hold control characters"
    if any("\ud800" <= char <= "\udfff" for char in name):
        return "is no valid Unicode"
    return None


def segment(request: Request, key: str) -> str:
    """A segment of the path, decoded: `%2F` is a slash in a name. Raises Problem."""
    name: str = request.path_params[key]
    if "%" in name:
        try:
            name = unquote(name, errors="strict")
        except UnicodeError:
            raise invalid([Issue(f"path.{key}", "is not UTF-8", "percent-encode it as UTF-8")]) from None
    fault = name_fault(name)
    if fault:
        raise invalid([Issue(f"path.{key}", fault)])
    return name


def query(request: Request) -> dict[str, list[str]]:
    """The values of each parameter of the query. Raises Problem."""
    raw: bytes = request.scope["query_string"]
    if not raw:
        return {}
    try:
        pairs = parse_qsl(
            raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS
        )
    except UnicodeError:
        raise invalid([Issue("query", "is not UTF-8", "percent-encode it as UTF-8")]) from None
    except ValueError:
        raise invalid([Issue("query", f"has more than {_MOST_PARAMETERS} parameters")]) from None
    found: dict[str, list[str]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found


def only(found: Mapping[str, list[str]], known: Iterable[str]) -> None:
    """Refuse parameters that mean nothing here. Raises Problem."""
    names = list(known)
    strange = [
        Issue(f"query.{key[:64]}", "is no parameter here", did_you_mean(key, names).removeprefix("; "))
        for key in found
        if key not in names
    ]
    if strange:
        raise invalid(strange)


def one(found: Mapping[str, list[str]], key: str) -> str | None:
    """A parameter that may come once at most. Raises Problem."""
    values = found.get(key)
    if values is None:
        return None
    if len(values) > 1:
        raise invalid([Issue(f"query.{key}", f"comes {len(values)} times", "give it once")])
    return values[0]


def whole(found: Mapping[str, list[str]], key: str, low: int, high: int) -> int | None:
    """A whole number within a range. Raises Problem, which says the range."""
    text = one(found, key)
    if text is None:
        return None
    if len(text) <= 20 and text.isascii() and text.removeprefix("-").isdigit() and low <= int(text) <= high:
        return int(text)
    shown = text if len(text) <= 40 else text[:37] + "…"
    raise invalid([Issue(f"query.{key}", f"must be a whole number from {low:,} to {high:,}, not {shown!r}")])


def flag(found: Mapping[str, list[str]], key: str) -> bool:
    """A parameter that is true or false; false where it is missing. Raises Problem."""
    text = one(found, key)
    if text is None or text in ("false", "0"):
        return False
    if text in ("true", "1"):
        return True
    raise invalid([Issue(f"query.{key}", f"must be true or false, not {text[:40]!r}")])


def plain(text: str) -> str | float | bool:
    """A value of the situation in a query: a number or a boolean where it is written as JSON writes one.

    >>> plain("calm"), plain("0.8"), plain("true"), plain("007")
    ('calm', 0.8, True, '007')
    """
    if text in ("true", "false"):
        return text == "true"
    if _NUMBER.match(text):
        return float(text) if "." in text else int(text)
    return text
