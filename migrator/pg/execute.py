"""
One migration, done: all of it with its version row, or nothing.

Each statement waits for the answer to the one before it; `migrator.pg.stream` does
without waiting. A file without a transaction is `migrator.pg.autocommit`'s.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from migrator.cancellation import Cancellation
from migrator.errors import (
    MigratorError,
    PartialError,
    RowNotWrittenError,
    StatementFailedError,
)
from migrator.events.base import Observer
from migrator.facts import Place
from migrator.model import Direction, Script, Statement, Step
from migrator.pg.command import run_command
from migrator.pg.concurrent import patient
from migrator.pg.connect import Session
from migrator.pg.failures import explained
from migrator.pg.greeting import settle
from migrator.pg.hold import Hold
from migrator.pg.ledger import WITHIN_MS
from migrator.pg.own import ask_own
from migrator.pg.pooler import begin, commit
from migrator.pg.saying import noticing, statement_finished
from migrator.pg.script import ScriptCall
from migrator.pg.sending import roll_back, send
from migrator.pg.table import Table
from migrator.pg.watch import Watch


_READ_LATE_S = 0.25
"""How much later than it came an answer may be read on a busy machine: in a stream a
statement is taken to begin when the answer before it is read."""

if TYPE_CHECKING:
    from migrator.pg.autocommit import Autocommit

NOTHING = Statement("", 1)
"""What has no words of the file."""

_ENDS = ("COMMIT", "PREPARE TRANSACTION")


class Executor(NamedTuple):
    """Runs steps on one connection and tells what happens."""

    conn: psycopg.Connection
    table: Table | None
    """None where nothing is recorded."""

    session: Session
    observe: Observer
    cancellation: Cancellation
    hold: Hold
    drop_invalid: bool = True
    """Whether what a concurrent build left behind is dropped, and built again."""

    @property
    def watch(self) -> Watch:
        """Return what is told which statement runs."""
        return self.hold.watch

    def take(self, step: Step) -> bool:
        """
        Run *step* and record it; False when another migrator has done so already.

        Raises:
            StatementFailedError: The server refused a statement; all is rolled back.
            ContentionError: Locks, deadlock, serialization; all is rolled back.
            ConnectionLostError: The session died.
            PartialError: Part of a NO TRANSACTION file is in effect and a human must
                look, or the file ended the transaction that was to hold it.
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
        return self._outside(step).take()

    def _outside(self, step: Step) -> "Autocommit":
        from migrator.pg.autocommit import Autocommit  # noqa: PLC0415 - few files need it

        return Autocommit(self, step)

    def settle(self, step: Step) -> None:
        """
        Put the session back into its first state before *step*.

        Raises:
            ConnectionLostError: The session died.
        """
        with self.explaining(nowhere(step)):
            settle(self.conn)

    def _in_transaction(self, step: Step, run: Callable[[], None]) -> bool:
        try:
            self.command(begin(self.conn), step)
            run()
            recorded = self.enter(step, WITHIN_MS, self.hold.proof)
            self.hold.held()
            self.command(commit(self.conn) if recorded else b"ROLLBACK", step)
        finally:
            roll_back(self.conn)
        return recorded

    def _run_all(self, step: Step) -> None:
        for place, statement in placed(step):
            self.run_inside(statement, place)

    def run_inside(self, statement: Statement, place: Place) -> None:
        """
        Run *statement* in the transaction that is open.

        Raises:
            MigratorError: As `take`.
        """
        self._still_ours(self.run(statement, place), place)

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
        with self._noticing(call.place, script.text), call.loaded() as function:
            if step.migration.transaction:
                return self._in_transaction(step, partial(call.run_inside, function))
            return self._outside(step).call(call, function)

    def run(self, statement: Statement, place: Place) -> tuple[str, ...]:
        """
        Send one statement text, tell it, and return the command tags of its results.

        Raises:
            MigratorError: As `take`.
        """
        started = time.monotonic()
        tags = self.send(statement, place)
        self.observe(statement_finished(place, tags, time.monotonic() - started))
        return tags

    def send(self, statement: Statement, place: Place) -> tuple[str, ...]:
        """Send one statement text, which is not told. Raises as `take`."""
        self.hold.held()
        with (
            self._noticing(place, statement.text),
            self.explaining(place, statement),
            patient(self.conn, statement, self.session),
            self.cancellation.armed(),
            self.conn.cursor() as cursor,
        ):
            return send(cursor, statement)

    def command(
        self,
        command: bytes,
        step: Step,
        place: Place | None = None,
        statement: Statement = NOTHING,
    ) -> None:
        """
        Send what is ours, at *place* of *step*; asked to stop, cancel it.

        It returns if it came through all the same.
        """
        with self.explaining(place or nowhere(step), statement):
            run_command(self.conn, command, self.cancellation)

    def enter(
        self,
        step: Step,
        took_ms: sql.Composable,
        held: sql.Composable,
        intent: int | None = None,
    ) -> bool:
        """
        Record *step* if *held*; False when somebody else has recorded it.

        *intent* is the row of the journal that becomes the entry of the history.
        """
        if self.table is None:
            return True
        entry = self.table.entry(step, held=held, took_ms=took_ms, intent=intent)
        with self.explaining(nowhere(step)):
            *_, row = ask_own(
                self.conn, sql.SQL("; ").join([*self.table.locking, entry])
            )
        recorded = row is not None and bool(row[0])
        if not recorded:
            self.hold.check()
            self._check_recorded(step, self.table)
        return recorded

    def _check_recorded(self, step: Step, table: Table) -> None:
        """
        See that somebody else has recorded *step*, when we changed no row.

        Raises:
            RowNotWrittenError: Nobody has: something takes our writes away.
        """
        with self.explaining(nowhere(step)):
            *_, row = ask_own(self.conn, table.presence(step.migration))
        if row != (step.direction is Direction.UP,):
            raise RowNotWrittenError(
                table.identifier.as_string(self.conn),
                version=step.migration.version,
                path=step.migration.path,
            )

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
    def explaining(
        self, place: Place, statement: Statement = NOTHING
    ) -> Iterator[None]:
        """Turn errors of *statement*, which begins at *place*, into ours."""
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
        return explained(
            error,
            place,
            statement,
            self.conn,
            timed_out=late,
            blocker=self.watch.blocker(place),
        )

    def _noticing(self, place: Place, source: str) -> AbstractContextManager[None]:
        return noticing(self.conn, self.observe, place, source)


def placed(step: Step) -> Iterator[tuple[Place, Statement]]:
    """
    Yield the statements of *step* with their places.

    Raises:
        FileChangedError: The file is a large one, and not what it was.
    """
    for number, statement in enumerate(step.statements, 1):
        yield step.migration.place(statement, number), statement


def nowhere(step: Step) -> Place:
    """Return the place of what we send ourselves: the file, and no statement of it."""
    return step.migration.place(NOTHING, 0)
