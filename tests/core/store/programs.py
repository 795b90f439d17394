"""What the tests run in processes of their own: python programs.py NAME URL ARGUMENT…"""

import sys
from collections import deque
from concurrent.futures import Future

from tastemaker.core.store import Entry, Receipt, Store


def append(url: str, name: str, count: str) -> None:
    """Append `count` entries, some at a time; say when ready, then start at a word."""
    store = Store(url)
    print("ready", flush=True)
    sys.stdin.readline()
    waiting: deque[Future[list[Receipt]]] = deque()
    for number in range(int(count)):
        entry = Entry("interaction", f"{name}-{number}", "music", name, b"{}")
        waiting.append(store.append([entry], durable=number % 3 > 0))
        while len(waiting) > number % 8:
            waiting.popleft().result()
    store.close()


def append_forever(url: str) -> None:
    """Append until killed, and print each id once it is acknowledged."""
    store = Store(url)
    number = 0
    while True:
        ids = [f"{number + more}" for more in range(4)]
        futures = [store.append([Entry("interaction", name, "music", "ada", b"{}")]) for name in ids]
        for name, future in zip(ids, futures, strict=True):
            future.result()
            print(name, flush=True)
        number += 4


def append_same(url: str, count: str) -> None:
    """Append what every other process appends too; print how many were new."""
    store = Store(url)
    print("ready", flush=True)
    sys.stdin.readline()
    futures = [store.append([Entry("slate", str(n), "music", "ada", b"{}")]) for n in range(int(count))]
    print(sum(not receipt.duplicate for future in futures for receipt in future.result()), flush=True)
    store.close()


def tick(url: str, quiet: str) -> None:
    """Tick once; print whether it was needed."""
    store = Store(url)
    print("ready", flush=True)
    sys.stdin.readline()
    print(store.tick(float(quiet)).result(), flush=True)
    store.close()


def open_and_append(url: str, name: str) -> None:
    """Open a database that may not exist yet, and use it."""
    print("ready", flush=True)
    sys.stdin.readline()
    store = Store(url)
    store.append([Entry("interaction", name, "music", name, b"{}")]).result()
    store.close()
    print("done", flush=True)


PROGRAMS = {
    program.__name__: program for program in (append, append_forever, append_same, tick, open_and_append)
}

if __name__ == "__main__":
    _, name, *arguments = sys.argv
    PROGRAMS[name](*arguments)
