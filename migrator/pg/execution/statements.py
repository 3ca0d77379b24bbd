"""
Executes the statements of a migration one by one on one connection.

Each waits for the answer to the one before it (`migrator.pg.execution.pipelined` does
without waiting).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import NamedTuple

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from migrator.domain.facts import AT_COMMIT, BEGINNING, RECORDING, RESETTING, Place
from migrator.domain.model import Direction, Statement, Step
from migrator.errors import (
    LockLostError,
    MigratorError,
    PartiallyAppliedError,
    RowNotWrittenError,
)
from migrator.events.base import Observer
from migrator.pg.connection.connect import Session
from migrator.pg.connection.own_messages import query_own
from migrator.pg.connection.pooler import begin, commit
from migrator.pg.connection.queries import roll_back, run_command, send_statement
from migrator.pg.connection.session import reset_session
from migrator.pg.errors.translate import translate
from migrator.pg.execution.partial_errors import NOTHING, file_place
from migrator.pg.execution.server_messages import report_notices, statement_finished
from migrator.pg.locking.held_lock import HeldLock
from migrator.pg.monitor.current_statement import CurrentStatement
from migrator.pg.tracking.history_table import TRANSACTION_MS
from migrator.pg.tracking.version_table import VersionTable
from migrator.process.cancellation import Cancellation
from migrator.sql.classify import Effect, classify
from migrator.sql.secrets import mask_passwords


_BUILDS = ("create index", "drop index", "reindex")
"""Not `DETACH PARTITION`: its second half wants the partition for itself."""


_ENDLESS = """
SELECT set_config('lock_timeout', '0', false) FROM pg_settings
WHERE name = 'lock_timeout' AND setting = {}
"""


_AS_BEFORE = "SELECT set_config('lock_timeout', {}, false)"


@contextmanager
def without_lock_timeout(
    conn: psycopg.Connection, statement: Statement, session: Session
) -> Iterator[None]:
    """
    Disable lock_timeout in the block if *statement* builds an index concurrently.

    A file that has set a value of its own keeps it.
    """
    ours = sql.Literal(session.settings["lock_timeout"])
    endless = (
        is_concurrent_index(statement)
        and query_own(conn, sql.SQL(_ENDLESS).format(ours))[0]
    )
    try:
        yield
    finally:
        if endless:
            # a session that is gone has no settings
            with suppress(psycopg.Error):
                query_own(conn, sql.SQL(_AS_BEFORE).format(ours))


def is_concurrent_index(statement: Statement) -> bool:
    """Tell whether *statement* builds or drops an index concurrently."""
    if "concurrently" not in statement.text.lower():
        return False
    kind = classify(statement.text)
    return kind.effect is Effect.TRACED and kind.verb in _BUILDS


_READ_LATE_S = 0.25
"""How much later than it came an answer may be read on a busy machine: in a stream a
statement is assumed to start when the answer before it is read."""

_ENDS = ("COMMIT", "PREPARE TRANSACTION")


class StatementExecutor(NamedTuple):
    """Runs statements on one connection and reports what happens."""

    conn: psycopg.Connection
    table: VersionTable | None
    """None where nothing is recorded."""

    session: Session
    observe: Observer
    cancellation: Cancellation
    lock: HeldLock
    drop_invalid: bool = True
    """Whether what a concurrent build left behind is dropped, and built again."""

    queries_lock: bool = False
    """Whether the lock is queried after each statement: one may end its session."""

    mask: Callable[[str], str] = mask_passwords
    """Hides secrets in what is kept in a table of ours."""

    @property
    def current(self) -> CurrentStatement:
        """Return the current statement, for the monitor thread."""
        return self.lock.current

    def reset_session(self, step: Step) -> None:
        """
        Reset the session before *step*.

        Raises:
            ConnectionLostError: The session died.
        """
        with self.translate_errors(file_place(step, RESETTING)):
            reset_session(self.conn, self.session.state)

    @contextmanager
    def transaction(self, step: Step) -> Iterator[None]:
        """
        Begin the transaction of *step*; what is not committed in the block is undone.

        Raises:
            MigratorError: As `migrator.pg.execution.executor.execute_step`.
        """
        try:
            self.run_command(begin(self.conn, step.begin), file_place(step, BEGINNING))
            yield
        finally:
            roll_back(self.conn)

    def record_and_commit(self, step: Step) -> bool:
        """
        Record *step* in the open transaction and commit it.

        Return False, rolled back, when another migrator has recorded the step already.
        Raises as `migrator.pg.execution.executor.execute_step`.
        """
        recorded = self.record(step, TRANSACTION_MS, self.lock.still_held_sql)
        self.lock.check_known()
        end = commit(self.conn) if recorded else b"ROLLBACK"
        self.run_command(end, file_place(step, AT_COMMIT))
        return recorded

    def run_inside(self, statement: Statement, place: Place) -> None:
        """
        Run *statement* in the transaction that is open.

        Raises:
            MigratorError: As `migrator.pg.execution.executor.execute_step`.
        """
        self._check_transaction(self.run(statement, place), place)
        self.check_lock_after(place)

    def check_lock_after(self, place: Place) -> None:
        """
        Query the lock, if `queries_lock`, after what ran at *place*.

        Raises:
            LockLostError: The lock is gone; with *place*.
        """
        if self.queries_lock:
            try:
                self.lock.check()
            except LockLostError as error:
                error.place = place
                raise

    def run(self, statement: Statement, place: Place) -> tuple[str, ...]:
        """
        Send one statement text, report it, and return the command tags.

        Raises:
            MigratorError: As `migrator.pg.execution.executor.execute_step`.
        """
        started = time.monotonic()
        tags = self.send(statement, place)
        self.observe(statement_finished(place, tags, time.monotonic() - started))
        return tags

    def send(self, statement: Statement, place: Place) -> tuple[str, ...]:
        """Send one statement text, which is not reported. Raises as `run`."""
        self.lock.check_known()
        with (
            self.report_notices(place, statement.text),
            self.translate_errors(place, statement),
            without_lock_timeout(self.conn, statement, self.session),
            self.cancellation.interruptible(),
        ):
            return send_statement(self.conn, statement)

    def run_command(
        self, command: bytes, place: Place, statement: Statement = NOTHING
    ) -> None:
        """
        Send migrator's own *command* at *place*; cancelled when the run is stopped.

        It returns if the command succeeded anyway.
        """
        with self.translate_errors(place, statement):
            run_command(self.conn, command, self.cancellation)

    def record(
        self,
        step: Step,
        took_ms: sql.Composable,
        held: sql.Composable,
        intent: int | None = None,
    ) -> bool:
        """
        Record *step* if *held*; False if another migrator has recorded it.

        *intent* is the intent row that becomes the row of the history.
        """
        if self.table is None:
            return True
        entry = self.table.record_sql(
            step, still_held=held, duration_ms=took_ms, intent=intent
        )
        with self.translate_errors(file_place(step, RECORDING)):
            *_, row = query_own(
                self.conn, sql.SQL("; ").join([*self.table.lock_statements, entry])
            )
        recorded = row is not None and bool(row[0])
        if not recorded:
            self.lock.check()
            self._check_recorded(step, self.table)
        return recorded

    def _check_recorded(self, step: Step, table: VersionTable) -> None:
        """
        Check that another migrator has recorded *step*, after no row was changed.

        Raises:
            RowNotWrittenError: It has not: something drops the write.
        """
        with self.translate_errors(file_place(step, RECORDING)):
            *_, row = query_own(self.conn, table.is_recorded_sql(step.migration))
        if row != (step.direction is Direction.UP,):
            raise RowNotWrittenError(
                table.identifier.as_string(self.conn),
                version=step.migration.version,
                path=step.migration.path,
            )

    def _check_transaction(self, tags: tuple[str, ...], place: Place) -> None:
        inside = self.conn.info.transaction_status is TransactionStatus.INTRANS
        if inside and not any(tag.startswith(_ENDS) for tag in tags):
            return
        raise PartiallyAppliedError(
            place,
            reason="the file contains COMMIT or ROLLBACK, which ended the migration's"
            " transaction",
            remedy="what ran up to here was committed or rolled back by the file, and"
            " is not recorded: repair the database manually, then remove COMMIT"
            " and ROLLBACK from the file or mark it `-- +goose NO TRANSACTION`",
        )

    @contextmanager
    def translate_errors(
        self, place: Place, statement: Statement = NOTHING
    ) -> Iterator[None]:
        """Translate errors of *statement*, which begins at *place*."""
        started = time.monotonic()
        try:
            with self.current.running_at(place, started):
                yield
        except psycopg.Error as error:
            self.lock.check_known()
            raise self.translate(error, place, statement, started) from error

    def translate(
        self, error: psycopg.Error, place: Place, statement: Statement, since: float
    ) -> MigratorError:
        """Return what *error* of *statement*, which runs *since* then, means."""
        limit_s, took_s = self.session.statement_timeout_s, time.monotonic() - since
        # PostgreSQL has no statement_timeout for a COMMIT
        # (migrator.pg.connection.queries)
        late = place.phase != AT_COMMIT and 0 < limit_s <= took_s + _READ_LATE_S
        return translate(
            error,
            place,
            statement,
            self.conn,
            timed_out=late,
            blocker=self.current.blocker(place),
            table=self.table.identifier.as_string() if self.table else "",
        )

    def report_notices(self, place: Place, source: str) -> AbstractContextManager[None]:
        """Report the notices that the server sends within the block, at *place*."""
        return report_notices(self.conn, self.observe, place, source)
