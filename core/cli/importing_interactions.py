"""`tastemaker import --interactions`: what people did, from a file into the log."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import typer

from ..catalog.items import item_id, typed_value
from ..collection import Collection, Fault, Record
from ..errors import ItemError
from ..interaction import Interaction
from .failing import FAILED
from .output import as_json, counted, note, say
from .tables import Table, check_columns, progress_bar, show_faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..config import DomainPlan, Settings

_BATCH = 1000
_MOST_FAULTS = 1000


@dataclass(slots=True)
class _Report:
    """What became of the rows; unknown: of those written, how many name an item that the catalogue lacks."""

    written: int = 0
    duplicate: int = 0
    unknown: int = 0
    rejected: int = 0
    faults: list[Fault] = field(default_factory=list)


def import_interactions(
    settings: "Settings",
    plan: "DomainPlan",
    reader: Table,
    file: Path,
    mapped: Mapping[str, str],
    kind: str | None,
    *,
    json: bool,
) -> None:
    """Log the rows of a file as interactions, in their order; what was logged before counts once."""
    needed = ["user", "item"] + ([] if kind else ["kind"])
    fix = "say where it is with --columns, such as --columns user=customer, or the same for all rows with --kind"
    check_columns(reader, file, {name: mapped.get(name, name) for name in needed}, fix)
    report = _Report()
    with progress_bar(f"reading {file.name}", reader.size()) as progress:
        asyncio.run(_log(settings, plan.name, reader, kind, report, progress))
    if json:
        counts = {name: getattr(report, name) for name in ("written", "duplicate", "unknown", "rejected")}
        faults = [{"where": fault.where, "message": fault.message} for fault in report.faults]
        as_json({"domain": plan.name, "file": str(file), **counts, "faults": faults})
    else:
        show_faults([f"{fault.where}: {fault.message}" for fault in report.faults], report.rejected)
        if report.unknown:
            note(f"{counted(report.unknown, 'interaction')} with items that are not in the catalogue")
        say(
            f"{plan.name}: {counted(report.written, 'interaction')} written, {report.duplicate:,} there already, "
            f"{counted(report.rejected, 'row')} rejected"
        )
    if report.rejected and not report.written and not report.duplicate:
        raise typer.Exit(FAILED)


async def _log(
    settings: "Settings",
    domain: str,
    reader: Table,
    kind: str | None,
    report: _Report,
    progress: "Callable[[int], None]",
) -> None:
    from anyio import to_thread

    from ..orchestrator import Orchestrator

    async with Orchestrator(settings, follow=False) as tastemaker:
        now = tastemaker.clock()
        try:
            rows = reader.collect(Collection(domain, now))
            for batch in _batches(_interactions(rows, domain, kind, now, report, progress)):
                for recorded in await tastemaker.record(batch):
                    if recorded.duplicate:
                        report.duplicate += 1
                    else:
                        report.written += 1
                        report.unknown += any("no item" in warning for warning in recorded.warnings)
        except asyncio.CancelledError:
            note(
                f"stopped after {counted(report.written, 'interaction')}; the same file again counts none twice"
            )
            raise
        await to_thread.run_sync(tastemaker.learn)
        await to_thread.run_sync(tastemaker.learner.save)


def _batches(interactions: Iterator[Interaction]) -> Iterator[list[Interaction]]:
    batch: list[Interaction] = []
    for interaction in interactions:
        batch.append(interaction)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _interactions(
    rows: Iterable[Record | Fault],
    domain: str,
    kind: str | None,
    now: float,
    report: _Report,
    progress: "Callable[[int], None]",
) -> Iterator[Interaction]:
    """The rows that can be taken; the others are noted in the report."""
    equal: Counter[bytes] = Counter()
    for row in rows:
        if isinstance(row, Fault):
            _reject(report, row)
            continue
        progress(row.offset)
        try:
            yield _interaction(row.values, domain, kind, now, equal)
        except ItemError as error:
            _reject(report, Fault(row.where, str(error)))


def _interaction(
    values: Mapping[str, Any], domain: str, kind: str | None, now: float, equal: "Counter[bytes]"
) -> Interaction:
    """One row as an interaction. Raises ItemError.

    Without an id it gets one from what it says, and from how many equal rows stood before it: so a file counts
    once however often it is read, and two equal rows in it count as two.
    """
    user, item = item_id(values.get("user"), "user"), item_id(values.get("item"), "item")
    did = item_id(_given(values, "kind") or kind, "kind")
    time, value = _typed(values, "time", "time"), _typed(values, "value", "number")
    position = _typed(values, "position", "number")
    slate = _given(values, "slate")
    identity = _given(values, "id")
    if identity is None:
        said = hashlib.sha256(repr((domain, user, item, did, time, value)).encode()).digest()[:16]
        identity = f"import-{said.hex()}-{equal[said]}"
        equal[said] += 1
    return Interaction(
        id=item_id(identity),
        domain=domain,
        user=user,
        item=item,
        kind=did,
        time=now if time is None else time,
        value=value,
        slate=None if slate is None else item_id(slate, "slate"),
        position=None if position is None else int(position),
    )


def _typed(values: Mapping[str, Any], name: str, kind: Literal["time", "number"]) -> float | None:
    """A number or a time, None where the cell is empty. Raises ItemError."""
    given = _given(values, name)
    return None if given is None else cast("float | None", typed_value(name, kind, given))


def _given(values: Mapping[str, Any], name: str) -> Any:
    """A value, or None where the cell is empty."""
    value = values.get(name)
    return None if isinstance(value, str) and not value.strip() else value


def _reject(report: _Report, fault: Fault) -> None:
    report.rejected += 1
    if len(report.faults) < _MOST_FAULTS:
        report.faults.append(fault)
