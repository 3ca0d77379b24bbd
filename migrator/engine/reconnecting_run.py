"""
A run's work under the lock, taken up again when a session dies.

    with locked(conn, done):            again from here with each new session
        plan                            once: the first plan is the one that runs
        or look what came through       once our lost sessions are gone
        walk.go(executor)               what is left

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
from migrator.engine.reconnect_policy import Losses, Lost, lost
from migrator.engine.step_runner import Walk
from migrator.engine.wait_budget import Allowance
from migrator.errors import (
    ConnectionLostError,
    MigratorError,
    PartialError,
    ReadOnlyServerError,
    StatementFailedError,
)
from migrator.events.base import Observer
from migrator.pg.connection.database import Database
from migrator.pg.errors.tracking_errors import troubled
from migrator.pg.errors.translate import READ_ONLY_TRANSACTION
from migrator.pg.execution.partial_errors import nowhere
from migrator.pg.execution.statements import Executor
from migrator.pg.locking.held_lock import NO_LOCK, Hold
from migrator.pg.tracking.snapshot import Seen
from migrator.pg.tracking.store import Store
from migrator.pg.tracking.unversioned import Unversioned
from migrator.process.cancellation import Cancellation


Locked = Callable[
    [psycopg.Connection, Seen, Callable[[], bool]], AbstractContextManager[Hold | None]
]


@dataclass(slots=True, kw_only=True)
class Course:
    """One run's work, from the first look to its end."""

    database: Database
    store: Store | Unversioned
    files: Files
    locked: Locked
    planned: Callable[[psycopg.Connection, Seen], tuple[Step, ...]]
    """Makes the plan of what was seen under the lock, and tells it."""

    idle: Callable[[psycopg.Connection, History], bool]
    """Whether a history leaves nothing to plan; then it tells so."""

    why_apart: Callable[[psycopg.Connection], str]
    """Why every statement waits for its answer; empty when none has to."""

    drop_invalid: bool
    """What `Executor` does with what a concurrent build left behind."""
    patience: Backoff
    """For other sessions' locks."""

    allowance: Allowance
    observe: Observer
    cancellation: Cancellation
    _losses: Losses = field(init=False)
    _walk: Walk | None = None
    _hold: Hold = NO_LOCK
    """The lock as it was held last: what of it is left, once sessions are lost."""

    _going: bool = False
    """Whether steps are taken: sessions that die before or between are not counted."""

    def __post_init__(self) -> None:
        self._losses = Losses(self.allowance)

    def run(self, conn: psycopg.Connection, seen: Seen) -> tuple[Step, ...]:
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
            if self._walk is not None:
                self._walk.failed(error)
            raise

    def _explain_existing(self, error: MigratorError, before: Seen) -> None:
        """Say of what exists already how a database without a history gets one."""
        if before.history.versions or not isinstance(self.store, Store):
            return
        if not isinstance(error, (StatementFailedError, PartialError)):
            return
        from migrator.pg.errors.remedies import remedy_of_existing  # noqa: PLC0415 - rare

        recorded = self._walk is not None and bool(self._walk.taken)
        if error.server is not None:
            remedy = remedy_of_existing(
                error.server, self.store.name, recorded=recorded
            )
            error.sequel = "; ".join(filter(None, (error.sequel, remedy)))

    def _explain_session(self, error: MigratorError) -> None:
        """Say of what is not there that an earlier file may have led to it."""
        step = self._walk.next if self._walk is not None else None
        if step is None or not isinstance(error, (StatementFailedError, PartialError)):
            return
        from migrator.pg.errors.remedies import remedy_of_session  # noqa: PLC0415 - rare

        left = session_left(before(self.files, step))
        state = self.database.session.state
        remedy = remedy_of_session(error.server, left, state) if error.server else ""
        error.sequel = "; ".join(filter(None, (error.sequel, remedy)))

    def _run(self, conn: psycopg.Connection, seen: Seen) -> tuple[Step, ...]:
        error = lost(partial(self._work, conn, seen))
        while error is not None:
            error = lost(partial(self._work_again, self._lost(error)))
        return () if self._walk is None else self._walk.taken

    def _work_again(self, pause: float) -> None:
        with self.allowance.waiting():
            self.cancellation.sleep(pause)
            conn, answers = self.database._replace(patience=self.allowance.left).ask(
                self.store.question, self.observe, self.cancellation
            )
        with closing(conn):
            read, look = self.store.read, self.store.look
            seen = look(conn) if answers is None else read(answers)
            if self._walk is not None or not self.idle(conn, seen.history):
                self._work(conn, seen)

    def _work(self, conn: psycopg.Connection, seen: Seen) -> None:
        with closing(conn):
            _check_writable(conn)
            self._free(conn)
            with self.locked(conn, seen, partial(self._done, conn)) as hold:
                if hold is not None:
                    self._hold = hold
                    self._walk_on(conn, seen)

    def _walk_on(self, conn: psycopg.Connection, seen: Seen) -> None:
        with self.allowance.waiting(), self.cancellation.armed():
            now = self.store.ensure(conn, seen)
        if self._walk is None:
            self._walk = self._begun(conn, now)
        elif isinstance(self.store, Store):
            self._walk.resume(now.history)
            self._check_session(self._walk)
        executor = Executor(
            conn,
            now.table,
            self.database.session,
            self.observe,
            self.cancellation,
            self._hold,
            drop_invalid=self.drop_invalid,
            mask=self.database.mask,
        )
        self._going = True
        self._walk.go(executor, pipeline=not self.why_apart(conn))

    def _check_session(self, walk: Walk) -> None:
        """
        See that what is left needs nothing of the session that was lost.

        Raises:
            StatementFailedError: The session was to be kept, and earlier files of the
                run have left something in it.
        """
        if walk.next is None or self.database.session.state is SessionState.RESET:
            return
        if left := session_left(walk.taken):
            from migrator.pg.errors.remedies import session_lost  # noqa: PLC0415 - rare

            raise session_lost(nowhere(walk.next, BEGINNING), left)

    def _begun(self, conn: psycopg.Connection, now: Seen) -> Walk:
        return Walk(
            self.planned(conn, now),
            now.history,
            patience=self.patience,
            observe=self.observe,
            cancellation=self.cancellation,
        )

    def _done(self, conn: psycopg.Connection) -> bool:
        history = self.store.look(conn).history
        if self._walk is None:
            return self.idle(conn, history)
        if not self._walk.complete(history):
            return False
        self._walk.resume(history)
        return True

    def _free(self, conn: psycopg.Connection) -> None:
        """
        End what lost sessions of ours still do.

        Raises:
            ConnectionLostError: They go on for longer than the allowance is.
        """
        delays = self.allowance.left.delays()
        while not self._freed(conn):
            delay = next(delays, None)
            if delay is None:
                raise ConnectionLostError(_GOES_ON, doing=_ENDING)
            with self.allowance.waiting():
                self.cancellation.sleep(delay)

    def _freed(self, conn: psycopg.Connection) -> bool:
        with troubled(_ENDING), self.cancellation.armed():
            return self._hold.free(conn)

    def _lost(self, error: Lost) -> float:
        """Return how long to wait before another session, or raise what it comes to."""
        self.cancellation.check()
        if isinstance(self.store, Unversioned):
            raise error
        going, self._going, walk = self._going, False, self._walk
        done = walk.done if walk else -1
        taken = walk is not None and bool(walk.taken)
        delay = self._losses.delay(error, done=done, going=going, taken=taken)
        step = walk.next if walk else None
        self.observe(self._losses.told(error, delay, done=done, step=step))
        return delay


_ENDING = "ending what lost sessions of ours still do"
_GOES_ON = ServerMessage(sqlstate=None, message="one of them does not end")


def _check_writable(conn: psycopg.Connection) -> None:
    # reported by every server that we support (libpq, PQparameterStatus)
    if conn.info.parameter_status("in_hot_standby") == "on":
        raise ReadOnlyServerError(_STANDBY)


_STANDBY = ServerMessage(sqlstate=READ_ONLY_TRANSACTION, message="it is a standby")
