"""Records the progress of a NO TRANSACTION step and resumes it."""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from migrator.domain.facts import TRACKING, Place
from migrator.domain.model import Statement, Step
from migrator.errors import LockLostError
from migrator.events.migration import MigrationResumed
from migrator.pg.connection.own_messages import query_own
from migrator.pg.execution.invalid_indexes import InvalidIndexes
from migrator.pg.execution.partial_errors import (
    CHANGED,
    SESSION_OBJECT,
    FileProgress,
    RecordedFailure,
    file_place,
    located_statements,
    mismatch_error,
    undecided_error,
)
from migrator.pg.execution.statements import StatementExecutor
from migrator.pg.tracking.intent_log import (
    Intent,
    IntentLog,
    IntentState,
    PrefixDigest,
    statement_digest,
)
from migrator.sql.classify import Applied, Effect, classify


class IntentWriter:
    """Writes the intent row of *step* on *executor*'s connection."""

    def __init__(self, executor: StatementExecutor, step: Step) -> None:
        self._executor = executor
        self._step = step
        history_table = executor.table.history_table if executor.table else None
        self.intent_log = (
            None if history_table is None else IntentLog(history_table, step)
        )
        """None if there is no history table."""

        self.row: int | None = None
        """The row's id, once there is one."""

        self.reached = IntentState(0, "")
        """What has run, recorded or not, session settings included."""

        self.applied = Applied()
        """What of that is in the database."""

        self._recorded = 0
        """How many statements the row records as applied."""

    def count(self, statement: Statement, reached: IntentState | None = None) -> None:
        """Count *statement*, which has succeeded; it leads to *reached*, if it ends."""
        self.applied.add(statement.text)
        if reached is not None:
            self.reached = reached

    def write(self, state: IntentState) -> None:
        """
        Write *state*, in the transaction that is open if one is.

        Raises:
            LockLostError: The migration lock is not ours any more, or another run has
                continued the step.
            MigratorError: As `execute_step`.
        """
        if self.intent_log is None:
            return
        executor, conn = self._executor, self._executor.conn
        query = self.intent_log.write_sql(
            self.row,
            state,
            reached=self._recorded,
            still_held=executor.lock.still_held_sql,
        )
        with executor.translate_errors(file_place(self._step, TRACKING)):
            answers = query_own(conn, query)
        found = [row[0] for row in answers if row is not None]
        if not found:
            executor.lock.check()
            raise LockLostError(
                f"another run has continued {self._step.migration.path}"
            )
        self.row, self._recorded = found[-1], state.completed

    def find(self) -> Intent | None:
        """Take up the row that an earlier attempt has left open, and return it."""
        if self.intent_log is None:
            return None
        with self._executor.translate_errors(file_place(self._step, TRACKING)):
            intent = self.intent_log.find(self._executor.conn)
        if intent is not None:
            self.row, self._recorded = intent.id, intent.completed
            self.reached = IntentState(intent.completed, "")
        return intent

    def progress(self, place: Place) -> FileProgress:
        """Return how far the step has come, seen from *place*."""
        history_table = (
            self.intent_log.history_table.identifier.as_string()
            if self.intent_log
            else None
        )
        total = len(self._step.listed_statements)
        completed, script = self.applied.last_applied, self._step.script
        return FileProgress(place, completed, total, history_table, self.row, script)


class Resumption(NamedTuple):
    """Compares the intent row of an earlier attempt with the file and the catalogs."""

    executor: StatementExecutor
    step: Step
    intent_writer: IntentWriter
    invalid_indexes: InvalidIndexes

    def find_completed(self) -> tuple[tuple[Place, Statement], ...]:
        """
        Resume from the intent row of an earlier attempt, if there is one.

        Return the statements that restore the session's settings at that point.

        Raises:
            PartiallyAppliedError: The applied part of the file was edited, or the
                outcome of a statement is unknown.
            ContentionError: A session is still at work on what was sent last.
        """
        intent = self.intent_writer.find()
        if intent is None:
            return ()
        replayed = tuple(self._verify(intent))
        completed = intent.completed + self._was_applied(intent)
        self.intent_writer.reached = IntentState(completed, "")
        if completed:
            self.executor.observe(_resumed_event(self.step, intent, completed))
        return replayed

    def _verify(self, intent: Intent) -> Iterator[tuple[Place, Statement]]:
        """Yield those of the applied statements that only set up the session."""
        prefix, last = PrefixDigest(), ""
        for place, statement in islice(located_statements(self.step), intent.completed):
            last, kind = prefix.add(statement), classify(statement.text)
            self.intent_writer.count(statement)
            if kind.keeps:
                raise mismatch_error(
                    intent, self.intent_writer.progress(place), SESSION_OBJECT
                )
            if kind.effect is Effect.SESSION:
                yield place, statement
        # an answer recorded manually has no digest, and a function's call needs none
        if intent.prefix and intent.prefix != last:
            here = self.intent_writer.progress(file_place(self.step))
            raise mismatch_error(intent, here, CHANGED)

    def _was_applied(self, intent: Intent) -> bool:
        """Tell whether the statement that was sent last was applied."""
        script = self.step.script
        if intent.in_flight is None or (script is not None and script.repeatable):
            return False
        left = islice(self.step.listed_statements, intent.completed, None)
        statement = next(iter(left), Statement("", 0))
        place = self.step.migration.place(statement, intent.completed + 1)
        progress = self.intent_writer.progress(place)
        found = self.invalid_indexes.read_outcome(
            intent.in_flight.statement_class, intent.in_flight.before
        )
        if found.done is None:
            kept = intent.in_flight.failure
            failure = None if kept is None else RecordedFailure.read(kept)
            raise undecided_error(progress, failure, earlier=intent)
        if found.done and statement_digest(statement) != intent.in_flight.digest:
            raise mismatch_error(intent, progress, CHANGED)
        for leftover in found.leftovers:
            self.invalid_indexes.drop_index(leftover, progress)
        if found.done:
            self.intent_writer.count(statement)
        return found.done


def _resumed_event(step: Step, intent: Intent, completed: int) -> MigrationResumed:
    return MigrationResumed(
        version=step.migration.version,
        path=step.migration.path,
        direction=step.direction.value,
        through=completed,
        statements=len(step.listed_statements),
        begun_by=intent.run_by,
        begun_at=intent.started_at,
    )
