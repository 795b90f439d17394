"""Importing one plugin, and telling in one line what went wrong with it."""

import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from .errors import PluginError


class PluginProblem(PluginError):
    """What is wrong with one plugin, component or preset.

    code: as in the configuration's problems: E04 unknown, E08 broken, E09 wrong kind, E10 unknown preset,
    E13 names that clash.
    hint: what would be right; may be empty.
    """

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(f"{message}; {hint}" if hint else message)
        self.code, self.message, self.hint = code, message, hint


@dataclass(frozen=True, slots=True)
class Found:
    """A plugin that can be imported: where it comes from, and how."""

    name: str
    distribution: str
    version: str
    bring: Callable[[], Any]

    def __str__(self) -> str:
        return label(self.name, self.distribution, self.version)


def label(name: str, distribution: str, version: str) -> str:
    """A plugin as people read of it: its name, and the package that it is from."""
    return f"{name!r} ({' '.join(filter(None, (distribution, version)))})"


def behind(point: EntryPoint) -> Found:
    """The plugin behind an entry point."""
    distribution = point.dist
    name = distribution.name if distribution else point.module
    return Found(point.name, name, distribution.version if distribution else "", point.load)


def import_file(path: Path) -> ModuleType:
    """Run a Python file as a module with a name of its own, with no cache beside the file."""
    name = f"_tastemaker_plugin_{path.stem}_{sha256(str(path).encode()).hexdigest()[:12]}"
    module = ModuleType(name)
    module.__file__ = str(path)
    code = compile(path.read_bytes(), str(path), "exec")
    sys.modules[name] = module  # pydantic looks here for the names in a component's annotations
    try:
        exec(code, module.__dict__)  # this is what importing is
    except BaseException:
        del sys.modules[name]
        raise
    return module


def attempt(plugin: Found, failed: str, action: Callable[[], Any]) -> Any:
    """What the action gives. Raises PluginProblem, whatever a plugin's code raises."""
    try:
        return action()
    except (Exception, SystemExit) as error:
        raise PluginProblem("E08", broken(plugin, failed, error)) from error


def broken(plugin: object, failed: str, error: BaseException) -> str:
    """What failed in a plugin, and why, in one line."""
    return f"the plugin {plugin} {failed}: {reason(error)}"


def reason(error: BaseException) -> str:
    """An exception in one line, with the place in the plugin's own code where it came up."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    if isinstance(error, pluggy.PluginValidationError):
        return next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), first)
    said = f"{type(error).__name__}: {first}" if first else type(error).__name__
    if isinstance(error, SyntaxError):
        return said
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).parent != Path(__file__).parent and "importlib" not in frame.filename
    ]
    return f"{said} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else said


def brief(value: Any) -> str:
    """A value in at most 80 characters."""
    try:
        text = repr(value)
    except Exception:  # a plugin's code may raise anything
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else text[:79] + "…"
