"""Accounts of users with services: what it takes to act for them there, such as a refresh token, encrypted.

Encrypted by Fernet (AES-128-CBC with HMAC-SHA256, https://github.com/fernet/spec) under keys from the configuration.
The database alone is of no use to whoever gets hold of it, and a row of one user is of none to another.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import anyio.to_thread
from pydantic import SecretStr

from .errors import ConnectorError

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

NO_KEY = "accounts of users can't be kept: no key is set; set accounts.keys, as docs/configuration.md says"
_NO_LIBRARY = "accounts of users can't be kept: pip install 'tastemaker[accounts]'"


class Rows(Protocol):
    """Where accounts are kept; what it holds it can't read."""

    def of(self, user: str) -> list[tuple[str, float]]:
        """The services that a user has an account with, and when each was last put."""

    def one(self, user: str, service: str) -> bytes | None:
        """What was put; None where there is nothing."""

    def all(self) -> Sequence[tuple[str, str]]:
        """User and service of every account."""

    def put(self, user: str, service: str, body: bytes, *, instead_of: bytes | None = None) -> None:
        """Keep a body, in place of what was there; with `instead_of` only where it was that."""

    def remove(self, user: str, service: str | None = None, *, only: bytes | None = None) -> int:
        """Forget the account with a service, or all of a user's; how many that were. `only`: where it holds that."""


@dataclass(frozen=True, slots=True)
class Linked:
    """A service that a user has an account with; updated: seconds since the epoch."""

    service: str
    updated: float


class Accounts:
    """The accounts of all users.

    keys: 32 bytes each, as URL-safe base64. The first one encrypts, all of them decrypt: to change a key, put the new
    one before it, and drop the old one after the next start.
    """

    def __init__(self, rows: Rows, keys: Sequence[SecretStr] = ()) -> None:
        self._rows, self._keys = rows, [key.get_secret_value() for key in keys]

    def check(self) -> None:
        """Raises ConnectorError where accounts can't be kept."""
        self._ciphers()

    async def linked(self, user: str) -> list[Linked]:
        """The services that a user has an account with, in the order of their names."""
        return [Linked(*row) for row in await anyio.to_thread.run_sync(self._rows.of, user)]

    async def users(self, service: str) -> list[str]:
        """Who has an account with a service, in order."""
        rows = await anyio.to_thread.run_sync(self._rows.all)
        return [user for user, of in rows if of == service]

    async def get(self, user: str, service: str) -> dict[str, Any] | None:
        """What was put for a user; None where there is nothing. Raises ConnectorError where it can't be read."""
        return await anyio.to_thread.run_sync(self._get, user, service)

    async def put(self, user: str, service: str, account: Mapping[str, Any]) -> None:
        """Keep what it takes to act for a user with a service, as JSON, in place of what was kept.

        Raises ConnectorError where there is no key.
        """
        sealed = self._sealed(user, service, account)
        await anyio.to_thread.run_sync(lambda: self._rows.put(user, service, sealed))

    async def remove(self, user: str, service: str | None = None) -> int:
        """Forget the account with a service, or all of a user's; how many that were."""
        return await anyio.to_thread.run_sync(self._rows.remove, user, service)

    async def remove_only(self, user: str, service: str, account: Mapping[str, Any]) -> bool:
        """Forget the account with a service if it is still this one; whether it was."""

        def remove() -> bool:
            body = self._rows.one(user, service)
            if body is None or self._read(user, service, body) != account:
                return False
            return self._rows.remove(user, service, only=body) > 0

        return await anyio.to_thread.run_sync(remove)

    def rotate(self) -> int:
        """Encrypt what an older key encrypted under the first one; how many that were. Raises ConnectorError."""
        first, changed = self._ciphers()[0], 0
        for user, service in self._rows.all():
            body = self._rows.one(user, service)
            if body is None or _opened(first, body) is not None:
                continue
            account = self._read(user, service, body)
            self._rows.put(user, service, self._sealed(user, service, account), instead_of=body)
            changed += 1
        return changed

    def _get(self, user: str, service: str) -> dict[str, Any] | None:
        body = self._rows.one(user, service)
        return None if body is None else self._read(user, service, body)

    def _sealed(self, user: str, service: str, account: Mapping[str, Any]) -> bytes:
        whole = {"user": user, "service": service, "account": dict(account)}
        return self._ciphers()[0].encrypt(json.dumps(whole).encode())

    def _read(self, user: str, service: str, body: bytes) -> dict[str, Any]:
        opened = next((text for each in self._ciphers() if (text := _opened(each, body)) is not None), None)
        whole: dict[str, Any] = json.loads(opened or b"{}")
        if (whole.get("user"), whole.get("service")) != (user, service):
            raise ConnectorError(
                f"the account with {service!r} can't be read with the keys that are set: link it again"
            )
        account: dict[str, Any] = whole["account"]
        return account

    def _ciphers(self) -> "list[Fernet]":
        if not self._keys:
            raise ConnectorError(NO_KEY)
        try:
            from cryptography.fernet import Fernet
        except ImportError:
            raise ConnectorError(_NO_LIBRARY) from None
        return [Fernet(key) for key in self._keys]


def is_key(text: str) -> bool:
    """Whether a text is 32 bytes in URL-safe base64.

    >>> is_key("c2VjcmV0IG9mIHRoaXJ0eS10d28gYnl0ZXMsIG5vdHM="), is_key("secret")
    (True, False)
    """
    try:
        return len(base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)) == 32
    except (binascii.Error, ValueError):
        return False


def _opened(cipher: "Fernet", body: bytes) -> bytes | None:
    from cryptography.fernet import InvalidToken

    try:
        return cipher.decrypt(body)
    except InvalidToken:
        return None
