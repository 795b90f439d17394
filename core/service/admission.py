"""Whether a request may be made: quotas, operations that the app isn't given, a service that is left alone."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from ..clock import Clock
from .breaker import Circuit
from .call import Call
from .errors import Exhausted, Forbidden, Garbage, Refused, ServiceError, Throttled, Unavailable, Unreachable
from .keys import Keys
from .memory import SharedMemory
from .options import Breaker, Budget

_DAY = 86_400.0
_EXHAUSTED_SECONDS = 3600.0
"""How long a bucket is closed whose quota the service calls spent, where nothing says when it is renewed."""
_LONGEST_CLOSED = 7 * _DAY
"""How long a bucket is closed at most, whatever the service says: it may be wrong by a factor of 1000."""


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a budget; `until`: when a closed bucket opens again, in seconds since the epoch."""

    limit: int
    left: int
    until: float | None = None


class Admission:
    """Admits requests, and remembers what their answers say about further ones.

    name: what people call the service. under_way: seconds that a request may take.
    """

    def __init__(
        self,
        name: str,
        keys: Keys,
        memory: SharedMemory,
        clock: Clock,
        budgets: Mapping[str, Budget],
        breaker: Breaker,
        under_way: float,
    ) -> None:
        self._name, self._keys, self._memory, self._clock = name, keys, memory, clock
        self._budgets, self._under_way = budgets, under_way
        self._circuit = Circuit(breaker, clock)
        self._credentials = Circuit(breaker, clock, "refusals")

    async def admit(self, call: Call) -> None:
        """Raises ServiceError where a request must not be made; else it is charged to its budget."""
        denial = (await self._denials()).get(call.name)
        if denial is not None:
            raise Unavailable(f"{call.named(self._name)}: {denial[1]} (asked again after {_iso(denial[0])})")
        circuits: list[tuple[Circuit, type[ServiceError]]] = [(self._circuit, Unreachable)]
        if call.own:
            circuits.insert(0, (self._credentials, Refused))
        passed = []
        try:
            for circuit, kind in circuits:
                refusal = circuit.refusal()
                if refusal is not None:
                    raise kind(f"{call.named(self._name)}: {refusal}")
                passed.append(circuit)
            await self.charge(call)
        except BaseException:
            for circuit in passed:
                circuit.untried()
            raise

    def left_alone(self) -> str | None:
        """Why the service isn't asked for now; None where it is."""
        return self._circuit.reason() or self._credentials.reason()

    async def charge(self, call: Call) -> None:
        """Charge one request to its budget. Raises Exhausted, Throttled where that is closed or spent."""
        name, now = call.named(self._name), self._clock()
        closed = await self._closed(call.bucket)
        if closed is not None:
            until = closed["until"]
            why = f"{name}: put off until {_iso(until)}: {closed['why']}"
            raise Exhausted(why, until) if closed["spent"] else Throttled(why, until - now)
        budget = self._budgets.get(call.bucket)
        if budget is not None and call.cost:
            claims = budget.claims(self._keys.at("budget", call.bucket), now, self._under_way)
            wait = await self._memory.reserve(claims, call.cost)
            if wait > 0:
                per = "a day" if budget.per == "day" else f"in {budget.per:g} s"
                raise Exhausted(
                    f"{name}: the budget {call.bucket!r} of {budget.limit} {per} is spent "
                    f"until {_iso(now + wait)}",
                    now + wait,
                )

    def answered(self, call: Call) -> None:
        """A request was answered as it should be."""
        self._circuit.succeeded()
        if call.own:
            self._credentials.succeeded()

    async def failed(self, call: Call, failure: ServiceError, *, again: bool) -> None:
        """A request failed; again: it is tried once more soon. Sets until when a failure holds, where it has that."""
        why, now = str(failure), self._clock()
        if isinstance(failure, Unreachable | Garbage):
            self._circuit.failed(why)
        else:
            self._circuit.succeeded()
        if call.own:
            match failure:
                case Forbidden():
                    self._credentials.succeeded()
                case Refused():
                    self._credentials.failed(why)
                case Unreachable() | Garbage() | Throttled():  # nobody has looked at them
                    self._credentials.untried()
                case _:
                    self._credentials.succeeded()
        if again:
            return
        match failure:
            case Throttled(after=after) if after is not None:
                failure.after = min(after, _LONGEST_CLOSED)
                await self.close(call.bucket, now + failure.after, why, spent=False)
            case Exhausted(until=until):
                failure.until = (
                    self._renewal(call.bucket, now) if until is None else min(until, now + _LONGEST_CLOSED)
                )
                await self.close(call.bucket, failure.until, why, spent=True)
            case Unavailable():
                await self.deny(call.name, why)

    async def close(self, bucket: str, until: float, why: str, *, spent: bool) -> None:
        """Charge nothing to a bucket until then; spent: a quota is, or else the service asks for time."""
        mark = orjson.dumps({"until": until, "why": why, "spent": spent})
        await self._memory.put(self._keys.at("closed", bucket), mark, until - self._clock())

    async def deny(self, operation: str, why: str) -> None:
        """Make no request of an operation for a day: the service doesn't give it to this app."""
        marks = {**await self._denials(), operation: [self._clock() + _DAY, why]}
        await self._memory.put(self._keys.at("denied"), orjson.dumps(marks), _DAY)

    async def denied(self) -> Mapping[str, str]:
        """The operations that are denied, and why."""
        return {operation: why for operation, (_, why) in (await self._denials()).items()}

    async def remaining(self) -> Mapping[str, Left]:
        """What is left of each budget."""
        now, found = self._clock(), {}
        for bucket, budget in self._budgets.items():
            claims = budget.claims(self._keys.at("budget", bucket), now, self._under_way)
            spent = max([await self._memory.spent(claim) for claim in claims])
            closed = await self._closed(bucket)
            left = 0 if closed else max(0, budget.limit - spent)
            found[bucket] = Left(budget.limit, left, closed["until"] if closed else None)
        return found

    def _renewal(self, bucket: str, now: float) -> float:
        budget = self._budgets.get(bucket)
        return now + _EXHAUSTED_SECONDS if budget is None else budget.renewal(now)

    async def _closed(self, bucket: str) -> Mapping[str, Any] | None:
        found = _loaded(await self._memory.get(self._keys.at("closed", bucket)))
        return found if found and found["until"] > self._clock() else None

    async def _denials(self) -> dict[str, Any]:
        marks = _loaded(await self._memory.get(self._keys.at("denied"))) or {}
        return {operation: mark for operation, mark in marks.items() if mark[0] > self._clock()}


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _loaded(body: bytes | None) -> dict[str, Any] | None:
    if body is None:
        return None
    with suppress(orjson.JSONDecodeError):
        found = orjson.loads(body)
        return found if isinstance(found, dict) else None
    return None
