"""
Executes a NO TRANSACTION migration statement by statement, with an intent log.

A statement that may run in a transaction block gets its own transaction, which also
updates the intent row: both are committed or neither is. Any other statement is
recorded before it is sent, and its outcome is read from the catalogs. So the next run
resumes where this one stopped. The file's own BEGIN … COMMIT is sent unchanged, and the
intent row is updated in that transaction.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from psycopg import sql
from psycopg.pq import TransactionStatus

from migrator.domain.backoff import Backoff
from migrator.domain.facts import BEGINNING, RECORDING, Place, ServerMessage
from migrator.domain.model import Statement, Step
from migrator.errors import (
    ContentionError,
    FileChangedError,
    MigratorError,
    StatementFailedError,
)
from migrator.pg.connection.pooler import begin, commit, in_settings
from migrator.pg.connection.queries import roll_back
from migrator.pg.execution.catalog_state import AGAIN
from migrator.pg.execution.invalid_indexes import InvalidIndexes
from migrator.pg.execution.partial_errors import (
    ANSWERED,
    CALL_AGAIN,
    RETRYABLE,
    RecordedFailure,
    append_text,
    applied_unrecorded_error,
    file_place,
    half_applied_error,
    invalid_index_error,
    located_statements,
    not_recorded_error,
    stopped_error,
    undecided_error,
)
from migrator.pg.execution.python_script import Function, ScriptCall
from migrator.pg.execution.resume import IntentWriter, Resumption
from migrator.pg.execution.statements import StatementExecutor
from migrator.pg.tracking.intent_log import (
    IntentState,
    PrefixDigest,
    SentStatement,
    statement_digest,
)
from migrator.pg.tracking.version_table import ALWAYS
from migrator.sql.classify import (
    Effect,
    StatementClass,
    classify,
    classify_outside_block,
    is_commit,
)


_RECORD_BACKOFF = Backoff(total_s=30)
"""How long to try to record what ran without a transaction."""

_NO_BLOCK = "25001"
"""ERRCODE_ACTIVE_SQL_TRANSACTION (PostgreSQL's xact.c: PreventInTransactionBlock)."""

_SESSION_EFFECTS = (Effect.SESSION, Effect.CONTROL)
_LEFT_OPEN = "the file leaves a transaction open"
_NONE = IntentState(0, "")


class NoTransactionRun:
    """One attempt to execute a step without a transaction."""

    def __init__(self, executor: StatementExecutor, step: Step) -> None:
        self._executor = executor
        self._conn = executor.conn
        self._step = step
        self._intent = IntentWriter(executor, step)
        self._invalid_indexes = InvalidIndexes(executor, step)
        self._total = len(step.listed_statements)
        self._since = time.monotonic()
        self._recording = file_place(step, RECORDING)

    def run(self) -> bool:
        """
        Run the statements not applied yet and record the step; as `execute_step`.

        Raises:
            MigratorError: As `execute_step`. A retryable error is raised unchanged.
        """
        self._executor.cancellation.check()
        self._resume()
        recorded, prefix, completed = (
            None,
            PrefixDigest(),
            self._intent.reached.completed,
        )
        for place, statement in self._statements():
            state = IntentState(place.statement, prefix.add(statement))
            if state.completed > completed:
                recorded = self._run_statement(place, statement, state)
            elif state.completed == completed:
                self._intent.reached = state  # its digest may be nobody's yet
        return self._record_with_retries() if recorded is None else recorded

    def run_script(self, call: ScriptCall, function: Function) -> bool:
        """Call *function* and record the step. Raises as `run`."""
        self._resume()
        if not self._intent.reached.completed:
            self._run_function(call, function)
        self._intent.count(call.script.call)
        return self._record_with_retries()

    def _run_function(self, call: ScriptCall, function: Function) -> None:
        verb = AGAIN if call.script.repeatable else ""
        sent = SentStatement(verb, "", "", statement_digest(call.script.call), {})
        self._executor.lock.check_known()
        self._intent.write(IntentState(0, "", sent))
        try:
            call.run_outside(function)
        except MigratorError as error:
            roll_back(self._conn)
            raise self._translate_script_failure(error, call, sent) from error
        try:
            self._intent.write(IntentState(1, ""))
        except MigratorError as error:
            raise (
                error if isinstance(error, RETRYABLE) else self._untracked_error(error)
            ) from error

    def _statements(self) -> Iterator[tuple[Place, Statement]]:
        try:
            yield from located_statements(self._step)
        except FileChangedError as error:
            completed = self._intent.applied.last_applied
            if not completed:
                raise
            here = file_place(self._step)._replace(statement=completed)
            progress = self._intent.progress(here)
            raise half_applied_error(
                error, progress.place, f"what follows {progress.part}"
            ) from error

    def _run_statement(
        self, place: Place, statement: Statement, state: IntentState
    ) -> bool | None:
        """Run one statement; tell whether the step is recorded, if it is the last."""
        kind = classify(statement.text)
        with self._translate_errors(place, statement):
            if self._in_open_transaction or kind.effect in _SESSION_EFFECTS:
                self._run_session_statement(place, statement, state)
            elif kind.effect is Effect.BLOCK:
                return self._run_in_block_if_allowed(place, statement, state)
            else:
                self._run_outside_block(place, statement, kind, state)
        return None

    @property
    def _in_open_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._conn.info.transaction_status is TransactionStatus.INTRANS

    def _run_session_statement(
        self, place: Place, statement: Statement, state: IntentState
    ) -> None:
        commits = is_commit(statement.text)
        if self._in_open_transaction and commits and self._intent.applied.pending:
            self._intent.write(state)
        self._executor.run(statement, place)
        self._intent.count(
            statement, None if self._in_open_transaction and not commits else state
        )
        if self._in_open_transaction and state.completed == self._total:
            raise StatementFailedError(place, ServerMessage(None, _LEFT_OPEN))

    def _run_in_block_if_allowed(
        self, place: Place, statement: Statement, state: IntentState
    ) -> bool | None:
        """What refuses the block although its words did not say so runs without one."""
        try:
            return self._run_in_block(place, statement, state)
        except StatementFailedError as error:
            if error.server.sqlstate != _NO_BLOCK:
                raise
            roll_back(self._conn)
            self._run_outside_block(
                place, statement, classify_outside_block(statement.text), state
            )
            return None

    def _run_in_block(
        self, place: Place, statement: Statement, state: IntentState
    ) -> bool | None:
        executor, recorded = self._executor, None
        executor.run_command(begin(self._conn), file_place(self._step, BEGINNING))
        executor.run_inside(statement, place)
        if state.completed == self._total:
            recorded = self._record(executor.lock.still_held_sql)
        else:
            self._intent.write(state)
        executor.lock.check_known()
        end = b"ROLLBACK" if recorded is False else commit(self._conn)
        executor.run_command(end, place, statement)
        self._intent.count(statement, state)
        return recorded

    def _run_outside_block(
        self, place: Place, written: Statement, kind: StatementClass, state: IntentState
    ) -> None:
        statement = self._invalid_indexes.clear_obstacles(
            written, kind, self._intent.progress(place)
        )
        known = self._invalid_indexes.read_before(kind)
        verb = AGAIN if kind.effect is Effect.AGAIN else kind.verb
        sent = SentStatement(
            verb, kind.name, kind.table, statement_digest(written), known
        )
        self._intent.write(self._intent.reached._replace(in_flight=sent))
        try:
            self._executor.run(statement, place)
            self._invalid_indexes.check(kind, place)
        except MigratorError as error:
            raise self._translate_failure(error, place, kind, sent) from error
        self._intent.count(written, state)
        self._intent.write(state)

    def _translate_failure(
        self,
        error: MigratorError,
        place: Place,
        kind: StatementClass,
        sent: SentStatement,
    ) -> MigratorError:
        """Return the translation of *error* of a statement that commits in parts."""
        if self._conn.closed:
            return error
        if kind.effect is Effect.OPAQUE:
            return self._undecided_error(
                error, place, self._intent.reached._replace(in_flight=sent)
            )
        if not isinstance(error, ANSWERED) or isinstance(error, ContentionError):
            return error
        found = self._invalid_indexes.read_outcome(sent.statement_class, sent.before)
        for left in found.leftovers:
            return invalid_index_error(
                left.name, left.table, self._intent.progress(place), error
            )
        if found.done is None:
            return self._undecided_error(
                error, place, self._intent.reached._replace(in_flight=sent)
            )
        self._intent.write(
            self._intent.reached if self._intent.applied.last_applied else _NONE
        )
        return error

    def _translate_script_failure(
        self, error: MigratorError, call: ScriptCall, sent: SentStatement
    ) -> MigratorError:
        """Return what *error* means of a function that sees to its transactions."""
        if not call.script.repeatable:
            return self._undecided_error(error, call.place, IntentState(0, "", sent))
        if isinstance(error, RETRYABLE):
            return error
        part = self._intent.progress(call.place).part
        return half_applied_error(error, call.place, part, remedy=CALL_AGAIN)

    def _undecided_error(
        self, error: MigratorError, place: Place, state: IntentState
    ) -> MigratorError:
        """Return the error of unknown outcome that *error* leads to, and keep why."""
        progress = self._intent.progress(place)
        if self._intent.intent_log is None:
            return half_applied_error(error, place, progress.part)
        failure = RecordedFailure.of(error, place, self._executor.mask)
        if state.in_flight is not None and not self._conn.closed:
            sent = state.in_flight._replace(failure=failure.fields)
            with suppress(MigratorError):  # the run fails with its own error
                self._intent.write(state._replace(in_flight=sent))
        return undecided_error(progress, failure)

    def _resume(self) -> None:
        """Find where an earlier attempt stopped, and restore its session settings."""
        resumption = Resumption(
            self._executor, self._step, self._intent, self._invalid_indexes
        )
        for place, statement in resumption.find_completed():
            with self._translate_errors(place, statement):
                self._executor.run(statement, place)

    def _record(self, held: sql.Composable) -> bool:
        took_ms = sql.Literal(round((time.monotonic() - self._since) * 1000))
        return self._executor.record(self._step, took_ms, held, self._intent.row)

    def _record_with_retries(self) -> bool:
        """Record the step in its own transaction, retried on contention."""
        delays = _RECORD_BACKOFF.delays()
        while True:
            try:
                # what is applied is recorded, whoever holds the lock by now
                with (
                    self._executor.translate_errors(self._recording),
                    in_settings(self._conn),
                    self._conn.transaction(),
                ):
                    return self._record(ALWAYS)
            except MigratorError as error:
                delay = next(delays, None)
                if delay is None or not isinstance(error, ContentionError):
                    raise self._unrecorded_error(error) from error
            self._executor.cancellation.sleep(delay)

    def _unrecorded_error(self, error: MigratorError) -> MigratorError:
        progress = self._intent.progress(self._recording)
        if not progress.completed:
            return error
        if self._intent.row is None:
            return self._untracked_error(error)
        if isinstance(error, RETRYABLE):
            return append_text(error, str(progress))
        return not_recorded_error(error, progress)

    def _untracked_error(self, error: MigratorError) -> MigratorError:
        table = self._executor.table
        return applied_unrecorded_error(
            error, self._recording, self._step, table.name if table else ""
        )

    @contextmanager
    def _translate_errors(self, place: Place, statement: Statement) -> Iterator[None]:
        """Roll back the open transaction and add what is applied to the error."""
        try:
            yield
        except MigratorError as error:
            roll_back(self._conn)
            raise stopped_error(
                error, statement, self._intent.progress(place)
            ) from error
