"""The schema of the store, version by version (Alembic)."""

# The newest revision in versions/.
HEAD = "0003"
