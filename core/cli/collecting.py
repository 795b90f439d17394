"""`tastemaker collect`: run collectors here and now."""

from typing import TYPE_CHECKING, Annotated

import typer

from .failing import FAILED, Misuse, guarded, plain_warnings
from .options import ConfigOption, DomainArgument, JsonOption, SetOption, only, plan_of, settings_of
from .output import as_json, counted, say
from .tables import show_faults

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..collecting import CollectorRun
    from ..config import Settings


@guarded
def collect(
    domain: DomainArgument,
    name: Annotated[
        str | None,
        typer.Argument(help="A collector of the domain; without one all of them.", show_default=False),
    ] = None,
    config: ConfigOption = None,
    set: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Run the collectors of a domain, or one of them.

    What they bring is written as it comes, and a server on the same store takes it up within a second. While another
    process runs one, it can't be run here.
    """
    import asyncio

    from ..errors import did_you_mean

    settings = settings_of(config, set)
    plan = plan_of(settings, domain)
    names = [step.name for step in plan.collectors]
    left = {path.partition(".")[2]: out.why for path, out in plan.left_out.items() if path.startswith("coll")}
    if name is not None and name not in names:
        if name in left:
            raise Misuse(f"the collector {name!r} takes no part: {left[name]}")
        known = did_you_mean(name, names) or "; it has none"
        raise Misuse(f"no collector of {domain} is called {name!r}{known}")
    plain_warnings("agent", "schedules")
    done = asyncio.run(_collected(only(settings, plan), domain, names if name is None else [name]))
    if json:
        from ..diagnosis import shown_run

        as_json({each: shown_run(run) for each, run in done.items()})
    else:
        for each, run in done.items():
            _show(f"{domain}.{each}", run)
        for each, why in left.items() if name is None else ():
            say(f"{domain}.{each}: left out: {why}")
        if not names and not left:
            say(f"{domain} has no collectors")
    if any(run.status != "done" or 0 < run.rows == run.rejected for run in done.values()):
        raise typer.Exit(FAILED)


async def _collected(settings: "Settings", domain: str, names: "Sequence[str]") -> "dict[str, CollectorRun]":
    from ..orchestrator import Orchestrator

    async with Orchestrator(settings, follow=False) as tastemaker:
        return {name: await tastemaker.collect(domain, name, "cli") for name in names}


def _show(name: str, run: "CollectorRun") -> None:
    show_faults([f"{fault.where}: {fault.message}" for fault in run.faults], run.rejected)
    said = f"{counted(run.written, 'item')} written, {run.unchanged:,} unchanged, {run.removed:,} removed"
    if run.interactions or run.duplicates:
        said += f"; {counted(run.interactions, 'interaction')} written, {run.duplicates:,} there already"
    said += f"; {counted(run.rejected, 'row')} rejected"
    for note in (run.note, run.error):
        said += f": {note}" if note else ""
    say(f"{name}: {run.status}: {said}" if run.status != "done" else f"{name}: {said}")
