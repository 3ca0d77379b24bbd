"""Migrate a PostgreSQL schema once: goose's files and table, made for containers."""

__version__ = "0.1.0"
