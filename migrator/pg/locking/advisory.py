"""
goose's advisory lock, acquired and kept by a session of its own.

This lock and goose's lease each check, once acquired, whether the other one is held,
and are released if so. Of two migrators that acquire different locks at the same
moment, the later one therefore always detects the earlier one.

Two threads use the session: the one that migrates and the monitor. A mutex keeps them
apart, because a libpq connection is not thread-safe.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg
from psycopg import sql

from migrator.errors import LockLostError, UsageError
from migrator.pg.connection.connect import server_message
from migrator.pg.connection.own_messages import OWN, OWN_STATEMENTS, own_message
from migrator.pg.connection.queries import GiveUp, TextRow, query_rows, wait_ready
from migrator.pg.connection.session import ANSWERED_BY_OWN, Answers, query_with_facts
from migrator.pg.locking.held_lock import HeldLock
from migrator.pg.locking.lease import Lease, find_lease_sql, query_briefly
from migrator.pg.locking.lock_holder import (
    GOOSE_LOCK_ID,
    publish_worker_sql,
    query_holder,
)
from migrator.pg.monitor.current_statement import CurrentStatement
from migrator.pg.monitor.monitor import MonitorConnection, run_monitor


_TRY = "SELECT CASE WHEN {own} THEN pg_try_advisory_lock({key}) AND {publish} END"
_TRY_ANSWER = OWN_STATEMENTS
"""The index of the answer to _TRY in those to `advisory_lock_sql`."""

_UNLOCK = "SELECT pg_advisory_unlock({key})"
_KEY = sql.Literal(GOOSE_LOCK_ID)
# the session has no other advisory lock whose key is one number
_STILL_HELD = """EXISTS (
    SELECT FROM pg_lock_status()
    WHERE pid = {pid} AND locktype = 'advisory' AND objsubid = 1 AND granted
)"""


def advisory_lock_sql(schema: str | None, work: psycopg.Connection) -> sql.Composed:
    """
    Return the first attempt, to be sent in a message with other queries.

    A session that acquires the lock publishes the process id of *work*. Behind a
    pooler, where the session is not the connection's own, nothing is acquired. The
    lease in *schema* is looked up after the attempt, so that none is missed.
    """
    attempt = sql.SQL(_TRY).format(
        own=ANSWERED_BY_OWN, key=_KEY, publish=publish_worker_sql(work)
    )
    return sql.SQL("; ").join([OWN, attempt, find_lease_sql(schema)])


class AdvisoryLock:
    """
    The lock of the session of *conn*, for a run that works on *work*.

    *answers* are those to `advisory_lock_sql`, if it was sent already.
    """

    kind = "session"

    def __init__(
        self,
        conn: psycopg.Connection,
        schema: str | None,
        work: psycopg.Connection,
        answers: Answers | None,
    ) -> None:
        self._conn = conn
        self._schema = schema
        self._work = work
        self._answers = answers
        self._acquired = False
        self._lease: Lease | None = None
        self._mutex = threading.Lock()

    def try_acquire(self) -> bool:
        """
        Try once; return whether the lock is held now.

        Raises:
            UsageError: The connection goes through a pooler.
            ForeignObjectError: A role that is not trusted owns goose's lease table.
        """
        answers = self._answers or query_with_facts(
            self._conn, advisory_lock_sql(self._schema, self._work)
        )
        self._answers = None
        row, lease_row = answers[_TRY_ANSWER], answers[-1]
        if row is None or row[0] is None:
            raise UsageError(
                "MIGRATOR_LOCK=session needs a server session of its own, and a pooler"
                " is in between: set MIGRATOR_LOCK=auto or table, or connect to the"
                " server itself"
            )
        self._acquired = bool(row[0])
        self._lease = Lease.readable(self._schema, lease_row)
        if self._acquired and self._lease_holder() is not None:
            self.release()
        return self._acquired

    def holder(self) -> str | None:
        """Return who holds the lock or the lease; None if nobody is visible."""
        return query_holder(self._conn) or self._lease_holder()

    def release(self) -> None:
        """Release the lock; if the session is gone, the server has done so."""
        if self._acquired and not self._conn.closed:
            # after an error the connection is closed, and the lock ends with it
            with suppress(psycopg.Error):
                query_briefly(self._conn, sql.SQL(_UNLOCK).format(key=_KEY))
        self._acquired = False

    @contextmanager
    def hold(
        self, current: CurrentStatement, connect: Callable[[], psycopg.Connection]
    ) -> Iterator[HeldLock]:
        """
        Keep the lock in the block and release it at its end.

        *current* is monitored on the lock's connection, or on one from *connect* once
        that one is lost.
        """
        second = MonitorConnection(connect, self._query_rows)
        try:
            with run_monitor(current, second.query_rows, second.close):
                yield HeldLock(
                    current, self.check, self.check_known, self._still_held_sql
                )
        finally:
            with self._mutex:  # until the monitor no longer uses the connection
                pass
            self.release()

    def check(self) -> None:
        """
        Query the server; the lock counts as lost if it does not answer within 5 s.

        Raises:
            LockLostError: The lock is gone.
        """
        query = own_message(sql.SQL("SELECT {}").format(self._still_held_sql))
        try:
            with self._mutex:
                rows = query_rows(self._conn, query.as_bytes(self._conn))
        except psycopg.Error as error:
            raise LockLostError(server_message(error).message, died=True) from error
        if rows != [(b"t",)]:
            raise LockLostError("its session no longer holds it")

    def check_known(self) -> None:
        """
        Check, without a query, that the server has not ended the session.

        Skipped while the monitor's query runs, which detects a lost session too.

        Raises:
            LockLostError: It has.
        """
        if not self._mutex.acquire(blocking=False):
            return
        try:
            while wait_ready(self._conn.fileno(), 0).reading:
                self._conn.pgconn.consume_input()
        except psycopg.Error as error:
            raise LockLostError(server_message(error).message, died=True) from error
        finally:
            self._mutex.release()

    @property
    def _still_held_sql(self) -> sql.Composable:
        return sql.SQL(_STILL_HELD).format(pid=sql.Literal(self._conn.info.backend_pid))

    def _query_rows(self, query: bytes, give_up: GiveUp) -> list[TextRow]:
        with self._mutex:
            return query_rows(self._conn, query, give_up)

    def _lease_holder(self) -> str | None:
        return self._lease.holder_of(self._conn) if self._lease else None
