"""A connector to a service: what its author has at hand."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field, PrivateAttr, field_validator

from ..accounts import Accounts
from ..clock import Clock, wall
from ..components import Connector
from ..errors import ConnectorError
from ..terms import DAY, SHORTEST_DAYS, Terms, longest_lag
from .admission import Admission, Left
from .answers import Answers
from .attempts import Attempts, Limits, said
from .call import Call
from .contents import as_text, secrets_in, urls_in
from .counters import Counters
from .errors import Garbage, ServiceError, Unreachable
from .keys import Keys, digest
from .memory import LocalMemory, SharedMemory
from .options import Breaker, Budget, Keeping, merged_budgets
from .redaction import redacted


class Service(Connector):
    """A connector to a service with quotas, credentials and bad days. A subclass makes requests by `call`.

    Around each: the cache and one flight for equal calls (`Answers`), a time limit and retries (`Attempts`), budgets
    and breakers (`Admission`), counters.
    """

    loggers: ClassVar[tuple[str, ...]] = ()
    """Loggers of the client library that write tokens or whole bodies below WARNING: those lines are left out."""

    fills: ClassVar[frozenset[str] | None] = None
    """The items' fields that hold its data, where others hold the user's own; None: all may."""

    timeout_seconds: float = Field(5.0, gt=0, le=300, description="Time limit of one request.")
    retries: int = Field(2, ge=0, le=10, description="Further attempts where one may help.")
    patience_seconds: float = Field(
        3.0, ge=0, le=300, description="Longest Retry-After that is waited for; a longer one is put off."
    )
    breaker: Breaker = Field(Breaker(), description="When the service is left alone for a while.")
    cache: Keeping = Field(Keeping(), description="How long answers are kept, by sort.")
    budgets: Mapping[str, Budget] = Field(default={}, description="By bucket: how much of a quota is spent.")
    keep_days: float | None = Field(
        None,
        ge=SHORTEST_DAYS,
        description="Days that an item may be kept before it is fetched anew or removed; none: for ever.",
    )
    trainable: bool = Field(
        True, description="Whether embeddings and policies may use what it fills the items' fields with."
    )

    _memory: SharedMemory | None = PrivateAttr(None)
    _clock: Clock = PrivateAttr(default=wall)
    _name: str = PrivateAttr("")
    _accounts: Accounts | None = PrivateAttr(None)
    _counters: Counters = PrivateAttr(default_factory=Counters)
    _made: "_Surroundings | None" = PrivateAttr(None)
    _making: threading.Lock = PrivateAttr(default_factory=threading.Lock)

    @field_validator("budgets", mode="before")
    @classmethod
    def _with_known(cls, given: Any) -> Any:
        return merged_budgets(cls.model_fields["budgets"].get_default(call_default_factory=True), given)

    def model_post_init(self, context: Any, /) -> None:
        """Keep the client library's chatter out of the logs."""
        for name in self.loggers:
            logging.getLogger(name).setLevel(logging.WARNING)

    def _bind(self, memory: SharedMemory, clock: Clock, name: str, accounts: Accounts | None = None) -> None:
        """Give it what it shares with others; called before `open`. By itself it has a memory of its own."""
        self._memory, self._clock, self._name, self._accounts = memory, clock, name, accounts
        self._made = None

    async def call(self, call: Call, send: Callable[[], Any]) -> Any:
        """What one request gives, from the cache where it can be. Raises ServiceError.

        send: makes ONE request and gives a JSON-able value; `async def`, or `def` and then run in a thread.
        A caller that doesn't wait any longer leaves a call with a key under way: its answer will be in the cache.
        """
        around = self._around()
        self._counters.add(call.name, "calls")
        ask = partial(around.attempts.made, call, send)
        return await (ask() if call.key is None else around.answers.get(call, ask))

    def fault(self, error: Exception) -> ServiceError:
        """What an exception of the client library means. A subclass knows its own, and asks this one for the rest."""
        match error:
            case ServiceError():
                return error
            case TimeoutError():
                return Unreachable(f"no answer within {self.timeout_seconds:g} s")
            case OSError():
                return Unreachable(said(error))
            case _:
                return Garbage(said(error))

    async def charge(self, call: Call) -> None:
        """Charge one more request to the budget of a call that is under way, such as the one after a redirect.

        Raises Exhausted, Throttled where it must not be made.
        """
        await self._around().admission.charge(call)

    async def spent(self, bucket: str, until: float, why: str) -> None:
        """Remember that a quota is spent, as the service says; until: in seconds since the epoch."""
        await self._around().admission.close(bucket, until, why, spent=True)

    async def remaining(self) -> Mapping[str, Left]:
        """What is left of each budget."""
        return await self._around().admission.remaining()

    async def unavailable(self, name: str, why: str = "not given to this app") -> None:
        """Remember for a day that the service doesn't give an operation to this app."""
        await self._around().admission.deny(name, redacted(why, secrets_in(self)))

    async def denied(self) -> Mapping[str, str]:
        """The operations that the service doesn't give to this app, and why; learned from its answers."""
        return await self._around().admission.denied()

    async def forget(self, user: str) -> None:
        """Forget every kept answer that is one user's: he is erased, or has unlinked his account."""
        await self._around().answers.forget(user)

    async def close(self) -> None:
        """Give up what is under way in this event loop. A subclass that has something to close calls this, too."""
        await self._around().answers.give_up()

    async def health(self) -> str | None:
        """None when well, else why it is left alone for now. A subclass asks the service, best at no cost."""
        return self._around().admission.left_alone()

    @property
    def entry(self) -> str:
        """The name that the configuration gives it, under which credentials come and accounts are kept."""
        return self._name

    @property
    def accounts(self) -> Accounts:
        """The accounts of users; those with this service are under its `entry`. Raises ConnectorError."""
        if self._accounts is None:
            raise ConnectorError("accounts of users are kept by a running platform alone")
        return self._accounts

    @property
    def terms(self) -> Terms:
        """Those of its options, for the fields that it fills."""
        return Terms(self.keep_days, self.trainable, self.fills, self._lag_days() or 0.0)

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts, with their ports, that it may connect to: those of the URLs among its options."""
        return frozenset(_place(url)[1] for url in urls_in(self))

    def check_host(self, url: str) -> None:
        """Raises Garbage for a URL, such as that of a next page, which leads to a host the config doesn't name.

        So does one that leaves https behind.
        """
        if _place(url) not in {_place(known) for known in urls_in(self)}:
            scheme, host = _place(url)
            known = ", ".join(sorted(self.hosts)) or "none"
            raise Garbage(f"it points to {scheme}://{host}, which the config doesn't name; named: {known}")

    @property
    def memory(self) -> SharedMemory:
        """What it shares with other processes; what a plugin keeps there lies under a `place` of this service."""
        return self._around().memory

    def place(self, *parts: str) -> str:
        """A key of the shared memory: the same for all services of this class with the same credentials."""
        return self._around().keys.at("kept", *parts)

    def place_of(self, call: Call, kind: str, text: str) -> str:
        """A key for what belongs to a call and is told from others by the text; one user's is forgotten with him."""
        return self._around().keys.of(call, text, kind)

    @property
    def metrics(self) -> Mapping[str, Mapping[str, Any]]:
        """Counters by operation: see `counters.NAMES`."""
        return self._counters.read()

    @property
    def longest_seconds(self) -> float:
        """Seconds that a call with all its retries may take."""
        return self._limits().longest

    def _limits(self) -> Limits:
        return Limits(self.timeout_seconds, self.retries, self.patience_seconds)

    def _lag_days(self) -> float | None:
        """Days that an answer is kept at most, where its data may not be kept for ever.

        That is as long as `cache` keeps any sort of them, also for features that hardly change, and never more than
        `longest_lag`: whoever makes an item of an answer doesn't know how old it is, and so all are taken to be so old.
        """
        if self.keep_days is None:
            return None
        return min((self.cache.longest + self.cache.stale) / DAY, longest_lag(self.keep_days))

    def _around(self) -> "_Surroundings":
        """What surrounds its calls, made at the first one: its options never change."""
        with self._making:
            if self._made is None:
                self._made = self._surroundings()
            return self._made

    def _surroundings(self) -> "_Surroundings":
        own, kind = type(self), self.component_name()
        name, clock, counters = self._name or kind, self._clock, self._counters
        memory = LocalMemory(clock) if self._memory is None else self._memory
        mine = "\n".join((own.__module__, own.__qualname__, *sorted(self.hosts), *sorted(secrets_in(self))))
        asked = "\n".join(f"{field} {as_text(getattr(self, field))}" for field in sorted(_answering(own)))
        keys = Keys(f"{kind}:{digest(mine)}", digest(asked))
        limits, lag = self._limits(), self._lag_days()
        oldest = None if lag is None else lag * DAY
        admission = Admission(name, keys, memory, clock, self.budgets, self.breaker, limits.timeout)

        def clean(text: str, call: Call) -> str:
            return redacted(text, (*secrets_in(self), *call.secrets))

        return _Surroundings(
            keys,
            memory,
            admission,
            Attempts(name, admission, limits, counters, self.fault, clean),
            Answers(name, keys, memory, clock, counters, self.cache, oldest, limits.longest),
        )


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What surrounds the calls of a service: an answer has attempts made, and each of them is admitted."""

    keys: Keys
    memory: SharedMemory
    admission: Admission
    attempts: Attempts
    answers: Answers


def _answering(kind: type[Service]) -> set[str]:
    """The options that answers depend on: those of every service say how it is called, and how long data is kept."""
    return set(kind.model_fields) - set(Service.model_fields) | {"keep_days"}


def _place(url: str) -> tuple[str, str]:
    """Scheme and host of a URL, the host with its port."""
    parts = urlsplit(url)
    return parts.scheme.lower(), parts.netloc.rpartition("@")[2].lower()
