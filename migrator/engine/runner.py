"""
Brings one database to a goal.

    conn, state = connect_and_read(…)       no lock: may only find nothing to do
    plan = planner.plan_without_lock(state)
    ReconnectingRun(context).run(…)         if there is a plan: lock, plan, execute
"""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace

import psycopg

from migrator.domain.history import History
from migrator.domain.model import Files, Goal, Step, Up
from migrator.engine.planner import Planner
from migrator.engine.run_context import (
    Policy,
    RunContext,
    attempt_lock,
    connect_and_read,
)
from migrator.errors import (
    ConnectionLostError,
    HistoryExistsError,
    MigratorError,
    TrackingTableLockedError,
)
from migrator.events.base import Observer, ignore_events
from migrator.events.factories import migration_recorded
from migrator.pg.connection.database import Database
from migrator.pg.tracking.snapshot import DatabaseState
from migrator.pg.tracking.store import NoTrackingStore, TrackingStore
from migrator.process.cancellation import Cancellation


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """Runs, plans and reads the migrations of one database."""

    database: Database
    store: TrackingStore | NoTrackingStore = field(default_factory=TrackingStore)
    policy: Policy = field(default_factory=Policy)
    observe: Observer = ignore_events
    cancellation: Cancellation = field(default_factory=Cancellation)

    @contextmanager
    def read_state(self) -> Iterator[tuple[psycopg.Connection, History]]:
        """Connect and yield what the tracking table says; nothing is created."""
        with self._connect_and_read() as (conn, state):
            yield conn, state.history

    def poll_state(self) -> Iterator[History | MigratorError]:
        """
        Yield what the tracking table says, each time it is asked for.

        A lost connection or a locked table is yielded in its place, and the
        connection is opened again; raises as `Database.connect`.
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
        planner = Planner(self._context(files, goal))
        with self._connect_and_read() as (conn, state):
            plan = planner.plan_without_lock(state)
        planner.emit_plan(conn, state.history, plan)
        return plan

    def baseline(self, files: Files, target: int) -> None:
        """
        Record the files up to *target* as applied, all or none, and run nothing.

        Raises:
            HistoryExistsError: The tracking table has versions already.
        """
        adopted = [m for m in files.migrations if m.version <= target]
        context = self._context(files, Up(to=target))
        with (
            self._connect_and_read() as (conn, before),
            attempt_lock(context, conn, before.schema) as attempts,
        ):
            next(filter(None, attempts))
            Planner(context).emit_elsewhere(before)
            state = self.store.ensure(conn, before)
            if state.table is None or state.history.versions:
                raise HistoryExistsError(sorted(state.history.versions))
            state.table.record_baseline(conn, adopted)
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
        context, began = self._context(files, goal), time.monotonic()
        planner = Planner(context)
        with self._connect_and_read() as (conn, state):
            spent_s = time.monotonic() - began
            plan = planner.plan_without_lock(state)
            if plan:
                return _run_with_lock(context, conn, state, spent_s)
            planner.emit_plan(conn, state.history, plan)
            return ()

    def _context(self, files: Files, goal: Goal) -> RunContext:
        return RunContext(
            database=self.database,
            store=self.store,
            files=files,
            goal=goal,
            policy=self.policy,
            observe=self.observe,
            cancellation=self.cancellation,
        )

    @contextmanager
    def _connect_and_read(self) -> Iterator[tuple[psycopg.Connection, DatabaseState]]:
        conn, state = connect_and_read(
            self.database, self.store, self.observe, self.cancellation
        )
        with closing(conn):
            yield conn, state


def _run_with_lock(
    context: RunContext, conn: psycopg.Connection, state: DatabaseState, spent_s: float
) -> tuple[Step, ...]:
    # not imported by a run that finds nothing to do
    from migrator.engine.reconnecting_run import ReconnectingRun  # noqa: PLC0415
    from migrator.engine.wait_budget import WaitBudget  # noqa: PLC0415
    from migrator.events.serialized import SerializedObserver  # noqa: PLC0415

    # the monitor's thread reports events too
    context = replace(context, observe=SerializedObserver(context.observe))
    budget = WaitBudget(context.database.backoff, spent_s=spent_s)
    return ReconnectingRun(context, budget).run(conn, state)
