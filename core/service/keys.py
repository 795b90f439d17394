"""Keys of the shared memory. They hold no secret, but digests of what has any."""

import hashlib
from dataclasses import dataclass

from .call import Call


@dataclass(frozen=True, slots=True)
class Keys:
    """Names what a service keeps in the shared memory.

    root: what all begin with, the same for services of one class with the same hosts and credentials: they share what
    lies there. variant: a digest of the options that answers depend on.
    """

    root: str
    variant: str

    def at(self, *parts: str) -> str:
        """The key of something of the service."""
        return ":".join((self.root, *parts))

    def of(self, call: Call, text: str, *kind: str) -> str:
        """The key of something that belongs to a call and that the text tells from others, such as an answer."""
        whose = ("user", digest(call.user)) if call.user else ("all",)
        return self.at(*whose, self.variant, *kind, call.name, digest(text))

    def users(self, user: str) -> str:
        """What all keys of calls begin with that are one user's."""
        return self.at("user", digest(user), "")


def digest(text: str) -> str:
    """24 hexadecimal digits."""
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
