"""How a command fails: one clear message, a fixed exit code, and never a traceback.

Exit codes: 0 done; 1 what was asked for failed; 2 the command line or the configuration is wrong; 130 stopped
by Ctrl-C; 141 the reader of the output went away.
"""

import logging
import os
import sys
import traceback
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import typer

from ..errors import ConfigError, Conflict, NotFound, RequestError, TastemakerError

P = ParamSpec("P")
T = TypeVar("T")

FAILED, MISUSED, STOPPED, UNREAD = 1, 2, 130, 141

DEBUG = "TASTEMAKER_DEBUG"


class Misuse(RequestError):
    """The command line asks for something that can't be."""


def guarded(command: Callable[P, T]) -> Callable[P, T]:
    """The command, with whatever goes wrong in it told in a line and an exit code."""

    @wraps(command)
    def run(*arguments: P.args, **options: P.kwargs) -> T:
        try:
            result = command(*arguments, **options)
            sys.stdout.flush()
            return result
        except typer.Exit:
            raise
        except KeyboardInterrupt:
            raise typer.Exit(STOPPED) from None
        except BrokenPipeError:
            _let_go_of_output()
            raise typer.Exit(UNREAD) from None
        except BaseException as error:
            if os.environ.get(DEBUG) or not isinstance(error, Exception):
                raise
            told, code = _told(error)
            typer.echo(told, err=True)
            raise typer.Exit(code) from None

    return run


def _told(error: Exception) -> tuple[str, int]:
    """The message for an error, and the exit code."""
    match error:
        case ConfigError():
            count = len(error.problems)
            return f"{error}\n{count} {'problem' if count == 1 else 'problems'} in the configuration", MISUSED
        case RequestError() if not isinstance(error, NotFound | Conflict):
            return f"error: {error}", MISUSED
        case TastemakerError():
            return f"error: {error}", FAILED
        case ImportError():
            return f"error: {error}", FAILED
        case OSError() if error.strerror:
            where = f"{error.filename}: " if error.filename else ""
            return f"error: {where}{error.strerror}", FAILED
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    said = " ".join(str(error).split())[:300]
    return (
        f"error: unexpected {type(error).__name__}{': ' + said if said else ''}{where}\n"
        f"Run it again with {DEBUG}=1 for the traceback; it belongs into a bug report.",
        FAILED,
    )


def _let_go_of_output() -> None:
    """Nobody reads the output any more: what is still in its buffer must not fail at exit."""
    if sys.stdout is sys.__stdout__ and sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _OneLine(logging.Handler):
    """Shows a warning as one line on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(f"{record.levelname.lower()}: {record.getMessage()}", err=True)


def plain_warnings(*silent: str) -> None:
    """Show what the platform's logger warns of in single lines, without tracebacks.

    silent: loggers below `tastemaker` whose warnings the command tells in its own way.
    """
    if os.environ.get(DEBUG):
        return
    logger = logging.getLogger("tastemaker")
    if not any(isinstance(handler, _OneLine) for handler in logger.handlers):
        logger.addHandler(_OneLine(logging.WARNING))
    logger.propagate = False
    for name in silent:
        logging.getLogger(f"tastemaker.{name}").setLevel(logging.CRITICAL)
