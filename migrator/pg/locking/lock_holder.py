"""
Reports which session holds goose's advisory lock, and what its worker does.

The lock's own session is idle by design. To whoever waits, an idle session that blocks
looks like one to end: so the lock session also names the working one, by a second
advisory lock, which every role can see in pg_locks.
"""

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from migrator.events.watching import Blocker
from migrator.pg.connection.own_messages import own_message
from migrator.pg.connection.pooler import query_with_settings


_NAMES_WORKER = 1296648018
"""
The first number of the second lock, 'MIGR' in ASCII; the other one is the process id.

A lock of two numbers never meets one of a single number, as goose's is (PostgreSQL's
documentation, "Advisory Lock Functions").
"""

# a holder without a second lock, such as goose, works in the session that has the lock
_HOLDER = """
SELECT l.pid, coalesce(w.pid, l.pid), nullif(a.application_name, ''), a.usename,
    host(a.client_addr), a.backend_type,
    CASE WHEN a.pid IS NULL THEN 'ended' ELSE coalesce(a.state, 'state hidden') END,
    extract(epoch FROM clock_timestamp() - a.state_change)::int,
    extract(epoch FROM clock_timestamp() - a.xact_start)::int,
    left(nullif(a.query, '<insufficient privilege>'), 200),
    EXISTS (SELECT FROM pg_locks b WHERE b.pid = a.pid AND NOT b.granted)
FROM pg_locks l
LEFT JOIN LATERAL (
    SELECT m.objid::bigint::int AS pid FROM pg_locks m
    WHERE m.pid = l.pid AND m.locktype = 'advisory' AND m.objsubid = 2
      AND m.classid = {names_worker}
) w ON true
LEFT JOIN pg_stat_activity a ON a.pid = coalesce(w.pid, l.pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND ((l.classid::bigint << 32) | l.objid::bigint) = {key}
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
LIMIT 1
"""


def publish_worker_sql(worker: psycopg.Connection) -> sql.Composed:
    """Return an expression, always true, that publishes *worker*'s pid in pg_locks."""
    return sql.SQL("pg_try_advisory_lock_shared({}, {})").format(
        sql.Literal(_NAMES_WORKER), sql.Literal(worker.info.backend_pid)
    )


def holder_of_lock(conn: psycopg.Connection, key: int) -> str | None:
    """Return which session of this database has the lock *key*, and what it does."""
    query = sql.SQL(_HOLDER).format(
        names_worker=sql.Literal(_NAMES_WORKER), key=sql.Literal(key)
    )
    row: Sequence[Any] | None = query_with_settings(conn, own_message(query))
    if row is None:
        return None
    pid, *seen, query_text, waits = row
    session = Blocker._make((*seen, " ".join((query_text or "").split()), waits))
    if session.pid == pid:
        return str(session)
    return f"lock session pid {pid}, working session {session}"
