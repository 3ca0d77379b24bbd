"""
The main loop: look, lock, look again, plan, do.

    files = load(directory)             every file is read and parsed first
    state = store.read_state(conn)      no lock: may only find nothing to do
    with self._run_locked(conn, …):     polled, on another connection
        seen = store.ensure(conn)       what the table says now
        steps.run(make_plan(...))       each step its own transaction, with its row

From the lock on it is `ReconnectingRun`, which a lost session does not end.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from typing import TYPE_CHECKING, NamedTuple

import psycopg

from migrator.domain.backoff import HEARTBEAT_S, PROGRESS_INTERVALS_S, Backoff
from migrator.domain.history import History
from migrator.domain.model import Files, Goal, Lock, OnInvalidIndex, OnProblem, Step
from migrator.engine.plan import (
    assumed_history,
    check_intents,
    find_drift,
    make_plan,
    not_pipelined,
    outdated_intents,
    versions_ahead,
)
from migrator.errors import (
    ConnectionLostError,
    DriftError,
    HistoryExistsError,
    MigratorError,
    TrackingTableLockedError,
)
from migrator.events.base import Observer, ignore_events
from migrator.events.factories import (
    database_ahead_detected,
    drift_found,
    file_rejected,
    history_found_elsewhere,
    migration_recorded,
    setting_ignored,
)
from migrator.events.run import PlanMade
from migrator.pg.connection.database import Database
from migrator.pg.connection.pooler import warn_of_settings
from migrator.pg.connection.session import supports_pipeline
from migrator.pg.tracking.snapshot import DatabaseState
from migrator.pg.tracking.store import NoTrackingStore, TrackingStore
from migrator.process.cancellation import Cancellation


if TYPE_CHECKING:
    from migrator.engine.reconnecting_run import ReconnectingRun
    from migrator.pg.locking.held_lock import HeldLock


class Policy(NamedTuple):
    """How a run decides and how long it is patient."""

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

    retry_backoff: Backoff = Backoff(total_s=300, first_s=0.5, most_s=30)
    watch_s: tuple[float, float] = PROGRESS_INTERVALS_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """Brings one database to a goal."""

    database: Database
    store: TrackingStore | NoTrackingStore = field(default_factory=TrackingStore)
    policy: Policy = field(default_factory=Policy)
    observe: Observer = ignore_events
    cancellation: Cancellation = field(default_factory=Cancellation)

    @contextmanager
    def read_state(self) -> Iterator[tuple[psycopg.Connection, History]]:
        """Connect and yield what the tracking table says; nothing is created."""
        with self._connect_and_read() as (conn, seen):
            yield conn, seen.history

    @contextmanager
    def _connect_and_read(self) -> Iterator[tuple[psycopg.Connection, DatabaseState]]:
        store = self.store
        conn, answers = self.database.connect_and_query(
            store.snapshot_sql, self.observe, self.cancellation
        )
        with closing(conn):
            yield (
                conn,
                store.read_state(conn)
                if answers is None
                else store.parse_state(answers),
            )

    def poll_state(self) -> Iterator[History | MigratorError]:
        """
        Yield what the tracking table says, as often as somebody asks.

        What may pass, a lost connection or a locked table, is yielded in its place,
        and the connection is opened again; raises as `Database.connect`.
        """
        while True:
            try:
                with self.read_state() as (conn, history):
                    yield history
                    while True:
                        yield self.store.read_state(conn).history
            except (ConnectionLostError, TrackingTableLockedError) as error:
                yield error

    def plan(self, files: Files, goal: Goal) -> tuple[Step, ...]:
        """Return what `run` would do now; raises what it would, and changes nothing."""
        with self._connect_and_read() as (conn, seen):
            plan = self._first_plan(files, seen, goal)
        self._emit_plan(conn, seen.history, plan)
        return plan

    def baseline(self, files: Files, target: int) -> None:
        """
        Record the files up to *target* as applied, all or none, and run nothing.

        Raises:
            HistoryExistsError: The tracking table has versions already.
        """
        adopted = [m for m in files.migrations if m.version <= target]
        with (
            self._connect_and_read() as (conn, before),
            self._run_locked(conn, before, lambda: False) as lock,
        ):
            self._emit_elsewhere(before)
            seen = self.store.ensure(conn, before)
            if lock is None or seen.table is None or seen.history.versions:
                raise HistoryExistsError(sorted(seen.history.versions))
            seen.table.record_baseline(conn, adopted)
        for migration in adopted:
            self.observe(migration_recorded(migration))

    def run(self, files: Files, goal: Goal) -> tuple[Step, ...]:
        """
        Bring the database to *goal* and return the steps taken.

        The plan is made under the lock, from what the table says then: of two jobs
        that start together, the second finds nothing left to do.

        Raises:
            MigratorError: As the parts do; what was committed before stays.
        """
        began = time.monotonic()
        with self._connect_and_read() as (conn, seen):
            spent_s = time.monotonic() - began
            plan = self._first_plan(files, seen, goal)
            if plan:
                from migrator.events.serialized import SerializedObserver  # noqa: PLC0415 - there is work to do

                us = replace(
                    self, observe=SerializedObserver(self.observe)
                )  # two threads tell now
                return us._reconnecting_run(files, goal, spent_s).run(conn, seen)  # noqa: SLF001
            self._emit_plan(conn, seen.history, plan)
            return ()

    def _first_plan(
        self, files: Files, seen: DatabaseState, goal: Goal
    ) -> tuple[Step, ...]:
        """Return the plan by what was *seen* without a lock, and report oddities."""
        plan = self._plan(files, seen.history, goal)
        self._check_drift(files, seen)
        self._emit_ahead(files, seen.history)
        self._emit_faults(files, plan)
        if plan:
            self._emit_elsewhere(seen)
        return plan

    def _reconnecting_run(
        self, files: Files, goal: Goal, spent_s: float
    ) -> "ReconnectingRun":
        from migrator.engine.reconnecting_run import ReconnectingRun  # noqa: PLC0415 - the same
        from migrator.engine.wait_budget import WaitBudget  # noqa: PLC0415 - the same

        return ReconnectingRun(
            database=self.database,
            store=self.store,
            files=files,
            locked=self._run_locked,
            planned=partial(self._make_plan, files, goal),
            idle=partial(self._is_idle, files, goal),
            not_pipelined_reason=self.not_pipelined_reason,
            drop_invalid=self.policy.on_invalid_index is OnInvalidIndex.DROP,
            backoff=self.policy.retry_backoff,
            wait_budget=WaitBudget(self.database.backoff, spent_s=spent_s),
            observe=self.observe,
            cancellation=self.cancellation,
        )

    def _make_plan(
        self, files: Files, goal: Goal, conn: psycopg.Connection, seen: DatabaseState
    ) -> tuple[Step, ...]:
        """Make and tell the plan of what was *seen* under the lock."""
        self._emit_history_table(seen)
        plan = self._plan(files, seen.history, goal)
        check_intents(plan, seen.history)
        self._emit_plan(conn, seen.history, plan)
        warn_of_settings(conn, plan, self.observe, self.database.session.state)
        if seen.table is not None:
            seen.table.close_intents(conn, outdated_intents(seen.history))
        return plan

    def _is_idle(
        self, files: Files, goal: Goal, conn: psycopg.Connection, history: History
    ) -> bool:
        """Return whether *history* leaves nothing to do, and report it if so."""
        plan = self._plan(files, history, goal)
        if not plan:
            self._emit_plan(conn, history, plan)
        return not plan

    def _plan(self, files: Files, history: History, goal: Goal) -> tuple[Step, ...]:
        unversioned = isinstance(self.store, NoTrackingStore)
        return make_plan(
            files,
            assumed_history(files, goal) if unversioned else history,
            goal,
            allow_missing=self.policy.allow_missing,
            when_ahead=self.policy.on_db_ahead,
        )

    def _run_locked(
        self, conn: psycopg.Connection, seen: DatabaseState, done: Callable[[], bool]
    ) -> "AbstractContextManager[HeldLock | None]":
        """Hold the lock for what *conn* does; yield None when *done* says so."""
        from migrator.pg.locking.acquire import LockAcquisition  # noqa: PLC0415 - the same

        exclusion = LockAcquisition(
            lock=self.policy.lock,
            backoff=self.policy.lock_backoff,
            heartbeat_s=self.policy.heartbeat_s,
            monitor_s=self.policy.watch_s,
        )
        return exclusion.run_locked(
            self.database,
            conn,
            schema=seen.schema,
            done=done,
            observe=self.observe,
            cancellation=self.cancellation,
        )

    def not_pipelined_reason(self, conn: psycopg.Connection) -> str:
        """Return why every statement waits for its answer; empty when none has to."""
        if not self.policy.pipeline:
            return "MIGRATOR_PIPELINE is false"
        return "" if supports_pipeline(conn) else "a pooler or proxy is in between"

    def _emit_plan(
        self, conn: psycopg.Connection, history: History, plan: tuple[Step, ...]
    ) -> None:
        self.observe(
            PlanMade(
                version=history.current,
                target=reduce(History.after, plan, history).current,
                pending=tuple(step.migration.path for step in plan),
                apart=not_pipelined(
                    plan, why_all=self.not_pipelined_reason(conn) if plan else ""
                ),
            )
        )

    def _emit_history_table(self, seen: DatabaseState) -> None:
        if seen.no_history_reason:
            self.observe(
                setting_ignored("MIGRATOR_HISTORY", reason=seen.no_history_reason)
            )

    def _check_drift(self, files: Files, seen: DatabaseState) -> None:
        """
        Report applied files that have changed.

        Raises:
            DriftError: There are some, and the policy says that there must not be.
        """
        if self.policy.on_drift is OnProblem.IGNORE:
            return
        drifts = find_drift(files, seen.checksums)
        for drift in drifts:
            self.observe(drift_found(drift))
        if drifts and self.policy.on_drift is OnProblem.FAIL:
            raise DriftError(drifts)

    def _emit_ahead(self, files: Files, history: History) -> None:
        surplus = versions_ahead(files, history)
        if surplus and self.policy.on_db_ahead is OnProblem.WARN:
            self.observe(database_ahead_detected(surplus, newest_file=files.newest))

    def _emit_elsewhere(self, seen: DatabaseState) -> None:
        if seen.other_schemas and seen.schema_and_name is not None:
            schema, table = seen.schema_and_name
            self.observe(history_found_elsewhere(table, schema, seen.other_schemas))

    def _emit_faults(self, files: Files, plan: tuple[Step, ...]) -> None:
        """
        Warn about faults in what does not run, and of what is odd about what does.

        `_plan` stops on the other faults.
        """
        odd = dict.fromkeys(fault for step in plan for fault in step.warnings)
        for fault in (*files.all_faults, *odd):
            self.observe(file_rejected(fault, fatal=False))
