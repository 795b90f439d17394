"""Training in a process of its own, so that it takes nothing from those that serve but a core."""

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from ..config import Settings, config_path, load
from ..errors import TastemakerError
from ..store import Store, TrainingRun
from .gate import comparison
from .training import train

_log = logging.getLogger("tastemaker.learning")

_GRACE_SECONDS = 5.0


class Trainer:
    """Starts training processes, and writes down of each that dies what it left undone."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings, self._store = settings, store
        self._lock = threading.Lock()
        self._watched: dict[subprocess.Popen[bytes], threading.Thread] = {}
        self._stopped = False

    def start(self, runs: Sequence[TrainingRun]) -> None:
        """Carry out runs that were opened; returns at once."""
        settings = self._settings
        packaged = settings.path == config_path(None)
        asked = {
            "runs": [run.id for run in runs],
            "path": "" if packaged else str(settings.path),
            "overrides": list(settings.overrides),
        }
        with self._lock:
            try:
                if self._stopped:
                    raise OSError("the server stops")
                process = subprocess.Popen(
                    [sys.executable, "-m", __name__],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,  # Ctrl-C is for the server, which ends what it started
                )
            except OSError as error:
                for run in runs:
                    self._store.runs.give_up(run.id, f"its process could not be started: {error}")
                return
            watcher = threading.Thread(
                target=self._watch, args=(process, json.dumps(asked).encode(), runs), daemon=True
            )
            self._watched[process] = watcher
            watcher.start()

    def stop(self) -> None:
        """End what is being trained; it can be started again."""
        with self._lock:
            self._stopped = True
            watched = dict(self._watched)
        for process in watched:
            process.terminate()
        for process, watcher in watched.items():
            watcher.join(_GRACE_SECONDS)
            if watcher.is_alive():
                process.kill()
                watcher.join(_GRACE_SECONDS)

    def _watch(self, process: "subprocess.Popen[bytes]", asked: bytes, runs: Sequence[TrainingRun]) -> None:
        process.communicate(asked)
        if process.returncode:
            code = process.returncode
            why = (
                "it was stopped with the server"
                if self._stopped
                else f"its process ended with the code {code}"
            )
            try:
                for run in runs:
                    self._store.runs.give_up(run.id, f"{why}; start it again")
            except TastemakerError as error:
                _log.warning(
                    "a training process ended with the code %d, which can't be written: %s", code, error
                )
        with self._lock:
            self._watched.pop(process, None)


def main() -> int:
    """Carry out the runs that stand on stdin, with the configuration that stands there, too."""
    asked = json.load(sys.stdin)
    if hasattr(os, "nice"):
        os.nice(5)  # whoever serves comes first
    settings = load(Path(asked["path"]) if asked["path"] else None, overrides=asked["overrides"])
    store = Store(settings.store.get_secret_value())
    try:
        runs = [run for identity in asked["runs"] if (run := store.runs.one(identity)) is not None]
        train(settings, store, runs, compare=comparison())
    finally:
        store.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
