"""Serving: the application behind uvicorn, in one process or several."""

import asyncio
import errno
import ipaddress
import json
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from threadpoolctl import threadpool_limits
from uvicorn.supervisors import Multiprocess

from ..config import Settings, config_path, load
from ..errors import TastemakerError
from ..orchestrator import Orchestrator
from .app import create_app

_PATH = "TASTEMAKER_CONFIG"
_OVERRIDES = "TASTEMAKER_SET"
_GRACE_SECONDS = 30
_WAITING_CONNECTIONS = 2048
_WORKER_SECONDS = 120
"""How long a worker may take to say that it lives: it can't before its imports are done."""


def serve(
    settings: Settings,
    host: str | None = None,
    port: int | None = None,
    workers: int = 1,
    access_log: bool = False,
    *,
    overrides: Sequence[str] = (),
    announce: Callable[[str], None] = print,
) -> None:
    """Serve until a signal comes; requests in flight are finished first. Raises TastemakerError.

    host, port: by default those of the configuration. overrides: those the settings were loaded with, for
    workers in processes of their own. announce: is given what to try next, once the server can be reached; with
    several workers, as they start.
    """
    host, port = settings.api.host if host is None else host, settings.api.port if port is None else port
    if not settings.api.keys and not _is_loopback(host):
        raise TastemakerError(
            f"{host} can be reached by others, and no key is configured: set api.keys, such as "
            "`api: {keys: ['${TASTEMAKER_KEY}']}`, or listen on 127.0.0.1"
        )
    listener = _listener(host, port)
    try:
        welcome = what_to_try(settings, host, listener.getsockname()[1])
        if workers > 1:
            _serve_by_many(settings, listener, workers, access_log, overrides, lambda: announce(welcome))
        else:
            _show_schedules()
            _compute_in_one_thread()
            _serve_alone(settings, listener, access_log, lambda: announce(welcome))
    finally:
        listener.close()


def what_to_try(settings: Settings, host: str, port: int) -> str:
    """What an operator may do with a server that has just started."""
    name = f"[{host}]" if ":" in host else host
    url = f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else name}:{port}"
    key = " -H 'X-API-Key: KEY'" if settings.api.keys else ""
    lines = [f"Tastemaker serves at {url}", f"  what there is: {url}/docs", f"  is it well:    {url}/readyz"]
    lines += [
        f"  {domain}: curl{key} '{url}/v1/{domain}/recommendations/ann?limit=5'"
        for domain in settings.domains
    ]
    return "\n".join(lines)


def worker_app() -> FastAPI:
    """The application of one worker process, from the configuration that the first process was given."""
    path = os.environ[_PATH]
    _end_with_parent()
    _compute_in_one_thread()
    _show_schedules()
    return create_app(load(Path(path) if path else None, overrides=json.loads(os.environ[_OVERRIDES])))


def _end_with_parent() -> None:
    """See to it that a worker doesn't outlive the process that started it, and keep its port, however that ends."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="tastemaker-parent", daemon=True).start()


def _compute_in_one_thread() -> None:
    """Let numpy's BLAS and OpenMP use one thread, unless the environment says how many.

    A decision's products are small: handing them to further threads, which requests then fight over, takes longer
    than they do. Several processors are put to use by several workers.
    """
    if not any(name in os.environ for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")):
        threadpool_limits(1)


def _show_schedules() -> None:
    """Show what the server does by itself, a line each, on stderr."""
    logger = logging.getLogger("tastemaker.schedules")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        logger.addHandler(handler)


class _Announcing(uvicorn.Server):
    """Says when it can be reached, and keeps the error of a start that failed."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


def _serve_alone(
    settings: Settings, listener: socket.socket, access_log: bool, ready: Callable[[], None]
) -> None:
    failures: list[Exception] = []
    app = create_app(settings)

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return

        async def told(message: Any) -> None:
            # The error itself is shown by whoever called `serve`.
            await send({"type": message["type"]} if message["type"].endswith("failed") else message)

        try:
            await app(scope, receive, told)
        except Exception as error:
            failures.append(error)
            raise

    server = _Announcing(_config(watched, access_log), ready)
    logging.getLogger("uvicorn.error").addFilter(_not_of_failure)
    try:
        server.run(sockets=[listener])
    except SystemExit:
        if not failures:
            raise
    except KeyboardInterrupt:
        return
    if failures:
        raise failures[0]


def _not_of_failure(record: logging.LogRecord) -> bool:
    """Whether a line of uvicorn's log is worth showing beside the error that stopped the start."""
    return not record.getMessage().startswith("Application startup failed")


def _serve_by_many(
    settings: Settings,
    listener: socket.socket,
    workers: int,
    access_log: bool,
    overrides: Sequence[str],
    ready: Callable[[], None],
) -> None:
    """Start once here, so that what is wrong is told once and collections are read once; then the workers."""
    create_app(settings)
    asyncio.run(_start_and_stop(settings))
    packaged = settings.path == config_path(None)
    os.environ[_PATH] = "" if packaged else str(settings.path)
    os.environ[_OVERRIDES] = json.dumps(list(overrides))
    config = _config(
        f"{__name__}:worker_app",
        access_log,
        factory=True,
        workers=workers,
        timeout_worker_healthcheck=_WORKER_SECONDS,
    )
    listener.listen(_WAITING_CONNECTIONS)  # who calls now waits until a worker is there
    ready()
    Multiprocess(config, sockets=[listener]).run()


async def _start_and_stop(settings: Settings) -> None:
    async with Orchestrator(settings, follow=False) as orchestrator:
        await asyncio.to_thread(orchestrator.learner.save)  # so that no worker has to fold the log again


def _config(app: Any, access_log: bool, **more: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="auto",
        http="auto",
        ws="none",
        lifespan="on",
        log_level=logging.WARNING if not access_log else logging.INFO,
        access_log=access_log,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        backlog=_WAITING_CONNECTIONS,
        **more,
    )


def _listener(host: str, port: int) -> socket.socket:
    """A socket that is bound; it listens once the server runs. Raises TastemakerError."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind)
    except OSError as error:
        raise TastemakerError(f"{host!r} is no address to listen on: {error.strerror or error}") from None
    try:
        if os.name != "nt":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.set_inheritable(True)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            why = "is in use: stop what listens there, or choose another with --port or api.port"
        else:
            why = f"can't be used: {error.strerror or error}"
        raise TastemakerError(f"port {port} of {host} {why}") from None
    return listener


def _is_loopback(host: str) -> bool:
    """Whether nobody but this machine can reach an address."""
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)}
    except OSError:
        return True  # it can't be listened on, either: that is told where it is tried
    return all(ipaddress.ip_address(str(address).partition("%")[0]).is_loopback for address in found)
