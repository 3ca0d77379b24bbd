"""
goose's lease: a row with the holder of the lock and its expiry.

The statements are those of goose v3.27.3, lock/internal/store/postgres.go, with Go's
`%s` and `$1` filled in. Go services with `lock.NewPostgresTableLocker`
and migrator exclude each other. It needs no session and so works through a
transaction pooler, but has to be renewed (`lease_lock`).
"""

import os
import secrets
import socket
import time
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from migrator.pg.connection.own_messages import own_message, query_own
from migrator.pg.connection.pooler import with_settings
from migrator.pg.connection.queries import GiveUp, query_rows
from migrator.pg.connection.session import Row
from migrator.pg.locking.lock_holder import GOOSE_LOCK_ID
from migrator.pg.ownership import CHECK, check_findings, read_findings


TABLE = "goose_lock"
"""lock/table_locker_options.go: DefaultLockTableName."""

LEASE_S = 30
"""lock/postgres.go: NewPostgresTableLocker, LeaseDuration."""

_RELEASE_S = 5
"""How long to try to release the lease; then it expires by itself."""

CREATE = """
CREATE TABLE {table} (
    lock_id bigint NOT NULL PRIMARY KEY,
    locked boolean NOT NULL DEFAULT false,
    locked_at timestamptz NULL,
    locked_by text NULL,
    lease_expires_at timestamptz NULL,
    updated_at timestamptz NULL
)
"""
ACQUIRE = """
INSERT INTO {table}
    (lock_id, locked, locked_at, locked_by, lease_expires_at, updated_at)
VALUES ({id}, true, now(), {holder}, now() + {lease}::interval, now())
ON CONFLICT (lock_id) DO UPDATE SET
    locked = true,
    locked_at = now(),
    locked_by = {holder},
    lease_expires_at = now() + {lease}::interval,
    updated_at = now()
WHERE {table}.locked = false OR {table}.lease_expires_at < now()
RETURNING locked_by, lease_expires_at
"""
RELEASE = """
UPDATE {table} SET
    locked = false,
    locked_at = NULL,
    locked_by = NULL,
    lease_expires_at = NULL,
    updated_at = now()
WHERE lock_id = {id} AND locked_by = {holder}
RETURNING lock_id
"""
RENEW = """
UPDATE {table} SET
    lease_expires_at = now() + {lease}::interval,
    updated_at = now()
WHERE lock_id = {id} AND locked_by = {holder} AND locked = true
RETURNING lease_expires_at
"""
CLEAN_UP = """
UPDATE {table} SET
    locked = false,
    locked_at = NULL,
    locked_by = NULL,
    lease_expires_at = NULL,
    updated_at = now()
WHERE locked = true AND lease_expires_at < now()
RETURNING lock_id
"""
_HOLDER = """
SELECT format('%s, since %s, lease until %s', coalesce(locked_by, 'somebody'),
    coalesce(date_trunc('second', locked_at)::text, '-'),
    coalesce(date_trunc('second', lease_expires_at)::text, '-'))
FROM {table}
WHERE lock_id = {id} AND locked AND NOT coalesce(lease_expires_at < now(), false)
"""
_FIND = f"""
SELECT set_config('migrator.objects', ARRAY(
    SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = {{schema}} AND c.relname = 'goose_lock')::text, true);
{CHECK};
SELECT c.oid::bigint, has_table_privilege(c.oid, 'SELECT') AND 5 = (
        SELECT count(*) FROM pg_attribute WHERE attrelid = c.oid AND attname IN
        ('lock_id', 'locked', 'locked_at', 'locked_by', 'lease_expires_at')),
    current_setting('migrator.findings')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = {{schema}} AND c.relname = 'goose_lock'
"""

_STILL_HELD = """
EXISTS (SELECT FROM {table} WHERE lock_id = {id} AND locked AND locked_by = {holder})
"""
_CONTENDED = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
)


def holder_id() -> str:
    """Return a holder id `hostname-pid-hex`, as lock/internal/table/locker.go: New."""
    name = socket.gethostname() or "unknown-hostname"
    return f"{name}-{os.getpid()}-{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class Lease:
    """The lease table and the holder id of this process."""

    schema: str
    holder: str = field(default_factory=holder_id)

    @classmethod
    def ensure(cls, conn: psycopg.Connection, schema: str) -> "Lease":
        """
        Return the table in *schema*, created as goose does if it does not exist.

        Raises:
            ForeignObjectError: A role that is not trusted owns it.
            psycopg.Error: The role may not create it.
        """
        lease = cls(schema)
        if not lease._exists(conn):
            try:
                lease._query_row(conn, CREATE)
            except psycopg.Error:
                # goose's CreateLockTable: another migrator may have created it
                if not lease._exists(conn):
                    raise
        return lease

    @classmethod
    def readable(cls, schema: str | None, row: Row | None) -> "Lease | None":
        """
        Return the table if the role may read it, by *row* of `find_lease_sql(schema)`.

        Raises:
            ForeignObjectError: A role that is not trusted owns it.
        """
        if schema is None or row is None:
            return None
        table, may_read, findings = row
        check_findings(read_findings(findings), table)
        return cls(schema) if may_read else None

    def _exists(self, conn: psycopg.Connection) -> bool:
        row = query_own(conn, find_lease_sql(self.schema))[-1]
        self.readable(self.schema, row)
        return row is not None

    def acquire(self, conn: psycopg.Connection) -> bool:
        """Acquire the lease if it is free or expired; return whether it is held."""
        try:
            row = self._query_row(conn, ACQUIRE)
        except _CONTENDED:
            return False
        return row is not None

    def holder_of(self, conn: psycopg.Connection) -> str | None:
        """Return who holds the lease, since when and until when; None if it is free."""
        row = self._query_row(conn, _HOLDER)
        return str(row[0]) if row else None

    @property
    def still_held_sql(self) -> sql.Composable:
        """
        Return an expression that is true while this process holds the lease.

        Its expiry is not checked: a transaction with an old snapshot sees no renewal.
        """
        return self._compose(_STILL_HELD)

    def clean_up(self, conn: psycopg.Connection) -> None:
        """Release expired leases of every lock, as goose does before each retry."""
        try:
            self._query_row(conn, CLEAN_UP)
        except _CONTENDED:
            return

    def renew(self, conn: psycopg.Connection, give_up: GiveUp) -> bool:
        """Renew the lease; False if it is not held. Raises as `query_lease`."""
        return query_lease(conn, self._compose(RENEW), give_up)

    def release(self, conn: psycopg.Connection) -> bool:
        """Release the lease; False if it was not held. Raises as `query_lease`."""
        return query_briefly(conn, self._compose(RELEASE))

    def _query_row(self, conn: psycopg.Connection, text: str) -> Row | None:
        return query_own(conn, self._compose(text))[-1]

    def _compose(self, text: str) -> sql.Composed:
        return sql.SQL(text).format(
            table=sql.Identifier(self.schema, TABLE),
            id=sql.Literal(GOOSE_LOCK_ID),
            holder=sql.Literal(self.holder),
            lease=sql.Literal(f"{LEASE_S} seconds"),
        )


def find_lease_sql(schema: str | None) -> sql.Composed:
    """
    Return the query for the lease table in *schema* and for who owns it.

    goose creates the table in the first schema of the search path.
    """
    return sql.SQL(_FIND).format(schema=sql.Literal(schema))


def query_briefly(conn: psycopg.Connection, query: sql.Composed) -> bool:
    """Send *query* and wait at most 5 s. Returns and raises as `query_lease`."""
    end = time.monotonic() + _RELEASE_S
    return query_lease(conn, query, lambda: time.monotonic() >= end)


def query_lease(conn: psycopg.Connection, query: sql.Composed, give_up: GiveUp) -> bool:
    """
    Send *query* as an own message and return whether it has a row.

    The wait ends when *give_up* returns true: psycopg's own wait has no end, and the
    lease may expire while the network is down or a pooler has no free server session.

    Raises:
        psycopg.Error: It failed, or was given up; *conn* is closed.
    """
    try:
        message = with_settings(conn, own_message(query).as_bytes(conn))
        return bool(query_rows(conn, message, give_up))
    except BaseException:
        conn.close()
        raise
