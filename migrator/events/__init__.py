"""
What can happen, in the past tense; the core speaks in these and never logs.

Each event is imported from its own module, and those that are rare only when they
happen: making all the classes takes longer than a run that finds nothing to do.
"""
