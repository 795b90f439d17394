"""The HTTP API: what app developers call."""

from .app import create_app

__all__ = ["create_app"]
