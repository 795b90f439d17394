"""The outside world: files, services and models, each behind a typed component."""
