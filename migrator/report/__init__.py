"""Everything that listens to events: log lines, console, termination message."""
