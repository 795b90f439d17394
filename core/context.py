"""The context of one request: who asks, when, in what situation, and what is known of them."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .candidates import Candidates
from .catalog import CatalogSnapshot
from .feedback import Feedback

T = TypeVar("T")


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
    """

    user: str
    size: int | None = None
    situation: Mapping[str, Any] = field(default_factory=dict)
    exclude: frozenset[str] = frozenset()
    trace: bool = False


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
    step: str = ""
    memos: dict[str, dict[str, Any]] = field(default_factory=dict)
    _generators: dict[str, np.random.Generator] = field(default_factory=dict)
    _cache: dict[Any, Any] = field(default_factory=dict)

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
            step,
            self.memos,
            self._generators,
            self._cache,
        )

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
