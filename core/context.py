"""The context of one request: who asks, when, in what situation, and what is known of them."""

import hashlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import SecretStr

from .candidates import Candidates
from .catalog.catalog import CatalogSnapshot
from .feedback import Feedback
from .recent import Question, Recent

T = TypeVar("T")

_OF_POLICIES = object()


class _Words(np.random.bit_generator.ISeedSequence):
    """Seed words for a bit generator that are well mixed already; numpy's own mixing costs several times as much."""

    def __init__(self, words: bytes) -> None:
        self._words = np.frombuffer(words, dtype=np.uint64)

    def generate_state(self, n_words: int, dtype: Any = np.uint64) -> NDArray[Any]:
        """The words, three of 64 bits, as SFC64 asks for them."""
        return self._words


@dataclass(slots=True)
class Request:
    """What a caller asks of an agent.

    size: items wanted; None for the domain's own `slate.size`.
    situation: mood, time of day, device … as the caller names them.
    exclude: ids that must not be in the slate.
    trace: keep the fate of every candidate with the slate.
    credentials: by the name of a connector, the user's own token for it, for this request alone: written nowhere.
    """

    user: str
    size: int | None = None
    situation: Mapping[str, Any] = field(default_factory=dict)
    exclude: frozenset[str] = frozenset()
    trace: bool = False
    credentials: Mapping[str, SecretStr] = field(default_factory=dict)


@dataclass(slots=True)
class Context:
    """One request, as every component sees it. Each component gets its own `rng` and `memo`.

    domain, user, slate: ids; slate is the id of the slate under construction.
    now: seconds since the epoch.
    size: items wanted.
    draws: rows that a randomised policy returns from `rank` (the first one decides).
    catalog: the items as they were when the request began.
    history: the user's past items, newest first, with the columns `reward`, `kind` and `age_days`.
    feedback: what all users' outcomes say of each item.
    knobs: parameters that a policy has turned, by path in the composition.
    profile, situation: free mappings of the user and of this request.
    credentials: by the name of a connector, the user's own token for it, where the request came with one. It must not
    be kept, and not shown.
    missing: by component, the parts of what it asked for that it didn't get: see `lacks`.
    """

    domain: str
    user: str
    slate: str
    now: float
    size: int
    draws: int
    seed: int
    catalog: CatalogSnapshot
    history: Candidates
    feedback: Feedback
    profile: Mapping[str, Any]
    situation: Mapping[str, Any]
    knobs: Mapping[str, Any] = field(default_factory=dict)
    embed_profile: Callable[[Mapping[str, Any]], NDArray[np.float32] | None] | None = None
    credentials: Mapping[str, SecretStr] = field(default_factory=dict)
    step: str = ""
    memos: dict[str, dict[str, Any]] = field(default_factory=dict)
    _generators: dict[str, np.random.Generator] = field(default_factory=dict)
    _cache: dict[Any, Any] = field(default_factory=dict)
    _recent: Recent = field(default_factory=Recent)
    missing: list[tuple[str, str]] = field(default_factory=list)

    def bind(self, step: str) -> "Context":
        """The same request as one component sees it: with that component's generator and memo."""
        return Context(
            self.domain,
            self.user,
            self.slate,
            self.now,
            self.size,
            self.draws,
            self.seed,
            self.catalog,
            self.history,
            self.feedback,
            self.profile,
            self.situation,
            self.knobs,
            self.embed_profile,
            self.credentials,
            step,
            self.memos,
            self._generators,
            self._cache,
            self._recent,
            self.missing,
        )

    def lacks(self, why: str) -> None:
        """Say that a part of what this component asked for is missing: the slate names it in `degraded`."""
        if (self.step, why) not in self.missing:
            self.missing.append((self.step, why))

    def unheeded(self, key: str, takes: str, parts: Sequence[Any] | None = None) -> None:
        """Say that the situation's value of a key isn't heeded, and what it takes: the slate names that in `degraded`.

        parts: of a list, those that aren't heeded where others are; None: nothing of it is.
        Nothing is said where the situation has no value, an empty one, or no such parts.
        """
        value = self.situation.get(key)
        if parts:
            shown = ", ".join(map(repr, parts))
            self.lacks(f"the situation's {key!r} can't hold {_short(shown)}: it takes {takes}")
        elif parts is None and value is not None and value not in ("", [], {}):
            self.lacks(f"the situation's {key!r} can't be {_short(repr(value))}: it takes {takes}")

    def for_policy(self, withheld: Mapping[str, str]) -> "Context":
        """The same request as a policy may see it: without credentials and, of all items, without some fields.

        Nor does it see what other components noted or computed for this request: that may be made of those.
        """
        if not withheld and not self.credentials:
            return self
        seen = self.bind(self.step)
        seen.credentials = {}
        if withheld:
            seen.catalog = self.catalog.without(withheld)
            seen.history = self.history.without(withheld)
            seen.memos = {self.step: self.memo}
            seen._cache = self.cached(_OF_POLICIES, dict)
            seen._recent = Recent()
        return seen

    @property
    def rng(self) -> np.random.Generator:
        """The component's random generator: the same for the same slate seed and component name."""
        generator = self._generators.get(self.step)
        if generator is None:
            words = hashlib.blake2b(f"{self.seed} {self.step}".encode(), digest_size=24).digest()
            generator = self._generators[self.step] = np.random.Generator(
                np.random.SFC64(_Words(words))  # type: ignore[arg-type]  # any ISeedSequence does
            )
        return generator

    def reseed(self, seed: int) -> None:
        """From here on, every component draws other random numbers: those of another seed."""
        self.seed = seed
        self._generators.clear()

    @property
    def memo(self) -> dict[str, Any]:
        """What this policy writes here comes back to it with the outcomes of this slate."""
        return self.memos.setdefault(self.step, {})

    @property
    def profile_vector(self) -> NDArray[np.float32] | None:
        """The profile as a unit vector in the items' embedding space, shape (d,), or None."""
        embed = self.embed_profile
        return None if embed is None else self.cached("profile vector", lambda: embed(self.profile))

    def cached(self, key: Any, make: Callable[[], T]) -> T:
        """What `make` gives, computed once for this request, whichever component asks first."""
        if key not in self._cache:
            self._cache[key] = make()
        found: T = self._cache[key]
        return found

    def asked(self, key: Hashable) -> Question:
        """What this component is asked, for those to which asking is dear: whether it was asked the same of late.

        key: all that its answer depends on, with the user for what is one user's own. An erasure forgets all of it.
        """
        return self._recent.question(self.step, key, self.now, self.catalog)


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "…"
