"""Training in a process of its own, so that it takes nothing from those that serve but a core."""

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from ..config import Settings, config_path, load
from ..errors import Conflict, TastemakerError
from ..store import Store, TrainingRun
from .gate import comparison
from .training import Pulse, train

_log = logging.getLogger("tastemaker.learning")

_GRACE_SECONDS = 5.0
_STOPPED = "it was stopped with the server; start it again"
_CHANGED = "the configuration has changed since the server started: restart it"


class Trainer:
    """Starts training processes, one after the other, and writes down of each that dies what it left undone."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings, self._store = settings, store
        self._lock = threading.Lock()
        self._turn = threading.Lock()  # held while a process works
        self._watchers: set[threading.Thread] = set()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = threading.Event()

    def start(self, runs: Sequence[TrainingRun]) -> None:
        """Carry out runs that were opened, when those before are done; returns at once."""
        settings = self._settings
        packaged = settings.path == config_path(None)
        asked = {
            "runs": [run.id for run in runs],
            "path": "" if packaged else str(settings.path),
            "overrides": list(settings.overrides),
            "digests": {run.domain: settings.domains[run.domain].digest for run in runs},
        }
        watcher = threading.Thread(target=self._watch, args=(json.dumps(asked).encode(), runs), daemon=True)
        with self._lock:
            self._watchers.add(watcher)
            watcher.start()

    def stop(self) -> None:
        """End what is being trained, and what waits for it; it can be started again."""
        with self._lock:
            self._stopped.set()
            process, watchers = self._process, list(self._watchers)
        if process is not None:
            process.terminate()
        until = time.monotonic() + _GRACE_SECONDS
        for watcher in watchers:
            watcher.join(max(until - time.monotonic(), 0.0))
        if process is not None and process.poll() is None:
            process.kill()
        for watcher in watchers:
            watcher.join(_GRACE_SECONDS)

    def _watch(self, asked: bytes, runs: Sequence[TrainingRun]) -> None:
        try:
            with Pulse(self._store, [run.id for run in runs]) as waiting:
                self._turn.acquire()
                waiting.progress.clear()
            try:
                error = self._worked(asked)
            finally:
                self._turn.release()
            for run in runs if error else ():
                self._store.runs.give_up(run.id, error)
        except TastemakerError as failure:
            _log.warning("the end of a training process could not be written down: %s", failure)
        finally:
            with self._lock:
                self._watchers.discard(threading.current_thread())

    def _worked(self, asked: bytes) -> str:
        """Have a process do what is asked; what kept it from that, empty where nothing did."""
        try:
            with self._lock:
                if self._stopped.is_set():
                    return _STOPPED
                process = self._process = subprocess.Popen(
                    [sys.executable, "-m", __name__],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    start_new_session=True,  # Ctrl-C is for the server, which ends what it started
                )
        except OSError as error:
            return f"its process could not be started: {error}"
        said, _ = process.communicate(asked)
        with self._lock:
            self._process = None
        if not process.returncode:
            return ""
        if self._stopped.is_set():
            return _STOPPED
        return said.decode(errors="replace") or (
            f"its process ended with the code {process.returncode}; start it again"
        )


def main() -> int:
    """Carry out the runs that stand on stdin, with the configuration that stands there, too.

    What keeps it from that stands on stdout, and nothing else.
    """
    asked = json.load(sys.stdin)
    if hasattr(os, "nice"):
        os.nice(5)  # whoever serves comes first
    with redirect_stdout(sys.stderr):
        try:
            _work(asked)
            return 0
        except (Exception, SystemExit) as error:  # a plugin's code may raise anything
            if not isinstance(error, TastemakerError):
                _log.exception("a training process failed")
            said = str(error) if isinstance(error, TastemakerError) else f"{type(error).__name__}: {error}"
    sys.stdout.write(said)
    return 1


def _work(asked: Any) -> None:
    settings = load(Path(asked["path"]) if asked["path"] else None, overrides=asked["overrides"])
    found = {name: plan.digest for name, plan in settings.domains.items() if name in asked["digests"]}
    if found != asked["digests"]:
        raise Conflict(_CHANGED)
    store = Store(settings.store.get_secret_value())
    try:
        runs = [run for identity in asked["runs"] if (run := store.runs.one(identity)) is not None]
        if len(runs) < len(asked["runs"]):
            raise Conflict(_CHANGED)  # it names another store
        train(settings, store, runs, compare=comparison())
    finally:
        store.close()


if __name__ == "__main__":
    sys.exit(main())
