"""What this is: the version, reported by every run."""

VERSION = "0.1.0"
"""The package's, as in `pyproject.toml`."""
