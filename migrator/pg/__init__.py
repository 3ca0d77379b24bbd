"""Everything that communicates with PostgreSQL."""
