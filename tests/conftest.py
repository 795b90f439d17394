"""What holds for all tests."""

import ipaddress
import itertools
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from tastemaker.core.store.database import Database
from tastemaker.tests.databases import copying
from tastemaker.tests.fakes.serving import serve

# A shell that runs pytest in the background has it ignore Ctrl-C, and so would every program that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Keys of whoever runs the tests would make the presets go live.
for _name in [
    name for name in os.environ if name.startswith(("SPOTIFY_", "YOUTUBE_", "SHOP_", "WOOCOMMERCE_"))
]:
    del os.environ[_name]
for _name in ("GITHUB_TOKEN", "GITHUB_ANONYMOUS", "GITHUB_API_URL"):
    os.environ.pop(_name, None)

# The same examples every time, however busy the machine is.
settings.register_profile(
    "tastemaker", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tastemaker")


_strays: list[str] = []
"""Where this process tried to connect to, beyond this machine."""


def _is_here(host: Any) -> bool:
    if host in (None, "", "localhost", socket.gethostname()):
        return True
    try:
        return ipaddress.ip_address(str(host).partition("%")[0]).is_loopback or str(host) in ("0.0.0.0", "::")
    except ValueError:
        return False


def _keep_here(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse what would leave the machine, before it does. The name of a host is not even looked up."""
    if event == "socket.connect":
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if isinstance(host, bytes):
        host = host.decode(errors="replace")
    if not _is_here(host):
        _strays.append(f"{event.partition('.')[2]} {host!r}")
        raise ConnectionRefusedError(f"a test may connect to this machine only, not to {host!r}")


sys.addaudithook(_keep_here)


@pytest.fixture
def base_url(app: Any) -> Iterator[str]:
    """Where the test's own `app` is served on this machine."""
    with serve(app) as base_url:
        yield base_url


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine reads and writes late: that degrades no slate of a test."""
    monkeypatch.setattr("tastemaker.core.users._READ_SECONDS", 20.0)
    monkeypatch.setattr("tastemaker.core.orchestrator._LOG_SECONDS", 20.0)


@pytest.fixture(autouse=True)
def _luck(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slate's random choices follow from its id: each test has the same ids, and so the same luck, every time."""
    numbers = itertools.count()
    monkeypatch.setattr("tastemaker.core.orchestrator._slate_id", lambda now: f"{next(numbers):028x}")


@pytest.fixture(scope="session")
def _template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file that the product migrated, with nothing in it."""
    file = tmp_path_factory.mktemp("migrated") / "template.db"
    Database(f"sqlite:///{file}").close()
    return file


@pytest.fixture(autouse=True)
def _migrated_once(_template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new SQLite file is a copy of one that was migrated: to migrate each would take fifteen times as long."""
    monkeypatch.setattr(Database, "_migrate", copying(_template))


@pytest.fixture(autouse=True)
def _nothing_leaves_this_machine() -> Iterator[None]:
    yield
    strays = sorted(set(_strays))
    _strays.clear()
    assert not strays, f"it tried to reach what is not on this machine: {', '.join(strays)}"


@pytest.fixture
def strays() -> list[str]:
    """The attempts to leave this machine; a test that makes some on purpose clears them."""
    return _strays
