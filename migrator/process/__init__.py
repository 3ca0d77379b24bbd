"""The process around a run: signals, cancellation, sidecars."""
