"""The learner: tails the log, in order, and folds it into every agent. All processes fold the same log."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import anyio.to_thread

from ..errors import StoreError, TastemakerError
from ..store import Entry, Store
from .fold import Fold
from .packing import pack, unpack
from .span import window_start

_log = logging.getLogger("tastemaker.learning")

_BATCH = 2000
_POLL_SECONDS = 0.1
_TICK_SECONDS = 5.0
_CATCH_UP_SECONDS = 5.0
_LAST_SECONDS = 10.0
"""How long the end of the process waits for what a policy is learning."""


class Learner:
    """Keeps the folds of all domains at the end of the log.

    items: called with a position when catalogue changes were committed up to it; profile: … with a user whose
    profile changed. follows: it learns in the background, in a thread of its own.
    """

    def __init__(
        self,
        store: Store,
        folds: Mapping[str, Fold],
        *,
        items: Callable[[int], None],
        profile: Callable[[str | None], None],
        checkpoint_seconds: float = 30.0,
    ) -> None:
        self.position = 0
        self.follows = False
        self._store = store
        self._taking: float | None = None  # since when a batch is being taken in
        self._folds = folds
        self._items = items
        self._profile = profile
        self._checkpoint_seconds = checkpoint_seconds
        self._clean: dict[str, int] = {}  # by domain: erasures up to there left no trace in its fold
        self._saved = 0
        self._folding = threading.RLock()
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._waiting: list[tuple[int, asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._lock = threading.Lock()

    def restore(self) -> None:
        """Load the newest checkpoints and fold the tail of the log."""
        with self._folding:
            start = self._load_checkpoints()
            end = self._store.end()
            for domain, fold in self._folds.items():
                # A checkpoint with an erasure of its domain after it was saved by a process that hadn't heard of that
                # erasure yet. What is learned from now on reads nothing that is erased up to here.
                self._clean[domain] = min((each for each in fold.positions if each), default=end)
                fold.rewind(start)
            self._replay(start, end)

    def fold(self) -> int:
        """Fold all that the log holds beyond `position`; how many entries that were."""
        count = 0
        with self._folding:
            while entries := self._store.read(self.position, limit=_BATCH):
                self._take(entries)
                self._release()
                count += len(entries)
        return count

    def save(self) -> None:
        """Write a checkpoint of every policy at the position that has been reached."""
        with self._folding:
            if self.position == self._saved:
                return
            for domain, fold in self._folds.items():
                for name, (digest, state) in fold.states().items():
                    try:
                        packed = pack(state)
                    except ValueError as error:
                        _log.error("no checkpoint of %s.%s: %s", domain, name, error)
                        continue
                    self._store.checkpoint(domain, name, digest, fold.position, packed)
            self._saved = self.position

    def start(self) -> None:
        """Follow the log in a thread of its own until `stop`."""
        self.follows = True
        self._thread = threading.Thread(target=self._follow, name="tastemaker-learner", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish what is at hand, save a checkpoint, and end the thread."""
        self._stopped.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=_LAST_SECONDS)
            self._thread = None

    async def caught_up(self, position: int) -> None:
        """Wait a few seconds until the folds have reached a position; where nothing follows the log, fold it."""
        if self.follows:
            await self.reached(position, _CATCH_UP_SECONDS)
        else:
            await anyio.to_thread.run_sync(self.fold)

    async def reached(self, position: int, timeout: float) -> bool:
        """Wait until the folds have reached a position; False where that takes longer than `timeout` seconds."""
        if self.position >= position:
            return True
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            self._waiting.append((position, loop, future))
        self._wake.set()
        if self.position >= position:
            self._release()
        try:
            async with asyncio.timeout(timeout):
                await future
        except TimeoutError:
            return False
        return True

    def _follow(self) -> None:
        saved = ticked = time.monotonic()
        while not self._stopped.is_set():
            self._wake.wait(_POLL_SECONDS)
            self._wake.clear()
            try:
                self.fold()
                now = time.monotonic()
                if now - ticked >= _TICK_SECONDS and any(fold.waiting for fold in self._folds.values()):
                    ticked = now
                    self._store.tick(_TICK_SECONDS).result()
                if now - saved >= self._checkpoint_seconds:
                    saved = now
                    self.save()
            except StoreError as error:
                _log.warning("the learner waits: %s", error)
                self._stopped.wait(1.0)
            except (Exception, SystemExit):
                _log.exception("the learner failed at position %d; it tries again", self.position)
                self._stopped.wait(1.0)
        try:
            self.fold()
            self.save()
        except TastemakerError as error:
            _log.warning("no last checkpoint: %s", error)

    @property
    def stuck(self) -> float:
        """For how many seconds the entries at hand have been taken in by now."""
        taking = self._taking
        return 0.0 if taking is None else time.monotonic() - taking

    def _take(self, entries: Sequence[Entry]) -> None:
        self._taking = time.monotonic()
        try:
            self._take_in(entries)
        finally:
            self._taking = None

    def _take_in(self, entries: Sequence[Entry]) -> None:
        position = entries[-1].position
        erasures = [entry for entry in entries if entry.kind == "erasure"]
        if erasures:
            self._profile(None)
        spoilt = [
            domain
            for domain in self._folds
            if any(each.position > self._clean.get(domain, 0) and each.erased_in(domain) for each in erasures)
        ]
        if spoilt:
            self._rebuild(spoilt)
            return
        if any(entry.kind == "items" for entry in entries):
            self._items(position)
        for entry in entries:
            if entry.kind == "profile":
                self._profile(entry.user)
        for fold in self._folds.values():
            if fold.position < position:
                fold.take((entry for entry in entries if entry.position > fold.position), position)
        self.position = position

    def _rebuild(self, domains: Sequence[str]) -> None:
        """A user was erased: what was learned with his entries has to be learned again without them.

        The folds of other domains stay where they are, and go on from there.
        """
        end = self._store.end()
        for domain in domains:
            self._folds[domain].forget()
            self._clean[domain] = end
        self._saved = 0
        self._replay(0, end)

    def _replay(self, start: int, end: int) -> None:
        """Fold from a position to the end, stopping where a restored policy takes up again."""
        known = {position for fold in self._folds.values() for position in fold.positions}
        stops = sorted(stop for stop in known | {end} if start < stop <= end)
        self.position = start
        for stop in stops:
            while entries := self._store.read(self.position, limit=_BATCH, until=stop):
                self._take(entries)
            self._reach(stop)
        self._release()

    def _reach(self, position: int) -> None:
        """Entries before a position may have been erased: it is reached all the same."""
        for fold in self._folds.values():
            if fold.position < position:
                fold.take((), position)
        self.position = max(self.position, position)

    def _load_checkpoints(self) -> int:
        """The position from which the log has to be read again."""
        starts = []
        for domain, fold in self._folds.items():
            for name, digest in fold.digests().items():
                starts.append(self._load(domain, name, digest, fold))
        start = min(starts, default=0)
        return self._window_start(start) if start else 0

    def _load(self, domain: str, name: str, digest: str, fold: Fold) -> int:
        checkpoint = self._store.latest_checkpoint(domain, name, digest)
        if checkpoint is None or checkpoint.position > self._store.end():
            return 0
        position = checkpoint.position
        if position and not self._store.read(position - 1, limit=1, until=position):
            # That entry was erased, and its time with it: what closed by then would be learned once more.
            return 0
        try:
            fold.load(name, unpack(checkpoint.state), checkpoint.position)
        except Exception as error:  # a plugin's code may raise anything
            _log.warning("checkpoint of %s.%s passed over: %s", domain, name, error or type(error).__name__)
            return 0
        return checkpoint.position

    def _window_start(self, position: int) -> int:
        """The last position before all slates whose window was open at `position`."""
        longest = max(fold.agent.plan.learning.window_minutes for fold in self._folds.values()) * 60
        return window_start(self._store, position, longest)

    def _release(self) -> None:
        """Wake those who wait for a position that has been reached."""
        if not self._waiting:
            return
        with self._lock:
            ready = [entry for entry in self._waiting if entry[0] <= self.position]
            self._waiting = [entry for entry in self._waiting if entry[0] > self.position]
        for loop in {entry[1] for entry in ready}:
            futures = [future for _, its_loop, future in ready if its_loop is loop]
            try:
                loop.call_soon_threadsafe(_resolve, futures)
            except RuntimeError:  # the loop has closed: nobody waits any more
                continue


def _resolve(futures: Sequence["asyncio.Future[None]"]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
