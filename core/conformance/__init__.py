"""The contract of the components as checks that a plugin's tests put its own to."""

from .component import check_component

__all__ = ["check_component"]
