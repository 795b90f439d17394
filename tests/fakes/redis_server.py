"""A Redis server of a test's own, to be killed and started again."""

import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest


class RedisServer:
    """A redis-server process on a free port, without persistence: what it held is gone when it is killed.

    tls: under a certificate of its own that lies in the folder, as the URL says; and not without.
    """

    def __init__(self, folder: Path, *, tls: bool = False) -> None:
        program = shutil.which("redis-server")
        if program is None:
            missing = "no redis-server is installed"
            if os.environ.get("CI") == "true":
                pytest.fail(missing)
            pytest.skip(missing)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._command = [
            program,
            *(_secured(folder, self.port) if tls else ("--port", str(self.port))),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            str(folder),
        ]
        self._authority = folder / "cert.pem" if tls else None
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        if self._authority is not None:
            return f"rediss://127.0.0.1:{self.port}/0?ssl_ca_certs={self._authority}"
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(500):
            try:
                with self._connected() as connection:
                    connection.sendall(b"PING\r\n")
                    if connection.recv(16).startswith(b"+PONG"):
                        return
            except OSError:
                time.sleep(0.01)
        raise RuntimeError("redis-server did not start within 5 s")

    def _connected(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=1)
        if self._authority is None:
            return connection
        trusting = ssl.create_default_context(cafile=self._authority)
        return trusting.wrap_socket(connection, server_hostname="127.0.0.1")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """It takes connections, and says nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


def _secured(folder: Path, port: int) -> list[str]:
    """The options of a server that speaks TLS alone."""
    key, certificate = folder / "key.pem", folder / "cert.pem"
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=127.0.0.1",
    ]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    if shutil.which("openssl") is None:
        pytest.skip("no openssl is installed to make a certificate")
    subprocess.run([*made, *names], check=True, capture_output=True)
    files = ["--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-auth-clients", "no"]
    return ["--port", "0", "--tls-port", str(port), *files]
