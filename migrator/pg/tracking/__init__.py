"""goose's version table and our history beside it."""
