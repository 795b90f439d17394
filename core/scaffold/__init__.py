"""Beginnings: a domain's configuration written from a data file, and a plugin's package."""

from .columns import Guess, guess_columns
from .domain import Draft, begin_domain
from .plugin import begin_plugin

__all__ = ["Draft", "Guess", "begin_domain", "begin_plugin", "guess_columns"]
