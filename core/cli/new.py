"""`tastemaker new domain` and `new plugin`: a beginning that works."""

from pathlib import Path
from typing import Annotated

import typer

from .failing import Misuse, guarded
from .output import Column, counted, say, table

new = typer.Typer(name="new", help="Begin a domain from a data file, or a plugin.", no_args_is_help=True)


@new.command("domain")
@guarded
def domain(
    name: Annotated[str, typer.Argument(help="What the domain is called, such as books.")],
    source: Annotated[
        Path,
        typer.Option("--from", help="The items: CSV, TSV, JSON, JSON Lines or Parquet.", show_default=False),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Where to write it; else NAME.yaml here. - prints it.", show_default=False),
    ] = None,
    id: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The column that holds the id.", show_default=False)
    ] = None,
    format: Annotated[
        str | None, typer.Option(help="csv, tsv, json, jsonl or parquet, where the name doesn't tell.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
) -> None:
    """Write a configuration from a data file: its fields guessed, a composition that fits them, with comments."""
    from ..config import load
    from ..registry import Registry
    from ..scaffold import begin_domain
    from .tables import table_of

    if str(source) == "-":
        raise Misuse("--from needs a file: the configuration will name it")
    target = out or Path(f"{name}.yaml")
    to_stdout = str(target) == "-"
    reader = table_of(Registry(), source, format=format)
    draft = begin_domain(name, source, reader, Path.cwd() if to_stdout else target.resolve().parent, id=id)
    if to_stdout:
        typer.echo(draft.yaml, nl=False)
        return
    if target.exists() and not force:
        raise Misuse(f"{target} is there already; choose another --out, or replace it with --force")
    target.write_text(draft.yaml, encoding="utf-8")
    load(target)  # what was written is a configuration: anything else is told at once
    rows = "" if draft.whole else " in the first rows"
    say(f"{source.name}: {counted(draft.rows, 'row')}{rows}, {counted(len(draft.fields), 'field')}\n")
    table(
        ["field", "type", Column("because", whole=True)],
        [
            [draft.id, "id", draft.id_because],
            *([each.name, each.kind, each.because] for each in draft.fields),
        ],
    )
    for remark in draft.remarks:
        say(f"\nnote: {remark}")
    say(f"\nWrote {target}. Read it: every guess can be changed there. Then try:")
    say(f"  tastemaker recommend {name} ann --config {target}")


@new.command("plugin")
@guarded
def plugin(
    name: Annotated[str, typer.Argument(help="What the plugin is called, such as mood.")],
    out: Annotated[
        Path | None, typer.Option(help="The folder to make; else tastemaker-NAME here.", show_default=False)
    ] = None,
    service: Annotated[
        bool, typer.Option("--service", help="Begin with a connector to a service, and what it brings.")
    ] = False,
) -> None:
    """Write a Python package with a plugin that works, and with its tests."""
    from ..scaffold import begin_plugin

    folder = out or Path(f"tastemaker-{name.replace('_', '-')}")
    for path in begin_plugin(name, folder, service=service):
        say(f"wrote {path}")
    say("\nIt works as it is. Try:")
    place = folder if folder.is_absolute() else f"./{folder}"
    say(f"  pip install -e '{place}[test]' && pytest {place}")
    say("  tastemaker plugins")
