"""psycopg's errors as ours, with what to do about each."""
