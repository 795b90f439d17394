"""The program with the preset as it is: on its sample without a key, and live on a server with one."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tastemaker.tests.fakes.serving import serve
from tastemaker.tests.fakes.youtube import YouTube as Server
from tastemaker.tests.fakes.youtube_catalogue import clips

KEY = "AIzaNotARealKey-0123456789"
CONFIG = "version: 1\nstore: sqlite:///video.db\ndomains:\n  video: {extends: video}\n"
SECONDS = 60.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from tastemaker.core.cli import main; main()", *arguments]


def environment(key: str) -> dict[str, str]:
    return {**os.environ, "YOUTUBE_API_KEY": key, "COLUMNS": "120"}


@contextmanager
def running(folder: Path, key: str, *overrides: str) -> Iterator[str]:
    """The served program's URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = subprocess.Popen(
        command("serve", "--port", str(port), *overrides),
        cwd=folder, env=environment(key), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert program.stderr is not None
    try:
        until = time.monotonic() + SECONDS
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5).close()
                break
            except OSError:
                assert program.poll() is None, program.stderr.read()
                assert time.monotonic() < until
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        program.terminate()
        program.communicate(timeout=30)


def got(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return json.load(answer)


def test_without_a_key_it_shows_its_sample(folder: Path) -> None:
    with running(folder, "") as url:
        slate = got(f"{url}/v1/video/recommendations/ann")
        assert len(slate["items"]) == 10
        assert slate["degraded"] == []
        assert all(item["id"].startswith("s") for item in slate["items"])
    said = subprocess.run(
        command("doctor", "video"),
        cwd=folder,
        env=environment(""),
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stdout
    assert "not configured" in said.stdout


def test_with_a_key_the_same_config_is_live(folder: Path) -> None:
    server = Server(key=KEY)
    with serve(server.app) as base:
        override = ("--set", f"domains.video.connectors.youtube.url={base}")
        with running(folder, KEY, *override) as url:
            until = time.monotonic() + SECONDS
            # The harvest begins with the server: first the chart, then the seeds.
            while len(server.calls("search")) < 3:
                assert time.monotonic() < until
                time.sleep(0.2)
            slate = got(f"{url}/v1/video/recommendations/ann")
            assert len(slate["items"]) == 10
            assert {item["id"] for item in slate["items"]} <= {clip.id for clip in clips()}
        said = subprocess.run(
            command("doctor", "video", *override),
            cwd=folder, env=environment(KEY), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert said.returncode == 0, said.stdout + said.stderr
        assert re.search(r"youtube.*", said.stdout), said.stdout
        assert KEY not in said.stdout + said.stderr
    assert not [asked for asked in server.log if asked.status >= 400]
