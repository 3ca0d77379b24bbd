"""Statements and migrations, run on a connection."""
