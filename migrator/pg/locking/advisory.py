"""
One migrator per database at a time: goose's advisory lock, or goose's lease.

Each of the two checks, once it has its own lock, whether the other one is held, and
releases its own if so. Of two migrators that take different locks at the same moment
the later one therefore always sees the earlier one.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

import psycopg
from psycopg import sql

from migrator.domain.backoff import Backoff
from migrator.errors import (
    AccessDeniedError,
    LockWaitTimeoutError,
    MissingSchemaError,
    UsageError,
)
from migrator.events.base import Observer
from migrator.events.database import LockAcquired, LockContended
from migrator.pg.connection.connect import server_message
from migrator.pg.connection.own_messages import OWN, OWN_STATEMENTS
from migrator.pg.connection.session import ANSWERED_BY_OWN, Answers, query_as_caller
from migrator.pg.errors.tracking_errors import translate_errors
from migrator.pg.locking.guard import LockSession
from migrator.pg.locking.held_lock import HeldLock
from migrator.pg.locking.lease import (
    GOOSE_LOCK_ID,
    TABLE,
    Lease,
    find_lease_sql,
    query_briefly,
)
from migrator.pg.locking.lease_heartbeat import LeaseHeartbeat
from migrator.pg.locking.lock_holder import holder_of_lock, publish_worker_sql
from migrator.pg.monitor.current_statement import CurrentStatement
from migrator.pg.monitor.monitor_thread import MonitorConnection, run_monitor
from migrator.process.cancellation import Cancellation


GOOSE_LOCK_KEY = GOOSE_LOCK_ID
"""Go programs that use goose's own session locker and this one exclude each other."""

_TRY = "SELECT CASE WHEN {own} THEN pg_try_advisory_lock({key}) AND {naming} END"
_TAKEN = OWN_STATEMENTS
"""Which of the answers is that to _TRY."""

_UNLOCK = "SELECT pg_advisory_unlock({key})"
_KEY = sql.Literal(GOOSE_LOCK_KEY)


def session_lock_query(schema: str | None, work: psycopg.Connection) -> sql.Composed:
    """
    Return what `session_lock` asks first, for a message that asks other things too.

    Once it has the lock, its session names that of *work* to others who wait.

    Behind a pooler, whose process ids are made up, nothing is taken that could stay
    behind. What is seen of a lease, in *schema*, has to be younger than the lock.
    """
    attempt = sql.SQL(_TRY).format(
        own=ANSWERED_BY_OWN, key=_KEY, naming=publish_worker_sql(work)
    )
    return sql.SQL("; ").join([OWN, attempt, find_lease_sql(schema)])


@contextmanager
def session_lock(
    conn: psycopg.Connection,
    answers: Answers | None,
    *,
    schema: str | None,
    work: psycopg.Connection,
    opened: Callable[[], psycopg.Connection],
    patience: Backoff,
    done: Callable[[], bool],
    observe: Observer,
    cancellation: Cancellation,
    watch: CurrentStatement,
) -> Iterator[HeldLock | None]:
    """
    Hold goose's advisory lock on *conn*, which stays idle, for the length of the block.

    Others who wait for it are shown what *work* does.
    The statement in *watch* is monitored on *conn*, or on a connection from *opened*
    once that one is lost. *answers* are those to `session_lock_query` about *schema*
    and *work*, where somebody has asked it already. Yields None when *done* said, while
    we waited, that another migrator has done the work.

    The wait polls. A session that blocks in `pg_advisory_lock()` holds a snapshot, for
    which a `CREATE INDEX CONCURRENTLY` of the holder waits: `deadlock detected`.

    Raises:
        LockWaitTimeoutError: the wait ran out.
        UsageError: A pooler is between us and the server.
        ForeignObjectError: A role that is not trusted owns goose's table.
    """
    claim = _SessionClaim(conn, schema, work, answers)
    try:
        taken = _acquire(claim, patience, done, observe, cancellation)
        if not taken:
            yield None
            return
        guard = LockSession(conn)
        second = MonitorConnection(opened, guard.query_rows)
        with (
            guard.wait_until_idle(),
            run_monitor(watch, second.query_rows, second.close),
        ):
            yield HeldLock(watch, guard.check, guard.check_known, guard.still_held_sql)
    finally:
        claim.drop()


@contextmanager
def lease_lock(
    conn: psycopg.Connection,
    *,
    schema: str | None,
    work: psycopg.Connection,
    opened: Callable[[], psycopg.Connection],
    patience: Backoff,
    done: Callable[[], bool],
    observe: Observer,
    cancellation: Cancellation,
    watch: CurrentStatement,
    heartbeat_s: float,
) -> Iterator[HeldLock | None]:
    """
    Hold goose's lease, in *schema*, for the length of the block.

    A thread renews it on *conn*.

    It also monitors the statement in *watch*. Once the lease is lost, the statement of
    *work* is cancelled. *opened* gives another connection when *conn* breaks. Yields
    None as `session_lock` does.

    Raises:
        LockWaitTimeoutError: the wait ran out.
        AccessDeniedError: The role may not create or write goose's table.
        MissingSchemaError: There is no schema for it.
        ForeignObjectError: A role that is not trusted owns it.
    """
    if schema is None:
        raise MissingSchemaError.of_path(TABLE)
    with _translate_errors(), cancellation.interruptible():
        claim = _LeaseClaim(conn, Lease.ensure(conn, schema))
    try:
        taken = _acquire(claim, patience, done, observe, cancellation)
        heartbeat = LeaseHeartbeat(
            claim.lease,
            conn,
            work=work,
            opened=opened,
            since=claim.asked,
            watch=watch,
            every_s=heartbeat_s,
        )
    except BaseException:
        with suppress(psycopg.Error):
            claim.drop()
        raise
    if not taken:
        yield None
        return
    with heartbeat:
        yield HeldLock(
            watch,
            lambda: _armed(heartbeat.check, cancellation),
            heartbeat.check_known,
            claim.lease.still_held_sql,
            claim.free,
        )


class _Claim(Protocol):
    kind: str

    def take(self) -> bool: ...

    def holder(self) -> str | None: ...

    def drop(self) -> None: ...


@dataclass
class _SessionClaim:
    conn: psycopg.Connection
    schema: str | None
    work: psycopg.Connection
    answers: Answers | None
    kind: str = "session"
    is_ours: bool = False
    lease: Lease | None = None

    def take(self) -> bool:
        answers = self.answers or query_as_caller(
            self.conn, session_lock_query(self.schema, self.work)
        )
        row, lease = answers[_TAKEN], answers[-1]
        self.answers = None
        if row is None or row[0] is None:
            raise UsageError(
                "MIGRATOR_LOCK=session needs a server session of its own, and a pooler"
                " is in between: set MIGRATOR_LOCK=auto or table, or connect to the"
                " server itself"
            )
        self.is_ours = bool(row[0])
        self.lease = Lease.readable(self.schema, lease)
        if self.is_ours and self._lease_holder() is not None:
            self.drop()
        return self.is_ours

    def holder(self) -> str | None:
        return holder_of_lock(self.conn, GOOSE_LOCK_KEY) or self._lease_holder()

    def drop(self) -> None:
        """Release the lock; if the session is gone, the server has done so."""
        if self.is_ours and not self.conn.closed:
            # after an error it is closed, and the lock ends with it
            with suppress(psycopg.Error):
                query_briefly(self.conn, sql.SQL(_UNLOCK).format(key=_KEY))
        self.is_ours = False

    def _lease_holder(self) -> str | None:
        return self.lease.holder_of(self.conn) if self.lease else None


@dataclass
class _LeaseClaim:
    conn: psycopg.Connection
    lease: Lease
    kind: str = "table"
    asked: float = 0.0

    def take(self) -> bool:
        self.asked = time.monotonic()
        if not self.lease.acquire(self.conn):
            self.lease.clean_up(self.conn)
            return False
        if holder_of_lock(self.conn, GOOSE_LOCK_KEY) is not None:
            self.drop()
            return False
        return True

    def holder(self) -> str | None:
        return holder_of_lock(self.conn, GOOSE_LOCK_KEY) or self.lease.holder_of(
            self.conn
        )

    def drop(self) -> None:
        if not self.conn.closed:
            self.lease.release(self.conn)

    def free(self, conn: psycopg.Connection) -> bool:
        self.lease.release(conn)
        return True


def _acquire(
    claim: _Claim,
    patience: Backoff,
    done: Callable[[], bool],
    observe: Observer,
    cancellation: Cancellation,
) -> bool:
    started, delays = time.monotonic(), patience.delays()
    while True:
        with _translate_errors(), cancellation.interruptible():
            taken = claim.take()
            holder = None if taken else claim.holder()
        waited = time.monotonic() - started
        if taken:
            observe(LockAcquired(kind=claim.kind, waited_s=round(waited, 3)))
            return True
        if done():
            return False
        delay = next(delays, None)
        if delay is None:
            raise LockWaitTimeoutError(waited_s=waited, holder=holder)
        observe(LockContended(waited_s=round(waited, 3), holder=holder))
        cancellation.sleep(delay)


def _armed(check: Callable[[], None], cancellation: Cancellation) -> None:
    with cancellation.interruptible():
        check()


@contextmanager
def _translate_errors() -> Iterator[None]:
    with translate_errors("taking the migration lock"):
        try:
            yield
        except psycopg.ProgrammingError as error:
            raise AccessDeniedError(server_message(error), remedy=_REMEDY) from error


_REMEDY = (
    "the lock needs CREATE on the schema where goose_lock does not exist yet, SELECT,"
    " INSERT and UPDATE on it, and goose's columns in it; or set MIGRATOR_LOCK=session"
    " and connect to the server itself"
)
