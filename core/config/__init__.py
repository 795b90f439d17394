"""The configuration: YAML to settings, with every problem told at its place."""

from .loading import config_path, load
from .options import ApiOptions, LearningOptions, SlateOptions
from .problems import CODES, Problem
from .schema import json_schema
from .settings import DomainPlan, ItemsPlan, Settings, Step
from .show import show

__all__ = [
    "CODES",
    "ApiOptions",
    "DomainPlan",
    "ItemsPlan",
    "LearningOptions",
    "Problem",
    "Settings",
    "SlateOptions",
    "Step",
    "config_path",
    "json_schema",
    "load",
    "show",
]
