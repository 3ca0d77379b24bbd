"""goose's version table and migrator's history table."""
