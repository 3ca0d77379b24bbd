"""Acquires the migration lock: advisory or lease."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial

import psycopg
from psycopg import sql

from migrator.domain.backoff import HEARTBEAT_S, WATCH_S, Backoff
from migrator.domain.model import Lock
from migrator.events.base import Observer
from migrator.pg.connection.database import Database
from migrator.pg.connection.pooler import Link, is_pooled
from migrator.pg.locking.advisory import lease_lock, session_lock, session_lock_query
from migrator.pg.locking.held_lock import HeldLock, no_lock
from migrator.pg.locking.stale_sessions import (
    WHO_ANSWERS,
    ServerProcess,
    end_sessions,
    processes_sql,
    query_processes,
    read_processes,
)
from migrator.pg.monitor.current_statement import monitored_statement
from migrator.pg.monitor.monitor_thread import MonitorConnection, run_monitor
from migrator.process.cancellation import Cancellation


@dataclass(frozen=True, slots=True, kw_only=True)
class LockAcquisition:
    """Which migration lock to acquire, and how long to wait for it."""

    lock: Lock = Lock.AUTO
    backoff: Backoff = field(default_factory=lambda: Backoff(total_s=300))
    heartbeat_s: float = HEARTBEAT_S
    """How often the lease is renewed, where the lock is one."""

    monitor_s: tuple[float, float] = WATCH_S
    """When a statement's progress is first reported, and the longest interval after."""

    @contextmanager
    def run_locked(
        self,
        database: Database,
        work: psycopg.Connection,
        *,
        schema: str | None,
        done: Callable[[], bool],
        observe: Observer,
        cancellation: Cancellation,
    ) -> Iterator[HeldLock | None]:
        """
        Hold the lock in the block, on a second connection to *database*.

        goose's lease is in *schema*. The second connection also monitors *work*;
        without a lock it is opened for the first check.

        Yields None when *done* said, while we waited, that there is nothing left to do.

        Raises:
            MigratorError: As `session_lock` and `lease_lock`.
        """
        locks_s = database.session.lock_timeout_s
        watch = monitored_statement(work, observe, locks_s, *self.monitor_s)
        if self.lock is Lock.NONE:
            second = MonitorConnection(
                partial(_connect_in_thread, database, cancellation)
            )
            with run_monitor(watch, second.query_rows, second.close):
                yield _with_cleanup(no_lock(watch), query_processes(work, work))
            return
        leases = self.lock is Lock.TABLE
        locking = () if leases else (session_lock_query(schema, work),)
        question = sql.SQL("; ").join([*locking, processes_sql(work)])
        guard, answers = database.connect_again_and_query(
            question, cancellation, like=work
        )
        with closing(guard):
            ours = (
                read_processes(answers[-1]) if answers else query_processes(guard, work)
            )
            if leases or (self.lock is Lock.AUTO and is_pooled(guard)):
                hold = lease_lock(
                    guard,
                    schema=schema,
                    work=work,
                    opened=partial(_connect_in_thread, database, cancellation),
                    heartbeat_s=self.heartbeat_s,
                    patience=self.backoff,
                    done=done,
                    observe=observe,
                    cancellation=cancellation,
                    watch=watch,
                )
            else:
                hold = session_lock(
                    guard,
                    answers and answers[:-WHO_ANSWERS],
                    schema=schema,
                    work=work,
                    opened=partial(_connect_in_thread, database, cancellation),
                    patience=self.backoff,
                    done=done,
                    observe=observe,
                    cancellation=cancellation,
                    watch=watch,
                )
            with hold as held:
                yield held and _with_cleanup(held, ours)


def _with_cleanup(hold: HeldLock, ours: tuple[ServerProcess, ...]) -> HeldLock:
    """Return *hold*, which also ends the run's sessions on the server."""

    def free(conn: psycopg.Connection) -> bool:
        return end_sessions(conn, ours) and hold.end_stale_sessions(conn)

    return hold._replace(end_stale_sessions=free)


def _connect_in_thread(database: Database, cancellation: Cancellation) -> Link:
    """Connect in a thread, which no signal interrupts, unless the run was cut off."""
    if cancellation.cut is not None:
        raise cancellation.cut
    conn = database.connect_again(Cancellation())
    cancellation.attach(conn)
    return conn
