"""What is known of users when a request comes: profile and history, in memory for those who were here lately."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import orjson

from .agent import Event
from .candidates import Candidates
from .learning import Fold
from .store import Store

T = TypeVar("T")

_READ_SECONDS = 0.5
"""How long a request waits for what the store knows of its user."""
_REMEMBERED = 100_000


class Users:
    """The users of all domains: a profile is one for all, a history is a domain's."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._profiles: OrderedDict[str, Mapping[str, Any]] = OrderedDict()
        self._epoch = 0  # a profile that was read in an earlier one may be old

    async def profile(self, user: str) -> Mapping[str, Any]:
        """What is known of a user; empty where that is nothing. Raises StoreError, TimeoutError."""
        profile = self._profiles.get(user)
        if profile is not None:
            self._profiles.move_to_end(user)
            return profile
        epoch = self._epoch
        body = await _in_time(self._store.profile, user)
        profile = {} if body is None else orjson.loads(body)
        if epoch == self._epoch:
            self._profiles[user] = profile
            if len(self._profiles) > _REMEMBERED:
                self._profiles.popitem(last=False)
        return profile

    async def put_profile(self, user: str, profile: Mapping[str, Any]) -> None:
        """Replace what is known of a user, durably. Raises StoreError."""
        await asyncio.wrap_future(self._store.put_profile(user, orjson.dumps(profile)))
        self.forget_profile(user)

    async def change_profile(
        self, user: str, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    ) -> Mapping[str, Any]:
        """Make something of what is known of a user, durably; what others change meanwhile isn't lost.

        change: gets the profile, empty where nothing is known; once more where another was faster.
        """
        while True:
            before = await anyio.to_thread.run_sync(self._store.profile, user)
            profile = change({} if before is None else orjson.loads(before))
            if await asyncio.wrap_future(self._store.swap_profile(user, before, orjson.dumps(profile))):
                self.forget_profile(user)
                return profile

    def forget_profile(self, user: str | None) -> None:
        """Read a user's profile, or with None everyone's, anew the next time; also one that is being read."""
        self._epoch += 1
        if user is None:
            self._profiles.clear()
        else:
            self._profiles.pop(user, None)

    async def history(self, fold: Fold, user: str, now: float) -> Candidates:
        """What a user has done in the domain of a fold, newest first. Raises StoreError, TimeoutError."""
        agent = fold.agent
        histories = agent.histories
        history = histories.get(user)
        if history is None:

            def read() -> Sequence[Event]:
                # While all is learned again: as far as it was known.
                up_to = max(fold.position, agent.reached)
                entries = self._store.history(user, domain=agent.name, up_to=up_to, limit=histories.limit)
                return fold.events(entries)

            histories.begin(user)
            try:
                history = histories.finish(user, await _in_time(read))
            except BaseException:
                histories.give_up(user)
                raise
        return history.candidates(agent.catalog.snapshot(), now)


async def _in_time(read: Callable[..., T], *arguments: Any) -> T:
    """What a read of the store gives. Raises TimeoutError where a request can't wait for it."""
    try:
        with anyio.fail_after(_READ_SECONDS):
            return await anyio.to_thread.run_sync(read, *arguments, abandon_on_cancel=True)
    except TimeoutError as error:
        raise TimeoutError(str(error) or f"could not be read within {_READ_SECONDS:g} s") from error
