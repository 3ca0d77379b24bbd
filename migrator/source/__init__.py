"""Migration files: found, read and parsed."""
