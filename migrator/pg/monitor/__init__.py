"""The running statement, observed from another session."""
