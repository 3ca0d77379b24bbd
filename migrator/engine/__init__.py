"""One run: plan, lock, steps, and what a lost session leads to."""
