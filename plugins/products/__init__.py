"""E-commerce products: a preset for shops, from a view to a purchase, and what only shops need."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...core import Component, hookimpl
from .bought_together import BoughtTogether
from .just_bought import JustBought
from .price_fit import PriceFit


@hookimpl
def components() -> Sequence[type[Component]]:
    """What this plugin offers."""
    return [BoughtTogether, JustBought, PriceFit]


@hookimpl
def presets() -> Mapping[str, Path]:
    """The domain as YAML."""
    return {"products": Path(__file__).with_name("products.yaml")}
