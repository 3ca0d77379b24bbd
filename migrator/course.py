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

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field

import psycopg

from migrator.allowance import Allowance
from migrator.backoff import Backoff
from migrator.cancellation import Cancellation
from migrator.errors import (
    BusyTableError,
    ConnectionLostError,
    MigratorError,
    ReadOnlyServerError,
    UnavailableError,
)
from migrator.events.base import Event, Observer
from migrator.events.database import DatabaseLost, DatabaseWaited
from migrator.facts import ServerMessage
from migrator.model import History, Step
from migrator.pg.connect import server_message
from migrator.pg.database import Database
from migrator.pg.execute import Executor
from migrator.pg.failures import READ_ONLY_TRANSACTION
from migrator.pg.hold import NO_LOCK, Hold
from migrator.pg.look import Seen
from migrator.pg.remains import look_behind
from migrator.pg.store import Store
from migrator.pg.trouble import trouble
from migrator.pg.unversioned import Unversioned
from migrator.walk import Walk


ATTEMPTS = 3
"""How often one migration is begun whose session dies: it may be what kills it."""

_LOST = (ConnectionLostError, UnavailableError, BusyTableError)
_Lost = ConnectionLostError | UnavailableError | BusyTableError

Locked = Callable[
    [psycopg.Connection, Callable[[], bool]], AbstractContextManager[Hold | None]
]


@dataclass(slots=True, kw_only=True)
class Course:
    """One run's work, from the first look to its end."""

    database: Database
    store: Store | Unversioned
    locked: Locked
    planned: Callable[[psycopg.Connection, Seen], tuple[Step, ...]]
    """Makes the plan of what was seen under the lock, and tells it."""

    idle: Callable[[psycopg.Connection, History], bool]
    """Whether a history leaves nothing to plan; then it tells so."""

    why_apart: Callable[[psycopg.Connection], str]
    """Why every statement waits for its answer; empty when none has to."""

    patience: Backoff
    """For other sessions' locks."""

    allowance: Allowance
    observe: Observer
    cancellation: Cancellation
    _walk: Walk | None = None
    _hold: Hold = NO_LOCK
    """The lock as it was held last: what of it is left, once sessions are lost."""

    _going: bool = False
    """Whether steps are taken: sessions that die before or between are not counted."""

    _lost: ConnectionLostError | None = None
    _deaths: Counter[int] = field(default_factory=Counter)
    """How often sessions have died, by how many steps were done then."""

    _delays: Iterator[float] | None = None
    _delays_at: int = -1
    """How many steps were done when the delays began."""

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
            if self._walk is not None:
                self._walk.failed(error)
            raise

    def _run(self, conn: psycopg.Connection, seen: Seen) -> tuple[Step, ...]:
        error: _Lost | None = None
        while True:
            try:
                if error is not None:
                    conn, seen = self._again(error)
                with closing(conn):
                    if error is None or not self._idle(conn, seen):
                        self._work(conn, seen)
            except _LOST as lost:
                error = lost
            else:
                return () if self._walk is None else self._walk.taken

    def _idle(self, conn: psycopg.Connection, seen: Seen) -> bool:
        return self._walk is None and self.idle(conn, seen.history)

    def _work(self, conn: psycopg.Connection, seen: Seen) -> None:
        _check_writable(conn)
        self._free(conn)
        with self.locked(conn, lambda: self._done(conn)) as hold:
            if hold is None:
                return
            self._hold = hold
            now = self.store.ensure(conn, seen)
            walk = self._walk = self._resumed(conn, now) or self._begun(conn, now)
            executor = Executor(
                conn,
                now.table,
                self.database.session,
                self.observe,
                self.cancellation,
                hold,
            )
            self._going = True
            walk.go(executor, pipeline=not self.why_apart(conn))

    def _begun(self, conn: psycopg.Connection, now: Seen) -> Walk:
        return Walk(
            self.planned(conn, now),
            now.history,
            patience=self.patience,
            observe=self.observe,
            cancellation=self.cancellation,
        )

    def _resumed(self, conn: psycopg.Connection, now: Seen) -> Walk | None:
        if self._walk is not None and isinstance(self.store, Store):
            behind = look_behind(conn, self.store, now.table)
            self._walk.resume(behind.history)
        return self._walk

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
        try:
            with self.cancellation.armed():
                return self._hold.free(conn)
        except psycopg.Error as error:
            raise trouble(server_message(error), error, doing=_ENDING) from error

    def _again(self, error: _Lost) -> tuple[psycopg.Connection, Seen]:
        """Connect once more, or raise what *error* comes to."""
        self.cancellation.check()
        attempt = self._counted(error)
        with self.allowance.waiting():
            delay = next(self._spaced(), None)
            if delay is None:
                raise self._spent(error) from error
            self.observe(self._told(error, attempt, delay))
            self.cancellation.sleep(delay)
            database = self.database._replace(patience=self.allowance.left)
            conn, answers = database.ask(
                self.store.question, self.observe, self.cancellation
            )
        try:
            read = self.store.read
            return conn, self.store.look(conn) if answers is None else read(answers)
        except BaseException:
            conn.close()
            raise

    def _counted(self, error: _Lost) -> int:
        """Return how often sessions have died at this step, or raise *error*."""
        going, self._going = self._going, False
        if isinstance(self.store, Unversioned):
            raise error
        if isinstance(error, BusyTableError) and (going or self._lost is None):
            raise error
        if isinstance(error, ConnectionLostError):
            self._died(error, going=going)
        return self._deaths[self._at]

    def _died(self, error: ConnectionLostError, *, going: bool) -> None:
        self._lost = error
        self._deaths[self._at] += going
        if not error.passes:
            raise error
        if self._deaths[self._at] == ATTEMPTS:
            raise error.ending(_KILLING) from error

    @property
    def _at(self) -> int:
        return -1 if self._walk is None else self._walk.done

    def _spaced(self) -> Iterator[float]:
        """Return delays that grow until another step is done."""
        if self._delays is None or self._at != self._delays_at:
            self._delays, self._delays_at = self.allowance.delays(), self._at
        return self._delays

    def _spent(self, error: _Lost) -> MigratorError:
        """Return what *error* comes to when the allowance is spent."""
        if self._lost is not None and isinstance(error, UnavailableError):
            spent_s = self.allowance.spent_s
            return self._lost.ending(_NO_OTHER.format(spent_s, error.server.message))
        if isinstance(error, ReadOnlyServerError) and self._walk and self._walk.taken:
            return ConnectionLostError(error.server, doing=_SEEKING)
        return error

    def _told(self, error: _Lost, attempt: int, delay: float) -> Event:
        step = self._walk.next if self._walk is not None else None
        if step is None and not isinstance(error, ConnectionLostError):
            return DatabaseWaited(
                attempt=attempt,
                waited_s=round(self.allowance.spent_s, 3),
                next_attempt_s=round(delay, 3),
                reason=error.server.message,
                sqlstate=error.server.sqlstate,
            )
        return DatabaseLost(
            reason=error.server.message,
            sqlstate=error.server.sqlstate,
            version=step.migration.version if step else None,
            path=step.migration.path if step else None,
            attempt=attempt,
            next_attempt_s=round(delay, 3),
        )


_KILLING = f"; that was attempt {ATTEMPTS} at this migration, which may be the cause"
_NO_OTHER = "; no other one within {:.0f} s: {}"
_SEEKING = "waiting for a server that takes writes"
_ENDING = "ending what lost sessions of ours still do"
_GOES_ON = ServerMessage(sqlstate=None, message="one of them does not end")


def _check_writable(conn: psycopg.Connection) -> None:
    # reported by every server that we support (libpq, PQparameterStatus)
    if conn.info.parameter_status("in_hot_standby") == "on":
        raise ReadOnlyServerError(_STANDBY)


_STANDBY = ServerMessage(sqlstate=READ_ONLY_TRANSACTION, message="it is a standby")
