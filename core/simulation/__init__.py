"""Simulated people: what a domain's learning is worth, measured on its own catalogue before anybody real comes."""

from .answers import Habits
from .experiment import Experiment, Lift, run
from .people import Hidden
from .plot import plot
from .report import sentence, table

__all__ = ["Experiment", "Habits", "Hidden", "Lift", "plot", "run", "sentence", "table"]
