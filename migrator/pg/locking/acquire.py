"""Acquires the migration lock: advisory or lease."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

import psycopg
from psycopg import sql

from migrator.domain.backoff import HEARTBEAT_S, PROGRESS_INTERVALS_S, Backoff
from migrator.domain.model import Lock
from migrator.errors import (
    AccessDeniedError,
    LockWaitTimeoutError,
    MissingSchemaError,
)
from migrator.events.base import Observer
from migrator.events.database import LockAcquired, LockContended
from migrator.pg.connection.connect import server_message
from migrator.pg.connection.database import Database
from migrator.pg.connection.pooler import Link, is_pooled
from migrator.pg.connection.session import Answers
from migrator.pg.errors.tracking_errors import translate_errors
from migrator.pg.locking.advisory import AdvisoryLock, advisory_lock_sql
from migrator.pg.locking.held_lock import HeldLock, no_lock
from migrator.pg.locking.lease import TABLE, Lease
from migrator.pg.locking.lease_lock import LeaseLock
from migrator.pg.locking.stale_sessions import (
    PROCESS_ANSWERS,
    end_sessions,
    processes_sql,
    query_processes,
    read_processes,
)
from migrator.pg.monitor.current_statement import CurrentStatement, monitored_statement
from migrator.pg.monitor.monitor import MonitorConnection, run_monitor
from migrator.process.cancellation import Cancellation


class MigrationLock(Protocol):
    """goose's advisory lock, or goose's lease."""

    kind: str

    def try_acquire(self) -> bool:
        """Try once; return whether the lock is held now."""
        ...

    def holder(self) -> str | None:
        """Return who holds the lock; None if nobody is visible."""
        ...

    def hold(
        self, current: CurrentStatement, connect: Callable[[], psycopg.Connection]
    ) -> AbstractContextManager[HeldLock]:
        """Keep the acquired lock in the block; monitor *current* meanwhile."""
        ...

    def release(self) -> None:
        """Release the lock if it is held."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LockAcquisition:
    """Acquires the migration lock of *database* for what *work* does there."""

    database: Database
    work: psycopg.Connection
    schema: str | None
    """Where goose's lease is."""

    observe: Observer
    cancellation: Cancellation
    lock: Lock = Lock.AUTO
    backoff: Backoff = field(default_factory=lambda: Backoff(total_s=300))
    """How long to wait for another holder."""

    heartbeat_s: float = HEARTBEAT_S
    """How often the lease is renewed, where the lock is one."""

    monitor_s: tuple[float, float] = PROGRESS_INTERVALS_S
    """When a statement's progress is first reported, and the longest interval after."""

    @contextmanager
    def attempts(self) -> Iterator[Iterator[HeldLock | None]]:
        """
        Yield the attempts, on a second connection; the block's end releases the lock.

        An attempt is None while somebody else holds the lock: whoever iterates may stop
        then, because the work is done. The last one is the held lock. The second
        connection also monitors *work*; without a lock it is opened when needed.

        The wait polls. A session that blocks in `pg_advisory_lock()` holds a snapshot,
        for which a `CREATE INDEX CONCURRENTLY` of the holder waits: `deadlock
        detected`.

        Raises:
            LockWaitTimeoutError: The wait ran out.
            UsageError: MIGRATOR_LOCK=session through a pooler.
            AccessDeniedError: The role may not create or write goose's lease table.
            MissingSchemaError: There is no schema for it.
            ForeignObjectError: A role that is not trusted owns it.
            MigratorError: As `Database.connect_again`.
        """
        with closing(
            self._without_lock() if self.lock is Lock.NONE else self._attempts()
        ) as attempts:
            yield attempts

    def _without_lock(self) -> Generator[HeldLock, None, None]:
        current, second = self._monitored(), MonitorConnection(self._connect_in_thread)
        with run_monitor(current, second.query_rows, second.close):
            processes = query_processes(self.work, self.work)
            yield _with_cleanup(no_lock(current), processes)

    def _attempts(self) -> Generator[HeldLock | None, None, None]:
        is_lease = self.lock is Lock.TABLE
        attempt = () if is_lease else (advisory_lock_sql(self.schema, self.work),)
        guard, answers = self.database.connect_again_and_query(
            sql.SQL("; ").join([*attempt, processes_sql(self.work)]),
            self.cancellation,
            like=self.work,
        )
        with closing(guard):
            processes = (
                read_processes(answers[-1])
                if answers
                else query_processes(guard, self.work)
            )
            lock: MigrationLock
            if is_lease or (self.lock is Lock.AUTO and is_pooled(guard)):
                lock = self._lease(guard)
            else:
                attempted: Answers | None = answers and answers[:-PROCESS_ANSWERS]
                lock = AdvisoryLock(guard, self.schema, self.work, attempted)
            try:
                yield from self._failed_attempts(lock)
            except BaseException:
                with suppress(psycopg.Error):
                    lock.release()
                raise
            with lock.hold(self._monitored(), self._connect_in_thread) as held:
                yield _with_cleanup(held, processes)

    def _monitored(self) -> CurrentStatement:
        lock_timeout_s = self.database.session.lock_timeout_s
        return monitored_statement(
            self.work, self.observe, lock_timeout_s, *self.monitor_s
        )

    def _lease(self, guard: psycopg.Connection) -> LeaseLock:
        if self.schema is None:
            raise MissingSchemaError.of_path(TABLE)
        with _translate_errors(), self.cancellation.interruptible():
            lease = Lease.ensure(guard, self.schema)
        return LeaseLock(guard, lease, self.work, self.heartbeat_s, self.cancellation)

    def _failed_attempts(self, lock: MigrationLock) -> Iterator[None]:
        """Yield after each failed attempt, until *lock* is acquired."""
        started, delays = time.monotonic(), self.backoff.delays()
        while True:
            with _translate_errors(), self.cancellation.interruptible():
                acquired = lock.try_acquire()
                holder = None if acquired else lock.holder()
            waited_s = time.monotonic() - started
            if acquired:
                self.observe(LockAcquired(kind=lock.kind, waited_s=round(waited_s, 3)))
                return
            yield None
            delay = next(delays, None)
            if delay is None:
                raise LockWaitTimeoutError(waited_s=waited_s, holder=holder)
            self.observe(LockContended(waited_s=round(waited_s, 3), holder=holder))
            self.cancellation.sleep(delay)

    def _connect_in_thread(self) -> Link:
        """Connect in a thread, which gets no signals, unless the run is cut off."""
        if self.cancellation.cut_off_reason is not None:
            raise self.cancellation.cut_off_reason
        conn = self.database.connect_again(Cancellation())
        self.cancellation.attach(conn)
        return conn


def _with_cleanup(lock: HeldLock, processes: tuple[str, ...]) -> HeldLock:
    """Return *lock*, which also ends the run's sessions *processes* on the server."""

    def end_stale_sessions(conn: psycopg.Connection) -> bool:
        return end_sessions(conn, processes) and lock.end_stale_sessions(conn)

    return lock._replace(end_stale_sessions=end_stale_sessions)


@contextmanager
def _translate_errors() -> Iterator[None]:
    with translate_errors("acquiring the migration lock"):
        try:
            yield
        except psycopg.ProgrammingError as error:
            raise AccessDeniedError(server_message(error), remedy=_REMEDY) from error


_REMEDY = (
    "the lock needs CREATE on the schema where goose_lock does not exist yet, SELECT,"
    " INSERT and UPDATE on it, and goose's columns in it; or set MIGRATOR_LOCK=session"
    " and connect to the server itself"
)
