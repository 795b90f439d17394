"""docs/cli.md says what the program is."""

import re
from pathlib import Path

import typer
from tastemaker.core.cli import app

PAGE = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()


def options(command: object) -> set[str]:
    """The options of a command and of those below it."""
    own = {
        option
        for param in getattr(command, "params", ())
        for option in (*param.opts, *param.secondary_opts)
        if option.startswith("-")
    }
    return own.union(*(options(inner) for inner in getattr(command, "commands", {}).values()))


def test_every_command_has_its_section():
    commands = typer.main.get_command(app).commands
    sections = re.findall(r"^## (.+)$", PAGE, flags=re.MULTILINE)
    assert set(commands) <= set(sections)
    listed = re.findall(r"^\| \[`(\w+)`\]\(#(\w+)\)", PAGE, flags=re.MULTILINE)
    assert [name for name, anchor in listed] == [anchor for name, anchor in listed] == list(commands)


def test_every_option_that_it_names_is_there():
    known = options(typer.main.get_command(app)) | {"--help"}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE))
    assert named <= known
    assert {option for option in known - named if option.startswith("--")} <= {"--version"}
