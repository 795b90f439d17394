"""Serves an ASGI app over real HTTP on loopback, for as long as a block runs.

from tastemaker.tests.fakes.serving import serve

with serve(app) as base_url: …
"""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn


@contextmanager
def serve(app: Any, *, port: int = 0, certificate: Path | None = None) -> Iterator[str]:
    """The base URL under which the app answers, such as `http://127.0.0.1:54321`.

    The app runs in an event loop and a thread of its own. It may find its URL in `app.state.base_url`.
    certificate: a file with a key and a certificate, to serve over HTTPS.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    base_url = f"http{'s' if certificate else ''}://127.0.0.1:{listener.getsockname()[1]}"
    if hasattr(app, "state"):
        app.state.base_url = base_url
    config = uvicorn.Config(
        app, log_config=None, lifespan="off", loop="asyncio", timeout_graceful_shutdown=1, access_log=False,
        date_header=False, ssl_certfile=certificate,
    )  # fmt: skip
    server = _Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), name=f"fake {base_url}", daemon=True)
    thread.start()
    if not server.listening.wait(60):
        raise RuntimeError("the fake service did not start within 60 s")
    try:
        yield base_url
    finally:
        server.end()
        thread.join(10)
        listener.close()


class _Server(uvicorn.Server):
    """Says when it listens, ends at once when it is told to, and leaves the signals of the process alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()

    def install_signal_handlers(self) -> None:
        pass

    async def main_loop(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        # A connection that a test drops on purpose is no news.
        self._loop.set_exception_handler(lambda loop, context: None)
        await self.on_tick(0)
        self.listening.set()
        await self._ended.wait()

    def end(self) -> None:
        """For the test's thread."""
        self._loop.call_soon_threadsafe(self._ended.set)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        if self.server_state.connections or self.server_state.tasks:  # they get their time
            await super().shutdown(sockets)
