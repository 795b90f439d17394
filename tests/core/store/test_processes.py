"""Several processes on one database."""

import signal
import subprocess
import time
from collections.abc import Callable, Sequence

from tastemaker.core.store import Entry, Store

Open = Callable[..., Store]
Program = Callable[..., "subprocess.Popen[str]"]


def go(processes: Sequence["subprocess.Popen[str]"]) -> None:
    """Wait until all are ready, then start them at once."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


def test_a_reader_sees_what_three_processes_append_in_order_and_without_gaps(
    store: Store, program: Program
) -> None:
    count = 600
    processes = [program("append", name, count) for name in ("ada", "bob", "eve")]
    go(processes)
    seen: list[Entry] = []
    end = 0
    deadline = time.monotonic() + 120
    while len(seen) < 3 * count and time.monotonic() < deadline:
        page = store.read(end, limit=100)
        assert [entry.position for entry in page] == list(range(end + 1, end + 1 + len(page)))
        seen += page
        end += len(page)
    assert [process.wait(10) for process in processes] == [0, 0, 0]
    assert store.read(end) == []
    assert store.end() == 3 * count
    times = [entry.time for entry in seen]
    assert times == sorted(times)
    for name in ("ada", "bob", "eve"):
        # Each process sees its own appends in the order of its calls.
        own = [entry.id for entry in seen if entry.user == name]
        assert own == [f"{name}-{number}" for number in range(count)]


def test_what_was_acknowledged_outlives_a_kill(program: Program, open_store: Open) -> None:
    process = program("append_forever")
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().strip() for _ in range(400)]
    process.send_signal(signal.SIGKILL)
    # A line that the kill cut short was not read as an acknowledgement by anyone.
    acknowledged += [line.strip() for line in process.stdout if line.endswith("\n")]
    process.wait(10)
    store = open_store()
    kept = {entry.id for entry in store.read(0, limit=1_000_000)}
    assert len(acknowledged) >= 400
    assert set(acknowledged) <= kept
    positions = [entry.position for entry in store.read(0, limit=1_000_000)]
    assert positions == list(range(1, len(positions) + 1))


def test_the_same_entries_from_three_processes_are_written_once(store: Store, program: Program) -> None:
    processes = [program("append_same", 300) for _ in range(3)]
    go(processes)
    new = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert sum(new) == 300
    entries = store.read(0, limit=1000)
    assert sorted(int(entry.id) for entry in entries) == list(range(300))
    assert [entry.position for entry in entries] == list(range(1, 301))


def test_of_three_processes_one_ticks(open_store: Open, program: Program) -> None:
    # The log's last entry is an hour old, so a tick is due.
    store = open_store(clock=lambda: time.time() - 3600)
    store.append([Entry("slate", "1", "music", "ada", b"{}")]).result()
    processes = [program("tick", 600) for _ in range(3)]
    go(processes)
    said = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert sorted(said) == ["False", "False", "True"]
    assert [entry.kind for entry in store.read(0)] == ["slate", "tick"]


def test_four_processes_open_a_new_database_at_once(program: Program, open_store: Open) -> None:
    processes = [program("open_and_append", name) for name in "abcd"]
    go(processes)
    assert [process.communicate(timeout=60)[0] for process in processes] == ["done\n"] * 4
    assert sorted(entry.id for entry in open_store().read(0)) == list("abcd")
