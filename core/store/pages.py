"""Whether a text stands in what SQLite leaves unused of a file: `python pages.py FILE`, the text on standard input.

A program of its own, as a process that closes a file lets go of all the locks that it has on it, SQLite's among them:
https://www.sqlite.org/howtocorrupt.html, section 2.2.
"""

import sys


def left_over(path: str, text: bytes) -> bool:
    """Whether `text` stands in the unused middle of a page.

    SQLite overwrites what is deleted (secure_delete), but not the copies that remain there when it moves rows
    on or between pages. https://www.sqlite.org/fileformat2.html#b_tree_pages
    """
    with open(path, "rb") as pages:
        size = int.from_bytes(pages.read(100)[16:18])
        size = 65536 if size == 1 else size
        pages.seek(0)
        number = 0
        while some := pages.read(size * 1024):
            if text in some:
                for start in range(0, len(some), size):
                    if text in _unused(some[start : start + size], 100 if number + start == 0 else 0):
                        return True
            number += len(some)
    return False


def _unused(page: bytes, head: int) -> bytes:
    kind = page[head]
    if kind not in (2, 5, 10, 13):
        return b""  # no page of a tree
    cells = int.from_bytes(page[head + 3 : head + 5])
    content = int.from_bytes(page[head + 5 : head + 7]) or 65536
    return page[head + (12 if kind < 10 else 8) + 2 * cells : content]


if __name__ == "__main__":
    print(left_over(sys.argv[1], sys.stdin.buffer.read()))
