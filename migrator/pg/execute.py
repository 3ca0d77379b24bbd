"""
One migration, done: all of it with its version row, or nothing.

Each statement waits for the answer to the one before it; `migrator.pg.stream` does
without waiting. A NO TRANSACTION file runs in autocommit, and its version row comes
last: what stops it half way is a `PartialError`.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from migrator.backoff import Backoff
from migrator.cancellation import Cancellation
from migrator.errors import (
    ContentionError,
    FileChangedError,
    MigratorError,
    PartialError,
    StatementFailedError,
)
from migrator.events.base import Observer
from migrator.facts import Place
from migrator.model import Script, Statement, Step
from migrator.pg.connect import Session
from migrator.pg.failures import explained
from migrator.pg.greeting import ask, settle
from migrator.pg.hold import NO_LOCK, Hold
from migrator.pg.ledger import WITHIN_MS
from migrator.pg.partial import FINISH, half_way, leaves_nothing, part, unrecorded
from migrator.pg.pooler import begin, commit, settled
from migrator.pg.saying import noticed, statement_finished
from migrator.pg.script import ScriptCall
from migrator.pg.sending import roll_back, send
from migrator.pg.table import ALWAYS, Table
from migrator.pg.watch import Watch


_PATIENCE = Backoff(total_s=30)
"""How long to try to record what ran without a transaction."""

_READ_LATE_S = 0.25
"""How much later than it came an answer may be read on a busy machine: in a stream a
statement is taken to begin when the answer before it is read."""

_ENDS = ("COMMIT", "PREPARE TRANSACTION")


@dataclass(frozen=True, slots=True)
class Executor:
    """Runs steps on one connection and tells what happens."""

    conn: psycopg.Connection
    table: Table | None
    """None where nothing is recorded."""

    session: Session
    observe: Observer
    cancellation: Cancellation
    hold: Hold = NO_LOCK
    watch: Watch = field(default_factory=Watch)
    """Is told what runs."""

    def take(self, step: Step) -> bool:
        """
        Run *step* and record it; False when another migrator has done so already.

        Raises:
            StatementFailedError: The server refused a statement; all is rolled back.
            ContentionError: Locks, deadlock, serialization; all is rolled back.
            ConnectionLostError: The session died.
            PartialError: Part of a NO TRANSACTION file is in effect, or the file
                ended the transaction that was to hold it.
            AccessDeniedError, FileChangedError, StatementTimeoutError: As they say;
                rolled back.
        """
        try:
            return self._take(step)
        except StatementFailedError:
            self.hold.held()  # then it was we who cancelled it
            raise

    def _take(self, step: Step) -> bool:
        if step.script is not None:
            return self._take_script(step, step.script)
        if step.migration.transaction:
            return self._in_transaction(step, partial(self._run_all, step))
        return self._in_autocommit(step)

    def settle(self, step: Step) -> None:
        """
        Put the session back into its first state before *step*.

        Raises:
            ConnectionLostError: The session died.
        """
        with self._explaining(*_nowhere(step)):
            settle(self.conn)

    def _in_transaction(self, step: Step, run: Callable[[], None]) -> bool:
        try:
            self._command(begin(self.conn), step)
            run()
            recorded = self._enter(step, WITHIN_MS, self.hold.proof)
            self.hold.held()
            self._command(commit(self.conn) if recorded else b"ROLLBACK", step)
        finally:
            roll_back(self.conn)
        return recorded

    def _run_all(self, step: Step) -> None:
        for place, statement in _placed(step):
            self.run_inside(statement, place)

    def run_inside(self, statement: Statement, place: Place) -> None:
        """
        Run *statement* in the transaction that is open.

        Raises:
            MigratorError: As `take`.
        """
        self._still_ours(self._run(statement, place), place)

    def _in_autocommit(self, step: Step) -> bool:
        started, total = time.monotonic(), len(step.statements)
        self.cancellation.check()
        for place, statement in _placed(step):
            try:
                self._run(statement, place)
                self._still_idle(place, last=place.statement == total)
            except MigratorError as error:
                roll_back(self.conn)
                if leaves_nothing(error, place, statement):
                    raise
                raise half_way(error, place, part(place, total)) from error
        return self._enter_alone(step, started)

    def _take_script(self, step: Step, script: Script) -> bool:
        call = ScriptCall(
            script,
            step.migration.place(script.call, 1),
            self.conn,
            self.session,
            self.observe,
            self.cancellation,
            self.watch,
        )
        with self._noticing(call.place), call.loaded() as function:
            if step.migration.transaction:
                return self._in_transaction(step, partial(call.run_inside, function))
            started = time.monotonic()
            try:
                self.hold.held()
                call.run_outside(function)
            except MigratorError as error:
                roll_back(self.conn)
                raise half_way(error, call.place, call.part) from error
            return self._enter_alone(step, started)

    def _still_idle(self, place: Place, *, last: bool) -> None:
        idle = self.conn.info.transaction_status is TransactionStatus.IDLE
        if last and not idle:
            raise PartialError(
                place, reason="the file leaves a transaction open", mend=FINISH
            )

    def _run(self, statement: Statement, place: Place) -> tuple[str, ...]:
        """Send one statement text and return the command tags of its results."""
        self.hold.held()
        started = time.monotonic()
        with (
            self._noticing(place),
            self._explaining(place, statement),
            self.cancellation.armed(),
            self.conn.cursor() as cursor,
        ):
            tags = send(cursor, statement)
        self.observe(statement_finished(place, tags, time.monotonic() - started))
        return tags

    def _command(self, command: bytes, step: Step) -> None:
        with self._explaining(*_nowhere(step)):
            self.conn.execute(command)

    def _enter(self, step: Step, took_ms: sql.Composable, held: sql.Composable) -> bool:
        """Record *step* if *held*; False when somebody else has recorded it."""
        if self.table is None:
            return True
        entry = self.table.entry(step, held=held, took_ms=took_ms)
        with self._explaining(*_nowhere(step)):
            *_, row = ask(self.conn, sql.SQL("; ").join([*self.table.locking, entry]))
        recorded = row is not None and bool(row[0])
        if not recorded:
            self.hold.check()
        return recorded

    def _enter_alone(self, step: Step, started: float) -> bool:
        """Enter *step* by itself, again while locks stand in the way."""
        delays, name = _PATIENCE.delays(), self.table.name if self.table else ""
        while True:
            try:
                return self._enter_once(step, started)
            except MigratorError as error:
                delay = next(delays, None)
                if delay is None or not isinstance(error, ContentionError):
                    place = _nowhere(step)[0]
                    raise unrecorded(error, place, step, name) from error
            self.cancellation.sleep(delay)

    def _enter_once(self, step: Step, started: float) -> bool:
        took_ms = sql.Literal(round((time.monotonic() - started) * 1000))
        with (
            self._explaining(*_nowhere(step)),
            settled(self.conn),
            self.conn.transaction(),
        ):
            # what is in effect is recorded, whoever has the lock by now
            return self._enter(step, took_ms, ALWAYS)

    def _still_ours(self, tags: tuple[str, ...], place: Place) -> None:
        inside = self.conn.info.transaction_status is TransactionStatus.INTRANS
        if inside and not any(tag.startswith(_ENDS) for tag in tags):
            return
        raise PartialError(
            place,
            reason="the file ended the migration's transaction by itself",
            mend="what ran up to here is in effect or undone by the file's own words,"
            " and is not recorded: put the database right by hand, then remove COMMIT"
            " and ROLLBACK from the file or mark it `-- +goose NO TRANSACTION`",
        )

    @contextmanager
    def _explaining(self, place: Place, statement: Statement) -> Iterator[None]:
        started = time.monotonic()
        try:
            with self.watch.at(place, started):
                yield
        except psycopg.Error as error:
            self.hold.held()
            raise self.meant(error, place, statement, started) from error

    def meant(
        self, error: psycopg.Error, place: Place, statement: Statement, since: float
    ) -> MigratorError:
        """Return what *error* of *statement*, which runs *since* then, means."""
        limit_s, took_s = self.session.statement_timeout_s, time.monotonic() - since
        late = 0 < limit_s <= took_s + _READ_LATE_S
        blocker = self.watch.blocker(place)
        return explained(error, place, statement, timed_out=late, blocker=blocker)

    @contextmanager
    def _noticing(self, place: Place) -> Iterator[None]:
        def tell(diag: psycopg.errors.Diagnostic) -> None:
            self.observe(noticed(diag, place))

        self.conn.add_notice_handler(tell)
        try:
            yield
        finally:
            self.conn.remove_notice_handler(tell)


def _placed(step: Step) -> Iterator[tuple[Place, Statement]]:
    place = _nowhere(step)[0]
    try:
        for number, statement in enumerate(step.statements, 1):
            place = step.migration.place(statement, number)
            yield place, statement
    except FileChangedError as error:
        if step.migration.transaction or not place.statement:
            raise
        what = f"what follows {part(place, len(step.statements))}"
        raise half_way(error, place, what) from error


def _nowhere(step: Step) -> tuple[Place, Statement]:
    """Return the place of what we send ourselves: the file, and no statement of it."""
    nothing = Statement("", 1)
    return step.migration.place(nothing, 0), nothing
