"""goose's file format: annotations and statements of a file, and its faults."""
