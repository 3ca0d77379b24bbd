"""
A run's work under the lock, continued in a new session when one is lost.

    attempt_lock(context, conn, …)      again from here with each new session
        planner.plan_under_lock(…)      once: the first plan is the one that runs
        or steps.resume(…)              what was committed, by the table
        steps.run(executor)             what is left

Whether a step in flight was committed is known by the table alone, and the table is
believed only when no session of ours can change it any more: lost sessions are ended
first, and the query waits for a COMMIT that is on its way.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from enum import Enum

import psycopg

from migrator.domain.facts import BEGINNING, ServerMessage
from migrator.domain.model import OnInvalidIndex, SessionState, Step
from migrator.engine.plan import before, session_left
from migrator.engine.planner import Planner
from migrator.engine.reconnect_policy import Lost, Position, ReconnectPolicy
from migrator.engine.run_context import RunContext, connect_and_read
from migrator.engine.step_runner import StepRunner
from migrator.engine.wait_budget import WaitBudget
from migrator.errors import (
    ConnectionLostError,
    MigratorError,
    PartiallyAppliedError,
    ReadOnlyServerError,
    StatementFailedError,
    TrackingTableLockedError,
    UnavailableError,
)
from migrator.pg.errors.remedies import (
    find_existing_remedy,
    find_session_remedy,
    session_lost_error,
)
from migrator.pg.errors.sqlstates import READ_ONLY_TRANSACTION
from migrator.pg.errors.tracking_errors import translate_errors
from migrator.pg.execution.partial_errors import file_place
from migrator.pg.execution.statements import StatementExecutor
from migrator.pg.locking.acquire import LockAcquisition
from migrator.pg.locking.held_lock import NO_LOCK, HeldLock
from migrator.pg.tracking.snapshot import DatabaseState
from migrator.pg.tracking.store import NoTrackingStore, TrackingStore


class _Phase(Enum):
    PREPARING = "connecting, waiting for the lock, reading the tables"
    EXECUTING = "steps are executed: one of them may be what ends the session"


class ReconnectingRun:
    """One run's work, from the first session to its end."""

    def __init__(self, context: RunContext, wait_budget: WaitBudget) -> None:
        self._context = context
        self._planner = Planner(context)
        self._wait_budget = wait_budget
        self._policy = ReconnectPolicy(wait_budget)
        self._phase = _Phase.PREPARING
        self._steps: StepRunner | None = None
        """None until a plan is made under the lock."""

        self._lock: HeldLock = NO_LOCK
        """The lock that was held last; after a loss, what of it is left."""

    def run(self, conn: psycopg.Connection, state: DatabaseState) -> tuple[Step, ...]:
        """
        Execute what the goal asks for, first on *conn*, where *state* was read.

        Raises:
            ConnectionLostError: A session was lost, and the wait budget is spent; or
                one step's session has been lost three times.
            UnavailableError: The server accepts no writes, and the budget is spent.
            MigratorError: As the parts do; what was committed before stays.
        """
        try:
            self._run(conn, state)
        except MigratorError as error:
            self._add_advice(error, state)
            if self._steps is not None:
                self._steps.emit_failure(error)
            raise
        return () if self._steps is None else self._steps.applied

    def _run(self, conn: psycopg.Connection, state: DatabaseState) -> None:
        delay: float | None = None
        while True:
            try:
                if delay is None:
                    self._work(conn, state)
                else:
                    self._work_again(delay)
            except (
                ConnectionLostError,
                UnavailableError,
                TrackingTableLockedError,
            ) as error:
                delay = self._handle_loss(error)
            else:
                return

    def _work_again(self, delay: float) -> None:
        context = self._context
        with self._wait_budget.waiting():
            context.cancellation.sleep(delay)
            conn, state = connect_and_read(
                context.database._replace(backoff=self._wait_budget.remaining),
                context.store,
                context.observe,
                context.cancellation,
            )
        with closing(conn):
            if self._steps is None and self._planner.is_at_goal(conn, state.history):
                return
            self._work(conn, state)

    def _work(self, conn: psycopg.Connection, state: DatabaseState) -> None:
        with closing(conn):
            _check_writable(conn)
            self._end_stale_sessions(conn)
            with attempt_lock(self._context, conn, state.schema) as attempts:
                for lock in attempts:
                    if lock is not None:
                        self._lock = lock
                        self._run_steps(conn, state)
                    elif self._is_done(conn):
                        return

    def _run_steps(self, conn: psycopg.Connection, state: DatabaseState) -> None:
        context = self._context
        with self._wait_budget.waiting(), context.cancellation.interruptible():
            state = context.store.ensure(conn, state)
        if self._steps is None:
            plan = self._planner.plan_under_lock(conn, state)
            self._steps = StepRunner(context, plan, state.history)
        elif isinstance(context.store, TrackingStore):
            self._steps.resume(state.history)
            self._check_session(self._steps)
        self._phase = _Phase.EXECUTING
        self._steps.run(
            self._executor(conn, state),
            pipeline=not context.not_pipelined_reason(conn),
        )

    def _executor(
        self, conn: psycopg.Connection, state: DatabaseState
    ) -> StatementExecutor:
        context = self._context
        return StatementExecutor(
            conn,
            state.table,
            context.database.session,
            context.observe,
            context.cancellation,
            self._lock,
            drop_invalid=context.policy.on_invalid_index is OnInvalidIndex.DROP,
            queries_lock=self._policy.is_lock_suspect(self._position().done),
            mask=context.database.mask,
        )

    def _check_session(self, steps: StepRunner) -> None:
        """
        Check that what is left needs nothing of the session that was lost.

        Raises:
            StatementFailedError: MIGRATOR_SESSION=keep, and earlier files of the run
                have left something in the session.
        """
        keep = self._context.database.session.state is SessionState.KEEP
        if (
            keep
            and steps.next_step is not None
            and (left := session_left(steps.applied))
        ):
            raise session_lost_error(file_place(steps.next_step, BEGINNING), left)

    def _is_done(self, conn: psycopg.Connection) -> bool:
        """Return whether another migrator has done the work while we waited."""
        history = self._context.store.read_state(conn).history
        if self._steps is None:
            return self._planner.is_at_goal(conn, history)
        if not self._steps.is_complete(history):
            return False
        self._steps.resume(history)
        return True

    def _end_stale_sessions(self, conn: psycopg.Connection) -> None:
        """
        End what lost sessions of ours still do on the server.

        Raises:
            ConnectionLostError: They continue for longer than the wait budget.
        """
        cancellation = self._context.cancellation
        delays = self._wait_budget.remaining.delays()
        while True:
            with translate_errors(_ENDING), cancellation.interruptible():
                if self._lock.end_stale_sessions(conn):
                    return
            delay = next(delays, None)
            if delay is None:
                raise ConnectionLostError(_NOT_ENDED, doing=_ENDING)
            with self._wait_budget.waiting():
                cancellation.sleep(delay)

    def _handle_loss(self, error: Lost) -> float:
        """Report *error* and return the delay before another session, or raise."""
        self._context.cancellation.check()
        if isinstance(self._context.store, NoTrackingStore):
            raise error
        at = self._position()
        self._phase = _Phase.PREPARING
        delay = self._policy.delay(error, at)
        self._context.observe(self._policy.lost_event(error, delay, at))
        return delay

    def _position(self) -> Position:
        executing = self._phase is _Phase.EXECUTING
        if self._steps is None:
            return Position(-1, executing=executing)
        return Position(
            self._steps.done_count,
            executing=executing,
            applied_any=bool(self._steps.applied),
            step=self._steps.next_step,
        )

    def _add_advice(self, error: MigratorError, state: DatabaseState) -> None:
        """Add what the files and the history before the run tell about *error*."""
        if (
            not isinstance(error, (StatementFailedError, PartiallyAppliedError))
            or error.server is None
        ):
            return
        context, steps, remedies = self._context, self._steps, [error.advice]
        if not state.history.versions and isinstance(context.store, TrackingStore):
            recorded = steps is not None and bool(steps.applied)
            remedies.append(
                find_existing_remedy(
                    error.server, context.store.name, recorded=recorded
                )
            )
        if steps is not None and steps.next_step is not None:
            left = session_left(before(context.files, steps.next_step))
            session = context.database.session.state
            remedies.append(find_session_remedy(error.server, left, session))
        error.advice = "; ".join(filter(None, remedies))


_ENDING = "ending the run's lost sessions"
_NOT_ENDED = ServerMessage(sqlstate=None, message="one of them does not end")


def _check_writable(conn: psycopg.Connection) -> None:
    # reported by every server that we support (libpq, PQparameterStatus)
    if conn.info.parameter_status("in_hot_standby") == "on":
        raise ReadOnlyServerError(_STANDBY)


_STANDBY = ServerMessage(sqlstate=READ_ONLY_TRANSACTION, message="it is a standby")


def attempt_lock(
    context: RunContext, conn: psycopg.Connection, schema: str | None
) -> AbstractContextManager[Iterator[HeldLock | None]]:
    """Return the attempts to acquire the lock; as `LockAcquisition.attempts`."""
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
