"""Immutable values of a migration run, without imports from other packages."""
