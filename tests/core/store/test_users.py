"""Profiles, and forgetting a user."""

import os
import random
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from tastemaker.core import StoreError
from tastemaker.core.store import Entry, Store

Open = Callable[..., Store]


def test_a_profile_is_kept_as_it_was_put(store: Store) -> None:
    assert store.profile("ada") is None
    store.put_profile("ada", b'{"openness": 0.7}').result()
    store.put_profile("ada", b'{"openness": 0.8}').result()
    store.put_profile("bob", b"{}").result()
    assert store.profile("ada") == b'{"openness": 0.8}'
    assert store.profile("bob") == b"{}"
    with pytest.raises(StoreError, match="empty"):
        store.put_profile("", b"{}")


def test_a_changed_profile_is_announced_in_the_log(store: Store) -> None:
    store.put_profile("ada", b'{"openness": 0.7}').result()
    assert [(entry.kind, entry.user, entry.body) for entry in store.read(0)] == [("profile", "ada", b"{}")]


def test_a_note_is_kept_until_the_next(open_store: Open) -> None:
    store = open_store()
    assert store.note("collected") is None
    store.put_note("collected", "yesterday")
    store.put_note("collected", "tödäy")
    store.put_note("other", "")
    assert (open_store().note("collected"), store.note("other")) == ("tödäy", "")
    assert store.end() == 0


def test_two_stores_that_write_about_one_user_never_wait_for_each_other(open_store: Open) -> None:
    stores = [open_store(), open_store()]
    futures: list[Future[Any]] = []
    for number in range(60):
        for store in stores:
            futures += [store.put_profile("ada", b"%d" % number), store.erase("ada")]
    for future in futures:
        future.result()
    assert stores[0].profile("ada") is None
    # Of two that erase at the same time, the second may find nothing, and then notes nothing.
    assert 180 <= stores[0].end() <= 240


def test_erasing_nobody_changes_nothing(store: Store) -> None:
    store.append([Entry("interaction", "1", "music", "ada", b"{}")]).result()
    store.checkpoint("music", "thompson", "digest", 1, b"learned from ada")
    assert store.erase("nobody").result() == {"profiles": 0, "accounts": 0, "entries": 0, "versions": 0}
    assert store.end() == 1
    assert store.latest_checkpoint("music", "thompson", "digest") is not None


def test_erasing_a_user_leaves_everyone_else(store: Store) -> None:
    for number, user in enumerate(["ada", "bob", "ada", "adam"]):
        store.append([Entry("interaction", str(number), "music", user, b"{}")])
    store.append([Entry("slate", "s", "music", "ada", b"{}")])
    for user in ("ada", "bob"):
        store.put_profile(user, b"{}")
    store.checkpoint("music", "thompson", "digest", 3, b"learned from ada")
    assert store.erase("ada").result() == {"profiles": 1, "accounts": 0, "entries": 4, "versions": 1}
    assert store.profile("ada") is None
    assert store.history("ada", kinds=("slate", "interaction")) == []
    assert store.latest_checkpoint("music", "thompson", "digest") is None
    assert store.profile("bob") == b"{}"
    assert [(entry.position, entry.kind, entry.user) for entry in store.read(0)] == [
        (2, "interaction", "bob"),
        (4, "interaction", "adam"),
        (7, "profile", "bob"),
        (8, "erasure", ""),
    ]
    assert store.erase("ada").result() == {"profiles": 0, "accounts": 0, "entries": 0, "versions": 0}
    with pytest.raises(StoreError, match="empty"):
        store.erase("")


def test_no_position_is_used_twice_after_an_erasure(store: Store) -> None:
    positions = []
    for number in range(3):
        (receipt,) = store.append([Entry("interaction", "same id", "music", "ada", b"{}")]).result()
        assert not receipt.duplicate
        positions.append(receipt.position)
        store.erase("ada").result()
        positions.append(store.end())
        assert store.end() == 2 * number + 2
    assert positions == [1, 2, 3, 4, 5, 6]


def files_with(path: Path, words: bytes) -> list[str]:
    return [file.name for file in sorted(path.iterdir()) if words in file.read_bytes()]


def test_an_erased_user_is_nowhere_in_the_files(tmp_path: Path, sqlite: str) -> None:
    """Many writes in random order, so that SQLite moves rows between pages, and bodies of several pages."""
    store = Store(sqlite)
    random_ = random.Random(7)
    victim = "victim-5f0c2d"
    users = [victim, *(f"user-{random_.random()}" for _ in range(300))]
    for number in range(4000):
        user = random_.choice(users) if number % 20 else victim
        body = f'{{"user":"{user}"}}'.encode() * random_.choice([1, 2, 400])
        name = f"{user}-{number}" if number % 2 else f"{random_.random()}"
        store.append([Entry("interaction", name, "music", user, body)], durable=False)
        if number % 5 == 0:
            store.put_profile(user, body)
    store.checkpoint("music", "thompson", "digest", 3, victim.encode() * 5000)
    assert "store.db-wal" in files_with(tmp_path, victim.encode())
    gone = store.erase(victim).result()
    assert gone["entries"] > 200
    assert files_with(tmp_path, victim.encode()) == []
    assert len(store.read(0, limit=10_000)) == 4801 - gone["entries"]
    store.close()
    assert files_with(tmp_path, victim.encode()) == []


def test_a_copy_that_sqlite_left_in_the_unused_part_of_a_page_goes_too(tmp_path: Path, sqlite: str) -> None:
    victim = b"victim-5f0c2d"
    store = Store(sqlite)
    store.append([Entry("interaction", "1", "music", victim.decode(), b"{}")]).result()
    store.close()
    file = tmp_path / "store.db"
    content = bytearray(file.read_bytes())
    # In the middle of the last page that is a leaf of a tree and mostly unused.
    size = int.from_bytes(content[16:18])
    start = max(page for page in range(size, len(content), size) if content[page] in (10, 13))
    middle = start + size // 4
    assert not any(content[middle : middle + 100])
    content[middle : middle + len(victim)] = victim
    file.write_bytes(content)
    store = Store(sqlite)
    store.append([Entry("interaction", "2", "music", "bob", b"{}")]).result()
    store.erase(victim.decode()).result()
    assert files_with(tmp_path, victim) == []
    assert [entry.user for entry in store.read(0)] == ["bob", ""]
    store.close()
    with sqlite3.connect(file) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def test_swaps_of_a_profile_by_many_never_lose_one_another(open_store: Open) -> None:
    stores = [open_store(), open_store()]

    def count(store: Store) -> None:
        for _ in range(30):
            done = False
            while not done:
                before = store.profile("ada")
                done = store.swap_profile("ada", before, b"%d" % (int(before or b"0") + 1)).result()

    threads = [threading.Thread(target=count, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stores[0].profile("ada") == b"60"


def test_a_swap_of_what_is_kept_no_more_changes_nothing(store: Store) -> None:
    assert store.swap_profile("ada", None, b"1").result()
    end = store.end()
    assert not store.swap_profile("ada", None, b"2").result()
    assert not store.swap_profile("ada", b"0", b"2").result()
    assert (store.profile("ada"), store.end()) == (b"1", end)
    assert store.swap_profile("ada", b"1", b"2").result()
    assert [(entry.kind, entry.user) for entry in store.read(0)] == [("profile", "ada")] * 2


def locks_on(file: Path) -> int:
    """How many locks this process has on a file, as Linux tells."""
    inode = file.stat().st_ino
    lines = Path("/proc/locks").read_text().splitlines()
    return sum(f":{inode} " in line and f" {os.getpid()} " in line for line in lines)


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="locks are told by Linux alone")
def test_an_erasure_leaves_the_locks_on_the_files_alone(tmp_path: Path, sqlite: str) -> None:
    store = Store(sqlite)
    store.append([Entry("interaction", "1", "music", "ada", b"{}")]).result()
    files = [tmp_path / "store.db", tmp_path / "store.db-shm"]
    before = [locks_on(file) for file in files]
    assert sum(before) > 0
    for user in ("ada", "nobody"):
        store.erase(user).result()
        store.append([Entry("interaction", f"after {user}", "music", "bob", b"{}")]).result()
        assert [locks_on(file) for file in files] == before
    # Another process that looks and leaves doesn't take the journal for its own.
    look = "import sys; from tastemaker.core.store import Store; Store(sys.argv[1]).close()"
    subprocess.run([sys.executable, "-c", look, sqlite], check=True, timeout=60)
    assert (tmp_path / "store.db-wal").exists()
    store.append([Entry("interaction", "2", "music", "bob", b"{}")]).result()
    assert len(store.history("bob")) == 3
    store.close()
