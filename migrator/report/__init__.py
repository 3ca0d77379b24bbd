"""Observers of events: log lines, console, termination message."""
