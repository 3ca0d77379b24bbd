"""Translation of psycopg's errors into migrator's, with a remedy for each."""
