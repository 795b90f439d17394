"""Product feeds: memory and time of reading one as a stream, beside the whole tree or table in memory.

Each figure is a process of its own: its peak of resident memory above what it held when all was imported.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

from .rows import Row, row

_FEW, _MANY = 10_000, 100_000


def run(quick: bool) -> list[Row]:
    """Rows for `python -m bench`."""
    few, many = (100, 1_000) if quick else (_FEW, _MANY)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("xml", "csv"):
            paths = [_written(Path(folder) / f"{count}.{kind}", count) for count in (few, many)]
            small, _, _ = _measured("streamed", paths[0])
            large, seconds, found = _measured("streamed", paths[1])
            whole, whole_seconds, _ = _measured("whole", paths[1])
            size = f"{paths[1].stat().st_size / 1e6:.0f} MB"
            assert found == many
            rows += [
                row(f"feed of {many:,} as {kind}, peak memory beside {few:,}", large, small, "MB", size),
                row(f"feed of {many:,} as {kind}, peak memory beside all at once", large, whole, "MB"),
                row(
                    f"feed of {many:,} as {kind}, time, checked and mapped",
                    seconds,
                    whole_seconds,
                    "s",
                    "read only",
                ),
            ]
    return rows


def _written(path: Path, products: int) -> Path:
    """A feed of so many products with a description of some 200 characters."""
    text = "Cast in one piece, glazed by hand and fired twice, so that it lasts. " * 3
    with path.open("w", encoding="utf-8") as file:
        if path.suffix == ".csv":
            file.write("id,title,description,price,availability,gtin,product_type\n")
            for number in range(products):
                file.write(
                    f'p{number},Mug {number},"{text}",15.00 EUR,in_stock,4006381333931,Kitchen > Mugs\n'
                )
            return path
        file.write(
            '<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel><title>Shop</title>\n'
        )
        for number in range(products):
            file.write(
                f"<item><g:id>p{number}</g:id><title>Mug {number}</title><description>{text}</description>"
                "<g:price>15.00 EUR</g:price><g:availability>in_stock</g:availability>"
                "<g:gtin>4006381333931</g:gtin><g:product_type>Kitchen &gt; Mugs</g:product_type></item>\n"
            )
        file.write("</channel></rss>\n")
    return path


def _measured(how: str, path: Path) -> tuple[float, float, int]:
    """Megabytes, seconds and products of one way of reading, in a process of its own."""
    command = [sys.executable, "-m", "bench.feeds", how, str(path)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=Path(__file__).parent.parent)
    megabytes, seconds, found = json.loads(done.stdout)
    return megabytes, seconds, found


def _streamed(path: Path) -> int:
    from tastemaker.connectors.feed import FeedFile
    from tastemaker.core import Collection, Record

    async def count() -> int:
        feed = FeedFile(path=path)
        return sum([isinstance(each, Record) async for each in feed.collect(Collection("shop", 1.8e9))])

    return asyncio.run(count())


def _whole(path: Path) -> int:
    if path.suffix == ".csv":
        import csv

        with path.open(encoding="utf-8", newline="") as file:
            return len(list(csv.DictReader(file)))
    from xml.etree.ElementTree import parse

    return len(parse(path).getroot().findall("channel/item"))


def _child(arguments: Sequence[str]) -> None:
    ways: dict[str, Callable[[Path], int]] = {"streamed": _streamed, "whole": _whole}
    from tastemaker.connectors import feed, feed_xml  # noqa: F401  # so that they don't count

    before, began = getrusage(RUSAGE_SELF).ru_maxrss, time.perf_counter()
    found = ways[arguments[0]](Path(arguments[1]))
    seconds, after = time.perf_counter() - began, getrusage(RUSAGE_SELF).ru_maxrss
    print(json.dumps([max(after - before, 1) / 1e3, seconds, found]))


if __name__ == "__main__":
    _child(sys.argv[1:])
