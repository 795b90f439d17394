"""The configuration: YAML to settings, with every problem told at its place."""

from .loading import config_path, load
from .options import ApiOptions, LearningOptions, SlateOptions, seconds
from .problems import CODES, Problem
from .schema import json_schema
from .settings import CollectorStep, DomainPlan, ItemsPlan, LeftOut, Settings, Step
from .show import show
from .store_url import shown_url

__all__ = [
    "CODES",
    "ApiOptions",
    "CollectorStep",
    "DomainPlan",
    "ItemsPlan",
    "LearningOptions",
    "LeftOut",
    "Problem",
    "Settings",
    "SlateOptions",
    "Step",
    "config_path",
    "json_schema",
    "load",
    "seconds",
    "show",
    "shown_url",
]
