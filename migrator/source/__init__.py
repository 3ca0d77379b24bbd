"""From a directory to migrations."""
