"""What a database holds, in words that two of them can be compared by."""

import time

import psycopg
from psycopg import sql


State = tuple[tuple[object, ...], ...]
_PATIENCE_S = 20
_SCHEMA = (
    """
    SELECT c.relname, c.relkind, a.attname, format_type(a.atttypid, a.atttypmod),
        a.attnotnull, pg_get_expr(d.adbin, d.adrelid)
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind <> 'S'
    ORDER BY c.relname, a.attnum
    """,
    """
    SELECT pg_get_indexdef(i.indexrelid), i.indisvalid
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
    WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1
    """,
    """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2
    """,
    """
    SELECT pg_get_functiondef(oid) FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace ORDER BY 1
    """,
)
_TABLES = """
SELECT relname FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
    AND relname NOT LIKE 'migrator%' AND relname NOT IN ('goose_db_version', 'goose_lock')
ORDER BY relname
"""
_TRACKED = "SELECT version_id, is_applied FROM goose_db_version ORDER BY id"
_OTHERS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


def state_of(conn: psycopg.Connection) -> State:
    """
    Return schema, rows and tracking rows of a database.

    What sequences count is left out: they are not rolled back.
    """
    found = [row for query in _SCHEMA for row in conn.execute(query.encode())]
    for (name,) in conn.execute(_TABLES).fetchall():
        rows = sql.SQL("SELECT {}::text, t::text FROM {} t ORDER BY 2")
        asked = rows.format(sql.Literal(name), sql.Identifier(name))
        found += conn.execute(asked)
    tracked = conn.execute("SELECT to_regclass('goose_db_version')").fetchone()
    if tracked != (None,):
        found += conn.execute(_TRACKED)
    return tuple(tuple(row) for row in found)


def empty(conn: psycopg.Connection) -> None:
    """Make a database as it was when it was new, whoever else is still in it."""
    end = time.monotonic() + _PATIENCE_S
    while conn.execute(_OTHERS).fetchone() != (0,):
        assert time.monotonic() < end, "a session does not end"
        time.sleep(0.002)
    conn.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
