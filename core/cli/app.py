"""The program `tastemaker`: its commands, put together."""

import logging
import os
import sys
import threading
from typing import Annotated

import typer

from . import (
    collecting,
    configuration,
    doctor,
    domains,
    evaluating,
    explaining,
    importing,
    new,
    performance,
    plugins,
    recommending,
    rewards,
    serving,
    simulating,
    training,
    versions,
)

app = typer.Typer(
    name="tastemaker",
    help="Recommenders that learn from what people do, composed of plugins by a YAML file.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"tastemaker {version('tastemaker')}")
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Recommenders that learn from what people do, composed of plugins by a YAML file."""


app.command("serve")(serving.serve)
app.command("validate")(configuration.validate)
app.command("recommend")(recommending.recommend)
app.command("import")(importing.import_file)
app.command("collect")(collecting.collect)
app.command("doctor")(doctor.doctor)
app.command("explain")(explaining.explain)
app.command("rewards")(rewards.rewards)
app.command("performance")(performance.performance)
app.command("simulate")(simulating.simulate)
app.command("evaluate")(evaluating.evaluate)
app.command("train")(training.train)
app.command("runs")(training.runs)
app.command("versions")(versions.versions)
app.command("save")(versions.save)
app.command("promote")(versions.promote)
app.command("rollback")(versions.rollback)
app.command("export")(versions.export)
app.command("domains")(domains.domains)
app.command("plugins")(plugins.plugins)
app.command("schema")(configuration.schema)
app.add_typer(configuration.config)
app.add_typer(new.new)


def main() -> None:
    """Run the program, as the script `tastemaker` does.

    A thread in which a component hangs doesn't keep it from ending.
    """
    code: str | int | None = 0
    try:
        app()
    except SystemExit as end:
        code = end.code
    left = [
        thread
        for thread in threading.enumerate()
        if not thread.daemon and thread is not threading.main_thread()
    ]
    if not left:
        sys.exit(code)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)
