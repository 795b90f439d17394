"""`tastemaker import`: items, or past interactions, from a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from ..errors import did_you_mean
from .failing import FAILED, STOPPED, Misuse, guarded, plain_warnings
from .options import ConfigOption, DomainArgument, JsonOption, SetOption, only, pairs, plan_of, settings_of
from .output import as_json, counted, note, say
from .tables import Table, check_columns, progress_bar, show_faults, table_of

if TYPE_CHECKING:
    from ..config import DomainPlan, Settings
    from ..stock.ingest import Report

_INTERACTION = ["user", "item", "kind", "time", "value", "id", "slate", "position"]


@guarded
def import_file(
    domain: DomainArgument,
    file: Annotated[Path, typer.Argument(help="CSV, TSV, JSON, JSON Lines or Parquet; may end in .gz.")],
    columns: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD=COLUMN", help="Read a field from a column of another name; repeatable."),
    ] = None,
    id: Annotated[str | None, typer.Option(metavar="COLUMN", help="The column that holds the id.")] = None,
    format: Annotated[
        str | None, typer.Option(help="csv, tsv, json, jsonl or parquet, where the name doesn't tell.")
    ] = None,
    separator: Annotated[str | None, typer.Option(help="What separates tags in a cell; else |.")] = None,
    interactions: Annotated[
        bool,
        typer.Option(
            "--interactions", help="The file holds what people did: user, item, kind, time, value, id."
        ),
    ] = False,
    kind: Annotated[
        str | None, typer.Option(help="With --interactions: the kind of rows that don't tell theirs.")
    ] = None,
    config: ConfigOption = None,
    set: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Import items, or what people did, from a file.

    Items come beside those that the domain has, all together or, where it is stopped, not at all. Rows that can't
    be read are reported and left out. The same file again changes nothing.
    """
    settings = settings_of(config, set)
    plan = plan_of(settings, domain)
    mapped = pairs(columns, "--columns", "title=Name")
    names = _INTERACTION if interactions else [plan.items.schema.id, *plan.items.schema.fields]
    for name in mapped:
        if name not in names:
            what = "interactions have no field" if interactions else f"{domain!r} has no field"
            raise Misuse(f"--columns: {what} {name!r}{did_you_mean(name, names)}")
    if id is not None:
        mapped["id" if interactions else plan.items.schema.id] = id
    if kind is not None and not interactions:
        raise Misuse("--kind goes with --interactions")
    if separator is None:
        separator = plan.items.schema.separator
    reader = table_of(settings.registry, file, format=format, columns=mapped, separator=separator)
    plain_warnings()
    if interactions:
        from .importing_interactions import import_interactions

        import_interactions(only(settings, plan), plan, reader, file, mapped, kind, json=json)
    else:
        _import_items(settings, plan, reader, file, mapped, json=json)


def _import_items(
    settings: "Settings", plan: "DomainPlan", reader: Table, file: Path, mapped: dict[str, str], *, json: bool
) -> None:
    try:
        report, absent = _written(settings, plan, reader, file, mapped)
    except KeyboardInterrupt:
        note("stopped: nothing was imported")
        raise typer.Exit(STOPPED) from None
    kept = report.written + report.unchanged
    if json:
        faults = [{"where": fault.where, "message": fault.message} for fault in report.faults]
        counts = {"written": report.written, "unchanged": report.unchanged, "rejected": report.rejected}
        as_json({"domain": plan.name, "file": str(file), **counts, "absent_fields": absent, "faults": faults})
    else:
        show_faults([f"{fault.where}: {fault.message}" for fault in report.faults], report.rejected)
        if absent and kept:
            shown = ", ".join(absent[:6]) + (f" and {len(absent) - 6} more" if len(absent) > 6 else "")
            note(f"no column for {shown}: left without a value (see --columns)")
        say(
            f"{plan.name}: {counted(report.written, 'item')} written, {report.unchanged:,} unchanged, "
            f"{counted(report.rejected, 'row')} rejected"
        )
        if not kept and not report.rejected:
            say(f"{file} holds no rows")
    if not kept and report.rejected:
        raise typer.Exit(FAILED)


def _written(
    settings: "Settings", plan: "DomainPlan", reader: Table, file: Path, mapped: dict[str, str]
) -> "tuple[Report, list[str]]":
    """What became of the file's rows, and the fields that it has no column for."""
    from dataclasses import replace

    from ..components import Collector
    from ..stock.ingest import ingest
    from ..stock.sample import drop_sample, has_others
    from ..store import Store

    schema = plan.items.schema
    wanted = {"id": mapped.get(schema.id, schema.id)}
    found = check_columns(reader, file, wanted, "name it with --id")
    absent = [name for name in schema.fields if mapped.get(name, name) not in found]
    store = Store(settings.store.get_secret_value())
    try:
        with progress_bar(f"reading {file.name}", reader.size()) as progress:
            report = ingest(
                store,
                plan.name,
                replace(schema, separator=reader.separator),
                cast("Collector", reader),
                "import",
                progress=progress,
            )
        if has_others(store, plan):
            drop_sample(store, plan)
        return report, absent
    finally:
        store.close()
