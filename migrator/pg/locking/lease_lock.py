"""
Renews the lease from a thread and cancels the run when it is lost.

goose's heartbeat (lock/internal/table/locker.go: startHeartbeat) warns when it fails,
and its migrations go on. Here the running statement is cancelled and rolled back: the
lock exists to prevent two migrators at the same time.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg
from psycopg.pq import TransactionStatus

from migrator.errors import LockLostError, MigratorError
from migrator.pg.connection.pooler import is_pooled
from migrator.pg.connection.queries import GiveUp, TextRow, cancel, query_rows
from migrator.pg.locking.held_lock import HeldLock
from migrator.pg.locking.lease import LEASE_S, Lease
from migrator.pg.locking.lock_holder import query_holder
from migrator.pg.monitor.current_statement import CurrentStatement
from migrator.pg.monitor.monitor import Monitor
from migrator.process.cancellation import Cancellation


Connect = Callable[[], psycopg.Connection]

_RETRY_S = 1.0
"""How long after a failed renewal to try again."""

_MONITOR_LIMIT_S = 2.0
"""The time limit of a monitoring query; the lease is much longer."""


class LeaseLock:
    """
    The lease *lease*, acquired and renewed on *conn*, for a run that works on *work*.

    It is renewed every *interval_s* by a thread, which cancels the running statement of
    *work* once the lease is lost, and monitors it meanwhile.
    """

    kind = "table"

    def __init__(
        self,
        conn: psycopg.Connection,
        lease: Lease,
        work: psycopg.Connection,
        interval_s: float,
        cancellation: Cancellation,
    ) -> None:
        self._conn = conn
        self._lease = lease
        self._work = work
        self._interval_s = interval_s
        self._cancellation = cancellation
        self._expires_at = 0.0
        self._loss_reason: str | None = None
        self._mutex = threading.Lock()
        self._ended = threading.Event()

    def try_acquire(self) -> bool:
        """Try once; return whether the lock is held now."""
        requested_at = time.monotonic()
        if not self._lease.acquire(self._conn):
            self._lease.clean_up(self._conn)
            return False
        if query_holder(self._conn) is not None:
            self.release()
            return False
        self._expires_at = requested_at + LEASE_S
        return True

    def holder(self) -> str | None:
        """Return who holds the advisory lock or the lease; None if nobody does."""
        return query_holder(self._conn) or self._lease.holder_of(self._conn)

    def release(self) -> None:
        """Release the lease if it is held. Raises as `query_lease`."""
        if not self._conn.closed:
            self._lease.release(self._conn)

    @contextmanager
    def hold(self, current: CurrentStatement, connect: Connect) -> Iterator[HeldLock]:
        """
        Renew the lease in the block and release it at its end.

        *connect* opens another connection for the lease when its own one breaks.
        """
        monitor = Monitor(current, self._query_rows)
        thread = threading.Thread(
            target=self._run, args=(monitor, connect), name="lease", daemon=True
        )
        thread.start()
        try:
            yield HeldLock(
                current,
                lambda: self._check(connect),
                self.check_known,
                self._lease.still_held_sql,
                self._release_by,
            )
        finally:
            self._ended.set()
            current.end()
            thread.join()
            # a lease that cannot be released expires; the block's own error is reported
            with suppress(psycopg.Error, MigratorError):
                if self._conn.closed and self._loss_reason is None:
                    self._conn = connect()
                self.release()
            self._conn.close()

    def check_known(self) -> None:
        """
        Check, without a query, that the lease has neither expired nor been lost.

        Raises:
            LockLostError: It has.
        """
        if self._loss_reason is None and time.monotonic() >= self._expires_at:
            self._loss_reason = _expiry_message(self._conn)
        if self._loss_reason is not None:
            raise LockLostError(self._loss_reason)

    def _check(self, connect: Connect) -> None:
        with self._cancellation.interruptible():
            self._renew(connect)
            self.check_known()

    def _release_by(self, conn: psycopg.Connection) -> bool:
        self._lease.release(conn)
        return True

    def _run(self, monitor: Monitor, connect: Connect) -> None:
        due = time.monotonic() + self._interval_s
        while not self._ended.wait(
            max(0.0, min(due - time.monotonic(), monitor.pause()))
        ):
            if time.monotonic() >= due:
                pause_s = self._interval_s if self._renew(connect) else _RETRY_S
                due = time.monotonic() + pause_s
                if self._is_lost():
                    _cancel(self._work)
            monitor.check()

    def _query_rows(self, query: bytes, give_up: GiveUp) -> list[TextRow]:
        end = time.monotonic() + _MONITOR_LIMIT_S
        with self._mutex:
            return query_rows(
                self._conn, query, lambda: give_up() or time.monotonic() >= end
            )

    def _is_lost(self) -> bool:
        with suppress(LockLostError):
            self.check_known()
        return self._loss_reason is not None

    def _renew(self, connect: Connect) -> bool:
        """Renew the lease; False if it is lost or this attempt failed."""
        with self._mutex, suppress(psycopg.Error, MigratorError):
            if self._loss_reason is not None or self._has_expired():
                return False
            if self._conn.closed:
                self._conn = connect()
            requested_at = time.monotonic()
            if self._lease.renew(self._conn, self._has_expired):
                self._expires_at = requested_at + LEASE_S
                return True
            holder = self._lease.holder_of(self._conn)
            self._loss_reason = f"the lease is now held by {holder or 'nobody'}"
        return False

    def _has_expired(self) -> bool:
        return self._ended.is_set() or time.monotonic() >= self._expires_at


def _expiry_message(conn: psycopg.Connection) -> str:
    reason = f"it could not be renewed within {LEASE_S} s"
    if is_pooled(conn):
        return (
            f"{reason}; the pooler needs a second server connection for the lock"
            " (PgBouncer: default_pool_size), or connect to the server itself"
        )
    return reason


def _cancel(conn: psycopg.Connection) -> None:
    """Cancel what *conn* runs, if it runs anything."""
    if conn.info.transaction_status is TransactionStatus.ACTIVE:
        cancel(conn)
