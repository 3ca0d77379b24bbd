"""
Renews the lease from a thread and cancels the run when it is lost.

goose's heartbeat (lock/internal/table/locker.go: startHeartbeat) warns when it fails,
and its migrations go on. Here the running statement is cancelled and rolled back: two
migrators at once is what the lock is there to prevent.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

import psycopg
from psycopg.pq import TransactionStatus

from migrator.errors import LockLostError, MigratorError
from migrator.pg.connection.pooler import is_pooled
from migrator.pg.connection.queries import GiveUp, Row, cancel, query_rows
from migrator.pg.locking.lease import LEASE_S, Lease
from migrator.pg.monitor.current_statement import CurrentStatement
from migrator.pg.monitor.monitor import Monitor


_AGAIN_S = 1.0
_LOOK_S = 2.0
"""The time limit of a monitoring query; the lease is much longer."""


class LeaseHeartbeat:
    """
    Renews *lease* on *conn* during the block, and releases it at its end.

    *work* is the connection whose running statement is cancelled when the lease is
    lost; *opened* opens another connection for ours when it breaks; *since* is when the
    lease was asked for, on the monotonic clock. In between it monitors the statement in
    *watch*.
    """

    def __init__(
        self,
        lease: Lease,
        conn: psycopg.Connection,
        *,
        work: psycopg.Connection,
        opened: Callable[[], psycopg.Connection],
        since: float,
        every_s: float,
        watch: CurrentStatement,
    ) -> None:
        self._lease = lease
        self._conn = conn
        self._work = work
        self._opened = opened
        self._until = since + LEASE_S
        self._every_s = every_s
        self._watch = watch
        self._looker = Monitor(watch, self._query_rows)
        self._lost: str | None = None
        self._turn = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._watch.end()
        self._thread.join()
        # what cannot be released now expires; the block's own error is reported
        with suppress(psycopg.Error, MigratorError):
            self._release()
        self._conn.close()

    def check(self) -> None:
        """
        Renew the lease and check that it is held.

        Raises:
            LockLostError: The lease is not ours any more.
        """
        self._renew()
        self.check_known()

    def check_known(self) -> None:
        """
        Check that the lease is held, by what is known already.

        Raises:
            LockLostError: As `check`.
        """
        if self._lost is None and time.monotonic() >= self._until:
            self._lost = _expiry_message(self._conn)
        if self._lost is not None:
            raise LockLostError(self._lost)

    def _beat(self) -> None:
        due = time.monotonic() + self._every_s
        while not self._ended.wait(self._pause(due)):
            if time.monotonic() >= due:
                due = time.monotonic() + (self._every_s if self._renew() else _AGAIN_S)
                if self._is_known_lost():
                    _cancel(self._work)
            self._looker.check()

    def _pause(self, due: float) -> float:
        return max(0.0, min(due - time.monotonic(), self._looker.pause()))

    def _query_rows(self, query: bytes, give_up: GiveUp) -> list[Row]:
        end = time.monotonic() + _LOOK_S
        with self._turn:
            return query_rows(
                self._conn, query, lambda: give_up() or time.monotonic() >= end
            )

    def _is_known_lost(self) -> bool:
        with suppress(LockLostError):
            self.check_known()
        return self._lost is not None

    def _renew(self) -> bool:
        """Renew the lease; False if it is lost or this attempt failed."""
        with self._turn, suppress(psycopg.Error, MigratorError):
            if self._lost is not None or self._has_expired():
                return False
            if self._conn.closed:
                self._conn = self._opened()
            asked = time.monotonic()
            if self._lease.renew(self._conn, self._has_expired):
                self._until = asked + LEASE_S
                return True
            holder = self._lease.holder_of(self._conn)
            self._lost = f"the lease is now held by {holder or 'nobody'}"
        return False

    def _has_expired(self) -> bool:
        return self._ended.is_set() or time.monotonic() >= self._until

    def _release(self) -> None:
        if self._conn.closed and self._lost is None:
            self._conn = self._opened()
        if not self._conn.closed:
            self._lease.release(self._conn)


def _expiry_message(conn: psycopg.Connection) -> str:
    why = f"it could not be renewed within {LEASE_S} s"
    if is_pooled(conn):
        return (
            f"{why}; the pooler needs a second server connection for us"
            " (PgBouncer: default_pool_size), or connect to the server itself"
        )
    return why


def _cancel(conn: psycopg.Connection) -> None:
    """Cancel what *conn* runs, if it runs anything."""
    if conn.info.transaction_status is TransactionStatus.ACTIVE:
        cancel(conn)
