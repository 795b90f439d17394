"""What a collector is given, and what it yields: records as they stand outside, interactions, and faults."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .catalog.catalog import CatalogSnapshot


@dataclass(slots=True)
class Collection:
    """One run of a collector, as the collector sees it.

    domain: for which it collects. now: when the run began, in seconds since the epoch.
    mark: what the last run that ended well left here, empty before the first one. What the collector sets is kept
    when the run ends well, together with what was collected: such as the time up to which it has read.
    catalog: the domain's items; None where there are none at hand, as in an import.
    partial: a collector that brings only what has changed since the mark sets it; then nothing is removed for being
    left out, whatever `replace` says.
    """

    domain: str
    now: float
    mark: str = ""
    catalog: CatalogSnapshot | None = None
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """One raw item.

    values: by field name, untyped; the domain's schema types them.
    where: for people, such as `books.csv:14`.
    offset: bytes read so far, for a progress bar; 0 where unknown.
    """

    values: Mapping[str, Any]
    where: str = ""
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Fault:
    """One place that can't be read, and why; the rest of the collection goes on."""

    where: str
    message: str
