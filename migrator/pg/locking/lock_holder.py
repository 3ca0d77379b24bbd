"""
Reports which session holds goose's advisory lock, and what its worker does.

The lock's own session is idle by design, and an operator may take an idle session that
blocks others for one to terminate. So the lock session also publishes the process id of
the working session, by a second advisory lock, which every role can see in pg_locks.
"""

import psycopg
from psycopg import sql

from migrator.events.watching import Blocker
from migrator.pg.connection.own_messages import query_own


GOOSE_LOCK_ID = 4097083626
"""
crc32("goose"), lock/session_locker_options.go: DefaultLockID, for both of its lockers.

Go programs that use goose's own session locker and migrator exclude each other.
"""

_WORKER_KEY = 1296648018
"""
The first key of the second lock, 'MIGR' in ASCII; the second key is the process id.

A lock with two keys never conflicts with one with a single key, as goose's is
(PostgreSQL's documentation, "Advisory Lock Functions").
"""

# A holder without a second lock, such as goose, works in the session that has the lock
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
      AND m.classid = {worker_key}
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
        sql.Literal(_WORKER_KEY), sql.Literal(worker.info.backend_pid)
    )


def query_holder(conn: psycopg.Connection) -> str | None:
    """Return which session of this database has goose's lock, and what it does."""
    query = sql.SQL(_HOLDER).format(
        worker_key=sql.Literal(_WORKER_KEY), key=sql.Literal(GOOSE_LOCK_ID)
    )
    row = query_own(conn, query)[-1]
    if row is None:
        return None
    lock_pid, *activity, query_text, waits = row
    session = Blocker._make((*activity, " ".join((query_text or "").split()), waits))
    if session.pid == lock_pid:
        return str(session)
    return f"lock session pid {lock_pid}, working session {session}"
