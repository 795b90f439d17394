"""The program as a process: its start, its end, and what disturbs it."""

import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest
import tastemaker.core
from tastemaker.core.store import Store


def test_nothing_heavy_is_loaded_before_a_command_needs_it():
    heavy = "{'numpy', 'scipy', 'pydantic', 'sqlalchemy', 'fastapi', 'rich.table'}"
    code = f"import sys; import tastemaker.core.cli; print({heavy} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"


def test_every_public_name_is_there_when_it_is_asked_for():
    assert tastemaker.core.__all__ == sorted(tastemaker.core.__all__)
    assert all(getattr(tastemaker.core, name) is not None for name in tastemaker.core.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Scorrer'"):
        _ = tastemaker.core.Scorrer


def test_recommend_explain_and_validate_from_a_fresh_folder(process, folder):
    said = process("validate")
    assert said.code == 0
    assert "config.yaml is valid: 1 domain" in said.out
    slate = process("recommend", "books", "ann", "--json").json()
    assert len(slate["items"]) == 3
    assert (folder / "taste.db").is_file()
    told = process("explain", slate["slate"])
    assert told.code == 0
    assert slate["slate"] in told.out


def test_an_unexpected_error_is_one_line_and_shows_its_traceback_on_demand(process, folder):
    (folder / "broken.py").write_text(
        "from tastemaker.core import Scorer, hookimpl\n"
        "@hookimpl\n"
        "def shutdown(orchestrator):\n"
        "    pass\n"
        "@hookimpl\n"
        "def startup(orchestrator):\n"
        "    orchestrator.recommend = None\n"
    )
    arguments = ("recommend", "books", "ann", "--set", "plugins=[./broken.py]")
    said = process(*arguments)
    assert said.code == 1
    assert said.err.startswith("error: unexpected TypeError")
    assert "TASTEMAKER_DEBUG=1" in said.err
    assert "Traceback" not in said.err
    assert "Traceback" in process(*arguments, TASTEMAKER_DEBUG="1").err


def test_a_reader_that_goes_away_is_no_error(start):
    program = start("schema")
    assert program.stdout is not None
    assert program.stderr is not None
    program.stdout.close()  # before the program has come to write anything
    assert program.wait(60) == 141
    assert program.stderr.read() == ""


def test_ctrl_c_during_an_import_leaves_nothing(start, folder):
    with (folder / "many.csv").open("w") as file:
        file.write("isbn,title,rating\n")
        file.writelines(f"m{number},Title {number},{number % 5}\n" for number in range(400_000))
    store = Store(f"sqlite:///{folder / 'taste.db'}")
    store.close()
    program = start("import", "books", "many.csv")
    _wait_for(program, lambda: "many.csv" in _open_files(program))
    time.sleep(0.1)
    program.send_signal(signal.SIGINT)
    assert program.wait(60) == 130
    assert program.stderr is not None
    assert program.stderr.read() == "stopped: nothing was imported\n"
    store = Store(f"sqlite:///{folder / 'taste.db'}")
    assert store.count_items("books") == 0
    store.close()


def test_ctrl_c_that_comes_too_late_for_an_import_lets_it_finish(start, folder):
    with (folder / "many.csv").open("w") as file:
        file.write("isbn,title,rating\n")
        file.writelines(f"m{number},Title {number},{number % 5}\n" for number in range(200_000))
    journal = folder / "taste.db-wal"
    program = start("import", "books", "many.csv")
    _wait_for(program, lambda: journal.exists() and journal.stat().st_size > 1_000_000)  # it writes
    program.send_signal(signal.SIGINT)
    assert program.wait(60) == 0
    assert program.stdout is not None
    assert "200,000 items written" in program.stdout.read()
    store = Store(f"sqlite:///{folder / 'taste.db'}")
    assert store.count_items("books") == 200_000
    store.close()


def test_serve_says_what_to_try_and_ends_quietly(start):
    program = start("serve", "--port", "0")
    assert program.stdout is not None
    assert program.stderr is not None
    first = program.stdout.readline()
    url = first.split()[-1]
    with urllib.request.urlopen(f"{url}/v1/books/recommendations/ann?limit=2", timeout=30) as answer:
        assert answer.status == 200
    program.send_signal(signal.SIGINT)
    assert program.wait(60) in (0, 130)
    assert "Traceback" not in program.stderr.read()


def test_ctrl_c_during_an_import_of_interactions_says_that_it_can_be_started_again(start, process, folder):
    with (folder / "acts.csv").open("w") as file:
        file.write("user,item,kind\n")
        file.writelines(f"u{number},{number % 6 + 1},click\n" for number in range(200_000))
    program = start("import", "books", "acts.csv", "--interactions")
    deadline = time.monotonic() + 60
    store = None
    while store is None or store.end() < 5_000:
        assert time.monotonic() < deadline
        assert program.poll() is None
        time.sleep(0.05)
        if store is None and (folder / "taste.db-wal").exists():
            store = Store(f"sqlite:///{folder / 'taste.db'}")
    program.send_signal(signal.SIGINT)
    assert program.wait(60) == 130
    assert program.stderr is not None
    said = program.stderr.read()
    assert said.startswith("stopped after ")
    assert said.endswith("interactions; the same file again counts none twice\n")
    written = int(said.split()[2].replace(",", ""))
    logged = sum(1 for _ in entries(store))
    store.close()
    assert written <= logged <= written + 1_000  # the batch at hand may have been written, too
    assert logged % 1_000 == 0


def _wait_for(program, condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        assert program.poll() is None
        time.sleep(0.005)


def _open_files(program):
    try:
        return {Path(file.path).name for file in psutil.Process(program.pid).open_files()}
    except psutil.NoSuchProcess:
        return set()


def entries(store):
    position = 0
    while found := store.read(position):
        yield from (entry for entry in found if entry.kind == "interaction")
        position = found[-1].position


def test_a_source_that_hangs_holds_up_neither_the_answer_nor_the_end(process, folder):
    (folder / "slow.py").write_text(
        "import time\n"
        "from tastemaker.core import Source, hookimpl\n"
        "class Never(Source):\n"
        "    def propose(self, context):\n"
        "        time.sleep(600)\n"
        "@hookimpl\n"
        "def components():\n"
        "    return [Never]\n"
    )
    hang = "domains.books.sources.hang={use: slow.never, timeout_ms: 100}"
    ran = process("recommend", "books", "ann", "--set", "plugins=[./slow.py]", "--set", hang)
    assert ran.code == 0, ran.err
    # 100 ms, or what a slow start has left of the request's time.
    assert re.search(r"degraded: sources\.hang: gave no answer within \d+ ms", ran.out), ran.out
