"""The command line: `tastemaker` and its commands, each group in a file of its own.

Nothing heavy is imported before a command needs it, so that help and mistakes are answered at once.
"""

from .app import app, main

__all__ = ["app", "main"]
