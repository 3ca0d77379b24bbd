"""What every part of a run is given: the database, the files, the goal, the policy."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import psycopg

from migrator.domain.backoff import HEARTBEAT_S, PROGRESS_INTERVALS_S, Backoff
from migrator.domain.model import Files, Goal, Lock, OnInvalidIndex, OnProblem
from migrator.events.base import Observer
from migrator.pg.connection.database import Database
from migrator.pg.connection.session import supports_pipeline
from migrator.pg.tracking.snapshot import DatabaseState
from migrator.pg.tracking.store import NoTrackingStore, TrackingStore
from migrator.process.cancellation import Cancellation


if TYPE_CHECKING:
    from migrator.pg.locking.held_lock import HeldLock


class Policy(NamedTuple):
    """What a run does about files, locks and retries."""

    allow_missing: bool = False
    on_db_ahead: OnProblem = OnProblem.WARN
    on_drift: OnProblem = OnProblem.WARN
    on_invalid_index: OnInvalidIndex = OnInvalidIndex.DROP
    pipeline: bool = True
    """Whether statements are sent before those in front of them are answered."""

    lock: Lock = Lock.AUTO
    lock_backoff: Backoff = Backoff(total_s=300)
    heartbeat_s: float = HEARTBEAT_S
    """How often the lease is renewed, where the lock is one."""

    retry_backoff: Backoff = Backoff(total_s=300, initial_s=0.5, max_s=30)
    watch_s: tuple[float, float] = PROGRESS_INTERVALS_S


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """One run's database, files, goal and policy, and who observes it."""

    database: Database
    store: TrackingStore | NoTrackingStore
    files: Files
    goal: Goal
    policy: Policy
    observe: Observer
    cancellation: Cancellation

    def not_pipelined_reason(self, conn: psycopg.Connection) -> str:
        """Return why every statement waits for its answer; empty when none has to."""
        if not self.policy.pipeline:
            return "MIGRATOR_PIPELINE is false"
        return "" if supports_pipeline(conn) else "a pooler or proxy is in between"


def connect_and_read(
    database: Database,
    store: TrackingStore | NoTrackingStore,
    observe: Observer,
    cancellation: Cancellation,
) -> tuple[psycopg.Connection, DatabaseState]:
    """
    Connect to *database* and read what *store* tracks there; nothing is created.

    One round trip after connecting, where the server answers both in one message.

    Raises:
        MigratorError: As `Database.connect` and `TrackingStore.read_state`.
    """
    conn, answers = database.connect_and_query(
        store.snapshot_sql, observe, cancellation
    )
    try:
        return conn, (
            store.read_state(conn) if answers is None else store.parse_state(answers)
        )
    except BaseException:
        conn.close()
        raise


def attempt_lock(
    context: RunContext, conn: psycopg.Connection, schema: str | None
) -> "AbstractContextManager[Iterator[HeldLock | None]]":
    """Return the attempts to acquire the lock; as `LockAcquisition.attempts`."""
    from migrator.pg.locking.acquire import LockAcquisition  # noqa: PLC0415 - a no-op run takes no lock

    policy = context.policy
    return LockAcquisition(
        database=context.database,
        work=conn,
        schema=schema,
        observe=context.observe,
        cancellation=context.cancellation,
        lock=policy.lock,
        backoff=policy.lock_backoff,
        heartbeat_s=policy.heartbeat_s,
        monitor_s=policy.watch_s,
    ).attempts()
