"""What a scalar of YAML means: the core schema of YAML 1.2, and variables of the environment."""

import re
from collections.abc import Mapping

Plain = str | int | float | bool | None

# YAML 1.2.2, section 10.3.2
_WORDS: dict[str, Plain] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **{sign + word: float(f"{sign}inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")},
}
_WHOLE = re.compile(r"[-+]?[0-9]{1,4000}")
_BASED = re.compile(r"0o[0-7]{1,100}|0x[0-9a-fA-F]{1,100}")
_REAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")

_VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$\{")


def meaning(text: str) -> Plain:
    """What an unquoted scalar means.

    >>> [meaning(text) for text in ("yes", "12:30", "1_000", "0o17", "017", "1e3", "true", "~", "2026-11-20")]
    ['yes', '12:30', '1_000', 15, 17, 1000.0, True, None, '2026-11-20']
    """
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, base=0)
    return float(text) if _REAL.fullmatch(text) else text


def substitute(text: str, environ: Mapping[str, str]) -> tuple[str, list[str]]:
    """The text with each `${NAME}` and `${NAME:-default}` replaced, and the names that are missing.

    The default also stands in for an empty variable, as in a shell; `$${` stands for `${`. Raises ValueError
    where a `${` begins no variable.

    >>> substitute("http://${HOST:-localhost}:${PORT}/$${x}", {"PORT": "80"})
    ('http://localhost:80/${x}', [])
    >>> substitute("${TOKEN}", {})
    ('', ['TOKEN'])
    """
    missing: list[str] = []

    def value(found: re.Match[str]) -> str:
        name, default = found.groups()
        if found[0] == "$${":
            return "${"
        if name is None:
            raise ValueError("'${' begins no variable here")
        if default is not None:
            return environ.get(name) or default
        if name not in environ:
            missing.append(name)
        return environ.get(name, "")

    return _VARIABLE.sub(value, text), missing


def is_variable(text: str) -> bool:
    """Whether the text is one variable and nothing else."""
    found = _VARIABLE.fullmatch(text)
    return found is not None and found[1] is not None
