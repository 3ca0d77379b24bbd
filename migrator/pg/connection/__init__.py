"""Connections and sessions: opened, set up, queried, and found lost."""
