"""One migrator per database at a time: goose's session-level advisory lock."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from migrator.backoff import Backoff
from migrator.cancellation import Cancellation
from migrator.errors import ConnectionLostError, LockedError
from migrator.events import LockAcquired, LockContended, Observer
from migrator.facts import ServerMessage


GOOSE_LOCK_KEY = 4097083626
"""crc32("goose"), lock/session_locker_options.go: Go programs that use goose's own
session locker and this one exclude each other."""

_TRY = "SELECT pg_try_advisory_lock(%s)"
_UNLOCK = "SELECT pg_advisory_unlock(%s)"
_MINE = """
SELECT count(*) FROM pg_locks
WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted AND objsubid = 1
  AND ((classid::bigint << 32) | objid::bigint) = %s
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_HOLDER = """
SELECT format(
    'pid %%s, application %%s, client %%s, %%s for %%s s',
    l.pid, coalesce(nullif(a.application_name, ''), '-'),
    coalesce(host(a.client_addr), 'local'), coalesce(a.state, 'state hidden'),
    coalesce(extract(epoch FROM now() - a.state_change)::int, 0))
FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND ((l.classid::bigint << 32) | l.objid::bigint) = %s
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
LIMIT 1
"""


@contextmanager
def session_lock(
    conn: psycopg.Connection,
    *,
    patience: Backoff,
    done: Callable[[], bool],
    observe: Observer,
    cancellation: Cancellation,
) -> Iterator[Callable[[], None] | None]:
    """
    Hold goose's lock on *conn*, which stays idle, for the length of the block.

    Yields a check that raises `ConnectionLostError` once the lock is gone, or None
    when *done* said, while we waited, that another migrator has done the work.

    The wait polls. A session that blocks in `pg_advisory_lock()` holds a snapshot,
    a `CREATE INDEX CONCURRENTLY` of the lock's holder waits for that snapshot, and
    PostgreSQL ends one of the two with `deadlock detected`.

    Raises:
        LockedError: *patience* ran out.
    """
    if not _acquire(conn, patience, done, observe, cancellation):
        yield None
        return
    try:
        yield lambda: _check(conn)
    finally:
        _release(conn)


def _acquire(
    conn: psycopg.Connection,
    patience: Backoff,
    done: Callable[[], bool],
    observe: Observer,
    cancellation: Cancellation,
) -> bool:
    started, delays = time.monotonic(), patience.delays()
    while not _value(conn, _TRY):
        waited, holder = time.monotonic() - started, _holder(conn)
        if done():
            return False
        delay = next(delays, None)
        if delay is None:
            raise LockedError(waited_s=waited, holder=holder)
        observe(LockContended(waited_s=round(waited, 3), holder=holder))
        cancellation.sleep(delay)
    waited = time.monotonic() - started
    observe(LockAcquired(kind="session", waited_s=round(waited, 3)))
    return True


def _check(conn: psycopg.Connection) -> None:
    try:
        held = _value(conn, _MINE)
    except psycopg.Error as error:
        raise _lost(str(error).strip()) from error
    if not held:
        raise _lost("the lock is no longer ours")


def _lost(message: str) -> ConnectionLostError:
    server = ServerMessage(sqlstate=None, message=message)
    return ConnectionLostError(server, doing="holding the migration lock")


def _release(conn: psycopg.Connection) -> None:
    """Unlock; where the session is gone, the server has done it already."""
    try:
        if not conn.closed:
            conn.execute(_UNLOCK, [GOOSE_LOCK_KEY])
    except psycopg.OperationalError:
        conn.close()


def _holder(conn: psycopg.Connection) -> str | None:
    found = _value(conn, _HOLDER)
    return None if found is None else str(found)


def _value(conn: psycopg.Connection, query: str) -> object:
    row = conn.execute(query, [GOOSE_LOCK_KEY]).fetchone()
    return row[0] if row else None
