"""`tastemaker serve`: the HTTP API."""

from typing import Annotated

import typer

from .failing import guarded
from .options import ConfigOption, SetOption, settings_of
from .output import note, say


@guarded
def serve(
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on; else that of the configuration.", show_default=False),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.", show_default=False),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that serve.")] = 1,
    access_log: Annotated[bool, typer.Option("--access-log", help="Log every request.")] = False,
    config: ConfigOption = None,
    set: SetOption = None,
) -> None:
    """Serve recommendations over HTTP, until Ctrl-C."""
    settings = settings_of(config, set)
    if not settings.domains:
        note(f"{settings.path} configures no domain; add one with: tastemaker new domain NAME --from FILE")
    from ..api.serving import serve as run

    run(settings, host, port, workers, access_log, overrides=set or (), announce=say)
