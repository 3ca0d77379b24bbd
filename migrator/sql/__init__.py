"""Text in, values out: what a migration file says, without I/O and without a driver."""
