"""
Events: what happened in a run. The engine emits them, and `report` logs them.

Each event is imported from its own module, and those that are rare only when they
happen: making all the classes takes longer than a run that finds nothing to do.
"""
