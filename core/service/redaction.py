"""Takes secrets out of texts that people get to see."""

import base64
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

HIDDEN = "***"

_NAMES = (
    r"(?:[\w-]*(?:access|refresh|id|api|auth|bearer|user|developer)[_-]?(?:token|key)|token|key|secret|[\w-]*_secret"
    r"|code|code_verifier|password|passwd|pwd|signature|sig|authorization)"
)
_QUERY = re.compile(rf"([?&;]{_NAMES}=)[^&#\s'\"<>]+", re.IGNORECASE)
_JSON = re.compile(rf"(['\"]{_NAMES}['\"]\s*:\s*['\"])[^'\"]+", re.IGNORECASE)
_HEADER = re.compile(r"\b(Bearer|Basic|token|OAuth)\s+[A-Za-z0-9._~+/=-]{8,}")
_USER = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^/@\s'\"]+@", re.IGNORECASE)

_SHORTEST = 4


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """A text without the secrets, in whatever usual form they stand in it, and without what looks like one.

    >>> redacted("GET https://ann:pw1@example.org/v3/search?q=jazz&key=AIza123 failed")
    'GET https://***@example.org/v3/search?q=jazz&key=*** failed'
    >>> redacted("s3cr/t! was refused, s3cr%2Ft%21 too", ["s3cr/t!"])
    '*** was refused, *** too'
    """
    forms = {form for secret in secrets for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, HIDDEN)
    text = _USER.sub(rf"\1{HIDDEN}@", text)
    text = _QUERY.sub(rf"\1{HIDDEN}", text)
    text = _JSON.sub(rf"\1{HIDDEN}", text)
    return _HEADER.sub(rf"\1 {HIDDEN}", text)


def _forms(secret: str) -> Iterable[str]:
    if len(secret) < _SHORTEST:
        return ()
    as_bytes = secret.encode()
    return (
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
        base64.b64encode(as_bytes).decode(),
        base64.urlsafe_b64encode(as_bytes).decode().rstrip("="),
    )
