"""The migration lock: advisory or lease, acquired, kept and released."""
