"""
A run's work under the lock, taken up again when a session dies.

    with locked(conn, done):            again from here with each new session
        plan                            once: the first plan is the one that runs
        or read what was committed      once our lost sessions are gone
        steps.run(executor)             what is left

What was in flight is known by the table alone, and the table is believed only when no
session of ours can change it any more: those that were lost are ended first, and the
look waits for a COMMIT that is on its way.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from functools import partial

import psycopg

from migrator.domain.backoff import Backoff
from migrator.domain.facts import BEGINNING, ServerMessage
from migrator.domain.history import History
from migrator.domain.model import Files, SessionState, Step
from migrator.engine.plan import before, session_left
from migrator.engine.reconnect_policy import Lost, ReconnectPolicy, catch_loss
from migrator.engine.step_runner import StepRunner
from migrator.engine.wait_budget import WaitBudget
from migrator.errors import (
    ConnectionLostError,
    MigratorError,
    PartiallyAppliedError,
    ReadOnlyServerError,
    StatementFailedError,
)
from migrator.events.base import Observer
from migrator.pg.connection.database import Database
from migrator.pg.errors.remedies import (
    find_existing_remedy,
    remedy_of_session,
    session_lost,
)
from migrator.pg.errors.sqlstates import READ_ONLY_TRANSACTION
from migrator.pg.errors.tracking_errors import translate_errors
from migrator.pg.execution.partial_errors import file_place
from migrator.pg.execution.statements import StatementExecutor
from migrator.pg.locking.held_lock import NO_LOCK, HeldLock
from migrator.pg.tracking.snapshot import DatabaseState
from migrator.pg.tracking.store import NoTrackingStore, TrackingStore
from migrator.process.cancellation import Cancellation


Locked = Callable[
    [psycopg.Connection, DatabaseState, Callable[[], bool]],
    AbstractContextManager[HeldLock | None],
]


@dataclass(slots=True, kw_only=True)
class ReconnectingRun:
    """One run's work, from the first look to its end."""

    database: Database
    store: TrackingStore | NoTrackingStore
    files: Files
    locked: Locked
    planned: Callable[[psycopg.Connection, DatabaseState], tuple[Step, ...]]
    """Makes the plan of what was seen under the lock, and tells it."""

    idle: Callable[[psycopg.Connection, History], bool]
    """Whether a history leaves nothing to plan; then it tells so."""

    not_pipelined_reason: Callable[[psycopg.Connection], str]
    """Why every statement waits for its answer; empty when none has to."""

    drop_invalid: bool
    """What `StatementExecutor` does with what a concurrent build left behind."""
    backoff: Backoff
    """For other sessions' locks."""

    wait_budget: WaitBudget
    observe: Observer
    cancellation: Cancellation
    _reconnect_policy: ReconnectPolicy = field(init=False)
    _steps: StepRunner | None = None
    _lock: HeldLock = NO_LOCK
    """The lock as it was held last: what of it is left, once sessions are lost."""

    _is_going: bool = False
    """Whether steps are taken: sessions that die before or between are not counted."""

    def __post_init__(self) -> None:
        self._reconnect_policy = ReconnectPolicy(self.wait_budget)

    def run(self, conn: psycopg.Connection, seen: DatabaseState) -> tuple[Step, ...]:
        """
        Do what the goal asks for, begun on *conn* after what was *seen* there.

        Raises:
            ConnectionLostError: A session has died, and the allowance is spent; or one
                step's session has died three times.
            UnavailableError: The server takes no writes, and the allowance is spent.
            MigratorError: As the parts do; what was committed before stays.
        """
        try:
            return self._run(conn, seen)
        except MigratorError as error:
            self._explain_existing(error, seen)
            self._explain_session(error)
            if self._steps is not None:
                self._steps.emit_failure(error)
            raise

    def _explain_existing(self, error: MigratorError, before: DatabaseState) -> None:
        """Say of what exists already how a database without a history gets one."""
        if before.history.versions or not isinstance(self.store, TrackingStore):
            return
        if not isinstance(error, (StatementFailedError, PartiallyAppliedError)):
            return
        recorded = self._steps is not None and bool(self._steps.steps_taken)
        if error.server is not None:
            remedy = find_existing_remedy(
                error.server, self.store.name, recorded=recorded
            )
            error.advice = "; ".join(filter(None, (error.advice, remedy)))

    def _explain_session(self, error: MigratorError) -> None:
        """Say of what is not there that an earlier file may have led to it."""
        step = self._steps.next_step if self._steps is not None else None
        if step is None or not isinstance(
            error, (StatementFailedError, PartiallyAppliedError)
        ):
            return
        left = session_left(before(self.files, step))
        state = self.database.session.state
        remedy = remedy_of_session(error.server, left, state) if error.server else ""
        error.advice = "; ".join(filter(None, (error.advice, remedy)))

    def _run(self, conn: psycopg.Connection, seen: DatabaseState) -> tuple[Step, ...]:
        error = catch_loss(partial(self._work, conn, seen))
        while error is not None:
            error = catch_loss(partial(self._work_again, self._handle_loss(error)))
        return () if self._steps is None else self._steps.steps_taken

    def _work_again(self, pause: float) -> None:
        with self.wait_budget.waiting():
            self.cancellation.sleep(pause)
            conn, answers = self.database._replace(
                backoff=self.wait_budget.remaining
            ).connect_and_query(
                self.store.snapshot_sql, self.observe, self.cancellation
            )
        with closing(conn):
            read, look = self.store.parse_state, self.store.read_state
            seen = look(conn) if answers is None else read(answers)
            if self._steps is not None or not self.idle(conn, seen.history):
                self._work(conn, seen)

    def _work(self, conn: psycopg.Connection, seen: DatabaseState) -> None:
        with closing(conn):
            _check_writable(conn)
            self._end_stale_sessions(conn)
            with self.locked(conn, seen, partial(self._is_done, conn)) as hold:
                if hold is not None:
                    self._lock = hold
                    self._run_steps(conn, seen)

    def _run_steps(self, conn: psycopg.Connection, seen: DatabaseState) -> None:
        with self.wait_budget.waiting(), self.cancellation.interruptible():
            now = self.store.ensure(conn, seen)
        if self._steps is None:
            self._steps = self._start_steps(conn, now)
        elif isinstance(self.store, TrackingStore):
            self._steps.resume(now.history)
            self._check_session(self._steps)
        executor = StatementExecutor(
            conn,
            now.table,
            self.database.session,
            self.observe,
            self.cancellation,
            self._lock,
            drop_invalid=self.drop_invalid,
            mask=self.database.mask,
        )
        self._is_going = True
        self._steps.run(executor, pipeline=not self.not_pipelined_reason(conn))

    def _check_session(self, walk: StepRunner) -> None:
        """
        See that what is left needs nothing of the session that was lost.

        Raises:
            StatementFailedError: The session was to be kept, and earlier files of the
                run have left something in it.
        """
        if walk.next_step is None or self.database.session.state is SessionState.RESET:
            return
        if left := session_left(walk.steps_taken):
            raise session_lost(file_place(walk.next_step, BEGINNING), left)

    def _start_steps(self, conn: psycopg.Connection, now: DatabaseState) -> StepRunner:
        return StepRunner(
            self.planned(conn, now),
            now.history,
            patience=self.backoff,
            observe=self.observe,
            cancellation=self.cancellation,
        )

    def _is_done(self, conn: psycopg.Connection) -> bool:
        history = self.store.read_state(conn).history
        if self._steps is None:
            return self.idle(conn, history)
        if not self._steps.complete(history):
            return False
        self._steps.resume(history)
        return True

    def _end_stale_sessions(self, conn: psycopg.Connection) -> None:
        """
        End what lost sessions of ours still do.

        Raises:
            ConnectionLostError: They go on for longer than the allowance is.
        """
        delays = self.wait_budget.remaining.delays()
        while not self._are_stale_sessions_gone(conn):
            delay = next(delays, None)
            if delay is None:
                raise ConnectionLostError(_GOES_ON, doing=_ENDING)
            with self.wait_budget.waiting():
                self.cancellation.sleep(delay)

    def _are_stale_sessions_gone(self, conn: psycopg.Connection) -> bool:
        with translate_errors(_ENDING), self.cancellation.interruptible():
            return self._lock.end_stale_sessions(conn)

    def _handle_loss(self, error: Lost) -> float:
        """Return how long to wait before another session, or raise what it comes to."""
        self.cancellation.check()
        if isinstance(self.store, NoTrackingStore):
            raise error
        going, self._is_going, walk = self._is_going, False, self._steps
        done = walk.steps_done if walk else -1
        taken = walk is not None and bool(walk.steps_taken)
        step = walk.next_step if walk else None
        delay = self._reconnect_policy.delay(
            error, done=done, going=going, taken=taken, step=step
        )
        self.observe(
            self._reconnect_policy.lost_event(error, delay, done=done, step=step)
        )
        return delay


_ENDING = "ending what lost sessions of ours still do"
_GOES_ON = ServerMessage(sqlstate=None, message="one of them does not end")


def _check_writable(conn: psycopg.Connection) -> None:
    # reported by every server that we support (libpq, PQparameterStatus)
    if conn.info.parameter_status("in_hot_standby") == "on":
        raise ReadOnlyServerError(_STANDBY)


_STANDBY = ServerMessage(sqlstate=READ_ONLY_TRANSACTION, message="it is a standby")
