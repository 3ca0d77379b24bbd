"""Connections and sessions: opening, settings, queries, loss."""
